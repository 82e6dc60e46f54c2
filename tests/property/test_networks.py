"""Networks that the reference does not know, each held against one that must do the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

import eprop as ep
from networks import (
    PROJECTIONS,
    Case,
    case,
    disagreement,
    run_engine_plus,
    run_reference_plus,
    samples_of,
    stimuli,
    two_threads,
)
from strategies import SEEDS, examples, st

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]

TOLERANCE = 1e-10  # see test_time_driven.py
PLUS = ep.EPropPlus(optimizer=ep.GradientDescent(2e-3), c_reg=0.05, cutoff=20.0)
SAMPLE = ep.EProp(optimizer=ep.GradientDescent(2e-2), c_reg=0.5)
RULES = [PLUS, SAMPLE]
NAMES = ["e-prop+", "e-prop"]


def learn(net: ep.Network, c: Case, inputs: dict, targets: dict, record=()) -> tuple[ep.Simulator, ep.Recording]:
    """Run a network once with the stimulus, learning."""
    sim = ep.Simulator(net, threads=1)
    return sim, sim.run(len(c.inputs) * net.dt, inputs, targets, c.window, record=record)


# --------------------------------------------------------------------------------------- several populations


@pytest.mark.parametrize("partitions", [1, 3])
@examples(0.1)
@given(seed=SEEDS)
def test_two_populations_are_one_cut_in_two(seed, partitions):
    """Two populations of neurons and two of readouts, all connected, are the reference's network in parts."""
    c = case(seed, PLUS, steps=100, sizes=(5, 7, 4), rate=0.15)
    ref, history = run_reference_plus(c)
    sim, made = parted(c, partitions)
    record = [*((p, "v") for p in ("rec0", "rec1")), *((p.name, "weight") for p in sim.network.projections)]
    inputs = {"in": c.inputs}
    targets = {"out0": c.targets[:, :1], "out1": c.targets[:, 1:]}
    found = sim.run(100.0, inputs, targets, c.window, record=record)
    assert disagreement(np.hstack([found["rec0", "v"], found["rec1", "v"]]), ref.v) < TOLERANCE
    assert disagreement(np.hstack([found.y["out0"], found.y["out1"]]), ref.y) < TOLERANCE
    for projection, (name, rows, columns) in made.items():
        targets_of, sources_of, _ = (sim.connections(projection)[k] for k in (1, 0, 2))
        index = np.full(c.masks[name].shape, -1)  # of each synapse in the case's own projection
        index[np.nonzero(c.masks[name])] = np.arange(c.masks[name].sum())
        wanted = history[name][:, index[rows, columns][targets_of, sources_of]]
        emitted = c.inputs if name == "input" else ref.spikes[:, 5:]
        arrives = np.vstack([np.zeros((1, emitted.shape[1])), emitted[:-1]])[:, columns][:, sources_of] > 0
        assert disagreement(found[projection, "weight"][arrives], wanted[arrives]) < TOLERANCE


