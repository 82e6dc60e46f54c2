"""A light encoder of sound: the spectrum in mel bands as spikes, in NumPy alone.

Each band has two channels. The first fires at a rate that grows with the level of the band (dB); the second fires while the
level rises. Both integrate and fire: what is not enough for a spike is kept for the next frame. No number is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eprop.data.audio.encoder import Sound, SoundEncoder, as_samples, check_rate
from eprop.data.binning import Block
from eprop.errors import ParameterError
from eprop.parameters import Floats, param


@dataclass(frozen=True)
class MelSpikes(SoundEncoder):
    """Log-mel spectrum to spikes: quick and simple; `Cochlea` reads unknown speakers better.

    Channels ``0 .. bands - 1`` follow the level, channels ``bands .. 2 bands - 1`` its rise.

    Examples
    --------
    >>> data = MelSpikes().binned(sounds, labels, seed=0, n_steps=100, dt=5.0)
    """

    bands: int = param(40, kind=int, at_least=1, at_most=1024, doc="bands")
    low: float = param(100.0, unit="Hz", at_least=0.0, doc="lower edge of the first band")
    high: float = param(3800.0, unit="Hz", above=0.0, doc="upper edge of the last band")
    hop: float = param(
        5.0, unit="ms", at_least=0.1, at_most=1000.0, doc="time between frames; at most one spike in each"
    )
    window: float = param(25.0, unit="ms", at_least=1.0, at_most=1000.0, doc="length of a frame (Hann)")
    range: float = param(50.0, unit="dB", above=0.0, doc="levels so far below the loudest frame are silent")
    rate: float = param(100.0, unit="Hz", at_least=0.0, doc="rate of a channel at the largest level")
    rise: float = param(0.1, above=0.0, doc="rise of the level, as a fraction of the range, that causes a spike")

    def validate(self) -> None:
        """Check the frequencies."""
        if not self.low < self.high:
            raise ParameterError(f"MelSpikes.low must be below high ({self.high:g} Hz), got {self.low:g}")

    @property
    def sensor_size(self) -> tuple[int, int, int]:
        """Bands, 2, 1: the form in which `from_iterable` reads `events`."""
        return self.bands, 2, 1

    @property
    def highest(self) -> float:
        """Upper edge of the last band, Hz."""
        return self.high

    @property
    def frequencies(self) -> Floats:
        """Centre of each band, Hz; equidistant in mel."""
        return self._edges()[1:-1]

    def levels(self, sound: Sound) -> Floats:
        """Level of each frame and band as a fraction of the range, 0 .. 1, shape (frames, bands)."""
        samples, rate = as_samples(sound[0], "the sound"), check_rate(sound[1], self.high)
        width, hop = max(round(self.window * rate / 1000.0), 1), self.hop * rate / 1000.0
        # The last sample of each frame. A hop need not be a whole number of samples.
        last = np.maximum(
            np.floor(hop * np.arange(1, int(samples.size / hop + 1e-9) + 1) + 1e-9).astype(np.int64) - 1, 0
        )
        frames = np.lib.stride_tricks.sliding_window_view(np.pad(samples, (width - 1, 0)), width)[last]
        power = np.abs(np.fft.rfft(frames * np.hanning(width + 2)[1:-1])) ** 2
        f, edges = np.fft.rfftfreq(width, 1.0 / rate), self._edges()[:, None]
        rising, falling = (f - edges[:-2]) / (edges[1:-1] - edges[:-2]), (edges[2:] - f) / (edges[2:] - edges[1:-1])
        level = 10.0 * np.log10(power @ np.maximum(0.0, np.minimum(rising, falling)).T + 1e-20)
        return np.clip((level - np.max(level, initial=-200.0)) / self.range + 1.0, 0.0, 1.0)

    def _edges(self) -> Floats:
        low, high = (math.log10(1.0 + f / 700.0) for f in (self.low, self.high))
        return 700.0 * (10.0 ** np.linspace(low, high, self.bands + 2) - 1.0)

    def _encode(self, sounds: Sequence[Sound], indices: np.ndarray, seed: int, threads: int, longest: float) -> Block:
        """Times (us), channels and offsets of some recordings."""
        parts = [self._spikes(sound, longest) for sound in sounds]
        times = np.concatenate([frames for frames, _ in parts]) * (self.hop * 1000.0)
        offsets = np.cumsum([0, *(frames.size for frames, _ in parts)]).astype(np.int64)
        return times.astype(np.int64), np.concatenate([c for _, c in parts]).astype(np.int32), offsets

    def _spikes(self, sound: Sound, longest: float) -> tuple[np.ndarray, np.ndarray]:
        """Frame and channel of each spike of the first ``longest`` seconds."""
        level = self.levels(sound)
        rise = np.maximum(np.diff(level, axis=0, prepend=0.0), 0.0)
        total = np.concatenate([level * (self.rate * self.hop / 1000.0), rise / self.rise], axis=1)
        reached, spikes = np.zeros(total.shape[1]), np.zeros(total.shape, bool)
        for frame, more in enumerate(total):
            reached += more
            spikes[frame] = reached >= 1.0
            reached -= spikes[frame]
        frames, channels = np.nonzero(spikes)
        heard = frames * (self.hop / 1000.0) < longest
        return frames[heard], channels[heard]
