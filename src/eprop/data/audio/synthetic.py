"""Ten synthetic words of many voices: a stand-in for recordings, for demonstrations and tests without data.

A word is a sequence of phones. A phone is a noise or the pulses of a voice, filtered by three resonances (formants), as in the
synthesisers of Klatt 1980 (doi 10.1121/1.383940), but with constant formants for each phone. Voices differ in pitch, length of
the vocal tract, speed and noise. These sounds resemble speech only roughly: errors on them say nothing about real recordings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from eprop.data.audio.recordings import DIGITS
from eprop.data.audio.wav import Wav
from eprop.errors import ParameterError
from eprop.parameters import Floats, check_count

RATE = 8000


class _Phone(NamedTuple):
    """Formants (Hz), duration (ms), amplitude, and whether the voice sounds."""

    formants: tuple[float, float, float]
    duration: float
    amplitude: float = 1.0
    voiced: bool = True


_PHONES = {
    "a": _Phone((730, 1090, 2440), 110), "e": _Phone((530, 1840, 2480), 90), "i": _Phone((270, 2290, 3010), 110),
    "o": _Phone((570, 840, 2410), 110), "u": _Phone((300, 870, 2240), 100), "n": _Phone((280, 1700, 2600), 60, 0.4),
    "r": _Phone((310, 1060, 1380), 60, 0.6), "w": _Phone((290, 610, 2150), 50, 0.6), "v": _Phone((220, 1100, 2080), 50, 0.3),
    "s": _Phone((2900, 3400, 3700), 90, 0.25, False), "f": _Phone((1200, 2300, 3300), 80, 0.12, False),
    "t": _Phone((2600, 3200, 3600), 25, 0.35, False), "k": _Phone((1500, 2000, 2600), 30, 0.3, False),
    " ": _Phone((500, 1500, 2500), 40, 0.0, False),
}  # fmt: skip
#: Phones of zero to nine.
_WORDS = ("siro", "wan", "tu", "fri", "for", "faiv", "sik s", "sevn", "ei t", "nain")
_BANDWIDTHS = (70.0, 100.0, 150.0)


class SyntheticWords(Sequence[Wav]):
    """Synthetic recordings of the digits zero to nine; word ``i`` is a function of ``seed`` and ``numbers[i]``.

    Parameters
    ----------
    count : int
        Recordings; the word of recording ``k`` is the digit ``k % 10``.
    seed : int
    first : int
        Number of the first recording: others of the same seed are other recordings.
    speakers : int
        Voices. Recording ``k`` is spoken by voice ``k // 10 % speakers``.
    first_speaker : int
        Number of the first voice.

    Attributes
    ----------
    labels : ndarray of int32, shape (n,)
    speakers : ndarray of int64, shape (n,)
    classes : tuple of str
    name : str
    """

    classes = DIGITS

    def __init__(self, count: int, *, seed: int = 0, first: int = 0, speakers: int = 8, first_speaker: int = 0):
        check_count("count", count)
        check_count("speakers", speakers)
        if seed < 0 or first < 0 or first_speaker < 0:
            raise ParameterError(f"seed, first and first_speaker must be >= 0, got {seed}, {first}, {first_speaker}")
        self.seed, self.numbers = seed, np.arange(first, first + count)
        self.labels = (self.numbers % 10).astype(np.int32)
        self.speakers = first_speaker + self.numbers // 10 % speakers
        self.name = f"{count} synthetic words by {min(speakers, -(-count // 10))} voices"

    def __len__(self) -> int:
        return int(self.numbers.size)

    def stamp(self) -> str:
        """What determines the sounds, for a cache key."""
        return f"{self.seed} {self.numbers[0]} {self.numbers.size} {self.speakers[0]} {np.unique(self.speakers).size}"

    def __getitem__(self, index: int) -> Wav:  # type: ignore[override]
        voice = np.random.default_rng([self.seed, 1, int(self.speakers[index])])
        spoken = np.random.default_rng([self.seed, 2, int(self.numbers[index])])
        return Wav(_speak(_WORDS[self.labels[index]], voice, spoken), RATE)


def _speak(word: str, voice: np.random.Generator, spoken: np.random.Generator) -> Floats:
    """Samples of a word."""
    from scipy.signal import lfilter  # takes longer to import than the whole package

    pitch, tract, speed = voice.uniform(90.0, 220.0), voice.uniform(0.88, 1.18), voice.uniform(0.8, 1.25)
    pitch, speed = pitch * spoken.uniform(0.9, 1.1), speed * spoken.uniform(0.85, 1.15)
    parts = [np.zeros(int(RATE * spoken.uniform(0.0, 0.05)))]
    for phone in (_PHONES[name] for name in word):
        n = int(RATE * phone.duration / 1000.0 / speed * spoken.uniform(0.85, 1.15))
        noise = spoken.standard_normal(n)
        cycles = np.cumsum(np.full(n, pitch / RATE) * (1.0 - 0.1 * np.linspace(0.0, 1.0, n)))
        source = (
            np.where(np.diff(np.floor(cycles), prepend=0.0) > 0.0, 12.0, 0.0) + 0.05 * noise if phone.voiced else noise
        )
        out = source
        for formant, width in zip(phone.formants, _BANDWIDTHS, strict=True):
            angle = 2.0 * np.pi * min(formant * tract * spoken.uniform(0.96, 1.04), 3800.0) / RATE
            radius = np.exp(-np.pi * width / RATE)
            poles = [1.0, -2.0 * radius * np.cos(angle), radius**2]
            out = lfilter([sum(poles)], poles, out)
        # Soft edges, and the loudness of the phone whatever its formants amplify.
        edges = np.minimum(1.0, np.minimum(np.arange(n), np.arange(n)[::-1] + 20) / (0.008 * RATE))
        parts.append(out * edges * phone.amplitude / max(np.sqrt(np.mean(out**2)), 1e-9))
    sound = np.concatenate(parts)
    return np.asarray(0.1 * sound / max(np.abs(sound).max(), 1e-9) + 1e-4 * spoken.standard_normal(sound.size))
