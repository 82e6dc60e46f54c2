"""Synapses that move while a network runs on and learns: e-prop+, reward, pairs of spikes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import eprop as ep
from compare import assert_close
from eprop.checks import time_driven
from eprop.engine.build.neurons import present_neurons
from eprop.engine.state import weights
from eprop.network.rewiring import GROW, SILENT, SILENT_RATE
from eprop.reference import Connections, FeedbackConnections, Stimulus, TimeDriven

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]

N_IN, N_REC, STEPS, PARTS = 14, 9, 60, 3
NAMES = ("in->rec", "rec->rec")
MOVES = ep.Rewiring(every=STEPS, fraction=0.4, grow="random")
LIF = ep.LIF(tau_m=12.0, v_th=0.5)
ALIF = ep.ALIF(tau_m=12.0, v_th=0.5, beta=0.3, tau_adapt=40.0)
DESCENT, ADAM = ep.GradientDescent(3e-4), ep.Adam(3e-3, epsilon=1e-2)
REWARD = ep.RewardTrace(tau=40.0, cutoff=60.0)


def plus(optimizer: Any = DESCENT, **options: Any) -> ep.EPropPlus:
    return ep.EPropPlus(optimizer=optimizer, **{"c_reg": 0.01, "cutoff": 30.0} | options)


#: Neuron, rule and delay: every way in which synapses keep their state.
CASES: dict[str, tuple[Any, Any, Any]] = {
    "descent": (LIF, plus(), 1.0),
    "two kappas, long cutoff": (LIF, plus(kappa=0.9, kappa_reg=0.8, cutoff=200.0), ep.Uniform(1.0, 5.0)),
    "adaptation, Adam": (ALIF, plus(ADAM), 1.0),
    "each its own": (LIF.replace(tau_m=ep.Uniform(8.0, 25.0)), plus(), ep.Uniform(1.0, 5.0)),
    "adaptation, each its own": (ALIF.replace(tau_m=ep.Uniform(9.0, 15.0)), plus(), 1.0),
    "reward": (LIF, plus(ep.GradientDescent(2e-5), reward=REWARD), 1.0),
    "adaptation, reward, Adam": (ALIF, plus(ADAM, reward=REWARD), ep.Uniform(1.0, 5.0)),
    "two filters": (ep.CurrentLIF(tau_m=12.0, tau_syn=3.0, c_m=2.0, v_th=0.6), plus(ep.GradientDescent(1e-4)), 1.0),
}
STDP = ep.STDP(rate=0.05, w_max=1.0)


def network(
    neuron: Any = LIF, rule: Any = None, delay: Any = 1.0, rewiring: Any = MOVES, seed: int = 5, **options: Any
) -> ep.Network:
    net = ep.Network(seed=seed)
    x = net.add(ep.EventSource(), N_IN, "in", excitatory=0.6)
    rec = net.add(neuron, N_REC, "rec", excitatory=0.6)
    out = net.add(ep.Readout(tau_m=20.0), 2, "out")
    rule = rule or plus()
    weight = ep.Uniform(0.1, 0.6) if rule is STDP else ep.Normal(0.15, 0.3)
    given = {"weight": weight, "rule": rule, "delay": delay, "rewiring": rewiring} | options
    net.connect(x, rec, ep.FixedIndegree(5), **given)
    net.connect(rec, rec, ep.Bernoulli(0.4), **given)
    net.connect(rec, out, weight=ep.Normal(0.0, 0.5), rule=None if rule is STDP else rule)
    net.feedback(out, rec, ep.RandomFeedback())
    return net


def stimuli(rule: Any, n: int = PARTS) -> list[Stimulus]:
    rng, found = np.random.default_rng(1), []
    for _ in range(n):
        reward = rng.normal(0.3, 1.0, STEPS) if getattr(rule, "reward", None) else None
        spikes, target = rng.random((STEPS, N_IN)) < 0.1, rng.normal(size=(STEPS, 2))
        found.append(Stimulus(STEPS, {"in": spikes}, {"out": target}, np.ones(STEPS), reward=reward))
    return found


def learn(sim: ep.Simulator, given: Stimulus) -> np.ndarray:
    reward = {} if given.reward is None else {"reward": given.reward}
    return sim.run(float(given.steps), given.spikes, given.targets, **reward).y["out"]


def keys_of(c: Connections) -> list[tuple[float, float, float]]:
    return list(zip(c.target.tolist(), c.source.tolist(), c.delay.tolist(), strict=True))


def connections_of(sim: ep.Simulator) -> dict[str, Connections]:
    return {p.name: Connections(*sim.connections(p), sim.delays(p)) for p in sim.network.projections}


def pairs_of(sim: ep.Simulator, name: str) -> set[tuple[int, int]]:
    sources, targets, _ = sim.connections(name)
    return set(zip(sources.tolist(), targets.tolist(), strict=True))


def all_of(seen: list[dict[str, Connections]], name: str) -> Connections:
    """All connections that a projection ever had, with their first weights."""
    keys = sorted({key for one in seen for key in keys_of(one[name])})
    first = dict(zip(keys_of(seen[0][name]), seen[0][name].weight, strict=True))
    target, source, delay = map(np.array, zip(*keys, strict=True))
    return Connections(source, target, np.array([first.get(key, 0.0) for key in keys]), delay)


def reference_of(sim: ep.Simulator, union: dict[str, Connections]) -> TimeDriven:
    (f,), ones = sim.network.feedback_projections, np.ones((N_REC, 2))
    feedback = FeedbackConnections(sim.feedback_weights(f.pre, f.post), ones, ones.astype(bool))
    models = present_neurons(sim, sim.network.population("rec"))
    few_bits = time_driven(ep.Simulator(sim.network, threads=1)).few_bits
    return TimeDriven(sim.network, union, {"rec": models}, {f.name: feedback}, few_bits)


SIGNS, BITS = (None, "source"), (None, ep.FixedPoint(9), ep.FixedPoint(6, rounding="nearest"))


@pytest.mark.parametrize("case", CASES)
def test_the_engine_equals_the_reference(case):
    """New synapses begin with the last spike of their source, whatever a synapse keeps."""
    k = [*CASES].index(case)
    check_moves(CASES[case], SIGNS[k % 2], BITS[k % 3], GROW[k // 3 % 2])


def check_moves(case: tuple[Any, Any, Any], sign: Any, bits: Any, grow: Any, seed: int = 5) -> None:
    """The outputs of the engine equal those of the reference, which is told which synapses there are."""
    neuron, rule, delay = case
    options = {"rewiring": MOVES.replace(grow=grow), "sign": sign, "precision": bits}
    sim = ep.Simulator(network(neuron, rule, delay, seed=seed, **options), threads=1)
    given_, outputs, seen = stimuli(rule), [], [connections_of(sim)]
    for one in given_:
        outputs.append(learn(sim, one))
        seen.append(connections_of(sim))
    union = {name: all_of(seen, name) for name in seen[0]}
    stepped = reference_of(sim, union)
    for one, y, before in zip(given_, outputs, seen, strict=False):
        for name in NAMES:
            have = set(keys_of(before[name]))
            stepped.set_present(name, [key in have for key in keys_of(union[name])])
        assert_close(stepped.run(one).y, y, 1e-9, "y")
    assert sum(sim.moved(name).total for name in NAMES) > 50


@pytest.mark.parametrize("name", NAMES)
def test_targets_drop_their_smallest_weights(name):
    moving, fixed = (ep.Simulator(network(rewiring=r), threads=1) for r in (MOVES, None))
    (given,) = stimuli(plus(), 1)
    for sim in (moving, fixed):
        learn(sim, given)
    sources, targets, found = fixed.connections(name)
    after = pairs_of(moving, name)
    assert len(after) == sources.size
    assert name == "in->rec" or all(i != j for i, j in after)
    moved = 0
    for j in range(N_REC):
        own = np.flatnonzero(targets == j)
        gone = {(int(sources[k]), j) for k in own} - after
        assert len(gone) <= int(0.4 * own.size + 0.5)
        moved += len(gone)
        weakest = own[np.argsort(np.abs(found[own]))[: len(gone)]]
        assert gone == {(int(sources[k]), j) for k in weakest}
    assert moved >= N_REC
    kept = dict(zip(zip(sources.tolist(), targets.tolist(), strict=True), found, strict=True))
    now = moving.connections(name)
    wanted = [kept.get(pair, 0.0) for pair in zip(now[0].tolist(), now[1].tolist(), strict=True)]
    np.testing.assert_allclose(now[2], wanted, rtol=0.0, atol=1e-15)


def silent_synapses(sim: ep.Simulator, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions, sources and targets of silent synapses."""
    (silent,) = (p for p in sim._arrays.network.projections if p.name == name + SILENT)
    order = weights.synapse_order(sim._arrays, silent.index)
    return order.where, order.sources, order.targets


