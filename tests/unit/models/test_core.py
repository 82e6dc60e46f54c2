"""The models of the core against the reference; all loops of one model against each other, with any surrogate gradient."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eprop as ep
from compare import assert_same
from eprop.core import lib
from eprop.engine.own_neuron import loop_of
from eprop.models import ForcedLIF, Neuron, Surrogate, inline
from eprop.models.base import core_model
from eprop.models.surrogate import surrogate
from eprop.reference.neurons import neurons_of
from networks import SURROGATES
from own_model import Integrator

pytestmark = pytest.mark.tiny

EACH, SAME, SHORT = 0, 1, 2
MODELS = [ep.LIF, ep.ALIF, ep.DeltaLIF, ep.DeltaALIF, ep.CurrentLIF, ep.CurrentALIF, ForcedLIF]


def arrays_of(neuron: Neuron, n: int, dt: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """State at the start and parameters of ``n`` such neurons."""
    derived, initial = neuron.derived(dt), neuron.initial(dt, range(n), 0)
    params = np.array([np.full(n, derived[name]) for name in neuron.parameter_rows])
    return np.array([np.broadcast_to(initial.get(name, 0.0), n) for name in neuron.state_rows]), params


def stepped(
    neuron: Neuron, inputs: np.ndarray, sharing: int, first: int = 0, dt: float = 1.0
) -> tuple[np.ndarray, ...]:
    """States, surrogate gradients and spikes of each step; neurons before ``first`` are left alone."""
    (state, params), n = arrays_of(neuron, inputs.shape[1], dt), inputs.shape[1]
    model, own = loop_of(neuron, sharing != EACH)
    states, psis, spikes = [], np.full(inputs.shape, np.nan), np.zeros(inputs.shape, bool)
    for t, pushed in enumerate(inputs):
        x = pushed.copy()
        found = lib.advance(model, state, params, first, n, x, psis[t], own, sharing)
        np.testing.assert_array_equal(x[first:], 0.0)
        np.testing.assert_array_equal(x[:first], pushed[:first])
        assert found.dtype == np.int32
        assert np.all(np.diff(found) > 0)
        spikes[t, found] = True
        states.append(state.copy())
    return np.array(states), psis, spikes


def pushes(seed: int, steps: int = 30, n: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.2, 0.7, (steps, n))


SIZES = st.floats(0.05, 2.0)
COMMON = {
    "tau_m": st.floats(1.0, 60.0),
    "v_th": st.floats(0.3, 1.5),
    "e_l": st.floats(-70.0, 0.25),
    "c_m": st.floats(0.5, 3.0),
    "i_e": st.floats(-0.01, 0.01),
    "t_ref": st.integers(0, 4).map(float),
}


@given(
    common=st.fixed_dictionaries(COMMON),
    floor=st.one_of(st.just(-np.inf), st.floats(-2.0, 0.0)),
    shape=st.sampled_from(sorted(SURROGATES)),
    height=SIZES,
    width=SIZES,
    beta=st.one_of(st.just(None), st.floats(0.0, 1.0)),
    tau_a=st.floats(2.0, 500.0),
    switches=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    seed=st.integers(0, 1000),
    dt=st.sampled_from([1.0, 0.5]),
)
@pytest.mark.parametrize("kind", ["LIF", "DeltaLIF", "CurrentLIF"])
def test_models_are_the_reference(kind, common, floor, shape, height, width, beta, tau_a, switches, seed, dt):
    common = {**common, "v_th": common["e_l"] + common["v_th"]}
    own: dict[str, Any] = {"v_min": common["e_l"] + floor, "surrogate": SURROGATES[shape](height, width)}
    if beta is not None:
        own |= {"beta": beta, "tau_adapt": tau_a}
    if kind == "CurrentLIF":
        # A time constant of the current that equals that of the membrane, lies next to it, or does not.
        tau_syn = common["tau_m"] * (1.0 if switches[1] else 1.0 + 1e-9 if switches[2] else 0.3)
        v_reset = None if switches[0] else common["e_l"] + max(floor, -0.2)
        neuron = (ep.CurrentLIF if beta is None else ep.CurrentALIF)(**common, **own, tau_syn=tau_syn, v_reset=v_reset)
    elif kind == "DeltaLIF":
        given = {"v_reset": common["e_l"] + max(floor, -0.2), "ref_input": switches[0]}
        paused = {"pause_adaptation": switches[1]} if beta is not None else {}
        neuron = (ep.DeltaLIF if beta is None else ep.DeltaALIF)(**common, **own, **given, **paused)
    else:
        given = {"delayed_reset": switches[0], "scale_input": switches[1]}
        neuron = (ep.LIF if beta is None else ep.ALIF)(**common, **own, **given)
    inputs = pushes(seed)
    states, psis, spikes = stepped(neuron, inputs, EACH, dt=dt)
    equations = neurons_of([neuron], inputs.shape[1], dt)
    now = equations.rest()
    for t, x in enumerate(inputs):
        psi = equations.step(now, x)
        if np.any(spikes[t] != (now.z > 0.0)):
            return  # a voltage at the threshold: rounding decides, and the two go apart
        np.testing.assert_allclose(states[t, 0], now.v, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(psis[t], psi, rtol=1e-9, atol=1e-11)
        if kind == "CurrentLIF":
            np.testing.assert_allclose(
                states[t, neuron.state_rows.index("current")], now.current, rtol=1e-11, atol=1e-12
            )
        if beta is not None:
            adaptation = neuron.state_rows.index("adaptation")
            np.testing.assert_allclose(states[t, adaptation], now.a, rtol=1e-12)
            threshold = (neuron.v_th - neuron.e_l) + beta * now.a  # a sum that no leak potential cancels
            np.testing.assert_allclose(states[t, adaptation + 1] - neuron.e_l, threshold, rtol=1e-12)


@pytest.mark.parametrize("shape", sorted(SURROGATES))
@pytest.mark.parametrize("n", [1, 3, 64, 511, 512, 513, 1100])
@pytest.mark.parametrize("model", MODELS)
def test_shared_parameters_change_no_bit(model, n, shape):
    """Neither do the loop's shortcut, the number of neurons, and where in the population a thread begins."""
    neuron = model(tau_m=20.0, v_th=0.6, surrogate=SURROGATES[shape](0.3, 0.7))
    inputs = pushes(3, 12, n)
    each = stepped(neuron, inputs, EACH)
    assert each[2].any() or n < 64
    for sharing in (SAME, SHORT):
        assert_same(stepped(neuron, inputs, sharing), each)
    first = n // 2
    for sharing in (EACH, SAME):
        for found, wanted in zip(stepped(neuron, inputs, sharing, first), each, strict=True):
            np.testing.assert_array_equal(found[..., first:], wanted[..., first:])


