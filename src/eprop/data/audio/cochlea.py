"""A cochlea: from sound to the spikes of bushy cells, after Cramer, Stradmann, Schemmel and Zenke 2020.

The stages, all causal, in steps of 1/16 ms:

1. The sound is resampled to 16 kHz. The middle ear is a first difference, a high-pass filter.
2. Each *place* has a gammatone filter of order 4. Places are equidistant on the scale of critical bands (ERB).
3. Hair cell (Meddis 1986): the drive ``s`` is the positive part of the filtered sound. It opens the membrane with the
   permeability ``k = g (s + A) / (s + A + B)``, which saturates. Transmitter moves between three pools, whose depletion is
   adaptation: ``q' = y (M - q) - k q + x w``, ``c' = k q - (l + r) c``, ``w' = r c - x w``.
4. Each of the *fibres* of a hair cell fires with the rate ``h c`` and is then refractory for 1 ms. How many fire in a step is
   one binomial number: fibres that are not refractory are alike.
5. A bushy cell, a LIF neuron (1 ms membrane, 0.5 ms synapse, 1 ms refractory), collects the fibres. It fires at the phase of
   low tones, and at the onset of sounds.

Fibres of several *types* differ in sensitivity, and each type has its own bushy cell: together they cover a wider range of
levels than one hair cell.

Sources: Cramer et al. 2020, doi 10.1109/TNNLS.2020.3044364; Meddis 1986, doi 10.1121/1.393460; Glasberg and Moore 1990,
doi 10.1016/0378-5955(90)90170-T (critical bands); Patterson et al. 1992 (gammatone).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
from numpy.typing import ArrayLike

from eprop.core import lib
from eprop.data.audio.encoder import Sound, SoundEncoder, as_samples, check_rate
from eprop.data.binning import Block
from eprop.errors import ParameterError
from eprop.parameters import Floats, param
from eprop.random import COCHLEA, derive, uniform

#: Steps of the hair cells per second.
RATE = 16_000
#: Amplitude (r.m.s.) of 0 dB.
SILENT = 1e-5
#: Hair cells (Meddis 1986), rates per second. The permeability is half of its largest value at a drive of `_HALF`.
_SILENT_DRIVE, _HALF = 1.0, 300.0
_RELEASE, _REPLENISH, _LOSS, _REUPTAKE, _REPROCESS, _FIRING = 2000.0, 5.05, 2500.0, 6580.0, 66.3, 50_000.0
#: Drive of a tone with an amplitude of 1 in the filter of its place.
_DRIVE = 1e4
#: Bushy cells and refractory time of fibres, s.
_TAU_M, _TAU_SYN, _T_REF = 1e-3, 0.5e-3, 1e-3
#: Periods of the lower of two sample rates that the resampling filter hears.
_PERIODS = 24
# Targets of the random numbers that vary recordings; lower ones are channels.
_VARIED = 2**32 - 1


@dataclass(frozen=True)
class Cochlea(SoundEncoder):
    """Sound to spikes: gammatone filters, hair cells, bushy cells. Channel of a spike: ``type * places + place``.

    Examples
    --------
    >>> cochlea = Cochlea()
    >>> events = cochlea.events(sound, 8000, seed=1)  # x: place, y: type, t: microseconds
    >>> data = cochlea.binned(sounds, labels, seed=1, n_steps=100, dt=5.0)  # the form that the engine reads
    >>> ear = cochlea.stream(8000, seed=1)
    >>> times, channels = ear.hear(sound[:400])  # and so on: any chunks give the same spikes
    """

    places: int = param(35, kind=int, at_least=1, at_most=8192, doc="filters")
    low: float = param(100.0, unit="Hz", at_least=20.0, doc="frequency of the first place")
    high: float = param(3800.0, unit="Hz", below=7600.0, doc="frequency of the last place")
    width: float = param(1.0, above=0.05, at_most=10.0, doc="width of the filters, in widths of human ears")
    types: tuple[float, ...] = param(
        (10.0, -15.0), kind=(tuple, list), doc="sensitivity of the fibres of each type, dB"
    )
    fibres: int = param(
        40, kind=int, at_least=1, at_most=int(lib.cochlea_constants["max_fibres"]), doc="fibres of a hair cell"
    )
    weight: float = param(
        16_000.0,
        above=0.0,
        doc="input to a bushy cell, thresholds per second, while all of its fibres fire in every step",
    )
    middle_ear: float | None = param(
        1000.0, unit="Hz", above=0.0, at_most=8000.0, optional=True,
        doc="frequency above which the middle ear passes 6 dB more per octave; None: it changes nothing",
    )  # fmt: skip
    level: float | None = param(
        60.0, unit="dB", at_least=-100.0, at_most=200.0, optional=True,
        doc="r.m.s. of every recording behind the middle ear; 0 dB is an amplitude of 1e-5; None leaves the sound as it is",
    )  # fmt: skip
    warp: float = param(
        0.0, at_least=0.0, at_most=0.5,
        doc="variety of voices: each recording has its own length of the vocal tract, which multiplies all frequencies by up to "
        "1 + warp, or divides by it (vocal tract length perturbation, Jaitly and Hinton 2013)",
    )  # fmt: skip
    loudness: float = param(
        0.0, unit="dB", at_least=0.0, at_most=100.0, doc="variety of levels: up to so much more or less"
    )

    colour: float = param(
        0.0, unit="dB", at_least=0.0, at_most=100.0,
        doc="variety of microphones and voices: each spectrum gets its own slope, up to so much more at one end "
        "and so much less at the other, and its own curvature",
    )  # fmt: skip

    def validate(self) -> None:
        """Check frequencies and types."""
        if not self.low < self.high:
            raise ParameterError(f"Cochlea.low must be below high ({self.high:g} Hz), got {self.low:g}")
        kinds = tuple(self.types)
        if not 1 <= len(kinds) <= 8 or not all(_is_level(db) for db in kinds):
            raise ParameterError(
                f"Cochlea.types must be 1 to 8 numbers between -100 and 100 dB, got {self.types!r:.80}"
            )
        object.__setattr__(self, "types", tuple(float(db) for db in kinds))

    @property
    def sensor_size(self) -> tuple[int, int, int]:
        """Places, types, 1: the form in which `from_iterable` reads `events`."""
        return self.places, len(self.types), 1

    @property
    def highest(self) -> float:
        """Frequency of the last place, Hz."""
        return self.high

    @property
    def frequencies(self) -> Floats:
        """Frequency of each place, Hz, ascending; equidistant in critical bands."""
        low, high = (21.4 * math.log10(1.0 + 0.00437 * f) for f in (self.low, self.high))
        return (10.0 ** (np.linspace(low, high, self.places) / 21.4) - 1.0) / 0.00437

    def stream(self, rate: float, *, seed: int = 1, gain: float = 0.0) -> CochleaStream:
        """An ear that hears one sound without an end, in chunks of any lengths.

        `level`, `warp`, `loudness` and `colour` do not act: they need the whole recording.

        Parameters
        ----------
        rate : float
            Samples per second.
        seed : int
            Seed of the fibres.
        gain : float
            Amplification, dB. The mean level of speech should be about 60 dB, an r.m.s. of 0.01.

        Raises
        ------
        DataError
            If the rate is too low for the highest place, or cannot be resampled.
        """
        return CochleaStream(self, rate, seed, gain)

    def gain(self, sound: ArrayLike, rate: float) -> float:
        """Amplification that brings a sound to `level`, dB: 0 without a level, or in silence.

        A stream has no level of its own: give it the gain of an earlier recording of the same microphone.

        Raises
        ------
        DataError
            If the sound is empty, not mono, not finite, or its rate is too low for the highest place.
        """
        samples = as_samples(sound, "the sound")
        if self.level is None:
            return 0.0
        sound = resampled(samples, check_rate(rate, self.high))
        heard = sound - self._weight() * np.concatenate([[0.0], sound[:-1]])  # behind the middle ear
        amplitude = math.sqrt(float(np.mean(heard**2)))
        if amplitude == 0.0:
            return 0.0
        return self.level + 20.0 * math.log10(SILENT / amplitude)

    def _encode(self, sounds: Sequence[Sound], indices: np.ndarray, seed: int, threads: int, longest: float) -> Block:
        """One block; recordings of one sample rate are encoded together."""
        seeds = np.array([derive(seed, int(index)) for index in indices], np.uint64)
        samples = [as_samples(sound, f"sound {index}") for (sound, _), index in zip(sounds, indices, strict=True)]
        rates = [check_rate(rate, self.high) for _, rate in sounds]
        gains = np.array([self._factor_of_level(*each) for each in zip(samples, rates, seeds, strict=True)])
        filters = np.stack([self._filters(self._factor(key)) for key in seeds])
        filters[:, 2] *= np.stack([self._colour(key) for key in seeds])
        out: list[tuple[np.ndarray, np.ndarray]] = [(np.zeros(0), np.zeros(0))] * len(sounds)
        for rate in set(rates):
            which = np.flatnonzero(np.array(rates) == rate)
            parts = [samples[i][: math.ceil(min(longest * rate, samples[i].size))] for i in which]
            offsets = np.cumsum([0, *(part.size for part in parts)]).astype(np.int64)
            steps, channels, ends = lib.hear_sounds(
                self._settings(rate),
                np.concatenate(parts),
                offsets,
                filters[which],
                gains[which],
                seeds[which],
                threads,
            )
            for k, i in enumerate(which):
                part = slice(ends[k], ends[k + 1])
                out[i] = steps[part], channels[part]
        times = np.concatenate([steps for steps, _ in out]) * (1e6 / RATE)
        offsets = np.cumsum([0, *(steps.size for steps, _ in out)]).astype(np.int64)
        return times.astype(np.int64), np.concatenate([c for _, c in out]).astype(np.int32), offsets

    def _factor(self, key: np.uint64) -> float:
        """Factor of all frequencies of a recording."""
        return float((1.0 + self.warp) ** (2.0 * uniform(int(key), COCHLEA, _VARIED, 0) - 1.0))

    def _colour(self, key: np.uint64) -> Floats:
        """Factor of each place of a recording: a slope and a curvature over the places, in dB."""
        slope, curvature = 2.0 * uniform(int(key), COCHLEA, _VARIED, np.array([2, 3])) - 1.0
        z = np.linspace(-1.0, 1.0, self.places)
        return np.asarray(10.0 ** (self.colour / 20.0 * (slope * z + curvature * (2.0 * z**2 - 1.0))))

    def _factor_of_level(self, sound: np.ndarray, rate: int, key: np.uint64) -> float:
        """Factor that brings a recording to its level, with its own loudness."""
        own = self.loudness * (2.0 * uniform(int(key), COCHLEA, _VARIED, 1) - 1.0)
        return float(10.0 ** ((self.gain(sound, rate) + own) / 20.0))

    def _weight(self) -> float:
        """Weight of the step before that the middle ear subtracts."""
        return 0.0 if self.middle_ear is None else math.exp(-2.0 * math.pi * self.middle_ear / RATE)

    def _filters(self, factor: float = 1.0) -> Floats:
        """Poles (real, imaginary parts) and gains of the filters, shape (3, places)."""
        centre = np.minimum(self.frequencies * factor, 0.49 * RATE)
        bandwidth = self.width * 1.019 * 24.7 * (1.0 + 0.00437 * centre)
        radius, angle = np.exp(-2.0 * np.pi * bandwidth / RATE), 2.0 * np.pi * centre / RATE
        return np.stack([radius * np.cos(angle), radius * np.sin(angle), 2.0 * (1.0 - radius) ** 4])

    def _settings(self, rate: int) -> SimpleNamespace:
        """Settings for the core, under its names (``CochleaSettings``)."""
        up, down, taps = resampling_filter(rate)
        dt, a, b = 1.0 / RATE, _SILENT_DRIVE, _HALF
        k = _RELEASE * a / (a + b)
        cleft = _REPLENISH * k / (_LOSS * k + _REPLENISH * (_LOSS + _REUPTAKE))
        return SimpleNamespace(
            places=self.places, n_fibres=self.fibres, refractory=round(_T_REF * RATE),
            up=up, down=down, n_taps=taps.shape[1], taps=taps.ravel().tolist(), middle_ear=self._weight(),
            sensitivities=[_DRIVE * 10.0 ** (db / 20.0) for db in self.types],
            a=a, b=b, release=_RELEASE * dt, replenish=_REPLENISH * dt, loss=_LOSS * dt, reuptake=_REUPTAKE * dt,
            reprocess=_REPROCESS * dt, firing=_FIRING * dt,
            free=cleft * (_LOSS + _REUPTAKE) / k, cleft=cleft, reprocessing=cleft * _REUPTAKE / _REPROCESS,
            keep_current=math.exp(-dt / _TAU_SYN), keep_voltage=math.exp(-dt / _TAU_M), gain=self.weight / self.fibres * dt,
        )  # fmt: skip


class CochleaStream:
    """An ear that hears one sound, chunk after chunk; made by `Cochlea.stream`.

    Attributes
    ----------
    time : float
        Duration that was heard, ms.
    """

    def __init__(self, cochlea: Cochlea, rate: float, seed: int, gain: float):
        settings = cochlea._settings(check_rate(rate, cochlea.high))
        self._factor = 10.0 ** (gain / 20.0)
        self._ear = lib.Cochlea(settings, cochlea._filters(), seed)

    @property
    def time(self) -> float:
        """Duration that was heard, ms."""
        return self._ear.steps * (1000.0 / RATE)

    def hear(self, samples: ArrayLike) -> tuple[Floats, np.ndarray]:
        """Hear further samples.

        Parameters
        ----------
        samples : array, shape (n,)
            May be empty.

        Returns
        -------
        times : ndarray of float64
            Times of the spikes since the beginning of the stream, ms, ascending.
        channels : ndarray of int32

        Raises
        ------
        DataError
            If the samples are not finite numbers on one axis.
        """
        heard = as_samples(samples, "the chunk", least=0)
        steps, channels = self._ear.hear(heard, self._factor)
        return np.asarray(steps * (1000.0 / RATE), np.float64), channels


@functools.lru_cache(maxsize=32)
def resampling_filter(rate: int) -> tuple[int, int, Floats]:
    """Causal polyphase filter from ``rate`` to the steps of the hair cells.

    Returns
    -------
    up, down : int
        Steps per sample are ``up / down``.
    taps : ndarray, shape (up, n)
        Row k gives the step k / up after the newest sample from the last n samples, oldest first.
    """
    from scipy.signal import firwin  # takes longer to import than the whole package

    common = math.gcd(rate, RATE)
    up, down = RATE // common, rate // common
    if up == down:
        return 1, 1, np.ones((1, 1))
    n = math.ceil(_PERIODS * max(1.0, rate / RATE))
    cutoff = 0.95 * min(rate, RATE) / 2.0
    filtered = firwin(n * up, cutoff, window=("kaiser", 6.0), fs=rate * up)
    return up, down, np.ascontiguousarray(up * filtered.reshape(n, up).T[:, ::-1])


def resampled(samples: Floats, rate: int) -> Floats:
    """Samples in the steps of the hair cells, as the core makes them."""
    if rate == RATE:
        return samples
    from scipy.signal import upfirdn

    up, down, taps = resampling_filter(rate)
    steps: Floats = upfirdn(taps[:, ::-1].T.ravel(), samples, up, down)
    return steps[: -(-samples.size * up // down)]


def _is_level(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= 100.0
