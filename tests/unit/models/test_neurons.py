"""What distinguishes the neuron models, step by step in small numbers; NEST confirms them in tests/interop."""

from __future__ import annotations

import decimal

import numpy as np
import pytest

import eprop as ep
from eprop.core import lib
from eprop.models import ForcedLIF
from networks import small_network

pytestmark = pytest.mark.tiny

ALPHA = np.exp(-1.0 / 20.0)


def stepped(neuron: ep.Neuron, inputs, dt: float = 1.0) -> dict[str, np.ndarray]:
    """Rows of state, spikes and surrogate gradients of one neuron under ``inputs`` (mV per step)."""
    derived, initial = neuron.derived(dt), neuron.initial(dt, range(1), 0)
    params = np.array([[derived[name]] for name in neuron.parameter_rows])
    state = np.array([np.broadcast_to(initial.get(name, 0.0), 1) for name in neuron.state_rows])
    rows, psi = [], np.zeros(1)
    for x in inputs:
        spikes = lib.advance(lib.models[neuron.core], state, params, 0, 1, np.array([x], float), psi)
        rows.append([*state[:, 0], float(spikes.size), psi[0]])
    return dict(zip((*neuron.state_rows, "spike", "psi"), np.array(rows).T, strict=True))


@pytest.mark.parametrize("t_ref", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("v_reset", [0.3, None])
def test_refractory_time_of_a_neuron_with_a_current(v_reset, t_ref):
    """Input takes a step; the neuron rests for all steps of ``t_ref``, at ``v_reset`` or below its own voltage."""
    neuron = ep.CurrentLIF(tau_syn=5.0, v_reset=v_reset, t_ref=t_ref, v_th=1.0, surrogate=ep.Exponential(0.3, 10.0))
    found, refractory = stepped(neuron, [2.0, *[4.0] * 8]), int(t_ref)
    np.testing.assert_array_equal(np.flatnonzero(found["spike"])[:2], [1, 2 + refractory])
    np.testing.assert_array_equal(found["psi"][1:7] == 0.0, [k % (refractory + 1) != 0 for k in range(6)])
    zeta, before = neuron.input_scale(1.0), found["current"]
    assert before[1] == pytest.approx(2.0 * np.exp(-1.0 / 5.0) + 4.0)
    after = zeta * before[0] - 1.0 if v_reset is None else v_reset
    assert found["v"][1] == pytest.approx(after)
    clamped = 1 + refractory if v_reset is not None else 1
    np.testing.assert_allclose(found["v"][1 : 1 + clamped], after)
    if t_ref > 0.0 and v_reset is None:
        assert found["v"][2] == pytest.approx(ALPHA * after + zeta * before[1])


@pytest.mark.parametrize("tau_syn", [0.5, 5.0, 9.999, 10.0, 10.0 * (1 + 1e-9), 10.0 * (1 + 2e-16), 10.1, 300.0])
@pytest.mark.parametrize("dt", [0.1, 1.0])
def test_effect_of_the_current_on_the_voltage_loses_no_digits(tau_syn, dt):
    """Also for time constants that are equal or nearly so, where the difference of two decays loses all of them."""
    decimal.getcontext().prec = 60
    tau_m, tau_s, step = (decimal.Decimal(value) for value in (10.0, tau_syn, dt))
    if tau_m == tau_s:
        wanted = step * (-step / tau_m).exp()
    else:
        wanted = ((-step / tau_s).exp() - (-step / tau_m).exp()) * tau_m * tau_s / (tau_s - tau_m)
    found = ep.CurrentLIF(tau_m=10.0, tau_syn=tau_syn, c_m=250.0).input_scale(dt)
    assert found == pytest.approx(float(wanted / 250), rel=5e-16)


def test_held_input():
    pushes = np.array([1.1, 0.2, 0.3, 0.0, 0.05])
    lost = stepped(ep.DeltaLIF(t_ref=2.0), pushes)
    held = stepped(ep.DeltaLIF(t_ref=2.0, ref_input=True), pushes)
    np.testing.assert_array_equal(lost["v"][:3], held["v"][:3])
    assert lost["v"][3] == 0.0
    assert held["v"][3] == pytest.approx(ALPHA**2 * 0.2 + ALPHA * 0.3)
    assert held["v"][4] == pytest.approx(ALPHA * held["v"][3] + 0.05)


def test_held_input_is_scaled_as_all_other_input():
    class Scaled(ep.DeltaLIF):
        def input_scale(self, dt):
            return 0.5

    pushes = np.array([2.2, 0.4, 0.6, 0.0])
    held = stepped(Scaled(t_ref=2.0, ref_input=True), pushes)
    assert held["v"][3] == pytest.approx(ALPHA**2 * 0.2 + ALPHA * 0.3)


def test_initial_voltage():
    assert stepped(ep.LIF(e_l=-1.0, v_init=-0.5), [0.0])["v"][0] == pytest.approx(ALPHA * 0.5)
    assert ep.LIF().initial(1.0, range(3), 0) == {}


def test_wrong_resets():
    with pytest.raises(ep.errors.ParameterError, match=r"DeltaLIF.v_reset must be below v_th = 1 mV, got 1"):
        ep.DeltaLIF(v_reset=1.0)
    with pytest.raises(ep.errors.ParameterError, match=r"DeltaALIF.v_reset must be at least v_min = 0 mV, got -1"):
        ep.DeltaALIF(v_reset=-1.0, v_min=0.0)
    with pytest.raises(ep.errors.ParameterError, match=r"ALIF.v_th must be above e_l = 2 mV, got 1"):
        ep.ALIF(e_l=2.0)


def test_lower_bound_of_readouts():
    connections = {"in->out": np.array([[-2.0, 0.25]])}
    net = small_network((2, 0, 1), connections, readout=ep.Readout(tau_m=10.0, e_l=1.0, v_min=0.5))
    inputs = np.zeros((6, 2))
    inputs[1, 0] = inputs[2, 1] = 1.0
    y = ep.Simulator(net, threads=1).run(6.0, {"in": inputs}).y["out"][:, 0]
    rest = -0.5 * np.exp(-0.1) + 0.25
    np.testing.assert_allclose(y[:4], [1.0, 1.0, 0.5, 1.0 + rest])


def test_what_spikes_by_the_clock_is_never_refractory():
    for given in ({"t_ref": 5.0}, {"delayed_reset": True}):
        with pytest.raises(ep.errors.ParameterError, match="ForcedLIF spikes at fixed intervals: it takes no t_ref"):
            ForcedLIF(**given)
    assert ForcedLIF(interval=0.3).derived(1.0)["interval"] == 1.0


def test_what_spikes_by_the_clock_does_so_whatever_arrives():
    """Every interval from its phase on; its voltage is that of `LIF`, and loses the threshold with each spike."""
    neuron, x = ForcedLIF(tau_m=20.0, v_th=0.6, interval=7.0), np.random.default_rng(0).normal(0.0, 1.0, 40)
    found = stepped(neuron, x)
    phase = int(neuron.initial(1.0, range(1), 0)["left"][0]) - 1
    np.testing.assert_array_equal(np.flatnonzero(found["spike"]), np.arange(phase, 40, 7))
    v = 0.0
    for t, pushed in enumerate(x):
        v = ALPHA * v + pushed
        assert found["psi"][t] == pytest.approx(0.3 * max(0.0, 1.0 - abs(v - 0.6)), abs=1e-12)
        v -= 0.6 * found["spike"][t]
        assert found["v"][t] == pytest.approx(v, abs=1e-12)
