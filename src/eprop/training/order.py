"""The samples of an epoch in random order, all of them or without some easy ones.

Easy samples are passed over at random, as in InfoBatch (Qin et al. 2024, arXiv 2303.04947). Unlike InfoBatch, the remaining easy
samples do not get a larger weight, so the training concentrates on hard samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eprop import random

#: Stream of the random choice of samples to pass over, beside other draws with the same seed.
_PASSED_OVER = 1


def shuffled(seed: int, stream: int, n: int) -> np.ndarray:
    """Random order of ``0 .. n - 1``; it depends on the arguments only."""
    return random.permutation(seed, random.SHUFFLE, stream, n)


def passed_over(losses: np.ndarray, share: float, seed: int, epoch: int) -> np.ndarray:
    """Choose the samples to pass over: at random, ``share`` of the samples whose last loss was below the mean.

    Parameters
    ----------
    losses : (n,) loss of each sample when it was last learned from
    share : float, 0 to 1
    seed, epoch : int
        The choice depends on these two only.

    Returns
    -------
    (n,) bool; True for a sample to pass over. Samples with the largest loss are never passed over.
    """
    draw = np.random.default_rng([seed, _PASSED_OVER, epoch]).random(losses.size)
    # The mean of equal losses may be rounded up.
    return (losses < min(losses.mean(), losses.max())) & (draw < share)


@dataclass
class Easy:
    """Losses of the samples, and the samples to pass over in one epoch.

    Attributes
    ----------
    losses : (n,) loss of each sample when it was last learned from; NaN before
    epoch : int
    passed : (n,) bool
        Whether each sample is passed over in this epoch.
    """

    losses: np.ndarray
    epoch: int
    passed: np.ndarray

    @classmethod
    def at_first(cls, n: int) -> Easy:
        """Before the first epoch: no losses, and no sample to pass over."""
        return cls(np.full(n, np.nan), 0, np.zeros(n, bool))

    def turn_to(self, epoch: int, share: float, seed: int) -> None:
        """Choose the samples to pass over in another epoch, see `passed_over`."""
        self.epoch, self.passed = epoch, passed_over(self.losses, share, seed, epoch)

    @property
    def share(self) -> float:
        """Fraction of easy samples among the samples learned so far."""
        known = self.losses[~np.isnan(self.losses)]
        return float(np.mean(known < known.mean())) if known.size else 0.0


@dataclass(frozen=True, eq=False)
class Order:
    """The samples of an epoch in their order, and the place in the epoch after each sample.

    The position of a training counts all samples of an epoch, those passed over included. When a sample is learned, the samples
    passed over just before it count as done as well; after the last sample, all samples count as done.

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
    def of(cls, order: np.ndarray, passed: np.ndarray, batch_size: int) -> Order:
        """From all samples in their order; ``passed[i]`` says whether sample ``i`` is passed over."""
        places = np.flatnonzero(~passed[order])
        ends = places + 1
        ends[-1] = order.size
        return cls(order[places], ends, batch_size)

    def index(self, place: int) -> int:
        """Index in ``samples`` of the sample that is learned next, or at present, at a place in the epoch."""
        return int(np.searchsorted(self.ends, place, side="right"))

    def begin(self, index: int) -> int:
        """Place in the epoch before a sample and before the samples passed over just before it."""
        return int(self.ends[index - 1]) if index else 0

    def first_of_batch(self, index: int) -> int:
        """Index of the first sample in the mini-batch of a sample; the last mini-batch of an epoch may be short."""
        return index // self.batch_size * self.batch_size
