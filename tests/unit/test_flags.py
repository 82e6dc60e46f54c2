"""Flags of the compiler compare as Numba says, only faster."""

from __future__ import annotations

import pytest
from numba.core.compiler import Flags
from numba.core.targetconfig import TargetConfig

import eprop  # noqa: F401  (replaces the functions)


def _one_by_one(flags):
    """Values as the properties tell them."""
    return {name: getattr(flags, name) for name in flags.options}


def _flags(**given):
    out = Flags()
    for name, value in given.items():
        setattr(out, name, value)
    return out


CASES = [_flags(), _flags(nrt=True), _flags(nrt=False), _flags(noalias=True, nrt=True), _flags(nrt=True, noalias=True)]


@pytest.mark.parametrize("a", CASES)
@pytest.mark.parametrize("b", CASES)
def test_equal_if_all_values_are(a, b):
    assert (a == b) == (_one_by_one(a) == _one_by_one(b))
    assert (hash(a) == hash(b)) or a != b


@pytest.mark.parametrize("flags", CASES)
def test_values_are_those_of_the_properties(flags):
    assert list(flags.values().items()) == list(_one_by_one(flags).items())


def test_a_changed_flag_counts():
    a, b = _flags(nrt=True), _flags(nrt=True)
    b.nrt = False
    assert a != b
    b.nrt = True
    assert a == b


def test_other_things_are_not_equal():
    assert _flags() != 1
    assert TargetConfig.__eq__(_flags(), 1) is NotImplemented
