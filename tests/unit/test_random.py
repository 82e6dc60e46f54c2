"""Random numbers: the published test vectors of Philox, and what is made of its words."""

from __future__ import annotations

import math

import numpy as np
import pytest

from eprop import random as rng

pytestmark = pytest.mark.tiny

# Known answers of philox4x32-10, from the file kat_vectors of Random123 1.14 (Salmon et al. 2011):
# counter of four words, key of two, result of four.
VECTORS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
     (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
]  # fmt: skip


@pytest.mark.parametrize(("counter", "key", "wanted"), VECTORS)
@pytest.mark.parametrize("kind", [int, np.uint64])
def test_known_answers(counter, key, wanted, kind):
    seed, index = kind(key[0] | key[1] << 32), kind(counter[0] | counter[1] << 32)
    first, second = rng.philox(seed, kind(counter[3]), kind(counter[2]), index)
    assert (first, second) == (wanted[0] | wanted[1] << 32, wanted[2] | wanted[3] << 32)


def test_words_become_numbers():
    """Uniform ones of the upper 53 bits, the largest below one; normal ones by Box and Muller; whole numbers below a bound."""
    first, second = rng.philox(5, 1, 2, 3)
    assert rng.uniform(5, 1, 2, 3) == (first >> 11) * 2.0**-53
    assert (2**64 - 1 >> 11) * 2.0**-53 < 1.0
    u, angle = ((first >> 11) + 1.0) * 2.0**-53, 2.0 * math.pi * (second >> 11) * 2.0**-53
    assert rng.normal(5, 1, 2, 3) == pytest.approx(math.sqrt(-2.0 * math.log(u)) * math.cos(angle), rel=1e-14)
    for index in range(2000):
        a, b = (word >> 11 for word in rng.philox(5, 1, 0, index))
        radius, angle = math.sqrt(-2.0 * math.log((a + 1.0) * 2.0**-53)), 2.0 * math.pi * b * 2.0**-53
        assert abs(rng.normal(5, 1, 0, index) - radius * math.cos(angle)) < 2e-15 * max(radius, 1.0)
    draws = np.array([rng.normal(5, 1, t, i) for t in range(20) for i in range(100)])
    assert abs(draws.mean()) < 5.0 / np.sqrt(draws.size)
    assert abs(draws.std() - 1.0) < 5.0 / np.sqrt(2.0 * draws.size)
    counts = np.bincount([rng.below(5, 1, 0, i, 7) for i in range(700)], minlength=7)
    assert counts.size == 7
    assert np.all(np.abs(counts - 100) < 5.0 * np.sqrt(100))


@pytest.mark.parametrize("draw", [rng.uniform, rng.normal, lambda *counter: rng.below(*counter, 1000)])
@pytest.mark.parametrize("kind", [np.int64, np.uint64, np.int32])
def test_arrays_are_drawn_entry_by_entry(draw, kind):
    targets, indices = np.arange(7, dtype=kind), np.arange(3, 40, 3, dtype=kind)
    both = draw(3, rng.WEIGHT, targets[:, None], indices)
    assert both.shape == (7, 13)
    wanted = [[draw(3, rng.WEIGHT, t, i) for i in indices.tolist()] for t in targets.tolist()]
    np.testing.assert_array_equal(both, wanted)
    np.testing.assert_array_equal(draw(3, rng.WEIGHT, 2, indices), wanted[2])
    np.testing.assert_array_equal(draw(3, rng.WEIGHT, targets, 6), np.transpose(wanted)[1])
    np.testing.assert_array_equal(draw(3, rng.WEIGHT, targets[::2], [[9]]), [np.transpose(wanted)[2][::2]])
    assert draw(np.uint64(3), rng.WEIGHT, kind(2), kind(9)) == wanted[2][2]
    assert draw(3, rng.WEIGHT, 1, np.zeros((0, 4), kind)).shape == (0, 4)


def test_counters_and_bounds_may_be_large_or_arrays():
    indices = np.array([2**64 - 1, 2**40], np.uint64)
    assert rng.uniform(3, 2, 1, indices).tolist() == [rng.uniform(3, 2, 1, 2**64 - 1), rng.uniform(3, 2, 1, 2**40)]
    bounds = np.array([1, 10, 1000])
    drawn = rng.below(5, 1, 0, np.arange(3), bounds)
    assert drawn.dtype == np.int64
    assert drawn.tolist() == [rng.below(5, 1, 0, k, bound) for k, bound in enumerate(bounds.tolist())]
    with pytest.raises(TypeError, match="index must be a whole number or an array of whole numbers, got float64"):
        rng.uniform(1, 1, 0, np.ones(3))
    with pytest.raises(ValueError, match="broadcast"):
        rng.uniform(1, 1, np.arange(2), np.arange(3))


def test_each_argument_matters():
    base = (3, 2, 1, 0)
    changed = [(*base[:place], base[place] + 1, *base[place + 1 :]) for place in range(4)]
    assert len({rng.uniform(*each) for each in (base, *changed, (3 + 2**40, 2, 1, 0), (3, 2, 1, 2**40))}) == 7


def test_permutation():
    order = rng.permutation(3, rng.SHUFFLE, 0, 50)
    np.testing.assert_array_equal(np.sort(order), np.arange(50))
    assert np.any(order != rng.permutation(3, rng.SHUFFLE, 1, 50))
    np.testing.assert_array_equal(order, rng.permutation(3, rng.SHUFFLE, 0, 50))
    first = np.bincount([rng.permutation(seed, rng.SHUFFLE, 0, 5)[0] for seed in range(500)], minlength=5)
    assert np.all(np.abs(first - 100) < 5.0 * np.sqrt(80))


def test_derived_seeds():
    seeds = [rng.derive(*parts) for parts in ((7,), (7, 1), (7, 2), (7, 1, 2), (7, 2, 1), (8, 1))]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**64 for seed in seeds)
    assert rng.derive(7) == 7
    assert rng.derive(7, 1, 2) == rng.derive(rng.derive(7, 1), 2)
