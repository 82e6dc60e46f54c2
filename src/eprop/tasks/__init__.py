"""Tasks, one file each: inputs, targets and a score.

::

    PatternGeneration, EvidenceAccumulation, NMNIST     the tasks                  pattern_generation.py, ...
    CartPole, DelayedReward, Pong, GymnasiumTask        learned from reward        cartpole.py, ...
    Control, EpisodeChoice                              base of these, test data   control.py
    Task, Classification, Regression                    bases of tasks             base.py
    GeneratedTask, Trial                                trials made from a seed    generated.py
    LearningTask                                        rule and optimiser         learning_task.py
    (bases of both)                                     neurons, feedback          recurrent.py
    DataChoice, Generated, Recordings                   sources of trials          trials.py, recordings.py
    task_named                                          by name, or from a file    registry.py
    template                                            a task of your own         template.py
"""

from eprop.data.splits import Splits
from eprop.parameters import suggestion
from eprop.tasks.base import Classification, Regression, Task, check_choice
from eprop.tasks.cartpole import CartPole
from eprop.tasks.control import Control, EpisodeChoice
from eprop.tasks.delayed_reward import DelayedReward
from eprop.tasks.evidence_accumulation import EvidenceAccumulation
from eprop.tasks.generated import GeneratedTask, Trial
from eprop.tasks.gymnasium import GymnasiumTask
from eprop.tasks.learning_task import LearningTask
from eprop.tasks.nmnist import NMNIST
from eprop.tasks.pattern_generation import PatternGeneration
from eprop.tasks.pong import Pong
from eprop.tasks.recordings import Recordings
from eprop.tasks.registry import TASKS, task_file, task_named
from eprop.tasks.trials import DataChoice, Generated, GeneratedTrials, Trials

__all__ = [
    "NMNIST", "TASKS", "CartPole", "Classification", "Control", "DataChoice", "DelayedReward", "EpisodeChoice",
    "EvidenceAccumulation", "Generated", "GeneratedTask", "GeneratedTrials", "GymnasiumTask", "LearningTask",
    "PatternGeneration", "Pong", "Recordings", "Regression", "Splits", "Task", "Trial", "Trials", "check_choice",
    "suggestion", "task_file", "task_named",
]  # fmt: skip
