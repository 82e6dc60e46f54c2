"""Order and mini-batches of the samples of a training."""

from __future__ import annotations

import pytest
from hypothesis import given

from eprop.training.epoch_order import Epochs, shuffled
from strategies import SEEDS, st

pytestmark = pytest.mark.tiny


@given(SEEDS, st.integers(1, 30), st.integers(1, 7))
def test_each_epoch_is_cut_into_batches_of_its_own(seed: int, n: int, batch_size: int) -> None:
    epochs = Epochs(n, 2, batch_size, seed)
    assert epochs.total == 2 * n
    for epoch in range(2):
        assert epochs.order(epoch).tolist() == shuffled(seed, epoch, n).tolist()
    begins = [0, *(epoch * n + place for epoch in range(2) for place in range(0, n, batch_size)), 2 * n]
    for done in range(2 * n + 1):
        assert epochs.batch_start(done) == max(begin for begin in begins if begin <= done)
