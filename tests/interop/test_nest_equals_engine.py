"""The event-driven engine against live NEST 3.10: voltages, outputs, and the weight at every arrival, to 1e-9 mV.

An update differs by 1e-16 to 1e-13: sums in another order, and division by powers of ``alpha`` and ``kappa`` down to 1e-3.
What a network makes of that grows, as it learns and spikes, by some digits in some hundred steps (the reference's difference
from NEST does so too). Adam divides by ``sqrt(v) + epsilon`` and may multiply an error by ``eta / epsilon``: at most 50 here.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import eprop as ep
from eprop.interop.nest import NEURONS as NAMES_IN_NEST
from eprop.interop.nest import SUFFIX, to_nest
from families import some
from nest_runs import Found, deviation, plastic_of, run_in_both, train_in_both
from networks import NEURONS, SURROGATES, Case, case, neuron_of, small_network

pytestmark = pytest.mark.nest
EXACT = 1e-9
KINDS = ("LIF", "ALIF", "DeltaLIF", "DeltaALIF")
ORIGINAL = ("LIF", "ALIF")

# -------------------------------------------------------------------------------------------------------- random networks


def surrogate_of(seed: int) -> str:
    """One of the four, so that each of 16 seeds in a row has another combination of optimiser, variant and surrogate."""
    return list(SURROGATES)[seed // 4 % 4]


def drawn_neuron(rng, surrogate: str, original: bool = False, kind: str = "LIF", at_rest: bool = True):
    """A neuron of random constants whose threshold is 0.8 mV above its leak potential."""
    e_l = float(rng.choice([0.0, -0.6, 2.0]))
    parameters = {
        "tau_m": float(rng.uniform(5.0, 40.0)),
        "v_th": 0.8 + e_l,
        "e_l": e_l,
        "t_ref": float(rng.choice([0.0, 1.0, 4.0])),
        "c_m": float(rng.choice([1.0, 250.0])),
        "i_e": float(rng.choice([0.0, 0.01])),
        "v_min": float(rng.choice([-np.inf, e_l - 0.5])),
    }
    if not at_rest:
        parameters["v_init"] = e_l + float(rng.uniform(-0.3, 0.5))
    if kind in ("ALIF", "DeltaALIF"):
        parameters |= {"beta": float(rng.uniform(0.05, 0.5)), "tau_adapt": float(rng.uniform(20.0, 300.0))}
        parameters |= {} if at_rest else {"adaptation": float(rng.uniform(0.0, 1.0))}
    if kind in ("DeltaLIF", "DeltaALIF"):
        parameters |= {"v_reset": e_l + float(rng.uniform(-0.4, 0.4)), "ref_input": bool(rng.random() < 0.5)}
    if kind == "DeltaALIF":
        # Those of NEST do not adapt if they have a refractory time; then at least the start is high and comes down.
        parameters |= {"t_ref": 0.0} if at_rest else {"pause_adaptation": True}
    if original and rng.random() < 0.5:
        parameters["scale_input"] = False
    return neuron_of(surrogate, original, kind, **parameters)


def drawn_readout(rng, softmax: bool = False, original: bool = False):
    """A readout of random constants."""
    e_l = float(rng.choice([0.0, -0.3, 0.5]))
    parameters = {
        "tau_m": float(rng.uniform(5.0, 40.0)),
        "e_l": e_l,
        "c_m": float(rng.choice([1.0, 250.0])),
        "v_min": float(rng.choice([-np.inf, e_l - 0.2])),
    }
    if original:
        parameters["scale_input"] = bool(rng.random() < 0.5)
    else:
        parameters["i_e"] = float(rng.choice([0.0, 0.01]))
    return ep.Readout(**parameters, loss=ep.CrossEntropy() if softmax else ep.SquaredError())


def drawn_adam(rng, eta: float, epsilon: float, **bounds: float) -> ep.Adam:
    betas = {"beta_1": float(rng.choice([0.9, 0.6])), "beta_2": float(rng.choice([0.999, 0.95]))}
    return ep.Adam(eta, epsilon=epsilon, **betas, **bounds)


def row_of(c: Case) -> str:
    """Of the table: NEST's neuron, and how it learns."""
    original = isinstance(c.rule, ep.EProp)
    name = NAMES_IN_NEST[type(c.network.population("rec").model)] + (SUFFIX if original else "")
    when = "every batch" if original else "every step" if c.rule.each_step else "every spike"
    return f"`{name}`, {type(c.rule.optimizer).__name__} {when}"