def silent_of(sim: ep.Simulator, name: str) -> dict[tuple[int, int], float]:
    """Silent synapses and their gradients."""
    order, sources, targets = silent_synapses(sim, name)
    found = sim._arrays.effective_weights()[order].astype(float)
    return dict(zip(zip(sources.tolist(), targets.tolist(), strict=True), found / -SILENT_RATE, strict=True))


def test_silent_synapses_have_the_gradients_of_the_reference_and_deliver_nothing():
    rule = plus(cutoff=200.0)  # the reference would apply gradients later than at the cutoff
    sim = ep.Simulator(network(rule=rule, rewiring=MOVES.replace(grow="gradient", every=1000)), threads=1)
    plain = ep.Simulator(network(rule=rule, rewiring=None), threads=1)
    (given,), own, net = stimuli(rule, 1), connections_of(sim), sim._arrays.network
    assert sim.n_synapses() == plain.n_synapses()
    with pytest.raises(ep.errors.NetworkError, match=r"there are: in->rec, rec->rec, rec->out$"):
        sim.weights("in->rec" + SILENT)
    for name in NAMES:
        _, sources, targets = silent_synapses(sim, name)
        own[name + SILENT] = Connections(sources, targets, np.zeros(sources.size), np.ones(sources.size))
    (f,), ones = net.feedback_projections, np.ones((N_REC, 2))
    feedback = FeedbackConnections(sim.feedback_weights(f.pre, f.post), ones, ones.astype(bool))
    stepped = TimeDriven(net, own, feedback={f.name: feedback})
    stepped.run(given)
    np.testing.assert_array_equal(learn(sim, given), learn(plain, given))
    for name in NAMES:
        found = np.array(list(silent_of(sim, name).values()))
        assert np.abs(found).max() > 1e-3
        assert_close(found, stepped.weights_of(name + SILENT) / -SILENT_RATE, 1e-9, name)


