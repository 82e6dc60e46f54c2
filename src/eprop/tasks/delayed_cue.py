"""Delayed cue: keep one of four cues in mind for seconds, with neurons that forget within a fifth of a second at first.

A group of inputs fires for 100 ms and says which cue it is. After a delay a go signal asks for it. All that lasts is the
adaptation of the neurons' thresholds, so the network has to learn how long it lasts (`eprop.Learned`). A time constant far below
the delay has almost no gradient: the delay therefore grows during training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from eprop.engine import Samples
from eprop.errors import ParameterError
from eprop.models import ALIF, CrossEntropy, EventSource, Learned, Neuron, PiecewiseLinear, Readout
from eprop.network import AllToAll, Glorot, Network, Normal
from eprop.parameters import inherited, param
from eprop.tasks.base import Classification, check_choice
from eprop.tasks.generated import GeneratedTask, Sample
from eprop.tasks.recurrent import LearningTask, RecurrentTask

#: Default values of parameters that are None, for each rule; only e-prop learns constants.
SETTINGS: dict[str, dict[str, Any]] = {
    "eprop": {
        "tau_m": 20.0, "tau_out": 20.0, "optimizer": "adam", "eta": 0.01, "eta_out": 0.01, "feedback": "symmetric",
        "c_reg": 0.0, "learn": "tau_adapt",
    },
    "eprop+": {
        "tau_m": 20.0, "tau_out": 20.0, "optimizer": "gradient_descent", "eta": 1e-4, "eta_out": 1e-3,
        "feedback": "symmetric", "c_reg": 0.0, "learn": "none",
    },
}  # fmt: skip
#: Constants that learn, by the value of ``learn``.
LEARNED = {
    "none": (),
    "tau_adapt": ("tau_adapt",),
    "taus": ("tau_m", "tau_adapt", "tau_out"),
    "all": ("tau_m", "tau_adapt", "tau_out", "v_th", "beta", "i_e"),
}
#: Delay with which a growing delay begins, ms, and the fraction of the training after which it has grown.
SHORTEST, GROWN = 200.0, 2.0 / 3.0
#: Longest time constant that can be learned, ms.
LONGEST = 5000.0


@dataclass(frozen=True, kw_only=True)
class DelayedCue(LearningTask, GeneratedTask, Classification):
    """A network teaches itself to remember: time constants of neurons learn until a cue outlasts a delay of seconds."""

    neurons: int = param(40, kind=int, at_least=1, doc="neurons, all with adaptation", main=True)
    delay: float = param(
        3000.0, unit="ms", at_least=0.0, in_steps=True, doc="time from the cue to the go signal", main=True
    )
    grow: bool = param(
        True, kind=bool, doc="let the delay grow from 200 ms during two thirds of the training", main=True
    )
    learn: str = param(
        None, kind=str, optional=True, main=True,
        doc="eprop: constants that learn: none, tau_adapt, taus (with tau_m, tau_out) or all",
    )  # fmt: skip
    eta_constants: float = param(
        0.05, at_least=0.0, doc="learning rate of constants, relative for time constants", main=True
    )
    spread: float = param(
        1.0,
        at_least=1.0,
        doc="draw first values of tau_adapt from tau_adapt / spread to tau_adapt * spread, evenly by logarithm",
    )
    cue: float = param(100.0, unit="ms", above=0.0, in_steps=True, doc="length of a cue, and of the go signal")
    group: int = param(10, kind=int, at_least=1, doc="inputs of a group: four cues, go signal, background")
    cue_rate: float = param(100.0, unit="Hz", at_least=0.0, doc="rate of an input during its cue, and of the go signal")
    background_rate: float = param(5.0, unit="Hz", at_least=0.0, doc="rate of all inputs at other times")
    w_in: float = param(0.5, unit="mV", at_least=0.0, doc="sd of the input weights")
    w_rec: float = param(0.15, unit="mV", at_least=0.0, doc="sd of the recurrent weights")

    cutoff: float = inherited(LearningTask, "cutoff", 4000.0)
    dt: float = inherited(RecurrentTask, "dt", 10.0)
    beta: float = inherited(RecurrentTask, "beta", 0.3)

    name: ClassVar[str] = "delayed-cue"
    neuron: ClassVar[str] = "alif"  # type: ignore[misc]  # no parameter: all neurons adapt
    classes: ClassVar[tuple[str, ...]] = ("a", "b", "c", "d")

    @classmethod
    def suited(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Default values for the rule in ``given``."""
        return dict(SETTINGS.get(given.get("rule", cls.rule), {}))

    def validate(self) -> None:
        """Check that constants can learn from their first values."""
        super().validate()
        label = type(self).__name__
        check_choice(f"{label}.learn", self.learn, LEARNED)
        if self.learn != "none" and self.rule != "eprop":
            raise ParameterError(f'{label}.learn = "{self.learn}" needs rule = "eprop": only e-prop learns constants')
        for name in LEARNED[self.learn]:
            if name in ("tau_m", "tau_adapt", "tau_out") and not self.dt <= getattr(self, name) <= LONGEST:
                raise ParameterError(
                    f"{label}.{name} must lie in {self.dt:g}..{LONGEST:g} ms to learn, got {getattr(self, name):g} ms"
                )

    def unused_reason(self, name: str) -> str | None:
        """See `Task.unused_reason`."""
        if name == "eta_constants" and self.learn == "none":
            return "no constant learns"
        return super().unused_reason(name)

    def neuron_kinds(self) -> tuple[str, ...]:
        """All neurons adapt."""
        return ("alif",)

    def default_data(self) -> dict[str, Any]:
        """Enough test samples for an error of one per cent."""
        return {"test_samples": 1000}

    def default_training(self, data: Any) -> dict[str, Any]:
        """30 epochs of 320 samples are 300 mini-batches."""
        return {"epochs": 30, "batch_size": 32, "schedule": "linear", "eta_final": 0.1}

    def stage(self, done: float) -> Self:
        """The task with the delay as far as it has grown when the fraction ``done`` of the training is done."""
        if not self.grow:
            return self
        shortest = min(SHORTEST, self.delay)
        delay = shortest + (self.delay - shortest) * min(done / GROWN, 1.0)
        return self.replace(delay=self.dt * round(delay / self.dt))

    @property
    def n_steps(self) -> int:
        """Steps of a sample."""
        return round((2.0 * self.cue + self.delay) / self.dt)

    @property
    def n_asked(self) -> int:
        """Steps of the go signal, at the end."""
        return round(self.cue / self.dt)

    @property
    def window(self) -> np.ndarray:
        """1 during the go signal, else 0; shape ``(n_steps,)``."""
        return np.repeat([0.0, 1.0], [self.n_steps - self.n_asked, self.n_asked])

    def draw_sample(self, rng: np.random.Generator) -> Sample:
        """A cue, background, and the go signal."""
        which, n = int(rng.integers(len(self.classes))), len(self.classes)
        rate = np.full((self.n_steps, n + 2), self.background_rate)
        rate[: self.n_asked, which] = rate[-self.n_asked :, n] = self.cue_rate
        chance = np.repeat(rate * self.dt / 1000.0, self.group, axis=1)
        return Sample(rng.random(chance.shape) < chance, which)

    def build_network(self) -> Network:
        """Populations ``in``, ``rec`` and ``out``; all projections are plastic."""
        net = Network(dt=self.dt, seed=self.seed)
        rule, rule_out = self.make_rule(self.eta), self.make_rule(self.eta_out)
        x = net.add(EventSource(), (len(self.classes) + 2) * self.group, name="in")
        rec = net.add(self.make_neuron("alif"), self.neurons, name="rec")
        tau_out = self._constant("tau_out", self.tau_out, self.dt, LONGEST, shared=True)
        out = net.add(Readout(tau_m=tau_out, loss=CrossEntropy()), len(self.classes), name="out")
        net.connect(x, rec, AllToAll(), weight=Normal(0.0, self.w_in), rule=rule)
        net.connect(rec, rec, AllToAll(), weight=Normal(0.0, self.w_rec), rule=rule)
        net.connect(rec, out, AllToAll(), weight=Glorot(), rule=rule_out)
        net.feedback(out, rec, self.make_feedback())
        return net

    def make_neuron(self, kind: str | None = None) -> Neuron:
        """The neuron, some of whose constants learn."""
        surrogate = PiecewiseLinear(height=self.surrogate_height, width=self.surrogate_width)
        given: dict[str, Any] = {
            "tau_m": self._constant("tau_m", self.tau_m, self.dt, LONGEST),
            "tau_adapt": self._constant("tau_adapt", self._drawn_taus(), self.dt, LONGEST),
            "v_th": self._constant("v_th", self.v_th, 0.1 * self.v_th, 10.0 * self.v_th),
            "beta": self._constant("beta", self.beta, 0.0, 10.0 * self.v_th),
            "i_e": self._constant("i_e", 0.0, -0.1, 0.1),
        }
        return ALIF(**given, t_ref=self.t_ref, surrogate=surrogate)

    def _drawn_taus(self) -> float | list[float]:
        """First values of ``tau_adapt``."""
        if self.spread == 1.0:
            return self.tau_adapt
        rng = np.random.default_rng([self.seed, self.neurons])
        drawn = self.tau_adapt * self.spread ** rng.uniform(-1.0, 1.0, self.neurons)
        return np.clip(drawn, self.dt, LONGEST).tolist()

    def _constant(self, name: str, start: Any, low: float, high: float, shared: bool = False) -> Any:
        """The constant as a number or list, or one that learns."""
        if name not in LEARNED[self.learn]:
            return start
        return Learned(start, low=low, high=high, eta=self.eta_constants, shared=shared)

    def evidence(self, samples: Samples, y: np.ndarray) -> np.ndarray:
        """Outputs, summed over the go signal."""
        total: np.ndarray = y[:, -self.n_asked :].sum(axis=1)
        return total
