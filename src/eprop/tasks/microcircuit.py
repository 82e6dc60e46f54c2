"""Digits in a cortical microcircuit: recordings of an event camera reach layers 4 and 6, readouts hear layers 2/3 and 5.

The network is that of Potjans and Diesmann 2014 (`eprop.networks.microcircuit`). An event of the camera acts as a spike of a
thalamic relay neuron. Relay neurons reach four populations, with the probabilities of the article, but each neuron receives
only the pixels of a square. Synapses from E to E and from the camera to E learn; inhibition, background and delays do not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from eprop.data.binned import BinnedDataset
from eprop.engine import Samples
from eprop.errors import ParameterError
from eprop.models import CrossEntropy, EventSource, Readout
from eprop.models.base import steps
from eprop.network import Adaptive, Explicit, Feedback, Network, Normal, Population, RandomFeedback, Symmetric
from eprop.networks import POPULATIONS, Microcircuit, microcircuit
from eprop.parameters import inherited, param
from eprop.rules import Rule
from eprop.tasks.base import Classification, check_choice
from eprop.tasks.nmnist import N_CHANNELS, N_CLASSES, SIDE, samples_of, summed
from eprop.tasks.recordings import Recordings
from eprop.tasks.recurrent import RULES, RuleTask

#: Share of a square's pixels that reach a neuron, relative to that in L4E: the probabilities of Potjans and Diesmann 2014.
THALAMIC = {"L4E": 1.0, "L4I": 0.0619 / 0.0983, "L6E": 0.0512 / 0.0983, "L6I": 0.0196 / 0.0983}
EXCITATORY = POPULATIONS[0::2]
RECURRENCE = ("plastic", "static", "none")
#: Relative standard deviation of the first weights from the camera.
WEIGHT_SPREAD = 0.3
# Neurons per row of squares, divided by the number of rows. Long rows give long runs of neighbouring targets, which the engine
# processes as one contiguous range.
ASPECT = 6.0
#: Stream of random numbers for the pixels of the neurons, combined with the seed of the task.
_PIXELS = 2

#: Scale at which the settings were chosen. A neuron has the same pixels at each scale, while its other inputs are more and
#: weaker; readouts hear more neurons.
CHOSEN_AT = 0.1
#: Mean weight of E at that scale, pA: the unit of weights from the camera.
CAMERA_UNIT = Microcircuit(CHOSEN_AT, CHOSEN_AT).background_weight
#: Standard deviation of the first weights onto the readouts at that scale, mV.
W_OUT = 0.02
#: Default values of parameters that are None, for each rule; ``eta_out`` at that scale.
SETTINGS: dict[str, dict[str, Any]] = {
    "eprop": {"optimizer": "adam", "eta": 1e-2, "eta_out": 2e-3, "feedback": "random", "c_reg": 1.0},
    "eprop+": {"optimizer": "gradient_descent", "eta": 3e-3, "eta_out": 2e-4, "feedback": "random", "c_reg": 200.0},
}


@dataclass(frozen=True, kw_only=True)
class MicrocircuitDigits(RuleTask, Classification):
    """A cortical microcircuit learns digits that an event camera has recorded.

    Parameters that are None take the values of `SETTINGS` for the rule.

    Examples
    --------
    >>> MicrocircuitDigits(scale=0.02).build_network().population("L4E").size
    438
    """

    scale: float = param(0.1, above=0.0, at_most=1.0, doc="share of the neurons of 1 mm² of cortex (77,169)", main=True)
    k_scale: float = param(
        None, above=0.0, at_most=1.0, optional=True,
        doc="share of the inputs of a neuron; weights grow by its inverse root; by default the same as scale", main=True,
    )  # fmt: skip
    recurrence: str = param(
        "plastic", kind=str,
        doc="plastic: synapses from E to E learn; static: they keep their weights; none: Poisson spikes of the same mean and "
        "variance replace all synapses between neurons, and readouts hear L4E and L6E", main=True,
    )  # fmt: skip
    learn_input: bool = param(
        True, kind=bool, doc="whether the synapses from the camera to L4E and L6E learn", main=True
    )
    rule: str = inherited(RuleTask, "rule", "eprop+")
    dt: float = param(
        0.5, unit="ms", above=0.0,
        doc="length of a step; 0.1 as in the article takes twice as long or more, and rates differ by 2 % at most",
    )  # fmt: skip
    duration: float = param(
        100.0, unit="ms", above=0.0, in_steps=True, doc="length of a sample; recordings have 300 ms"
    )
    window_start: float = param(
        20.0, unit="ms", at_least=0.0, in_steps=True,
        doc="begin of the learning window, which ends with the sample: the digit needs some time to reach the readouts",
    )  # fmt: skip
    readouts_hear: str = param(
        None, kind=str, optional=True, doc="populations with synapses onto the readouts, by default L23E,L5E"
    )
    tau_out: float = param(30.0, unit="ms", above=0.0, doc="time constant of the readouts")

    receptive_field: int = param(
        10, kind=int, at_least=1, at_most=SIDE, unit="px",
        doc="side of the square of pixels that reach a neuron; the squares lie in rows over the field of 34 x 34 pixels",
    )  # fmt: skip
    input_probability: float = param(
        0.5, at_least=0.0, at_most=1.0,
        doc="share of the square's pixels that reach a neuron of L4E; of L4I 63 %, L6E 52 %, L6I 20 % of it",
    )  # fmt: skip
    w_in: float = param(0.2, at_least=0.0, doc="mean of the first weights from the camera, in units of 278 pA")
    w_max: float = param(
        4.0,
        above=0.0,
        doc="bound of the weights that learn, in mean weights of E, or from the camera in units of 278 pA; the lower bound is 0",
    )
    w_out: float = param(
        None, unit="mV", at_least=0.0, optional=True,
        doc="sd of the first weights onto the readouts; by default 0.02 mV at scale 0.1, by the inverse root of the scale",
    )  # fmt: skip
    eta: float = inherited(
        RuleTask,
        "eta",
        None,
        doc="learning rate of weights from E, in mean weights of E, and from the camera, in units of 278 pA",
    )
    eta_out: float = inherited(
        RuleTask, "eta_out", None, optional=True,
        doc="learning rate of weights onto the readouts; the default is the smaller the more neurons they hear",
    )  # fmt: skip
    f_target: float = inherited(RuleTask, "f_target", 5.0)
    cutoff: float = inherited(RuleTask, "cutoff", 40.0, in_steps=True)
    kappa: float = inherited(
        RuleTask, "kappa", None, optional=True,
        doc="eprop+: filter of the eligibility traces, per step; by default a time constant of 20 ms",
    )  # fmt: skip

    name: ClassVar[str] = "microcircuit"
    classes: ClassVar[tuple[str, ...]] = tuple("0123456789")
    data: ClassVar[Any] = Recordings
    observed: ClassVar[tuple[str, ...]] = POPULATIONS

    def validate(self) -> None:
        """Check names, sizes and window; replace None by the values of `suited`."""
        super().validate()
        label = type(self).__name__
        for name in self.heard:
            check_choice(f"{label}.readouts_hear", name, EXCITATORY)
        if not self.window_start < self.duration:
            raise ParameterError(
                f"{label}.window_start must be before the end of the sample, {self.duration:g} ms, got {self.window_start:g}"
            )
        self.numbers.sizes  # noqa: B018 - raises if a population has no neurons

    @classmethod
    def choices(cls) -> Mapping[str, tuple[str, ...]]:
        """Allowed values of parameters that are names."""
        return {"rule": RULES, "recurrence": RECURRENCE}

    @classmethod
    def suited(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Default values for the rule, recurrence, scale and step in ``given``."""
        dt, scale = given.get("dt", cls.dt), given.get("scale", cls.scale)
        settings = SETTINGS.get(given.get("rule", cls.rule), {})
        fewer = CHOSEN_AT / scale if isinstance(scale, (int, float)) and scale > 0 else 1.0
        return {
            **settings,
            "eta_out": fewer * settings.get("eta_out", 0.0),
            "w_out": math.sqrt(fewer) * W_OUT,
            "k_scale": scale,
            "readouts_hear": "L4E,L6E" if given.get("recurrence") == "none" else "L23E,L5E",
            "kappa": math.exp(-dt / 20.0) if isinstance(dt, (int, float)) and dt > 0 else None,
        }

    def unused_reason(self, name: str) -> str | None:
        """See `Task.unused_reason`."""
        cells_learn = self.learn_input or self.recurrence == "plastic"
        if name in ("eta", "w_max", "c_reg", "f_target", "feedback", "w_feedback") and not cells_learn:
            return "only the readouts learn"
        if name == "f_target" and self.c_reg == 0.0:
            return "c_reg is 0"
        if name == "w_feedback" and self.feedback == "symmetric" and set(EXCITATORY) <= set(self.heard):
            return "feedback is symmetric"
        return super().unused_reason(name)

    def default_training(self, data: Any) -> dict[str, Any]:
        """Few epochs: a sample takes as long as thousands of small networks."""
        return {"epochs": 1}

    @property
    def numbers(self) -> Microcircuit:
        """Sizes and weights of the network."""
        return Microcircuit(self.scale, self.k_scale)

    @property
    def heard(self) -> tuple[str, ...]:
        """Populations with synapses onto the readouts."""
        return tuple(part.strip() for part in self.readouts_hear.split(","))

    @property
    def n_steps(self) -> int:
        """Steps of a sample."""
        return steps(self.duration, self.dt)

    @property
    def window(self) -> np.ndarray:
        """Weight of each step, shape ``(n_steps,)``: ``dt`` in the learning window, so that the loss is per ms; else 0."""
        return np.repeat(
            [0.0, self.dt], [steps(self.window_start, self.dt), self.n_steps - steps(self.window_start, self.dt)]
        )

    def build_network(self) -> Network:
        """The eight populations, the camera ``in`` and the readouts ``out``."""
        rule = self._rule_of_cells(self.numbers.background_weight)
        plastic = self.recurrence == "plastic"
        net = microcircuit(
            self.scale, self.k_scale, rule=rule if plastic else None, recurrent=self.recurrence != "none",
            seed=self.seed, dt=self.dt,
        )  # fmt: skip
        camera = net.add(EventSource(), N_CHANNELS, name="in")
        for name in THALAMIC:
            self._connect_camera(net, camera, net.population(name), self._rule_of_cells(CAMERA_UNIT))
        out = net.add(Readout(tau_m=self.tau_out, loss=CrossEntropy()), N_CLASSES, name="out")
        for name in self.heard:
            net.connect(name, out, weight=Normal(0.0, self.w_out), rule=self.make_rule(self.eta_out))
        for name in EXCITATORY:
            if plastic or (self.learn_input and name in THALAMIC):
                net.feedback(out, name, self._feedback_to(name))
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
        """Softmax of the readouts, summed over the learning window."""
        return summed(y[:, steps(self.window_start, self.dt) :], softmax=True)

    def _connect_camera(self, net: Network, camera: Population, cells: Population, rule: Rule) -> None:
        """Connect random pixels of each neuron's square, of both polarities."""
        size, mean = self.receptive_field, self.w_in * CAMERA_UNIT
        pixels = in_squares(corners(cells.size, SIDE, size), SIDE, size)
        sources = np.concatenate([pixels, pixels + SIDE**2], axis=1)
        rng = np.random.default_rng([self.seed, _PIXELS, cells.index])
        targets, which = np.nonzero(rng.random(sources.shape) < self.input_probability * THALAMIC[cells.name])
        learns = self.learn_input and cells.name in EXCITATORY
        net.connect(
            camera, cells, Explicit(sources=sources[targets, which], targets=targets),
            weight=Normal(mean, WEIGHT_SPREAD * mean, low=0.0), rule=rule if learns else None,
        )  # fmt: skip

    def _rule_of_cells(self, unit: float) -> Rule:
        """The rule of weights in pA, with learning rate and bounds in a unit, pA."""
        rule: Any = self.make_rule(self.eta)
        scale = unit**2 if self.optimizer in ("gradient_descent", "momentum") else unit
        bounded = rule.optimizer.replace(eta=self.eta * scale, w_min=0.0, w_max=self.w_max * unit)
        return rule.replace(optimizer=bounded)

    def _feedback_to(self, name: str) -> Feedback:
        """The kind of feedback; populations without synapses onto the readouts have random weights."""
        if self.feedback == "symmetric" and name in self.heard:
            return Symmetric()
        return (Adaptive if self.feedback == "adaptive" else RandomFeedback)(Normal(0.0, self.w_feedback))


