"""Encode observations as spikes: population code, rate code, latency code.

An encoder is a description without arrays. The caller keeps its memory between observations, if any, as an array
(`Encoder.memory`), which can be saved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from eprop.errors import InputError, ParameterError
from eprop.parameters import Description, param


@dataclass(frozen=True)
class Encoder(Description):
    """Base of all encoders. A subclass defines `channels`, and `chances` or `spikes`."""

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
        for name in ("scale", "centre"):
            values = tuple(float(each) for each in getattr(self, name))
            if not values or not all(math.isfinite(each) and (name == "centre" or each > 0.0) for each in values):
                wanted = "numbers > 0" if name == "scale" else "numbers"
                raise ParameterError(f"{type(self).__name__}.{name} must be {wanted}, got {values!r:.80}")
            object.__setattr__(self, name, values)

    def entries(self, shape: tuple[int, ...]) -> int:
        """Number of entries of an observation of this shape.

        Raises
        ------
        InputError
            If the numbers of scales or centres do not fit.
        """
        entries = math.prod(shape)
        for name in ("scale", "centre"):
            if (count := len(getattr(self, name))) not in (1, entries):
                raise InputError(
                    f"{type(self).__name__}.{name} has {count} values for observations of {entries} entries"
                )
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
        if not np.isfinite(flat).all():
            raise InputError("an environment gave an observation that is not finite")
        return np.tanh((flat - np.array(self.centre)) / np.array(self.scale))


@dataclass(frozen=True)
class PopulationCode(ScaledEncoder):
    """Each entry is encoded by channels with Gaussian receptive fields, whose centres lie between -1 and 1.

    A channel with its centre at ``c`` is active in a step with the probability ``p exp(-(x - c)^2 / (2 width^2))``,
    for an entry ``x`` scaled to -1 to 1.
    """

    fields: int = param(12, kind=int, at_least=2, doc="channels of each entry")
    width: float = param(0.2, above=0.0, doc="standard deviation of a receptive field, of the scaled entry")
    probability: float = param(0.5, above=0.0, at_most=1.0, doc="that the best channel is active in a step")

    def channels(self, shape: tuple[int, ...]) -> int:
        """``fields`` for each entry."""
        return self.entries(shape) * self.fields

    def chances(self, observations: np.ndarray) -> np.ndarray:
        """See `Encoder.chances`."""
        return self.probability * receptive_fields(self.squash(observations), self.fields, self.width)


@dataclass(frozen=True)
class RateCode(ScaledEncoder):
    """Each entry is encoded by the rates of two groups of channels, one for positive and one for negative values.

    A channel is active in a step with the probability ``p max(x, 0)``, or ``p max(-x, 0)``, for an entry ``x`` scaled to
    -1 to 1.
    """

    group: int = param(5, kind=int, at_least=1, doc="channels of a group")
    probability: float = param(
        0.5, above=0.0, at_most=1.0, doc="largest probability that a channel is active in a step"
    )

    def channels(self, shape: tuple[int, ...]) -> int:
        """Two groups for each entry."""
        return self.entries(shape) * 2 * self.group

    def chances(self, observations: np.ndarray) -> np.ndarray:
        """See `Encoder.chances`."""
        x = self.squash(observations)
        chance = self.probability * np.maximum(np.stack([x, -x], axis=2), 0.0).reshape(len(x), -1)
        return np.repeat(chance, self.group, axis=1)


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


@dataclass(frozen=True)
class PoissonCode(Encoder):
    """Entries of an observation are rates in Hz; a group of channels encodes each by independent spikes."""

    group: int = param(10, kind=int, at_least=1, doc="channels of a group")
    dt: float = param(1.0, unit="ms", above=0.0, doc="length of a step of the network")

    def channels(self, shape: tuple[int, ...]) -> int:
        """A group for each entry."""
        return math.prod(shape) * self.group

    def chances(self, observations: np.ndarray) -> np.ndarray:
        """See `Encoder.chances`."""
        chance = np.asarray(observations, np.float64).reshape(len(observations), -1) * self.dt / 1000.0
        if not ((chance >= 0.0) & (chance <= 1.0)).all():
            raise InputError(
                f"PoissonCode encodes rates of 0 to {1000.0 / self.dt:g} Hz, one spike in a step of {self.dt:g} ms; got "
                f"{np.min(observations):g} to {np.max(observations):g}"
            )
        return np.repeat(chance, self.group, axis=1)


def receptive_fields(values: np.ndarray, fields: int, width: float) -> np.ndarray:
    """``exp(-(x - c)^2 / (2 width^2))`` of values ``(n, entries)`` with centres from -1 to 1, shape ``(n, entries * fields)``."""
    distance = (values[:, :, None] - np.linspace(-1.0, 1.0, fields)) / width
    return np.exp(-0.5 * distance**2).reshape(len(values), -1)


def drawn(chance: np.ndarray, n_steps: int, rng: np.random.Generator) -> np.ndarray:
    """Independent spikes with the probabilities ``chance``, shape ``(n, channels)``, in each of ``n_steps`` steps.

    Draws have single precision: a probability is exact to 1e-7.
    """
    return rng.random((n_steps, *chance.shape), np.float32) < chance
