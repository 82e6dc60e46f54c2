"""Bases of tasks with a recurrent network: parameters of neurons, feedback and rate regularisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eprop.errors import ParameterError
from eprop.models import ALIF, LIF, Neuron, PiecewiseLinear
from eprop.network import Adaptive, Feedback, Network, Normal, Population, RandomFeedback, Symmetric
from eprop.parameters import param
from eprop.tasks.base import Task

NEURONS = ("lif", "alif")


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

    def make_neuron(self, kind: str = "lif") -> Neuron:
        """The neuron model, with (``alif``) or without (``lif``) an adaptive threshold."""
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
