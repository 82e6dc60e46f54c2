"""The samples of an epoch in random order, all of them or without some easy ones.

Easy samples are skipped at random, as in InfoBatch (Qin et al. 2024, arXiv 2303.04947). Unlike InfoBatch, the remaining easy
samples do not get a larger weight, so the training concentrates on hard samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from eprop import random

#: Stream of random numbers for the choice of samples to skip; other draws with the same seed have other streams.
_SKIPPED = 1


def shuffled(seed: int, stream: int, n: int) -> np.ndarray:
    """Random order of ``0 .. n - 1``; it depends on the arguments only."""
    return random.permutation(seed, random.SHUFFLE, stream, n)


def skipped(losses: np.ndarray, share: float, seed: int, epoch: int) -> np.ndarray:
    """Choose the samples to skip: at random, ``share`` of the samples whose last loss was below the mean.

    Parameters
    ----------
    losses : (n,) loss of each sample when it was last learned from
    share : float, 0 to 1
    seed, epoch : int
        The choice depends on these two only.

    Returns
    -------
    (n,) bool; True for a sample to skip. Samples with the largest loss are never skipped.
    """
    draw = np.random.default_rng([seed, _SKIPPED, epoch]).random(losses.size)
    # The mean of equal losses may be rounded up.
    return (losses < min(losses.mean(), losses.max())) & (draw < share)


@dataclass(frozen=True, eq=False)
class Order:
    """The samples of an epoch in their order, and the place in the epoch after each sample.

    The position of a training counts all samples of an epoch, including the skipped ones. When a sample is learned, the samples
    skipped just before it count as done as well; after the last sample, all samples count as done.

    Attributes
    ----------
    samples : (m,) int
        Samples to learn from.
    ends : (m,) int
        Number of samples of the epoch that are done after each of these; ascending, the last one is ``n``.
    batch_size : int
    """

    samples: np.ndarray
    ends: np.ndarray
    batch_size: int

    @classmethod
    def of(cls, order: np.ndarray, skip: np.ndarray, batch_size: int) -> Order:
        """From all samples in their order; ``skip[i]`` says whether sample ``i`` is skipped."""
        places = np.flatnonzero(~skip[order])
        ends = places + 1
        ends[-1] = order.size
        return cls(order[places], ends, batch_size)

    def index(self, place: int) -> int:
        """Index in ``samples`` of the sample that is learned next, or at present, at a place in the epoch."""
        return int(np.searchsorted(self.ends, place, side="right"))

    def begin(self, index: int) -> int:
        """Place in the epoch before a sample and before the samples skipped just before it."""
        return int(self.ends[index - 1]) if index else 0

    def first_of_batch(self, index: int) -> int:
        """Index of the first sample in the mini-batch of a sample; the last mini-batch of an epoch may be short."""
        return index // self.batch_size * self.batch_size

    def batch_start(self, place: int) -> int:
        """Place in the epoch at which the mini-batch of a place begins."""
        return self.begin(self.first_of_batch(self.index(place))) if place else 0


class Epochs:
    """The samples of a training in their order, epoch by epoch.

    Parameters
    ----------
    n : int
        Samples of an epoch.
    epochs, batch_size, seed : int
    skip_easy : float
        See `Training.skip_easy`.
    """

    def __init__(self, n: int, epochs: int, batch_size: int, seed: int, skip_easy: float = 0.0):
        self.n, self.epochs, self.batch_size, self.seed, self.skip_easy = n, epochs, batch_size, seed, skip_easy
        self.losses, self._skip, self._skip_epoch = np.full(n, np.nan), np.zeros(n, bool), 0
        self._order: tuple[int, Order] | None = None

    @property
    def total(self) -> int:
        """Samples of all epochs."""
        return self.epochs * self.n

    def order(self, epoch: int) -> Order:
        """Order of the samples of an epoch; the first call for an epoch chooses the samples to skip."""
        if self._order is None or self._order[0] != epoch:
            if self.skip_easy and epoch > self._skip_epoch:
                self._skip_epoch, self._skip = epoch, skipped(self.losses, self.skip_easy, self.seed, epoch)
            self._order = (epoch, Order.of(shuffled(self.seed, epoch, self.n), self._skip, self.batch_size))
        return self._order[1]

    def batch_start(self, done: int) -> int:
        """Samples done when the present mini-batch began; ``done`` if a mini-batch has just ended."""
        epoch, place = divmod(done, self.n)
        return done - place + self.order(epoch).batch_start(place) if place else done

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

    def state(self) -> dict[str, np.ndarray]:
        """Arrays that determine the samples to skip; empty if none is skipped."""
        if not self.skip_easy:
            return {}
        return {"losses": self.losses.copy(), "skip": self._skip.copy(), "skip_epoch": np.array(self._skip_epoch)}

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue from a `state`."""
        if self.skip_easy:
            self.losses[:], self._skip, self._order = state["losses"], state["skip"].copy(), None
            self._skip_epoch = int(state["skip_epoch"])
