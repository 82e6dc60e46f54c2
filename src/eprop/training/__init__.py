"""Training: learners, the loop that drives them, runs with a folder.

::

    Learner                 what learns: the protocol; a class of your own is one more    learner.py
    SampleLearner, Training         from samples with targets                             sample_learner.py
    RewardLearner, PolicyTraining   from rewards                                          reward_learner.py
    fit, History            your network and samples: one call                            fitting.py
    Trainer                 drives a learner: reports, callbacks, Ctrl-C                  trainer.py
    evaluate, judge         frozen weights: samples, episodes                             evaluation.py, reward_learner.py
    RunConfig               everything that determines a run, as a TOML file              config.py
    start_run, resume_run   drive a learner, write a run folder                           run.py
    run_trials              several seeds in processes                                    trials.py
    RunFolder, Checkpoint   the files of a run                                            run_folder.py, checkpoint.py
    load, evaluate_run      a run that is read from its folder, another test              loaded_run.py
    Watcher, ProgressBar    receive progress; show it                                     watcher.py, progress_bar.py
    TensorBoard             a callback that writes metrics                                tensorboard.py
    gradient_balance        rate regularisation compared with learning                    gradient_balance.py
    neurobench, NeuroBench  footprint, sparsity, synaptic operations                      workload.py
    record_activity, record_episode        what figures show                              records.py
"""

from eprop.parallel.interrupt import Interrupt, Stopped
from eprop.rl import RewardBaseline
from eprop.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from eprop.training.config import Execution, RunConfig, UnusedParameterWarning, read_config
from eprop.training.evaluation import Evaluation, confusion_matrix, evaluate, per_class_error
from eprop.training.fitting import History, fit
from eprop.training.gradient_balance import GradientBalance, gradient_balance
from eprop.training.learner import Learner, Setup
from eprop.training.loaded_run import LoadedRun, UnfinishedRunWarning, evaluate_run, load
from eprop.training.progress_bar import ProgressBar
from eprop.training.records import record_activity
from eprop.training.reward_learner import PolicyTraining, RewardLearner, judge
from eprop.training.run import FinishedRun, Run, resume_run, start_run
from eprop.training.run_folder import RunFolder
from eprop.training.sample_learner import SampleLearner, Training
from eprop.training.tensorboard import TensorBoard
from eprop.training.trainer import Trainer
from eprop.training.trials import run_trials
from eprop.training.watcher import Progress, Watcher
from eprop.training.workload import NeuroBench, neurobench

__all__ = [
    "Checkpoint", "Evaluation", "Execution", "FinishedRun", "GradientBalance", "History",
    "Interrupt", "Learner", "LoadedRun", "NeuroBench", "PolicyTraining", "Progress", "ProgressBar", "RewardBaseline",
    "RewardLearner", "Run", "RunConfig", "RunFolder", "SampleLearner", "Setup", "Stopped",
    "TensorBoard", "Trainer", "Training", "UnfinishedRunWarning", "UnusedParameterWarning",
    "Watcher", "confusion_matrix", "evaluate", "evaluate_run", "fit", "gradient_balance", "judge",
    "load", "load_checkpoint", "neurobench", "per_class_error", "read_config", "record_activity", "resume_run",
    "run_trials", "save_checkpoint", "start_run",
]  # fmt: skip
