"""What must change nothing: how a run is cut, how many threads share it, a rate of zero, a copy of the state. Bitwise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

import eprop as ep
from compare import assert_close, assert_same
from eprop.rules.optimizers import BUILT_IN
from networks import PROJECTIONS, Case, case, run_engine_plus, samples_of, stimuli
from strategies import examples, networks, plus_rules, sample_rules, st

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]

# One kappa or two, any optimiser, with reward or without.
PLUS = (
    st.tuples(st.booleans(), st.sampled_from(BUILT_IN), st.booleans())
    .flatmap(lambda options: plus_rules(*options))
    .flatmap(networks)
)
SAMPLES = sample_rules().flatmap(lambda rule: networks(rule))
RULES = [ep.EProp(), ep.EPropPlus(), ep.EPropPlus(optimizer=ep.Adam(), kappa_reg=0.5, c_reg=0.0)]
EVERYTHING = [
    *(("rec", variable) for variable in ("v", "refractory", "z", "surrogate", "learning_signal")),
    *(("out", variable) for variable in ("y", "error")),
    *((projection, "weight") for projection in PROJECTIONS.values()),
]


def same_state(first: ep.Simulator, second: ep.Simulator) -> None:
    assert_same(second.state(), first.state())


def run(c: Case, first: int, last: int, sim: ep.Simulator, **options) -> ep.engine.Recording:
    """Steps ``first:last`` of the case's stimulus, with everything recorded."""
    stimulus = {"in": c.inputs[first:last]}, {"out": c.targets[first:last]}, c.window[first:last]
    steps = (last - first) * c.network.dt
    reward = None if c.reward is None else c.reward[first:last]
    return sim.run(steps, *stimulus, record=EVERYTHING, spikes=["in", "rec"], reward=reward, **options)


@examples(0.25)
@given(PLUS, st.data())
def test_splitting_a_run_changes_no_bit(c, data):
    n = len(c.inputs)
    cuts = data.draw(st.lists(st.integers(1, n - 1), min_size=1, max_size=4, unique=True).map(sorted))
    whole, parts = ep.Simulator(c.network, threads=1), ep.Simulator(c.network, threads=1)
    wanted = run(c, 0, n, whole)
    found = [run(c, a, b, parts) for a, b in zip([0, *cuts], [*cuts, n], strict=True)]
    for key in EVERYTHING:
        assert_same(np.concatenate([part[key] for part in found]), wanted[key], str(key))
    assert_same(np.concatenate([part.loss for part in found]), wanted.loss, "loss")
    for name, spikes in wanted.spikes.items():
        assert_same(np.concatenate([part.spikes[name] for part in found], axis=1), np.array(spikes), name)
    same_state(whole, parts)


def check_divided(c: Case, precision: str, options: dict[str, int], updates: int = 0, n: int = 3) -> None:
    """A run, mini-batches of ``n`` samples, evaluations and the last state are those of one thread and one partition."""
    sims = [ep.Simulator(c.network, precision=precision, **{"threads": 1} | given) for given in ({}, options)]
    for update in range(updates):
        given_samples = stimuli(c, n, update)
        assert_same(*(sim.train(samples_of(c, sim, given_samples)) for sim in sims))
        for reset in (None, True, False):
            assert_same(*(sim.evaluate(samples_of(c, sim, given_samples), reset=reset) for sim in sims))
    assert_same(*(run(c, 0, len(c.inputs), sim) for sim in sims))
    same_state(*sims)


@examples(0.2)
@given(PLUS, st.sampled_from(["double", "single"]), st.sampled_from([2, 3, 5]))
def test_partitions_do_not_change_eprop_plus(c, precision, partitions):
    """More partitions than threads, or than neurons: the way to see what threads might do, without them."""
    check_divided(c, precision, {"partitions": partitions})


@examples(0.1)
@given(SAMPLES, st.sampled_from([2, 5]))
def test_partitions_do_not_change_eprop(c, partitions):
    check_divided(c, "double", {"partitions": partitions}, updates=2, n=2)


@examples(0.2)
@given(PLUS)
def test_a_rate_of_zero_freezes_eprop_plus(c):
    sims = [ep.Simulator(c.network, threads=1) for _ in range(2)]
    before = sims[0].state()["synapses/weight"]
    sims[0].scale_learning_rates(0.0)
    frozen = run(c, 0, len(c.inputs), sims[0])
    assert_same(sims[0].state()["synapses/weight"], before)
    # `learn=False` is the same thing: traces and moments continue.
    assert_same(frozen, run(c, 0, len(c.inputs), sims[1], learn=False))
    same_state(*sims)
    # The network runs as one that cannot learn. (Spikes of one step are added up in another order.)
    static = static_twin(c)
    v = static.run(len(c.inputs) * c.network.dt, {"in": c.inputs}, record=[("rec", "v")])["rec", "v"]
    assert_close(frozen["rec", "v"], v, 1e-12)


