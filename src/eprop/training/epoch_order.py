"""The samples of an epoch in random order, and the mini-batches of a training."""

from __future__ import annotations

import numpy as np

from eprop import random


def shuffled(seed: int, stream: int, n: int) -> np.ndarray:
    """Random order of ``0 .. n - 1``; it depends on the arguments only."""
    return random.permutation(seed, random.SHUFFLE, stream, n)


class Epochs:
    """The samples of a training in their order, epoch by epoch.

    Parameters
    ----------
    n : int
        Samples of an epoch.
    epochs, batch_size, seed : int
    """

    def __init__(self, n: int, epochs: int, batch_size: int, seed: int):
        self.n, self.epochs, self.batch_size, self.seed = n, epochs, batch_size, seed
        self._order: tuple[int, np.ndarray] | None = None

    @property
    def total(self) -> int:
        """Samples of all epochs."""
        return self.epochs * self.n

    def order(self, epoch: int) -> np.ndarray:
        """Samples of an epoch in their order, (n,)."""
        if self._order is None or self._order[0] != epoch:
            self._order = (epoch, shuffled(self.seed, epoch, self.n))
        return self._order[1]

    def batch_start(self, done: int) -> int:
        """Samples done when the present mini-batch began; ``done`` if a mini-batch has just ended.

        The last mini-batch of an epoch may be short.
        """
        return done - done % self.n % self.batch_size

    def is_due(self, done: int, times: int) -> bool:
        """Whether a mini-batch has just ended, and with it one of ``times`` equal parts of the training."""
        before = self.batch_start(done - 1)
        return self.batch_start(done) == done and done * times // self.total > before * times // self.total

    def has_passed(self, done: int, interval: int) -> bool:
        """Whether a mini-batch has just ended, and with it an interval of samples or the training."""
        before = self.batch_start(done - 1)
        return self.batch_start(done) == done and (done == self.total or done // interval > before // interval)

    def number(self, done: int) -> int:
        """The present epoch; the first is 1."""
        return min((done - 1) // self.n + 1, self.epochs)
