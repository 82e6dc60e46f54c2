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


def test_weights_are_the_draws_of_their_targets():
    indptr = np.array([0, 3, 3, 20])
    drawn = lib.normal_weights(4, 7, indptr, 1.0, 2.0, 9), lib.uniform_weights(4, 7, indptr, -1.0, 3.0, 9)
    for k in range(3):
        part, counter = slice(indptr[k], indptr[k + 1]), np.arange(indptr[k + 1] - indptr[k])
        np.testing.assert_array_equal(drawn[0][part], 1.0 + 2.0 * normal(9, WEIGHT, 4 + k, counter))
        np.testing.assert_array_equal(drawn[1][part], -1.0 + 4.0 * uniform(9, WEIGHT, 4 + k, counter))
    with pytest.raises(ValueError, match="one entry more than there are targets"):
        lib.normal_weights(4, 8, indptr, 1.0, 2.0, 9)
