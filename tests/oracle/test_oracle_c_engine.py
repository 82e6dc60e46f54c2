"""Oracle C with the event-driven engine: an optimiser step in every step, as NEST takes by default, and one for each spike.

For gradient descent one update a spike is the sum of NEST's many. The provenance of the numbers is in `test_oracle_c`.
"""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from networks import LEARNING
from oracle.test_oracle_c import ITERATIONS, N_IN, N_OUT, OPEN, ORACLES, STEPS, N, losses, rule_of, task_of

NEURONS = {
    "LIF, Adam": ep.LIF(tau_m=30.0, v_th=0.03, surrogate=ep.PiecewiseLinear(10.0, 0.03)),
    "ALIF": ep.ALIF(tau_m=30.0, v_th=0.03, beta=0.0174, tau_adapt=2000.0, surrogate=ep.PiecewiseLinear(10.0, 0.03)),
    "delta LIF": ep.DeltaLIF(tau_m=30.0, v_th=0.5, v_reset=-0.5, surrogate=ep.PiecewiseLinear(10.0, 0.03)),
    "delta ALIF": ep.DeltaALIF(
        tau_m=30.0, v_th=0.5, v_reset=-0.5, beta=1.0, tau_adapt=10.0, surrogate=ep.PiecewiseLinear(10.0, 0.03)
    ),
}
LEARNED = [name for name, neuron in NEURONS.items() if type(neuron).__name__ in LEARNING]


@pytest.mark.tiny
@pytest.mark.parametrize("name", LEARNED)
def test_losses_of_nest(name):
    check(name, each_step=name == "LIF, Adam")


@pytest.mark.tiny
def test_losses_of_nest_with_a_step_in_every_step():
    """With gradient descent, too: of the first two iterations."""
    check("delta LIF", each_step=True, iterations=2)


def check(name: str, each_step: bool, iterations: int = ITERATIONS) -> None:
    task, wanted = task_of(name), rule_of(ORACLES[name])
    n_steps = OPEN + iterations * STEPS
    eta = wanted.optimizer.eta
    rule = ep.EPropPlus(
        optimizer=ep.Adam(eta, epsilon=1e-7) if "Adam" in name else ep.GradientDescent(eta),
        kappa=wanted.kappa,
        c_reg=wanted.c_reg,
        f_target=wanted.f_target,
        cutoff=float(wanted.cutoff),
        each_step=each_step,
    )
    net = ep.Network(dt=1.0)
    x, rec = net.add(ep.EventSource(), N_IN, "in"), net.add(NEURONS[name], N, "rec")
    out = net.add(ep.Readout(tau_m=30.0), N_OUT, "out")
    net.connect(x, rec, weight=task.weights["input"], rule=rule)
    net.connect(rec, rec, weight=task.weights["recurrent"], rule=rule)
    net.connect(rec, out, weight=task.weights["readout"], rule=rule)
    net.feedback(out, rec, ep.RandomFeedback(task.feedback))
    inputs, targets, window = (given[:n_steps] for given in (task.inputs, task.targets, task.window))
    run = ep.Simulator(net, threads=1).run(float(n_steps), {"in": inputs}, {"out": targets}, window)
    np.testing.assert_allclose(losses(run.y["out"], targets), ORACLES[name].losses[:iterations], rtol=1e-8)
