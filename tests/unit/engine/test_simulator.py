"""The simulator's own book-keeping: time, events, updates, memory, weights."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest
import scipy.sparse

import eprop as ep
from compare import assert_same
from eprop.checks import poisson_spikes, stimuli_of, time_driven
from eprop.reference import Stimulus
from eprop.training.engines import TimeDrivenEngine
from networks import PROJECTIONS, case, run_engine_samples, samples_of, small_network, stimuli
from own_model import Integrator

pytestmark = pytest.mark.tiny

PLUS = ep.EPropPlus(optimizer=ep.GradientDescent(1e-3), cutoff=20.0)
SAMPLE = ep.EProp(optimizer=ep.GradientDescent(1e-3))


def arrivals(c, spikes: np.ndarray, steps: int) -> int:
    """Spikes that arrive at synapses within a run."""
    total = 0
    for name, emitted in (("input", c.inputs), ("recurrent", spikes), ("readout", spikes)):
        total += int(emitted[: steps - 1].sum(axis=0) @ c.masks[name].sum(axis=0))
    return total


def test_padding_of_propagators_is_not_part_of_the_state():
    c = case(3, PLUS, steps=60, rate=0.2)
    sim = ep.Simulator(c.network, threads=1)
    sim.run(60.0, {"in": c.inputs}, {"out": c.targets})
    n = sim._arrays.neurons.psi.size
    for name in ("block_prefix", "prefix_history", "block_propagators", "steps"):
        held = getattr(sim._arrays.history, name)
        assert held.shape[-1] > n == sim.state()[f"history/{name}"].shape[-1]
        assert not held[..., n:].any()
    state = sim.state()
    other = ep.Simulator(c.network, threads=1)
    other.set_state(state)
    assert_same(other.state(), state)


def test_reset_clears_what_synapses_keep_of_adaptation():
    """The components of the eligibility vector that are the synapse's own go to rest with the traces."""
    models = {"neuron": ep.ALIF(tau_m=10.0, v_th=0.5), "feedback": ep.RandomFeedback(ep.Normal(0.0, 1.0))}
    net = small_network((6, 5, 2), {"in->rec": ep.Normal(0.3, 0.2)}, **models, rule=PLUS, seed=1)
    sim = ep.Simulator(net, threads=1)
    sim.run(60.0, {"in": (np.random.default_rng(2).random((60, 6)) < 0.2).astype(float)}, {"out": np.ones(2)})
    assert sim.state()["synapses/own"].any()
    sim.reset()
    assert not sim.state()["synapses/own"].any()


def test_what_is_printed_is_short():
    c = case(3, PLUS, steps=20, rate=0.2)
    sim = ep.Simulator(c.network, threads=1)
    run = sim.run(20.0, {"in": c.inputs}, record=[("rec", "v")], spikes=["rec"])
    sizes = ", ".join(f"{p.size} {p.name}" for p in c.network.populations)
    assert repr(sim) == f"Simulator({sizes}; {sim.n_synapses} synapses, double precision, at 20 ms)"
    spikes, neurons, readouts = run.spikes["rec"][0].size, run["rec", "v"].shape[1], run.y["out"].shape[1]
    assert repr(run) == (
        f"Recording(20 steps to 20 ms; y['out'] (20, {readouts}); {spikes} spikes of 'rec'; ('rec', 'v') (20, {neurons}))"
    )


def test_time_and_events():
    c = case(3, PLUS, steps=100, rate=0.2, dt=0.5)
    sim = ep.Simulator(c.network, threads=1)
    assert (sim.time, sim.events, sim.updates) == (0.0, 0, 0)
    z = sim.run(50.0, {"in": c.inputs}, record=[("rec", "z")])["rec", "z"]
    assert sim.time == 50.0
    assert sim.events == arrivals(c, z, 100)
    sim.run(0.5)
    late = (c.inputs[-1] @ c.masks["input"].sum(axis=0)) + z[-1] @ (
        c.masks["recurrent"].sum(axis=0) + c.masks["readout"].sum(axis=0)
    )
    assert sim.events == arrivals(c, z, 100) + int(late)
    sim.reset()
    assert sim.time == 0.0


