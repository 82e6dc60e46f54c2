"""The event-driven engine against live NEST 3.10: voltages, outputs, and the weight at every arrival, to 1e-9 mV.

An update differs by 1e-16 to 1e-13: sums in another order, and division by powers of ``alpha`` and ``kappa`` down to 1e-3.
What a network makes of that grows, as it learns and spikes, by some digits in some hundred steps (the reference's difference
from NEST does so too). Adam divides by ``sqrt(v) + epsilon`` and may multiply an error by ``eta / epsilon``: at most 50 here.
"""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from eprop.interop.nest import NEURONS, SUFFIX, NestResult, to_nest
from networks import PROJECTIONS, SURROGATES, Case, case, neuron_of, run_engine_plus

pytestmark = pytest.mark.nest
EXACT = 1e-9


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
    name = NEURONS[type(c.network.population("rec").model)] + (SUFFIX if original else "")
    when = "every batch" if original else "every step" if c.rule.each_step else "every spike"
    return f"`{name}`, {type(c.rule.optimizer).__name__} {when}"


def drawn_bounds(rng) -> dict[str, float]:
    return {"w_min": -0.9, "w_max": 1.1} if rng.random() < 0.5 else {"w_min": -50.0, "w_max": 50.0}


def drawn_window(rng, steps: int) -> np.ndarray:
    """Some windows, and a few steps that count in part."""
    window = np.repeat(rng.random(steps // 10 + 1) < 0.7, 10)[:steps].astype(float)
    window[: steps // 10] *= 0.5
    return window


def drawn_sizes(rng) -> tuple[int, int, int]:
    return int(rng.integers(3, 13)), int(rng.integers(4, 16)), int(rng.integers(1, 5))


def deviation(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.abs(found - wanted).max(initial=0.0))


def weights_of_arrivals(theirs: NestResult, ours: dict[str, np.ndarray]) -> tuple[float, int, int]:
    """Largest deviation where a spike arrived, how many weights that are, and how many different ones."""
    worst, compared, different = 0.0, 0, 0
    for name, projection in PROJECTIONS.items():
        seen = ~np.isnan(theirs.weights[projection])
        worst = max(worst, deviation(ours[name][seen], theirs.weights[projection][seen]))
        compared += int(seen.sum())
        different += np.unique(theirs.weights[projection][seen]).size
    return worst, compared, different


def recorded_weights(theirs: NestResult, ours: dict[str, np.ndarray]) -> tuple[float, int, float]:
    """Largest deviation where a spike arrived, how many weights that are, and the smallest range of them in a projection."""
    seen = {name: ~np.isnan(theirs.weights[name]) for name in ours}
    worst = max(deviation(weights[seen[name]], theirs.weights[name][seen[name]]) for name, weights in ours.items())
    least = min(float(np.ptp(theirs.weights[name][where])) for name, where in seen.items() if where.any())
    return worst, sum(int(where.sum()) for where in seen.values()), least if all(map(np.any, seen.values())) else 0.0


# ------------------------------------------------------------------------------------------------------------ e-prop+


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
    c.window[:] = drawn_window(rng, 250)
    if adam:  # NEST's optimiser counts the steps of the clock, which then begins with the run
        c.inputs[0], c.window[0] = 0.0, 0.0
    return c


@pytest.mark.parametrize("seed", range(8))
def test_networks_learn_by_eprop_plus_as_in_nest(seed, deviations):
    compare_plus(drawn_plus(seed), deviations)


def compare_plus(c: Case, deviations) -> None:
    """Run a network in both and note the largest deviations."""
    theirs = to_nest(c.network).run(250.0, {"in": c.inputs}, {"out": c.targets}, c.window)
    _, v, y, history = run_engine_plus(c)
    worst, compared, different = weights_of_arrivals(theirs, history)
    again = ep.Simulator(c.network, threads=1).run(
        250.0, {"in": c.inputs}, {"out": c.targets}, c.window, spikes=["rec"]
    )
    np.testing.assert_array_equal(np.argwhere(theirs.spikes["rec"]), np.column_stack(by_step(again.spikes["rec"])))
    spikes, loss = int(theirs.spikes["rec"].sum()), deviation(again.loss, theirs.loss) / theirs.loss.max()
    deviations.note(row_of(c), compared, spikes, voltage=deviation(v, theirs.v["rec"]), weight=worst)
    deviations.note("`eprop_readout`", compared, spikes, voltage=deviation(y, theirs.y["out"]), loss=loss)
    assert deviation(v, theirs.v["rec"]) < EXACT
    assert deviation(y, theirs.y["out"]) < EXACT
    assert worst < EXACT
    np.testing.assert_allclose(again.loss, theirs.loss, rtol=0, atol=EXACT * theirs.loss.max())
    # There was something to compare.
    assert theirs.spikes["rec"].sum() > 10
    assert compared > 100
    assert different > 0.1 * compared


def by_step(spikes: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Steps and nodes of recorded spikes (dt = 1 ms), sorted."""
    steps, nodes = np.rint(spikes[0]).astype(int) - 1, spikes[1].astype(int)
    order = np.lexsort((nodes, steps))
    return steps[order], nodes[order]


@pytest.mark.parametrize("dt", [0.5, 2.0])
def test_plus_at_other_time_steps(dt, deviations):
    """NEST's rate is per ms and its target per step; `to_nest` makes up for it."""
    rule = ep.EPropPlus(
        optimizer=ep.GradientDescent(1e-3, w_min=-9.0, w_max=9.0), c_reg=0.5, f_target=30.0, cutoff=20.0
    )
    c = case(3, rule, steps=200, dt=dt, rate=0.1)
    theirs = to_nest(c.network).run(200 * dt, {"in": c.inputs}, {"out": c.targets}, c.window)
    _, v, y, history = run_engine_plus(c)
    worst, compared, _ = weights_of_arrivals(theirs, history)
    spikes = int(theirs.spikes["rec"].sum())
    found = {"voltage": deviation(v, theirs.v["rec"]), "weight": worst}
    deviations.note("e-prop+, steps of 0.5 and 2 ms", compared, spikes, **found)
    assert max(*found.values(), deviation(y, theirs.y["out"])) < EXACT
    assert spikes > 10


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


def test_plus_with_several_populations(deviations):
    rule = ep.EPropPlus(optimizer=ep.GradientDescent(3e-4, w_min=-5.0, w_max=5.0), c_reg=0.05, cutoff=30.0)
    net = two_populations(rule)
    rng = np.random.default_rng(0)
    inputs = {"in": rng.random((250, 6)) < 0.1, "other": rng.random((250, 4)) < 0.05}
    targets = {"out": rng.normal(size=(250, 2)), "more": rng.normal(size=(250, 1))}
    theirs = to_nest(net).run(250.0, inputs, targets)
    plastic = [p.name for p in net.projections if p.rule.plastic]
    record = [("fast", "v"), ("slow", "v"), *((name, "weight") for name in plastic)]
    ours = ep.Simulator(net, threads=1).run(250.0, inputs, targets, record=record)
    v = max(deviation(ours[name, "v"], theirs.v[name]) for name in ("fast", "slow"))
    y = max(deviation(ours.y[name], theirs.y[name]) for name in ("out", "more"))
    w, compared, least = recorded_weights(theirs, {name: ours[name, "weight"] for name in plastic})
    spikes = sum(int(theirs.spikes[name].sum()) for name in ("fast", "slow"))
    deviations.note("e-prop+, several populations", compared, spikes, voltage=max(v, y), weight=w)
    assert max(v, y, w) < EXACT
    assert min(theirs.spikes[name].sum() for name in ("fast", "slow")) > 5
    assert least > 0.0


def test_a_static_network_does_as_in_nest(deviations):
    c = case(2, ep.Static(), steps=200, rate=0.1, i_e=0.01)
    theirs = to_nest(c.network).run(200.0, {"in": c.inputs}, {"out": c.targets}, c.window)
    ours = ep.Simulator(c.network, threads=1).run(
        200.0, {"in": c.inputs}, {"out": c.targets}, c.window, record=[("rec", "v")]
    )
    v, y = deviation(ours["rec", "v"], theirs.v["rec"]), deviation(ours.y["out"], theirs.y["out"])
    deviations.note("`eprop_iaf`, static", 0, int(theirs.spikes["rec"].sum()), voltage=max(v, y))
    assert max(v, y) < EXACT
    assert theirs.spikes["rec"].sum() > 10
    assert theirs.weights == {}


def test_final_weights_are_those_of_the_engine():
    c = drawn_plus(2)
    theirs = to_nest(c.network).run(250.0, {"in": c.inputs}, {"out": c.targets}, c.window)
    sim, _, _, history = run_engine_plus(c)
    untouched = ep.Simulator(c.network, threads=1)
    for key, name in PROJECTIONS.items():
        sources, targets, wanted = untouched.connections(name)
        for shown, ours in zip(theirs.weights[name], history[key], strict=True):
            wanted = np.where(np.isnan(shown), wanted, ours)
        found = theirs.final_weights[name]
        assert found.shape == sim.weights(name).shape
        assert deviation(np.asarray(found[targets, sources]).ravel(), wanted) < EXACT


def test_weights_of_a_simulator():
    """NEST goes on from what was learned here."""
    c = drawn_plus(0)
    sim, *_ = run_engine_plus(c)
    theirs = to_nest(c.network, sim).run(100.0, {"in": c.inputs[:100]}, {"out": c.targets[:100]})
    weights = {name: sim.connections(name)[2] for name in PROJECTIONS.values()}
    first = to_nest(c.network).run(100.0, {"in": c.inputs[:100]}, {"out": c.targets[:100]})
    fresh = ep.Simulator(c.network, threads=1)
    for name, learned in weights.items():
        fresh.set_weights(name, learned)
    ours = fresh.run(100.0, {"in": c.inputs[:100]}, {"out": c.targets[:100]}, record=[("rec", "v")])
    assert deviation(ours["rec", "v"], theirs.v["rec"]) < EXACT
    assert deviation(first.v["rec"], theirs.v["rec"]) > 1e-3


# -------------------------------------------------------------------------------------------------------------- e-prop


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
        batches.append((x, y))
    return c, batches, np.arange(steps) >= steps - window


@pytest.mark.parametrize("seed", range(8))
def test_networks_learn_by_eprop_as_in_nest(seed, deviations):
    compare_samples(*drawn_samples(seed), deviations)


def compare_samples(c: Case, batches: list, window: np.ndarray, deviations) -> None:
    """Train a network in both and note the largest deviations."""
    sim = ep.Simulator(c.network, threads=1)
    given = [sim.samples(len(x), x.shape[1], inputs={"in": x}, targets={"out": y}, window=window) for x, y in batches]
    theirs = to_nest(c.network).train(given)
    v, y, losses, weights = [], [], [], [connections(sim)]
    for samples, (x, _) in zip(given, batches, strict=True):
        # Each sample from rest, with the weights of the batch.
        v.extend(sim.run(float(len(one)), {"in": one}, learn=False, record=[("rec", "v")])["rec", "v"] for one in x)
        result = sim.train(samples)
        losses.append(result.loss)
        y.append(result.y)
        weights.append(connections(sim))
    history = {name: np.stack([w[name] for w in weights]) for name in PROJECTIONS}
    worst, compared, different = weights_of_arrivals(theirs, history)
    v_worst, y_worst = deviation(np.stack(v)[:, :-1], theirs.v["rec"]), deviation(np.concatenate(y), theirs.y["out"])
    loss, spikes = deviation(np.concatenate(losses), theirs.loss) / theirs.loss.max(), int(theirs.spikes["rec"].sum())
    softmax = c.network.population("out").model.loss.softmax
    of_nest = "cross_entropy" if softmax else "mean_squared_error"
    deviations.note(row_of(c), compared, spikes, voltage=v_worst, weight=worst)
    deviations.note(f"`eprop_readout{SUFFIX}`, `{of_nest}`", compared, spikes, voltage=y_worst, loss=loss)
    assert max(v_worst, y_worst, worst, loss) < EXACT
    assert spikes > 20
    assert compared > 50
    assert different > 0.3 * compared


def connections(sim: ep.Simulator) -> dict[str, np.ndarray]:
    return {name: sim.connections(projection)[2] for name, projection in PROJECTIONS.items()}


def test_samples_with_several_populations(deviations):
    rule = ep.EProp(optimizer=ep.GradientDescent(1e-4, w_min=-99.0, w_max=99.0), c_reg=0.3)
    net = two_populations(rule)
    sim = ep.Simulator(net, threads=1)
    rng = np.random.default_rng(0)
    x = {"in": rng.random((2, 80, 6)) < 0.1, "other": rng.random((2, 80, 4)) < 0.05}
    for part in x.values():
        part[:, 0] = False
    targets = {"out": rng.normal(size=(2, 80, 2)), "more": rng.normal(size=(2, 80, 1))}
    samples = sim.samples(2, 80, inputs=x, targets=targets, window=np.arange(80) >= 40)
    theirs = to_nest(net).train([samples, samples])
    plastic = [p.name for p in net.projections if p.rule.plastic]
    weights = [{name: sim.connections(name)[2] for name in plastic}]
    losses = []
    for _ in range(2):
        losses.append(sim.train(samples).loss)
        weights.append({name: sim.connections(name)[2] for name in plastic})
    loss = deviation(np.concatenate(losses), theirs.loss) / theirs.loss.max()
    worst, compared = 0.0, 0
    for name in plastic:
        ours, seen = np.stack([w[name] for w in weights]), ~np.isnan(theirs.weights[name])
        worst, compared = max(worst, deviation(ours[seen], theirs.weights[name][seen])), compared + int(seen.sum())
        assert seen[2].any()
        assert np.abs(ours[2] - ours[0]).max() > 1e-6
    spikes = sum(int(theirs.spikes[name].sum()) for name in ("fast", "slow"))
    deviations.note("e-prop, several populations", compared, spikes, weight=worst, loss=loss)
    assert worst < EXACT
    assert loss < EXACT
    quiet = to_nest(net).train([samples, samples], record=False)
    np.testing.assert_array_equal(quiet.loss, theirs.loss)
    assert (quiet.v, quiet.weights, quiet.seconds.shape) == ({}, {}, (2,))
    assert quiet.seconds.min() > 0.0
