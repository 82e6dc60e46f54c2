"""Bases of tasks with a recurrent network: parameters of neurons, feedback and regularisation; of rule and optimiser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from eprop.errors import ParameterError
from eprop.models import ALIF, LIF, Neuron, PiecewiseLinear
from eprop.network import Adaptive, Feedback, FixedPoint, Network, Normal, Population, RandomFeedback, Symmetric
from eprop.network.precision import ROUNDINGS, STOCHASTIC
from eprop.parameters import inherited, param
from eprop.rules import EProp, EPropPlus, Optimizer, RMSprop, Rule
from eprop.rules.optimizers import BY_NAME as OPTIMIZERS
from eprop.tasks.base import Task, check_choice

NEURONS = ("lif", "alif")
RULES = ("eprop", "eprop+")
LOSSES = ("softmax", "squared_error")
FEEDBACKS = ("symmetric", "random", "adaptive")
# Parameters that have an effect only if another parameter has a certain value.
NEEDED = {
    "average_gradient": {"rule": "eprop"},
    "clip_norm": {"rule": "eprop"},
    "kappa": {"rule": "eprop+"},
    "cutoff": {"rule": "eprop+"},
    "each_step": {"rule": "eprop+"},
    "beta_square": {"optimizer": "rmsprop"},
}


@dataclass(frozen=True, kw_only=True)
class RecurrentTask(Task):
    """Base of tasks with a recurrent network that gets learning signals from readouts."""

    dt: float = param(1.0, unit="ms", above=0.0, doc="length of a step of the network")
    tau_m: float = param(20.0, unit="ms", above=0.0, doc="membrane time constant of the neurons")
    tau_out: float = param(20.0, unit="ms", above=0.0, doc="time constant of the readouts")
    v_th: float = param(1.0, unit="mV", above=0.0, doc="threshold")
    t_ref: float = param(0.0, unit="ms", at_least=0.0, doc="refractory time")
    beta: float = param(0.1, unit="mV", at_least=0.0, doc="alif: rise of the threshold per spike")
    tau_adapt: float = param(200.0, unit="ms", above=0.0, doc="alif: time constant of the threshold")
    surrogate_height: float = param(0.3, above=0.0, doc="height of the piecewise linear surrogate gradient, in 1/mV")
    surrogate_width: float = param(1.0, unit="mV", above=0.0, doc="half width of the surrogate gradient")
    feedback: str = param("symmetric", kind=str, doc="symmetric or random")
    w_feedback: float = param(1.0, unit="mV", at_least=0.0, doc="sd of random feedback weights")
    c_reg: float = param(0.0, at_least=0.0, doc="strength of rate regularisation")
    f_target: float = param(20.0, unit="Hz", at_least=0.0, doc="target rate of the rate regularisation")

    def unused_reason(self, name: str) -> str | None:
        """See `Task.unused_reason`."""
        if name in ("beta", "tau_adapt") and "alif" not in self.neuron_kinds():
            return "no neuron has an adaptive threshold"
        if name == "f_target" and self.c_reg == 0.0:
            return "c_reg is 0"
        if name == "w_feedback" and self.feedback == "symmetric":
            return "feedback is symmetric"
        return None

    def neuron_kinds(self) -> tuple[str, ...]:
        """Kinds of neurons in the network, as for `make_neuron`."""
        return NEURONS

    def make_neuron(self, kind: str | None = None) -> Neuron:
        """The neuron model, with (``alif``) or without (``lif``) an adaptive threshold; by default that of the task."""
        kind = getattr(self, "neuron", "lif") if kind is None else kind
        surrogate = PiecewiseLinear(height=self.surrogate_height, width=self.surrogate_width)
        common: dict[str, Any] = {"tau_m": self.tau_m, "v_th": self.v_th, "t_ref": self.t_ref, "surrogate": surrogate}
        return LIF(**common) if kind == "lif" else ALIF(**common, beta=self.beta, tau_adapt=self.tau_adapt)

    def make_feedback(self) -> Feedback:
        """The kind of feedback."""
        if self.feedback == "symmetric":
            return Symmetric()
        return (Adaptive if self.feedback == "adaptive" else RandomFeedback)(Normal(0.0, self.w_feedback))


@dataclass(frozen=True, kw_only=True)
class MixedTask(Task):
    """Base of tasks with neurons of two kinds, without and with adaptation; stands before `RecurrentTask` among the bases."""

    lif: int = param(100, kind=int, at_least=0, doc="neurons without adaptation", main=True)
    alif: int = param(0, kind=int, at_least=0, doc="neurons with adaptation", main=True)
    neuron: ClassVar[str] = "lif"  # no parameter: the network has neurons of both kinds

    def validate(self) -> None:
        """Check that there are neurons."""
        super().validate()
        if self.neurons == 0:
            raise ParameterError(f"{type(self).__name__}.lif and alif must not both be 0")

    @property
    def neurons(self) -> int:
        """Recurrent neurons of both kinds."""
        return self.lif + self.alif

    def neuron_kinds(self) -> tuple[str, ...]:
        """See `RecurrentTask.neuron_kinds`."""
        return tuple(kind for kind in NEURONS if getattr(self, kind))

    def add_neurons(self: Any, net: Network) -> list[Population]:
        """Add the populations ``lif`` and ``alif``, if they have neurons."""
        return [net.add(self.make_neuron(kind), getattr(self, kind), name=kind) for kind in self.neuron_kinds()]


@dataclass(frozen=True, kw_only=True)
class FewBitsTask(Task):
    """Base of tasks whose weights may have few bits, while they learn; stands before `RuleTask` among the bases."""

    bits: int | None = param(
        None, kind=int, optional=True, at_least=2, at_most=16, metavar="N",
        doc="bits of all weights but biases, 2 to 16; the default is single or double precision",
    )  # fmt: skip
    rounding: str = param(STOCHASTIC, kind=str, doc="of weights of few bits after each update: stochastic or nearest")

    def validate(self) -> None:
        """Check the rounding as well."""
        super().validate()
        check_choice(f"{type(self).__name__}.rounding", self.rounding, ROUNDINGS)

    def unused_reason(self, name: str) -> str | None:
        """See `Task.unused_reason`."""
        return "bits is not given" if name == "rounding" and self.bits is None else super().unused_reason(name)

    @property
    def few_bits(self) -> FixedPoint | None:
        """Format of the weights."""
        return None if self.bits is None else FixedPoint(self.bits, rounding=self.rounding)


@dataclass(frozen=True, kw_only=True)
class RuleTask(Task):
    """Base of tasks that learn by e-prop or e-prop+: the rule, its optimiser and the feedback.

    Parameters that are None take the values of `suited`.
    """

    rule: str = param(
        "eprop", kind=str, doc="eprop (by mini-batch, samples reset) or eprop+ (by spike, no reset)", main=True
    )

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
    clip_norm: float | None = param(
        None, above=0.0, optional=True, doc="eprop: largest norm of a projection's gradient in a mini-batch"
    )
    kappa: float | None = param(
        None, at_least=0.0, below=1.0, optional=True,
        doc="eprop+: filter of the eligibility traces, per step; by default that of the readouts",
    )  # fmt: skip
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
            return EProp(**common, average_gradient=self.average_gradient, clip_norm=self.clip_norm)
        return EPropPlus(**common, kappa=self.kappa, cutoff=self.cutoff, each_step=self.each_step)


@dataclass(frozen=True, kw_only=True)
class LearningTask(RuleTask, RecurrentTask):
    """Base of tasks that a recurrent network of LIF or ALIF neurons learns by e-prop or e-prop+.

    Parameters that are None take the values of `suited`.
    """

    neuron: str = param("lif", kind=str, doc="lif, or alif with an adaptive threshold", main=True)
    tau_m: float = inherited(RecurrentTask, "tau_m", None, optional=True)
    tau_out: float = inherited(RecurrentTask, "tau_out", None, optional=True)

    def validate(self) -> None:
        """Check the kind of neurons as well."""
        super().validate()
        check_choice(f"{type(self).__name__}.neuron", self.neuron, NEURONS)

    def neuron_kinds(self) -> tuple[str, ...]:
        """See `RecurrentTask.neuron_kinds`."""
        return (self.neuron,)