@pytest.mark.parametrize("rule", [PLUS, SAMPLE], ids=["e-prop+", "e-prop"])
def test_results_of_training(rule):
    c = case(3, rule, steps=60, rate=0.2)
    sim = ep.Simulator(c.network, threads=1)
    frozen = ep.Simulator(c.network, threads=1)
    frozen.scale_learning_rates(0.0)
    given = stimuli(c, 3)
    result = frozen.train(samples_of(c, frozen, given))
    assert result.loss.shape == (3,)
    assert result.y.shape == (3, 60, 3)
    # Spikes and events are counted in all ways of running.
    for other in (sim.evaluate(samples_of(c, sim, given)), sim.evaluate(samples_of(c, sim, given), reset=True)):
        assert other.spikes.shape == (3,)
        assert other.spikes.sum() > 10
        assert other.events > 100
    assert result.spikes[0] == sim.evaluate(samples_of(c, sim, given), reset=True).spikes[0]
    assert sim.updates == 0
    sim.train(samples_of(c, sim, given))
    assert sim.updates == (1 if rule is SAMPLE else 0)


def test_events_of_samples():
    c = case(3, SAMPLE, steps=60, rate=0.2)
    sim, results, _ = run_engine_samples(c, stimuli(c, 3), 3)
    static = ep.Simulator(c.network, threads=1)
    wanted = 0
    for inputs, _ in stimuli(c, 3):
        z = static.run(60.0, {"in": inputs}, learn=False, record=[("rec", "z")])["rec", "z"]
        wanted += arrivals(dataclasses.replace(c, inputs=inputs), z, 60)
    assert results[0].events == sim.events == wanted


def noisy(rule=SAMPLE):
    """Neurons that hear random spikes."""
    models = {"source": ep.PoissonSource(rate=60.0), "neuron": ep.LIF(v_th=1.5), "feedback": ep.Symmetric()}
    connections = {"in->rec": ep.Normal(0.4, 0.1), "rec->out": ep.Normal(0.0, 0.3)}
    return small_network((10, 8, 1), connections, **models, rule=rule, seed=2)


def test_the_run_that_is_recorded_is_the_one_that_is_learned_from():
    """Each run has random spikes of its own, the same for its recording and for learning."""
    net = noisy()
    sim, other = ep.Simulator(net, threads=1), ep.Simulator(net, threads=1)
    losses = []
    for _ in range(3):
        recorded = sim.run(80.0, targets={"out": [0.5]})
        learned = other.train(other.samples(1, 80, targets={"out": np.full((1, 80, 1), 0.5)}))
        losses.append(recorded.loss.sum())
        assert losses[-1] == pytest.approx(learned.loss[0], rel=1e-12)
        np.testing.assert_array_equal(sim.connections("in->rec")[2], other.connections("in->rec")[2])
    assert len(set(losses)) == 3


def test_poisson_spikes_of_every_batch_are_those_of_the_reference():
    net = noisy()
    sim, stepped = ep.Simulator(net, threads=1), time_driven(net)
    for k in range(3):
        samples = sim.samples(2, 60, targets={"out": np.full((2, 60, 1), 0.5)})
        found, wanted = sim.train(samples), stepped.train(stimuli_of(net, samples, first_step=120 * k))
        np.testing.assert_allclose(found.loss, [run.loss.sum() for run in wanted], rtol=1e-10)
        np.testing.assert_allclose(sim.connections("in->rec")[2], stepped.weights_of("in->rec"), rtol=1e-10)


