"""Networks that must do the same: cut in parts, side by side, with delays or relays, with noise in any division."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

import eprop as ep
from compare import assert_close, assert_same
from eprop.checks import time_driven
from networks import (
    PROJECTIONS,
    Case,
    case,
    check_run,
)
from strategies import SEEDS, examples, st

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]

TOLERANCE = 1e-10  # see test_time_driven.py
PLUS = ep.EPropPlus(optimizer=ep.GradientDescent(2e-3), c_reg=0.05, cutoff=20.0)
SAMPLE = ep.EProp(optimizer=ep.GradientDescent(2e-2), c_reg=0.5)
each_rule = pytest.mark.parametrize("rule", [PLUS, SAMPLE], ids=["e-prop+", "e-prop"])


def learn(net: ep.Network, c: Case, inputs: Any = None, targets: Any = None, **options: Any) -> dict[str, np.ndarray]:
    """Run a network once with the stimulus: voltages and outputs of each population, and the weights learned."""
    sim = ep.Simulator(net, threads=1, **options)
    record = [(p.name, "v") for p in net.populations if p.model.role == "neuron"]
    given = inputs or {"in": c.inputs}, targets or {"out": c.targets}
    run = sim.run(len(c.inputs) * net.dt, *given, c.window, record=record)
    voltages = {name: run[name, "v"] for name, _ in record}
    return voltages | run.y | {p.name: sim.connections(p.name)[2] for p in net.projections}


def add_copy(
    net: ep.Network, c: Case, suffix: str = "", delays: Any = None, pre: Any = None
) -> dict[str, ep.Population]:
    """Add the network of a case to another one; some projections have another delay, or come from another population."""
    made = {p.name: net.add(p.model, p.size, p.name + suffix) for p in c.network.populations}
    for p in c.network.projections:
        net.connect(
            (pre or {}).get(p.name, made[p.pre.name]), made[p.post.name], p.connectivity, weight=p.weight.values, rule=p.rule,
            delay=(delays or {}).get(p.name, p.delay), name=p.name + suffix,
        )  # fmt: skip
    for f in c.network.feedback_projections:
        net.feedback(made[f.pre.name], made[f.post.name], f.kind)
    return made


def delayed(c: Case, **delays: float) -> ep.Network:
    """The case's network with another delay of the projection ``input``, ``recurrent`` or ``readout``."""
    net = ep.Network(dt=c.network.dt)
    add_copy(net, c, delays={PROJECTIONS[name]: delay for name, delay in delays.items()})
    return net


@pytest.mark.parametrize("partitions", [1, 3])
@examples(0.1)
@given(seed=SEEDS)
def test_two_populations_are_one_cut_in_two(seed, partitions):
    """Neurons 0..2 and 3.., readouts 0 and 1.. in populations of their own."""
    c = case(seed, PLUS, steps=100, sizes=(5, 7, 4), rate=0.15)
    net, whole = ep.Network(), learn(c.network, c)
    model = {p.name: p.model for p in c.network.populations}
    cuts = {"in": [slice(0, 5)], "rec": [slice(0, 3), slice(3, 7)], "out": [slice(0, 1), slice(1, 4)]}
    made = {
        name: [(net.add(model[name], s.stop - s.start, f"{name}{k}"), s) for k, s in enumerate(parts)]
        for name, parts in cuts.items()
    }
    wanted = {f"{name}{k}": whole[name][:, s] for name in ("rec", "out") for k, s in enumerate(cuts[name])}
    for name, projection in PROJECTIONS.items():
        final = np.full(c.masks[name].shape, np.nan)
        final[np.nonzero(c.masks[name])] = whole[projection]
        before, after = projection.split("->")
        for pre, columns in made[before]:
            for post, rows in made[after]:
                where = np.nonzero(c.masks[name][rows, columns])
                weights = c.weights[name][rows, columns][where]
                pairs = ep.Explicit(sources=where[1], targets=where[0])
                wanted[net.connect(pre, post, pairs, weight=weights, rule=PLUS).name] = final[rows, columns][where]
    for post, rows in made["rec"]:
        for readouts, columns in made["out"]:
            net.feedback(readouts, post, ep.RandomFeedback(c.feedback[rows, columns]))
    targets = {f"out{k}": c.targets[:, s] for k, s in enumerate(cuts["out"])}
    assert_close(learn(net, c, {"in0": c.inputs}, targets, partitions=partitions), wanted, TOLERANCE)


