"""MyTask, a task that learns from your own recordings of an event camera, for the command ``eprop train FILE``.

Without data, the example invents some: does a bar move to the left or to the right? The file defines five things: how
recordings are read, parameters, defaults for each rule, the network, and how outputs are scored. Begin with ``MyData.read``; the
file runs at every step:

    eprop train FILE
    eprop train FILE --data recordings/ --epochs 20
    eprop train FILE --set rule=eprop+ --set neurons=50
    eprop evaluate runs/my-task-eprop-1-001
"""

from __future__ import annotations

import math
import pathlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

import eprop as ep
from eprop.data import BinnedDataset, from_iterable
from eprop.engine import Samples
from eprop.parameters import param
from eprop.tasks import ArrayData, ArrayTask, Classification, LearningTask


@dataclass(frozen=True)
class MyData(ArrayData):
    """Your recordings. A fifth becomes the test; return ``Splits(train, validation, test)`` if yours have a test part."""

    def read(self, task: Any) -> BinnedDataset:
        """All recordings, from the folder that ``--data`` names.

        `from_iterable` takes pairs (events, label). Events are rows of x, y, time in microseconds and polarity; a data set of
        Tonic is such an iterable, too.
        """
        recordings = invented(task) if self.data is None else in_folder(pathlib.Path(self.data), task.classes)
        sensor = (task.width, task.height, 2)
        name = self.data or "invented bars"
        return from_iterable(recordings, sensor_size=sensor, n_steps=task.n_steps, dt=task.dt, name=name)


def in_folder(folder: pathlib.Path, classes: tuple[str, ...]) -> Iterator[tuple[np.ndarray, int]]:
    """Recordings in files ``CLASS/*.npy``, one array (events, 4) each."""
    for label, name in enumerate(classes):
        for file in sorted((folder / name).glob("*.npy")):
            yield np.load(file), label


def invented(task: Any, n: int = 200) -> Iterator[tuple[np.ndarray, int]]:
    """Example recordings: a bar crosses the field and switches pixels on, then off."""
    rng = np.random.default_rng(0)
    for k in range(n):
        label = k % 2
        x = np.repeat(np.arange(task.width), 2 * task.height)
        y = np.tile(np.arange(task.height), 2 * task.width)
        p = np.tile(np.repeat([1, 0], task.height), task.width)
        place = x if label else task.width - 1 - x
        duration = 1000 * task.dt * task.n_steps  # us
        t = 0.8 * duration * (place + 1 - p) / task.width + rng.uniform(0.0, 0.1 * duration, x.size)
        seen = rng.random(x.size) < 0.5
        yield np.column_stack([x, y, t.astype(int), p])[seen], label


@dataclass(frozen=True, kw_only=True)
class MyTask(LearningTask, ArrayTask, Classification):
    """An example to replace: two classes of recordings.

    `LearningTask` has rule, learning rates, time constants and regularisation as parameters. `ArrayTask` makes samples from the
    recordings. `Classification` scores by `evidence`.
    """

    # Name in run folders and figures; names of the classes, and of their folders; where the samples come from.
    name: ClassVar[str] = "my-task"
    classes: ClassVar[tuple[str, ...]] = ("left", "right")
    data: ClassVar[Any] = MyData

    # Parameters: default, unit, bounds, meaning. All of them can be set with --set, and are checked.
    width: int = param(10, kind=int, at_least=1, unit="px", doc="columns of the camera")
    height: int = param(8, kind=int, at_least=1, unit="px", doc="rows of the camera")
    neurons: int = param(60, kind=int, at_least=1, doc="recurrent neurons")
    n_steps: int = param(80, kind=int, at_least=2, doc="time steps of a recording")

    @classmethod
    def suited(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Values for the parameters of `LearningTask` that have no default; they may depend on the rule."""
        common = {"tau_m": 20.0, "tau_out": 30.0, "feedback": "symmetric"}
        if given.get("rule", cls.rule) == "eprop+":
            return {**common, "optimizer": "gradient_descent", "eta": 5e-4, "eta_out": 5e-4}
        return {**common, "optimizer": "adam", "eta": 5e-3, "eta_out": 5e-3, "c_reg": 1.0}

    def default_training(self, data: Any) -> dict[str, Any]:
        """Number of epochs, size of a mini-batch, schedule of the learning rates."""
        return {"epochs": 10, "batch_size": 16, "schedule": "linear"}

    @property
    def window(self) -> np.ndarray:
        """Weight of each step in loss and score: the second half counts."""
        return (np.arange(self.n_steps) >= self.n_steps // 2).astype(float)

    def build_network(self) -> ep.Network:
        """The network: a channel of ``in`` for each pixel and polarity; classes to ``out``."""
        net = ep.Network(dt=self.dt, seed=self.seed)
        rule, rule_out = self.make_rule(self.eta), self.make_rule(self.eta_out)
        x = net.add(ep.EventSource(), 2 * self.width * self.height, name="in")
        rec = net.add(self.make_neuron(), self.neurons, name="rec")
        out = net.add(ep.Readout(tau_m=self.tau_out, loss=ep.CrossEntropy()), len(self.classes), name="out")
        net.connect(x, rec, weight=ep.Normal(0.0, 2.0 / math.sqrt(x.size)), rule=rule)
        net.connect(rec, rec, weight=ep.Normal(0.0, 0.5 / math.sqrt(rec.size)), rule=rule)
        net.connect(rec, out, weight=ep.Normal(0.0, 0.2 / math.sqrt(rec.size)), rule=rule_out)
        net.feedback(out, rec, self.make_feedback())
        return net

    def evidence(self, samples: Samples, y: np.ndarray) -> np.ndarray:
        """Evidence for each class, (samples, classes), from the readouts (samples, steps, classes)."""
        shown: np.ndarray = y[:, self.window > 0].sum(axis=1)
        return shown
