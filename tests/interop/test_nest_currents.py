"""`CurrentLIF` against live NEST's ``iaf_psc_exp``: voltages to 1e-10 mV, and each spike."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from eprop.interop.nest import to_nest
from nest_runs import run_in_both

pytestmark = pytest.mark.nest

EXACT = 1e-10
STEPS, N_IN, N = 10_000, 20, 8
TWO = "static, with `tau_syn_in`"


NEURON = ep.CurrentLIF(
    tau_m=10.0, tau_syn=0.5, c_m=250.0, i_e=350.0, e_l=-65.0, v_th=-50.0, v_reset=-67.0, t_ref=2.0, v_init=-58.0
)  # fmt: skip


def compare(net: ep.Network, steps: int, inputs: dict[str, np.ndarray], deviations, row: str = "static") -> int:
    """Both run with the same input. Returns the number of spikes."""
    found = run_in_both(net, steps * net.dt, inputs, exact=EXACT)
    found.note(deviations, f"`iaf_psc_exp`, {row}", "voltage")
    return found.spikes


@pytest.mark.parametrize("t_ref", [0.0, 2.0])
@pytest.mark.parametrize("tau_syn", [0.5, 2.0, 10.0, 10.0 * (1.0 + 1e-9), 40.0])
@pytest.mark.parametrize("dt", [0.1, 1.0])
def test_voltages_and_spikes_of_ten_thousand_steps(dt, tau_syn, t_ref, deviations):
    rng = np.random.default_rng(1)
    inputs, weights = rng.random((STEPS, N_IN)) < 0.02 * dt, rng.normal(1.0, 3.0, (N, N_IN)) * 250.0 / tau_syn
    net = ep.Network(dt=dt)
    neuron = NEURON.replace(tau_syn=tau_syn, t_ref=t_ref)
    net.connect(net.add(ep.EventSource(), N_IN, "in"), net.add(neuron, N, "rec"), weight=weights, delay=dt)
    assert compare(net, STEPS, {"in": inputs}, deviations) > 50


def test_neurons_of_a_population_may_differ(deviations):
    rng, net = np.random.default_rng(2), ep.Network(dt=0.1)
    neuron = NEURON.replace(
        tau_m=ep.Uniform(8.0, 20.0), tau_syn=ep.Uniform(0.5, 5.0), c_m=ep.Uniform(200.0, 300.0), t_ref=ep.Uniform(0.5, 3.0),
        i_e=ep.Uniform(200.0, 500.0), v_init=ep.Uniform(-65.0, -55.0),
    )  # fmt: skip
    net.connect(net.add(ep.EventSource(), N_IN, "in"), net.add(neuron, N, "rec"), weight=ep.Normal(100.0, 300.0))
    assert compare(net, 3000, {"in": rng.random((3000, N_IN)) < 0.002}, deviations) > 50


@pytest.mark.parametrize("taus", [(0.5, 2.0), (2.0, 0.5), (10.0, 3.0), (3.0, 10.0 * (1.0 + 1e-9)), (5.0, 5.0)])
@pytest.mark.parametrize("dt", [0.1, 1.0])
def test_two_time_constants_over_ten_thousand_steps(dt, taus, deviations):
    """The sign of a weight chooses NEST's time constant; here that of its projection, which has one sign."""
    rng, net = np.random.default_rng(4), ep.Network(dt=dt)
    x, y = net.add(ep.EventSource(), N_IN, "x"), net.add(ep.EventSource(), N_IN, "y")
    rec = net.add(NEURON.replace(tau_syn=taus[0], tau_syn_in=taus[1]), N, "rec")
    weights = [np.abs(rng.normal(3.0, 1.0, (N, N_IN))) * 250.0 / tau for tau in taus]
    net.connect(x, rec, weight=weights[0], delay=dt)
    net.connect(y, rec, weight=-0.7 * weights[1], delay=2 * dt)
    inputs = {name: rng.random((STEPS, N_IN)) < 0.02 * dt for name in ("x", "y")}
    assert compare(net, STEPS, inputs, deviations, TWO) > 50


SAME = {"neuron": NEURON.replace(i_e=300.0), "weights": (87.8, -351.2), "row": "static"}
EACH = {
    "neuron": NEURON.replace(i_e=300.0, tau_syn=ep.Uniform(0.4, 2.0), tau_syn_in=ep.Uniform(1.0, 6.0)),
    "weights": (60.0, -90.0), "row": TWO,
}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "seed"), [*((SAME, seed) for seed in range(3)), *((EACH, seed) for seed in range(2))]
)
def test_recurrent_network_with_drawn_weights_and_delays(given, seed, deviations):
    """Excitation and inhibition in balance, with multapses, as networks of the cortex are described; each its constants."""
    net = ep.Network(dt=0.1, seed=seed)
    x, exc, inh = (net.add(model, n, name) for model, n, name in (
        (ep.EventSource(), 200, "in"), (given["neuron"], 160, "exc"), (given["neuron"], 40, "inh")
    ))  # fmt: skip
    excites, inhibits = given["weights"]
    for pre, degree, weight, delay in ((x, 40, excites, 1.5), (exc, 32, excites, 1.5), (inh, 8, inhibits, 0.8)):
        drawn = ep.Normal(weight, abs(weight) / 10.0) if given is SAME else ep.LogNormal(sigma=0.3, scale=weight)
        for post in (exc, inh):
            net.connect(
                pre, post, ep.FixedIndegree(degree, multapses=True), weight=drawn,
                delay=ep.Normal(delay, delay / 2.0, low=0.1),
            )  # fmt: skip
    assert given is SAME or {p.receptor for p in net.projections if p.pre is inh} == {"inhibitory"}
    inputs = np.random.default_rng(seed).random((5000, 200)) < 0.008
    assert compare(net, 5000, {"in": inputs}, deviations, given["row"]) > 500


def test_a_receptor_against_the_sign_of_its_weights():
    net = ep.Network()
    x, rec = net.add(ep.EventSource(), 2, "in"), net.add(NEURON.replace(tau_syn_in=2.0), 2, "rec")
    net.connect(x, rec, weight=[[1.0, -2.0], [3.0, 4.0]], receptor="excitatory")
    with pytest.raises(
        ep.errors.NetworkError, match="in->rec acts on the excitatory receptor of 'rec', with weights of -2 pA; in NEST"
    ):
        to_nest(net).run(5.0)


def test_readout_that_learns_from_neurons_with_currents(deviations):
    """NEST's ``iaf_psc_exp`` does not learn, but the readout does."""
    rng, net = np.random.default_rng(3), ep.Network(dt=1.0, seed=1)
    rec, out = net.add(NEURON, N, "rec"), net.add(ep.Readout(), 2, "out")
    net.connect(net.add(ep.EventSource(), N_IN, "in"), rec, weight=ep.Normal(100.0, 300.0))
    plus = ep.EPropPlus(optimizer=ep.GradientDescent(1e-3), c_reg=0.0, cutoff=30.0)
    net.connect(rec, out, weight=ep.Normal(0.0, 0.3), rule=plus)
    found = run_in_both(net, 400.0, {"in": rng.random((400, N_IN)) < 0.02}, {"out": [0.5, -0.5]}, exact=EXACT)
    found.note(deviations, "`iaf_psc_exp`, readout learns", "weight")
    assert found.least > 0.01
