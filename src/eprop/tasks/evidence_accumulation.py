"""Evidence accumulation: decide, a second after the last cue, which side had more cues.

Seven cues on the left or right, a pause, then a decision (Bellec et al. 2020, figure 3; see `eprop.tasks.cues`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from eprop.engine import Samples
from eprop.models import CrossEntropy, EventSource, Readout
from eprop.network import AllToAll, Bernoulli, Glorot, Network, Normal
from eprop.parameters import inherited
from eprop.tasks.base import Classification
from eprop.tasks.cues import CueTask
from eprop.tasks.generated import GeneratedTask, Sample
from eprop.tasks.recurrent import FewBitsTask, LearningTask

#: Default values of parameters that are None, for each rule.
SETTINGS: dict[str, dict[str, Any]] = {
    "eprop": {
        "tau_m": 20.0, "tau_out": 20.0, "optimizer": "adam", "eta": 5e-3, "eta_out": 5e-3, "feedback": "symmetric",
        "c_reg": 300.0,
    },
    "eprop+": {
        # Errors come in the recall only, regularisation acts at all times: it must be weak.
        "tau_m": 20.0, "tau_out": 20.0, "optimizer": "gradient_descent", "eta": 2.5e-5, "eta_out": 5e-3,
        "feedback": "symmetric", "c_reg": 1.0, "kappa": 0.97,
    },
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class EvidenceAccumulation(CueTask, FewBitsTask, LearningTask, GeneratedTask, Classification):
    """The task and its network. Parameters that are None take the values of `SETTINGS` for the rule."""

    average_gradient: bool = inherited(LearningTask, "average_gradient", True)
    cutoff: float = inherited(LearningTask, "cutoff", 2500.0)

    name: ClassVar[str] = "evidence-accumulation"
    classes: ClassVar[tuple[str, ...]] = ("left", "right")

    @classmethod
    def suited(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Default values for the rule in ``given``."""
        return dict(SETTINGS.get(given.get("rule", cls.rule), {}))

    def default_training(self, data: Any) -> dict[str, Any]:
        """200 epochs of 320 samples are 2000 mini-batches of 32."""
        return {"epochs": 200, "batch_size": 32, "schedule": "cosine", "eta_final": 0.05}

    @property
    def n_recall(self) -> int:
        """Steps of the recall, at the end."""
        return self.recall_length(self.dt)

    @property
    def n_steps(self) -> int:
        """Steps of a sample."""
        return self.sample_length(self.dt)

    @property
    def window(self) -> np.ndarray:
        """1 during the recall, else 0; shape ``(n_steps,)``."""
        return np.repeat([0.0, 1.0], [self.n_steps - self.n_recall, self.n_recall])

    def draw_sample(self, rng: np.random.Generator) -> Sample:
        """Cues, mostly on the side that is then the answer, background noise and the recall signal."""
        cues, answer = self.draw_cues(rng)
        chance = np.repeat(self.rates(cues, self.dt) * self.dt / 1000.0, self.group, axis=1)
        return Sample(rng.random(chance.shape) < chance, answer)

    def build_network(self) -> Network:
        """Populations ``in``, ``lif`` and ``alif`` (if not empty) and ``out``; all projections are plastic."""
        net = Network(dt=self.dt, seed=self.seed)
        rule, rule_out = self.make_rule(self.eta), self.make_rule(self.eta_out)
        x = net.add(EventSource(), 4 * self.group, name="in")
        hidden = self.add_neurons(net)
        out = net.add(Readout(tau_m=self.tau_out, scale_input=True, loss=CrossEntropy()), 2, name="out")
        p = self.connectivity
        who = AllToAll() if p == 1.0 else Bernoulli(p)
        w_in, w_rec = self.w_in / math.sqrt(p * x.size), self.w_rec / math.sqrt(p * self.neurons)
        for post in hidden:
            net.connect(x, post, who, weight=Normal(0.0, w_in), rule=rule, precision=self.few_bits)
            for pre in hidden:
                net.connect(pre, post, who, weight=Normal(0.0, w_rec), rule=rule, precision=self.few_bits)
            net.connect(post, out, AllToAll(), weight=Glorot(), rule=rule_out, precision=self.few_bits)
            net.feedback(out, post, self.make_feedback())
        return net

    def evidence(self, samples: Samples, y: np.ndarray) -> np.ndarray:
        """Softmax of the readouts, summed over the recall."""
        shown = y[:, -self.n_recall :]
        shown = np.exp(shown - shown.max(axis=2, keepdims=True))
        total: np.ndarray = (shown / shown.sum(axis=2, keepdims=True)).sum(axis=1)
        return total
