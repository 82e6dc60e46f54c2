"""Action spaces: a finite number of actions, or a box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eprop.errors import ParameterError


@dataclass(frozen=True)
class DiscreteActions:
    """One of ``n`` actions, numbered from 0."""

    n: int

    def __post_init__(self) -> None:
        if self.n < 2:
            raise ParameterError(f"DiscreteActions.n must be >= 2: there must be a choice, got {self.n}")


@dataclass(frozen=True)
class ContinuousActions:
    """A vector within finite bounds.

    Attributes
    ----------
    low, high : tuple of float
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        ends = np.array([self.low, self.high])
        if ends.ndim != 2 or not np.isfinite(ends).all() or not (ends[0] < ends[1]).all():
            raise ParameterError(
                f"ContinuousActions needs finite bounds, low < high, for each entry; got {self.low} and {self.high}"
            )

    @property
    def n(self) -> int:
        """Entries of an action."""
        return len(self.low)

    def from_unit(self, actions: np.ndarray) -> np.ndarray:
        """Actions in the units of the environment; -1 and 1 are the bounds, and actions outside are clipped.

        Parameters
        ----------
        actions : ndarray, shape (..., n)
        """
        low, high = np.array(self.low), np.array(self.high)
        return low + (np.clip(actions, -1.0, 1.0) + 1.0) / 2.0 * (high - low)


Actions = DiscreteActions | ContinuousActions
