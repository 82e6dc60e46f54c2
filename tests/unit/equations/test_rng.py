"""Random numbers: the published test vectors of Philox, and what is made of its words."""

from __future__ import annotations

import numpy as np
import pytest

from eprop.equations import rng

pytestmark = pytest.mark.tiny

# Known answers of philox4x32-10, from the file kat_vectors of Random123 1.14 (Salmon et al. 2011):
# counter of four words, key of two, result of four.
VECTORS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def plain(function):
    return getattr(function, "py_func", function)


@pytest.mark.parametrize(("counter", "key", "wanted"), VECTORS)
@pytest.mark.parametrize("compiled", [True, False])
def test_known_answers(counter, key, wanted, compiled):
    philox = rng.philox if compiled else plain(rng.philox)
    seed = np.uint64(key[0] | key[1] << 32)
    index = np.uint64(counter[0] | counter[1] << 32)
    first, second = philox(seed, np.uint64(counter[3]), np.uint64(counter[2]), index)
    assert (int(first), int(second)) == (wanted[0] | wanted[1] << 32, wanted[2] | wanted[3] << 32)


def test_uniform():
    draws = np.array([rng.uniform(5, 1, t, i) for t in range(20) for i in range(100)])
    assert draws.min() >= 0.0
    assert draws.max() < 1.0
    assert np.unique(draws).size == draws.size
    assert abs(draws.mean() - 0.5) < 5.0 / np.sqrt(12.0 * draws.size)
    # The largest word is below one, the smallest is zero.
    assert (2**64 - 1 >> 11) * rng._TO_UNIT < 1.0


def test_normal():
    draws = np.array([rng.normal(5, 1, t, i) for t in range(20) for i in range(100)])
    assert abs(draws.mean()) < 5.0 / np.sqrt(draws.size)
    assert abs(draws.std() - 1.0) < 5.0 / np.sqrt(2.0 * draws.size)
    assert abs((np.abs(draws) < 1.0).mean() - 0.6827) < 0.05


def test_below():
    draws = np.array([rng.below(5, 1, 0, i, 7) for i in range(700)])
    counts = np.bincount(draws, minlength=7)
    assert counts.size == 7
    assert np.all(np.abs(counts - 100) < 5.0 * np.sqrt(100))


def test_each_argument_matters():
    base = (3, 2, 1, 0)
    draws = {rng.uniform(*base)}
    for place in range(4):
        changed = list(base)
        changed[place] += 1
        draws.add(rng.uniform(*changed))
    draws.add(rng.uniform(3 + 2**40, 2, 1, 0))
    draws.add(rng.uniform(3, 2, 1, 2**40))
    assert len(draws) == 7


def test_permutation():
    order = rng.permutation(3, rng.SHUFFLE, 0, 50)
    np.testing.assert_array_equal(np.sort(order), np.arange(50))
    assert np.any(order != rng.permutation(3, rng.SHUFFLE, 1, 50))
    np.testing.assert_array_equal(order, rng.permutation(3, rng.SHUFFLE, 0, 50))
    first = np.bincount([rng.permutation(seed, rng.SHUFFLE, 0, 5)[0] for seed in range(500)], minlength=5)
    assert np.all(np.abs(first - 100) < 5.0 * np.sqrt(80))


def test_derived_seeds():
    seeds = [
        rng.derive(7),
        rng.derive(7, 1),
        rng.derive(7, 2),
        rng.derive(7, 1, 2),
        rng.derive(7, 2, 1),
        rng.derive(8, 1),
    ]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**64 for seed in seeds)
    assert rng.derive(7) == 7
    assert rng.derive(7, 1, 2) == rng.derive(rng.derive(7, 1), 2)