def drawn_bounds(rng) -> dict[str, float]:
    return {"w_min": -0.9, "w_max": 1.1} if rng.random() < 0.5 else {"w_min": -50.0, "w_max": 50.0}


def drawn_sizes(rng) -> tuple[int, int, int]:
    return int(rng.integers(3, 13)), int(rng.integers(4, 16)), int(rng.integers(1, 5))


def drawn_plus(seed: int, draw_neuron=drawn_neuron, each_step: bool = False) -> Case:
    rng = np.random.default_rng([1, seed])
    kappa = float(rng.choice([0.3, 0.9, 0.97]))
    adam, two_kappas = seed % 2 == 1, seed % 4 >= 2
    if adam:
        optimizer = drawn_adam(rng, 5e-4, float(rng.choice([1e-5, 1e-4])), **drawn_bounds(rng))
    else:
        optimizer = ep.GradientDescent(float(rng.choice([2e-4, 6e-4])), **drawn_bounds(rng))
    rule = ep.EPropPlus(
        optimizer=optimizer,
        kappa=kappa,
        kappa_reg=float(rng.choice([0.5, 0.95])) if two_kappas else None,
        c_reg=float(rng.choice([0.0, 0.05])),
        f_target=20.0,
        cutoff=float(rng.choice([2.0, 5.0, 20.0, 100.0])),
        each_step=each_step,
    )
    c = case(
        seed, rule, steps=250, sizes=drawn_sizes(rng), rate=0.15, neuron=draw_neuron(rng, surrogate=surrogate_of(seed)),
        autapses=bool(rng.random() < 0.3), readout=drawn_readout(rng),
    )  # fmt: skip
    c.window[:] = np.repeat(rng.random(26) < 0.7, 10)[:250]  # some windows, and a few steps that count in part
    c.window[:25] *= 0.5
    if adam:  # NEST's optimiser counts the steps of the clock, which then begins with the run
        c.inputs[0], c.window[0] = 0.0, 0.0
    return c


def drawn_samples(seed: int, draw_neuron=drawn_neuron):
    """A network that learns by the original rule, three batches of samples, and the length of the learning window."""
    rng = np.random.default_rng([2, seed])
    adam = seed % 2 == 1
    bounds = {"w_min": -20.0, "w_max": 20.0}
    optimizer = (
        drawn_adam(rng, 1e-2, 1e-4, **bounds) if adam else ep.GradientDescent(float(rng.choice([1e-3, 2e-2])), **bounds)
    )
    rule = ep.EProp(
        optimizer=optimizer,
        kappa=float(rng.choice([0.8, 0.97])) if rng.random() < 0.5 else None,
        c_reg=float(rng.choice([0.0, 0.5])),
        f_target=20.0,
        average_gradient=bool(rng.random() < 0.5),
    )
    softmax = seed % 4 >= 2
    sizes = drawn_sizes(rng)
    sizes = (*sizes[:2], max(sizes[2], 2)) if softmax else sizes  # one readout alone has nothing to learn
    neuron = draw_neuron(rng, surrogate=surrogate_of(seed), original=True)
    readout = drawn_readout(rng, softmax, original=True)
    c = case(seed, rule, sizes=sizes, softmax=softmax, original=True, neuron=neuron, readout=readout)
    batch, steps, window = int(rng.choice([1, 2])), 100, int(rng.choice([30, 99]))
    batches = []
    for _ in range(3):
        x = (rng.random((batch, steps, sizes[0])) < 0.1).astype(float)
        x[:, 0] = 0.0
        y = rng.normal(size=(batch, steps, sizes[2]))
        if softmax:
            y = np.eye(sizes[2])[rng.integers(sizes[2], size=batch)][:, None, :]
        batches.append(({"in": x}, {"out": y}))
    return c, batches, np.arange(steps) >= steps - window


