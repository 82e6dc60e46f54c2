"""Connections as the core draws, counts and places them, local ids of known neurons, and events of input."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from eprop.core import lib
from eprop.random import CONNECT, WEIGHT, below, normal, uniform

pytestmark = pytest.mark.tiny


def test_long_lists_are_sorted_by_digits():
    for n_pre, degree in itertools.product((1, 64, 65, 1000, 2048, 2049, 5_000_000), (31, 100, 700)):
        indptr, sources = lib.fixed_indegree(0, 2, n_pre, degree, True, True, 1)
        for k in range(2):
            row = sources[indptr[k] : indptr[k + 1]]
            # The draws themselves, one for each place in the list.
            np.testing.assert_array_equal(row, np.sort(below(1, CONNECT, k, np.arange(degree), n_pre)))


def test_an_excluded_source_is_drawn_again():
    """From the first one that is excluded on, each place takes the next draw that is not."""
    indptr, sources = lib.fixed_indegree(3, 5, 7, 50, False, True, 2**64 - 1)
    for k in range(2):
        drawn = below(2**64 - 1, CONNECT, 3 + k, np.arange(200), 7)
        np.testing.assert_array_equal(sources[indptr[k] : indptr[k + 1]], np.sort(drawn[drawn != 3 + k][:50]))


@pytest.mark.parametrize("multapses", [False, True])
@pytest.mark.parametrize("autapses", [False, True])
def test_any_range_of_targets_can_be_made_alone(autapses, multapses):
    rules = {
        "all": lambda lo, hi: lib.all_to_all(lo, hi, 30, autapses),
        "one": lib.one_to_one,
        "some": lambda lo, hi: lib.bernoulli(lo, hi, 30, 0.3, autapses, 5),
        "in": lambda lo, hi: lib.fixed_indegree(lo, hi, 30, 12, autapses, multapses, 5),
        "out": lambda lo, hi: lib.fixed_outdegree(lo, hi, 30, 30, 12, autapses, multapses, 5),
    }
    for name, make in rules.items():
        indptr, sources = make(0, 30)
        assert (indptr.dtype, sources.dtype) == (np.int64, np.int32)
        parts = [make(lo, hi) for lo, hi in itertools.pairwise([0, 7, 7, 8, 30])]
        np.testing.assert_array_equal(np.concatenate([part[1] for part in parts]), sources)
        np.testing.assert_array_equal(np.concatenate([np.diff(part[0]) for part in parts]), np.diff(indptr))
        targets = np.repeat(np.arange(30), np.diff(indptr))
        assert autapses or name == "one" or not (sources == targets).any()
        if name in ("in", "out"):
            assert (np.bincount(targets if name == "in" else sources, minlength=30) == 12).all()
            assert multapses or np.unique(targets * 30 + sources).size == sources.size
        falls = np.diff(sources) < 0
        assert not falls[np.diff(targets) == 0].any()


def test_weights_are_the_draws_of_their_targets():
    indptr = np.array([0, 3, 3, 20])
    drawn = lib.normal_weights(4, 7, indptr, 1.0, 2.0, 9), lib.uniform_weights(4, 7, indptr, -1.0, 3.0, 9)
    for k in range(3):
        part, counter = slice(indptr[k], indptr[k + 1]), np.arange(indptr[k + 1] - indptr[k])
        np.testing.assert_array_equal(drawn[0][part], 1.0 + 2.0 * normal(9, WEIGHT, 4 + k, counter))
        np.testing.assert_array_equal(drawn[1][part], -1.0 + 4.0 * uniform(9, WEIGHT, 4 + k, counter))
    with pytest.raises(ValueError, match="one entry more than there are targets"):
        lib.normal_weights(4, 8, indptr, 1.0, 2.0, 9)