@pytest.mark.parametrize("optimizer", [ep.GradientDescent(1e-4, decay=1e-3), ep.Momentum(1e-4, beta=0.0)], ids=repr)
def test_a_spike_may_arrive_at_a_readout_before_anything_else(optimizer):
    """In the very first step, when no optimiser owes anything."""
    learned = {"rule": ep.EPropPlus(optimizer=optimizer, kappa_reg=0.5), "feedback": ep.RandomFeedback()}
    net = small_network((3, 4, 1), {"in->rec": 0.5, "in->out": 0.1}, **learned, seed=1)
    events = np.zeros((50, 3))
    events[[0, 5]] = 1.0
    run = ep.Simulator(net, threads=1).run(50.0, {"in": events}, {"out": [0.5]})
    np.testing.assert_allclose(
        run.y["out"], time_driven(net).run(Stimulus(50, {"in": events}, {"out": [0.5]})).y, rtol=1e-10
    )


def test_all_ways_of_running_count_the_same_events():
    """Whatever the sources and the delays: a synaptic event is a spike that arrives before the end."""
    net = ep.Network(seed=4)
    noise, given = net.add(ep.PoissonSource(rate=80.0), 12, "noise"), net.add(ep.EventSource(), 5, "in")
    rec, out = net.add(ep.LIF(v_th=2.0), 20, "rec"), net.add(ep.Readout(), 2, "out")
    rule = ep.EProp(optimizer=ep.GradientDescent(1e-3))
    for pre, delay in ((noise, ep.Uniform(0.5, 4.5)), (given, 3.0), (rec, ep.Uniform(0.5, 12.5))):
        net.connect(pre, rec, ep.Bernoulli(0.5), weight=ep.Normal(0.5, 0.3), delay=delay, rule=rule)
    net.connect(rec, out, ep.AllToAll(), weight=ep.Normal(0.0, 0.3), rule=rule)
    net.feedback(out, rec, ep.Symmetric())
    sim = ep.Simulator(net, threads=1)
    x = (np.random.default_rng(0).random((1, 50, 5)) < 0.3).astype(float)
    samples = sim.samples(1, 50, inputs={"in": x})
    counted = [sim.evaluate(samples, reset=reset).events for reset in (True, False)]
    counted += [time_driven(net).predict(stimuli_of(net, samples)[0]).events, sim.train(samples).events]
    assert len(set(counted)) == 1
    assert counted[0] > 300


def test_run_of_samples_is_training_on_one():
    c = case(3, SAMPLE, steps=60, rate=0.2)
    one, other = ep.Simulator(c.network, threads=1), ep.Simulator(c.network, threads=1)
    run = one.run(60.0, {"in": c.inputs}, {"out": c.targets}, c.window)
    result = other.train(samples_of(c, other, stimuli(c, 1)))
    np.testing.assert_allclose(run.loss.sum(), result.loss[0], rtol=1e-12)
    np.testing.assert_array_equal(run.y["out"], result.y[0])
    for p in PROJECTIONS.values():
        np.testing.assert_array_equal(one.connections(p)[2], other.connections(p)[2])
    before = one.connections("in->rec")[2]
    one.run(60.0, {"in": c.inputs}, {"out": c.targets}, c.window, learn=False)
    np.testing.assert_array_equal(one.connections("in->rec")[2], before)


@pytest.mark.parametrize("shape", [(60,), (3, 60), (1, 60)])
def test_windows_of_samples(shape):
    c = case(3, SAMPLE, steps=60, rate=0.2)
    sim = ep.Simulator(c.network, threads=1)
    rng = np.random.default_rng(0)
    window = (rng.random(shape) < 0.5).astype(float)
    x, y = (np.stack(part) for part in zip(*stimuli(c, 3), strict=True))
    together = sim.evaluate(sim.samples(3, 60, inputs={"in": x}, targets={"out": y}, window=window))
    for k in range(3):
        own = np.broadcast_to(window, (3, 60))[k]
        alone = sim.evaluate(sim.samples(1, 60, inputs={"in": x[k : k + 1]}, targets={"out": y[k : k + 1]}, window=own))
        assert alone.loss[0] == together.loss[k]
    assert np.unique(together.loss).size == 3


