"""What the pages on mathematics and design claim in passing is true."""

from __future__ import annotations

import pathlib
import re

import numpy as np
import pytest

import eprop as ep
from eprop.checks import time_driven
from eprop.reference import Stimulus, backpropagate
from networks import dense_network, small_network

DOCS = pathlib.Path(__file__).parents[2] / "docs"
ALPHA, KAPPA, REG = 0.93, 0.97, 0.9

pytestmark = pytest.mark.tiny


def matrices(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The matrices of ``n`` steps as the page prints them, and the (psi, L, F) that they are made of."""
    numbers = np.random.default_rng(seed).normal(size=(n, 3))
    out = np.zeros((n, 4, 4))
    for m, (psi, learning, rate) in zip(out, numbers, strict=True):
        m[0, 0], m[1, 1], m[2, 2], m[3, 3] = ALPHA, KAPPA, REG, 1.0
        m[1, 0], m[2, 0], m[3, 1], m[3, 2] = psi, (1.0 - REG) * psi, learning, rate
    return out, numbers


def product(steps: np.ndarray) -> np.ndarray:
    total = np.eye(len(steps[0]))
    for m in steps:
        total = m @ total
    return total


def entries(total: np.ndarray) -> np.ndarray:
    return np.array([total[1, 0], total[2, 0], total[3, 1], total[3, 2], total[3, 0]])


def extended(c, psi, learning, rate, n):
    """One more step, as the page has it."""
    c1, c2, c3, c4, c5 = c
    new_1, new_2 = KAPPA * c1 + psi * ALPHA**n, REG * c2 + (1.0 - REG) * psi * ALPHA**n
    return new_1, new_2, c3 + learning * KAPPA**n, c4 + rate * REG**n, c5 + learning * c1 + rate * c2


def composed(a, b, m, n):
    """Propagator ``a`` of ``m`` steps, then ``b`` of ``n``, for equal kappas, as the page has it."""
    return KAPPA**n * a[0] + b[0] * ALPHA**m, a[1] + b[1] * KAPPA**m, a[2] + b[1] * a[0] + b[2] * ALPHA**m


def test_propagators_are_products_of_matrices() -> None:
    steps, numbers = matrices(40, seed=1)
    found = (0.0, 0.0, 0.0, 0.0, 0.0)
    for n, (psi, learning, rate) in enumerate(numbers):
        found = extended(found, psi, learning, rate, n)
    total = product(steps)
    np.testing.assert_allclose(found, entries(total), rtol=1e-12)
    np.testing.assert_allclose(np.diag(total), [ALPHA**40, KAPPA**40, REG**40, 1.0], rtol=1e-12)
    assert np.count_nonzero(np.triu(total, 1)) == 0


def test_compose_and_move_back() -> None:
    """With equal kappas ``e_bar_reg`` is left out: three entries."""
    steps, _ = matrices(40, seed=2)
    steps = steps[:, [0, 1, 3]][:, :, [0, 1, 3]]
    first, second, whole = (product(part)[[1, 2, 2], [0, 1, 0]] for part in (steps[:15], steps[15:], steps))
    np.testing.assert_allclose(composed(first, second, 15, 25), whole, rtol=1e-12)
    z, e = 1.3, 0.4
    z_0 = ALPHA**-15 * z
    e_0 = KAPPA**-15 * (e - first[0] * z_0)
    g_0 = -(first[1] * e_0 + first[2] * z_0)
    onward = KAPPA**40 * e_0 + whole[0] * z_0, g_0 + whole[1] * e_0 + whole[2] * z_0
    np.testing.assert_allclose(onward, [KAPPA**25 * e + second[0] * z, second[1] * e + second[2] * z], rtol=1e-11)


def test_a_spike_corrects_the_block_start_state() -> None:
    """A state goes on from a block start to a spike, and is moved back: the same state, with what the spike adds."""
    steps, _ = matrices(40, seed=3)
    steps = steps[:, [0, 1, 3]][:, :, [0, 1, 3]]
    c, d, later = steps[:24], steps[24:36], steps[24:]
    (c_1, c_3, c_5), (d_1, d_3, d_5) = (product(part)[[1, 2, 2], [0, 1, 0]] for part in (c, d))
    start, b = np.array([1.3, 0.4, 0.0]), 0.8
    z_s, e_s = ALPHA**24 * start[0], KAPPA**24 * start[1] + c_1 * start[0]
    g_s = d_3 * e_s + d_5 * z_s
    at_spike = product(steps[:36]) @ start
    np.testing.assert_allclose(c_3 * start[1] + c_5 * start[0] + g_s, at_spike[2], rtol=1e-12)
    delta = ALPHA**-12 * b
    j = -(KAPPA**-12) * d_1 * delta
    k = d_3 * j + d_5 * delta
    new = np.array([z_s + delta, e_s + j, -(g_s + k)])
    np.testing.assert_allclose(product(d) @ new, [at_spike[0] + b, at_spike[1], 0.0], rtol=1e-11, atol=1e-12)
    onward = product(steps[36:]) @ [at_spike[0] + b, at_spike[1], 0.0]
    np.testing.assert_allclose(product(later) @ new, onward, rtol=1e-11)


@pytest.mark.parametrize("scaled", [False, True])
def test_without_recurrence_e_prop_is_backpropagation(scaled: bool) -> None:
    rng = np.random.default_rng(4)
    neuron, readout = ep.LIF(scale_input=scaled), ep.Readout(tau_m=15.0, scale_input=scaled)
    weights = {
        "input": rng.normal(0.4, 0.3, (6, 5)) / neuron.input_scale(1.0),
        "recurrent": np.zeros((6, 6)),
        "readout": rng.normal(size=(2, 6)),
    }
    sample = Stimulus(60, {"in": rng.random((60, 5)) < 0.2}, {"out": rng.normal(size=(60, 2))})
    stepped = time_driven(dense_network(neuron, readout, weights, "symmetric", ep.EProp()))
    into, (found, run) = stepped.synapses.parts["in->rec"], stepped.gradient(sample)
    assert run.spikes[:, 5:].any()
    exact = backpropagate(stepped, sample).gradient[into]
    factor = (1.0 - readout.membrane_decay(1.0)) / readout.input_scale(1.0)
    np.testing.assert_allclose(found[into], exact * factor, rtol=1e-10)


def small(neuron: ep.LIF, rule: ep.EProp | ep.EPropPlus | ep.Static | ep.STDP) -> ep.Network:
    connections = {"rec->rec": None, "rec->out": {"rule": ep.Static() if isinstance(rule, ep.STDP) else rule}}
    return small_network((0, 8, 2), connections, neuron=neuron, rule=rule, feedback=ep.Symmetric())


GAMMA = 0.95


def rewarded(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Matrices of ``n`` steps with a trace that waits, as its page prints them, and their (psi, L, r)."""
    numbers = np.random.default_rng(seed).normal(size=(n, 3))
    out = np.zeros((n, 4, 4))
    for m, (psi, learning, reward) in zip(out, numbers, strict=True):
        m[0, 0], m[1, 1], m[2, 2], m[3, 3] = ALPHA, KAPPA, GAMMA, 1.0
        m[1, 0], m[2, 1], m[3, 1], m[3, 2] = psi, learning, reward * learning, reward * GAMMA
    return out, numbers


def test_propagators_with_reward_are_products_of_matrices() -> None:
    m, n = 25, 15
    steps, numbers = rewarded(m + n, seed=2)
    a, b, both = product(steps[:m]), product(steps[m:]), product(steps)
    told = sum(reward * GAMMA ** (u + 1) for u, (_, _, reward) in enumerate(numbers[m:]))
    np.testing.assert_allclose(told, b[3, 2])
    se = GAMMA**n * a[2, 1] + b[2, 1] * KAPPA**m
    s = GAMMA**n * a[2, 0] + b[2, 1] * a[1, 0] + b[2, 0] * ALPHA**m
    ge = a[3, 1] + told * a[2, 1] + b[3, 1] * KAPPA**m
    g = a[3, 0] + told * a[2, 0] + b[3, 1] * a[1, 0] + b[3, 0] * ALPHA**m
    np.testing.assert_allclose([se, s, ge, g], [both[2, 1], both[2, 0], both[3, 1], both[3, 0]], rtol=1e-12)


def test_of_an_episode_the_reward_trace_is_an_advantage() -> None:
    """The sum of rewards times what waits is the sum of learning signals times the discounted sum of what follows."""
    e_bar, learning, reward = np.random.default_rng(3).normal(size=(3, 60))
    waiting = collected = 0.0
    for e, signal, r in zip(e_bar, learning, reward, strict=True):
        waiting = GAMMA * waiting + signal * e
        collected += r * waiting
    following = np.zeros(61)
    for u in reversed(range(60)):
        following[u] = reward[u] + GAMMA * following[u + 1]
    np.testing.assert_allclose(collected, (learning * e_bar * following[:-1]).sum())


BITS = {
    "static, STDP, with [weights](../howto/chip.md) of up to 8 bits": 8,
    "static, STDP, with weights of up to 16 bits": 16,
}
RULES = {
    "static, nothing learns and no readout": ep.Static(),
    "static": ep.Static(),
    "STDP": ep.STDP(),
    **dict.fromkeys(BITS, ep.STDP()),
    "e-prop, gradient descent": ep.EProp(optimizer=ep.GradientDescent()),
    "e-prop, Adam": ep.EProp(optimizer=ep.Adam()),
    "e-prop, momentum or RMSprop": ep.EProp(optimizer=ep.Momentum()),
    "e-prop+, gradient descent": ep.EPropPlus(optimizer=ep.GradientDescent()),
    "e-prop+, gradient descent, two kappas": ep.EPropPlus(optimizer=ep.GradientDescent(), kappa_reg=0.5, c_reg=0.0),
    "e-prop+, momentum or RMSprop": ep.EPropPlus(optimizer=ep.RMSprop()),
    "e-prop+, Adam": ep.EPropPlus(optimizer=ep.Adam()),
    "e-prop+, Adam, two kappas": ep.EPropPlus(optimizer=ep.Adam(), kappa_reg=0.5, c_reg=0.0),
    "e-prop+ with reward, gradient descent": ep.EPropPlus(optimizer=ep.GradientDescent(), reward=ep.RewardTrace()),
    "e-prop+ with reward, Adam": ep.EPropPlus(optimizer=ep.Adam(), reward=ep.RewardTrace()),
}


def test_bytes_per_synapse() -> None:
    text = (DOCS / "project/scaling.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|\d][^|]+) \|.*\| \**(\d+)\** \| \**(\d+)\** \|$", text, re.MULTILINE)
    assert {name for name, _, _ in rows} == set(RULES)
    for name, *told in rows:
        for precision, claimed in zip(("single", "double"), told, strict=True):
            net = small_network((0, 8, 0)) if "no readout" in name else small(ep.LIF(), RULES[name])
            if name in BITS:
                layers = {"rec->rec": None, "rec->out": {"rule": ep.Static()}}
                net = small_network((0, 8, 2), layers, rule=RULES[name]).with_precision(ep.FixedPoint(BITS[name]))
            sim = ep.Simulator(net, threads=1, precision=precision)
            assert sim.memory()["synapses"] == int(claimed) * sim.n_synapses, name