def test_schedules_of_learning_rates_do_not_change_gradients_of_silent_synapses():
    still = plus(ep.GradientDescent(1e-40))  # all networks have the same weights, and so the same spikes
    grow = MOVES.replace(grow="gradient", every=1000)
    plain, scaled = (ep.Simulator(network(rule=still, rewiring=grow), threads=1) for _ in range(2))
    for given, factor in zip(stimuli(still, 2), (3.0, 0.0), strict=True):
        scaled.scale_learning_rates(factor)
        np.testing.assert_array_equal(learn(scaled, given), learn(plain, given))
    for name in NAMES:
        assert silent_of(scaled, name) == silent_of(plain, name)
        assert max(map(abs, silent_of(scaled, name).values())) > 1e-3


@pytest.mark.parametrize(("rule", "grow"), [(plus(), "gradient"), (plus(), "random"), (STDP, "random")])
def test_no_synapse_moves_at_a_factor_of_zero(rule, grow):
    sim = ep.Simulator(network(rule=rule, rewiring=MOVES.replace(grow=grow)), threads=1)
    before, (first, second) = [pairs_of(sim, name) for name in NAMES], stimuli(rule, 2)
    sim.scale_learning_rates(0.0)
    learn(sim, first)
    assert [pairs_of(sim, name) for name in NAMES] == before
    sim.scale_learning_rates(1.0)
    learn(sim, second)
    assert all(pairs_of(sim, name) != old for name, old in zip(NAMES, before, strict=True))


@pytest.mark.parametrize("sign", [None, "source"])
def test_synapses_grow_where_silent_ones_have_the_largest_gradient(sign):
    grow = MOVES.replace(grow="gradient", candidates=3.0)
    moving, fixed = (ep.Simulator(network(rewiring=grow.replace(every=n), sign=sign), threads=1) for n in (STEPS, 1000))
    (given,) = stimuli(plus(), 1)
    np.testing.assert_array_equal(learn(moving, given), learn(fixed, given))
    for name in NAMES:
        before, candidates = pairs_of(fixed, name), silent_of(fixed, name)
        grown = pairs_of(moving, name) - before
        assert grown <= candidates.keys()
        assert not candidates.keys() <= silent_of(moving, name).keys()
        signs = fixed.network.projection(name).pre.signs
        for j in range(N_REC):
            gain = {
                pair: abs(g) if sign is None else -g * signs[pair[0]]
                for pair, g in candidates.items()
                if pair[1] == j and pair not in before
            }
            taken = [gain[pair] for pair in grown if pair[1] == j]
            assert sorted(taken) == sorted(gain.values())[len(gain) - len(taken) :]
        assert len(grown) == moving.moved(name).last > 0


def test_moving_synapses_cannot_be_recorded_while_they_learn():
    sim = ep.Simulator(network(), threads=1)
    with pytest.raises(
        ep.errors.InputError, match="synapses of in->rec move while the network learns, so that no weight"
    ):
        sim.run(10.0, record=[("in->rec", "weight")])
    assert sim.run(10.0, record=[("in->rec", "weight")], learn=False).traces["in->rec", "weight"].shape == (10, 45)


@pytest.mark.parametrize("precision", ["single", "double"])
def test_numbers_of_any_type_move_with_their_synapse(precision):
    """When a synapse was made, in steps, has eight bytes also in single precision; no step is too late for them."""
    late = STEPS * 2**30
    sim, given = ep.Simulator(network(rule=plus(ADAM)), threads=1, partitions=2, precision=precision), stimuli(None)
    sim._arrays.learned_steps = late
    born = sim._arrays.moves.born
    born[:] = 2**32 + 7 * np.arange(born.size)

    def born_of(name):
        return dict(
            zip(keys_of(connections_of(sim)[name]), late + sim._arrays.online.t - sim.moved(name).ages, strict=True)
        )

    for one in given[:2]:
        before = {name: born_of(name) for name in NAMES}
        learn(sim, one)
        for name in NAMES:
            after = born_of(name)
            kept = before[name].keys() & after.keys()
            assert 0 < len(kept) < len(after)
            assert all(after[key] == before[name][key] for key in kept)
            assert all(after[key] == late + sim._arrays.online.t for key in after.keys() - kept)
