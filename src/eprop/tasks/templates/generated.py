"""MyTask, a task of your own, for the command ``eprop train FILE``.

The example task is: which of two groups of inputs fires at the higher rate? The file defines five things: parameters,
defaults for each rule, how a sample is drawn, the network, and how outputs are scored. Change them one after the other,
and this text; the file runs at every step:

    eprop train FILE
    eprop train FILE --epochs 5 --seed 2 --seeds 3
    eprop train FILE --set rule=eprop+ --set neurons=50
    eprop evaluate runs/my-task-eprop-1-001
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

import eprop as ep
from eprop.engine import Samples
from eprop.parameters import param
from eprop.tasks import Classification, GeneratedTask, LearningTask, Sample


@dataclass(frozen=True, kw_only=True)
class MyTask(LearningTask, GeneratedTask, Classification):
    """An example to replace: two classes; the class is the group of inputs with the higher rate.

    `LearningTask` has rule, learning rates, time constants and regularisation as parameters. `GeneratedTask` makes samples
    from `draw_sample`. `Classification` scores by `evidence`; the base for readouts that follow a curve is `Regression`,
    which needs no `evidence`.
    """

    # Name in run folders and figures; names of the classes.
    name: ClassVar[str] = "my-task"
    classes: ClassVar[tuple[str, ...]] = ("first", "second")

    # Parameters: default, unit, bounds, meaning. All of them can be set with --set, and are checked.
    neurons: int = param(30, kind=int, at_least=1, doc="recurrent neurons")
    group: int = param(10, kind=int, at_least=1, doc="inputs of each of the two groups")
    n_steps: int = param(100, kind=int, at_least=2, doc="time steps of a sample")
    loud: float = param(80.0, unit="Hz", at_least=0.0, doc="rate of an input of the louder group")
    soft: float = param(40.0, unit="Hz", at_least=0.0, doc="rate of an input of the other group")

    @classmethod
    def suited(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Values for the parameters of `LearningTask` that have no default; they may depend on the rule."""
        common = {"tau_m": 20.0, "tau_out": 30.0, "feedback": "symmetric"}
        if given.get("rule", cls.rule) == "eprop+":
            return {**common, "optimizer": "gradient_descent", "eta": 1e-4, "eta_out": 1e-4}
        return {**common, "optimizer": "adam", "eta": 5e-3, "eta_out": 5e-3, "c_reg": 1.0}

    def default_data(self) -> dict[str, Any]:
        """Number of samples of an epoch and of the test; every epoch draws new samples."""
        return {"samples": 320, "test_samples": 200}

    def default_training(self, data: Any) -> dict[str, Any]:
        """Number of epochs, size of a mini-batch, schedule of the learning rates."""
        return {"epochs": 3, "batch_size": 16, "schedule": "linear"}

    def draw_sample(self, rng: np.random.Generator) -> Sample:
        """Spikes (n_steps, inputs) and the target: a class, or an array (n_steps, readouts) for a `Regression`."""
        label = int(rng.integers(2))
        rate = np.full((2, self.group), self.soft)
        rate[label] = self.loud
        chance = rate.ravel() * self.dt / 1000.0
        return Sample(rng.random((self.n_steps, chance.size)) < chance, label)

    @property
    def window(self) -> np.ndarray:
        """Weight of each step in loss and score: the second half counts."""
        return (np.arange(self.n_steps) >= self.n_steps // 2).astype(float)

    def build_network(self) -> ep.Network:
        """The network: inputs go to ``in``, a class to the only readouts, the target of a `Regression` to those named ``out``."""
        net = ep.Network(dt=self.dt, seed=self.seed)
        rule, rule_out = self.make_rule(self.eta), self.make_rule(self.eta_out)
        x = net.add(ep.EventSource(), 2 * self.group, name="in")
        rec = net.add(self.make_neuron(), self.neurons, name="rec")
        out = net.add(ep.Readout(tau_m=self.tau_out, loss=ep.CrossEntropy()), len(self.classes), name="out")
        net.connect(x, rec, weight=ep.Normal(0.0, 1.0 / math.sqrt(x.size)), rule=rule)
        net.connect(rec, rec, weight=ep.Normal(0.0, 0.5 / math.sqrt(rec.size)), rule=rule)
        net.connect(rec, out, weight=ep.Normal(0.0, 0.2 / math.sqrt(rec.size)), rule=rule_out)
        net.feedback(out, rec, self.make_feedback())
        return net

    def evidence(self, samples: Samples, y: np.ndarray) -> np.ndarray:
        """Evidence for each class, (samples, classes), from the readouts (samples, steps, classes)."""
        shown: np.ndarray = y[:, self.window > 0].sum(axis=1)
        return shown