def test_a_neuron_that_is_no_number_stays_so():
    """Divergence must be seen."""
    for model in MODELS[:-1]:
        states, _, spikes = stepped(model(v_min=-1.0), np.full((3, 9), np.nan), EACH)
        assert np.isnan(states[-1, 0]).all()
        assert not spikes.any()


def test_each_model_names_one_of_the_core():
    assert {core_model(model) for model in MODELS} == set(lib.models)
    assert core_model(Integrator) is None
    assert core_model(Neuron) is None
    assert core_model(type("Own", (ep.LIF,), {})) == "lif"
    assert core_model(type("Own", (ep.LIF,), {"update": staticmethod(Integrator.update)})) is None


def test_arrays_that_do_not_fit_are_refused():
    state, params = arrays_of(ep.ALIF(), 4)
    x, psi = np.zeros(4), np.zeros(4)
    code = lib.models["alif"]
    for wrong in (
        (99, state, params, 0, 4), (code, state[:3].copy(), params, 0, 4), (code, state, params[:-1].copy(), 0, 4),
        (code, state, params, 0, 5), (code, state, params, 3, 2), (code, state, params, -1, 2),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"model|shapes"):
            lib.advance(*wrong, x, psi)
    own = arrays_of(ep.ALIF(surrogate=PlainArctan()), 4)
    with pytest.raises(ValueError, match="need the address of their surrogate gradient"):
        lib.advance(code, *own, 0, 4, x, psi)
    with pytest.raises(TypeError):
        lib.advance(code, state.astype(np.float32), params, 0, 4, x, psi)


# ------------------------------------------------------------------------------------------------ surrogate gradients


@inline
def arctan(u, height, width):
    d = u / width
    return height / (1.0 + d * d)


@dataclasses.dataclass(frozen=True)
class PlainArctan(Surrogate):
    """`ep.Arctan`, for the compiler."""

    gradient = staticmethod(arctan)


@pytest.mark.parametrize("sharing", [EACH, SAME, SHORT])
@pytest.mark.parametrize("model", MODELS)
def test_a_surrogate_of_ones_own_is_the_built_in_one(model, sharing):
    """The same bits, whoever compiles it."""
    given = {"tau_m": 15.0, "v_th": 0.7} | ({} if model is ForcedLIF or sharing == SHORT else {"t_ref": 2.0})
    inputs = pushes(5, 20, 600)
    found, wanted = (
        stepped(model(**given, surrogate=kind(0.3, 0.7)), inputs, sharing, 5) for kind in (PlainArctan, ep.Arctan)
    )
    assert_same(found, wanted)
    assert wanted[2].any()


@pytest.mark.parametrize("code", range(4))
def test_surrogates_for_python_are_those_of_the_core(code):
    for u in np.linspace(-3.0, 3.0, 61):
        assert surrogate(code, u, 0.4, 0.7) == lib.testing.surrogate(code, u, 0.4, 0.7)
