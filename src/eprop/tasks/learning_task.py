"""Base of tasks whose recurrent network learns from targets: rule, optimiser and feedback."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eprop.parameters import inherited, param
from eprop.rules import EProp, EPropPlus, Optimizer, RMSprop, Rule
from eprop.rules.optimizers import BUILT_IN
from eprop.tasks.base import check_choice
from eprop.tasks.recurrent import RecurrentTask

RULES = ("eprop", "eprop+")
LOSSES = ("softmax", "squared_error")
FEEDBACKS = ("symmetric", "random", "adaptive")
# Parameters that have an effect only if another parameter has a certain value.
NEEDED = {
    "average_gradient": {"rule": "eprop"},
    "kappa": {"rule": "eprop+"},
    "cutoff": {"rule": "eprop+"},
    "each_step": {"rule": "eprop+"},
    "beta_square": {"optimizer": "rmsprop"},
}
# By names as `gradient_descent` and `rmsprop`.
OPTIMIZERS = {re.sub("(?<=[a-z])(?=[A-Z][a-z])", "_", kind.__name__).lower(): kind for kind in BUILT_IN}


@dataclass(frozen=True, kw_only=True)
class LearningTask(RecurrentTask):
    """Base of tasks that a recurrent network learns by e-prop or e-prop+.

    Parameters that are None take the values of `suited`.
    """

    rule: str = param(
        "eprop", kind=str, doc="eprop (by mini-batch, samples reset) or eprop+ (by spike, no reset)", main=True
    )
    tau_m: float = inherited(RecurrentTask, "tau_m", None, optional=True)
    tau_out: float = inherited(RecurrentTask, "tau_out", None, optional=True)

    optimizer: str = param(None, kind=str, optional=True, doc=", ".join(sorted(OPTIMIZERS)))
    beta_square: float = param(
        0.9, at_least=0.0, below=1.0, doc="rmsprop: decay of the mean square, in a mini-batch, or in a step of eprop+"
    )
    eta: float = param(None, at_least=0.0, optional=True, doc="learning rate of input and recurrent weights", main=True)
    eta_out: float = param(None, at_least=0.0, optional=True, doc="learning rate of the readout weights", main=True)
    feedback: str = inherited(RecurrentTask, "feedback", None, optional=True, doc="symmetric, random or adaptive")
    w_feedback: float = inherited(
        RecurrentTask, "w_feedback", 1.0, doc="sd of random feedback weights, and of initial adaptive feedback weights"
    )
    decay: float = param(
        0.0, at_least=0.0, below=1.0, doc="weight decay: fraction of each weight that an optimiser step removes"
    )
    c_reg: float = inherited(RecurrentTask, "c_reg", None, optional=True)
    f_target: float = inherited(RecurrentTask, "f_target", 10.0)
    average_gradient: bool = param(False, kind=bool, doc="eprop: divide the gradient by the length of the window")
    kappa: float = param(0.97, at_least=0.0, below=1.0, doc="eprop+: filter of the eligibility traces, per step")
    cutoff: float = param(100.0, unit="ms", above=0.0, doc="eprop+: longest interval between spikes that is integrated")
    each_step: bool = param(False, kind=bool, doc="eprop+: one optimiser step for every time step, not for every spike")

    def validate(self) -> None:
        """Check names; replace None by the values of `suited`."""
        label = type(self).__name__
        for name, choices in self.choices().items():
            check_choice(f"{label}.{name}", getattr(self, name), choices)
        self._take_suited()
        check_choice(f"{label}.feedback", self.feedback, FEEDBACKS)
        check_choice(f"{label}.optimizer", self.optimizer, OPTIMIZERS)

    def unused_reason(self, name: str) -> str | None:
        """See `Task.unused_reason`."""
        for other, value in NEEDED.get(name, {}).items():
            if getattr(self, other) != value:
                return f"{other} is {getattr(self, other)}"
        return super().unused_reason(name)

    @classmethod
    def choices(cls) -> Mapping[str, tuple[str, ...]]:
        """Allowed values of parameters that are names."""
        return {"rule": RULES}

    def make_rule(self, eta: float) -> Rule:
        """The rule with learning rate ``eta``."""
        kind = OPTIMIZERS[self.optimizer]
        more = {"beta": self.beta_square} if kind is RMSprop else {}
        optimizer: Optimizer = kind(eta=eta, decay=self.decay, **more)
        common: dict[str, Any] = {"optimizer": optimizer, "c_reg": self.c_reg, "f_target": self.f_target}
        if self.rule == "eprop":
            return EProp(**common, average_gradient=self.average_gradient)
        return EPropPlus(**common, kappa=self.kappa, cutoff=self.cutoff, each_step=self.each_step)
