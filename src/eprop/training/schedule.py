"""How learning rates change in the course of a training: functions of the part that is done, from 1 to a final factor."""

from __future__ import annotations

import math
from collections.abc import Callable

#: Levels of the schedule "step", the first and the last among them.
LEVELS = 4


def constant(done: float, final: float) -> float:
    """1 at all times."""
    return 1.0


def linear(done: float, final: float) -> float:
    """Along a straight line."""
    return 1.0 - (1.0 - final) * done


def exponential(done: float, final: float) -> float:
    """By the same factor in equal times."""
    return float(final**done)


def cosine(done: float, final: float) -> float:
    """Along half a cosine: slow, fast, slow (Loshchilov and Hutter 2017, arXiv 1608.03983, without restarts)."""
    return final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * done))


def step(done: float, final: float) -> float:
    """In `LEVELS` equal parts of the training, by the same factor from each to the next."""
    level = min(int(done * LEVELS), LEVELS - 1)
    return float(final ** (level / (LEVELS - 1)))


#: Schedules by name: factor of the learning rates for the part of the training that is done, in 0 .. 1.
SCHEDULES: dict[str, Callable[[float, float], float]] = {
    "constant": constant,
    "linear": linear,
    "exponential": exponential,
    "cosine": cosine,
    "step": step,
}
#: Schedules that multiply, and so never come to 0.
GEOMETRIC = ("exponential", "step")