# ------------------------------------------------------------------------------------------------------- receptive fields


def corners(n: int, side: int, size: int) -> np.ndarray:
    """Upper left corners of the squares of ``n`` neurons, spread evenly: row after row, and from left to right in each.

    Parameters
    ----------
    n : int
        Neurons.
    side, size : int
        Places along each side of the field, and of a square.

    Returns
    -------
    (n, 2) int64
        y and x.
    """
    rows = max(1, min(n, round(math.sqrt(n / ASPECT))))
    row = np.arange(n) * rows // n
    first = np.searchsorted(row, np.arange(rows))
    length = np.diff(np.append(first, n))[row]
    y, x = (_spread(at, count, side - size) for at, count in ((row, rows), (np.arange(n) - first[row], length)))
    return np.stack([y, x], axis=1)


def _spread(at: np.ndarray, count: int | np.ndarray, most: int) -> np.ndarray:
    """Position of place ``at`` of ``count`` places between 0 and ``most``; the middle for a single place."""
    alone = np.asarray(count) == 1
    share = np.where(alone, 0.5, at / np.maximum(np.asarray(count) - 1, 1))
    return np.rint(share * most).astype(np.int64)


def in_squares(at: np.ndarray, side: int, size: int) -> np.ndarray:
    """Indices of the places in squares with corners ``at`` (n, 2), row by row, shape ``(n, size * size)``."""
    y, x = np.moveaxis(at[:, :, None] + np.arange(size), 1, 0)
    places: np.ndarray = (side * y[:, :, None] + x[:, None, :]).reshape(len(at), -1)
    return places
