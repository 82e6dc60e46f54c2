"""STDP: NEST's ``stdp_synapse``, running live, shows the same weight at every spike.

The spikes of a run of the engine are given to NEST, where parrots emit them on both sides of each synapse. (NEST's
e-prop neurons, which `eprop.interop.nest` uses, have no traces for STDP.)
"""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from eprop.interop.nest import nest_module
from pairs import NAMES, arrivals, emitted, pair_network, stimulus

pytestmark = pytest.mark.nest
EXACT = 1e-9
STEPS = 400


def parrots(nest, trains: list[np.ndarray], dt: float, **parameters):
    """One parrot per spike train; what it emits in step ``s`` here is emitted in step ``s + 2`` there."""
    nodes = nest.Create("parrot_neuron", len(trains), params=parameters)
    generators = nest.Create("spike_generator", len(trains))
    generators.set([{"spike_times": (train + 1.0) * dt} for train in trains])
    nest.Connect(generators, nodes, "one_to_one", {"delay": dt})
    return nodes


def weights_in_nest(
    net: ep.Network, name: str, recording: ep.engine.Recording, connections
) -> dict[tuple[int, int], np.ndarray]:
    """Weights that the spikes of each (source, target) take along."""
    nest = nest_module()
    nest.ResetKernel()
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.set(resolution=net.dt)
    p = net.projection(name)
    rule = p.rule
    trains = [[emitted(recording, side.name, k, net.dt) for k in range(side.size)] for side in (p.pre, p.post)]
    pre, post = parrots(nest, trains[0], net.dt), parrots(nest, trains[1], net.dt, tau_minus=rule.tau_minus)
    recorder = nest.Create("weight_recorder")
    constants = {
        "lambda": rule.rate, "alpha": rule.alpha, "mu_plus": rule.mu_plus, "mu_minus": rule.mu_minus,
        "Wmax": rule.w_max, "tau_plus": rule.tau_plus, "weight_recorder": recorder,
    }  # fmt: skip
    nest.CopyModel("stdp_synapse", "learning", constants)
    sources, targets, weights = connections
    ids = [np.array(nodes.tolist()) for nodes in (pre, post)]
    # A parrot does not repeat what comes to port 1: the trains stay as they are.
    spec = {"weight": weights, "delay": np.full(weights.size, p.delay), "receptor_type": np.ones(weights.size, int)}
    nest.Connect(ids[0][sources], ids[1][targets], "one_to_one", spec | {"synapse_model": "learning"})
    nest.Simulate((STEPS + 3) * net.dt)
    seen = recorder.events
    out = {}
    for source, target in zip(sources.tolist(), targets.tolist(), strict=True):
        mine = (seen["senders"] == ids[0][source]) & (seen["targets"] == ids[1][target])
        out[source, target] = seen["weights"][mine][np.argsort(seen["times"][mine], kind="stable")]
    return out


@pytest.mark.parametrize("seed", range(8))
def test_weight_at_every_spike(seed, deviations):
    net = pair_network(seed, dt=0.5 if seed % 4 == 3 else 1.0)
    sim = ep.Simulator(net, threads=1)
    start = {name: sim.connections(name) for name in NAMES}
    ours = sim.run(
        STEPS * net.dt,
        {"in": stimulus(seed, STEPS, 7)},
        record=[(name, "weight") for name in NAMES],
        spikes=["in", "rec"],
    )
    for name in NAMES:
        theirs = weights_in_nest(net, name, ours, start[name])
        worst, compared, different = 0.0, 0, 0
        for c, at, _, _, _ in arrivals(net, name, ours, start[name], STEPS):
            wanted = theirs[int(start[name][0][c]), int(start[name][1][c])][: at.size]
            worst = max(worst, float(np.abs(ours[name, "weight"][at, c] - wanted).max()))
            compared, different = compared + at.size, different + np.unique(wanted).size
        rule = net.projection(name).rule
        deviations.note(
            f"`stdp_synapse`, `mu_plus` {rule.mu_plus:g}, `mu_minus` {rule.mu_minus:g}",
            compared,
            ours.spikes["rec"][0].size,
            weight=worst,
        )
        assert worst < EXACT
        assert compared > 100
        assert different > 0.05 * compared
