"""Networks that keep signs or have weights of few bits: the engine equals the reference, no weight changes its sign or leaves its
levels, any division gives the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

import eprop as ep
from compare import assert_same
from eprop.reference import Stimulus
from ranks_in_threads import on_ranks
from strategies import SEEDS, examples, st

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]

NEURONS = {
    "LIF": ep.LIF(tau_m=12.0, v_th=0.5),
    "ALIF": ep.ALIF(tau_m=12.0, v_th=0.5, beta=0.3, tau_adapt=40.0),
    "LIF, each its own": ep.LIF(tau_m=ep.Uniform(8.0, 25.0), v_th=ep.Normal(0.5, 0.05)),
}
# Rates with which many weights reach 0, few so soon that learning diverges.
PLUS = {
    "gradient descent": ep.EPropPlus(optimizer=ep.GradientDescent(1e-3), c_reg=0.01, cutoff=20.0),
    "own bounds": ep.EPropPlus(
        optimizer=ep.GradientDescent(1e-3, w_min=-0.1, w_max=0.2), kappa_reg=0.9, c_reg=0.0, cutoff=60.0
    ),
    "decay": ep.EPropPlus(optimizer=ep.GradientDescent(1e-3, decay=1e-3), cutoff=20.0),
    "Adam": ep.EPropPlus(optimizer=ep.Adam(3e-3, epsilon=1e-2), cutoff=20.0),
    "RMSprop": ep.EPropPlus(optimizer=ep.RMSprop(3e-3, epsilon=1e-2), cutoff=20.0),
    "gradient descent at each step": ep.EPropPlus(optimizer=ep.GradientDescent(1e-3), cutoff=20.0, each_step=True),
    "momentum at each step": ep.EPropPlus(optimizer=ep.Momentum(1e-4), cutoff=20.0, each_step=True),
    "Nesterov at each step": ep.EPropPlus(
        optimizer=ep.Momentum(1e-4, nesterov=True, decay=1e-4), kappa_reg=0.9, c_reg=0.0, cutoff=15.0, each_step=True
    ),
    "reward": ep.EPropPlus(
        optimizer=ep.GradientDescent(1e-3), cutoff=20.0, reward=ep.RewardTrace(tau=40.0, cutoff=35.0)
    ),
}
SAMPLES = {
    "gradient descent": ep.EProp(kappa=0.9, optimizer=ep.GradientDescent(3e-2)),
    "Adam": ep.EProp(kappa=0.9, optimizer=ep.Adam(2e-2, epsilon=1e-2, decay=1e-2), c_reg=0.2),
    "momentum": ep.EProp(kappa=0.9, optimizer=ep.Momentum(1e-2, nesterov=True, w_min=-0.1), average_gradient=True),
}
DELAYS = {"one step": 1.0, "drawn": ep.Uniform(0.6, 5.0)}
PRECISIONS = {
    "of the simulator": None,
    "4 bits": ep.FixedPoint(4),
    "7 bits, scale given": ep.FixedPoint(7, scale=0.013),
    "10 bits, to the nearest": ep.FixedPoint(10, rounding="nearest"),
}


def network(
    seed: int,
    neuron: str,
    rule: Any,
    delay: str,
    share: float,
    signs: tuple[Any, ...],
    precision: str = "of the simulator",
) -> ep.Network:
    """Inputs, neurons and readouts, whose projections have ``signs``; the neurons have a ``share`` of excitatory ones.

    With steps at each time step, weights have the precision of the simulator.
    """
    net = ep.Network(seed=seed)
    largest = min(-rule.bounds[0], rule.bounds[1])
    drawn = ep.Clipped(ep.Normal(0.0, 0.2), -largest, largest)
    x, rec = net.add(ep.EventSource(), 6, "in", excitatory=0.5), net.add(NEURONS[neuron], 9, "rec", excitatory=share)
    out = net.add(ep.Readout(tau_m=ep.Uniform(8.0, 30.0)), 2, "out")
    balanced = signs[1] == "source" and 0.0 < share < 1.0 and largest == np.inf
    few_bits = None if getattr(rule, "each_step", False) else PRECISIONS[precision]
    options = {"rule": rule, "delay": DELAYS[delay], "precision": few_bits}
    net.connect(x, rec, ep.FixedIndegree(7, multapses=True), weight=drawn, sign=signs[0], **options)
    recurrent = ep.Balanced(ep.Uniform(0.0, 0.3)) if balanced else drawn
    net.connect(rec, rec, ep.Bernoulli(0.6), weight=recurrent, sign=signs[1], **options)
    net.connect(rec, out, ep.Bernoulli(0.8), weight=drawn, sign=signs[2], **options)
    net.feedback(out, rec, ep.RandomFeedback(ep.Normal(0.0, 1.0)))
    return net


def signals(seed: int, steps: int, rule: Any) -> Stimulus:
    """Input spikes, targets, and reward if the rule waits for it."""
    rng = np.random.default_rng(seed)
    reward = rng.normal(0.3, 1.0, steps) * (rng.random(steps) < 0.3) if getattr(rule, "reward", None) else None
    target = rng.normal(0.0, 1.0, (steps, 2))
    return Stimulus(steps, {"in": rng.random((steps, 6)) < 0.2}, {"out": target}, np.ones(steps), reward=reward)


def check_signs(net: ep.Network, before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> int:
    """No weight of a projection with signs has crossed 0; the number of weights at 0."""
    stopped = 0
    for p in net.projections:
        if p.sign is not None:
            assert (before[p.name] * after[p.name] >= 0.0).all(), p.name
            stopped += int((after[p.name] == 0.0).sum())
    return stopped


def check_levels(sim: ep.Simulator) -> int:
    """Weights of few bits are whole numbers of levels; the number of such weights."""
    counted = 0
    for name, one in sim.formats.items():
        weights = sim.connections(name)[2]
        np.testing.assert_allclose(weights, one.rounded(weights), rtol=1e-7, atol=0.0)
        counted += weights.size
    return counted


def weights_of(sim: ep.Simulator) -> dict[str, np.ndarray]:
    return {p.name: sim.connections(p)[2] for p in sim.network.projections}


KINDS = st.sampled_from([None, "source", "fixed"])


@pytest.mark.parametrize("rule", [*PLUS, *(f"e-prop, {name}" for name in SAMPLES)])
@pytest.mark.parametrize("sign", ["source", "fixed"])
def test_weights_stop_at_zero_in_any_division(rule, sign):
    """Learning so fast that many weights reach 0, with the same bits in any division and from a state in the middle."""
    chosen: Any = PLUS[rule] if rule in PLUS else SAMPLES[rule.removeprefix("e-prop, ")]
    rate = 20.0 * chosen.optimizer.eta
    chosen = chosen.replace(optimizer=chosen.optimizer.replace(eta=rate, w_min=-0.4, w_max=0.4))
    net = network(
        4, "ALIF", chosen, "drawn", 0.6, (sign, sign, sign), "10 bits, to the nearest" if sign == "fixed" else "4 bits"
    )
    parts = [signals(seed, 60, chosen) for seed in (1, 2)]
    sims = [ep.Simulator(net, threads=1, partitions=n, precision="single") for n in (1, 2, 5)]
    before = weights_of(sims[0])
    for sim in sims:
        learn(sim, parts[0])
    resumed = ep.Simulator(net, threads=1, partitions=3, precision="single")
    resumed.set_state(sims[1].state())
    for sim in (*sims, resumed):
        learn(sim, parts[1])
        assert_same(sim.state(), sims[0].state())
    assert check_signs(net, before, weights_of(sims[0])) > 0
    assert (check_levels(sims[0]) > 0) != getattr(chosen, "each_step", False)


def learn(sim: ep.Simulator, given_: Stimulus) -> None:
    """Learn from a stimulus, as the rule of the network does."""
    if any(isinstance(p.rule, ep.EProp) for p in sim.network.projections):
        for _ in range(5):
            sim.train(
                sim.samples(1, given_.steps, {"in": given_.spikes["in"][None]}, {"out": given_.targets["out"][None]})
            )
    else:
        reward = {} if given_.reward is None else {"reward": given_.reward}
        sim.run(float(given_.steps), given_.spikes, given_.targets, **reward)


@examples(0.06)
@given(
    seed=SEEDS,
    sign=KINDS,
    delay=st.sampled_from(list(DELAYS)),
    grow=st.sampled_from(["gradient", "random"]),
    candidates=st.sampled_from([None, 1.0, 4.0]),
    fraction=st.sampled_from([0.13, 0.5, 1.0]),
    partitions=st.integers(2, 4),
)
def test_rewiring_loses_and_doubles_no_synapse_in_any_division(
    seed, sign, delay, grow, candidates, fraction, partitions
):
    moves = ep.Rewiring(every=1, fraction=fraction, grow=grow, candidates=candidates)
    rule = SAMPLES["Adam"].replace(optimizer=ep.Adam(0.1))

    def moving() -> ep.Network:
        net = ep.Network(seed=seed)
        x, rec = (
            net.add(ep.EventSource(), 11, "in", excitatory=0.5),
            net.add(ep.LIF(v_th=0.3), 13, "rec", excitatory=0.4),
        )
        out = net.add(ep.Readout(), 2, "out")
        options = {"weight": ep.Normal(0.0, 0.3), "rule": rule, "delay": DELAYS[delay], "sign": sign, "rewiring": moves}
        net.connect(x, rec, ep.FixedIndegree(4), **options)
        net.connect(rec, rec, ep.Bernoulli(0.3), **options)
        net.connect(rec, out, weight=ep.Normal(0.0, 0.3))
        net.feedback(out, rec)
        return net

    def train(comm: Any = None, times: int = 6, **options: Any) -> dict[str, np.ndarray]:
        sim = ep.Simulator(moving(), comm=comm, **{"threads": 1, **options})
        rng = np.random.default_rng(seed)
        for _ in range(times):
            inputs, target = rng.random((1, 6, 11)) < 0.4, rng.normal(size=(1, 6, 2))
            before = {name: sim.connections(name) for name in ("in->rec", "rec->rec")}
            sim.train(sim.samples(1, 6, {"in": inputs}, {"out": target}))
            for name, (_, targets, _) in before.items():
                sources, now, _ = sim.connections(name)
                np.testing.assert_array_equal(now, targets)
                assert len(set(zip(sources, now, strict=True))) == now.size
                assert name == "in->rec" or (sources != now).all()
        return sim.state()

    wanted = train()
    for found in (train(partitions=partitions, threads=2), on_ranks(2, train)[1]):
        for name, value in wanted.items():
            assert name.startswith("spikes/") or np.array_equal(found[name], value), name