def two_populations(rule) -> ep.Network:
    """Populations of different constants, a projection that is static and slow, and one optimiser for each projection."""
    original = isinstance(rule, ep.EProp)
    switches = {"delayed_reset": original, "scale_input": original}
    gain = 12.0 if original else 1.0
    net = ep.Network(seed=5)
    x = [net.add(ep.EventSource(), 6, "in"), net.add(ep.EventSource(), 4, "other")]
    fast = net.add(ep.LIF(tau_m=8.0, v_th=0.6, **switches), 6, "fast")
    slow = net.add(ep.LIF(tau_m=30.0, v_th=0.9, t_ref=2.0, surrogate=ep.Exponential(0.4, 0.7), **switches), 5, "slow")
    out = [net.add(ep.Readout(tau_m=15.0), 2, "out"), net.add(ep.Readout(tau_m=15.0), 1, "more")]
    faster = rule.replace(optimizer=rule.optimizer.replace(eta=2.0 * rule.optimizer.eta))
    net.connect(x[0], fast, ep.Bernoulli(0.8), weight=ep.Normal(0.4 * gain, 0.3 * gain), rule=rule)
    net.connect(x[1], slow, weight=ep.Normal(0.5 * gain, 0.3 * gain), rule=faster)
    net.connect(fast, slow, ep.FixedIndegree(3), weight=ep.Normal(0.1 * gain, 0.3 * gain), rule=rule)
    delay = None if original else 4.0
    net.connect(slow, fast, ep.FixedOutdegree(2), weight=ep.Uniform(0.0, 0.3 * gain), delay=delay)  # static
    net.connect(fast, out[0], weight=ep.Glorot(), rule=faster)
    net.connect(slow, out[0], weight=ep.Glorot(), rule=rule)
    net.connect(slow, out[1], weight=ep.Glorot(), rule=rule)
    for readout in out:
        net.feedback(readout, slow, ep.RandomFeedback())
    net.feedback(out[0], fast, ep.RandomFeedback())
    return net


EACH_ITS_OWN = {
    "LIF": {"tau_m": ep.Uniform(8.0, 30.0), "v_th": ep.Uniform(0.6, 0.9), "t_ref": [0.0, 2.0] * 4},
    "ALIF": {"tau_m": ep.Uniform(8.0, 30.0), "beta": ep.Uniform(0.1, 0.5), "tau_adapt": ep.Uniform(20.0, 200.0), "v_th": 0.7},
}  # fmt: skip


def mixed_network(kind: str, rule) -> ep.Network:
    """Neurons and readouts whose parameters differ from each to each."""
    original = isinstance(rule, ep.EProp)
    parameters = EACH_ITS_OWN[kind] | ({"delayed_reset": True, "scale_input": False} if original else {})
    surrogate = ep.Arctan(height=ep.Uniform(0.2, 0.5), width=ep.Uniform(0.4, 0.8))
    readout = ep.Readout(tau_m=[8.0, 20.0, 50.0], e_l=ep.Normal(0.0, 0.3), c_m=ep.Uniform(1.0, 2.0))
    connections = {
        "in->rec": ep.Normal(0.2, 0.2),
        "rec->rec": {"connectivity": ep.Bernoulli(0.5), "weight": ep.Normal(0.0, 0.2)},
        "rec->out": ep.Normal(0.0, 0.5),
    }
    return small_network(
        (8, 8, 3), connections, neuron=NEURONS[kind](**parameters, surrogate=surrogate), readout=readout, rule=rule,
        feedback=ep.RandomFeedback(), seed=9,
    )  # fmt: skip


