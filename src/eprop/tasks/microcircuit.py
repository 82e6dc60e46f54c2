"""Digits in a cortical microcircuit: recordings of an event camera reach layers 4 and 6, readouts hear layers 2/3 and 5.

The network is that of Potjans and Diesmann 2014 (`eprop.networks.microcircuit`). An event of the camera acts as a spike of a
thalamic relay neuron. Relay neurons reach four populations, with the probabilities of the article, but each neuron receives
only the pixels of a square. Synapses from E to E and from the camera to E learn; inhibition, background and delays do not.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Unpack

import numpy as np
from annotated_doc import Doc

from eprop import networks
from eprop.data.nmnist import N_CHANNELS, SIZE
from eprop.errors import ParameterError
from eprop.models import CrossEntropy, EventSource, Readout
from eprop.models.base import steps
from eprop.network import Explicit, Normal, Population, RandomFeedback
from eprop.networks import POPULATIONS, Microcircuit
from eprop.parameters import is_multiple
from eprop.rules import Rule
from eprop.tasks.recordings import Recordings, RecordingSettings
from eprop.tasks.settings import DATA, LEARNING, Chosen, Eta, EtaOut, RuleName, RuleSettings, Seed, TrainingSettings
from eprop.training import Experiment, task

#: Share of a square's pixels that reach a neuron, relative to that in L4E: the probabilities of Potjans and Diesmann 2014.
THALAMIC = {"L4E": 1.0, "L4I": 0.0619 / 0.0983, "L6E": 0.0512 / 0.0983, "L6I": 0.0196 / 0.0983}
EXCITATORY = POPULATIONS[0::2]
N_CLASSES = 10
#: Relative standard deviation of the first weights from the camera.
WEIGHT_SPREAD = 0.3
#: Bound of the weights that learn, in mean weights of E, or from the camera in `CAMERA_UNIT`; the lower bound is 0.
W_MAX = 4.0
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
#: Default settings for each rule; ``eta_out`` at that scale.
SETTINGS: dict[str, dict[str, Any]] = {
    "eprop": {"optimizer": "adam", "eta": 1e-2, "eta_out": 2e-3, "c_reg": 1.0},
    "eprop+": {"optimizer": "gradient_descent", "eta": 3e-3, "eta_out": 2e-4, "c_reg": 200.0},
}


class _AllSettings(TrainingSettings, RuleSettings, RecordingSettings, total=False):
    """Settings of learning and recordings."""


@task
def microcircuit(
    *,
    rule: RuleName = "eprop+",
    scale: Annotated[float, Doc("share of the neurons of 1 mm² of cortex (77,169)"), LEARNING] = 0.1,
    recurrence: Annotated[
        Literal["plastic", "static", "none"],
        Doc(
            "synapses from E to E learn, or keep their weights, or Poisson spikes replace all synapses between neurons"
        ),
        LEARNING,
    ] = "plastic",
    eta: Eta = None,
    eta_out: EtaOut = None,
    seed: Seed = 1,
    dt: Annotated[float, Doc("length of a step, ms"), LEARNING] = 0.5,
    duration: Annotated[float, Doc("length of a sample, ms; recordings have 300 ms"), DATA] = 100.0,
    window_start: float = 20.0,
    k_scale: float | None = None,
    learn_input: bool = True,
    readouts_hear: tuple[Literal["L23E", "L4E", "L5E", "L6E"], ...] | None = None,
    receptive_field: int = 10,
    input_probability: float = 0.5,
    w_in: float = 0.2,
    tau_out: float = 30.0,
    **settings: Unpack[_AllSettings],
) -> Experiment:
    """Digits that an event camera has recorded, read by a cortical microcircuit.

    Parameters
    ----------
    rule, scale, seed
        See ``eprop train microcircuit --help``.
    recurrence : {"plastic", "static", "none"}
        The Poisson spikes of "none" have the mean and variance of what they replace, and readouts hear L4E and L6E.
    eta : float, optional
        Learning rate of weights from E, in mean weights of E, and from the camera, in units of 278 pA.
    eta_out : float, optional
        Learning rate of weights onto the readouts; the default is the smaller the more neurons they hear.
    dt : float
        0.1 as in the article takes twice as long or more, and rates differ by 2 % at most.
    duration, window_start : float
        Length of a sample, and the time from which it counts, ms: the digit needs some time to reach the readouts.
    k_scale : float, optional
        Share of the inputs of a neuron, by default ``scale``; weights grow by its inverse root.
    learn_input : bool
        Whether the synapses from the camera to L4E and L6E learn.
    readouts_hear : sequence of str, optional
        Populations with synapses onto the readouts, by default L23E and L5E.
    receptive_field : int
        Side of the square of pixels that reach a neuron; the squares lie in rows over the field of 34 x 34 pixels.
    input_probability, w_in : float
        Share of the square's pixels that reach a neuron of L4E (of L4I 63 %, L6E 52 %, L6I 20 % of it), and the mean of the
        first weights, in units of 278 pA.
    tau_out : float
        Time constant of the readouts, ms.
    **settings
        Settings of training and rule, see `eprop.tasks.settings`, and of `RecordingSettings`: ``data``, ``samples`` and others.

    Raises
    ------
    ParameterError
        If a value is wrong.

    Examples
    --------
    >>> microcircuit(scale=0.02).network.population("L4E").size
    438
    """
    numbers = Microcircuit(scale, scale if k_scale is None else k_scale)
    window = _window(duration, window_start, dt)
    recordings = Recordings.of(settings, len(window), dt)
    heard = readouts_hear or (("L4E", "L6E") if recurrence == "none" else ("L23E", "L5E"))
    fewer, own = CHOSEN_AT / scale, SETTINGS[rule]
    usual = {
        "feedback": "random", "f_target": 5.0, "cutoff": 40.0, "kappa": math.exp(-dt / 20.0), "epochs": 1, **own,
        "eta_out": fewer * own["eta_out"],
    }  # fmt: skip
    chosen = Chosen(rule, usual, {**settings, "eta": eta, "eta_out": eta_out})
    plastic = recurrence == "plastic"

    net = networks.microcircuit(
        scale, k_scale, rule=_rule_of_cells(chosen, numbers.background_weight) if plastic else None,
        recurrent=recurrence != "none", seed=seed, dt=dt,
    )  # fmt: skip
    camera = net.add(EventSource(), N_CHANNELS, name="in")
    mean, learned = w_in * CAMERA_UNIT, _rule_of_cells(chosen, CAMERA_UNIT)
    weight = Normal(mean, WEIGHT_SPREAD * mean, low=0.0)
    for name, share in THALAMIC.items():
        cells = net.population(name)
        pixels = _pixels(cells, receptive_field, input_probability * share, seed)
        learns = learn_input and name in EXCITATORY
        net.connect(camera, cells, pixels, weight=weight, rule=learned if learns else None)
    out = net.add(Readout(tau_m=tau_out, loss=CrossEntropy()), N_CLASSES, name="out")
    for name in heard:
        net.connect(name, out, weight=Normal(0.0, math.sqrt(fewer) * W_OUT), rule=chosen.rule(chosen["eta_out"]))
    for name in EXCITATORY:
        if plastic or (learn_input and name in THALAMIC):
            # Feedback cannot follow the weights of cells that no readout hears: there are none.
            kind = chosen.feedback() if name in heard else RandomFeedback(Normal(0.0, chosen["w_feedback"]))
            net.feedback(out, name, kind)
    return Experiment(net, recordings, window=window, classes="0123456789", **chosen.training)


def _window(duration: float, start: float, dt: float) -> np.ndarray:
    """Weight of each step, shape ``(n_steps,)``: ``dt`` from ``start`` on, so that the loss is per ms; before it 0."""
    if not dt > 0.0:
        raise ParameterError(f"microcircuit.dt must be > 0 ms, got {dt:g}")
    for name, value in (("duration", duration), ("window_start", start)):
        if not is_multiple(value, dt):
            raise ParameterError(f"microcircuit.{name} must be a multiple of dt = {dt:g} ms, got {value:g}")
    if not 0.0 <= start < duration:
        raise ParameterError(
            f"microcircuit.window_start must be >= 0 and before the end of the sample, {duration:g} ms, got {start:g}"
        )
    before = steps(start, dt)
    return np.repeat([0.0, dt], [before, steps(duration, dt) - before])


def _rule_of_cells(chosen: Chosen, unit: float) -> Rule:
    """The rule of weights in pA, with learning rate and bounds in a unit, pA."""
    rule: Any = chosen.rule(chosen["eta"])
    scale = unit**2 if chosen["optimizer"] in ("gradient_descent", "momentum") else unit
    optimizer = rule.optimizer.replace(eta=chosen["eta"] * scale, w_min=0.0, w_max=W_MAX * unit)
    bounded: Rule = rule.replace(optimizer=optimizer)
    return bounded


# ------------------------------------------------------------------------------------------------------- receptive fields


def _pixels(cells: Population, size: int, probability: float, seed: int) -> Explicit:
    """Connections from random pixels of each neuron's square, of both polarities."""
    if not 1 <= size <= SIZE:
        raise ParameterError(f"microcircuit.receptive_field must be 1 to {SIZE} pixels, got {size}")
    pixels = in_squares(corners(cells.size, SIZE, size), SIZE, size)
    sources = np.concatenate([pixels, pixels + SIZE**2], axis=1)
    rng = np.random.default_rng([seed, _PIXELS, cells.index])
    targets, which = np.nonzero(rng.random(sources.shape) < probability)
    return Explicit(sources=sources[targets, which], targets=targets)


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
