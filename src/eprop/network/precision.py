"""Weights of few bits: whole numbers of levels times one scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eprop.parameters import Description, param


@dataclass(frozen=True)
class FixedPoint(Description):
    """A weight is a whole number of levels, from ``-(2^(bits - 1) - 1)`` to ``2^(bits - 1) - 1``, times ``scale``.

    Examples
    --------
    >>> FixedPoint(bits=4, scale=0.1).rounded([0.26, -0.04, 5.0])
    array([0.3, 0. , 0.7])
    """

    bits: int = param(kind=int, at_least=2, at_most=16, doc="bits of a weight, with its sign")
    scale: float = param(above=0.0, unit="mV or pA", doc="weight of one level")

    @property
    def largest(self) -> int:
        """Largest number of levels."""
        return int(2 ** (self.bits - 1) - 1)

    def levels(self, weights: npt.ArrayLike) -> npt.NDArray[np.int16]:
        """Numbers of levels of weights, rounded to the nearest; larger weights get the largest number."""
        return np.clip(np.rint(np.asarray(weights, float) / self.scale), -self.largest, self.largest).astype(np.int16)

    def rounded(self, weights: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The nearest weights, mV or pA."""
        return self.levels(weights) * np.float64(self.scale)

    def saturated(self, weights: npt.ArrayLike) -> int:
        """How many weights are larger than the largest level by more than half a level."""
        return int(np.count_nonzero(np.abs(weights) > (self.largest + 0.5) * self.scale))

    @classmethod
    def closest(cls, bits: int, weights: npt.NDArray[np.float64]) -> FixedPoint:
        """The format of ``bits`` bits with the smallest mean square error, of some scales up to that of the largest weight."""
        every = max(1, weights.size // MOST)
        some, most = weights[::every], float(np.abs(weights).max(initial=0.0))
        widest = cls(bits, most / cls(bits, 1.0).largest if most > 0.0 else 1.0)
        candidates = [widest.replace(scale=float(share) * widest.scale) for share in SHARES]
        return min(candidates, key=lambda one: float(np.square(one.rounded(some) - some).sum()))


#: Weights that determine a scale at the most, and the scales that are tried, relative to that of the largest weight.
MOST, SHARES = 1_000_000, np.linspace(1.0, 0.2, 33)
