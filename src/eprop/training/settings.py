"""Settings of a training from samples: duration, learning rates, reports."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from eprop.errors import ParameterError
from eprop.parameters import Description, check_choice, param

#: Number of levels of the schedule "step".
LEVELS = 4
#: Schedules of the learning rates by name: factors from 1 to a final factor, functions of the fraction done (0 to 1) and of the
#: final factor. "cosine" is half a cosine: slow, fast, slow (Loshchilov and Hutter 2017, arXiv 1608.03983, without restarts).
SCHEDULES: dict[str, Callable[[float, float], float]] = {
    "constant": lambda done, final: 1.0,
    "linear": lambda done, final: 1.0 - (1.0 - final) * done,
    "exponential": lambda done, final: float(final**done),
    "cosine": lambda done, final: final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * done)),
    "step": lambda done, final: float(final ** (min(int(done * LEVELS), LEVELS - 1) / (LEVELS - 1))),
}


def check_schedule(label: str, schedule: str, eta_final: float) -> None:
    """Raise a `ParameterError` unless a schedule exists and can come to its end; ``label`` names the class it belongs to."""
    check_choice(f"{label}.schedule", schedule, SCHEDULES)
    if schedule in ("exponential", "step") and eta_final == 0.0:
        raise ParameterError(f"{label}.eta_final must be > 0 with the schedule {schedule!r}, got 0")


@dataclass(frozen=True, kw_only=True)
class Training(Description):
    """Duration, learning rates and reports of a training from samples: settings that every `Experiment` has."""

    epochs: int = param(1, kind=int, at_least=1, doc="passes over the training data")
    batch_size: int = param(
        32, kind=int, at_least=1, doc="samples per weight update (with eprop+: per change of the learning rates)"
    )
    schedule: str = param(
        "linear", kind=str, doc="schedule of the learning rates: constant, linear, exponential, cosine or step"
    )
    eta_final: float = param(
        0.01, at_least=0.0, at_most=1.0, doc="final learning rates, as a fraction of the initial ones"
    )
    reports: int = param(
        200,
        kind=int,
        at_least=1,
        doc="number of lines of metrics, at most one per mini-batch; each validation adds a line",
    )
    validations: int = param(
        10,
        kind=int,
        at_least=0,
        doc="number of evaluations of the validation samples, evenly spaced, the last one at the end",
    )
    validation_interval: int | None = param(
        None, kind=int, at_least=1, optional=True,
        doc="training samples between two evaluations of the validation samples; replaces validations",
    )  # fmt: skip
    patience: int = param(
        0, kind=int, at_least=0,
        doc="stop after this many validations without a lower error (or equal error and lower loss), with the best network; "
        "0: never stop",
    )  # fmt: skip
    keep_best: bool | None = param(
        None, kind=bool, optional=True,
        doc="end with the network of the lowest validation error; by default only with patience",
    )  # fmt: skip
    precision: Literal["single", "double"] = param(
        "double", kind=str, doc="type of the weights and traces: single or double"
    )

    def validate(self) -> None:
        """Check the schedule and the precision."""
        check_schedule(type(self).__name__, self.schedule, self.eta_final)
        check_choice(f"{type(self).__name__}.precision", self.precision, ("single", "double"))

    @property
    def keeps_best(self) -> bool:
        """Whether the training ends with the network of the lowest validation error."""
        return self.patience > 0 if self.keep_best is None else self.keep_best

    def eta_factor(self, done: float) -> float:
        """Factor of the learning rates when the fraction ``done`` (0 to 1) of the training is done."""
        return SCHEDULES[self.schedule](done, self.eta_final)