def static_twin(c: Case) -> ep.Simulator:
    net = ep.Network(dt=c.network.dt)
    made = {p.name: net.add(p.model, p.size, p.name) for p in c.network.populations}
    for p in c.network.projections:
        net.connect(made[p.pre.name], made[p.post.name], p.connectivity, weight=1.0)
    sim, plastic = ep.Simulator(net, threads=1), ep.Simulator(c.network, threads=1)
    for p in c.network.projections:
        sim.set_weights(p.name, plastic.connections(p.name)[2])
    return sim


@examples(0.1)
@given(SAMPLES)
def test_a_rate_of_zero_freezes_eprop(c):
    sim = ep.Simulator(c.network, threads=1)
    samples = samples_of(c, sim, stimuli(c, 2))
    before = sim.state()["synapses/weight"]
    sim.scale_learning_rates(0.0)
    first = sim.train(samples)
    assert_same(sim.state()["synapses/weight"], before)
    assert_same(first, sim.evaluate(samples))
    sim.scale_learning_rates(1.0)
    assert_same(first, sim.train(samples))


@pytest.mark.parametrize("rule", RULES, ids=["e-prop", "e-prop+", "e-prop+, Adam"])
def test_another_rate_changes_every_weight(rule):
    """What the tests above compare is alive."""
    c = case(8, rule, steps=150, rate=0.2)
    sim = ep.Simulator(c.network, threads=1)
    before = sim.state()["synapses/weight"]
    run(c, 0, 150, sim)
    assert np.mean(sim.state()["synapses/weight"] != before) > 0.9


@examples(0.2)
@given(PLUS, st.sampled_from([1, 2, 5]), st.floats(0.1, 0.9))
def test_another_simulator_resumes_a_state(c, partitions, share):
    """Half a run here, the other half in another simulator, with any number of partitions."""
    n = len(c.inputs)
    half = max(1, int(share * n))
    whole = ep.Simulator(c.network, threads=1)
    run(c, 0, half, whole)
    state = whole.state()
    kept = {name: value.copy() for name, value in state.items()}
    wanted = run(c, half, n, whole)
    assert_same(state, kept)  # a copy: later runs do not reach it
    other = ep.Simulator(c.network, threads=1, partitions=partitions)
    other.set_state(state)
    assert other.time == half * c.network.dt
    assert_same(wanted, run(c, half, n, other))
    same_state(whole, other)
    assert_same(state, kept)


@examples(0.1)
@given(SAMPLES)
def test_another_simulator_resumes_a_state_of_eprop(c):
    first = ep.Simulator(c.network, threads=1)
    samples = samples_of(c, first, stimuli(c, 2))
    first.train(samples)
    second = ep.Simulator(c.network, threads=1)
    second.set_state(first.state())
    assert_same(first.train(samples), second.train(samples))
    same_state(first, second)


@examples(0.1)
@given(PLUS)
def test_evaluation_leaves_no_trace(c):
    sim, untouched = ep.Simulator(c.network, threads=1), ep.Simulator(c.network, threads=1)
    half = len(c.inputs) // 2
    for each in (sim, untouched):
        run(c, 0, half, each)
    samples = samples_of(c, sim, stimuli(c, 2))
    for reset in (False, True, None):
        sim.evaluate(samples, reset=reset)
    state, same_as = sim.state(), untouched.state()
    counters = state.pop("counters"), same_as.pop("counters")
    assert counters[0][0] == counters[1][0]
    assert_same(state, same_as)


@examples(0.1)
@given(PLUS)
def test_reset_is_a_new_start(c):
    """After `reset`, a run is that of a new simulator with the same weights."""
    n = len(c.inputs)
    used = ep.Simulator(c.network, threads=1)
    run(c, 0, n, used)
    used.reset()
    fresh = ep.Simulator(c.network, threads=1)
    for projection in PROJECTIONS.values():
        fresh.set_weights(projection, used.connections(projection)[2])
    assert_same(run(c, 0, n, used), run(c, 0, n, fresh))


@examples(0.05)
@given(PLUS)
def test_same_seed_same_run(c):
    assert_same(*(run(c, 0, len(c.inputs), ep.Simulator(c.network, threads=1)) for _ in range(2)))


def test_recording_changes_nothing():
    c = case(5, ep.EPropPlus(optimizer=ep.GradientDescent(3e-3), cutoff=20.0), steps=100)
    plain = ep.Simulator(c.network, threads=1)
    plain.run(100.0, {"in": c.inputs}, {"out": c.targets}, c.window)
    recorded, *_ = run_engine_plus(c)
    same_state(plain, recorded)