@each_rule
@examples(0.1)
@given(seed=SEEDS)
def test_two_networks_in_one_do_not_touch(rule, seed):
    """Two networks that do not touch, with neurons and readouts of different constants, do what each does alone."""
    original = rule is SAMPLE
    parts = [
        case(seed, rule, steps=80, sizes=(3, 5, 2), rate=0.2, tau_m=8.0, tau_out=15.0, original=original),
        case(seed + 1, rule, steps=80, sizes=(4, 3, 1), rate=0.2, tau_m=25.0, t_ref=2.0, e_l=-0.5, original=original),
    ]
    both = ep.Network()
    for k, c in enumerate(parts):
        add_copy(both, c, str(k))
    inputs = {f"in{k}": c.inputs for k, c in enumerate(parts)}
    targets = {f"out{k}": c.targets for k, c in enumerate(parts)}
    together = learn(both, parts[0], inputs, targets)
    for k, c in enumerate(parts):
        # The length of a block of maps is that of the network's fastest trace: not the same bits, but the same numbers.
        alone = learn(c.network, c)
        assert_close({name: together[f"{name}{k}"] for name in alone}, alone, TOLERANCE)


# ---------------------------------------------------------------------------------------------------- delays


@each_rule
@examples(0.1)
@given(seed=SEEDS, delay=st.integers(2, 9), partitions=st.sampled_from([1, 3]))
def test_a_delay_of_inputs_is_a_later_input(rule, seed, delay, partitions):
    """A delay of ``d`` steps is a delay of one step and inputs that come ``d - 1`` steps later."""
    c = case(seed, rule, steps=100, sizes=(5, 6, 2), rate=0.2, original=rule is SAMPLE)
    late = np.vstack([np.zeros((delay - 1, 5)), c.inputs[: 1 - delay]])
    found = learn(delayed(c, input=float(delay)), c, partitions=partitions)
    assert_same(found, learn(c.network, c, {"in": late}))


@each_rule
@examples(0.1)
@given(seed=SEEDS, delay=st.integers(2, 4))
def test_a_recurrent_delay_is_a_chain_of_relays(rule, seed, delay):
    """A delay of ``d`` steps is ``d - 1`` relays on the way, which pass on each spike in the step it arrives."""
    c = case(seed, rule, steps=100, sizes=(5, 6, 2), rate=0.2, original=rule is SAMPLE)
    wanted, net = learn(delayed(c, recurrent=float(delay)), c), ep.Network()
    # Forgets within a step, and spikes at each input: 0.5 <= 0.75 < 2 x 0.5.
    chain = [net.add(ep.LIF(tau_m=1e-3, v_th=0.5), 6, f"relay{k}") for k in range(delay - 1)]
    made = add_copy(net, c, pre={"rec->rec": chain[-1]})
    for pre, post in zip([made["rec"], *chain], chain, strict=False):
        net.connect(pre, post, ep.OneToOne(), weight=0.75)
    found = learn(net, c)
    assert_close({name: found[name] for name in wanted}, wanted, TOLERANCE)


def test_long_delays_are_kept_in_the_ring():
    """A delay much longer than the cutoff, and many spikes under way."""
    c = case(3, PLUS, steps=300, sizes=(5, 6, 2), rate=0.5)
    wanted = learn(c.network, c, {"in": np.vstack([np.zeros((149, 5)), c.inputs[:-149]])})
    assert np.abs(wanted["rec"][200:]).max() > 0.5
    assert_same(learn(delayed(c, input=150.0), c), wanted)


