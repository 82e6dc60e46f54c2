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
from eprop.models import CrossEntropy, EventSource, Readout, SquaredError
from eprop.network import Balanced, Bernoulli, FixedIndegree, Network, Normal, Rewiring
from eprop.parameters import check_count
from eprop.tasks import settings as shared
from eprop.tasks.recordings import Recordings, RecordingSettings
from eprop.training import Experiment, task

#: Default settings for each rule and loss.
PLUS = {"tau_m": 15.0, "tau_out": 100.0, "optimizer": "gradient_descent", "kappa": 0.98}
SETTINGS: dict[tuple[str, str], dict[str, Any]] = {
    ("eprop", "softmax"): {"tau_out": 100.0, "optimizer": "adam", "eta": 6e-3, "eta_out": 6e-3, "c_reg": 20.0},
    ("eprop", "squared_error"): {"tau_out": 50.0, "optimizer": "adam", "eta": 2e-3, "eta_out": 2e-3, "c_reg": 100.0},
    ("eprop+", "softmax"): {**PLUS, "eta": 4e-4, "eta_out": 1e-4, "c_reg": 10.0},
    ("eprop+", "squared_error"): {**PLUS, "eta": 1.5e-3, "eta_out": 1e-4, "c_reg": 2.0},
}


class _AllSettings(shared.Settings, RecordingSettings, total=False):
    """Settings of learning, neurons and recordings."""


@task
def nmnist(
    *,
    rule: shared.RuleName = "eprop",
    loss: Annotated[
        Literal["softmax", "squared_error"], Doc("softmax (cross-entropy) or squared_error"), shared.LEARNING
    ] = "softmax",
    neurons: shared.Neurons = 150,
    neuron: Annotated[
        Literal["lif", "alif", "delta"] | None,
        Doc(
            "lif, alif with an adaptive threshold, or delta with a reset to a voltage; by default lif, delta for a chip"
        ),
        shared.LEARNING,
    ] = None,
    chip: Annotated[
        bool, Doc("delta neurons, 8 bits, signs, and few synapses that move to where they help"), shared.LEARNING
    ] = False,
    seed: shared.Seed = 1,
    bits: int | None = None,
    rounding: shared.Rounding = "stochastic",
    rewiring: Literal["gradient", "random"] | None = None,
    rewiring_every: int | None = None,
    input_probability: float | None = None,
    w_in: float | None = None,
    w_out: float = 0.5,
    n_steps: int = 300,
    dt: float = 1.0,
    **settings: Unpack[_AllSettings],
) -> Experiment:
    """Digits that an event camera has recorded: real recordings of N-MNIST, or digits that a simulated camera has seen.

    Parameters
    ----------
    rule, loss, neurons, neuron, seed
        See ``eprop train nmnist --help``; `SETTINGS` has the defaults for each rule and loss.
    chip : bool
        Four fifths of the neurons excite, the others inhibit; each input synapse keeps its sign. By default neurons reset to a
        voltage, as `eprop.interop.nir.to_nir` needs, the weights have 8 bits, synapses move by gradient, and there are 2 % of
        the input connections.
    bits, rounding : int, {"stochastic", "nearest"}
        Of all weights, see `eprop.FixedPoint`; without bits, they have single or double precision.
    rewiring : {"gradient", "random"}, optional
        How synapses of input and recurrence move, see `eprop.Rewiring`.
    rewiring_every : int, optional
        Mini-batches, of eprop+ samples, between two rewirings, by default 25 and 100.
    input_probability : float, optional
        Probability of an input connection, by default 0.25.
    w_in, w_out : float
        Standard deviation of the first weights of inputs, and of readouts times the root of the neurons, mV.
    n_steps, dt : int, float
        Steps of a sample, and their length, ms; the first 100 steps of longer samples do not count.
    **settings
        Settings of `eprop.tasks.settings.Settings`, and of `RecordingSettings`: ``data``, ``mnist``, ``samples`` and others.

    Examples
    --------
    >>> ep.fit(nmnist(neurons=300, samples=500), folder="runs/digits")
    """
    check_count("nmnist.neurons", neurons)
    recordings = Recordings.of(settings, n_steps=n_steps, dt=dt)
    # The embedded digits are few.
    chosen = shared.Chosen(rule, {**SETTINGS[rule, loss], "epochs": 8 if recordings.embedded else 1}, settings)
    if chip:
        bits, rewiring = bits or 8, rewiring or "gradient"
    p_in, sd_in = (0.02, 0.177) if chip else (0.25, 0.05)
    often, unit = (25, 1.0) if rule == "eprop" else (100, n_steps * dt)  # in mini-batches, or ms
    every = round((often if rewiring_every is None else rewiring_every) * unit)
    moves = None if rewiring is None else Rewiring(every=every, grow=rewiring)

    net = Network(dt=dt, seed=seed)
    x = net.add(EventSource(), N_CHANNELS, name="in")
    rec = net.add(
        chosen.neuron(neuron or ("delta" if chip else "lif")), neurons, name="rec", excitatory=0.8 if chip else None
    )
    readout = Readout(tau_m=chosen["tau_out"], loss=CrossEntropy() if loss == "softmax" else SquaredError())
    out = net.add(readout, 10, name="out")
    degree = min(round(0.1 * neurons), neurons - 1)  # there are no autapses
    drawn = Normal(0.0, 1.0 / math.sqrt(max(degree, 1)))
    sign_in, sign_rec, w_rec = ("fixed", "source", Balanced(drawn)) if chip else (None, None, drawn)
    plastic: Any = {"rule": chosen.rule("eta"), "rewiring": moves}
    who, first = Bernoulli(p_in if input_probability is None else input_probability), sd_in if w_in is None else w_in
    net.connect(x, rec, who, weight=Normal(0.0, first), sign=sign_in, **plastic)
    net.connect(rec, rec, FixedIndegree(degree), weight=w_rec, sign=sign_rec, **plastic)
    net.connect(rec, out, weight=Normal(0.0, w_out / math.sqrt(neurons)), rule=chosen.rule("eta_out"))
    net.feedback(out, rec, chosen.feedback())
    window = (np.arange(n_steps) >= (100 if n_steps > 100 else 0)).astype(float)
    return Experiment(
        shared.with_bits(net, bits, rounding), recordings, window=window, classes="0123456789", images={"in": (SIZE, SIZE)},
        **chosen.training,
    )  # fmt: skip
