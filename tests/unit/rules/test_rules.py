"""Rules and optimisers as descriptions."""

from __future__ import annotations

import pytest

import eprop as ep
from eprop.rules import Optimizer, Rule

pytestmark = pytest.mark.tiny


def test_codes_are_different():
    assert len({ep.Static.code, ep.EProp.code, ep.EPropPlus.code}) == 3
    assert len({kind.code for kind in (ep.GradientDescent, ep.Adam, ep.Momentum, ep.RMSprop)}) == 4
    assert not ep.Static.plastic
    assert ep.EProp.plastic
    assert ep.EPropPlus.plastic


def test_filter_of_the_rate_is_that_of_the_trace_unless_said():
    assert ep.EPropPlus(kappa=0.9).kappa_regularisation == 0.9
    assert ep.EPropPlus(kappa=0.9, kappa_reg=0.5).kappa_regularisation == 0.5
    assert ep.EPropPlus(kappa=0.9, kappa_reg=0.0).kappa_regularisation == 0.0


def test_rules_share_nothing():
    one, other = ep.EProp(), ep.EProp()
    assert one.optimizer == other.optimizer
    assert one.replace(optimizer=ep.GradientDescent()) != other
    assert isinstance(one, Rule)
    assert isinstance(one.optimizer, Optimizer)


def test_defaults_are_those_of_the_documentation():
    assert ep.EProp().optimizer == ep.Adam()
    assert ep.EPropPlus().optimizer == ep.GradientDescent()
    assert (ep.EPropPlus().kappa, ep.EPropPlus().cutoff) == (0.97, 100.0)
    assert (ep.Adam().beta_1, ep.Adam().beta_2, ep.Adam().epsilon) == (0.9, 0.999, 1e-8)