def test_a_delay_to_readouts_is_an_earlier_target():
    """With e-prop, a delay of ``d`` steps to the readouts is a sample whose targets come ``d - 1`` steps earlier."""
    c = case(4, SAMPLE.replace(c_reg=0.0), steps=100, sizes=(5, 6, 2), rate=0.2, original=True)
    c.window[-3:] = 0.0
    near = learn(c.network, c)
    early = np.roll(c.targets, 3, axis=0)
    c.window[:] = np.roll(c.window, 3)
    far = learn(delayed(c, readout=4.0), c, targets={"out": early})
    assert_same(far.pop("out")[3:], near.pop("out")[:-3])
    assert np.abs(near["in->rec"] - c.weights["input"][np.nonzero(c.masks["input"])]).max() > 1e-6
    assert_close(far, near, 0.0, to_rounding=1e-14)


@each_rule
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
        pairs = ep.Explicit(sources=sources if multapses else np.arange(30), targets=targets)
        net.connect(made["in"] if multapses else other, made["rec"], pairs, weight=weights, rule=rule, name="in->rec")
        recurrent = c.network.projection("rec->rec")
        net.connect(made["rec"], made["rec"], recurrent.connectivity, weight=recurrent.weight.values, rule=rule)
        net.connect(made["rec"], made["out"], weight=0.3, rule=rule)
        net.feedback(made["out"], made["rec"], ep.RandomFeedback(c.feedback))
        results.append(learn(net, c, {"in": c.inputs, "twins": c.inputs[:, sources]}))
    # `connections` sorts by target, then source; the order of repetitions is theirs.
    found, wanted = (result.pop("in->rec") for result in results)
    assert_close(results[0], results[1], TOLERANCE)
    for j, end in enumerate(np.cumsum(np.bincount(targets, minlength=5))):
        own = slice(end - np.count_nonzero(targets == j), end)
        assert_close(np.sort(found[own]), np.sort(wanted[own]), 0.0, to_rounding=1e-12 * np.abs(weights).max())
    assert np.any(np.sort(found) != np.sort(weights)) or not np.any(results[0]["rec"])


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


def trains_of(spikes: np.ndarray, n: int, steps: int) -> np.ndarray:
    """Spikes of ``n`` nodes in each step, (n, steps)."""
    out = np.zeros((n, steps))
    out[spikes[1].astype(int), np.rint(spikes[0]).astype(int) - 1] = 1.0
    return out


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
    trains = trains_of(found["more"], 8, 4000)
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
    together = (trains_of(found["a"], 4, 500) * trains_of(found["b"], 4, 500)).sum(axis=1)
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
            runs = [sim.run(float(steps), spikes=["noise"]) for _ in range(n)]
            spikes += [trains_of(run.spikes["noise"], 8, steps).T for run in runs]
        drawn.append(np.concatenate(spikes))
    assert_same(drawn[1:], drawn[:1] * 4)
    # And of batches: each sample spikes as it does where all are one batch.
    counts = []
    for batches in ([6], [4, 2], [1, 5]):
        sim = ep.Simulator(noisy(7, SAMPLE), threads=1)
        sim.scale_learning_rates(0.0)
        counts.append(np.concatenate([sim.train(sim.samples(n, 60)).spikes for n in batches]))
        assert np.unique(counts[-1]).size > 1
    assert_same(counts[1:], counts[:1] * 2)


def test_another_seed_is_another_noise():
    one, two = (spikes_of(ep.Simulator(noisy(seed, ep.Static()), threads=1), [100.0]) for seed in (1, 2))
    assert one["noise"].shape != two["noise"].shape or np.any(one["noise"] != two["noise"])


# --------------------------------------------------------------------------------------------------------- time steps


@pytest.mark.parametrize("dt", [0.1, 0.25, 2.0])
def test_other_time_steps_equal_the_reference(dt):
    """Constants in ms become constants per step: compared with the reference, with the same ``dt``."""
    # The shorter the step, the more errors an interval adds up.
    c = case(6, PLUS.replace(cutoff=40.0, optimizer=ep.GradientDescent(1e-4 * dt)), steps=200, dt=dt, rate=0.2)
    stepped = time_driven(c.network)
    wanted = stepped.run(c.stimulus, record_weights=True)
    assert wanted.spikes[:, c.inputs.shape[1] :].sum() > 10
    check_run(stepped, wanted, c.stimulus)


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
