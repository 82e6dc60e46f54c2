"""Currents that are given for each neuron and step: against the reference and drives, in every division, and refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import eprop as ep
from compare import assert_close, assert_same
from eprop.checks import stimuli_of, time_driven
from networks import small_network
from ranks_in_threads import on_ranks
from refusals import Refusal, refusals

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]

SIZES, N, STEPS = (5, 7, 2), 4, 40
EPROP = ep.EProp(optimizer=ep.Adam(eta=0.01), c_reg=0.1)
PLUS = ep.EPropPlus(optimizer=ep.GradientDescent(eta=1e-4), cutoff=20.0)
TAUS = [8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0]
NEURONS: dict[str, Callable[[], Any]] = {
    "LIF": lambda: ep.LIF(v_th=0.6, c_m=2.0, scale_input=True),
    "ALIF": lambda: ep.ALIF(tau_m=TAUS, v_th=0.5, beta=0.05),
    "DeltaLIF": lambda: ep.DeltaLIF(v_th=0.6, t_ref=2.0),
    "CurrentLIF": lambda: ep.CurrentLIF(tau_m=TAUS, v_th=0.6, tau_syn=4.0),
}


def network(neuron: Any, rule: ep.Rule = EPROP) -> ep.Network:
    connections = {
        "in->rec": {"weight": ep.Normal(0.2, 0.2)}, "rec->rec": {"weight": ep.Normal(0.0, 0.3), "delay": 2.0},
        "rec->out": {"weight": ep.Normal(0.0, 0.5)},
    }  # fmt: skip
    return small_network(SIZES, connections, neuron=neuron, rule=rule, feedback=ep.Symmetric(), seed=3)


def given(n: int = N, steps: int = STEPS, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Events, currents (pA) and targets of samples."""
    rng = np.random.default_rng(seed)
    currents = rng.normal(0.1, 0.1, (n, steps, SIZES[1]))
    return rng.random((n, steps, SIZES[0])) < 0.1, currents, rng.normal(size=(n, steps, SIZES[2]))


def samples_of(sim: ep.Simulator, seed: int = 1) -> ep.engine.Samples:
    events, currents, targets = given(seed=seed)
    return sim.samples(N, STEPS, {"in": events, "rec": currents}, {"out": targets})


def weights_of(sim: ep.Simulator) -> dict[str, np.ndarray]:
    return {p.name: sim.connections(p.name)[2] for p in sim.network.projections}


@pytest.mark.parametrize("rule", [EPROP, PLUS], ids=["e-prop", "e-prop+"])
@pytest.mark.parametrize("neuron", NEURONS)
def test_training_equals_the_reference(neuron: str, rule: ep.Rule) -> None:
    sim = ep.Simulator(network(NEURONS[neuron](), rule), threads=1)
    reference = time_driven(sim)
    for seed in range(2):
        samples = samples_of(sim, seed)
        result, runs = sim.train(samples), reference.train(stimuli_of(sim.network, samples))
        assert result.spikes.min() > 5
        assert_close(result.y, np.stack([run.y for run in runs]), 1e-9)
    # Of e-prop+, the reference applies the last gradients of a synapse at its next spike.
    for name, weights in weights_of(sim).items() if rule is EPROP else ():
        assert_close(weights, reference.weights_of(name), 1e-9)


def test_a_constant_current_equals_a_drive() -> None:
    amplitudes = np.linspace(0.05, 0.2, SIZES[1])
    for neuron in NEURONS.values():
        driven, plain = network(neuron()), network(neuron())
        driven.stimulate("rec", ep.Current(amplitudes.tolist()))
        events, targets = given(1)[0][0], {"out": given(1)[2][0]}
        currents = np.broadcast_to(amplitudes, (STEPS, SIZES[1]))
        found = ep.Simulator(plain, threads=1).run(STEPS, {"in": events, "rec": currents}, targets)
        wanted = ep.Simulator(driven, threads=1).run(STEPS, {"in": events}, targets)
        assert_same(found.y["out"], wanted.y["out"])


