"""ENCODERS: numbers become spikes, and spikes become numbers again.

::

    RateCode         sign and size of a number: rate of two groups of channels     random
    PopulationCode   a channel for each part of the range, Gaussian fields         random, or regular with a random phase
    PoissonCode      numbers are rates                                             random
    LatencyCode      a larger number spikes earlier                                one spike of a channel
    DeltaCode        changes of a number over time                                 a spike for each threshold

An encoder is a description without arrays; `Encoder.fit` returns a copy whose ranges fit some data. `Encoder.encode` makes spikes
of samples, `Encoder.encode_series` of numbers that change in time; `Encoder.decode` and `Encoder.decode_series` estimate the
numbers from spikes. `Encoder.spikes` encodes one observation after the other, as `eprop.rl` does; the caller keeps the memory
between them (`Encoder.memory`), an array that can be saved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from eprop.errors import InputError, ParameterError, warn
from eprop.parameters import Description, Floats, check_count, param, real_numbers

__all__ = ["DeltaCode", "Encoder", "LatencyCode", "PoissonCode", "PopulationCode", "RateCode", "ScaledEncoder"]

#: Largest size of an entry that random spikes decode, before the inverse of tanh: two scales from the centre. Noise would else
#: become arbitrarily large there.
_EDGE = math.tanh(2.0)
#: Values that a population code compares with its spikes when it decodes.
_GRID = 401
#: Samples that a delta code is fitted to, the steps of its search, and the smallest threshold as a fraction of the range.
_FITTED, _BISECTIONS, _SMALLEST = 1024, 24, 1e-6


@dataclass(frozen=True)
class Encoder(Description):
    """Base of all encoders. A subclass defines `channels`, and `chances` or `spikes`; `fit` and `decode` if it can.

    Examples
    --------
    >>> code = PopulationCode(fields=8).fit(X)
    >>> spikes = code.encode(X, n_steps=50)  # (samples, steps, channels)
    """

    # ------------------------------------------------------------------------------------------------ whole arrays

    def fit(self, values: npt.ArrayLike) -> Self:
        """A copy whose scales fit the data.

        Parameters
        ----------
        values : array, shape (samples, ...)
            One observation per row, of the training data and no test data.
        """
        raise TypeError(f"{type(self).__name__} does not define fit()")

    def encode(self, values: npt.ArrayLike, n_steps: int, *, seed: int = 0) -> npt.NDArray[np.bool_]:
        """Spikes of samples.

        Parameters
        ----------
        values : array, shape (samples, ...)
            One observation of each sample.
        n_steps : int
            Steps of the network for each sample.
        seed : int
            Seed of random spikes.

        Returns
        -------
        ndarray of bool, shape (samples, n_steps, channels)
            As `Simulator.samples` and `eprop.data.from_arrays` take them.

        Raises
        ------
        InputError
            If values are not finite or cannot be encoded.
        """
        given = self._values(values, 1)
        return self.encode_series(given[:, None], n_steps, seed=seed)

    def encode_series(self, values: npt.ArrayLike, n_steps: int = 1, *, seed: int = 0) -> npt.NDArray[np.bool_]:
        """Spikes of observations that follow each other; arguments and errors of `encode`.

        Parameters
        ----------
        values : array, shape (samples, observations, ...)
        n_steps : int
            Steps of the network for each observation.
        seed : int

        Returns
        -------
        ndarray of bool, shape (samples, observations * n_steps, channels)
        """
        given, n_steps = self._values(values, 2), check_count("n_steps", n_steps)
        n, count = given.shape[:2]
        rng, memory = np.random.default_rng(seed), self.memory(n, given.shape[2:])
        out = np.empty((n, count * n_steps, self.channels(given.shape[2:])), bool)
        for k in range(count):
            spikes = self.spikes(given[:, k], n_steps, rng, memory)
            out[:, k * n_steps : (k + 1) * n_steps] = np.moveaxis(spikes, 0, 1)
        return out

    def decode(self, spikes: npt.ArrayLike) -> Floats:
        """Estimate the values from spikes: the inverse of `encode`.

        Parameters
        ----------
        spikes : array, shape (samples, n_steps, channels)

        Returns
        -------
        ndarray, shape (samples, entries)
        """
        raise TypeError(f"{type(self).__name__} does not define decode()")

    def decode_series(self, spikes: npt.ArrayLike, n_steps: int = 1) -> Floats:
        """Estimate a series from spikes: the inverse of `encode_series`.

        Parameters
        ----------
        spikes : array, shape (samples, observations * n_steps, channels)
        n_steps : int
            Steps of the network for each observation.

        Returns
        -------
        ndarray, shape (samples, observations, entries)
        """
        given = self._pieces(spikes, n_steps)
        found = self.decode(given.reshape(-1, *given.shape[2:]))
        return found.reshape(*given.shape[:2], -1)

    def _pieces(self, spikes: npt.ArrayLike, n_steps: int) -> np.ndarray:
        """Spikes of each observation, shape (samples, observations, n_steps, channels)."""
        given = real_numbers(f"{type(self).__name__}: spikes", spikes, InputError)
        if given.ndim != 3 or given.shape[1] % check_count("n_steps", n_steps):
            raise InputError(
                f"{type(self).__name__} decodes spikes (samples, steps, channels) with {n_steps} steps for each observation, "
                f"got shape {given.shape}"
            )
        return given.reshape(len(given), -1, n_steps, given.shape[2])

    def _values(self, values: npt.ArrayLike, axes: int) -> np.ndarray:
        """Checked values, with ``axes`` axes before those of an observation."""
        given = real_numbers(f"{type(self).__name__}: values", values, InputError)
        if given.ndim < axes:
            wanted = "(samples, observations, ...)" if axes == 2 else "(samples, ...)"
            raise InputError(f"{type(self).__name__} encodes an array {wanted}, got shape {given.shape}")
        return given.reshape(*given.shape, 1) if given.ndim == axes else given

    def _spikes(self, spikes: npt.ArrayLike, per_entry: int) -> Floats:
        """Checked spikes, shape (samples, n_steps, entries, channels of an entry)."""
        given = real_numbers(f"{type(self).__name__}: spikes", spikes, InputError)
        if given.ndim != 3 or given.shape[2] % per_entry or not given.shape[1]:
            raise InputError(
                f"{type(self).__name__} decodes spikes (samples, steps, channels) with {per_entry} channels for each entry, "
                f"got shape {given.shape}"
            )
        return given.reshape(*given.shape[:2], -1, per_entry).astype(np.float64)

    # ------------------------------------------------------------------------------------- one observation at a time

    def channels(self, shape: tuple[int, ...]) -> int:
        """Number of channels that encode an observation of this shape."""
        raise TypeError(f"{type(self).__name__} does not define channels()")

    def memory(self, n: int, shape: tuple[int, ...]) -> np.ndarray:
        """Memory of ``n`` environments before their first observation, shape ``(n, ...)``; empty by default."""
        return np.zeros((n, 0))

    def forget(self, memory: np.ndarray, which: np.ndarray) -> None:
        """Reset ``memory``, in place, for the environments ``which``, whose episodes start."""

    def spikes(
        self, observations: np.ndarray, n_steps: int, rng: np.random.Generator, memory: np.ndarray
    ) -> np.ndarray:
        """Spikes that encode one observation of each environment; by default independent draws with `chances`.

        Parameters
        ----------
        observations : ndarray, shape (n, ...)
        n_steps : int
            Steps of the network for each observation.
        rng : numpy.random.Generator
            The only source of randomness.
        memory : ndarray
            As from `memory`; changed in place.

        Returns
        -------
        ndarray of bool, shape (n_steps, n, channels)
        """
        return drawn(self.chances(observations), n_steps, rng)

    def chances(self, observations: np.ndarray) -> np.ndarray:
        """Probability of a spike in each step, shape ``(n, channels)``, for observations ``(n, ...)``."""
        raise TypeError(f"{type(self).__name__} defines neither chances() nor spikes()")


@dataclass(frozen=True)
class ScaledEncoder(Encoder):
    """Base of encoders of vectors; ``tanh((x - centre) / scale)`` maps their entries to -1 to 1."""

    scale: tuple[float, ...] = param(
        (1.0,), kind=(tuple, list), doc="divisor of the entries of an observation; one for all, or one for each"
    )
    centre: tuple[float, ...] = param(
        (0.0,), kind=(tuple, list), doc="subtracted from the entries before; one for all, or one for each"
    )

    def validate(self) -> None:
        """Finite centres and positive scales."""
        check_numbers(self, "scale", positive=True)
        check_numbers(self, "centre")

    def fit(self, values: npt.ArrayLike) -> Self:
        """See `Encoder.fit`: the mean of each entry becomes its centre, its standard deviation its scale (1 if it is 0)."""
        given = finite(self, self._values(values, 1))
        flat = given.reshape(len(given), -1)
        deviation = flat.std(axis=0)
        scale = np.where(deviation > 0.0, deviation, 1.0)
        return self.replace(centre=tuple(flat.mean(axis=0).tolist()), scale=tuple(scale.tolist()))

    def entries(self, shape: tuple[int, ...]) -> int:
        """Number of entries of an observation of this shape.

        Raises
        ------
        InputError
            If the numbers of scales or centres do not fit.
        """
        entries = math.prod(shape)
        for name in ("scale", "centre"):
            check_entries(self, name, entries)
        return entries

    def squash(self, observations: np.ndarray) -> np.ndarray:
        """Observations between -1 and 1, shape ``(n, entries)``.

        Raises
        ------
        InputError
            If they are not finite, or the number of scales does not fit.
        """
        flat = np.asarray(observations, np.float64).reshape(len(observations), -1)
        self.entries(flat.shape[1:])
        return np.tanh((finite(self, flat) - np.array(self.centre)) / np.array(self.scale))

    def unsquash(self, x: Floats, edge: float = _EDGE) -> Floats:
        """Observations ``(n, entries)`` from values between ``-edge`` and ``edge``: the inverse of `squash`."""
        self.entries(x.shape[1:])
        return np.arctanh(np.clip(x, -edge, edge)) * np.array(self.scale) + np.array(self.centre)


@dataclass(frozen=True)
class PopulationCode(ScaledEncoder):
    """Each entry is encoded by channels with Gaussian receptive fields, whose centres lie between -1 and 1.

    A channel with its centre at ``c`` spikes at the rate ``rate exp(-(x - c)^2 / (2 width^2))``, for an entry ``x`` scaled to
    -1 to 1. `decode` gives the most probable value.

    By default spikes are independent. ``regular`` spikes of a channel have equal intervals at a constant rate; only the time of
    the first one is random. They tell the entry with far less noise.
    """

    fields: int = param(12, kind=int, at_least=2, doc="channels of each entry")
    width: float = param(0.2, above=0.0, doc="standard deviation of a receptive field, of the scaled entry")
    rate: float = param(500.0, unit="Hz", above=0.0, doc="rate of the best channel, at most one spike in a step")
    dt: float = param(1.0, unit="ms", above=0.0, doc="length of a step of the network")
    regular: bool = param(False, kind=bool, doc="whether spikes are regular with a random phase, not independent")

    def validate(self) -> None:
        """See `ScaledEncoder.validate`; at most one spike in a step."""
        super().validate()
        check_rate(self)

    def channels(self, shape: tuple[int, ...]) -> int:
        """``fields`` for each entry."""
        return self.entries(shape) * self.fields

    def memory(self, n: int, shape: tuple[int, ...]) -> np.ndarray:
        """Phases of regular spikes, 0 to 1; NaN before the first observation."""
        return np.full((n, self.channels(shape)), np.nan) if self.regular else super().memory(n, shape)

    def forget(self, memory: np.ndarray, which: np.ndarray) -> None:
        """See `Encoder.forget`."""
        memory[which] = np.nan

    def spikes(
        self, observations: np.ndarray, n_steps: int, rng: np.random.Generator, memory: np.ndarray
    ) -> np.ndarray:
        """See `Encoder.spikes`."""
        chance = self.chances(observations)
        return regular_spikes(chance, n_steps, rng, memory) if self.regular else drawn(chance, n_steps, rng)

    def chances(self, observations: np.ndarray) -> np.ndarray:
        """See `Encoder.chances`."""
        return self.rate * self.dt / 1000.0 * receptive_fields(self.squash(observations), self.fields, self.width)

    def decode(self, spikes: npt.ArrayLike) -> Floats:
        """See `Encoder.decode`; the likelihood of the spikes is compared at 401 values from -1 to 1."""
        given = self._spikes(spikes, self.fields)
        x = np.linspace(-1.0, 1.0, _GRID)
        chance = self.rate * self.dt / 1000.0 * receptive_fields(x[:, None], self.fields, self.width)
        chance = np.clip(chance, 1e-12, 1.0 - 1e-12).T
        spiked = given.sum(axis=1)
        likelihood = spiked @ np.log(chance) + (given.shape[1] - spiked) @ np.log1p(-chance)
        return self.unsquash(x[likelihood.argmax(axis=2)])


@dataclass(frozen=True)
class RateCode(ScaledEncoder):
    """Each entry is encoded by the rates of two groups of channels, one for positive and one for negative values.

    A channel spikes at the rate ``rate max(x, 0)``, or ``rate max(-x, 0)``, for an entry ``x`` scaled to -1 to 1.
    """

    group: int = param(5, kind=int, at_least=1, doc="channels of a group")
    rate: float = param(500.0, unit="Hz", above=0.0, doc="largest rate of a channel, at most one spike in a step")
    dt: float = param(1.0, unit="ms", above=0.0, doc="length of a step of the network")

    def validate(self) -> None:
        """See `ScaledEncoder.validate`; at most one spike in a step."""
        super().validate()
        check_rate(self)

    def channels(self, shape: tuple[int, ...]) -> int:
        """Two groups for each entry."""
        return self.entries(shape) * 2 * self.group

    def chances(self, observations: np.ndarray) -> np.ndarray:
        """See `Encoder.chances`."""
        x = self.squash(observations)
        largest = self.rate * self.dt / 1000.0
        chance = largest * np.maximum(np.stack([x, -x], axis=2), 0.0).reshape(len(x), -1)
        return np.repeat(chance, self.group, axis=1)

    def decode(self, spikes: npt.ArrayLike) -> Floats:
        """See `Encoder.decode`: the difference of the rates of the two groups."""
        mean = self._spikes(spikes, 2 * self.group).mean(axis=1)
        difference = mean[..., : self.group].mean(axis=2) - mean[..., self.group :].mean(axis=2)
        return self.unsquash(difference / (self.rate * self.dt / 1000.0))


@dataclass(frozen=True)
class LatencyCode(ScaledEncoder):
    """Each entry is encoded by the time of single spikes: a larger entry spikes earlier. There is no randomness.

    Two channels for each entry encode ``x`` and ``-x``, scaled to -1 to 1; each is early at one end of the range. Among
    ``n_steps`` steps, a channel is active in step ``round((1 - x) / 2 (n_steps - 1))``.
    """

    def channels(self, shape: tuple[int, ...]) -> int:
        """Two for each entry."""
        return self.entries(shape) * 2

    def spikes(
        self, observations: np.ndarray, n_steps: int, rng: np.random.Generator, memory: np.ndarray
    ) -> np.ndarray:
        """See `Encoder.spikes`."""
        x = self.squash(observations)
        both = np.stack([x, -x], axis=2).reshape(len(x), -1)
        when = np.rint((1.0 - both) / 2.0 * (n_steps - 1)).astype(np.int64)
        return when == np.arange(n_steps)[:, None, None]

    def decode(self, spikes: npt.ArrayLike) -> Floats:
        """See `Encoder.decode`: exact to half a step of the scaled entry; the centre if there is no spike."""
        given = self._spikes(spikes, 2)
        intervals = max(given.shape[1] - 1, 1)
        x = np.where(given.any(axis=1), 1.0 - 2.0 * given.argmax(axis=1) / intervals, 0.0)
        return self.unsquash((x[..., 0] - x[..., 1]) / 2.0, edge=1.0 - 0.5 / intervals)


@dataclass(frozen=True)
class PoissonCode(Encoder):
    """Entries of an observation, times ``gain``, are rates in Hz; a group of channels encodes each by independent spikes."""

    group: int = param(10, kind=int, at_least=1, doc="channels of a group")
    dt: float = param(1.0, unit="ms", above=0.0, doc="length of a step of the network")
    gain: float = param(1.0, unit="Hz", above=0.0, doc="rate of an entry of 1")

    def fit(self, values: npt.ArrayLike, rate: float = 100.0) -> Self:
        """See `Encoder.fit`: the largest value gets this ``rate``, Hz."""
        largest = float(np.max(finite(self, self._values(values, 1)), initial=0.0))
        if largest <= 0.0:
            raise InputError("PoissonCode.fit needs values above 0: rates are not negative")
        return self.replace(gain=rate / largest)

    def channels(self, shape: tuple[int, ...]) -> int:
        """A group for each entry."""
        return math.prod(shape) * self.group

    def chances(self, observations: np.ndarray) -> np.ndarray:
        """See `Encoder.chances`."""
        rates = np.asarray(observations, np.float64).reshape(len(observations), -1) * self.gain
        chance = rates * self.dt / 1000.0
        if not ((chance >= 0.0) & (chance <= 1.0)).all():
            raise InputError(
                f"PoissonCode encodes rates of 0 to {1000.0 / self.dt:g} Hz, one spike in a step of {self.dt:g} ms; got "
                f"{np.min(rates):g} to {np.max(rates):g}"
            )
        return np.repeat(chance, self.group, axis=1)

    def decode(self, spikes: npt.ArrayLike) -> Floats:
        """See `Encoder.decode`: the rate of each group, divided by ``gain``."""
        mean = self._spikes(spikes, self.group).mean(axis=(1, 3))
        return mean * 1000.0 / (self.dt * self.gain)


@dataclass(frozen=True)
class DeltaCode(Encoder):
    """Changes of each entry are encoded: an ON spike for each ``threshold`` upwards, an OFF spike for each one downwards.

    A level follows the entry by one threshold at each spike, at most one in a step; a faster change is caught up later. The
    level starts at the first observation. There is no randomness, and a constant entry makes no spike.
    """

    threshold: tuple[float, ...] = param(
        (0.1,),
        kind=(tuple, list),
        doc="change of an entry that makes a spike, in its unit; one for all, or one for each",
    )
    dt: float = param(1.0, unit="ms", above=0.0, doc="length of a step of the network")

    def validate(self) -> None:
        """Positive thresholds."""
        check_numbers(self, "threshold", positive=True)

    def fit(self, values: npt.ArrayLike, rate: float = 50.0, n_steps: int = 1) -> Self:
        """See `Encoder.fit`, of series: each entry then makes about ``rate`` spikes a second, ON and OFF together.

        Parameters
        ----------
        values : array, shape (samples, observations, entries, ...)
            Series one by one: joined, the jumps between them would count.
        rate : float
            Hz.
        n_steps : int
            Steps of an observation, as of `encode_series`.

        Raises
        ------
        InputError
            If ``values`` have two axes: the second could be observations of one entry, or entries of series that are joined.

        Warns
        -----
        UserWarning
            If no threshold makes such a rate: of a constant entry or one of few values, or above one spike in a step.
        """
        given = finite(self, self._values(values, 2))
        if np.ndim(values) == 2:
            raise InputError(
                f"DeltaCode.fit needs series (samples, observations, entries), got shape {np.shape(values)}: give values[..., "
                "None] for a series of one entry in each row; values.reshape(samples, -1, entries) for an observation in each row"
            )
        given = given[:: -(-len(given) // _FITTED)].reshape(-1, given.shape[1], math.prod(given.shape[2:]))
        seconds = len(given) * given.shape[1] * n_steps * self.dt / 1000.0
        span = np.ptp(given, axis=(0, 1))
        high = np.where(span > 0.0, span, 1.0)
        low, wanted = high * _SMALLEST, rate * seconds
        best, nearest = high, np.full(high.shape, np.inf)
        for _ in range(_BISECTIONS):
            middle = np.sqrt(low * high)
            spikes = self.replace(threshold=tuple(middle)).encode_series(given, n_steps).sum(axis=(0, 1))
            found = spikes.reshape(-1, 2).sum(axis=1)
            better = np.abs(found - wanted) < np.abs(nearest - wanted)
            best, nearest = np.where(better, middle, best), np.where(better, found, nearest)
            low, high = np.where(found > wanted, middle, low), np.where(found > wanted, high, middle)
        _warn_of_rates(nearest / seconds, rate, 1.0 / seconds)
        return self.replace(threshold=tuple(np.where(span > 0.0, best, 1.0).tolist()))

    def channels(self, shape: tuple[int, ...]) -> int:
        """Two for each entry: ON, OFF."""
        check_entries(self, "threshold", math.prod(shape))
        return 2 * math.prod(shape)

    def memory(self, n: int, shape: tuple[int, ...]) -> np.ndarray:
        """The level of each entry; NaN before the first observation."""
        return np.full((n, math.prod(shape)), np.nan)

    def forget(self, memory: np.ndarray, which: np.ndarray) -> None:
        """See `Encoder.forget`."""
        memory[which] = np.nan

    def spikes(
        self, observations: np.ndarray, n_steps: int, rng: np.random.Generator, memory: np.ndarray
    ) -> np.ndarray:
        """See `Encoder.spikes`."""
        x = finite(self, np.asarray(observations, np.float64).reshape(len(observations), -1))
        threshold = np.array(self.threshold)
        np.copyto(memory, x, where=np.isnan(memory))
        out = np.empty((n_steps, len(x), x.shape[1], 2), bool)
        for step in range(n_steps):
            # Rounding must not hide a change of exactly one threshold.
            change = (x - memory) / threshold
            out[step, ..., 0], out[step, ..., 1] = change >= 1.0 - 1e-9, change <= -1.0 + 1e-9
            memory += threshold * (out[step, ..., 0].astype(float) - out[step, ..., 1])
        return out.reshape(n_steps, len(x), -1)

    def decode_series(self, spikes: npt.ArrayLike, n_steps: int = 1) -> Floats:
        """See `Encoder.decode_series`: the level relative to the first observation, whose size no spike tells."""
        given = self._spikes(self._pieces(spikes, n_steps).sum(axis=2), 2)
        check_entries(self, "threshold", given.shape[2])
        return np.cumsum(given[..., 0] - given[..., 1], axis=1) * np.array(self.threshold)


def _warn_of_rates(found: np.ndarray, wanted: float, step: float) -> None:
    """Warn of entries whose rates ``found``, Hz in multiples of ``step``, are not within a tenth of what was ``wanted``."""
    off = np.flatnonzero(np.abs(found - wanted) > max(0.1 * wanted, step))
    if off.size:
        shown = ", ".join(f"entry {k}: {found[k]:.3g} Hz" for k in off[:5])
        warn(
            f"DeltaCode.fit: no threshold makes {wanted:g} Hz of {off.size} of {found.size} entries ({shown}): a constant entry "
            "makes no spike, one of few values many at once, and there is one spike in a step at most. Leave such entries out, "
            "or choose another rate= or more steps of an observation (n_steps)."
        )


def check_numbers(encoder: Encoder, name: str, *, positive: bool = False) -> None:
    """Turn a parameter into a tuple of floats; raise `ParameterError` unless they are finite (and above 0)."""
    given: Any = getattr(encoder, name)
    values = tuple(float(each) for each in given)
    if not values or not all(math.isfinite(each) and (each > 0.0 or not positive) for each in values):
        wanted = "numbers > 0" if positive else "numbers"
        raise ParameterError(f"{type(encoder).__name__}.{name} must be {wanted}, got {values!r:.80}")
    object.__setattr__(encoder, name, values)


def check_entries(encoder: Encoder, name: str, entries: int) -> None:
    """Raise `InputError` unless a parameter has one value, or one for each entry."""
    if (count := len(getattr(encoder, name))) not in (1, entries):
        raise InputError(
            f"{type(encoder).__name__}.{name} has {count} values for observations of {entries} entries; fit it to "
            "observations of the same form, of series to series.reshape(-1, entries) (a DeltaCode to the series)"
        )


def check_rate(encoder: Any) -> None:
    """Raise `ParameterError` if a rate asks for more than one spike in a step."""
    if encoder.rate * encoder.dt > 1000.0:
        raise ParameterError(
            f"{type(encoder).__name__}.rate must be <= {1000.0 / encoder.dt:g} Hz, one spike in a step of {encoder.dt:g} ms, "
            f"got {encoder.rate:g}"
        )


def finite(encoder: Encoder, values: np.ndarray) -> np.ndarray:
    """The values; raise `InputError` if one is not finite."""
    if not np.isfinite(values).all():
        raise InputError(f"{type(encoder).__name__}: values to encode must be finite, got one that is not finite")
    return values


def receptive_fields(values: np.ndarray, fields: int, width: float) -> np.ndarray:
    """``exp(-(x - c)^2 / (2 width^2))`` of values ``(n, entries)`` with centres from -1 to 1, shape ``(n, entries * fields)``."""
    distance = (values[:, :, None] - np.linspace(-1.0, 1.0, fields)) / width
    return np.exp(-0.5 * distance**2).reshape(len(values), -1)


def drawn(chance: np.ndarray, n_steps: int, rng: np.random.Generator) -> np.ndarray:
    """Independent spikes with the probabilities ``chance``, shape ``(n, channels)``, in each of ``n_steps`` steps.

    Draws have single precision: a probability is exact to 1e-7.
    """
    return rng.random((n_steps, *chance.shape), np.float32) < chance


def regular_spikes(chance: np.ndarray, n_steps: int, rng: np.random.Generator, phase: np.ndarray) -> np.ndarray:
    """Spikes whenever the sum of ``chance``, shape ``(n, channels)``, over the steps passes a whole number.

    ``phase`` is the fraction of the sum before the first step; what is NaN is drawn. It changes in place.
    """
    np.copyto(phase, rng.random(phase.shape), where=np.isnan(phase))
    passed = phase + chance * np.arange(n_steps + 1)[:, None, None]
    phase[...] = passed[-1] % 1.0
    return np.diff(np.floor(passed), axis=0) > 0.0
