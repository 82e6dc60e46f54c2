"""Tasks, one file each: functions that return an `eprop.Experiment`.

::

    pattern_generation, evidence_accumulation, delayed_cue   samples made from a seed       pattern_generation.py, ...
    nmnist, microcircuit                                     recordings of digits           nmnist.py, microcircuit.py
    spoken_digits, shd                                       spoken words                   speech.py
    cartpole, gymnasium, pong, delayed_reward                learned from reward            cartpole.py, ...
    task, Doc                                                for a task of your own         templates/
    TASKS, task_named                                        by name, or from a file        registry.py
    Chosen, Settings                                         rule, neurons, training        settings.py
    ActorCritic, ControlSettings                             the same with reward           control.py
    Recordings, RecordingSettings                            digits of an event camera      recordings.py
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    from eprop.tasks.speech import shd, spoken_digits
    from eprop.training import task

# Modules of the public names, imported on first use, so that `eprop --help` does not load libraries.
_HOMES = {
    "pattern_generation": "eprop.tasks.pattern_generation",
    "evidence_accumulation": "eprop.tasks.evidence_accumulation",
    "delayed_cue": "eprop.tasks.delayed_cue",
    "nmnist": "eprop.tasks.nmnist",
    "microcircuit": "eprop.tasks.microcircuit",
    "spoken_digits": "eprop.tasks.speech",
    "shd": "eprop.tasks.speech",
    "cartpole": "eprop.tasks.cartpole",
    "delayed_reward": "eprop.tasks.delayed_reward",
    "pong": "eprop.tasks.pong",
    "gymnasium": "eprop.tasks.gymnasium",
    "task": "eprop.training",
    "Doc": "annotated_doc",
    "TASKS": "eprop.tasks.registry",
    "task_named": "eprop.tasks.registry",
    "Chosen": "eprop.tasks.settings",
    "ActorCritic": "eprop.tasks.control",
    "ControlSettings": "eprop.tasks.control",
    "Recordings": "eprop.tasks.recordings",
    "RecordingSettings": "eprop.tasks.recordings",
    "Settings": "eprop.tasks.settings",
}

__all__ = [
    "TASKS", "ActorCritic", "Chosen", "ControlSettings", "Doc", "RecordingSettings", "Recordings", "Settings",
    "cartpole", "delayed_cue", "delayed_reward", "evidence_accumulation", "gymnasium", "microcircuit", "nmnist",
    "pattern_generation", "pong", "shd", "spoken_digits", "task", "task_named",
]  # fmt: skip


class _Package(ModuleType):
    """A task and its file have one name; the name in this package is the function, also after an import of the file."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, getattr(value, name) if name in _HOMES and isinstance(value, ModuleType) else value)

    def __reduce__(self) -> tuple[Any, ...]:
        """By name, as plain modules: joblib sends a function that uses this package to other processes."""
        return importlib.import_module, (self.__name__,)


sys.modules[__name__].__class__ = _Package

if not TYPE_CHECKING:  # type checkers use the imports above

    def __getattr__(name: str) -> Any:
        """Import a public name on first use."""
        if name not in _HOMES:
            raise AttributeError(f"module 'eprop.tasks' has no attribute {name!r}")
        value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
        return value


def __dir__() -> list[str]:
    # List public names only, not this file's own imports.
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
