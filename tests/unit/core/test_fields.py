"""Arrays of the online network, each declared once in the core: what follows from the declaration."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest

import eprop as ep
from eprop.rules import Rule
from networks import small_network

pytestmark = pytest.mark.tiny

RULES = {
    "static": ep.Static(),
    "pairs": ep.STDP(w_max=2.0),
    "adam": ep.EPropPlus(optimizer=ep.Adam(), kappa_reg=0.5, c_reg=0.0, cutoff=15.0),
    "reward": ep.EPropPlus(cutoff=15.0, reward=ep.RewardTrace(tau=30.0, cutoff=40.0)),
}
GIVEN = ("synapses/weight", "neurons/feedback")  # made by the build


def simulator(rule: Rule, **options: Any) -> ep.Simulator:
    connections = {
        "in->rec": {"weight": ep.Uniform(0.2, 0.9), "delay": ep.Uniform(1.0, 4.0), "rule": rule},
        "rec->out": {"weight": 0.1, "rule": None if isinstance(rule, ep.STDP) else rule},
    }
    return ep.Simulator(small_network((6, 9, 2), connections, feedback=ep.RandomFeedback()), threads=1, **options)


@pytest.mark.parametrize("precision", ["single", "double"])
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_bytes_are_known_before_and_memory_begins_at_a_cache_line(rule: Rule, precision: str) -> None:
    sim = simulator(rule, precision=precision)
    online, held = sim._arrays.online, defaultdict[str, int](int)
    for name, _, view in online.kept():
        held[name.split("/")[0]] += view.nbytes
        assert name in GIVEN or view.ctypes.data % 64 == 0
    before = online.bytes_before(sim._arrays.built.in_core(sim.n_synapses(), sim._arrays.built.max_delay))
    assert before["synapses"] == held["synapses"]
    assert before["history"] == held["history"]
    assert before["neurons"] == held["neurons"] + sim._arrays.neurons.input.nbytes
    assert {name: online.bytes()[name] for name in before} == before


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_reset_clears_arrays_in_place(rule: Rule) -> None:
    sim, fresh = simulator(rule), simulator(rule)
    views = sim._arrays.online.kept()
    inputs = np.random.default_rng(1).random((60, 6)) < 0.3
    sim.run(
        60.0, {"in": inputs}, {"out": np.ones((60, 2))}, reward=np.ones(60) if getattr(rule, "reward", None) else None
    )
    sim.reset()
    for (name, _, view), (_, _, wanted) in zip(views, fresh._arrays.online.kept(), strict=True):
        if name not in GIVEN:
            np.testing.assert_array_equal(view, wanted, err_msg=name)
