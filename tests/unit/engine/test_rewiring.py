"""Synapses that move: which ones, where to, and what stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import eprop as ep
from eprop.checks import time_driven
from eprop.checks.reference_input import stimuli_of
from eprop.errors import InputError
from eprop.reference import Connections, FeedbackConnections, TimeDriven
from ranks_in_threads import on_ranks
from refusals import each_row, refusals

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]

N_IN, N_REC, STEPS = 30, 12, 40
RULE = ep.EProp(optimizer=ep.Adam(0.02), c_reg=1.0)
MOVES = ep.Rewiring(every=1, fraction=0.3)


def network(
    rewiring: Any = MOVES, *, delay: Any = None, sign: Any = None, rule: Any = RULE, readout: Any = None
) -> ep.Network:
    net = ep.Network(seed=5)
    x = net.add(ep.EventSource(), N_IN, "in", excitatory=0.6)
    rec = net.add(ep.LIF(tau_m=20.0, v_th=0.5), N_REC, "rec", excitatory=0.5)
    out = net.add(readout or ep.Readout(), 2, "out")
    options = {"rule": rule, "rewiring": rewiring, "sign": sign}
    net.connect(x, rec, ep.FixedIndegree(10), weight=ep.Normal(0.2, 0.4), **options)
    net.connect(rec, rec, ep.Bernoulli(0.4), weight=ep.Normal(0.0, 0.4), delay=delay, **options)
    net.connect(rec, out, weight=ep.Normal(0.0, 0.5), rule=RULE)
    net.feedback(out, rec, ep.RandomFeedback())
    return net


def samples_of(sim: ep.Simulator, n: int = 3, seed: int = 0) -> ep.engine.Samples:
    rng = np.random.default_rng(seed)
    return sim.samples(n, STEPS, {"in": rng.random((n, STEPS, N_IN)) < 0.1}, {"out": rng.normal(size=(n, STEPS, 2))})


def pairs_of(sim: ep.Simulator, name: str) -> list[tuple[int, int]]:
    sources, targets, _ = sim.connections(name)
    return list(zip(sources.tolist(), targets.tolist(), strict=True))


def absent_pairs(sim: ep.Simulator, name: str) -> np.ndarray:
    """All absent connections (pairs, 2) without autapses."""
    n_pre, same = (N_IN, False) if name == "in->rec" else (N_REC, True)
    have = set(pairs_of(sim, name))
    free = [(i, j) for j in range(N_REC) for i in range(n_pre) if (i, j) not in have and not (same and i == j)]
    return np.array(free)


def absent_gradients(
    sim: ep.Simulator, samples: ep.engine.Samples, name: str, pairs: Any, delays: Any = 1.0
) -> np.ndarray:
    """Gradients (pairs,) of absent connections by the reference: of the same network with these synapses, of weight 0."""
    own = {p.name: Connections(*sim.connections(p), sim.delays(p)) for p in sim.network.projections}
    have, pairs = own[name], np.asarray(pairs)
    more = Connections(
        np.append(have.source, pairs[:, 0]), np.append(have.target, pairs[:, 1]),
        np.append(have.weight, np.zeros(len(pairs))), np.append(have.delay, np.broadcast_to(delays, len(pairs))),
    )  # fmt: skip
    (f,), ones = sim.network.feedback_projections, np.ones((N_REC, 2))
    feedback = FeedbackConnections(sim.feedback_weights(f.pre, f.post), ones, ones.astype(bool))
    stepped = TimeDriven(sim.network, own | {name: more}, feedback={f.name: feedback})
    names = list(own)
    first = sum(own[each].weight.size for each in names[: names.index(name) + 1])
    stimuli = stimuli_of(sim.network, samples)
    return np.mean([stepped.gradient(each)[0][first : first + len(pairs)] for each in stimuli], axis=0)


@pytest.mark.parametrize("grow", ["gradient", "random"])
def test_targets_drop_their_smallest_weights_and_grow_where_the_gradient_is_largest(grow):
    moving, fixed = (ep.Simulator(network(r), threads=1) for r in (MOVES.replace(grow=grow), None))
    samples = samples_of(moving)
    before = {name: set(pairs_of(fixed, name)) for name in ("in->rec", "rec->rec")}
    gradients = {name: absent_gradients(fixed, samples, name, absent_pairs(fixed, name)) for name in before}
    free = {name: absent_pairs(fixed, name) for name in before}
    fixed.train(samples)
    moving.train(samples)
    for name in before:
        sources, targets, weights = fixed.connections(name)
        after = set(pairs_of(moving, name))
        assert len(after) == sources.size
        for j in range(N_REC):
            own = np.flatnonzero(targets == j)
            n = int(0.3 * own.size + 0.5)
            dropped = {(int(sources[k]), j) for k in own[np.argsort(np.abs(weights[own]))[:n]]}
            assert {pair for pair in before[name] - after if pair[1] == j} == dropped
            grown = {pair for pair in after - before[name] if pair[1] == j}
            mine = np.flatnonzero(free[name][:, 1] == j)
            if grow == "gradient":  # some are equal: sources that were silent
                size = np.abs(gradients[name][mine])
                gained = size[[tuple(pair) in grown for pair in free[name][mine].tolist()]]
                np.testing.assert_allclose(np.sort(gained), np.sort(size)[size.size - n :], rtol=1e-9, atol=1e-12)
            assert len(grown) == n
        kept = dict(zip(zip(sources.tolist(), targets.tolist(), strict=True), weights, strict=True))
        wanted = [kept[pair] if pair in before[name] else 0.0 for pair in pairs_of(moving, name)]
        np.testing.assert_array_equal(moving.connections(name)[2], wanted)


@pytest.mark.parametrize("grow", ["gradient", "random"])
def test_no_synapse_moves_at_a_factor_of_zero(grow):
    sim = ep.Simulator(network(MOVES.replace(grow=grow)), threads=1)
    before = pairs_of(sim, "in->rec")
    for factor in (0.0, 1.0):
        sim.scale_learning_rates(factor)
        sim.train(samples_of(sim))
        assert (pairs_of(sim, "in->rec") == before) is (factor == 0.0)


def test_new_synapses_have_no_moments_and_the_others_keep_theirs():
    moving, fixed = (ep.Simulator(network(r), threads=1) for r in (MOVES.replace(every=3), None))
    samples = samples_of(moving)
    for _ in range(3):
        moving.train(samples)
        fixed.train(samples)
    now, then, offset = moving.state(), fixed.state(), 0
    for name in ("in->rec", "rec->rec"):
        old, new = pairs_of(fixed, name), pairs_of(moving, name)
        for moment in ("synapses/moment_1", "synapses/moment_2"):
            kept = dict(zip(old, then[moment][offset : offset + len(old)], strict=True))
            wanted = [kept.get(pair, 0.0) for pair in new]
            np.testing.assert_array_equal(now[moment][offset : offset + len(new)], wanted)
        offset += len(old)
        assert moving.moved(name).turnover == np.mean([pair not in set(old) for pair in new])
        assert set(moving.moved(name).ages) == {0, 3}


@pytest.mark.parametrize("sign", ["source", "fixed"])
def test_deep_r_drops_what_has_reached_zero_and_keeps_signs(sign):
    deep_r = ep.Rewiring(every=2, grow="random", drop="sign", l1=0.01, noise=0.02)
    sim = ep.Simulator(network(deep_r, sign=sign, delay=ep.Uniform(1.0, 3.0)), threads=1)
    samples = samples_of(sim)
    for _ in range(4):
        sim.train(samples)
        before = {name: sim.connections(name) for name in ("in->rec", "rec->rec")}
    for name, (_, _, weights) in before.items():
        assert sim.moved(name).total > 0
        assert sim.moved(name).last == (sim.moved(name).ages == 0).sum() == (weights == 0.0).sum()
        if sign == "source":
            population = sim.network.projection(name).pre
            assert (np.sign(weights) * population.signs[before[name][0]] >= 0.0).all()


def test_noise_and_shrinkage_act_on_every_weight():
    quiet = ep.Rewiring(every=1000, l1=0.05, noise=0.0)
    weights = {}
    for name, rewiring in {"none": None, "l1": quiet, "noise": quiet.replace(l1=0.0, noise=0.1)}.items():
        sim = ep.Simulator(network(rewiring), threads=1)
        sim.train(samples_of(sim))
        weights[name] = sim.connections("in->rec")[2]
    shrunk = np.copysign(np.maximum(np.abs(weights["none"]) - 0.05, 0.0), weights["none"])
    np.testing.assert_allclose(weights["l1"], shrunk, atol=1e-12)
    noise = weights["noise"] - weights["none"]
    assert abs(noise.mean()) < 0.03
    assert 0.08 < noise.std() < 0.12


def test_the_share_falls_to_zero_by_a_cosine():
    rewiring = ep.Rewiring(fraction=0.4)
    assert rewiring.share(50) == 0.4
    assert rewiring.share(60, (10, 110)) == pytest.approx(0.2)
    assert rewiring.share(110, (10, 110)) == 0.0
    assert rewiring.replace(until=50).share(50, (0, 100)) == 0.0
    sim = ep.Simulator(network(MOVES), threads=1)
    sim.plan_rewiring(4)  # until three quarters
    for _ in range(4):
        sim.train(samples_of(sim))
    ages = sim.moved("in->rec").ages
    assert ages[ages < 4].min() == 2


def test_a_state_belongs_to_connections_that_move_or_stay():
    moving, fixed = (ep.Simulator(network(rewiring), threads=1) for rewiring in (MOVES, None))
    with pytest.raises(InputError, match="it was built without rewiring="):
        moving.set_state(fixed.state())
    fixed.set_state(moving.state())  # nothing has moved yet
    moving.train(samples_of(moving))
    with pytest.raises(InputError, match="its synapses have moved; build the network with rewiring="):
        fixed.set_state(moving.state())


def test_the_engine_equals_the_reference_after_synapses_have_moved():
    sim = ep.Simulator(network(MOVES, delay=ep.Uniform(1.0, 4.0)), threads=1)
    samples = samples_of(sim)
    for _ in range(3):
        sim.train(samples)
    stepped = time_driven(sim)
    gradients = np.mean([stepped.gradient(stimulus)[0] for stimulus in stimuli_of(sim.network, samples)], axis=0)
    np.testing.assert_allclose(
        np.concatenate(list(sim.lanes(samples).backward().values())), gradients, rtol=1e-9, atol=1e-12
    )
    events = sim.evaluate(samples).events
    other = ep.Simulator(network(MOVES, delay=ep.Uniform(1.0, 4.0)), threads=1, partitions=2)
    other.set_state(sim.state())
    assert other.evaluate(samples).events == events


def test_learning_in_lanes_warns_that_synapses_stay():
    sim = ep.Simulator(network(), threads=1)
    lanes = sim.lanes(2)
    y = lanes.step({"in": np.zeros((2, N_IN))})
    with pytest.warns(
        UserWarning, match="learn: synapses of in->rec, rec->rec do not move: of EProp only Simulator.train"
    ):
        lanes.learn(lanes.backward(y[:, None]))
    assert sim.updates == 1
    assert sim.moved("in->rec").total == 0


def test_lanes_of_other_connections_are_refused():
    sim = ep.Simulator(network(), threads=1)
    samples = samples_of(sim)
    lanes, rollout = sim.lanes(2), sim.lanes(samples)
    sim.train(samples)
    with pytest.raises(ep.errors.InputError, match="connections have moved since"):
        lanes.step({"in": np.zeros((2, N_IN))})
    with pytest.raises(ep.errors.InputError, match="connections have moved since"):
        rollout.backward()
    with pytest.raises(ep.errors.InputError, match="connections have moved since"):
        rollout.forward(samples)


@pytest.mark.parametrize(
    "rule",
    [
        ep.Bernoulli(0.3),
        ep.FixedTotalNumber(80),
        ep.FixedIndegree(5, multapses=True),
        ep.DistanceDependent(0.9, 0.2, "box"),
    ],
)
@pytest.mark.parametrize("candidates", [None, 2.0])
def test_connection_rules_say_which_pairs_are_possible(rule, candidates):
    net = ep.Network(seed=3)
    rec = net.add(ep.LIF(v_th=0.4), 40, "rec", positions=np.linspace(0.0, 1.0, 40)[:, None])
    x, out = net.add(ep.PoissonSource(rate=200.0), 40, "in"), net.add(ep.Readout(), 1, "out")
    net.connect(x, rec, ep.OneToOne(), weight=0.6)
    moves = MOVES.replace(candidates=candidates)
    p = net.connect(rec, rec, rule, weight=ep.Normal(0.0, 0.2), rule=RULE, rewiring=moves, name="moving")
    net.connect(rec, out)
    net.feedback(out, rec)
    sim = ep.Simulator(net, threads=1)
    samples = sim.samples(2, STEPS, targets={"out": np.ones((2, STEPS, 1))})
    before, _, _ = degrees = sim.connections(p)
    repeats = len(before) - len(set(pairs_of(sim, "moving")))
    for _ in range(5):
        sim.train(samples)
    sources, targets, _ = sim.connections(p)
    assert sim.moved(p).total > 0
    np.testing.assert_array_equal(targets, degrees[1])
    assert (sources != targets).all()
    assert len(sources) - len(set(pairs_of(sim, "moving"))) <= repeats
    if isinstance(rule, ep.DistanceDependent):
        assert (np.abs(sources - targets) <= 0.2 * 39 + 1e-9).all()


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_share_that_rounds_to_none_is_told(ranks):
    def build(comm=None, fraction=0.02):
        ep.Simulator(network(ep.Rewiring(fraction=fraction)), threads=1, comm=comm)

    with pytest.warns(
        UserWarning, match="no synapse moves, because Rewiring.fraction=0.02. of the (10|7) synapses of a target"
    ) as told:
        on_ranks(ranks, build) if ranks > 1 else build()
    assert [str(one.message).split(":")[0] for one in told] == ["in->rec", "rec->rec"]
    build(fraction=0.08)  # of ten, and of seven


SIM = ep.Simulator(network(None, delay=ep.Uniform(1.0, 2.0)), threads=1)


def connect(*, pre: str = "in", post: str = "rec", connectivity: Any = None, **options: Any) -> Any:
    net = network(None)
    rule = {"rule": RULE, "rewiring": MOVES} | options
    return lambda: net.connect(pre, post, connectivity or ep.FixedIndegree(3), name="new", **rule)


@refusals(
    *each_row([
        (lambda: ep.Rewiring(every=0), "Rewiring.every must be >= 1, got 0"),
        (lambda: ep.Rewiring(fraction=1.5), "Rewiring.fraction must be <= 1, got 1.5"),
        (lambda: ep.Rewiring(grow="slowly"), "grow must be one of gradient, random, got 'slowly'"),
        (lambda: ep.Rewiring(drop="all"), "drop must be one of weight, sign, got 'all'"),
    ], lambda call: call(), ep.errors.ParameterError),
    *each_row([
        (connect(rewiring=3), r"rewiring must be a Rewiring, such as ep.Rewiring\(every=25\), got 3"),
        (connect(rule=ep.Static()), "Rewiring needs synapses that learn, and Static does not"),
        (connect(rule=ep.STDP()), r'STDP has no gradient; take Rewiring\(grow="random"\)'),
        (connect(rule=ep.EPropPlus(), rewiring=MOVES.replace(l1=0.1)),
         "acts after mini-batches of e-prop, and EPropPlus has none; leave out both, or take rule=ep.EProp()"),
        (connect(rule=ep.EPropPlus(each_step=True)),
         "steps of the optimiser are owed when synapses move; leave out each_step or rewiring"),
        (connect(pre="rec", post="out"), "synapses onto readouts do not move, because feedback follows them"),
        (connect(connectivity=ep.AllToAll()), "does not fit AllToAll: all connections are there already"),
        (connect(pre="rec", connectivity=ep.OneToOne()), "does not fit OneToOne: each node has one"),
        (connect(connectivity=ep.FixedOutdegree(3)), "does not fit FixedOutdegree: the number of targets"),
        (connect(connectivity=ep.Explicit(sources=[0], targets=[1])), "given connections do not say"),
        (connect(rewiring=MOVES.replace(drop="sign")), 'give sign="fixed" or sign="source", or take drop="weight"'),
    ], lambda call: call(), ep.errors.NetworkError),
    (lambda: SIM.plan_rewiring(0), ep.errors.InputError, "plan_rewiring: updates must be a whole number >= 1, got 0"),
    (lambda: SIM.moved("no"), ep.errors.NetworkError, "no projection 'no'"),
)  # fmt: skip
def test_bad_arguments_are_refused(refusal):
    refusal.check()


def test_a_damaged_state_is_refused():
    sim = ep.Simulator(network(), threads=1)
    state = sim.state()
    for name, value, words in (
        ("wiring/source", N_IN, "come from nodes, or have delays, that do not exist"),
        ("wiring/group", 7, "come from nodes, or have delays, that do not exist"),
    ):
        damaged = state | {name: state[name].copy()}
        damaged[name][0] = value
        with pytest.raises(ep.errors.InputError, match=words):
            sim.set_state(damaged)
    damaged = state | {"wiring/source": state["wiring/source"].copy()}
    damaged["wiring/source"][-1] -= 1
    with pytest.raises(ep.errors.InputError, match="connections of rec->out have moved, which has no rewiring"):
        sim.set_state(damaged)