def parted(c: Case, partitions: int) -> tuple[ep.Simulator, dict]:
    """The case's network with neurons 0..2 and 3.., readouts 0 and 1.. in populations of their own."""
    net = ep.Network(dt=c.network.dt)
    by_name = {p.name: p for p in c.network.populations}
    x = net.add(ep.EventSource(), 5, "in")
    rec = [net.add(by_name["rec"].model, 3, "rec0"), net.add(by_name["rec"].model, 4, "rec1")]
    out = [net.add(by_name["out"].model, 1, "out0"), net.add(by_name["out"].model, 3, "out1")]
    neurons, readouts = [slice(0, 3), slice(3, 7)], [slice(0, 1), slice(1, 4)]
    ends = [("input", x, p, rows, slice(0, 5)) for p, rows in zip(rec, neurons, strict=True)]
    for pre, columns in zip(rec, neurons, strict=True):
        ends += [("recurrent", pre, p, rows, columns) for p, rows in zip(rec, neurons, strict=True)]
        ends += [("readout", pre, p, rows, columns) for p, rows in zip(out, readouts, strict=True)]
    made = {}
    for name, pre, post, rows, columns in ends:
        targets, sources = np.nonzero(c.masks[name][rows, columns])
        weights = c.weights[name][rows, columns][targets, sources]
        rule = ep.Explicit(sources=sources, targets=targets)
        made[net.connect(pre, post, rule, weight=weights, rule=PLUS).name] = name, rows, columns
    for p, rows in zip(rec, neurons, strict=True):
        for q, columns in zip(out, readouts, strict=True):
            net.feedback(q, p, ep.RandomFeedback(c.feedback[rows, columns]))
    return ep.Simulator(net, threads=1, partitions=partitions), made


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
@examples(0.1)
@given(seed=SEEDS)
def test_two_networks_in_one(rule, seed):
    """Two networks that do not touch, with neurons and readouts of different constants, do what each does alone."""
    original = rule is SAMPLE
    parts = [
        case(seed, rule, steps=80, sizes=(3, 5, 2), rate=0.2, tau_m=8.0, tau_out=15.0, original=original),
        case(seed + 1, rule, steps=80, sizes=(4, 3, 1), rate=0.2, tau_m=25.0, t_ref=2.0, e_l=-0.5, original=original),
    ]
    both = ep.Network()
    inputs, targets, names = {}, {}, []
    for k, c in enumerate(parts):
        made = {p.name: both.add(p.model, p.size, f"{p.name}{k}") for p in c.network.populations}
        for p in c.network.projections:
            rule_of = ep.Explicit(sources=p.connectivity.sources, targets=p.connectivity.targets)
            q = both.connect(made[p.pre.name], made[p.post.name], rule_of, weight=p.weight.values, rule=p.rule)
            names.append((k, p.name, q.name))
        both.feedback(made["out"], made["rec"], ep.RandomFeedback(c.feedback))
        inputs[f"in{k}"], targets[f"out{k}"] = c.inputs, c.targets
    record = [("rec0", "v"), ("rec1", "v")]
    together, found = learn(both, parts[0], inputs, targets, record)
    for k, c in enumerate(parts):
        alone, wanted = learn(c.network, c, {"in": c.inputs}, {"out": c.targets}, [("rec", "v")])
        # The length of a block of maps is that of the network's fastest trace: not the same bits, but the same numbers.
        assert disagreement(found[f"rec{k}", "v"], wanted["rec", "v"]) < TOLERANCE
        assert disagreement(found.y[f"out{k}"], wanted.y["out"]) < TOLERANCE
        for which, name, name_of_both in names:
            if which == k:
                assert disagreement(together.connections(name_of_both)[2], alone.connections(name)[2]) < TOLERANCE


# ---------------------------------------------------------------------------------------------------- delays


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
@examples(0.1)
@given(seed=SEEDS, delay=st.integers(2, 9), partitions=st.sampled_from([1, 3]))
def test_delay_of_inputs(rule, seed, delay, partitions):
    """A delay of ``d`` steps is a delay of one step and inputs that come ``d - 1`` steps later."""
    c = case(seed, rule, steps=100, sizes=(5, 6, 2), rate=0.2, original=rule is SAMPLE)
    late = np.vstack([np.zeros((delay - 1, 5)), c.inputs[: 1 - delay]])
    near, wanted = learn(c.network, c, {"in": late}, {"out": c.targets}, [("rec", "v")])
    far = ep.Simulator(delayed(c, {"in->rec": float(delay)}), threads=1, partitions=partitions)
    stimulus = {"in": c.inputs}, {"out": c.targets}, c.window
    found = far.run(len(c.inputs) * c.network.dt, *stimulus, record=[("rec", "v")])
    np.testing.assert_array_equal(found["rec", "v"], wanted["rec", "v"])
    for projection in PROJECTIONS.values():
        np.testing.assert_array_equal(far.connections(projection)[2], near.connections(projection)[2])


