"""What the pages on mathematics and design claim in passing is true."""

from __future__ import annotations

import pathlib
import re

import numpy as np
import pytest

import eprop as ep
from eprop import reference
from eprop.equations import maps

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
    total = np.eye(4)
    for m in steps:
        total = m @ total
    return total


def entries(total: np.ndarray) -> np.ndarray:
    return np.array([total[1, 0], total[2, 0], total[3, 1], total[3, 2], total[3, 0]])


def test_maps_are_products_of_matrices() -> None:
    steps, numbers = matrices(40, seed=1)
    found = (0.0, 0.0, 0.0, 0.0, 0.0)
    for n, (psi, learning, rate) in enumerate(numbers):
        found = maps.extend_both(*found, psi, learning, rate, ALPHA**n, KAPPA**n, REG**n, KAPPA, REG)
    total = product(steps)
    np.testing.assert_allclose(found, entries(total), rtol=1e-12)
    np.testing.assert_allclose(np.diag(total), [ALPHA**40, KAPPA**40, REG**40, 1.0], rtol=1e-12)
    assert np.count_nonzero(np.triu(total, 1)) == 0


def test_compose_and_divide() -> None:
    steps, _ = matrices(40, seed=2)
    first, second, whole = (entries(product(part)) for part in (steps[:15], steps[15:], steps))
    powers = ALPHA**15, KAPPA**15, REG**15
    np.testing.assert_allclose(maps.compose_both(*first, *second, *powers, KAPPA**25, REG**25), whole, rtol=1e-12)
    inverse = tuple(1.0 / power for power in powers)
    np.testing.assert_allclose(maps.divide_both(*whole, *first, *inverse, KAPPA**25, REG**25), second, rtol=1e-11)


def test_equal_kappas_need_three_entries() -> None:
    rng = np.random.default_rng(3)
    (a1, a3, a5), (b1, b3, b5) = rng.normal(size=(2, 3))
    # c2 = (1 - kappa) c1; with F = 0 nothing comes back from e_bar_reg.
    both = maps.compose_both(
        a1, (1 - KAPPA) * a1, a3, 0.0, a5, b1, (1 - KAPPA) * b1, b3, 0.0, b5,
        ALPHA**9, KAPPA**9, KAPPA**9, KAPPA**7, KAPPA**7,
    )  # fmt: skip
    one = maps.compose(a1, a3, a5, b1, b3, b5, ALPHA**9, KAPPA**9, KAPPA**7)
    np.testing.assert_allclose((both[0], both[2], both[4]), one)
    np.testing.assert_allclose(both[1], (1 - KAPPA) * both[0])


@pytest.mark.parametrize("scaled", [False, True])
def test_without_recurrence_e_prop_is_backpropagation(scaled: bool) -> None:
    rng = np.random.default_rng(4)
    neuron, readout = reference.LIF(scale_input=scaled), reference.Readout(tau_m=15.0, scale_input=scaled)
    weights = {
        "input": rng.normal(0.4, 0.3, (6, 5)) / neuron.zeta(1.0),
        "recurrent": np.zeros((6, 6)),
        "readout": rng.normal(size=(2, 6)),
    }
    inputs, targets = (rng.random((60, 5)) < 0.2).astype(float), rng.normal(size=(60, 2))
    sample = reference.run_sample(inputs, targets, weights, neuron, readout)
    assert sample.spikes.any()
    found = reference.gradients(sample, weights["readout"].T, neuron, readout, reference.SampleRule())["input"]
    exact = reference.backpropagate(sample, weights, neuron, readout).gradients["input"]
    np.testing.assert_allclose(found, exact * (1.0 - readout.alpha(1.0)) / readout.zeta(1.0), rtol=1e-10)


def small(neuron: ep.LIF, rule: ep.EProp | ep.EPropPlus | ep.Static | ep.STDP) -> ep.Network:
    net = ep.Network()
    rec, out = net.add(neuron, 8, "rec"), net.add(ep.Readout(), 2, "out")
    net.connect(rec, rec, rule=rule)
    net.connect(rec, out, rule=ep.Static() if isinstance(rule, ep.STDP) else rule)
    net.feedback(out, rec)
    return net


@pytest.mark.parametrize(("tau_m", "block"), [(20.0, 64), (5.0, 32), (2.0, 8)])
def test_block_sizes(tau_m: float, block: int) -> None:
    sim = ep.Simulator(small(ep.LIF(tau_m=tau_m), ep.EPropPlus(kappa=0.97)), threads=1)
    assert sim._history.block_steps == block


RULES = {
    "static": ep.Static(),
    "STDP": ep.STDP(),
    "e-prop, gradient descent": ep.EProp(optimizer=ep.GradientDescent()),
    "e-prop, Adam": ep.EProp(optimizer=ep.Adam()),
    "e-prop, momentum or RMSprop": ep.EProp(optimizer=ep.Momentum()),
    "e-prop+, gradient descent": ep.EPropPlus(optimizer=ep.GradientDescent()),
    "e-prop+, gradient descent, two kappas": ep.EPropPlus(optimizer=ep.GradientDescent(), kappa_reg=0.5),
    "e-prop+, momentum or RMSprop": ep.EPropPlus(optimizer=ep.RMSprop()),
    "e-prop+, Adam": ep.EPropPlus(optimizer=ep.Adam()),
    "e-prop+, Adam, two kappas": ep.EPropPlus(optimizer=ep.Adam(), kappa_reg=0.5),
}


def test_bytes_per_synapse() -> None:
    text = (DOCS / "design/life_of_a_spike.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \|.*\| \**(\d+)\** \| \**(\d+)\** \|$", text, re.MULTILINE)
    assert {name for name, _, _ in rows} == set(RULES)
    for name, *told in rows:
        for precision, claimed in zip(("single", "double"), told, strict=True):
            sim = ep.Simulator(small(ep.LIF(), RULES[name]), threads=1, precision=precision)
            assert sim.memory()["synapses"] == int(claimed) * sim.n_synapses, name


def test_bytes_of_maps() -> None:
    sim = ep.Simulator(small(ep.LIF(), ep.EPropPlus(cutoff=100.0)), threads=1)
    assert sim._history.prefix.nbytes == 3072 * 8
    assert sim._history.block.nbytes == 96 * 8
