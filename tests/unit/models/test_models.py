"""Neuron, readout and source models: the numbers they derive from their parameters."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from eprop.models.base import Neuron, decay, steps
from eprop.parameters import parameters_of
from eprop.rules.optimizers import BUILT_IN
from networks import small_network
from own_model import Integrator

pytestmark = pytest.mark.tiny


def test_steps_and_decay_take_numbers_and_arrays():
    assert [steps(time, dt) for time, dt in ((3.0, 1.0), (0.3, 0.1), (0.0, 1.0), (2.6, 1.0))] == [3, 3, 0, 3]
    assert isinstance(steps(2.6, 1.0), int)
    np.testing.assert_array_equal(steps(np.array([0.2, 1.0]), 0.5), [0, 2])
    assert decay(20.0, 1.0) == np.exp(-0.05)
    np.testing.assert_array_equal(decay(np.array([10.0, 20.0]), 1.0), np.exp([-0.1, -0.05]))


@pytest.mark.parametrize("dt", [1.0, 0.5, 0.1])
def test_lif_per_step(dt):
    neuron = ep.LIF(
        tau_m=15.0, v_th=-50.0, e_l=-65.0, v_min=-80.0, t_ref=2.0, c_m=2.0, i_e=3.0, surrogate=ep.Arctan(0.3, 2.0)
    )
    found = neuron.derived(dt)
    alpha = np.exp(-dt / 15.0)
    assert found["alpha"] == pytest.approx(alpha)
    assert found["zeta"] == 1.0
    assert found["drive"] == pytest.approx(15.0 / 2.0 * (1.0 - alpha) * 3.0)
    assert found["v_th"] == 15.0  # relative to the leak potential, as all voltages inside
    assert found["v_min"] == -15.0
    assert found["r_steps"] == round(2.0 / dt)
    assert found["late"] == 0.0
    assert (found["height"], found["width"]) == (0.3, 2.0)
    scaled = neuron.replace(scale_input=True, delayed_reset=True).derived(dt)
    assert scaled["zeta"] == pytest.approx(1.0 - alpha)
    assert scaled["late"] == 1.0


def test_readouts():
    readout = ep.Readout(tau_m=10.0)
    assert readout.membrane_decay(1.0) == np.exp(-0.1)
    assert readout.input_scale(1.0) == 1.0
    assert readout.replace(scale_input=True).input_scale(1.0) == 1.0 - np.exp(-0.1)
    assert not ep.SquaredError.softmax
    assert ep.CrossEntropy.softmax


def test_roles():
    assert ep.EventSource().role == ep.PoissonSource().role == "source"
    assert ep.LIF().role == "neuron"
    assert ep.Readout().role == "readout"


def test_a_model_must_say_what_it_does():
    class Silent(Neuron):
        pass

    for method in ("derived", "eligibility"):
        with pytest.raises(TypeError, match=f"Silent does not define {method}"):
            getattr(Silent(), method)(1.0)
    assert Silent().initial(1.0, range(3), 0) == {}


def test_surrogates_have_codes_and_names_of_their_own():
    kinds = (ep.PiecewiseLinear, ep.Exponential, ep.FastSigmoid, ep.Arctan)
    assert len({kind.code for kind in kinds}) == len({kind.nest_name for kind in kinds}) == 4


@pytest.mark.parametrize(
    "cls",
    [ep.LIF, ep.Readout, ep.EProp, ep.EPropPlus, *BUILT_IN, ep.STDP, ep.PoissonSource],
)
def test_parameters_are_documented(cls):
    for name, info in parameters_of(cls):
        assert info.doc or info.kind not in (float, int, bool), name


def test_a_model_of_ones_own():
    """A model is one class with one scalar function; the engine runs and trains it."""
    net = small_network((1, 2, 1), neuron=Integrator())
    rule = ep.EPropPlus(optimizer=ep.GradientDescent(1e-3))
    net.connect("in", "rec", weight=0.25, rule=rule)
    net.connect("rec", "out", rule=rule)
    net.feedback("out", "rec", ep.RandomFeedback(ep.Constant(1.0)))
    sim = ep.Simulator(net, threads=1)
    run = sim.run(12.0, {"in": np.ones((12, 1))}, {"out": [2.0]}, learn=False, record=[("rec", "v")])
    np.testing.assert_allclose(
        run["rec", "v"][:, 0], [0.0, 0.25, 0.5, 0.75, 0.0, 0.25, 0.5, 0.75, 0.0, 0.25, 0.5, 0.75]
    )
    sim.run(30.0, {"in": np.ones((30, 1))}, {"out": [2.0]})
    assert np.all(sim.connections("in->rec")[2] != 0.25)