def delayed(c: Case, delays: dict[str, float]) -> ep.Network:
    """The case's network with other delays."""
    net = ep.Network(dt=c.network.dt)
    made = {p.name: net.add(p.model, p.size, p.name) for p in c.network.populations}
    for p in c.network.projections:
        rule = ep.Explicit(sources=p.connectivity.sources, targets=p.connectivity.targets)
        delay = delays.get(p.name, p.delay)
        net.connect(made[p.pre.name], made[p.post.name], rule, weight=p.weight.values, rule=p.rule, delay=delay)
    for f in c.network.feedback_projections:
        net.feedback(made[f.pre.name], made[f.post.name], f.kind)
    return net


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
@examples(0.1)
@given(seed=SEEDS, delay=st.integers(2, 4))
def test_delay_of_recurrent_spikes(rule, seed, delay):
    """A delay of ``d`` steps is ``d - 1`` relays on the way, which pass on each spike in the step it arrives."""
    c = case(seed, rule, steps=100, sizes=(5, 6, 2), rate=0.2, original=rule is SAMPLE)
    stimulus = {"in": c.inputs}, {"out": c.targets}
    far, wanted = learn(delayed(c, {"rec->rec": float(delay)}), c, *stimulus, [("rec", "v")])
    net = ep.Network()
    made = {p.name: net.add(p.model, p.size, p.name) for p in c.network.populations}
    # Forgets within a step, and spikes at each input: 0.5 <= 0.75 < 2 x 0.5.
    chain = [net.add(ep.LIF(tau_m=1e-3, v_th=0.5), 6, f"relay{k}") for k in range(delay - 1)]
    for pre, post in zip([made["rec"], *chain], chain, strict=False):
        net.connect(pre, post, ep.OneToOne(), weight=0.75)
    for p in c.network.projections:
        pre = chain[-1] if p.name == "rec->rec" else made[p.pre.name]
        rule_of = ep.Explicit(sources=p.connectivity.sources, targets=p.connectivity.targets)
        net.connect(pre, made[p.post.name], rule_of, weight=p.weight.values, rule=p.rule, name=p.name)
    net.feedback(made["out"], made["rec"], ep.RandomFeedback(c.feedback))
    near, found = learn(net, c, *stimulus, [("rec", "v")])
    assert disagreement(found["rec", "v"], wanted["rec", "v"]) < TOLERANCE
    for projection in PROJECTIONS.values():
        moved = near.connections(projection)[2]
        assert disagreement(moved, far.connections(projection)[2]) < TOLERANCE


def test_long_delays_are_kept_in_the_ring():
    """A delay much longer than the cutoff, and many spikes under way."""
    c = case(3, PLUS, steps=300, sizes=(5, 6, 2), rate=0.5)
    late = np.vstack([np.zeros((149, 5)), c.inputs[:-149]])
    near, wanted = learn(c.network, c, {"in": late}, {"out": c.targets}, [("rec", "v")])
    far, found = learn(delayed(c, {"in->rec": 150.0}), c, {"in": c.inputs}, {"out": c.targets}, [("rec", "v")])
    assert np.abs(wanted["rec", "v"][200:]).max() > 0.5
    np.testing.assert_array_equal(found["rec", "v"], wanted["rec", "v"])
    np.testing.assert_array_equal(far.connections("in->rec")[2], near.connections("in->rec")[2])


def test_delay_to_readouts_of_samples():
    """With e-prop, a delay of ``d`` steps to the readouts is a sample whose targets come ``d - 1`` steps earlier."""
    rule = ep.EProp(optimizer=ep.GradientDescent(2e-2))
    c = case(4, rule, steps=100, sizes=(5, 6, 2), rate=0.2, original=True)
    c.window[-3:] = 0.0
    near, far = ep.Simulator(c.network, threads=1), ep.Simulator(delayed(c, {"rec->out": 4.0}), threads=1)
    first = near.run(100.0, {"in": c.inputs}, {"out": c.targets}, c.window)
    early = np.roll(c.targets, 3, axis=0), np.roll(c.window, 3)
    second = far.run(100.0, {"in": c.inputs}, {"out": early[0]}, early[1])
    np.testing.assert_array_equal(second.y["out"][3:], first.y["out"][:-3])
    before = c.weights["input"][np.nonzero(c.masks["input"])]
    assert np.abs(near.connections("in->rec")[2] - before).max() > 1e-6
    for projection in PROJECTIONS.values():
        found, wanted = far.connections(projection)[2], near.connections(projection)[2]
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-14)


