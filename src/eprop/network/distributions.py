"""Distributions of weights and other values: descriptions that draw any part of the network alone."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse

from eprop.core import lib
from eprop.errors import NetworkError, ParameterError
from eprop.network.positions import Positions, check_space
from eprop.parameters import Description, param, real_numbers

#: Smallest probability that a truncated `Normal` may keep; below it, the differences of probabilities lose their digits.
LEAST_SHARE = 1e-280
#: Smallest probability with which a truncated `Normal` draws again; below it, draws take the inverse of the distribution.
REDRAWN_SHARE = 0.02


@dataclass(frozen=True)
class Distribution(Description):
    """Base: draws values for the connections of targets ``lo:hi``."""

    def draw(self, lo: int, hi: int, indptr: np.ndarray, fan: tuple[float, float], seed: int) -> np.ndarray:
        """Draw one value for each connection of the targets ``lo:hi``; values must not depend on ``lo`` and ``hi``.

        Parameters
        ----------
        lo, hi : int
            First target, and the target after the last.
        indptr : ndarray, shape (hi - lo + 1,), int64
            Target ``lo + k`` has the connections ``indptr[k] : indptr[k + 1]``; see `ConnectionRule.make`.
        fan : tuple of two float
            Mean number of connections into a target, and mean number out of a source.
        seed : int
            Every draw is a function of ``seed``, the target and a counter.

        Returns
        -------
        ndarray, shape (indptr[-1],), float64
            mV or pA for weights, ms for delays.
        """
        raise TypeError(f"{type(self).__name__} does not define draw()")

    def drawn(self, name: str, lo: int, hi: int, indptr: np.ndarray, fan: tuple[float, float], seed: int) -> np.ndarray:
        """Return the result of `draw` for the projection or parameter ``name``; check it if the distribution is a user's own.

        Raises
        ------
        NetworkError
            If the result is not one number for each connection.
        """
        found = self.draw(lo, hi, indptr, fan, seed)
        if type(self).__module__ == __name__:
            return found
        what = f"{name}: {type(self).__name__}.draw({lo}, {hi}, ...)"
        values: np.ndarray = real_numbers(what, found, NetworkError)
        if values.shape != (int(indptr[-1]),):
            raise NetworkError(
                f"{what} must return {int(indptr[-1])} numbers, one for each connection, got shape {values.shape}"
            )
        return values.astype(np.float64)

    @property
    def ends(self) -> tuple[float, float]:
        """Lowest and highest possible value; infinite if unknown."""
        return -math.inf, math.inf


@dataclass(frozen=True)
class Constant(Distribution):
    """The same value everywhere."""

    value: float = param(unit="mV", doc="value")

    def draw(self, lo, hi, indptr, fan, seed):  # noqa: D102
        return np.full(int(indptr[-1]), self.value)

    @property
    def ends(self):  # noqa: D102
        return self.value, self.value


@dataclass(frozen=True)
class Normal(Distribution):
    """Normal distribution; with ``low`` or ``high`` it is truncated, as if values outside were drawn again.

    Examples
    --------
    >>> Normal(20.0, 5.0, low=5.0)  # time constants, for example
    Normal(mean=20.0, sd=5.0, low=5.0, high=inf)
    """

    mean: float = param(0.0, unit="mV", doc="mean; if truncated, of the whole distribution")
    sd: float = param(1.0, unit="mV", at_least=0.0, doc="standard deviation; if truncated, of the whole distribution")
    low: float = param(-math.inf, unit="mV", infinite=True, doc="lowest value")
    high: float = param(math.inf, unit="mV", infinite=True, doc="highest value")

    def validate(self) -> None:
        """Check that the ends are in order, with enough probability between them."""
        if self.low > self.high:
            raise ParameterError(f"Normal.low must not exceed high, got {self.low:g} and {self.high:g}")
        low, high = self._shares
        if self._is_cut and high - low < LEAST_SHARE:
            raise ParameterError(
                f"Normal.low and high must keep some of the distribution, got {self.low:g} and {self.high:g} with "
                f"mean {self.mean:g} and sd {self.sd:g}; the probability between them is below {LEAST_SHARE:g}: take a "
                "Uniform or a number"
            )

    def __repr__(self) -> str:
        ends = f", low={self.low}, high={self.high}" if self._is_cut else ""
        return f"Normal(mean={self.mean}, sd={self.sd}{ends})"

    @property
    def _is_cut(self) -> bool:
        return math.isfinite(self.low) or math.isfinite(self.high)

    @property
    def _side(self) -> float:
        """-1 if the kept part lies above the mean: we draw its mirror image, where probabilities keep their digits."""
        return -1.0 if self.low > self.mean else 1.0

    @property
    def _shares(self) -> tuple[float, float]:
        """Probabilities of the standard normal distribution below the two ends, or above them (`_side`)."""
        if self.sd == 0.0:
            return 0.0, float(self.low <= self.mean <= self.high)
        ends = [self._side * (end - self.mean) / self.sd for end in (self.low, self.high)]
        low, high = (0.5 * math.erfc(-end / math.sqrt(2.0)) for end in sorted(ends))
        return low, high

    def draw(self, lo, hi, indptr, fan, seed):  # noqa: D102
        if not self._is_cut or self.sd == 0.0:
            return lib.normal_weights(lo, hi, indptr, self.mean, self.sd, seed)
        if self._shares[1] - self._shares[0] >= REDRAWN_SHARE:
            return lib.truncated_weights(lo, hi, indptr, self.mean, self.sd, self.low, self.high, seed)
        from scipy.special import ndtri

        shares = lib.uniform_weights(lo, hi, indptr, *self._shares, seed)
        inside = np.clip(shares, 1e-20 * LEAST_SHARE, 1.0 - 2.0**-53)  # an end at infinity is never drawn
        return np.clip(self.mean + self._side * self.sd * ndtri(inside), self.low, self.high)

    @property
    def ends(self):  # noqa: D102
        return (self.mean, self.mean) if self.sd == 0.0 else (self.low, self.high)


@dataclass(frozen=True)
class Uniform(Distribution):
    """Uniform distribution in ``[low, high)``."""

    low: float = param(-1.0, unit="mV", doc="lower end")
    high: float = param(1.0, unit="mV", doc="upper end")

    def validate(self) -> None:
        """Check that the ends are in order."""
        if self.low > self.high:
            raise ParameterError(f"Uniform.low must not exceed high, got {self.low:g} and {self.high:g}")

    def draw(self, lo, hi, indptr, fan, seed):  # noqa: D102
        return lib.uniform_weights(lo, hi, indptr, self.low, self.high, seed)

    @property
    def ends(self):  # noqa: D102
        return self.low, self.high


@dataclass(frozen=True)
class LogNormal(Distribution):
    """``scale exp(mu + sigma z)`` with a normal ``z``; a negative scale makes inhibitory weights."""

    mu: float = param(0.0, doc="mean of the logarithm")
    sigma: float = param(1.0, at_least=0.0, doc="standard deviation of the logarithm")
    scale: float = param(1.0, unit="mV", doc="median for mu = 0")

    def draw(self, lo, hi, indptr, fan, seed):  # noqa: D102
        return self.scale * lib.lognormal_weights(lo, hi, indptr, self.mu, self.sigma, seed)

    @property
    def ends(self):  # noqa: D102
        return (0.0, math.inf) if self.scale >= 0.0 else (-math.inf, 0.0)


@dataclass(frozen=True)
class Clipped(Distribution):
    """Another distribution whose values outside ``low`` to ``high`` are set to the nearer end."""

    values: Distribution = param(kind=Distribution, doc="distribution to clip")
    low: float = param(-math.inf, unit="mV", infinite=True, doc="lowest value")
    high: float = param(math.inf, unit="mV", infinite=True, doc="highest value")

    def validate(self) -> None:
        """Check that the ends are in order."""
        if self.low > self.high:
            raise ParameterError(f"Clipped.low must not exceed high, got {self.low:g} and {self.high:g}")

    def draw(self, lo, hi, indptr, fan, seed):  # noqa: D102
        return np.clip(self.values.drawn("Clipped", lo, hi, indptr, fan, seed), self.low, self.high)

    @property
    def ends(self):  # noqa: D102
        low, high = self.values.ends
        return min(max(low, self.low), self.high), max(min(high, self.high), self.low)


@dataclass(frozen=True)
class Pairs:
    """Connections of some targets of a projection, as the function of `ByPair` gets them.

    Attributes
    ----------
    sources, targets : ndarray of int64, shape (connections,)
        Nodes within their populations.
    pre, post : Positions or None
        Positions of the populations.
    """

    sources: np.ndarray
    targets: np.ndarray
    pre: Positions | None
    post: Positions | None

    @property
    def distance(self) -> np.ndarray:
        """Distance between source and target of each connection.

        Raises
        ------
        NetworkError
            If a population has no positions.
        """
        pre, post = check_space("a value by distance", self.pre, self.post)
        return pre.distances(self.sources, post, self.targets)


@dataclass(frozen=True)
class ByPair(Distribution):
    """Values as a function of source and target.

    Parameters
    ----------
    function : callable
        Receives `Pairs` and returns a value for each connection. It is called for any range of targets, so a value must depend
        on its pair only.

    Examples
    --------
    Delays that grow with distance, and weights by the sign of the source:

    >>> delay = ByPair(lambda pairs: 0.5 + pairs.distance / 0.3)
    >>> weight = ByPair(lambda pairs: np.where(pairs.sources < 80, 0.1, -0.4))
    """

    function: Callable[[Pairs], object]

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise ParameterError(f"ByPair needs a function of Pairs, got {self.function!r:.60}")

    def __repr__(self) -> str:
        return f"ByPair({getattr(self.function, '__name__', type(self.function).__name__)})"

    def draw(self, lo, hi, indptr, fan, seed):  # noqa: D102
        raise NetworkError("ByPair gives weights and delays of connections, not parameters of nodes")

    def of(self, name: str, pairs: Pairs) -> np.ndarray:
        """Values of some connections of the projection ``name``.

        Raises
        ------
        NetworkError
            If the function does not return a number for each connection.
        """
        values: np.ndarray = real_numbers(f"{name}: the function of ByPair", self.function(pairs), NetworkError)
        if values.shape not in ((), pairs.sources.shape):
            raise NetworkError(
                f"{name}: the function of ByPair must return {pairs.sources.size} numbers, one for each connection, got shape "
                f"{values.shape}"
            )
        return np.array(np.broadcast_to(values, pairs.sources.shape), np.float64)


@dataclass(frozen=True)
class Glorot(Distribution):
    """Normal with variance ``gain^2 2 / (fan_in + fan_out)`` (Glorot and Bengio 2010); the fans are the mean degrees."""

    gain: float = param(1.0, unit="mV", at_least=0.0, doc="factor on the standard deviation")

    def draw(self, lo, hi, indptr, fan, seed):  # noqa: D102
        sd = self.gain * math.sqrt(2.0 / max(sum(fan), 1.0))
        return lib.normal_weights(lo, hi, indptr, 0.0, sd, seed)


@dataclass(frozen=True, eq=False, repr=False)
class Array:
    """Given values: in the order of the connections of an `Explicit` rule, or a dense ``(n_post, n_pre)`` matrix."""

    values: np.ndarray

    def __post_init__(self) -> None:
        values = real_numbers("weight", self.values, NetworkError).astype(np.float64)
        if values.ndim not in (1, 2):
            raise NetworkError(
                f"weight must be a number, a distribution, or a 1- or 2-d array, got shape {values.shape}"
            )
        if not np.all(np.isfinite(values)):
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
            raise NetworkError(f"weight must be finite everywhere, but is not at index {where}")
        values.setflags(write=False)
        object.__setattr__(self, "values", values)

    def __repr__(self) -> str:
        return f"Array(shape={self.values.shape})"

    @property
    def ends(self) -> tuple[float, float]:
        """Lowest and highest value; of no values ``(inf, -inf)``."""
        return float(self.values.min(initial=np.inf)), float(self.values.max(initial=-np.inf))


#: Advice against a sparse matrix, for arguments whose entries are connections, weights or delays.
CONNECTIONS = "give it as the connections: Explicit(matrix)"
DENSE = "give it as an array: matrix.toarray()"
DELAYS = "give it as an array with a delay wherever there may be a connection: np.where(dense > 0, dense, dt)"


def as_distribution(value: object, what: str = "weight", sparse: str = DENSE) -> Distribution | Array:
    """Convert a number to `Constant` and an array to `Array`; ``what`` names the value in messages.

    ``sparse`` is the advice of the message that refuses a sparse matrix.
    """
    if isinstance(value, (Distribution, Array)):
        return value
    if isinstance(value, type) and issubclass(value, Distribution):
        raise NetworkError(f"{what} got the class {value.__name__}; call it: {value.__name__}(...)")
    if scipy.sparse.issparse(value):
        raise NetworkError(f"{what} got a sparse matrix; {sparse}")
    if isinstance(value, (str, bytes)) or value is None:
        raise NetworkError(f"{what} must be a number, a distribution or an array, got {value!r:.80}")
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, numbers.Number):
        return Constant(value)  # type: ignore[arg-type]
    try:
        return Array(value)  # type: ignore[arg-type]
    except NetworkError as error:
        raise NetworkError(str(error).replace("weight", what, 1)) from None
