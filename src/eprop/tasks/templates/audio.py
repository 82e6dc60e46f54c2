"""MyTask, a task that learns from your own recordings of sound, for the command ``eprop train FILE``.

Without data, the example invents some: synthetic words of several voices. The file defines five things: how recordings are read,
parameters, defaults for each rule, the network, and how outputs are scored. Begin with ``MyData.read``; the file runs at every
step:

    eprop train FILE
    eprop train FILE --data recordings/ --epochs 20
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
from eprop.data import BinnedDataset
from eprop.data.audio import Cochlea, SyntheticWords, read_sounds
from eprop.engine import Samples
from eprop.parameters import param
from eprop.tasks import ArrayData, ArrayTask, Classification, LearningTask


@dataclass(frozen=True)
class MyData(ArrayData):
    """Your recordings. A fifth becomes the test; return ``Splits(train, validation, test)`` if yours have a test part."""

    def read(self, task: Any) -> BinnedDataset:
        """All recordings, from the folder or archive of WAV files that ``--data`` names, as spikes of a cochlea.

        `read_sounds` finds labels in the names, ``LABEL_SPEAKER_NUMBER.wav``, or takes the names of the folders.
        """
        if self.data is None:
            sounds: Any = SyntheticWords(300)
        else:
            sounds = read_sounds(self.data, classes=task.classes)
        return task.make_ear().binned(sounds, sounds.labels, seed=self.seed, n_steps=task.n_steps, dt=task.dt)


@dataclass(frozen=True, kw_only=True)
class MyTask(LearningTask, ArrayTask, Classification):
    """An example to replace: ten spoken words.

    `LearningTask` has rule, learning rates, time constants and regularisation as parameters. `ArrayTask` makes samples from the
    recordings. `Classification` scores by `evidence`.
    """

    # Name in run folders and figures; names of the classes, which are the labels of the recordings; where they come from.
    name: ClassVar[str] = "my-task"
    classes: ClassVar[tuple[str, ...]] = SyntheticWords.classes
    data: ClassVar[Any] = MyData

    # Parameters: default, unit, bounds, meaning. All of them can be set with --set, and are checked.
    dt: float = param(5.0, unit="ms", above=0.0, doc="length of a step of the network")
    places: int = param(20, kind=int, at_least=1, doc="places of the cochlea; each has two channels")
    neurons: int = param(60, kind=int, at_least=1, doc="recurrent neurons")
    n_steps: int = param(80, kind=int, at_least=2, doc="time steps of a recording; later sound is dropped")

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
        """Weight of each step in loss and score: the first quarter does not count."""
        return (np.arange(self.n_steps) >= self.n_steps // 4).astype(float)

    def make_ear(self) -> Cochlea:
        """The cochlea."""
        return Cochlea(places=self.places)

    def build_network(self) -> ep.Network:
        """The network: channels of the cochlea to ``in``, classes to ``out``."""
        net = ep.Network(dt=self.dt, seed=self.seed)
        rule, rule_out = self.make_rule(self.eta), self.make_rule(self.eta_out)
        x = net.add(ep.EventSource(), self.make_ear().n_channels, name="in")
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
