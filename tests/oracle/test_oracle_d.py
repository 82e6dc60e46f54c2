"""Without recurrence, e-prop is backpropagation through time (Bellec et al. 2020); with it, see `tests/property`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import eprop as ep
from compare import assert_close
from eprop.checks import time_driven
from eprop.reference import Stimulus, TimeDriven, backpropagate
from networks import dense_network

N_IN, N, N_OUT, STEPS = 6, 9, 3, 80
EXACT = 1e-12

SHAPE = {"height": 0.5, "width": 0.6}
LIF = ep.LIF(tau_m=15.0, v_th=0.6, delayed_reset=True, surrogate=ep.PiecewiseLinear(**SHAPE))
MIXED = ep.ALIF(
    tau_m=15.0, v_th=0.6, delayed_reset=True, beta=np.where(np.arange(N) < N // 2, 0.0, 0.4), tau_adapt=60.0, t_ref=3.0,
    surrogate=ep.Exponential(**SHAPE),
)  # fmt: skip
TAUS = np.linspace(8.0, 30.0, N)
NEURONS: dict[str, Any] = {
    "LIF": LIF,
    "LIF, reset at once": LIF.replace(delayed_reset=False, surrogate=ep.Arctan(**SHAPE)),
    "LIF and ALIF": MIXED,
    "ALIF, scaled input": MIXED.replace(
        beta=0.02, scale_input=True, v_th=0.05, surrogate=ep.Exponential(height=5.0, width=0.05)
    ),
    "delta, adaptation": ep.DeltaALIF(
        tau_m=15.0, v_th=0.6, v_reset=0.1, beta=0.3, tau_adapt=60.0, surrogate=ep.PiecewiseLinear(**SHAPE)
    ),
    "current": ep.CurrentLIF(tau_m=15.0, tau_syn=4.0, c_m=3.0, v_th=0.6, t_ref=2.0, surrogate=ep.Arctan(**SHAPE)),
    "current, adaptation": ep.CurrentALIF(
        tau_m=15.0,
        tau_syn=15.0,
        c_m=5.0,
        v_th=0.6,
        v_reset=None,
        beta=0.3,
        tau_adapt=60.0,
        surrogate=ep.Exponential(**SHAPE),
    ),
    "current, each its own": ep.CurrentALIF(
        tau_m=TAUS, tau_syn=0.4 * TAUS, c_m=3.0, v_th=0.6, beta=0.3, tau_adapt=3.0 * TAUS, surrogate=ep.Arctan(**SHAPE)
    ),
    "each its own": MIXED.replace(tau_m=TAUS, tau_adapt=3.0 * TAUS, v_th=0.4 + TAUS / 60.0),
    "each its own, scaled input": LIF.replace(tau_m=TAUS, v_th=0.5 / TAUS, scale_input=True),
}
READOUTS = {
    "squared error": ep.Readout(tau_m=20.0),
    "softmax, scaled input": ep.Readout(tau_m=20.0, scale_input=True, loss=ep.CrossEntropy()),
}


def problem(neuron: Any, readout: ep.Readout) -> tuple[TimeDriven, Stimulus]:
    """A network with symmetric feedback, and a sample with a learning window."""
    rng = np.random.default_rng(3)
    weights = {
        "input": 0.5 * rng.standard_normal((N, N_IN)) + 0.1,
        "recurrent": np.zeros((N, N)),
        "readout": 0.3 * rng.standard_normal((N_OUT, N)),
    }
    inputs, targets = rng.random((STEPS, N_IN)) < 0.2, rng.standard_normal((STEPS, N_OUT))
    if readout.loss.softmax:
        targets = np.eye(N_OUT)[rng.integers(N_OUT, size=STEPS)]
    net = dense_network(neuron, readout, weights, "symmetric", ep.EProp())
    return time_driven(net), Stimulus(STEPS, {"in": inputs}, {"out": targets}, (np.arange(STEPS) > 20).astype(float))


@pytest.fixture(params=[(n, r) for n in NEURONS for r in READOUTS], ids=" | ".join)
def models(request):
    return NEURONS[request.param[0]], READOUTS[request.param[1]]


def test_e_prop_is_backpropagation_without_recurrence(models):
    """With symmetric feedback, and spikes that reach the loss through the readouts only, nothing is left out."""
    stepped, sample = problem(*models)
    g, exact = stepped.gradient(sample)[0], backpropagate(stepped, sample)
    # e-prop filters with kappa and a factor 1 - kappa, the readout with alpha and its input scale.
    alpha, zeta = models[1].membrane_decay(1.0), models[1].input_scale(1.0)
    into = stepped.synapses.parts["in->rec"]
    assert np.abs(g[into]).max() > 0.0
    assert_close(g[into], (1.0 - alpha) / zeta * exact.gradient[into], EXACT)
    assert_close(exact.eprop[into], exact.gradient[into], EXACT)
