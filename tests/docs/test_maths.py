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

pytestmark = pytest.mark.tiny


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
    "e-prop+, Adam, two kappas (single precision: as ALIF)": ep.EPropPlus(
        optimizer=ep.Adam(), kappa_reg=0.5, c_reg=0.0
    ),
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
            assert sim.memory()["synapses"] == int(claimed) * sim.n_synapses(), name
