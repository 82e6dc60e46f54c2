"""Positions of nodes in space, for connections and values that depend on distance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eprop import random
from eprop.errors import NetworkError
from eprop.parameters import real_numbers


@dataclass(frozen=True, eq=False, repr=False)
class Positions:
    """Points of the nodes of a population, in one to three dimensions.

    Parameters
    ----------
    points : array, shape (nodes, dimensions)
        In any unit of length, the same in the whole network. A list of numbers has one dimension.
    periodic : sequence of float, optional
        Lengths of a box whose opposite sides are neighbours, one for each dimension. By default space has no ends.

    Raises
    ------
    NetworkError
        If points are not finite, have more than three dimensions, or ``periodic`` has another number of dimensions.

    Examples
    --------
    >>> Positions.grid((20, 20), extent=(1.0, 1.0), periodic=True)
    Positions(400 points, 2 dimensions, periodic [1. 1.])
    """

    points: NDArray[np.float64]
    periodic: NDArray[np.float64] | Sequence[float] | None = None

    def __post_init__(self) -> None:
        points = np.array(real_numbers("positions", self.points, NetworkError), np.float64)
        points = points[:, None] if points.ndim == 1 else points
        if points.ndim != 2 or not 1 <= points.shape[1] <= 3 or not np.isfinite(points).all():
            raise NetworkError(
                f"positions must be finite numbers of shape (nodes, 1 to 3 dimensions), got {points.shape}"
            )
        periodic = np.empty(0) if self.periodic is None else np.atleast_1d(np.array(self.periodic, np.float64))
        if self.periodic is not None and (periodic.shape != points.shape[1:] or not (periodic > 0.0).all()):
            raise NetworkError(
                f"periodic must have a length > 0 for each of the {points.shape[1]} dimensions, got {self.periodic!r:.60}"
            )
        points.setflags(write=False)
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "periodic", periodic)

    @classmethod
    def grid(cls, shape: Sequence[int], extent: Sequence[float], *, periodic: bool = False) -> Positions:
        """A regular grid in a box from 0 to ``extent``: the middle of each of its cells; the last axis runs fastest."""
        axes = [(np.arange(n) + 0.5) * length / n for n, length in zip(shape, extent, strict=True)]
        points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
        return cls(points, tuple(extent) if periodic else None)

    @classmethod
    def uniform(cls, n: int, extent: Sequence[float], *, seed: int = 0, periodic: bool = False) -> Positions:
        """``n`` points drawn in a box from 0 to ``extent``."""
        draws = [random.uniform(seed, random.PARAMETER, d, np.arange(n)) * length for d, length in enumerate(extent)]
        return cls(np.stack(draws, axis=1), tuple(extent) if periodic else None)

    def __len__(self) -> int:
        return len(self.points)

    def __repr__(self) -> str:
        ends = f", periodic {self.periodic}" if np.size(np.asarray(self.periodic)) else ""
        return f"Positions({len(self)} points, {self.points.shape[1]} dimensions{ends})"

    def distances(self, nodes: NDArray[np.int64], other: Positions, others: NDArray[np.int64]) -> NDArray[np.float64]:
        """Distances between ``nodes`` here and ``others`` at other positions, pair by pair."""
        apart = np.abs(self.points[nodes] - other.points[others])
        if np.size(np.asarray(self.periodic)):
            apart %= self.periodic
            apart = np.minimum(apart, self.periodic - apart)
        return np.asarray(np.sqrt((apart * apart).sum(axis=1)))


def check_space(name: str, pre: Positions | None, post: Positions | None) -> tuple[Positions, Positions]:
    """Positions of both sides of the projection ``name``, in the same space.

    Raises
    ------
    NetworkError
        If a side has no positions, or the sides differ in dimensions or periods.
    """
    for side, positions in (("sources", pre), ("targets", post)):
        if positions is None:
            raise NetworkError(f"{name} needs positions of its {side}: Network.add(model, size, positions=...)")
    assert pre is not None
    assert post is not None
    if pre.points.shape[1] != post.points.shape[1]:
        raise NetworkError(
            f"{name}: sources have positions of {pre.points.shape[1]} dimensions, targets of {post.points.shape[1]}"
        )
    if not np.array_equal(np.asarray(pre.periodic), np.asarray(post.periodic)):
        raise NetworkError(f"{name}: sources are periodic with {pre.periodic}, targets with {post.periodic}")
    return pre, post
