"""Tasks, one file each: functions that return an `eprop.Experiment`.

::

    pattern_generation, evidence_accumulation, delayed_cue   samples made from a seed       pattern_generation.py, ...
    nmnist, microcircuit                                     recordings of digits           nmnist.py, microcircuit.py
    spoken_digits                                            spoken words                   spoken_digits.py
    cartpole, gymnasium, pong, delayed_reward                learned from reward            cartpole.py, ...
    task, Doc                                                for a task of your own         templates/
    TASKS, task_named                                        by name, or from a file        registry.py
    Chosen, Settings                                         rule, neurons, training        settings.py
    ActorCritic, ControlSettings                             the same with reward           control.py
    Recordings, RecordingSettings                            digits of an event camera      recordings.py
"""

from annotated_doc import Doc

from eprop.tasks.cartpole import cartpole
from eprop.tasks.control import ActorCritic, ControlSettings
from eprop.tasks.delayed_cue import delayed_cue
from eprop.tasks.delayed_reward import delayed_reward
from eprop.tasks.evidence_accumulation import evidence_accumulation
from eprop.tasks.gymnasium import gymnasium
from eprop.tasks.microcircuit import microcircuit
from eprop.tasks.nmnist import nmnist
from eprop.tasks.pattern_generation import pattern_generation
from eprop.tasks.pong import pong
from eprop.tasks.recordings import Recordings, RecordingSettings
from eprop.tasks.registry import TASKS, task_named
from eprop.tasks.settings import Chosen, Settings
from eprop.tasks.spoken_digits import spoken_digits
from eprop.training import task

__all__ = [
    "TASKS", "ActorCritic", "Chosen", "ControlSettings", "Doc", "RecordingSettings", "Recordings", "Settings",
    "cartpole", "delayed_cue", "delayed_reward", "evidence_accumulation", "gymnasium", "microcircuit", "nmnist",
    "pattern_generation", "pong", "spoken_digits", "task", "task_named",
]  # fmt: skip
