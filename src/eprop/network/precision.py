"""Weights of few bits: whole numbers of levels times one scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eprop.errors import NetworkError, ParameterError
from eprop.parameters import Description, brief, param
from eprop.rules import Rule

ROUNDINGS = STOCHASTIC, NEAREST = "stochastic", "nearest"


@dataclass(frozen=True)
class FixedPoint(Description):
    """A weight is a whole number of levels, from ``-(2^(bits - 1) - 1)`` to ``2^(bits - 1) - 1``, times ``scale``.

    As an argument of `Network.connect` the weights of a projection have this precision at all times, and there is no copy of more
    bits: each update is rounded. Stochastic rounding of ``q`` levels takes ``floor(q + u)`` with a uniform ``u``, whose mean is
    ``q``, so that many small changes add up; rounding to the nearest level loses changes below half a level.

    Examples
    --------
    >>> FixedPoint(bits=4, scale=0.1).rounded([0.26, -0.04, 5.0])
    array([0.3, 0. , 0.7])
    """

    bits: int = param(kind=int, at_least=2, at_most=16, doc="bits of a weight, with its sign")
    scale: float | None = param(
        None, above=0.0, unit="mV or pA", optional=True,
        doc="weight of one level; None: the largest level is 4 times the root mean square of the initial weights, or the largest "
        "weight of the static projections from the same source with these bits",
    )  # fmt: skip
    rounding: str = param(STOCHASTIC, kind=str, doc="of an update: stochastic or nearest")

    def validate(self) -> None:
        """Check the name of the rounding."""
        if self.rounding not in ROUNDINGS:
            raise ParameterError(f"FixedPoint.rounding must be stochastic or nearest, got {brief(self.rounding)}")

    @property
    def largest(self) -> int:
        """Largest number of levels."""
        return int(2 ** (self.bits - 1) - 1)

    @property
    def bytes(self) -> int:
        """Bytes that store a number of levels."""
        return 1 if self.bits <= 8 else 2

    @property
    def level(self) -> float:
        """``scale``.

        Raises
        ------
        ParameterError
            If the scale is None.
        """
        if self.scale is None:
            raise ParameterError("FixedPoint.scale is None: only a network with initial weights has a scale of its own")
        return self.scale

    def limits(self, low: npt.ArrayLike = -np.inf, high: npt.ArrayLike = np.inf) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest numbers of levels within bounds of the weights."""
        lowest, highest = np.asarray(low, float) / self.level, np.asarray(high, float) / self.level
        # Bounds may be whole numbers of levels but for rounding.
        return np.maximum(np.ceil(lowest - SLACK), -self.largest), np.minimum(np.floor(highest + SLACK), self.largest)

    def levels(self, weights: npt.ArrayLike) -> npt.NDArray[np.int16]:
        """Numbers of levels of weights, rounded to the nearest; larger weights get the largest number."""
        return np.clip(np.rint(np.asarray(weights, float) / self.level), -self.largest, self.largest).astype(np.int16)

    def rounded(
        self, weights: npt.ArrayLike, low: npt.ArrayLike = -np.inf, high: npt.ArrayLike = np.inf
    ) -> npt.NDArray[np.float64]:
        """The nearest weights within bounds, mV or pA."""
        return np.asarray(np.clip(self.levels(weights), *self.limits(low, high)) * np.float64(self.level))

    def saturated(self, weights: npt.ArrayLike) -> int:
        """How many weights are larger than the largest level by more than half a level."""
        return int(np.count_nonzero(np.abs(weights) > (self.largest + 0.5) * self.level))

    def at_ends(self, weights: npt.ArrayLike) -> int:
        """How many weights are at the lowest or highest level."""
        return int(np.count_nonzero(np.abs(self.levels(weights)) == self.largest))

    def reaching(self, weight: float) -> FixedPoint:
        """The same format with a scale whose largest level is a weight, mV or pA."""
        return self.replace(scale=weight / self.largest)

    @classmethod
    def closest(cls, bits: int, weights: npt.NDArray[np.float64]) -> FixedPoint:
        """The format of ``bits`` bits with the smallest mean square error, of some scales up to that of the largest weight."""
        every = max(1, weights.size // MOST)
        some, most = weights[::every], float(np.abs(weights).max(initial=0.0))
        most = most if most > 0.0 else 1.0
        candidates = [cls(bits).reaching(float(share) * most) for share in SHARES]
        return min(candidates, key=lambda one: float(np.square(one.rounded(some) - some).sum()))


#: Weights that determine a scale at the most, and the scales that are tried, relative to that of the largest weight.
MOST, SHARES = 1_000_000, np.linspace(1.0, 0.2, 33)
#: Part of a level by which a bound may miss a whole number of levels.
SLACK = 1e-6


def check_levels(name: str, precision: FixedPoint, rule: Rule) -> None:
    """Raise `NetworkError` unless some level lies within the bounds of the rule."""
    if precision.scale is None:  # the build chooses one
        return
    (low, high), (lowest, highest) = rule.bounds, precision.limits(*rule.bounds)
    if lowest > highest:
        raise NetworkError(
            f"{name}: no level of {precision.bits} bits with scale {precision.scale:g} lies within the bounds "
            f"{low:.9g}..{high:.9g} of its rule; take a smaller scale"
        )
