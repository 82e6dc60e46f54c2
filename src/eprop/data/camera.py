"""An event camera that looks at moving images: recordings as in N-MNIST from plain MNIST digits.

N-MNIST was made by moving a camera in three saccades in front of a screen with MNIST digits (Orchard, Jayawant,
Cohen and Thakor 2015, doi 10.3389/fnins.2015.00437). `EventCamera` repeats this. The image moves along the measured
path. Each pixel follows the logarithm of the light, and emits an event when the logarithm has changed by the pixel's
threshold since the last event. Then the pixel is blind for the refractory time.

Comparison with 700 real recordings of the same digits (defaults, seed 1; real values in brackets): 4212 +- 1115 events
(4192 +- 1161), 50.3 % ON (49.8), saccades of 1607, 1360, 1246 events (1539, 1369, 1284), last event at 307.6 ms (307.7),
4.7 % of the milliseconds empty (4.4), interval between events of a channel 4.75 ms in the median and 1.79 ms in the first
percentile (4.63, 1.75). The counts correlate with 0.997, and the events per channel and 10 ms with 0.78; two simulations of
one digit correlate with 0.82. A perceptron (128 units, three time bins) trained on 6,000 simulated digits reads 96.6 and
97.6 % (two seeds) of the real recordings, whose digits it was not trained on.

The result is *simulated* and marked so: every data set made here has ``simulated=True``.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist
from types import SimpleNamespace

import numpy as np
from numpy.typing import ArrayLike

from eprop.core import lib
from eprop.data.binned import BinnedDataset, check_labels
from eprop.data.binning import Block, bin_blocks
from eprop.data.events import Events
from eprop.errors import DataError, ParameterError
from eprop.parameters import Description, param, refuse_masks

# Sizes that the core is compiled for: pixels along each side of the field and of the image, positions per pixel of the
# blurred image, weights of the blur, levels of light, delays of a path.
FIELD, SIDE, PHASES, TAPS, LEVELS, MAX_DELAYS = (
    int(lib.camera_constants[name]) for name in ("field", "side", "phases", "taps", "levels", "max_delays")
)
_BLOCK = 128
_FINE = 1.0  # ms between the computed points of the path
_MOST = 1 << 22  # more events per digit mean invalid parameters
#: (time in ms, x, y) of the image's upper left corner in the field, in pixels. The path was fitted by coordinate descent,
#: with a penalty on its roughness, to 300 real N-MNIST recordings of known digits with aligned second and third saccades.
#: The remaining recordings confirmed it. It holds for the other defaults of `EventCamera`.
SACCADES: tuple[tuple[float, float, float], ...] = (
    (0, 0.50, 1.00), (8, 0.12, 1.41), (16, 0.10, 1.49), (24, 0.26, 1.79), (32, 0.27, 2.48),
    (40, 0.18, 3.57), (48, 0.18, 4.65), (56, 0.61, 5.73), (64, 1.28, 6.44), (72, 1.90, 6.80),
    (80, 2.15, 6.82), (88, 2.14, 6.71), (96, 2.18, 6.84), (104, 2.31, 6.82), (112, 2.42, 6.59),
    (120, 2.54, 6.64), (128, 2.84, 6.52), (136, 3.54, 5.97), (144, 4.19, 5.00), (152, 4.57, 3.93),
    (160, 4.54, 2.96), (168, 4.81, 1.91), (176, 5.16, 1.21), (184, 5.44, 1.12), (192, 5.61, 1.30),
    (200, 5.73, 1.38), (208, 5.86, 1.60), (216, 6.15, 1.52), (224, 6.11, 1.27), (232, 5.64, 1.26),
    (240, 4.85, 1.43), (248, 3.99, 1.51), (256, 3.12, 1.47), (264, 2.17, 1.40), (272, 1.44, 1.28),
    (280, 0.95, 1.13), (288, 0.63, 1.04), (296, 0.25, 1.16), (304, 0.35, 1.23), (312, 0.45, 1.20),
)  # fmt: skip


@dataclass(frozen=True)
class EventCamera(Description):
    """Parameters of the simulated camera; the defaults imitate N-MNIST.

    Each recording draws its own pixel thresholds, contrast, linear map, displacements, offset and delays of the path, and end.

    Examples
    --------
    >>> camera = EventCamera()
    >>> data = camera.binned(images, labels, seed=1)  # the form that the engine reads
    >>> events = camera.events(images[0], seed=1, index=0)  # one recording with microseconds
    """

    threshold_on: float = param(
        0.16, at_least=0.01, at_most=10.0, doc="change of the log light that causes a brighter event"
    )
    threshold_off: float = param(
        0.16, at_least=0.01, at_most=10.0, doc="change of the log light that causes a darker event"
    )
    threshold_spread: float = param(0.08, at_least=0.0, at_most=0.5, doc="relative s.d. of the thresholds over pixels")
    threshold_noise: float = param(
        0.15, at_least=0.0, at_most=0.5, doc="relative s.d. of a pixel's threshold from one event to the next"
    )
    refractory: float = param(
        1.3, at_least=0.0, at_most=1000.0, unit="ms", doc="time for which a pixel is blind after an event"
    )
    blur: float = param(0.7, at_least=0.2, at_most=1.0, doc="s.d. of the optical blur in pixels")
    ambient: float = param(
        0.32, at_least=0.001, at_most=0.999,
        doc="light of a fully inked pixel relative to the paper: the log light is ``log(ambient + (1 - ambient) (1 - I))`` "
        "(a dark digit on light ground, so that the leading edge is OFF)",
    )  # fmt: skip
    jitter: float = param(0.05, at_least=0.0, at_most=2.0, doc="s.d. of the path's offset in pixels")
    warp: float = param(
        0.0, at_least=0.0, at_most=0.5,
        doc="s.d. of the four elements of a linear map of the image around its centre; with 0.1, the s.d. of the rotation is "
        "4 degrees, and height and width differ by 10 %",
    )  # fmt: skip
    elastic: float = param(
        0.0, at_least=0.0, at_most=3.0,
        doc="s.d. in pixels of a smooth field of displacements, per axis (elastic distortion, Simard, Steinkraus and Platt 2003, "
        "doi 10.1109/ICDAR.2003.1227801): cubic splines through randomly displaced nodes",
    )  # fmt: skip
    elastic_spacing: int = param(
        7, kind=int, at_least=3, at_most=14,
        doc="pixels between neighbouring nodes; 7 is about as smooth as noise filtered by a Gaussian of 4 pixels",
    )  # fmt: skip
    contrast: float = param(0.0, at_least=0.0, at_most=0.5, doc="relative s.d. of a common factor of all thresholds")
    delays: tuple[tuple[float, float], ...] = param(
        ((103.0, 5.2), (205.0, 4.1)), kind=tuple,
        doc="pairs (time, largest delay) in ms: from each time on, the path has a delay drawn uniformly between minus and plus "
        "the largest delay; the second and third saccade of N-MNIST start with such a jitter",
    )  # fmt: skip
    background: float = param(
        0.37, at_least=0.0, at_most=50.0, doc="events per second and pixel that are not caused by light"
    )
    background_on: float = param(
        0.96, at_least=0.0, at_most=1.0, doc="fraction of ON events among the background events"
    )
    shortest: float = param(304.0, at_least=1.0, at_most=8000.0, unit="ms", doc="shortest duration of a recording")
    longest: float = param(315.5, at_least=1.0, at_most=8000.0, unit="ms", doc="longest duration of a recording")
    smoothing: float = param(
        6.0, at_least=0.0, at_most=100.0, unit="ms", doc="s.d. of the Gaussian that smooths the path"
    )
    step: float = param(
        2.0,
        at_least=0.05,
        at_most=10.0,
        unit="ms",
        doc="step of the simulation; event times are interpolated within a step",
    )
    path: tuple[tuple[float, float, float], ...] = param(
        SACCADES, kind=tuple,
        doc="knots (time in ms, x, y) of the path of the image's upper left corner, in pixels of the 34 x 34 field",
    )  # fmt: skip

    def validate(self) -> None:
        """Check the duration, the delays and the path."""
        if self.shortest > self.longest:
            raise ParameterError(f"EventCamera.shortest must be <= longest ({self.longest} ms), got {self.shortest}")
        pairs = all(np.shape(pair) == (2,) for pair in self.delays)
        if len(self.delays) > MAX_DELAYS or not pairs or not all(0 <= most <= 50 for _, most in self.delays):
            raise ParameterError(
                f"EventCamera.delays must be up to {MAX_DELAYS} pairs (ms, 0..50 ms), got {self.delays}"
            )
        sample_path(self.path, self.longest, _FINE, self.smoothing)

    def binned(
        self,
        images: np.ndarray,
        labels: ArrayLike,
        *,
        seed: int,
        indices: ArrayLike | None = None,
        n_steps: int = 300,
        dt: float = 1.0,
        threads: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> BinnedDataset:
        """Record images directly into the form that the engine reads.

        Parameters
        ----------
        images : ndarray of uint8, shape (n, 28, 28)
        labels : array of int, shape (n,)
        seed : int
            Seed and index of a digit fix its recording bit by bit, for any number of threads and any other digits.
        indices : array of int, shape (n,), optional
            Index of each digit. The default is ``0 .. n - 1``.
        n_steps : int
        dt : float
            Length of a step in ms.
        threads : int
        progress : callable of (done, total), optional

        Returns
        -------
        BinnedDataset
            Data set with ``simulated=True``.

        Raises
        ------
        DataError
            If images, labels and indices do not fit together.
        """
        images, indices = _check_images(images, indices)
        check_labels(labels)
        labels = np.asarray(labels, np.int32)
        if labels.shape != (images.shape[0],):
            raise DataError(f"{images.shape[0]} images need as many labels, got shape {labels.shape}")
        blocks, n_channels = self._blocks(images, indices, seed, threads, progress), 2 * FIELD * FIELD
        ptr, channels = bin_blocks(blocks, n_channels, n_steps, dt, threads)
        return BinnedDataset(ptr, channels, labels, n_channels, dt, simulated=True)

    def events(self, image: np.ndarray, *, seed: int, index: int = 0) -> Events:
        """Record one image, with times in microseconds.

        Parameters
        ----------
        image : ndarray of uint8, shape (28, 28)
        seed, index : int
            As for `binned`; the same numbers give the same events in both methods.
        """
        return next(self.recordings(np.asanyarray(image)[None], seed=seed, indices=[index]))

    def recordings(
        self, images: np.ndarray, *, seed: int, indices: ArrayLike | None = None, threads: int = 1
    ) -> Iterator[Events]:
        """Record many images one after another, as `events` does."""
        images, indices = _check_images(images, indices)
        for block in self._blocks(images, indices, seed, threads):
            times, channels, offsets = _sorted(*block)
            polarity, pixel = np.divmod(channels, FIELD * FIELD)
            y, x = (a.astype(np.uint8) for a in np.divmod(pixel, FIELD))
            for first, last in itertools.pairwise(offsets):
                part = slice(first, last)
                yield Events(x[part], y[part], polarity[part], times[part])

    def _blocks(
        self, images: np.ndarray, indices: np.ndarray, seed: int, threads: int,
        progress: Callable[[int, int], None] | None = None,
    ) -> Iterator[Block]:  # fmt: skip
        """Times, channels and offsets of each block; the digits of a block are recorded in parallel."""
        if not 0 <= seed < 2**63:
            raise ParameterError(f"seed must lie in 0..2^63 - 1, got {seed}")
        settings = self._settings()
        for first in range(0, images.shape[0], _BLOCK):
            part = slice(first, first + _BLOCK)
            block = lib.record_digits(settings, np.array(images[part]), indices[part], seed, _MOST, threads)
            if block is None:
                raise ParameterError(f"EventCamera makes more than {_MOST} events for a digit: raise the thresholds")
            yield block
            if progress is not None:
                progress(min(first + _BLOCK, images.shape[0]), images.shape[0])

    def _settings(self) -> SimpleNamespace:
        """Settings for the core, under its names (``CameraSettings``); times in us."""
        made = {
            "path": sample_path(self.path, self.longest + self.step, _FINE, self.smoothing),
            "fine_us": _FINE * 1000.0,
            "taps": _taps(self.blur),
            "log_table": _log_table(self.ambient),
            "normals": _normal_table(),
            "splines": _splines(self.elastic_spacing),
            "background": self.background * self.step / 1000.0 * FIELD * FIELD,
            "delays": 1000.0 * np.array(self.delays, np.float64).reshape(-1, 2),
        }
        times = {f"{name}_us": getattr(self, name) * 1000.0 for name in ("step", "shortest", "longest", "refractory")}
        return SimpleNamespace(**vars(self) | made | times)


def sample_path(
    knots: tuple[tuple[float, float, float], ...], duration: float, step: float, smoothing: float
) -> np.ndarray:
    """Positions along a path every ``step`` ms: linear between the knots, then smoothed by a Gaussian.

    Parameters
    ----------
    knots : tuple of (time in ms, x, y)
        Times ascend; the image rests before the first and after the last knot.
    duration, step, smoothing : float
        In ms; ``smoothing`` is the standard deviation of the Gaussian.

    Returns
    -------
    ndarray of float64, shape (2, n_points)
        x and y at 0, step, 2 step, ... up to at least ``duration``.

    Raises
    ------
    ParameterError
        If there are fewer than two knots, or their times do not ascend.
    """
    table = np.asarray(knots, np.float64)
    if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] != 3 or (np.diff(table[:, 0]) <= 0).any():
        raise ParameterError("a camera path needs at least two knots (ms, x, y) with ascending times")
    reach = int(np.ceil(4 * smoothing / step))
    times = np.arange(-reach, int(np.ceil(duration / step)) + reach + 1) * step
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / max(smoothing, 1e-9)) ** 2)
    weights /= weights.sum()
    return np.stack([np.convolve(np.interp(times, table[:, 0], table[:, k]), weights, "valid") for k in (1, 2)])


def _check_images(images: ArrayLike, indices: ArrayLike | None) -> tuple[np.ndarray, np.ndarray]:
    refuse_masks("images", images, DataError)
    images = np.ascontiguousarray(images)
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (SIDE, SIDE):
        raise DataError(f"images must be uint8 of shape (n, {SIDE}, {SIDE}), got {images.dtype} {images.shape}")
    indices = np.asarray(np.arange(images.shape[0]) if indices is None else indices)
    if indices.shape != (images.shape[0],):
        raise DataError(f"{images.shape[0]} images need as many indices, got shape {indices.shape}")
    if indices.size and not 0 <= indices.min() <= indices.max() < 2**32:
        raise DataError("indices of digits must lie in 0..2^32 - 1")
    return images, np.ascontiguousarray(indices, np.int64)


def _sorted(times: np.ndarray, channels: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, ...]:
    """Sort the events of each recording by time, then by channel; the camera orders only its steps.

    The key is one whole number of recording (high bits), time (24 bits) and channel (12 bits): sorting by it is five times
    as fast as sorting by three keys.
    """
    key = np.repeat(np.arange(offsets.size - 1), np.diff(offsets)) << 36
    key |= (times.astype(np.int64) << 12) | channels
    key.sort()
    return (key >> 12 & 0xFFFFFF).astype(np.int32), (key & 0xFFF).astype(np.int32), offsets


@functools.lru_cache(maxsize=1)
def _normal_table() -> np.ndarray:
    """Quantiles of the standard normal distribution at the middles of 4096 equal intervals: draws without log or cosine.

    The table has the same bits on every machine, which a library's ``log`` and ``cos`` do not guarantee.
    """
    inverse = NormalDist().inv_cdf
    half = [inverse((i + 0.5) / 4096) for i in range(2048, 4096)]
    return np.array([-v for v in reversed(half)] + half, np.float32)


def _splines(spacing: int) -> np.ndarray:
    """Weights of the four nodes around each pixel of an axis, cubic splines, shape (SIDE, 4); rows sum to one."""
    t = np.arange(SIDE) % spacing / spacing
    return np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1) / 6.0


def _taps(blur: float) -> np.ndarray:
    """Weights of the blur at each phase, shape (PHASES, TAPS), float32; each row sums to one."""
    distance = np.arange(TAPS)[None, :] - (TAPS // 2 - 1) - np.arange(PHASES)[:, None] / PHASES
    weights = np.exp(-0.5 * (distance / blur) ** 2)
    return np.ascontiguousarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def _log_table(ambient: float) -> np.ndarray:
    """Log light for ink 0, 1/LEVELS, ... 1, shape (LEVELS + 1,), float32."""
    ink = np.arange(LEVELS + 1) / LEVELS
    return np.log(ambient + (1.0 - ambient) * (1.0 - ink)).astype(np.float32)