# ------------------------------------------------------------------------------------------ repeated connections


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
@examples(0.1)
@given(seed=SEEDS)
def test_multapses_are_twins(rule, seed):
    """Two connections of one pair learn as connections from two sources that always spike together."""
    c = case(seed, rule, steps=100, sizes=(4, 5, 2), rate=0.2, original=rule is SAMPLE)
    rng = np.random.default_rng(seed)
    sources, targets = rng.integers(4, size=30), rng.integers(5, size=30)
    weights = rng.normal(0.15, 0.3, 30) * (12.0 if rule is SAMPLE else 1.0)
    results = []
    for multapses in (True, False):
        net = ep.Network()
        made = {p.name: net.add(p.model, p.size, p.name) for p in c.network.populations}
        other = net.add(ep.EventSource(), 30, "twins")
        # All connections of a pair from one source, or each connection from a source of its own.
        rule_of = ep.Explicit(sources=sources if multapses else np.arange(30), targets=targets)
        pre = made["in"] if multapses else other
        net.connect(pre, made["rec"], rule_of, weight=weights, rule=rule, name="in->rec")
        recurrent = c.network.projection("rec->rec")
        pairs = ep.Explicit(sources=recurrent.connectivity.sources, targets=recurrent.connectivity.targets)
        net.connect(made["rec"], made["rec"], pairs, weight=recurrent.weight.values, rule=rule)
        net.connect(made["rec"], made["out"], weight=0.3, rule=rule)
        net.feedback(made["out"], made["rec"], ep.RandomFeedback(c.feedback))
        inputs = {"in": c.inputs, "twins": c.inputs[:, sources]}
        results.append(learn(net, c, inputs, {"out": c.targets}, [("rec", "v")]))
    (first, found), (second, wanted) = results
    assert disagreement(found["rec", "v"], wanted["rec", "v"]) < TOLERANCE
    # `connections` sorts by target, then source; the order of repetitions is theirs.
    for sim, of in ((first, sources), (second, np.arange(30))):
        assert sorted(sim.connections("in->rec")[0].tolist()) == sorted(of.tolist())
    for j in range(5):
        one = first.connections("in->rec")
        two = second.connections("in->rec")
        learned = np.sort(one[2][one[1] == j]), np.sort(two[2][two[1] == j])
        np.testing.assert_allclose(*learned, rtol=0, atol=1e-12 * np.abs(weights).max())
    assert np.any(np.sort(first.connections("in->rec")[2]) != np.sort(weights)) or not np.any(found["rec", "v"])


# ---------------------------------------------------------------------------------------------------- Poisson sources


def noisy(seed: int, rule: ep.EPropPlus | ep.EProp | ep.Static, rate: float = 60.0) -> ep.Network:
    net = ep.Network(seed=seed)
    noise = [net.add(ep.PoissonSource(rate), 8, "noise"), net.add(ep.PoissonSource(2 * rate), 8, "more")]
    rec = net.add(ep.LIF(tau_m=12.0, v_th=0.8), 10, "rec")
    out = net.add(ep.Readout(), 3, "out")
    for source in noise:
        net.connect(source, rec, ep.FixedIndegree(4), weight=ep.Normal(0.3, 0.2), rule=rule)
    net.connect(rec, rec, ep.FixedOutdegree(3), weight=ep.Normal(0.0, 0.2), rule=rule)
    net.connect(rec, out, weight=ep.Glorot(), rule=rule)
    net.feedback(out, rec, ep.RandomFeedback())
    return net


def spikes_of(sim: ep.Simulator, pieces: list[float]) -> dict[str, np.ndarray]:
    parts = [sim.run(piece, spikes=["noise", "more", "rec"]).spikes for piece in pieces]
    return {name: np.concatenate([part[name] for part in parts], axis=1) for name in parts[0]}