def test_constant_targets_are_broadcast():
    c = case(3, SAMPLE, steps=60, rate=0.2)
    sim = ep.Simulator(c.network, threads=1)
    x = np.stack([c.inputs] * 2)
    aim = np.array([[[0.1, 0.2, 0.3]], [[0.0, 0.0, 1.0]]])
    short = sim.evaluate(sim.samples(2, 60, inputs={"in": x}, targets={"out": aim}))
    long = sim.evaluate(sim.samples(2, 60, inputs={"in": x}, targets={"out": np.repeat(aim, 60, axis=1)}))
    np.testing.assert_array_equal(short.loss, long.loss)


def test_weights_are_read_and_written():
    c = case(3, PLUS, steps=60)
    sim = ep.Simulator(c.network, threads=1)
    for name, p in PROJECTIONS.items():
        matrix = sim.weights(p)
        assert scipy.sparse.issparse(matrix)
        np.testing.assert_array_equal(matrix.toarray(), np.where(c.masks[name], c.weights[name], 0.0))
        sources, targets, values = sim.connections(p)
        np.testing.assert_array_equal(np.lexsort((sources, targets)), np.arange(values.size))
        values[:] = 0.0  # a copy
        assert sim.weights(p).toarray().any()
        sim.set_weights(p, 2.0 * matrix)
        np.testing.assert_array_equal(sim.weights(p).toarray(), 2.0 * matrix.toarray())
    assert sim.n_synapses == sum(mask.sum() for mask in c.masks.values())


def test_symmetric_feedback_mirrors_what_is_written():
    c = case(3, SAMPLE, steps=60, symmetric=True)
    sim = ep.Simulator(c.network, threads=1)
    np.testing.assert_array_equal(sim.feedback_weights("out", "rec"), sim.weights("rec->out").toarray().T)
    sim.set_weights("rec->out", 3.0 * sim.weights("rec->out"))
    np.testing.assert_array_equal(sim.feedback_weights("out", "rec"), sim.weights("rec->out").toarray().T)
    sim.train(samples_of(c, sim, stimuli(c, 2)))
    np.testing.assert_array_equal(sim.feedback_weights("out", "rec"), sim.weights("rec->out").toarray().T)


def test_random_feedback_is_as_given():
    c = case(3, SAMPLE)
    np.testing.assert_array_equal(ep.Simulator(c.network, threads=1).feedback_weights("out", "rec"), c.feedback)
    net = small_network((0, 50, 4), feedback=ep.RandomFeedback(ep.Normal(0.0, 2.0), ep.FixedIndegree(2)), seed=3)
    b = ep.Simulator(net, threads=1).feedback_weights("out", "rec")
    np.testing.assert_array_equal((b != 0.0).sum(axis=1), 2)
    assert 1.0 < b[b != 0.0].std() < 3.0


def test_memory():
    c = case(3, PLUS)
    sim = ep.Simulator(c.network, threads=1)
    assert sim.memory()["synapses"] == 20 * sim.n_synapses
    assert set(sim.memory()) == {"synapses", "propagators", "axons", "rest"}
    static = small_network((5, 7, 0), {"in->rec": None})
    assert ep.Simulator(static, threads=1).memory()["synapses"] == 12 * 35


def test_memory_does_not_grow_with_silence():
    """The rings are as long as the cutoff, however long nobody spikes."""
    c = case(3, PLUS, steps=50, rate=0.3)
    sim = ep.Simulator(c.network, threads=1)
    sim.run(50.0, {"in": c.inputs})
    before = sim.memory()
    sim.run(5000.0)
    assert sim.memory() == before


def test_a_log_of_spikes_that_grows():
    """More spikes under way than the log was made for: it doubles, and nothing changes."""
    late = {"weight": 0.01, "delay": 40.0}
    net = small_network((300, 2, 0), {"in->rec": late}, source=ep.PoissonSource(1000.0), neuron=ep.LIF(v_th=1e6))
    sim = ep.Simulator(net, threads=1)
    size = sim.state()["spike_log/sources"].size
    v = sim.run(100.0, record=[("rec", "v")])["rec", "v"]
    assert sim.state()["spike_log/sources"].size > size
    np.testing.assert_allclose(v[40:, 0], 3.0 * np.cumsum(np.exp(-np.arange(60) / 20.0)), rtol=1e-12)


