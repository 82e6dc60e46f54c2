"""Evidence accumulation: on which side were more cues? Asked a second after the last one.

The task of Bellec et al. 2020 (Nat. Commun. 11:3625, figure 3), after Morcos and Harvey 2016 (doi 10.1038/nn.4403): seven cues
on the left or right, a pause, then a decision. Time constants and rates are those of NEST's tutorial of the same name.
The memory is in the thresholds of neurons with adaptation, half of the network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from eprop.engine import Samples
from eprop.errors import ParameterError
from eprop.models import CrossEntropy, EventSource, Readout
from eprop.network import AllToAll, Bernoulli, Glorot, Network, Normal
from eprop.parameters import param
from eprop.tasks.base import Classification
from eprop.tasks.generated import GeneratedTask, Trial
from eprop.tasks.learner import Learner

#: Inputs come in four groups: cues of the two sides, recall, background.
LEFT, RIGHT, RECALL, BACKGROUND = range(4)

#: What suits each rule: the values of all parameters that are left open.
SETTINGS: dict[str, dict[str, Any]] = {
    "eprop": {
        "tau_m": 20.0, "tau_out": 20.0, "optimizer": "adam", "eta": 5e-3, "eta_out": 5e-3, "feedback": "symmetric",
        "c_reg": 300.0,
    },
    "eprop+": {
        # Errors come in the recall only, regularisation acts at all times: it must be weak.
        "tau_m": 20.0, "tau_out": 20.0, "optimizer": "gradient_descent", "eta": 2.5e-5, "eta_out": 5e-3,
        "feedback": "symmetric", "c_reg": 1.0,
    },
}  # fmt: skip

#: ``1.7 (1 - exp(-1 / 2000)) / (1 - exp(-1 / 20))``, as in the code of Bellec et al.
BETA = 1.7 * (1.0 - math.exp(-1.0 / 2000.0)) / (1.0 - math.exp(-1.0 / 20.0))


@dataclass(frozen=True, kw_only=True)
class EvidenceAccumulation(Learner, GeneratedTask, Classification):
    """The task and its network. What is left open is taken from `SETTINGS` for the rule."""

    cues: int = param(7, kind=int, at_least=1, doc="cues of a trial; an odd number has a majority")
    cue: float = param(100.0, unit="ms", above=0.0, doc="length of a cue")
    gap: float = param(50.0, unit="ms", at_least=0.0, doc="pause after each cue")
    delay: float = param(1050.0, unit="ms", at_least=0.0, doc="pause between the cues and the recall")
    recall: float = param(150.0, unit="ms", above=0.0, doc="length of the recall, the learning window")
    bias: float = param(0.3, at_least=0.0, at_most=0.5, doc="probability of a cue on the other side")
    group: int = param(10, kind=int, at_least=1, doc="inputs of a group: left, right, recall, background")
    cue_rate: float = param(40.0, unit="Hz", at_least=0.0, doc="rate of an input during its cue, and during the recall")
    background_rate: float = param(10.0, unit="Hz", at_least=0.0, doc="rate of a background input, at all times")

    lif: int = param(50, kind=int, at_least=0, doc="neurons without adaptation")
    alif: int = param(50, kind=int, at_least=0, doc="neurons with adaptation")
    v_th: float = param(0.6, unit="mV", above=0.0, doc="threshold")
    t_ref: float = param(5.0, unit="ms", at_least=0.0, doc="refractory time")
    beta: float = param(BETA, unit="mV", at_least=0.0, doc="alif: what a spike adds to the threshold")
    tau_adapt: float = param(2000.0, unit="ms", above=0.0, doc="alif: time constant of the threshold")
    surrogate_height: float = param(
        0.3 / 0.6, above=0.0, doc="height of the piecewise linear surrogate gradient, in 1/mV"
    )
    surrogate_width: float = param(0.6, unit="mV", above=0.0, doc="its half width")
    average_gradient: bool = param(True, kind=bool, doc="eprop: divide the gradient by the length of the window")
    cutoff: float = param(
        2500.0, unit="ms", above=0.0, doc="eprop+: longest interval between spikes that is integrated"
    )

    connectivity: float = param(1.0, above=0.0, at_most=1.0, doc="probability of an input or recurrent connection")
    w_in: float = param(1.0, unit="mV", at_least=0.0, doc="sd of the input weights times sqrt(connected inputs)")
    w_rec: float = param(1.0, unit="mV", at_least=0.0, doc="sd of the recurrent weights times sqrt(connected neurons)")

    name: ClassVar[str] = "evidence-accumulation"
    classes: ClassVar[tuple[str, ...]] = ("left", "right")

    def validate(self) -> None:
        """An odd number of cues, some neurons; fill in what was left open."""
        super().validate()
        if self.cues % 2 == 0:
            raise ParameterError(f"EvidenceAccumulation.cues must be odd, or there may be no majority; got {self.cues}")
        if self.neurons == 0:
            raise ParameterError("EvidenceAccumulation.lif and alif must not both be 0")

    @classmethod
    def suited(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Values of the open parameters that suit the rule in ``given``."""
        return dict(SETTINGS.get(given.get("rule", cls.rule), {}))

    def default_training(self, data: Any) -> dict[str, Any]:
        """200 epochs of 320 trials are 2000 mini-batches of 32."""
        return {"epochs": 200, "batch_size": 32, "schedule": "cosine", "eta_final": 0.05}

    @property
    def neurons(self) -> int:
        """Recurrent neurons of both kinds."""
        return self.lif + self.alif

    @property
    def n_recall(self) -> int:
        """Steps of the recall, at the end."""
        return max(round(self.recall / self.dt), 1)

    @property
    def n_steps(self) -> int:
        """Steps of a trial."""
        return round((self.cues * (self.cue + self.gap) + self.delay) / self.dt) + self.n_recall

    @property
    def window(self) -> np.ndarray:
        """1 during the recall, else 0; shape ``(n_steps,)``."""
        return np.repeat([0.0, 1.0], [self.n_steps - self.n_recall, self.n_recall])

    @property
    def silent_loss(self) -> float:
        """``log(2)`` for each step of the recall."""
        return math.log(2.0) * self.n_recall

    def draw_trial(self, rng: np.random.Generator) -> Trial:
        """Cues, mostly on the side that is then the answer, background noise and the recall signal."""
        side = int(rng.integers(2))
        cues = np.where(rng.random(self.cues) < self.bias, 1 - side, side)
        rate = np.zeros((self.n_steps, 4))
        for number, where in enumerate(cues):
            first = number * (self.cue + self.gap) / self.dt
            rate[round(first) : round(first + self.cue / self.dt), LEFT + where] = self.cue_rate
        rate[-self.n_recall :, RECALL] = self.cue_rate
        rate[:, BACKGROUND] = self.background_rate
        chance = np.repeat(rate * self.dt / 1000.0, self.group, axis=1)
        # What counts is which side had more cues, not which one was meant to.
        return Trial(rng.random(chance.shape) < chance, int(2 * cues.sum() > self.cues))

    def neuron_kinds(self) -> tuple[str, ...]:
        """See `Learner.neuron_kinds`."""
        return ("lif", "alif") if self.alif else ("lif",)

    def build_network(self) -> Network:
        """Populations ``in``, ``lif`` and ``alif`` (those that have neurons) and ``out``; everything learns."""
        net = Network(dt=self.dt, seed=self.seed)
        rule, rule_out = self.make_rule(self.eta), self.make_rule(self.eta_out)
        x = net.add(EventSource(), 4 * self.group, name="in")
        sizes = {"lif": self.lif, "alif": self.alif}
        hidden = [net.add(self.make_neuron(kind), size, name=kind) for kind, size in sizes.items() if size]
        out = net.add(Readout(tau_m=self.tau_out, scale_input=True, loss=CrossEntropy()), 2, name="out")
        p = self.connectivity
        who = AllToAll() if p == 1.0 else Bernoulli(p)
        w_in, w_rec = self.w_in / math.sqrt(p * x.size), self.w_rec / math.sqrt(p * self.neurons)
        for post in hidden:
            net.connect(x, post, who, weight=Normal(0.0, w_in), rule=rule)
            for pre in hidden:
                net.connect(pre, post, who, weight=Normal(0.0, w_rec), rule=rule)
            net.connect(post, out, AllToAll(), weight=Glorot(), rule=rule_out)
            net.feedback(out, post, self.make_feedback())
        return net

    def evidence(self, samples: Samples, y: np.ndarray) -> np.ndarray:
        """Softmax of the readouts, summed over the recall."""
        shown = y[:, -self.n_recall :]
        shown = np.exp(shown - shown.max(axis=2, keepdims=True))
        total: np.ndarray = (shown / shown.sum(axis=2, keepdims=True)).sum(axis=1)
        return total
