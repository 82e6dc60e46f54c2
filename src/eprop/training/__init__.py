"""Training: an experiment, learners, the loop that drives them, evaluation.

::

    Experiment, Stage, task     a network and what it learns from; a function that returns one      experiment.py
    Training                    settings of a training from samples                                 settings.py
    Control, PolicyTraining     environments, and settings of a training from reward                control.py
    Learner                     what learns: the protocol; a class of your own is one more          learner.py
    SampleLearner               from samples with targets                                           sample_learner.py
    RewardLearner, judge        from rewards                                                        reward_learner.py
    Trainer                     drives a learner: reports, callbacks, Ctrl-C                        trainer.py
    History                     what a training has reported; tests the network                     history.py
    evaluate, Evaluation        frozen weights                                                      evaluation.py
    Scoring, summed, normalised_error       what readouts say, and how wrong it is                  scoring.py
    Watcher, ProgressBar        receive progress; show it                                           watcher.py, progress_bar.py
    neurobench, NeuroBench      footprint, sparsity, synaptic operations                            workload.py
    record_activity             one sample, as pictures show it                                     activity.py

Runs with a folder are in `eprop.runs`.
"""

from eprop.parallel.interrupt import Interrupt, Stopped
from eprop.rl import RewardBaseline
from eprop.training.activity import record_activity
from eprop.training.control import Control, PolicyTraining
from eprop.training.evaluation import Evaluation, confusion_matrix, evaluate, per_class_error
from eprop.training.experiment import Experiment, Stage, task
from eprop.training.history import History
from eprop.training.learner import Learner
from eprop.training.progress_bar import ProgressBar
from eprop.training.reward_learner import RewardLearner, judge
from eprop.training.sample_learner import SampleLearner
from eprop.training.scoring import Scoring, normalised_error, scoring_of, summed
from eprop.training.settings import Training
from eprop.training.trainer import Trainer
from eprop.training.watcher import Progress, Watcher
from eprop.training.workload import NeuroBench, neurobench

__all__ = [
    "Control", "Evaluation", "Experiment", "History", "Interrupt", "Learner", "NeuroBench",
    "PolicyTraining", "Progress", "ProgressBar", "RewardBaseline", "RewardLearner", "SampleLearner", "Scoring", "Stage",
    "Stopped", "Trainer", "Training", "Watcher", "confusion_matrix", "evaluate",
    "judge", "neurobench", "normalised_error", "per_class_error", "record_activity", "scoring_of", "summed", "task",
]  # fmt: skip