def test_evaluation_does_not_depend_on_who_asks():
    """Samples that follow each other without a reset, in eight chunks at most: more samples than chunks."""
    c = case(3, PLUS, steps=30, rate=0.3)
    sim = ep.Simulator(c.network, threads=1)
    given = stimuli(c, 20)
    result = sim.evaluate(samples_of(c, sim, given))
    # Chunks of 3, 3, 3, 3, 2, 2, 2, 2; the first sample of each starts from rest.
    from_rest = sim.evaluate(samples_of(c, sim, given), reset=True)
    first = np.array([0, 3, 6, 9, 12, 14, 16, 18])
    np.testing.assert_allclose(result.loss[first], from_rest.loss[first], rtol=1e-12)
    others = np.setdiff1d(np.arange(20), first)
    assert np.all(result.loss[others] != from_rest.loss[others])


def test_models_need_no_neurons():
    """A perceptron of readouts."""
    sim = ep.Simulator(small_network((3, 0, 2), {"in->out": 0.5}, rule=PLUS), threads=1)
    inputs = np.zeros((40, 3))
    inputs[::5] = 1.0
    sim.run(40.0, {"in": inputs}, {"out": [0.0, 5.0]})
    w = sim.weights("in->out").toarray()
    assert np.all(w[0] < 0.5)
    assert np.all(w[1] > 0.5)


def test_a_log_of_samples_that_grows():
    """As above, for samples from rest: more spikes in a sample than the log was made for."""
    connections = {"in->rec": {"weight": 0.01, "rule": SAMPLE}, "in->out": 0.01}
    net = small_network((300, 2, 1), connections, source=ep.PoissonSource(1000.0), neuron=ep.LIF(v_th=1e6))
    sim = ep.Simulator(net, threads=1)
    result = sim.evaluate(sim.samples(2, 60))
    wanted = 3.0 * np.cumsum(np.exp(-np.arange(59) / 20.0))
    np.testing.assert_allclose(result.y[:, 1:, 0], [wanted, wanted], rtol=1e-12)


@dataclasses.dataclass(frozen=True)
class Second(Integrator):
    """The same model under another name, to fill the slots."""


@dataclasses.dataclass(frozen=True)
class Third(Integrator):
    """And another."""


@dataclasses.dataclass(frozen=True)
class Fourth(Integrator):
    """And one more."""


def test_several_models_in_one_network():
    """Every model advances its own neurons."""
    models = [ep.LIF(v_th=1.0), Integrator(), Second(), Third(), Fourth()]
    net = ep.Network()
    x = net.add(ep.EventSource(), 1, "in")
    made = [net.add(model, 2, f"rec{k}") for k, model in enumerate(models)]
    for k, rec in enumerate(made):
        net.connect(x, rec, weight=0.3 + 0.1 * k)
    sim = ep.Simulator(net, threads=1)
    run = sim.run(9.0, {"in": np.ones((9, 1))}, record=[(rec.name, "v") for rec in made])
    decay = np.exp(-1.0 / 20.0)
    v, wanted = 0.0, []
    for step in range(9):
        v = decay * v + (0.3 if step else 0.0)
        v -= v >= 1.0
        wanted.append(v)
    np.testing.assert_allclose(run["rec0", "v"][:, 1], wanted, rtol=1e-12)
    for k in (1, 2, 3, 4):
        w, v, wanted = 0.3 + 0.1 * k, 0.0, []
        for step in range(9):
            v += w if step else 0.0
            v = 0.0 if v >= 1.0 else v
            wanted.append(v)
        np.testing.assert_allclose(run[f"rec{k}", "v"][:, 0], wanted, rtol=1e-12)


