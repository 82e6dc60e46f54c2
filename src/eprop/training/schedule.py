"""Schedules of the learning rates: factors from 1 to a final factor, functions of the fraction of the training that is done."""

from __future__ import annotations

import math
from collections.abc import Callable

from eprop.errors import ParameterError
from eprop.parameters import check_choice

#: Number of levels of the schedule "step".
LEVELS = 4


def constant(done: float, final: float) -> float:
    """Always 1."""
    return 1.0


def linear(done: float, final: float) -> float:
    """Linear in the fraction done."""
    return 1.0 - (1.0 - final) * done


def exponential(done: float, final: float) -> float:
    """Equal factors in equal times."""
    return float(final**done)


def cosine(done: float, final: float) -> float:
    """Along half a cosine: slow, fast, slow (Loshchilov and Hutter 2017, arXiv 1608.03983, without restarts)."""
    return final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * done))


def step(done: float, final: float) -> float:
    """Constant in each of `LEVELS` equal parts of the training, with equal factors between the parts."""
    level = min(int(done * LEVELS), LEVELS - 1)
    return float(final ** (level / (LEVELS - 1)))


#: Schedules by name: functions of the fraction done (0 to 1) and of the final factor.
SCHEDULES: dict[str, Callable[[float, float], float]] = {
    "constant": constant,
    "linear": linear,
    "exponential": exponential,
    "cosine": cosine,
    "step": step,
}
#: Schedules by multiplication; their final factor must be above 0.
GEOMETRIC = ("exponential", "step")


def check_schedule(label: str, schedule: str, eta_final: float) -> None:
    """Raise a `ParameterError` unless a schedule exists and can come to its end; ``label`` names the class it belongs to."""
    check_choice(f"{label}.schedule", schedule, SCHEDULES)
    if schedule in GEOMETRIC and eta_final == 0.0:
        raise ParameterError(f"{label}.eta_final must be > 0 with the schedule {schedule!r}, got 0")
