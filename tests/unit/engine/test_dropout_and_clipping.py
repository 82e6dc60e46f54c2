"""Dropout of input events and of spikes, and gradients whose norm is limited."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import eprop as ep
from compare import assert_close, assert_same
from eprop.checks import stimuli_of
from eprop.engine.run.samples import without_dropped
from networks import small_network
from refusals import Refusal, each_row, refusals

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]

SIZES = (20, 8, 2)
PLUS = ep.EPropPlus(optimizer=ep.GradientDescent(eta=1e-3), cutoff=20.0)


def network(dropout: float = 0.0, rule: ep.Rule | None = None, lost: float = 0.0, **given: Any) -> ep.Network:
    """``dropout`` of events, and ``lost`` spikes of the neurons."""
    connections = {
        "in->rec": {"weight": ep.Normal(0.3, 0.3)}, "rec->rec": {"weight": ep.Normal(0.0, 0.3)}, "rec->out": {"weight": 0.2},
    }  # fmt: skip
    rule = rule or ep.EProp(**{"optimizer": ep.Adam(eta=0.01)} | given)
    source, neuron = ep.EventSource(dropout=dropout), ep.LIF(v_th=0.6)
    parts = {"source": source, "neuron": neuron, "rule": rule, "feedback": ep.Symmetric()}
    return small_network(SIZES, connections, **parts, dropout=lost, seed=3)


def samples_of(sim: ep.Simulator, seed: int = 1, n: int = 6) -> ep.engine.Samples:
    rng = np.random.default_rng(seed)
    events, targets = rng.random((n, 40, SIZES[0])) < 0.2, rng.normal(size=(n, 40, SIZES[2]))
    return sim.samples(n, 40, {"in": events}, {"out": targets})


def weights_of(sim: ep.Simulator) -> dict[str, np.ndarray]:
    return {name: sim.connections(name)[2] for name in ("in->rec", "rec->rec", "rec->out")}


def test_a_fraction_of_the_events_is_dropped_each_time_another_one() -> None:
    sim = ep.Simulator(network(0.3), threads=1)
    samples = samples_of(sim)
    first, second = (without_dropped(sim.network, samples, clock) for clock in (0, 240))
    assert first.event_channels.size / samples.event_channels.size == pytest.approx(0.7, abs=0.05)
    assert first.event_channels.size != second.event_channels.size
    assert_same(without_dropped(sim.network, first, 0), first)
    whole, thin = (stimuli_of(sim.network, s) for s in (samples, first))
    assert all((b.spikes["in"] <= a.spikes["in"]).all() for a, b in zip(whole, thin, strict=True))


@pytest.mark.parametrize("rule", [None, PLUS], ids=["e-prop", "e-prop+"])
def test_training_drops_events_and_evaluation_takes_all(rule: ep.Rule | None) -> None:
    sim, plain = ep.Simulator(network(0.3, rule), threads=1), ep.Simulator(network(0.0, rule), threads=1)
    for seed in range(2):
        samples = samples_of(sim, seed)
        sim.train(samples)
        plain.train(without_dropped(sim.network, samples, 240 * seed))
    assert_same(weights_of(sim), weights_of(plain))
    assert_same(sim.evaluate(samples).y, plain.evaluate(samples).y)


def test_a_lost_spike_resets_its_neuron_and_is_not_recorded() -> None:
    """Of one neuron, driven by a current: the voltages are the same, and a fraction of the spikes is left."""
    found = []
    for lost in (0.0, 0.4):
        net, rule = ep.Network(seed=1), ep.EPropPlus(optimizer=ep.GradientDescent(eta=0.0))
        rec = net.add(ep.LIF(v_th=0.5, i_e=0.1), 20, "rec", dropout=lost)
        net.connect(rec, net.add(ep.Readout(), 1, "out"), weight=0.1, rule=rule)
        sim = ep.Simulator(net, threads=1)
        learning = sim.run(100.0, record=[("rec", "v")], spikes=["rec"])
        frozen = sim.run(100.0, learn=False, spikes=["rec"]).spikes["rec"][0].size
        found.append((learning["rec", "v"], learning.spikes["rec"][0].size, frozen))
    (v, whole, of_whole), (other, left, of_other) = found
    assert_same(other, v)
    assert left / whole == pytest.approx(0.6, abs=0.05)
    assert of_other == of_whole > 0


@refusals(
    *each_row([
        (lambda net: net.add(ep.LIF(), 2, dropout=1.0), r"dropout must be a number in \[0, 1\), got 1.0"),
        (lambda net: net.add(ep.LIF(), 2, dropout=[0.1, 0.2]), "dropout must be a number"),
        (lambda net: net.add(ep.EventSource(), 2, "x", dropout=0.1), r"for neurons.*EventSource\(dropout="),
        (lambda net: net.add(ep.Readout(), 2, "y", dropout=0.1), "for neurons, and 'y' is Readout$"),
    ], lambda call, net: call(net), ep.errors.NetworkError),
)  # fmt: skip
def test_dropout_of_other_nodes_is_refused(refusal: Refusal) -> None:
    refusal.check(ep.Network())


# ------------------------------------------------------------------------------------------------------------------------ norms
def test_a_gradient_beyond_the_limit_is_scaled_down_to_it() -> None:
    limits = {"small": 0.01, "large": 1e9}
    sims = {
        name: ep.Simulator(network(clip_norm=limit, optimizer=ep.GradientDescent(eta=0.5)), threads=1)
        for name, limit in limits.items()
    }
    free = ep.Simulator(network(optimizer=ep.GradientDescent(eta=0.5)), threads=1)
    before, samples = weights_of(free), samples_of(free)
    gradients = free.lanes(samples).backward()
    for sim in (free, *sims.values()):
        sim.train(samples)
    assert_same(weights_of(sims["large"]), weights_of(free))
    for name, weight in weights_of(sims["small"]).items():
        norm = np.linalg.norm(gradients[name])
        assert norm > 0.01
        assert_close(before[name] - weight, 0.5 * 0.01 / norm * gradients[name], 1e-9)


@pytest.mark.parametrize("partitions", [1, 3])
def test_clipped_gradients_have_the_same_bits_in_training_and_in_lanes(partitions: int) -> None:
    whole, parts = (ep.Simulator(network(clip_norm=0.01), threads=1, partitions=k) for k in (1, partitions))
    for seed in range(2):
        samples = samples_of(whole, seed, n=7)
        whole.train(samples)
        lanes = parts.lanes(samples)
        lanes.learn(lanes.backward())
    assert_same(weights_of(parts), weights_of(whole))