def test_a_run_is_the_same_in_pieces_and_as_a_sample() -> None:
    events, currents, _ = (part[0] for part in given(1))
    whole, pieces, long = (ep.Simulator(network(NEURONS["ALIF"](), PLUS), threads=1) for _ in range(3))
    found = whole.run(STEPS, {"in": events, "rec": currents})
    parts = [pieces.run(b - a, {"in": events[a:b], "rec": currents[a:b]}).y["out"] for a, b in ((0, 13), (13, STEPS))]
    assert_same(np.concatenate(parts), found.y["out"])
    assert_same(long.run(STEPS, {"in": events, "rec": currents}, interval=10.0).y["out"], found.y["out"][9::10])
    fresh = ep.Simulator(network(NEURONS["ALIF"](), PLUS), threads=1)
    evaluated = fresh.evaluate(fresh.samples(1, STEPS, {"in": events[None], "rec": currents[None]}))
    assert_close(evaluated.y[0], found.y["out"], 1e-12)


def test_parts_of_a_training_take_the_currents() -> None:
    whole, parts = (ep.Simulator(network(NEURONS["CurrentLIF"]()), threads=1) for _ in range(2))
    samples = samples_of(whole)
    rollout = parts.lanes(samples)
    y = rollout.y.copy()
    assert_same(rollout.replay(), y)
    rollout.learn(rollout.backward())
    result = whole.train(samples)
    assert_same(result.y, y)
    assert_same(weights_of(parts), weights_of(whole))
    few = samples[[2, 0]]
    assert_same(few.currents["rec"], samples.currents["rec"][[2, 0]])
    assert_same(whole.evaluate(few).y, whole.evaluate(samples).y[[2, 0]])
    assert "currents into 'rec'" in repr(samples)


def trained(rule: ep.Rule, **options: Any) -> dict[str, np.ndarray]:
    sim = ep.Simulator(network(NEURONS["CurrentLIF"](), rule), **options)
    for seed in range(2):
        result = sim.train(samples_of(sim, seed))
    return weights_of(sim) | {"y": result.y, "evaluated": sim.evaluate(samples_of(sim)).y}


@pytest.mark.parametrize("rule", [EPROP, PLUS], ids=["e-prop", "e-prop+"])
def test_no_division_changes_a_bit(rule: ep.Rule) -> None:
    wanted = trained(rule, threads=1)
    assert_same(trained(rule, threads=2, partitions=3), wanted)
    for found in on_ranks(2, lambda comm: trained(rule, threads=1, comm=comm)):
        assert_same(found, wanted)


def test_replicas_divide_the_currents_of_samples() -> None:
    wanted = trained(EPROP, threads=1)
    for found in on_ranks(2, lambda comm: trained(EPROP, threads=1, comm=comm)):
        assert_close(found["y"], wanted["y"], 1e-9)


def run(net: ep.Network, **inputs: Any) -> Callable[[], object]:
    return lambda: ep.Simulator(net, threads=1).run(3.0, inputs)


FLOATS = np.full((3, SIZES[1]), 0.1)
PLAIN = network(ep.LIF())
LEARNED = network(ep.LIF(tau_m=ep.Learned(12.0, low=2.0, high=100.0), v_th=0.6))


@refusals(
    (run(PLAIN, **{"in": np.full((3, 5), 0.5)}), ep.errors.InputError, "name of a population of neurons"),
    (run(PLAIN, rec=FLOATS[:2]), ep.errors.InputError, r"currents into 'rec' must have shape \(3, 7\)"),
    (run(PLAIN, rec=FLOATS * np.nan), ep.errors.InputError, "currents into 'rec' hold values that are not finite"),
    (
        run(PLAIN, rec=FLOATS > 0.0),
        ep.errors.InputError,
        "must be numbers, got True and False; spikes need an EventSource",
    ),
    (run(PLAIN, out=FLOATS), ep.errors.InputError, "no event source named 'out'"),
    (run(network(ep.DeltaLIF(ref_input=True)), rec=FLOATS), ep.errors.InputError, "DeltaLIF of 'rec' takes no current"),
    (run(LEARNED, rec=FLOATS), ep.errors.InputError, r"depends on rec\.tau_m, which learns"),
    (
        lambda: ep.Simulator(PLAIN, threads=1).lanes(2).step({"rec": FLOATS}),
        ep.errors.InputError,
        "lanes take no currents",
    ),
)
def test_what_is_no_current_is_refused(refusal: Refusal) -> None:
    refusal.check()
