"""Runs: trainings with a folder, which can be stopped, continued, read and tested again.

::

    fit                     train an experiment, or a network and samples of one's own       fitting.py
    Run, Execution          drives a learner, writes a folder                                run.py
    Trials                  several seeds in processes                                       seeds.py
    load, LoadedRun         a run that is read from its folder                               loading.py
    resume_run, evaluate_run, draw, like    continue, test again, pictures again, with changes   loading.py
    describe_run            all settings of a run                                            loading.py
    RunFolder, RunRecord, Checkpoint        the files of a run              folder.py, record.py, checkpoint.py
"""

from eprop.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from eprop.runs.fitting import fit
from eprop.runs.folder import RunFolder
from eprop.runs.loading import (
    LoadedRun,
    UnfinishedRunWarning,
    arguments_of_run,
    describe_run,
    draw,
    evaluate_run,
    like,
    load,
    resume_run,
)
from eprop.runs.record import RunRecord
from eprop.runs.run import Execution, Run
from eprop.runs.seeds import Trials

__all__ = [
    "Checkpoint", "Execution", "LoadedRun", "RunRecord", "Run", "RunFolder", "Trials", "UnfinishedRunWarning", "arguments_of_run",
    "describe_run", "draw", "evaluate_run", "fit", "like", "load", "load_checkpoint", "resume_run", "save_checkpoint",
]  # fmt: skip