def signed_network(rule) -> ep.Network:
    """Neurons of both signs, whose weights learn so fast that some reach 0."""
    original = isinstance(rule, ep.EProp)
    net, gain = ep.Network(seed=5), 12.0 if original else 1.0
    x = net.add(ep.EventSource(), 8, "in", excitatory=0.5)
    neuron = ep.LIF(tau_m=12.0, v_th=0.6, delayed_reset=original, scale_input=original)
    rec, out = net.add(neuron, 12, "rec", excitatory=0.8), net.add(ep.Readout(tau_m=15.0), 2, "out")
    net.connect(x, rec, ep.Bernoulli(0.8), weight=ep.Normal(0.3 * gain, 0.2 * gain), rule=rule, sign="fixed")
    net.connect(rec, rec, ep.Bernoulli(0.5), weight=ep.Balanced(ep.Uniform(0.0, 0.2 * gain)), rule=rule, sign="source")
    net.connect(rec, out, weight=ep.Normal(0.0, 0.1), rule=rule, sign="source")
    net.feedback(out, rec, ep.RandomFeedback())
    return net


def check_signs(net: ep.Network, found: Found) -> None:
    """NEST's weights keep their signs, and some stop at 0."""
    assert found.spikes > 20
    stopped = 0
    for p in net.projections:
        initial, seen = ep.Simulator(net, threads=1).connections(p)[2], found.theirs.weights[p.name]
        assert (initial * np.nan_to_num(seen) >= 0.0).all()
        stopped += int((seen == 0.0).sum())
    assert stopped > 0


def bounded(optimizer: type, eta: float, bound: float = np.inf, **given: float) -> Any:
    return optimizer(eta, w_min=-bound, w_max=bound, **given)


#: Networks by their name in the table, with a rule of each kind.
SPECIAL = {
    "several populations": (
        two_populations, ep.EPropPlus(optimizer=bounded(ep.GradientDescent, 3e-4, 5.0), c_reg=0.05, cutoff=30.0),
        ep.EProp(optimizer=bounded(ep.GradientDescent, 1e-4, 99.0), c_reg=0.3),
    ),
    **{
        f"each its own parameters, {kind}": (
            functools.partial(mixed_network, kind), ep.EPropPlus(optimizer=ep.GradientDescent(3e-4), c_reg=0.05, cutoff=30.0),
            ep.EProp(optimizer=ep.Adam(1e-2, epsilon=1e-4), kappa=0.9, c_reg=0.3),
        )
        for kind in ORIGINAL
    },
    "signs": (
        signed_network, ep.EPropPlus(optimizer=ep.GradientDescent(2e-3), c_reg=0.0, cutoff=30.0),
        ep.EProp(optimizer=ep.Adam(3e-2, epsilon=1e-4), c_reg=0.3),
    ),
}  # fmt: skip


