"""N-MNIST: classify digits that an event camera has recorded, with one recurrent layer of LIF or ALIF neurons and ten readouts.

N-MNIST: Orchard, Jayawant, Cohen and Thakor 2015, doi 10.3389/fnins.2015.00437. The network has 150 neurons and 10 % of the
recurrent connections, as in Korcsak-Gorzo et al. 2025. It has a quarter of the input connections, as in NEST's example; the paper
has all input connections (`examples/nmnist_authors.py`).
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Unpack

import numpy as np
from annotated_doc import Doc

from eprop.data.nmnist import N_CHANNELS, SIZE
from eprop.errors import ParameterError
from eprop.models import CrossEntropy, EventSource, PoissonSource, Readout, SquaredError
from eprop.network import AllToAll, Balanced, Bernoulli, FixedIndegree, Network, Normal, Rewiring
from eprop.parameters import check_count
from eprop.tasks.recordings import Recordings, RecordingSettings
from eprop.tasks.settings import LEARNING, Chosen, Eta, EtaOut, RuleName, Seed, Settings, few_bits
from eprop.training import Experiment, task

N_CLASSES = 10
#: Epochs over the embedded digits, and over data given by the user.
EPOCHS_EMBEDDED, EPOCHS = 8, 1
#: First step of the learning window of samples that are longer.
WINDOW_START = 100

#: Default settings for each rule and loss.
SETTINGS: dict[tuple[str, str], dict[str, Any]] = {
    ("eprop", "softmax"): {
        "tau_m": 20.0, "tau_out": 100.0, "optimizer": "adam", "eta": 6e-3, "eta_out": 6e-3, "c_reg": 20.0,
    },
    ("eprop", "squared_error"): {
        "tau_m": 20.0, "tau_out": 50.0, "optimizer": "adam", "eta": 2e-3, "eta_out": 2e-3, "c_reg": 100.0,
    },
    ("eprop+", "softmax"): {
        "tau_m": 15.0, "tau_out": 100.0, "optimizer": "gradient_descent", "eta": 4e-4, "eta_out": 1e-4, "c_reg": 10.0,
        "kappa": 0.98,
    },
    ("eprop+", "squared_error"): {
        "tau_m": 15.0, "tau_out": 100.0, "optimizer": "gradient_descent", "eta": 1.5e-3, "eta_out": 1e-4, "c_reg": 2.0,
        "kappa": 0.98,
    },
}  # fmt: skip


class _AllSettings(Settings, RecordingSettings, total=False):
    """Settings of learning, neurons and recordings."""


@task
def nmnist(
    *,
    rule: RuleName = "eprop",
    loss: Annotated[
        Literal["softmax", "squared_error"], Doc("softmax (cross-entropy) or squared_error"), LEARNING
    ] = "softmax",
    neurons: Annotated[int, Doc("recurrent neurons"), LEARNING] = 150,
    neuron: Annotated[Literal["lif", "alif"], Doc("lif, or alif with an adaptive threshold"), LEARNING] = "lif",
    chip: Annotated[bool, Doc("8 bits, signs, and few synapses that move to where they help"), LEARNING] = False,
    eta: Eta = None,
    eta_out: EtaOut = None,
    seed: Seed = 1,
    bits: int | None = None,
    rounding: Literal["stochastic", "nearest"] = "stochastic",
    signs: bool = False,
    rewiring: Literal["gradient", "random"] | None = None,
    rewiring_every: int | None = None,
    rewiring_fraction: float = 0.3,
    input_probability: float | None = None,
    recurrent_fraction: float = 0.1,
    w_in: float | None = None,
    w_out: float = 0.5,
    bias: bool = False,
    n_steps: int = 300,
    window_start: int | None = None,
    dt: float = 1.0,
    **settings: Unpack[_AllSettings],
) -> Experiment:
    """Digits that an event camera has recorded: real recordings of N-MNIST, or digits that a simulated camera has seen.

    Parameters
    ----------
    rule, loss, neurons, neuron, eta, eta_out, seed
        See ``eprop train nmnist --help``; `SETTINGS` has the defaults for each rule and loss.
    chip : bool
        Changes the defaults to 8 bits, signs, rewiring by gradient, and 2 % of the input connections.
    bits, rounding : int, {"stochastic", "nearest"}
        Of all weights but biases, see `eprop.FixedPoint`; without bits, they have single or double precision.
    signs : bool
        Four fifths of the neurons excite, the others inhibit; each input synapse keeps its sign.
    rewiring : {"gradient", "random"}, optional
        How synapses of input and recurrence move, see `eprop.Rewiring`.
    rewiring_every : int, optional
        Mini-batches, of eprop+ samples, between two rewirings, by default 25 and 100.
    rewiring_fraction : float
        Share of its synapses that a neuron moves at first.
    input_probability, recurrent_fraction : float
        Probability of an input connection, and recurrent in-degree as a fraction of the neurons.
    w_in, w_out : float
        Standard deviation of the first weights of inputs, and of readouts times the root of the neurons, mV.
    bias : bool
        Gives each readout a trained bias: a source that spikes at every step.
    n_steps, window_start : int
        Steps of a sample, and the first one that counts, by default 100 (0 of samples that are not longer).
    dt : float
        Length of a step, ms.
    **settings
        Settings of `eprop.tasks.settings.Settings`, and of `RecordingSettings`: ``data``, ``mnist``, ``samples`` and others.

    Raises
    ------
    ParameterError
        If a value is wrong.

    Examples
    --------
    >>> ep.fit(nmnist(neurons=300, samples=500), folder="runs/digits")
    """
    check_count("nmnist.neurons", neurons)
    recordings = Recordings.of(settings, n_steps, dt)
    if window_start is None:
        window_start = WINDOW_START if n_steps > WINDOW_START else 0
    if not 0 <= window_start < n_steps:
        raise ParameterError(f"nmnist.window_start must be >= 0 and < n_steps = {n_steps}, got {window_start}")
    epochs = EPOCHS_EMBEDDED if recordings.embedded else EPOCHS
    chosen = Chosen(rule, {**SETTINGS[rule, loss], "epochs": epochs}, {**settings, "eta": eta, "eta_out": eta_out})
    if chip:
        bits, signs, rewiring = 8 if bits is None else bits, True, rewiring or "gradient"
    if input_probability is None:
        input_probability = 0.02 if chip else 0.25
    if w_in is None:
        w_in = 0.177 if chip else 0.05
    if rewiring_every is None:
        rewiring_every = 25 if rule == "eprop" else 100
    every = rewiring_every * (1.0 if rule == "eprop" else n_steps * dt)
    moves = None if rewiring is None else Rewiring(every=round(every), fraction=rewiring_fraction, grow=rewiring)
    few = few_bits(bits, rounding)

    net = Network(dt=dt, seed=seed)
    x = net.add(EventSource(), N_CHANNELS, name="in")
    rec = net.add(chosen.neuron(neuron), neurons, name="rec", excitatory=0.8 if signs else None)
    readout = Readout(tau_m=chosen["tau_out"], loss=CrossEntropy() if loss == "softmax" else SquaredError())
    out = net.add(readout, N_CLASSES, name="out")
    degree = min(round(recurrent_fraction * neurons), neurons - 1)  # there are no autapses
    drawn = Normal(0.0, 1.0 / math.sqrt(max(degree, 1)))
    sign_in, sign_rec, w_rec = ("fixed", "source", Balanced(drawn)) if signs else (None, None, drawn)
    plastic: Any = {"rule": chosen.rule(chosen["eta"]), "rewiring": moves, "precision": few}
    rule_out = chosen.rule(chosen["eta_out"])
    net.connect(x, rec, Bernoulli(input_probability), weight=Normal(0.0, w_in), sign=sign_in, **plastic)
    net.connect(rec, rec, FixedIndegree(degree), weight=w_rec, sign=sign_rec, **plastic)
    net.connect(rec, out, AllToAll(), weight=Normal(0.0, w_out / math.sqrt(neurons)), rule=rule_out, precision=few)
    if bias:
        always = net.add(PoissonSource(rate=1000.0 / dt), 1, name="bias")
        net.connect(always, out, AllToAll(), weight=0.0, rule=rule_out)
    net.feedback(out, rec, chosen.feedback())
    return Experiment(
        net, recordings, window=(np.arange(n_steps) >= window_start).astype(float), classes="0123456789",
        images={"in": (SIZE, SIZE)}, **chosen.training,
    )  # fmt: skip
