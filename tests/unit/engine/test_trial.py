"""Mistakes in a neuron model of one's own are named before compiled code makes them."""

from __future__ import annotations

import math

import numpy as np
import pytest

import eprop as ep
from eprop.checks import check_neuron
from eprop.models import Eligibility, inline
from eprop.parameters import param
from own_model import Integrator, network
from refusals import each_row, refusals

pytestmark = pytest.mark.tiny


@inline
def half(x):
    """A function that updates call."""
    return 0.5 * x


@inline
def second_row(state, params, j, x):
    """Writes a row that is not there, but only when it spikes."""
    state[0, j] += half(x)
    if state[0, j] > 1.0:
        state[1, j] = 1.0
    return state[0, j] > 1.0, 0.3


@inline
def second_parameter(state, params, j, x):
    """Reads a row that is not there."""
    return x > params[1, j], 0.3


@inline
def no_number(state, params, j, x):
    """Returns nothing for psi."""
    return x > params[0, j], None


@inline
def misspelt(state, params, j, x):
    """Calls what does not exist."""
    return hafl(x) > params[0, j], 0.3  # noqa: F821


@inline
def too_steep(state, params, j, x):
    """Has a surrogate gradient larger than the model says."""
    return x > params[0, j], 0.4


@inline
def steep_in_the_middle(state, params, j, x):
    """The same, at voltages that the trial does not meet."""
    state[0, j] = 0.9 * state[0, j] + x
    return state[0, j] > params[0, j], 0.4 if 0.2 < state[0, j] < 0.9 else 0.3


@inline
def by_its_state(state, params, j, x):
    """Divides by a state that does not begin at zero."""
    return x > params[0, j], 0.3 / state[0, j] if state[0, j] != 0.0 else math.inf


@inline
def infinite(state, params, j, x):
    """Has a surrogate gradient that is not finite."""
    return x > params[0, j], 0.3 / x**2 if x != 0.0 else math.inf


def not_compiled(state, params, j, x):
    """Is not decorated."""
    return x > params[0, j], 0.3


@inline
def divides(state, params, j, x):
    """Divides by zero, which compiled code may."""
    return x / state[0, j] > params[0, j], 0.3


def built(update, **changes) -> ep.Simulator:
    return ep.Simulator(network(update, **changes), threads=1)


@refusals(
    (lambda: built(second_row), ep.errors.NetworkError,
     r"Own.update uses a row that does not exist \(index 1 .*state_rows = \('v',\)"),
    (lambda: built(second_parameter), ep.errors.NetworkError, r"Own.update uses a row .*parameter_rows = \('v_th',\)"),
    (lambda: built(no_number), ep.errors.NetworkError, "Own.update must return whether the neuron spikes, and psi; it returned"),
    (lambda: built(misspelt), ep.errors.NetworkError, "Own.update fails: NameError: name 'hafl'"),
    (lambda: built(not_compiled), ep.errors.NetworkError, "Own.update is not compiled: write @inline"),
    (lambda: built(divides, parameter_rows=("v_th", "width")), ep.errors.NetworkError,
     r"Own.derived\(\) has no value for width"),
    (lambda: built(infinite), ep.errors.NetworkError, "Own.update returned psi = inf for an input of 0 mV; it must be finite"),
    (lambda: built(divides, eligibility=lambda self, dt: None), ep.errors.NetworkError,
     r"rec: eligibility\(dt\) must return an Eligibility, got None"),
    *each_row([
        (Eligibility(((0.5,),), (1.0, 2.0), (1.0,), (0.0,)), "rec: the eligibility needs decay .* with the same d"),
        (Eligibility.leaky(math.nan), "rec: the eligibility holds a value that is not finite"),
    ], lambda found: built(divides, eligibility=lambda self, dt: found), ep.errors.NetworkError),
    (lambda: built(divides, initial=lambda self, dt, nodes, seed: {"w": 0.0}), ep.errors.NetworkError,
     r"Own.initial\(\) has values for w, which state_rows = \('v',\) does not name"),
    (lambda: built(too_steep, largest_psi=lambda self, dt: 0.35), ep.errors.NetworkError,
     r"psi = 0.4, but Own.largest_psi\(\) allows only 0 to 0.35"),
    *each_row([
        (lambda self: 0.3, r"Own.largest_psi\(dt\) fails: TypeError"),
        (lambda self, dt: None, r"Own.largest_psi\(dt\) fails: TypeError"),
        (lambda self, dt: -1.0, r"Own.largest_psi\(dt\) must be a non-negative number, got -1"),
        (lambda self, dt: float("nan"), r"must be a non-negative number, got nan"),
    ], lambda largest_psi: built(too_steep, largest_psi=largest_psi), ep.errors.NetworkError),
)  # fmt: skip
def test_a_mistake_in_a_model_is_named(refusal):
    refusal.check()


def test_a_forgotten_update_is_named(monkeypatch):
    monkeypatch.delattr(Integrator, "update")
    net = ep.Network()
    net.add(Integrator(), 3, "rec")
    with pytest.raises(ep.errors.NetworkError, match=r"Integrator has no update: write update = staticmethod"):
        ep.Simulator(net, threads=1)


def test_a_forgotten_dataclass_is_named():
    class Own(Integrator):
        tau = param(20.0, unit="ms", doc="a time constant")

    with pytest.raises(
        ep.errors.ParameterError, match=r"Own is not a dataclass: write @dataclass\(frozen=True\) above the class"
    ):
        Own()


def test_what_is_let_pass():
    """Divisions by zero, a surrogate gradient that reaches its largest value, a state that does not begin at zero."""
    built(divides)
    built(too_steep, largest_psi=lambda self, dt: 0.4)
    built(by_its_state, initial=lambda self, dt, nodes, seed: {"v": np.full(len(nodes), 0.5)})
    with pytest.raises(ep.errors.NetworkError, match="psi = inf for an input of 0 mV"):
        built(by_its_state)


def test_check_neuron_names_the_mistake():
    """And holds a neuron to its promise, at voltages that no trial meets."""
    with pytest.raises(ep.errors.NetworkError, match="uses a row that does not exist"):
        check_neuron(network(second_row).populations[0].model)
    changes = {"largest_psi": lambda self, dt: 0.35, "eligibility": lambda self, dt: Eligibility.leaky(0.9)}
    with pytest.raises(ep.errors.NetworkError, match=r"psi = 0.4, but Own.largest_psi\(\) allows only 0 to 0.35"):
        check_neuron(network(steep_in_the_middle, **changes).populations[0].model, steps=30)
