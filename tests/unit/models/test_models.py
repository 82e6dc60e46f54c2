"""Neuron, readout and source models: the numbers they derive from their parameters."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from eprop.models.base import Neuron
from eprop.parameters import parameters_of
from eprop.rules.optimizers import BUILT_IN

pytestmark = pytest.mark.tiny


def test_readouts():
    readout = ep.Readout(tau_m=10.0)
    assert readout.membrane_decay(1.0) == np.exp(-0.1)
    assert readout.input_scale(1.0) == 1.0
    assert readout.replace(scale_input=True).input_scale(1.0) == 1.0 - np.exp(-0.1)
    assert not ep.SquaredError.softmax
    assert ep.CrossEntropy.softmax


def test_a_model_must_say_what_it_does():
    class Silent(Neuron):
        pass

    with pytest.raises(TypeError, match="Silent does not define derived"):
        Silent().derived(1.0)
    with pytest.raises(
        ep.errors.NetworkError, match=r"Silent does not define eligibility\(dt\), how spikes act on its hidden"
    ):
        Silent().eligibility(1.0)
    assert Silent().initial(1.0, range(3), 0) == {}


@pytest.mark.parametrize(
    "cls",
    [ep.LIF, ep.Readout, ep.EProp, ep.EPropPlus, *BUILT_IN, ep.STDP, ep.PoissonSource],
)
def test_parameters_are_documented(cls):
    for name, info in parameters_of(cls):
        assert info.doc or info.kind not in (float, int, bool), name
