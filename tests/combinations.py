"""Which combinations of models and rules are compiled by an ordinary run of the tests.

Each combination of a neuron's class with the loops that a rule needs is compiled by itself, in about half a minute, while its
tests take seconds. An ordinary run compiles with `LIF` the simplest loops, those with two kappas and moments, and those with a
step of the optimiser in every step: each line of code is in one of them. Each other class of neurons is compiled with the
simplest loops. The neurons with a reset to a fixed voltage differ from these in their own step alone, and are compiled
with e-prop; so are neurons of one's own, and those where each has its own parameters: an example of the documentation, which is
run, has both with e-prop+. All combinations run where nothing is compiled
(``NUMBA_DISABLE_JIT=1``, which is a part of continuous integration), and with ``--rare``.
"""

from __future__ import annotations

from typing import Any

import pytest

import eprop as ep
from eprop import _jit
from eprop.parameters import varies
from own_neurons import CurrentLIF, Resonator


def loops_of(rule: Any) -> tuple[bool, bool, bool] | None:
    """What of a rule its loops depend on: two kappas, moments, a step of the optimiser in every step."""
    if not isinstance(rule, ep.EPropPlus):
        return None
    many = any(rule.optimizer.moments) or rule.optimizer.decay > 0.0 or rule.each_step
    return rule.kappa != rule.kappa_regularisation, many, rule.each_step


#: Two kappas, moments, a step of the optimiser in every step: what an ordinary run compiles with `LIF`.
LOOPS_OF_LIF = ((False, False, False), (True, True, False), (False, True, True))


def is_compiled(neuron: ep.Neuron, rule: Any) -> bool:
    """Whether an ordinary run of the tests compiles a combination."""
    loops = loops_of(rule)
    if loops is None:
        return True
    if type(neuron) is ep.LIF and not varies(neuron):
        return loops in LOOPS_OF_LIF
    if isinstance(neuron, ep.DeltaLIF | ep.DeltaALIF | CurrentLIF | Resonator) or varies(neuron):
        return False
    return loops == (False, False, False)


def is_ordinary(neuron: ep.Neuron, rule: Any) -> bool:
    """Whether this run of the tests may draw a combination: any, where nothing is compiled."""
    return _jit.JIT_DISABLED or is_compiled(neuron, rule)


def marks_of(neuron: ep.Neuron, rule: Any) -> list[pytest.MarkDecorator]:
    """For a parameter of a test: nothing, or the mark `rare`."""
    return [] if is_compiled(neuron, rule) else [pytest.mark.rare]


def time_constants(kind: str, rule: Any) -> list[float]:
    """Of membranes, in ms, that a test may draw for a kind of neuron.

    Where an adapting neuron has a short one, its synapses cross (`eprop.kernels.crossing`): once more loops of their own.
    """
    crosses = kind in ("ALIF", "DeltaALIF") and isinstance(rule, ep.EPropPlus)
    return [12.0, 50.0] if crosses and not _jit.JIT_DISABLED else [3.0, 12.0, 50.0]
