"""What all encoders of sound share: recordings in, spikes of numbered channels out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from eprop.data.binned import BinnedDataset, check_labels
from eprop.data.binning import Block, bin_blocks
from eprop.data.events import MAX_TIME, Events
from eprop.errors import DataError, ParameterError
from eprop.parameters import Description, Floats, refuse_masks

#: Samples (n,) and samples per second.
Sound: TypeAlias = tuple[ArrayLike, float]


class Sounds(Protocol):
    """Recordings by number: a list, or a `SoundRecordings`, which reads a file when its turn comes."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sound: ...


#: Sounds that are encoded together.
_BLOCK = 64
#: Largest sample: its power is a number.
_LARGEST = 1e100
#: Sample rates, Hz.
_SLOWEST, _FASTEST = 1000, 768_000


@dataclass(frozen=True)
class SoundEncoder(Description):
    """Base of encoders: `Cochlea` and `MelSpikes`."""

    @property
    def sensor_size(self) -> tuple[int, int, int]:
        """Places, types, 1: the form in which `from_iterable` reads `events`."""
        raise TypeError(f"{type(self).__name__} does not define sensor_size")

    @property
    def highest(self) -> float:
        """Highest frequency that the encoder needs, Hz."""
        raise TypeError(f"{type(self).__name__} does not define highest")

    @property
    def n_channels(self) -> int:
        """Places times types. Channel of a spike: ``type * places + place``."""
        places, types, _ = self.sensor_size
        return places * types

    def events(self, sound: ArrayLike, rate: float, *, seed: int, index: int = 0) -> Events:
        """Spikes of one recording: place ``x``, type ``y``, microseconds ``t``.

        Parameters
        ----------
        sound : array, shape (n_samples,)
            Samples, usually within -1..1.
        rate : float
            Samples per second.
        seed, index : int
            As for `binned`; the same numbers give the same spikes in both methods.

        Raises
        ------
        DataError
            If the sound is empty, not mono, not finite, or its rate is too low for the encoder.
        """
        times, channels, _ = next(self._blocks([(sound, rate)], np.array([index]), seed, 1))
        kind, place = np.divmod(channels, self.sensor_size[0])
        return Events(place, kind, np.zeros(times.size, np.uint8), times)

    def binned(
        self,
        sounds: Sounds,
        labels: ArrayLike,
        *,
        seed: int,
        indices: ArrayLike | None = None,
        n_steps: int = 100,
        dt: float = 5.0,
        threads: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> BinnedDataset:
        """Encode recordings directly into the form that the engine reads.

        Parameters
        ----------
        sounds : sequence of (samples, rate)
            Such as a list, or a `SoundRecordings`, which reads a file when its turn comes.
        labels : array of int, shape (n,)
        seed : int
            Seed and index of a recording fix its spikes, for any number of threads and any other recordings.
        indices : array of int, shape (n,), optional
            Index of each recording. The default is ``0 .. n - 1``.
        n_steps : int
        dt : float
            Length of a step in ms.
        threads : int
        progress : callable of (done, total), optional

        Returns
        -------
        BinnedDataset
            A channel is active in a step or not; later spikes than ``n_steps * dt`` are dropped.

        Raises
        ------
        DataError
            If a sound cannot be encoded (as `events`), or sounds, labels and indices differ in number.
        """
        check_labels(labels)
        labels = np.asarray(labels, np.int32)
        indices = np.arange(len(sounds)) if indices is None else np.asarray(indices, np.int64)
        if labels.shape != (len(sounds),) or indices.shape != labels.shape:
            raise DataError(
                f"{len(sounds)} sounds need as many labels and indices, got shapes {labels.shape} and {indices.shape}"
            )
        blocks = self._blocks(sounds, indices, seed, threads, progress, longest=n_steps * dt / 1000.0)
        ptr, channels = bin_blocks(blocks, self.n_channels, n_steps, dt, threads)
        return BinnedDataset(ptr, channels, labels, self.n_channels, dt, name=getattr(sounds, "name", ""))

    def _blocks(
        self, sounds: Sounds, indices: np.ndarray, seed: int, threads: int,
        progress: Callable[[int, int], None] | None = None, longest: float = math.inf,
    ) -> Iterator[Block]:  # fmt: skip
        """Times (us), channels and offsets of each block; at most ``longest`` seconds of each sound."""
        if not 0 <= seed < 2**63:
            raise ParameterError(f"seed must lie in 0..2^63 - 1, got {seed}")
        for first in range(0, len(sounds), _BLOCK):
            last = min(first + _BLOCK, len(sounds))
            block = self._encode([sounds[i] for i in range(first, last)], indices[first:last], seed, threads, longest)
            yield _checked_times(indices[first:last], *block)
            if progress is not None:
                progress(last, len(sounds))

    def _encode(self, sounds: Sequence[Sound], indices: np.ndarray, seed: int, threads: int, longest: float) -> Block:
        """Times (us, int64), channels and offsets of some recordings."""
        raise TypeError(f"{type(self).__name__} does not define _encode()")


def _checked_times(indices: np.ndarray, times: np.ndarray, channels: np.ndarray, offsets: np.ndarray) -> Block:
    """A block with times of 32 bits; raise `DataError` if one does not fit."""
    if (late := np.flatnonzero(times > MAX_TIME)).size:
        index = indices[np.searchsorted(offsets, late[0], "right") - 1]
        raise DataError(
            f"sound {index}: is longer than {MAX_TIME / 6e7:.1f} min, the largest time of events; cut it into parts, or hear "
            "it with Cochlea.stream"
        )
    return times.astype(np.int32), channels, offsets


def check_rate(rate: Any, high: float) -> int:
    """A sample rate as a whole number of Hz.

    Raises
    ------
    DataError
        If it is not one, or the sound has nothing at ``high`` Hz.
    """
    if isinstance(rate, bool) or not isinstance(rate, (int, float, np.integer, np.floating)) or rate != int(rate):
        raise DataError(f"a sample rate must be a whole number of samples per second, got {rate!r:.40}")
    if not _SLOWEST <= rate <= _FASTEST:
        raise DataError(f"a sample rate must lie in {_SLOWEST}..{_FASTEST} per second, got {rate}")
    if rate < 2.0 * high:
        raise DataError(
            f"a sound of {rate} samples per second has no frequencies above {rate / 2:g} Hz, but the encoder needs "
            f"{high:g} Hz: give the encoder high={0.475 * rate:g}, or a recording with a higher rate"
        )
    return int(rate)


def as_samples(sound: ArrayLike, what: str, least: int = 1) -> Floats:
    """Samples as float64 on one axis."""
    refuse_masks(what, sound, DataError)
    given = np.asarray(sound)
    if given.dtype.kind not in "iuf":
        raise DataError(f"{what}: samples must be numbers, got {given.dtype}")
    if given.ndim != 1:
        raise DataError(
            f"{what}: samples must lie on one axis (mono), got shape {given.shape}; mix stereo with mean(axis=1)"
        )
    if given.size < least:
        raise DataError(f"{what}: has no samples")
    if not np.isfinite(out := np.ascontiguousarray(given, np.float64)).all():
        raise DataError(f"{what}: samples must be finite, got {out[~np.isfinite(out)][0]}")
    if (wrong := np.abs(out) > _LARGEST).any():
        raise DataError(f"{what}: samples usually lie within -1..1, got {out[wrong][0]:g}; is the recording damaged?")
    return out
