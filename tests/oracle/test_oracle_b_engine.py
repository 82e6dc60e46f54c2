"""Oracle B with the event-driven engine: the losses of TensorFlow and of NEST (their provenance is in `test_oracle_b`).

A sample of NEST is one step longer here, as in `test_oracle_a_engine`.
"""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from oracle.test_oracle_b import (
    BETA,
    ITERATIONS,
    N_ALIF,
    N_IN,
    N_LIF,
    N_OUT,
    NEST,
    RECALL,
    STEPS,
    TENSORFLOW,
    WINDOW,
    Task,
    drawn,
)

RULE = ep.EProp(optimizer=ep.Adam(5e-3), c_reg=300.0, f_target=10.0, average_gradient=True)
COMMON = {
    "tau_m": 20.0,
    "v_th": 0.6,
    "t_ref": 5.0,
    "delayed_reset": True,
    "surrogate": ep.PiecewiseLinear(0.3 / 0.6, 0.6),
}


def network(task: Task) -> ep.Network:
    """Neurons with and without adaptation are two populations."""
    net = ep.Network(dt=1.0)
    x = net.add(ep.EventSource(), N_IN, "in")
    hidden = [
        (net.add(ep.LIF(**COMMON), N_LIF, "lif"), slice(0, N_LIF)),
        (net.add(ep.ALIF(beta=BETA, tau_adapt=2000.0, **COMMON), N_ALIF, "alif"), slice(N_LIF, N_LIF + N_ALIF)),
    ]
    out = net.add(ep.Readout(tau_m=20.0, scale_input=True, loss=ep.CrossEntropy()), N_OUT, "out")
    for post, to in hidden:
        net.connect(x, post, weight=task.weights["input"][to], rule=RULE)
        for pre, of in hidden:
            net.connect(pre, post, weight=task.weights["recurrent"][to, of], rule=RULE)
        net.connect(post, out, weight=task.weights["readout"][:, to], rule=RULE)
        net.feedback(out, post, ep.RandomFeedback(task.feedback[to]))
    return net


@pytest.mark.parametrize("size", [1, 2], ids=["batch of 1", "batch of 2"])
def test_losses(size):
    task = drawn(size)
    sim = ep.Simulator(network(task), threads=1)
    window = np.concatenate([[False], WINDOW])
    found = []
    for update in range(ITERATIONS):
        batch = task.samples[update * size : (update + 1) * size]
        emitted = np.stack([np.vstack([x[1:], np.zeros((2, N_IN))]) for x, _ in batch])
        aimed = np.stack([np.vstack([np.zeros((1, N_OUT)), y]) for _, y in batch])
        samples = sim.samples(size, STEPS + 1, inputs={"in": emitted}, targets={"out": aimed}, window=window)
        found.append(sim.train(samples).loss.mean() / RECALL)
    np.testing.assert_allclose(found, NEST[size], rtol=1e-8)
    if size == 1:
        np.testing.assert_allclose(found, TENSORFLOW, rtol=1e-6)
