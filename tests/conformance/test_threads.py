"""Threads, partitions, a state that another simulator resumes and a copy give the same bits.

Each loop on a few neurons, small enough for the thread sanitizer.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools

import numpy as np
import pytest

import eprop as ep
from compare import assert_same
from conformance.registry import MODELS, RULES, small
from eprop.parallel.launch import available_threads
from networks import Case, samples_of, stimuli
from small_runs import cases, digest

pytestmark = pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")
three_threads = pytest.mark.skipif(available_threads() < 3, reason="three threads are needed: EPROP_NUM_THREADS=3")
DIVISIONS = {"one of all": (1, 1), "5 partitions": (1, 5), "2 threads": (2, 2), "3 threads, 4 partitions": (3, 4)}
# Among all models: one shared by all synapses, one that crosses, one where each neuron has its own parameters.
FEW = ("LIF", "ALIF, refractory", "LIF, each its own")


@pytest.mark.tiny
@pytest.mark.threads
@three_threads
@pytest.mark.parametrize(("rule", "neuron", "precision"), list(cases()))
def test_threads_give_the_same_bits(rule: str, neuron: str, precision: str) -> None:
    assert digest(rule, neuron, precision, threads=3) == digest(rule, neuron, precision)


def part(c: Case, sim: ep.Simulator, half: int) -> list[np.ndarray]:
    """The first or the second half of the stimulus, or of some mini-batches: outputs and losses."""
    if isinstance(c.rule, ep.EPropPlus):
        steps = slice(half * len(c.inputs) // 2, (half + 1) * len(c.inputs) // 2)
        run = sim.run(
            (steps.stop - steps.start) * c.network.dt,
            {"in": c.inputs[steps]},
            {"out": c.targets[steps]},
            c.window[steps],
        )
        return [run.y["out"], run.loss]
    result = sim.train(samples_of(c, sim, stimuli(c, 3, half)))
    return [value for value in dataclasses.asdict(result).values() if isinstance(value, np.ndarray)]


def check_divisions(model: str, rule: str, precision: str) -> None:
    """Each division goes all the way by itself; from the state, and as a copy, of each in the middle another one goes on."""
    c = small(model, RULES[rule])

    def made(division: str) -> ep.Simulator:
        threads, partitions = DIVISIONS[division]
        return ep.Simulator(c.network, threads=threads, partitions=partitions, precision=precision)

    names, outcomes, wanted = list(DIVISIONS), [], None
    for name, follower in zip(names, names[1:] + names[:1], strict=True):
        sim, other = made(name), made(follower)
        first = part(c, sim, 0)
        other.set_state(sim.state())
        outcomes += [(first + part(c, one, 1), one.state()) for one in (copy.copy(sim), sim, other)]
    for values, state in outcomes:
        wanted = wanted or (values, state)
        assert_same((values, state), wanted)


@pytest.mark.tiny
@pytest.mark.threads
@three_threads
@pytest.mark.parametrize(("model", "rule"), list(itertools.product(FEW, RULES)))
def test_divisions_states_and_copies_give_the_same_bits(model, rule):
    check_divisions(model, rule, "double")


@pytest.mark.slow
@three_threads
@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("model", MODELS)
def test_divisions_states_and_copies_of_everything_give_the_same_bits(model, precision):
    for rule in RULES:
        check_divisions(model, rule, precision)
