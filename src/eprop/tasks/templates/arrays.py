"""MyTask, a task that learns from your own arrays, for the command ``eprop train FILE``.

Without data, the example invents some: which of three sequences of inputs is active? The file defines five things: how
data are read, parameters, defaults for each rule, the network, and how outputs are scored. Begin with ``MyData.read``; the file
runs at every step:

    eprop train FILE
    eprop train FILE --data my_data.npz --epochs 20
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
from eprop.data import BinnedDataset, from_arrays
from eprop.engine import Samples
from eprop.parameters import param
from eprop.tasks import ArrayData, ArrayTask, Classification, LearningTask


@dataclass(frozen=True)
class MyData(ArrayData):
    """Your data: a fifth becomes the test; return ``Splits(train, validation, test)`` if yours have a test part."""

    def read(self, task: Any) -> BinnedDataset:
        """All samples, from the file that ``--data`` names.

        `from_arrays` takes an array (samples, steps, channels), a list of (times in ms, channels), or a generator of these. For a
        regression, give ``targets=`` in place of labels.
        """
        if self.data is None:
            events, labels = invented(task)
        else:  # written by np.savez("my_data.npz", events=events, labels=labels)
            with np.load(self.data) as file:
                events, labels = file["events"], file["labels"]
        return from_arrays(events, labels, dt=task.dt, n_channels=task.inputs, name=self.data or "invented sequences")


def invented(task: Any, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Example samples: each class activates the inputs in its own order, with jitter and noise."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % len(task.classes)
    orders = np.stack([rng.permutation(task.inputs) for _ in task.classes])
    events = rng.random((n, 100, task.inputs)) < 0.005
    when = 5 + orders[labels] * 90 // task.inputs + rng.integers(-3, 4, (n, task.inputs))
    events[np.arange(n)[:, None], when, np.arange(task.inputs)] = True
    return events, labels


@dataclass(frozen=True, kw_only=True)
class MyTask(LearningTask, ArrayTask, Classification):
    """An example to replace: three classes of spikes.

    `LearningTask` has rule, learning rates, time constants and regularisation as parameters. `ArrayTask` makes samples from the
    data. `Classification` scores by `evidence`; the base for readouts that follow targets is `Regression`, which needs no
    `evidence`.
    """

    # Name in run folders and figures; names of the classes; where the samples come from.
    name: ClassVar[str] = "my-task"
    classes: ClassVar[tuple[str, ...]] = ("first", "second", "third")
    data: ClassVar[Any] = MyData

    # Parameters: default, unit, bounds, meaning. All of them can be set with --set, and are checked.
    inputs: int = param(20, kind=int, at_least=1, doc="channels of the data")
    neurons: int = param(60, kind=int, at_least=1, doc="recurrent neurons")

    @classmethod
    def suited(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Values for the parameters of `LearningTask` that have no default; they may depend on the rule."""
        common = {"tau_m": 20.0, "tau_out": 30.0, "feedback": "symmetric"}
        if given.get("rule", cls.rule) == "eprop+":
            return {**common, "optimizer": "gradient_descent", "eta": 5e-4, "eta_out": 5e-4}
        return {**common, "optimizer": "adam", "eta": 5e-3, "eta_out": 5e-3, "c_reg": 1.0}

    def default_training(self, data: Any) -> dict[str, Any]:
        """Number of epochs, size of a mini-batch, schedule of the learning rates."""
        return {"epochs": 15, "batch_size": 16, "schedule": "linear"}

    def build_network(self) -> ep.Network:
        """The network: the data go to ``in``, classes or targets to ``out``."""
        net = ep.Network(dt=self.dt, seed=self.seed)
        rule, rule_out = self.make_rule(self.eta), self.make_rule(self.eta_out)
        x = net.add(ep.EventSource(), self.inputs, name="in")
        rec = net.add(self.make_neuron(), self.neurons, name="rec")
        out = net.add(ep.Readout(tau_m=self.tau_out, loss=ep.CrossEntropy()), len(self.classes), name="out")
        net.connect(x, rec, weight=ep.Normal(0.0, 2.0 / math.sqrt(x.size)), rule=rule)
        net.connect(rec, rec, weight=ep.Normal(0.0, 0.5 / math.sqrt(rec.size)), rule=rule)
        net.connect(rec, out, weight=ep.Normal(0.0, 0.2 / math.sqrt(rec.size)), rule=rule_out)
        net.feedback(out, rec, self.make_feedback())
        return net

    def evidence(self, samples: Samples, y: np.ndarray) -> np.ndarray:
        """Evidence for each class, (samples, classes), from the readouts (samples, steps, classes)."""
        shown: np.ndarray = y.sum(axis=1)
        return shown
