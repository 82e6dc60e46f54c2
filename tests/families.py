"""Families of cases: ordinary runs take a part that has every pair of values, ``--slow`` takes all combinations."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import pytest


def pairwise(names: str, *values: Iterable[Any]) -> pytest.MarkDecorator:
    """Parametrise a test by all combinations of the values, of which those beyond every pair are `slow`.

    All combinations of the first two arguments are ordinary, each with one value of each other argument. Every pair is among
    them if each other argument has at most as many values as either of the first two, and if there is only one, or if all
    have three.
    """
    cases = []
    for chosen in itertools.product(*(list(enumerate(each)) for each in values)):
        (first, second, *others), sizes = (index for index, _ in chosen), [len(list(each)) for each in values[2:]]
        wanted = [(first + (k + 1) * second) % size for k, size in enumerate(sizes)]
        marks = [] if others == wanted else [pytest.mark.slow]
        cases.append(pytest.param(*(value for _, value in chosen), marks=marks))
    return pytest.mark.parametrize(tuple(names.split()), cases)


def in_turn(names: str, first: Iterable[Any], second: Iterable[Any]) -> pytest.MarkDecorator:
    """Parametrise a test by all pairs, of which each first value with one second value, in turn, is ordinary."""
    others = list(second)
    cases = [
        pytest.param(one, other, marks=[] if j == i % len(others) else [pytest.mark.slow])
        for i, one in enumerate(first)
        for j, other in enumerate(others)
    ]
    return pytest.mark.parametrize(tuple(names.split()), cases)


def some(values: Iterable[Any], n: int) -> list[Any]:
    """The first ``n`` values, and the others marked `slow`."""
    return [pytest.param(value, marks=[] if i < n else [pytest.mark.slow]) for i, value in enumerate(values)]
