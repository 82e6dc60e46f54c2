"""Tasks, one file each: inputs, targets and a score.

::

    PatternGeneration, EvidenceAccumulation, NMNIST     the tasks                  pattern_generation.py, ...
    MicrocircuitDigits                                  N-MNIST in a cortex        microcircuit.py
    SpokenDigits, SHD                                   spoken words               speech.py
    CartPole, DelayedReward, Pong, GymnasiumTask        learned from reward        gymnasium.py, ...
    Control, EpisodeChoice                              base of these, test data   control.py
    Task, Classification, Regression                    bases of tasks             base.py
    GeneratedTask, Sample                               samples made from a seed   generated.py
    ArrayTask, ArrayData                                data of a user             arrays.py
    LearningTask, RuleTask                              neurons, rule, optimiser   recurrent.py
    DataChoice, Generated, Recordings                   sources of samples         datasets.py, recordings.py
    task_named                                          by name, or from a file    registry.py
    templates                                           a task of your own         templates/
"""

from eprop.data.splits import Splits
from eprop.parameters import suggestion
from eprop.tasks.arrays import ArrayData, ArrayTask
from eprop.tasks.base import Classification, Regression, Task, check_choice
from eprop.tasks.control import Control, EpisodeChoice
from eprop.tasks.datasets import DataChoice, Dataset, Generated, GeneratedSamples
from eprop.tasks.delayed_reward import DelayedReward
from eprop.tasks.evidence_accumulation import EvidenceAccumulation
from eprop.tasks.generated import GeneratedTask, Sample
from eprop.tasks.gymnasium import CartPole, GymnasiumTask
from eprop.tasks.microcircuit import MicrocircuitDigits
from eprop.tasks.nmnist import NMNIST
from eprop.tasks.pattern_generation import PatternGeneration
from eprop.tasks.pong import Pong
from eprop.tasks.recordings import Recordings
from eprop.tasks.recurrent import LearningTask, RuleTask
from eprop.tasks.registry import TASKS, task_named
from eprop.tasks.speech import SHD, SpokenDigits

__all__ = [
    "NMNIST", "SHD", "TASKS", "ArrayData", "ArrayTask", "CartPole", "Classification", "Control", "DataChoice", "Dataset",
    "DelayedReward", "EpisodeChoice", "EvidenceAccumulation", "Generated", "GeneratedSamples", "GeneratedTask", "GymnasiumTask",
    "LearningTask", "MicrocircuitDigits", "PatternGeneration", "Pong", "Recordings", "Regression", "RuleTask", "Sample",
    "Splits", "SpokenDigits", "Task", "check_choice", "suggestion", "task_named",
]  # fmt: skip
