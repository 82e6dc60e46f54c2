"""Which samples an epoch learns from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from eprop.training.epoch_order import Order, shuffled, skipped
from strategies import SEEDS, st

pytestmark = pytest.mark.tiny


def test_only_easy_samples_are_skipped_at_random() -> None:
    losses = np.random.default_rng(0).exponential(size=20_000)
    passed = skipped(losses, 0.75, 1, 2)
    easy = losses < losses.mean()
    assert not np.any(passed & ~easy)
    assert np.mean(passed[easy]) == pytest.approx(0.75, abs=0.02)  # four standard deviations are 0.015
    np.testing.assert_array_equal(passed, skipped(losses, 0.75, 1, 2))
    for seed, epoch in ((2, 2), (1, 3)):
        assert np.any(passed != skipped(losses, 0.75, seed, epoch))


def test_some_always_remain() -> None:
    for n in range(1, 20):
        assert not skipped(np.full(n, 0.1), 1.0, 1, 1).any()
    assert np.full(3, 0.1).mean() > 0.1
    assert skipped(np.array([0.1, 0.1, 0.4]), 1.0, 1, 1).tolist() == [True, True, False]
    assert not skipped(np.arange(9.0), 0.0, 1, 1).any()


@given(SEEDS, st.integers(1, 30), st.integers(1, 7))
def test_an_epoch_is_cut_into_batches_without_gaps(seed: int, n: int, batch_size: int) -> None:
    rng = np.random.default_rng(seed)
    passed = rng.random(n) < rng.random()
    passed[rng.integers(n)] = False
    shuffle = shuffled(seed, 0, n)
    order = Order.of(shuffle, passed, batch_size)
    assert order.samples.tolist() == [i for i in shuffle if not passed[i]]
    place, seen = 0, []
    while place < n:
        index = order.index(place)
        assert order.begin(index) == place
        assert order.first_of_batch(index) == index  # a batch begins where one has ended
        stop = min(index + batch_size, order.samples.size)
        seen += order.samples[index:stop].tolist()
        for within in range(place, order.begin(stop)):
            assert index <= order.index(within) < stop
        place = order.begin(stop)
    assert place == n
    assert seen == order.samples.tolist()


def test_nothing_skipped_is_the_plain_order() -> None:
    order = Order.of(shuffled(3, 1, 6), np.zeros(6, bool), 4)
    assert order.samples.tolist() == shuffled(3, 1, 6).tolist()
    assert order.ends.tolist() == [1, 2, 3, 4, 5, 6]
