"""N-MNIST: classify digits that an event camera has recorded, with one recurrent layer of LIF or ALIF neurons and ten readouts.

N-MNIST: Orchard, Jayawant, Cohen and Thakor 2015, doi 10.3389/fnins.2015.00437. The network has 150 neurons and 10 % of the
recurrent connections, as in Korcsak-Gorzo et al. 2025. It has a quarter of the input connections, as in NEST's example; the paper
has all input connections (`examples/nmnist_authors.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from eprop.data.binned import BinnedDataset
from eprop.engine import Samples, make_samples
from eprop.errors import InputError, ParameterError
from eprop.models import CrossEntropy, EventSource, PoissonSource, Readout, SquaredError
from eprop.network import (
    AllToAll,
    Balanced,
    Bernoulli,
    FixedIndegree,
    Network,
    Normal,
    Rewiring,
)
from eprop.network.rewiring import GROW
from eprop.parameters import param
from eprop.tasks.base import Classification
from eprop.tasks.recordings import Recordings
from eprop.tasks.recurrent import LOSSES, NEURONS, RULES, FewBitsTask, LearningTask

#: Pixels along each side of the field of the camera.
SIDE = 34
#: Channels of a recording: two polarities of all pixels.
N_CHANNELS = 2 * SIDE**2
N_CLASSES = 10
#: Epochs over the embedded digits, and over data given by the user.
EPOCHS_EMBEDDED, EPOCHS = 8, 1

#: Default values of parameters that are None, for each rule and loss.
SETTINGS: dict[tuple[str, str], dict[str, Any]] = {
    ("eprop", "softmax"): {
        "tau_m": 20.0, "tau_out": 100.0, "w_in": 0.05, "optimizer": "adam", "eta": 6e-3, "eta_out": 6e-3,
        "feedback": "symmetric", "c_reg": 20.0, "window_start": 100,
    },
    ("eprop", "squared_error"): {
        "tau_m": 20.0, "tau_out": 50.0, "w_in": 0.05, "optimizer": "adam", "eta": 2e-3, "eta_out": 2e-3,
        "feedback": "symmetric", "c_reg": 100.0, "window_start": 100,
    },
    ("eprop+", "softmax"): {
        "tau_m": 15.0, "tau_out": 100.0, "w_in": 0.05, "optimizer": "gradient_descent", "eta": 4e-4, "eta_out": 1e-4,
        "feedback": "symmetric", "c_reg": 10.0, "window_start": 100, "kappa": 0.98,
    },
    ("eprop+", "squared_error"): {
        "tau_m": 15.0, "tau_out": 100.0, "w_in": 0.05, "optimizer": "gradient_descent", "eta": 1.5e-3, "eta_out": 1e-4,
        "feedback": "symmetric", "c_reg": 2.0, "window_start": 100, "kappa": 0.98,
    },
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class NMNIST(FewBitsTask, LearningTask, Classification):
    """The N-MNIST task and its network. Parameters that are None take the values of `SETTINGS` for the rule and loss.

    Examples
    --------
    >>> NMNIST(rule="eprop+", neurons=300).eta
    0.0004
    """

    loss: str = param("softmax", kind=str, doc="softmax (cross-entropy) or squared_error", main=True)
    neurons: int = param(150, kind=int, at_least=1, doc="recurrent neurons", main=True)
    neuron: str = param("lif", kind=str, doc="lif, or alif with an adaptive threshold", main=True)

    input_probability: float = param(0.25, at_least=0.0, at_most=1.0, doc="probability of an input connection")
    recurrent_fraction: float = param(
        0.1, at_least=0.0, at_most=1.0, doc="recurrent in-degree, as a fraction of the neurons"
    )
    rewiring: str = param(
        "none", kind=str, main=True,
        doc="none, or where synapses of input and recurrence move to: gradient (of absent connections) or random",
    )  # fmt: skip
    rewiring_every: int = param(
        None, kind=int, at_least=1, optional=True,
        doc="mini-batches between two rewirings; with eprop+ samples",
    )  # fmt: skip
    rewiring_fraction: float = param(
        0.3, above=0.0, at_most=1.0, doc="share of its synapses that a neuron moves at first; it falls to 0"
    )
    signs: bool = param(
        False, kind=bool, main=True,
        doc="four fifths of the neurons excite, the others inhibit; each input synapse keeps its sign",
    )  # fmt: skip
    n_steps: int = param(300, kind=int, at_least=1, doc="time steps of a sample")
    window_start: int = param(None, kind=int, at_least=0, optional=True, doc="first step of the learning window")
    window_stop: int = param(None, kind=int, at_least=1, optional=True, doc="step after the last one of the window")

    w_in: float = param(None, unit="mV", at_least=0.0, optional=True, doc="sd of the initial input weights")
    w_rec: float = param(1.0, unit="mV", at_least=0.0, doc="sd of the recurrent weights times sqrt(in-degree)")
    w_out: float = param(0.5, unit="mV", at_least=0.0, doc="sd of the readout weights times sqrt(neurons)")
    bias: bool = param(False, kind=bool, doc="give each readout a trained bias: a source that spikes at every step")

    name: ClassVar[str] = "nmnist"
    classes: ClassVar[tuple[str, ...]] = tuple("0123456789")
    data: ClassVar[Any] = Recordings
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "chip": {"bits": 8, "signs": True, "input_probability": 0.02, "w_in": 0.177, "rewiring": "gradient"}
    }

    def validate(self) -> None:
        """Check names and window; replace None by the values of `suited`."""
        super().validate()
        if not self.window_start < self.window_stop <= self.n_steps:
            raise ParameterError(
                f"NMNIST.window_start and window_stop must satisfy 0 <= start < stop <= n_steps = {self.n_steps}, "
                f"got {self.window_start} and {self.window_stop}"
            )

    @classmethod
    def choices(cls) -> Mapping[str, tuple[str, ...]]:
        """Allowed values of parameters that are names."""
        return {"rule": RULES, "loss": LOSSES, "neuron": NEURONS, "rewiring": ("none", *GROW)}

    def unused_reason(self, name: str) -> str | None:
        """See `Task.unused_reason`."""
        if name in ("rewiring_every", "rewiring_fraction") and self.rewiring == "none":
            return "rewiring is none"
        return super().unused_reason(name)

    def default_training(self, data: Any) -> dict[str, Any]:
        """More epochs for the embedded digits, which are few."""
        return {"epochs": EPOCHS_EMBEDDED if data.embedded else EPOCHS}

    @classmethod
    def suited(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Default values for the rule, loss and number of steps in ``given``."""
        rule, n_steps = given.get("rule", cls.rule), given.get("n_steps", cls.n_steps)
        settings = SETTINGS.get((rule, given.get("loss", cls.loss)), {})
        every = 25 if rule == "eprop" else 100
        out = {"rewiring_every": every, **settings, "window_stop": n_steps}
        if isinstance(n_steps, int) and n_steps <= out.get("window_start", 0):
            out["window_start"] = 0
        return out

    @property
    def window(self) -> np.ndarray:
        """Weight of each step in loss and score, shape ``(n_steps,)``: 1 within the learning window, else 0."""
        out = np.zeros(self.n_steps)
        out[self.window_start : self.window_stop] = 1.0
        return out

    @property
    def recurrent_degree(self) -> int:
        """Recurrent in-degree of each neuron; there are no autapses."""
        return min(round(self.recurrent_fraction * self.neurons), self.neurons - 1)

    def build_network(self) -> Network:
        """Populations ``in``, ``rec``, ``out`` (and ``bias``); all projections are plastic."""
        net = Network(dt=self.dt, seed=self.seed)
        rule, rule_out = self.make_rule(self.eta), self.make_rule(self.eta_out)
        x = net.add(EventSource(), N_CHANNELS, name="in")
        excitatory, sign_in, sign_rec = (0.8, "fixed", "source") if self.signs else (None, None, None)
        rec = net.add(self.make_neuron(self.neuron), self.neurons, name="rec", excitatory=excitatory)
        out = net.add(self._readout(), N_CLASSES, name="out")
        degree = self.recurrent_degree
        normal = Normal(0.0, self.w_rec / math.sqrt(max(degree, 1)))
        w_rec = Balanced(normal) if self.signs else normal
        w_out, few, moves = Normal(0.0, self.w_out / math.sqrt(self.neurons)), self.few_bits, self._rewiring()
        plastic: Any = {"rule": rule, "rewiring": moves, "precision": few}
        net.connect(x, rec, Bernoulli(self.input_probability), weight=Normal(0.0, self.w_in), sign=sign_in, **plastic)
        net.connect(rec, rec, FixedIndegree(degree), weight=w_rec, sign=sign_rec, **plastic)
        net.connect(rec, out, AllToAll(), weight=w_out, rule=rule_out, precision=few)
        if self.bias:
            always = net.add(PoissonSource(rate=1000.0 / self.dt), 1, name="bias")
            net.connect(always, out, AllToAll(), weight=0.0, rule=rule_out)
        net.feedback(out, rec, self.make_feedback())
        return net

    def make_samples(self, network: Network, dataset: BinnedDataset) -> Samples:
        """Make samples from recordings.

        Raises
        ------
        InputError
            If the recordings have other channels, steps or labels than the task.
        """
        return samples_of(network, dataset, self.window, self.dt)

    def evidence(self, samples: Samples, y: np.ndarray) -> np.ndarray:
        """Readouts, or their softmax, summed over the learning window."""
        return summed(y[:, self.window_start : self.window_stop], softmax=self.loss == "softmax")

    def image_of(self, population: str) -> tuple[int, int] | None:
        """See `Task.image_of`."""
        return (SIDE, SIDE) if population == "in" else None

    def _rewiring(self) -> Rewiring | None:
        if self.rewiring == "none":
            return None
        every = self.rewiring_every * (1.0 if self.rule == "eprop" else self.n_steps * self.dt)
        return Rewiring(every=round(every), fraction=self.rewiring_fraction, grow=self.rewiring)  # type: ignore[arg-type]

    def _readout(self) -> Readout:
        return Readout(tau_m=self.tau_out, loss=CrossEntropy() if self.loss == "softmax" else SquaredError())


def samples_of(network: Network, dataset: BinnedDataset, window: np.ndarray, dt: float) -> Samples:
    """Samples from recordings, with a weight for each step (n_steps,); raise `InputError` if they have others, or channels."""
    n_steps = len(window)
    if (dataset.n_channels, dataset.n_steps, dataset.dt) != (N_CHANNELS, n_steps, dt):
        raise InputError(
            f"the task takes recordings with {N_CHANNELS} channels and {n_steps} steps of {dt:g} ms, got {dataset!r}"
        )
    inputs = {"in": (dataset.ptr, dataset.channels)}
    return make_samples(network, len(dataset), n_steps, inputs, labels=dataset.labels, window=window)


def summed(y: np.ndarray, *, softmax: bool) -> np.ndarray:
    """Readouts ``(n, steps, classes)`` or their softmax, summed over the steps."""
    # Classes on the first axis make the sums over classes fast. Single precision does not change a prediction.
    shown = np.ascontiguousarray(np.moveaxis(y, 2, 0), np.float32)
    if softmax:
        shown = np.exp(shown - shown.max(axis=0))
        shown /= shown.sum(axis=0)
    return shown.sum(axis=2).T
