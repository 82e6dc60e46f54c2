"""Delays are relays or earlier targets, Poisson sources draw anew, and time steps have any length."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

import eprop as ep
from compare import assert_close, assert_same
from eprop.checks import time_driven
from networks import PROJECTIONS, Case, case, check_run
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


def add_copy(net: ep.Network, c: Case, delays: Any = None, pre: Any = None) -> dict[str, ep.Population]:
    """Add the network of a case to another one; some projections have another delay, or come from another population."""
    made = {p.name: net.add(p.model, p.size, p.name) for p in c.network.populations}
    for p in c.network.projections:
        net.connect(
            (pre or {}).get(p.name, made[p.pre.name]), made[p.post.name], p.connectivity, weight=p.weight.values, rule=p.rule,
            delay=(delays or {}).get(p.name, p.delay), name=p.name,
        )  # fmt: skip
    for f in c.network.feedback_projections:
        net.feedback(made[f.pre.name], made[f.post.name], f.kind)
    return made


def delayed(c: Case, **delays: float) -> ep.Network:
    """The case's network with another delay of the projection ``input``, ``recurrent`` or ``readout``."""
    net = ep.Network(dt=c.network.dt)
    add_copy(net, c, delays={PROJECTIONS[name]: delay for name, delay in delays.items()})
    return net


# ---------------------------------------------------------------------------------------------------- delays


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