@pytest.mark.parametrize("n_steps", [1, 2, 3])
@pytest.mark.parametrize("rule", [PLUS, SAMPLE, SAMPLE.replace(c_reg=0.1)], ids=["e-prop+", "e-prop", "regularised"])
def test_shortest_samples(rule, n_steps):
    """Nothing arrives before the second step, nothing is learned before the third."""
    c = case(3, rule, steps=60)
    sim = ep.Simulator(c.network, threads=1)
    before = sim.state()["synapses/weight"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ep.SilenceWarning)
        result = sim.train(
            sim.samples(2, n_steps, inputs={"in": np.ones((2, n_steps, 6))}, targets={"out": np.ones((2, 1, 3))})
        )
    assert result.loss.shape == (2,)
    assert np.all(np.isfinite(result.loss))
    if n_steps < 3:
        assert result.loss[0] == 0.5 * 3 * n_steps
    if n_steps == 1 and isinstance(rule, ep.EProp):
        np.testing.assert_array_equal(sim.state()["synapses/weight"], before)


def test_rates_of_each_poisson_source():
    """Given, or drawn from the seed, with the same spikes stepped through time."""
    for rate, least, most in (([0.0, 100.0, 500.0], [0, 60, 430], [0, 140, 570]), (ep.Uniform(100.0, 900.0), 60, 940)):
        net = small_network((3, 2, 0), {"in->rec": 0.01}, source=ep.PoissonSource(rate), seed=2)
        run = ep.Simulator(net, threads=1).run(1000.0, spikes=["in"])
        counts = np.bincount(run.spikes["in"][1], minlength=3)
        assert np.all((least <= counts) & (counts <= most))
        assert np.unique(counts).size == 3
        np.testing.assert_array_equal(poisson_spikes(net, 1000)["in"].sum(axis=0), counts)


def test_a_projection_without_synapses_may_have_delays_of_each():
    none = np.zeros(0, int)
    empty = {"connectivity": ep.Explicit(sources=none, targets=none), "weight": 0.3, "delay": np.zeros(0)}
    net = small_network((5, 7, 0), {"in->rec": empty}, seed=1)
    assert ep.Simulator(net, threads=1).connection_count("in->rec") == 0


def test_traces_of_stdp_are_no_filters_of_a_neuron_that_has_none():
    """Beside STDP an axon has room for a trace, which e-prop+ leaves alone where synapses filter for themselves."""
    recurrent = {"weight": ep.Uniform(0.0, 0.2), "rule": ep.STDP(w_max=1.0)}
    connections = {"in->rec": {"weight": ep.Uniform(0.0, 0.8), "rule": PLUS}, "rec->rec": recurrent}
    models = {"neuron": ep.LIF(tau_m=ep.Uniform(8.0, 25.0)), "feedback": ep.RandomFeedback()}
    net = small_network((5, 7, 2), connections, **models, seed=1)
    sim = ep.Simulator(net, threads=1)
    assert sim._arrays.built.topology.filters.shape[3] == 0
    sim.run(60.0, {"in": np.random.default_rng(0).random((60, 5)) < 0.2})
    axons = sim._arrays.axons
    assert axons.times["last_spike"][:5].min() > 0
    assert not axons.z[:5].any()
    assert axons.z[5:].any()


def test_samples_of_an_evaluation_hear_noise_of_their_own():
    """Whatever chunks they are put into, and as every other way of running them."""
    models = {"source": ep.PoissonSource(50.0), "neuron": ep.LIF(v_th=0.8), "feedback": ep.Symmetric()}
    connections = {"in->rec": ep.Uniform(0.0, 0.3), "rec->out": ep.Uniform(-0.5, 0.5)}
    net = small_network((20, 20, 2), connections, **models, rule=PLUS, seed=1)
    sim = ep.Simulator(net, threads=1)
    samples, events = sim.samples(16, 60, targets={"out": np.ones((16, 1, 2))}), sim.events
    stepped = TimeDrivenEngine(net)
    found = [sim.evaluate(samples).loss, sim.evaluate(samples, reset=True).loss]
    for reset, losses in zip((None, True), found, strict=True):
        assert len(set(losses)) == 16
        np.testing.assert_allclose(losses, stepped.evaluate(samples, reset=reset).loss, rtol=1e-12)
    np.testing.assert_allclose(found[0][::2], found[1][::2], rtol=1e-12)  # eight chunks, which begin from rest
    assert sim.events == events
