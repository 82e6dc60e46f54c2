"""What is given damaged inputs."""

from __future__ import annotations

import pathlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Target:
    """A reader, and how inputs for it are made.

    Attributes
    ----------
    name : str
    prepare : callable of (folder)
        Makes sound inputs once; returns what `attempt` needs.
    attempt : callable of (prepared, random numbers)
        Damages an input and reads it. It returns, or raises what the reader raises, or an `AssertionError` if what was read
        is wrong.
    weight : int
        How often it has its turn.
    """

    name: str
    prepare: Callable[[pathlib.Path], Any]
    attempt: Callable[[Any, random.Random], None]
    weight: int = 1