@examples(0.05)
@given(seed=SEEDS)
def test_noise_does_not_depend_on_partitions_or_cuts(seed):
    net = noisy(seed, PLUS)
    sims = [ep.Simulator(net, threads=1, partitions=n) for n in (1, 2, 5)]
    found = [spikes_of(sim, pieces) for sim, pieces in zip(sims, ([60.0], [60.0], [13.0, 40.0, 7.0]), strict=True)]
    for other in found[1:]:
        for name in ("noise", "more", "rec"):
            np.testing.assert_array_equal(other[name], found[0][name])
    for sim in sims[1:]:
        np.testing.assert_array_equal(sim.connections("noise->rec")[2], sims[0].connections("noise->rec")[2])


@two_threads
def test_noise_does_not_depend_on_threads():
    sims = [ep.Simulator(noisy(7, PLUS), threads=threads) for threads in (1, 2)]
    first, second = (spikes_of(sim, [200.0]) for sim in sims)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])
    assert first["rec"].shape[1] > 10
    np.testing.assert_array_equal(*(sim.connections("noise->rec")[2] for sim in sims))


@two_threads
def test_noise_of_samples_does_not_depend_on_threads():
    sims = [ep.Simulator(noisy(7, SAMPLE), threads=threads) for threads in (1, 2)]
    for _ in range(2):
        first, second = (sim.train(sim.samples(5, 60)) for sim in sims)
        np.testing.assert_array_equal(first.spikes, second.spikes)
        assert np.unique(first.spikes).size > 1  # not one noise for all
    np.testing.assert_array_equal(*(sim.connections("noise->rec")[2] for sim in sims))


def test_noise_has_its_rate():
    sim = ep.Simulator(noisy(11, ep.Static()), threads=1)
    found = spikes_of(sim, [4000.0])
    for name, rate in (("noise", 0.06), ("more", 0.12)):
        n = 8 * 4000
        # Binomial: within five standard deviations, each node within five of its own.
        assert abs(found[name].shape[1] - n * rate) < 5.0 * np.sqrt(n * rate * (1.0 - rate))
        each = np.bincount(found[name][1].astype(int), minlength=8)
        assert np.all(np.abs(each - 4000 * rate) < 5.0 * np.sqrt(4000 * rate * (1.0 - rate)))
    # Nodes are independent: two of them coincide as often as chance has it.
    trains = np.zeros((8, 4001))
    trains[found["more"][1].astype(int), found["more"][0].astype(int)] = 1.0
    together = trains @ trains.T
    chance = 4000 * 0.12**2
    assert np.all(np.abs(together[np.triu_indices(8, 1)] - chance) < 6.0 * np.sqrt(chance))


def test_populations_have_noise_of_their_own():
    """And not the one a part of the other."""
    net = ep.Network(seed=3)
    for name in ("a", "b"):
        net.add(ep.PoissonSource(200.0), 4, name)
    net.add(ep.LIF(), 1)
    found = ep.Simulator(net, threads=1).run(500.0, spikes=["a", "b"]).spikes
    trains = {}
    for name in ("a", "b"):
        trains[name] = np.zeros((4, 501))
        trains[name][found[name][1], found[name][0].astype(int)] = 1.0
    together = (trains["a"] * trains["b"]).sum(axis=1)
    assert np.all(np.abs(together - 500 * 0.04) < 5.0 * np.sqrt(500 * 0.04))


def test_each_update_has_noise_of_its_own():
    sim = ep.Simulator(noisy(7, SAMPLE), threads=1)
    sim.scale_learning_rates(0.0)
    first, second = (sim.train(sim.samples(5, 60)) for _ in range(2))
    assert np.any(first.spikes != second.spikes)
    # Evaluation always asks the same.
    one, two = (sim.evaluate(sim.samples(5, 60)) for _ in range(2))
    np.testing.assert_array_equal(one.spikes, two.spikes)


