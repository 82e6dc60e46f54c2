"""Digits in a cortical microcircuit: recordings of an event camera reach layers 4 and 6, readouts hear layers 2/3 and 5.

The network is that of Potjans and Diesmann 2014 (`eprop.networks.microcircuit`). An event of the camera acts as a spike of a
thalamic relay neuron, but each neuron receives only the pixels of a square. Synapses from E to E and from the camera to E learn.
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
from eprop.network import Normal, RandomFeedback
from eprop.networks import POPULATIONS, Microcircuit
from eprop.rules import Rule
from eprop.tasks.receptive_fields import pixels_of
from eprop.tasks.recordings import Recordings, RecordingSettings
from eprop.tasks.settings import DATA, LEARNING, Chosen, RuleName, RuleSettings, Seed, TrainingSettings
from eprop.training import Experiment, task

EXCITATORY = POPULATIONS[0::2]
#: Share of the pixels of a square of 10 x 10 that reach a neuron: half in L4E, and as the probabilities of the article elsewhere.
THALAMIC = {"L4E": 0.5, "L4I": 0.5 * 0.0619 / 0.0983, "L6E": 0.5 * 0.0512 / 0.0983, "L6I": 0.5 * 0.0196 / 0.0983}
#: Side of the square, pixels, and the stream of random numbers for the pixels of the neurons.
SQUARE, _PIXELS = 10, 2
#: Scale at which the settings were chosen. A neuron has the same pixels at each scale, while its other inputs are more and
#: weaker; readouts hear more neurons.
CHOSEN_AT = 0.1
#: Mean weight of E at that scale, pA: the unit of weights from the camera, at first 0.2 on average.
CAMERA_UNIT = Microcircuit(CHOSEN_AT, CHOSEN_AT).background_weight
W_IN = Normal(0.2 * CAMERA_UNIT, 0.3 * (0.2 * CAMERA_UNIT), low=0.0)
#: Default settings for each rule; ``eta_out`` at that scale.
COMMON: dict[str, Any] = {"feedback": "random", "f_target": 5.0, "cutoff": 40.0, "epochs": 1}
SETTINGS: dict[str, dict[str, Any]] = {
    "eprop": {**COMMON, "optimizer": "adam", "eta": 1e-2, "eta_out": 2e-3, "c_reg": 1.0},
    "eprop+": {**COMMON, "optimizer": "gradient_descent", "eta": 3e-3, "eta_out": 2e-4, "c_reg": 200.0},
}


class _AllSettings(RuleSettings, TrainingSettings, RecordingSettings, total=False): ...


@task
def microcircuit(
    *,
    rule: RuleName = "eprop+",
    scale: Annotated[float, Doc("share of the neurons of 1 mm² of cortex (77,169)"), LEARNING] = 0.1,
    recurrence: Annotated[
        Literal["plastic", "static", "none"],
        Doc("synapses from E to E learn, or keep their weights, or Poisson spikes replace all between neurons"),
        LEARNING,
    ] = "plastic",
    seed: Seed = 1,
    dt: Annotated[float, Doc("length of a step, ms"), LEARNING] = 0.5,
    duration: Annotated[float, Doc("length of a sample, ms; recordings have 300 ms"), DATA] = 100.0,
    window_start: float = 20.0,
    **settings: Unpack[_AllSettings],
) -> Experiment:
    """Digits that an event camera has recorded, read by a cortical microcircuit.

    Parameters
    ----------
    rule, scale, seed, recurrence
        See ``eprop train microcircuit --help``. The Poisson spikes of "none" have the mean and variance of what they replace.
    dt : float
        0.1 as in the article takes twice as long or more, and rates differ by 2 % at most.
    duration, window_start : float
        Length of a sample, and the time from which it counts, ms: the digit needs time to reach the readouts.
    **settings
        Settings of training and rule, see `eprop.tasks.settings`, and of `RecordingSettings`: ``data``, ``samples`` and others.
        ``eta`` is in mean weights of E; the default of ``eta_out`` is the smaller the more neurons the readouts hear.

    Examples
    --------
    >>> microcircuit(scale=0.02).network.population("L4E").size
    438
    """
    if not 0.0 <= window_start < duration or not dt > 0.0:
        raise ParameterError(
            f"microcircuit: window_start = {window_start:g} ms must be >= 0 and before the end of the sample, duration = "
            f"{duration:g} ms; and dt > 0, got {dt:g}"
        )
    # The loss is per ms.
    window = np.repeat([0.0, dt], [round(window_start / dt), round(duration / dt) - round(window_start / dt)])
    numbers = Microcircuit(scale, scale)
    recordings = Recordings.of(settings, n_steps=len(window), dt=dt)
    heard = ("L4E", "L6E") if recurrence == "none" else ("L23E", "L5E")
    fewer, usual, plastic = CHOSEN_AT / scale, SETTINGS[rule], recurrence == "plastic"
    chosen = Chosen(rule, {**usual, "eta_out": fewer * usual["eta_out"], "kappa": math.exp(-dt / 20.0)}, settings)

    net = networks.microcircuit(
        scale, rule=_rule_of_cells(chosen, numbers.background_weight) if plastic else None, recurrent=recurrence != "none",
        seed=seed, dt=dt,
    )  # fmt: skip
    camera, learned = net.add(EventSource(), N_CHANNELS, name="in"), _rule_of_cells(chosen, CAMERA_UNIT)
    for name, share in THALAMIC.items():
        cells = net.population(name)
        pixels = pixels_of(cells, SIZE, SQUARE, share, [seed, _PIXELS, cells.index])
        net.connect(camera, cells, pixels, weight=W_IN, rule=learned if name in EXCITATORY else None)
    out = net.add(Readout(tau_m=30.0, loss=CrossEntropy()), 10, name="out")
    for name in heard:
        net.connect(name, out, weight=Normal(0.0, math.sqrt(fewer) * 0.02), rule=chosen.rule("eta_out"))
    for name in EXCITATORY:
        if plastic or name in THALAMIC:
            # Feedback cannot follow the weights of cells that no readout hears: there are none.
            net.feedback(out, name, chosen.feedback() if name in heard else RandomFeedback(Normal(0.0, 1.0)))
    return Experiment(net, recordings, window=window, classes="0123456789", **chosen.training)


def _rule_of_cells(chosen: Chosen, unit: float) -> Rule:
    """The rule of weights in pA, of 0 to 4 units; the learning rate is in units, too."""
    rule: Any = chosen.rule("eta")
    scale = unit**2 if chosen["optimizer"] in ("gradient_descent", "momentum") else unit
    return rule.replace(optimizer=rule.optimizer.replace(eta=chosen["eta"] * scale, w_min=0.0, w_max=4.0 * unit))
