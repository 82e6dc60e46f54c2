"""Oracle C with the event-driven engine: gradient descent, for which one update a spike is the sum of NEST's many.

The provenance of the numbers is in `test_oracle_c`. With Adam it is not the same, and the engine has no update a step.
"""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from networks import LEARNING
from oracle.test_oracle_c import N_IN, N_OUT, ORACLES, N, losses, rule_of, task_of

NEURONS = {
    "ALIF": ep.ALIF(tau_m=30.0, v_th=0.03, beta=0.0174, tau_adapt=2000.0, surrogate=ep.PiecewiseLinear(10.0, 0.03)),
    "delta LIF": ep.DeltaLIF(tau_m=30.0, v_th=0.5, v_reset=-0.5, surrogate=ep.PiecewiseLinear(10.0, 0.03)),
    "delta ALIF": ep.DeltaALIF(
        tau_m=30.0, v_th=0.5, v_reset=-0.5, beta=1.0, tau_adapt=10.0, surrogate=ep.PiecewiseLinear(10.0, 0.03)
    ),
}
LEARNED = [name for name, neuron in NEURONS.items() if type(neuron).__name__ in LEARNING]


@pytest.mark.parametrize("name", LEARNED)
def test_losses_of_nest(name):
    task, wanted = task_of(name), rule_of(ORACLES[name])
    rule = ep.EPropPlus(
        optimizer=ep.GradientDescent(wanted.optimizer.eta),
        kappa=wanted.kappa,
        c_reg=wanted.c_reg,
        f_target=wanted.f_target,
        cutoff=float(wanted.cutoff),
    )
    net = ep.Network(dt=1.0)
    x, rec = net.add(ep.EventSource(), N_IN, "in"), net.add(NEURONS[name], N, "rec")
    out = net.add(ep.Readout(tau_m=30.0), N_OUT, "out")
    net.connect(x, rec, weight=task.weights["input"], rule=rule)
    net.connect(rec, rec, weight=task.weights["recurrent"], rule=rule)
    net.connect(rec, out, weight=task.weights["readout"], rule=rule)
    net.feedback(out, rec, ep.RandomFeedback(task.feedback))
    run = ep.Simulator(net, threads=1).run(
        float(len(task.inputs)), {"in": task.inputs}, {"out": task.targets}, task.window
    )
    np.testing.assert_allclose(losses(run.y["out"], task.targets), ORACLES[name].losses, rtol=1e-8)
