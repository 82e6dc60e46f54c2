"""Training: epochs over a task's trials, metrics, checkpoints, run folders.

::

    Trainer, Training   mini-batches, decay of the learning rate, reports                       trainer.py
    (for the Trainer)   what an epoch learns from, and in which order                           order.py
    evaluate            frozen weights, shuffled trials                                         evaluation.py
    PolicyTrainer, PolicyTraining, judge   the same for what is learned from reward             control.py
    TrainingLoop        the loop of both trainers                                               loop.py
    start_run, resume_run, evaluate_run    from a configuration to a run folder                 experiment.py
    (for these)         a run that learns from samples, or from reward                          sample_run.py, control_run.py
    Outcome             what a run came to                                                      outcome.py
    restore             the network that a run has kept                                         restoring.py
    run_trials, resume_trials   the same with several seeds, side by side                       trials.py
    gradient_balance    rate regularisation beside learning                                     balance.py
    RewardBaseline      a running mean of rewards                                        ../rl/baseline.py
    RunConfig           what a run depends on, as a TOML file                                   config.py
    RunFolder           the files of a run                                                      runs.py
    Checkpoint          HDF5 with a checksum                                                    checkpoint.py
    load                configuration, metrics, network and weights of a run                    loading.py
    Watcher             is told of progress                                                     watch.py
    ProgressBar         a watcher that shows it; the default                                    progress_bar.py
    TensorBoard         a callback that writes metrics                                          tensorboard.py
    Interrupt, Stopped  Ctrl-C                                                                  interrupt.py
"""

from eprop.rl import RewardBaseline
from eprop.training.balance import GradientBalance, gradient_balance
from eprop.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from eprop.training.config import Execution, RunConfig, UnusedParameterWarning, read_config
from eprop.training.control import PolicyTrainer, PolicyTraining, judge
from eprop.training.evaluation import evaluate
from eprop.training.experiment import UnfinishedRunWarning, evaluate_run, resume_run, start_run
from eprop.training.interrupt import Interrupt, Stopped
from eprop.training.loading import LoadedRun, load
from eprop.training.metrics import Evaluation, confusion_matrix, per_class_error
from eprop.training.outcome import Outcome
from eprop.training.progress_bar import ProgressBar
from eprop.training.restoring import ChangedTaskWarning, restore
from eprop.training.runs import RunFolder
from eprop.training.tensorboard import TensorBoard
from eprop.training.trainer import Trainer, Training, UnstableWarning
from eprop.training.trials import resume_trials, run_trials
from eprop.training.watch import ControlProgress, Progress, Watcher

__all__ = [
    "ChangedTaskWarning",
    "Checkpoint",
    "ControlProgress",
    "Evaluation",
    "Execution",
    "GradientBalance",
    "UnusedParameterWarning",
    "Interrupt",
    "LoadedRun",
    "Outcome",
    "PolicyTrainer",
    "PolicyTraining",
    "Progress",
    "ProgressBar",
    "RewardBaseline",
    "RunConfig",
    "RunFolder",
    "Stopped",
    "TensorBoard",
    "Trainer",
    "Training",
    "UnfinishedRunWarning",
    "UnstableWarning",
    "Watcher",
    "confusion_matrix",
    "evaluate",
    "evaluate_run",
    "gradient_balance",
    "judge",
    "load",
    "load_checkpoint",
    "per_class_error",
    "read_config",
    "restore",
    "resume_run",
    "resume_trials",
    "run_trials",
    "save_checkpoint",
    "start_run",
]
