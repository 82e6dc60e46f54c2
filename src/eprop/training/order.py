"""What an epoch learns from: all samples in a random order, or fewer of those that the network reads well by now.

Easy samples are passed over at random, as in InfoBatch (Qin et al. 2024, arXiv 2303.04947), but those that remain are not
given more weight for it: the training then dwells on what is hard.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eprop import random

#: Tells the draw of what is passed over from others by the same seed.
_PASSED_OVER = 1


def shuffled(seed: int, stream: int, n: int) -> np.ndarray:
    """Random order of ``0 .. n - 1`` that depends on its arguments only."""
    return random.permutation(seed, random.SHUFFLE, stream, n)


def passed_over(losses: np.ndarray, share: float, seed: int, epoch: int) -> np.ndarray:
    """Whether each sample is passed over: ``share`` of those whose last loss was below the mean, at random.

    Parameters
    ----------
    losses : (n,) loss of each sample when it was last learned from
    share : float, 0 to 1
    seed, epoch : int
        The draw depends on them, and on nothing else.

    Returns
    -------
    (n,) bool; the samples with the largest loss are never among them
    """
    draw = np.random.default_rng([seed, _PASSED_OVER, epoch]).random(losses.size)
    # Of equal losses, the mean may be rounded up.
    return (losses < min(losses.mean(), losses.max())) & (draw < share)


@dataclass
class Easy:
    """What a training knows of its samples.

    Attributes
    ----------
    losses : (n,) loss of each sample when it was last learned from; NaN before
    epoch : int
    passed : (n,) bool
        Whether each sample is passed over in that epoch.
    """

    losses: np.ndarray
    epoch: int
    passed: np.ndarray

    @classmethod
    def at_first(cls, n: int) -> Easy:
        """Nothing is known, and none is passed over in the first epoch."""
        return cls(np.full(n, np.nan), 0, np.zeros(n, bool))

    def turn_to(self, epoch: int, share: float, seed: int) -> None:
        """Draw what is passed over in another epoch, see `passed_over`."""
        self.epoch, self.passed = epoch, passed_over(self.losses, share, seed, epoch)

    @property
    def share(self) -> float:
        """Share of easy samples among those learned so far."""
        known = self.losses[~np.isnan(self.losses)]
        return float(np.mean(known < known.mean())) if known.size else 0.0


@dataclass(frozen=True, eq=False)
class Order:
    """The samples of an epoch in their order, and how far the epoch has come after each.

    A training's position counts all samples of an epoch, whether they are learned from or passed over: with one that is learned
    from, those passed over just before it are done as well, and with the last one all are.

    Attributes
    ----------
    samples : (m,) int
        To learn from.
    ends : (m,) int
        Place in the epoch, of ``n``, where each is done; ascending.
    batch_size : int
    """

    samples: np.ndarray
    ends: np.ndarray
    batch_size: int

    @classmethod
    def of(cls, order: np.ndarray, passed: np.ndarray, batch_size: int) -> Order:
        """From all samples in their order, and whether each (by its number, not its place) is passed over."""
        places = np.flatnonzero(~passed[order])
        ends = places + 1
        ends[-1] = order.size
        return cls(order[places], ends, batch_size)

    def index(self, place: int) -> int:
        """Which of ``samples`` is learned from next, or is just being learned from, at a place in the epoch."""
        return int(np.searchsorted(self.ends, place, side="right"))

    def begin(self, index: int) -> int:
        """Where a sample's share of the epoch begins."""
        return int(self.ends[index - 1]) if index else 0

    def first_of_batch(self, index: int) -> int:
        """The first sample of the mini-batch of a sample; an epoch's last batch may be short."""
        return index // self.batch_size * self.batch_size
