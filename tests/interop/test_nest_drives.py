"""Background, noise and currents of `Network.stimulate` in live NEST: the same draws, so the same spikes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import eprop as ep
from eprop.interop.nest import to_nest
from eprop.networks import balanced_network, microcircuit
from nest_runs import run_in_both

pytestmark = pytest.mark.nest

NEURONS: dict[str, Any] = {
    "CurrentLIF": ep.CurrentLIF(tau_m=10.0, tau_syn=0.5, c_m=0.5, v_th=1.0, v_reset=0.0, v_init=ep.Uniform(-0.5, 0.5)),
    "two time constants": ep.CurrentLIF(tau_m=10.0, tau_syn=0.5, tau_syn_in=2.0, c_m=0.5, v_th=1.0, v_reset=0.0),
    "LIF": ep.LIF(tau_m=10.0, c_m=10.0, v_th=1.0, t_ref=2.0, i_e=0.1, v_init=0.4),
    "ALIF": ep.ALIF(tau_m=10.0, c_m=10.0, v_th=1.0, beta=0.2, adaptation=0.5),
    "DeltaLIF": ep.DeltaLIF(tau_m=10.0, c_m=10.0, v_th=1.0, t_ref=1.0, i_e=0.1, v_init=-0.2),
    "DeltaALIF": ep.DeltaALIF(tau_m=10.0, c_m=10.0, v_th=1.0, beta=0.2, adaptation=0.5),
}
DRIVES = {
    "background": [ep.PoissonDrive(rate=ep.Uniform(500.0, 3000.0), weight=0.4)],
    "many spikes in a step": [ep.PoissonDrive(rate=18_000.0, weight=0.03)],
    "background of both signs": [
        ep.PoissonDrive(rate=3000.0, weight=0.4), ep.PoissonDrive(rate=1000.0, weight=-0.3, modulation=ep.Pulse(20.0, 80.0))
    ],
    "noise": [ep.GaussianNoise(sd=2.0, mean=1.0)],
    "currents": [
        ep.Current([0.9, 1.1, 1.3, 1.5, 1.7]), ep.Current(0.5, modulation=ep.network.Steps([0.0, 30.0, 90.0], [1.0, -1.0, 0.5]))
    ],
    "all": [ep.PoissonDrive(rate=1000.0, weight=0.3), ep.GaussianNoise(sd=1.0), ep.Current(0.8, modulation=ep.Pulse(0.0, 60.0))],
}  # fmt: skip


SLOW = pytest.mark.slow


def check(net: ep.Network, duration: float, row: str, deviations: Any) -> int:
    """The same spikes, and voltages to 1e-10 mV. Returns the number of spikes."""
    found = run_in_both(net, duration, exact=1e-10)
    found.note(deviations, row, "voltage")
    return found.spikes


@pytest.mark.parametrize("drives", DRIVES)
@pytest.mark.parametrize("neuron", NEURONS)
def test_driven_neurons(neuron, drives, deviations):
    net = ep.Network(dt=0.5, seed=3)
    cells = net.add(NEURONS[neuron], 5, "cells")
    for drive in DRIVES[drives]:
        net.stimulate(cells, drive)
    assert check(net, 200.0, "driven by `stimulate`", deviations) > 5


@pytest.mark.parametrize("driven", [False, True])
def test_neurons_that_start_above_their_threshold(driven, deviations):
    net = ep.Network(dt=0.1, seed=2)
    cells = net.add(
        ep.CurrentLIF(tau_m=10.0, v_th=1.0, v_reset=0.0, v_init=ep.Uniform(0.5, 1.5), t_ref=1.0), 20, "cells"
    )
    net.connect(cells, cells, ep.FixedIndegree(5), weight=5.0)
    if driven:
        net.stimulate(cells, ep.GaussianNoise(sd=1.0))
    assert check(net, 30.0, "starts above the threshold", deviations) >= 8


def test_driven_networks_that_learn(deviations):
    net = ep.Network(dt=1.0, seed=1)
    rule = ep.EPropPlus(optimizer=ep.GradientDescent(eta=3e-4), c_reg=0.05, cutoff=40.0)
    x, rec, out = net.add(ep.EventSource(), 20, "in"), net.add(ep.LIF(), 30, "rec"), net.add(ep.Readout(), 2, "out")
    net.connect(x, rec, ep.Bernoulli(0.5), weight=ep.Normal(0.1, 0.3), rule=rule)
    net.connect(rec, rec, ep.FixedIndegree(10), weight=ep.Normal(0.0, 0.2), rule=rule)
    net.connect(rec, out, weight=ep.Glorot(), rule=rule)
    net.feedback(out, rec, ep.RandomFeedback())
    net.stimulate(rec, ep.PoissonDrive(rate=100.0, weight=0.3))
    net.stimulate(rec, ep.GaussianNoise(sd=2.0))
    rng = np.random.default_rng(0)
    found = run_in_both(net, 300.0, {"in": rng.random((300, 20)) < 0.03}, {"out": rng.normal(size=(300, 2))})
    assert found.compared > 1000
    assert found.weight < 1e-10


@pytest.mark.parametrize(
    ("make", "duration", "row", "least"),
    [
        (lambda: balanced_network(500, weight=2.5), 100.0, "balanced network, 500 neurons", 300),
        (lambda: microcircuit(0.02), 100.0, "microcircuit, scale 0.02", 300),
        pytest.param(lambda: microcircuit(0.1), 200.0, "microcircuit, scale 0.1", 4000, marks=SLOW),
    ],
)  # fmt: skip
def test_networks_with_their_background(make, duration, row, least, deviations):
    assert check(make(), duration, row, deviations) > least


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (ep.EProp(), "NEST's samples with EProp would begin without its drive"),
        (ep.EPropPlus(optimizer=ep.Adam(), c_reg=0.0), "NEST's first step with Adam would begin without its drive"),
    ],
)
def test_drives_that_nest_cannot_start_in_time(rule, message):
    net = ep.Network()
    x, rec = net.add(ep.EventSource(), 2, "in"), net.add(ep.LIF(delayed_reset=isinstance(rule, ep.EProp)), 2, "rec")
    net.connect(x, rec, weight=1.0, rule=rule)
    net.stimulate(rec, ep.Current(1.0))
    with pytest.raises(ep.errors.NetworkError, match=message):
        to_nest(net)


def test_a_run_whose_drives_are_too_many():
    net = ep.Network(dt=0.1)
    net.stimulate(net.add(ep.DeltaLIF(), 10_000, "cells"), ep.PoissonDrive())
    with pytest.raises(ep.errors.NetworkError, match="from lists, at most 200,000,000 values; run at most 2000 ms"):
        to_nest(net).run(5000.0)
