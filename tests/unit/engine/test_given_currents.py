"""Currents that are given for each neuron and step: against the reference and drives, in every division, and refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import eprop as ep
from compare import assert_same
from networks import small_network
from refusals import Refusal, each_row, refusals

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]

SIZES, N, STEPS = (5, 7, 2), 4, 40
EPROP = ep.EProp(optimizer=ep.Adam(eta=0.01), c_reg=0.1)
TAUS = [8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0]
NEURONS: dict[str, Callable[[], Any]] = {
    "LIF": lambda: ep.LIF(v_th=0.6, c_m=2.0, scale_input=True),
    "ALIF": lambda: ep.ALIF(tau_m=TAUS, v_th=0.5, beta=0.05),
    "DeltaLIF": lambda: ep.DeltaLIF(v_th=0.6, t_ref=2.0),
    "CurrentLIF": lambda: ep.CurrentLIF(tau_m=TAUS, v_th=0.6, tau_syn=4.0),
}


def network(neuron: Any, rule: ep.Rule = EPROP) -> ep.Network:
    connections = {
        "in->rec": {"weight": ep.Normal(0.2, 0.2)}, "rec->rec": {"weight": ep.Normal(0.0, 0.3), "delay": 2.0},
        "rec->out": {"weight": ep.Normal(0.0, 0.5)},
    }  # fmt: skip
    return small_network(SIZES, connections, neuron=neuron, rule=rule, feedback=ep.Symmetric(), seed=3)


def given(n: int = N, steps: int = STEPS, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Events, currents (pA) and targets of samples."""
    rng = np.random.default_rng(seed)
    currents = rng.normal(0.1, 0.1, (n, steps, SIZES[1]))
    return rng.random((n, steps, SIZES[0])) < 0.1, currents, rng.normal(size=(n, steps, SIZES[2]))


def test_a_constant_current_equals_a_drive() -> None:
    amplitudes = np.linspace(0.05, 0.2, SIZES[1])
    for neuron in NEURONS.values():
        driven, plain = network(neuron()), network(neuron())
        driven.stimulate("rec", ep.Current(amplitudes.tolist()))
        events, targets = given(1)[0][0], {"out": given(1)[2][0]}
        currents = np.broadcast_to(amplitudes, (STEPS, SIZES[1]))
        found = ep.Simulator(plain, threads=1).run(STEPS, {"in": events, "rec": currents}, targets)
        wanted = ep.Simulator(driven, threads=1).run(STEPS, {"in": events}, targets)
        assert_same(found.y["out"], wanted.y["out"])


def run(net: ep.Network, **inputs: Any) -> Callable[[], object]:
    return lambda: ep.Simulator(net, threads=1).run(3.0, inputs)


FLOATS = np.full((3, SIZES[1]), 0.1)
PLAIN = network(ep.LIF())
LEARNED = network(ep.LIF(tau_m=ep.Learned(12.0, low=2.0, high=100.0), v_th=0.6))


@refusals(
    *each_row([
        (run(PLAIN, **{"in": np.full((3, 5), 0.5)}), "name of a population of neurons"),
        (run(PLAIN, rec=FLOATS[:2]), r"currents into 'rec' must have shape \(3, 7\)"),
        (run(PLAIN, rec=FLOATS * np.nan), "currents into 'rec' hold values that are not finite"),
        (run(PLAIN, rec=FLOATS > 0.0), "must be numbers, got True and False; spikes need an EventSource"),
        (run(PLAIN, out=FLOATS), "no event source named 'out'"),
        (run(network(ep.DeltaLIF(ref_input=True)), rec=FLOATS), "DeltaLIF of 'rec' takes no current"),
        (run(LEARNED, rec=FLOATS), r"depends on rec\.tau_m, which learns"),
        (lambda: ep.Simulator(PLAIN, threads=1).lanes(2).step({"rec": FLOATS}), "lanes take no currents"),
    ], lambda call: call(), ep.errors.InputError),
)  # fmt: skip
def test_what_is_no_current_is_refused(refusal: Refusal) -> None:
    refusal.check()