def test_noise_is_never_repeated_while_learning():
    """Whatever the sizes of batches, and lengths of samples and runs: what comes is what one long batch would have had."""
    ways = [[(6, 40)], [(4, 40), (2, 40)], [(1, 40), (5, 40)], [(2, 80), (4, 20)], [(8, 20), (2, 40)]]
    drawn = []
    for way in ways:
        sim, spikes = ep.Simulator(noisy(7, SAMPLE), threads=1), []
        sim.scale_learning_rates(0.0)
        for n, steps in way:
            # A run learns from one sample; of a batch the spikes are not kept.
            for _ in range(n):
                times, nodes = sim.run(float(steps), spikes=["noise"]).spikes["noise"]
                spikes.append(np.zeros((steps, 8), bool))
                spikes[-1][np.rint(times).astype(int) - 1, nodes] = True
        drawn.append(np.concatenate(spikes))
    for other in drawn[1:]:
        np.testing.assert_array_equal(other, drawn[0])
    # And of batches: each sample spikes as it does where all are one batch.
    counts = []
    for batches in ([6], [4, 2], [1, 5]):
        sim = ep.Simulator(noisy(7, SAMPLE), threads=1)
        sim.scale_learning_rates(0.0)
        counts.append(np.concatenate([sim.train(sim.samples(n, 60)).spikes for n in batches]))
        assert np.unique(counts[-1]).size > 1
    assert all(np.array_equal(counts[0], other) for other in counts[1:])


def test_another_seed_is_another_noise():
    one, two = (spikes_of(ep.Simulator(noisy(seed, ep.Static()), threads=1), [100.0]) for seed in (1, 2))
    assert one["noise"].shape != two["noise"].shape or np.any(one["noise"] != two["noise"])


# --------------------------------------------------------------------------------------------------------- time steps


@pytest.mark.parametrize("dt", [0.1, 0.25, 2.0])
def test_other_time_steps(dt):
    """Constants in ms become constants per step: compared with the reference, which is told the same ``dt``."""
    # The shorter the step, the more errors an interval adds up.
    c = case(6, PLUS.replace(cutoff=40.0, optimizer=ep.GradientDescent(1e-4 * dt)), steps=200, dt=dt, rate=0.2)
    ref, _ = run_reference_plus(c)
    assert ref.spikes[:, c.inputs.shape[1] :].sum() > 10
    _, v, y, _ = run_engine_plus(c)
    assert disagreement(v, ref.v) < TOLERANCE
    assert disagreement(y, ref.y) < TOLERANCE


def test_times_are_in_ms():
    c = case(6, PLUS, steps=50, dt=0.5, rate=0.3)
    sim = ep.Simulator(c.network, threads=1)
    steps, channels = np.nonzero(c.inputs)
    by_time = sim.run(25.0, {"in": (steps * 0.5, channels)}, spikes=["in", "rec"])
    assert sim.time == 25.0
    np.testing.assert_array_equal(by_time.times, np.arange(1, 51) * 0.5)
    # A spike of step s is reported at the end of the step.
    np.testing.assert_array_equal(by_time.spikes["in"][0], (steps + 1) * 0.5)
    np.testing.assert_array_equal(by_time.spikes["in"][1], channels)
    other = ep.Simulator(c.network, threads=1)
    dense = other.run(25.0, {"in": c.inputs}, spikes=["in", "rec"])
    np.testing.assert_array_equal(by_time.spikes["rec"], dense.spikes["rec"])


def test_samples_run_one_by_one_or_together():
    """The loss of a sample does not depend on its companions."""
    c = case(6, SAMPLE, steps=60, rate=0.3, original=True)
    sim = ep.Simulator(c.network, threads=1)
    given_samples = stimuli(c, 4)
    together = sim.evaluate(samples_of(c, sim, given_samples))
    for k, sample in enumerate(given_samples):
        alone = sim.evaluate(samples_of(c, sim, [sample]))
        assert alone.loss[0] == together.loss[k]
        np.testing.assert_array_equal(alone.y[0], together.y[k])