def drawn_for(net: ep.Network, *shape: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Events of each source, none in the first step, and targets of each readout; the last of ``shape`` are steps."""
    rng = np.random.default_rng(1)
    inputs = {p.name: rng.random((*shape, p.size)) < 0.1 for p in net.populations if p.model.role == "source"}
    for x in inputs.values():
        x[..., 0, :] = False
    return inputs, {p.name: rng.normal(size=(*shape, p.size)) for p in net.populations if p.model.role == "readout"}


# --------------------------------------------------------------------------------------------------------- without learning


@pytest.mark.parametrize("dt", [1.0, 0.5])
@pytest.mark.parametrize("seed", some(range(6), 2))
@pytest.mark.parametrize("kind", KINDS)
def test_neurons_without_learning_do_as_in_nest(kind, seed, dt, deviations):
    neuron = drawn_neuron(np.random.default_rng([3, seed]), surrogate_of(4 * seed), kind=kind, at_rest=seed % 2 == 0)
    c = case(seed, ep.Static(), steps=250, rate=0.1, neuron=neuron, dt=dt)
    found = run_in_both(c.network, 250.0 * dt, {"in": c.inputs}, {"out": c.targets}, c.window)
    adapts = "threshold" in neuron.state_rows
    found.note(deviations, f"`{NAMES_IN_NEST[NEURONS[kind]]}`, static", "voltage", *(["threshold"] if adapts else []))
    assert not adapts or np.ptp(found.theirs.threshold["rec"]) > 0.01
    assert found.theirs.weights == {}
    assert found.spikes > 10


@pytest.mark.parametrize("seed", some(range(4), 2))
@pytest.mark.parametrize("kind", ORIGINAL)
def test_neurons_of_the_original_rule_without_learning_do_as_in_nest(kind, seed, deviations):
    """The siblings of the original rule; NEST has them with its rule only, which may learn nothing."""
    neuron = drawn_neuron(np.random.default_rng([4, seed]), surrogate_of(4 * seed), original=True, kind=kind)
    c = case(seed, ep.EProp(optimizer=ep.GradientDescent(0.0)), steps=100, original=True, neuron=neuron, rate=0.15)
    c.inputs[0] = 0.0
    batch = {"in": c.inputs[None]}, {"out": c.targets[None]}
    found = train_in_both(c.network, [batch, batch], np.arange(100) >= 40)
    adapts = ["threshold"] if kind == "ALIF" else []
    found.note(deviations, f"`{NAMES_IN_NEST[NEURONS[kind]]}{SUFFIX}`, static", "voltage", *adapts)
    assert found.spikes > 10


READOUTS = {
    "with a lower bound": ep.Readout(e_l=0.3, v_min=0.1, i_e=0.01),
    "off rest at the start": ep.Readout(e_l=0.3, c_m=2.0, v_init=-0.4),
    "each its own": ep.Readout(
        tau_m=[5.0, 20.0, 60.0], e_l=ep.Normal(0.0, 0.3), c_m=ep.Uniform(1.0, 3.0), i_e=[0.0, 0.01, -0.01],
        v_min=[-50.0, -0.2, -0.2], v_init=ep.Uniform(0.0, 0.5),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", READOUTS)
def test_readouts_do_as_in_nest(name, deviations):
    connections = {"in->rec": ep.Normal(0.4, 0.3), "rec->out": ep.Normal(0.0, 0.5)}
    net = small_network((6, 8, 3), connections, neuron=ep.LIF(v_th=0.6), readout=READOUTS[name], seed=1)
    found = run_in_both(net, 200.0, {"in": np.random.default_rng(0).random((200, 6)) < 0.1})
    assert name != "with a lower bound" or np.any(found.theirs.y["out"] == 0.1)
    found.note(deviations, "`eprop_readout`, static", "output")


@pytest.mark.parametrize("rule", [ep.Static(), ep.EPropPlus(optimizer=ep.GradientDescent(1e-3), c_reg=0.0)])
def test_populations_that_never_spike(rule):
    net = small_network((3, 4, 1), {"in->rec": 0.01, "rec->out": 0.1}, rule=rule, feedback=ep.RandomFeedback(), seed=1)
    found = run_in_both(net, 30.0, {"in": np.ones((30, 3)) * (np.arange(30) == 3)[:, None]}, {"out": [1.0]})
    assert found.spikes == 0
    assert not found.theirs.y["out"].any()


# ------------------------------------------------------------------------------------------------------------------ e-prop+


@pytest.mark.parametrize(("first", "each_step"), [(100, False), (200, True)], ids=["each spike", "each step"])
@pytest.mark.parametrize("seed", some(range(16), 4))
@pytest.mark.parametrize("kind", KINDS)
def test_neurons_learn_by_eprop_plus_as_in_nest(kind, seed, first, each_step, deviations):
    draw = functools.partial(drawn_neuron, kind=kind, at_rest=(first + seed) % 3 > 0)
    compare_plus(drawn_plus(first + seed, draw, each_step=each_step), deviations)


@pytest.mark.parametrize("seed", range(8))
def test_networks_learn_by_eprop_plus_as_in_nest(seed, deviations):
    compare_plus(drawn_plus(seed), deviations)


def compare_plus(c: Case, deviations) -> None:
    found = run_in_both(c.network, 250.0, {"in": c.inputs}, {"out": c.targets}, c.window)
    found.note(deviations, row_of(c), "voltage", "weight")
    found.note(deviations, "`eprop_readout`", "output", "loss")
    assert found.spikes > 10
    assert found.compared > 100
    assert found.different > 0.1 * found.compared


@pytest.mark.parametrize("dt", [0.5, 2.0])
def test_plus_at_other_time_steps(dt, deviations):
    """NEST's rate is per ms and its target per step; `to_nest` makes up for it."""
    optimizer = ep.GradientDescent(1e-3, w_min=-9.0, w_max=9.0)
    rule = ep.EPropPlus(optimizer=optimizer, c_reg=0.5, f_target=30.0, cutoff=20.0)
    c = case(3, rule, steps=200, dt=dt, rate=0.1)
    found = run_in_both(c.network, 200 * dt, {"in": c.inputs}, {"out": c.targets}, c.window)
    found.note(deviations, "e-prop+, steps of 0.5 and 2 ms", "voltage", "weight")
    assert found.spikes > 10


@pytest.mark.parametrize("name", SPECIAL)
def test_special_networks_learn_by_eprop_plus_as_in_nest(name, deviations):
    make, rule, _ = SPECIAL[name]
    net = make(rule)
    found = run_in_both(net, 250.0, *drawn_for(net, 250))
    found.note(deviations, f"e-prop+, {name.partition(', ')[0]}", "voltage", "weight")
    assert all(spikes.sum() > 5 for spikes in found.theirs.spikes.values())
    assert found.least > 0.0
    if name == "signs":
        check_signs(net, found)


def test_plus_with_a_readout_that_has_no_target(deviations):
    net = mixed_network("LIF", ep.EPropPlus(optimizer=ep.GradientDescent(1e-3), c_reg=0.05, cutoff=30.0))
    rec, more = net.population("rec"), net.add(ep.Readout(), 2, "more")
    net.connect(rec, more, weight=ep.Normal(0.0, 0.5), rule=net.projection("rec->out").rule)
    net.feedback(more, rec, ep.RandomFeedback())
    rng, untaught = np.random.default_rng(2), ep.Simulator(net, threads=1).connections("rec->more")
    found = run_in_both(net, 250.0, {"in": rng.random((250, 8)) < 0.1}, {"out": rng.normal(size=(250, 3))})
    found.note(deviations, "e-prop+, a readout without a target", "weight", "loss")
    sources, targets, weights = untaught
    learned = found.theirs.final_weights["rec->more"][targets, sources]
    np.testing.assert_array_equal(np.asarray(learned).ravel(), weights)


def test_final_weights_are_those_of_the_engine():
    c = drawn_plus(2)
    theirs = run_in_both(c.network, 250.0, {"in": c.inputs}, {"out": c.targets}, c.window).theirs
    sim = ep.Simulator(c.network, threads=1)
    for name, found in theirs.final_weights.items():
        sources, targets, wanted = sim.connections(name)
        for shown in theirs.weights[name]:
            wanted = np.where(np.isnan(shown), wanted, shown)
        assert found.shape == sim.weights(name).shape
        np.testing.assert_array_equal(np.asarray(found[targets, sources]).ravel(), wanted)


def test_weights_of_a_simulator():
    """NEST goes on from what was learned here."""
    c = drawn_plus(0)
    sim, fresh = (ep.Simulator(c.network, threads=1) for _ in range(2))
    sim.run(250.0, {"in": c.inputs}, {"out": c.targets}, c.window)
    given = 100.0, {"in": c.inputs[:100]}, {"out": c.targets[:100]}
    theirs, first = to_nest(c.network, sim).run(*given), to_nest(c.network).run(*given)
    for name in plastic_of(c.network):
        fresh.set_weights(name, sim.connections(name)[2])
    ours = fresh.run(*given, record=[("rec", "v")])
    assert deviation(ours["rec", "v"], theirs.v["rec"]) < EXACT
    assert deviation(first.v["rec"], theirs.v["rec"]) > 1e-3


# ------------------------------------------------------------------------------------------------------------------- e-prop


@pytest.mark.parametrize("seed", range(8))
def test_networks_learn_by_eprop_as_in_nest(seed, deviations):
    compare_samples(*drawn_samples(seed), deviations)


@pytest.mark.parametrize("seed", some(range(100, 116), 4))
@pytest.mark.parametrize("kind", ORIGINAL)
def test_neurons_learn_by_eprop_as_in_nest(kind, seed, deviations):
    compare_samples(*drawn_samples(seed, functools.partial(drawn_neuron, kind=kind)), deviations)


def compare_samples(c: Case, batches: list, window: np.ndarray, deviations) -> None:
    found = train_in_both(c.network, batches, window)
    of_nest = "cross_entropy" if c.network.population("out").model.loss.softmax else "mean_squared_error"
    found.note(deviations, row_of(c), "voltage", "weight")
    found.note(deviations, f"`eprop_readout{SUFFIX}`, `{of_nest}`", "output", "loss")
    assert found.spikes > 20
    assert found.compared > 50
    assert found.different > 0.3 * found.compared


def test_a_batch_takes_constants_as_they_have_learned():
    """Voltages, outputs and the weights after the batch; several batches are refused."""
    tau, v_th = ep.Learned(60.0, low=20.0, high=200.0, eta=0.2), ep.Learned(0.6, low=0.3, high=1.0, eta=0.1)
    rule = ep.EProp(optimizer=ep.GradientDescent(1e-3))
    net = small_network(
        (6, 5, 1), {"in->rec": {"weight": ep.Normal(0.5, 0.3)}, "rec->out": {"weight": ep.Normal()}},
        neuron=ep.ALIF(v_th=v_th, tau_adapt=tau, beta=0.3, delayed_reset=True), rule=rule, feedback=ep.RandomFeedback(),
        readout=ep.Readout(tau_m=ep.Learned(20.0, low=5.0, high=50.0, eta=0.1, shared=True)),
    )  # fmt: skip
    sim, given = ep.Simulator(net, threads=1), np.random.default_rng(3).random((3, 60, 6)) < 0.2
    given[:, 0] = False
    samples = sim.samples(3, 60, {"in": given}, {"out": np.ones((3, 1, 1))}, np.arange(60) >= 20)
    for _ in range(3):
        sim.train(samples)
    assert np.unique(sim.parameters("rec")["tau_adapt"]).size > 1
    theirs, first = to_nest(net, sim).train(samples), to_nest(net).train(samples)
    with pytest.raises(
        ep.errors.NetworkError, match=r"rec\.v_th, rec.tau_adapt, out.tau_m would change after the first"
    ):
        to_nest(net, sim).train([samples, samples])
    result = sim.train(samples)
    assert deviation(result.y[:, :, 0], theirs.y["out"][:, :, 0]) < EXACT < deviation(result.y, first.y["out"]) / 1e6
    for name in plastic_of(net):
        sources, targets, weights = sim.connections(name)
        found = np.asarray(theirs.final_weights[name][targets, sources]).ravel()
        assert deviation(found, weights) < EXACT


@pytest.mark.parametrize("name", SPECIAL)
def test_special_networks_learn_by_eprop_as_in_nest(name, deviations):
    make, _, rule = SPECIAL[name]
    net, window = make(rule), np.arange(80) >= 40
    batches = [drawn_for(net, 2, 80)] * (4 if name == "signs" else 2)
    found = train_in_both(net, batches, window)
    found.note(deviations, f"e-prop, {name.partition(', ')[0]}", "output", "weight", "loss")
    assert all(np.isfinite(weights[2]).any() for weights in found.theirs.weights.values())
    assert found.spikes > 20
    if name == "signs":
        check_signs(net, found)
    if name == "several populations":
        assert found.least > 1e-6
        inputs, targets = batches[0]
        samples = ep.Simulator(net, threads=1).samples(2, 80, inputs=inputs, targets=targets, window=window)
        quiet = to_nest(net).train([samples, samples], record=False)
        np.testing.assert_array_equal(quiet.loss, found.theirs.loss)
        assert (quiet.v, quiet.weights, quiet.seconds.shape) == ({}, {}, (2,))
        assert quiet.seconds.min() > 0.0
