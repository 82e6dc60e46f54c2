"""Encode pictures as events of an event camera: a pixel reports changes of its log light by a threshold."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from eprop.encoders import Encoder
from eprop.errors import InputError, ParameterError
from eprop.parameters import param

# Weights of red, green and blue in the light of a pixel (ITU-R BT.601).
_LUMA = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class PixelEvents(Encoder):
    """Pictures of 0 to 255, grey ``(height, width)`` or in colours ``(height, width, 3)``, become ON and OFF events.

    As in `eprop.data.EventCamera`, the log light of a pixel is ``log(ambient + (1 - ambient) I)``, and a pixel makes an event
    each time it has changed by ``threshold`` since the pixel's last event. The light is taken to change steadily from the
    previous picture to this one, so that the events of a pixel are spread over the steps of a picture, at most one per step;
    further events follow with the next picture. The first picture of an episode makes no event.

    With ``sustained``, further channels are active at random while their pixel differs from the most common light of the
    picture: an event camera does not see resting objects, such as a waiting paddle.

    Channels are numbered ON, OFF, then those of ``sustained``, row by row within each.
    """

    rows: tuple[int, ...] = param(
        (), kind=(tuple, list), doc="first visible row, and the row after the last; empty: all"
    )
    block: int = param(
        1, kind=int, at_least=1, doc="side of the block of the picture whose mean is a pixel of the camera"
    )
    threshold: float = param(0.16, above=0.0, doc="change of the log light that makes an event")
    ambient: float = param(0.32, above=0.0, below=1.0, doc="light of a black pixel, relative to a white one")
    sustained: float = param(0.0, at_least=0.0, at_most=1.0, doc="probability of an event of a pixel that stands out")
    contrast: float = param(0.1, above=0.0, doc="difference of the log light by which a pixel stands out")

    def validate(self) -> None:
        """Two rows in order."""
        rows = self.rows
        if rows and not (len(rows) == 2 and all(isinstance(row, int) for row in rows) and 0 <= rows[0] < rows[1]):
            raise ParameterError(f"PixelEvents.rows must be (first, last) with 0 <= first < last, got {rows!r:.60}")

    def channels(self, shape: tuple[int, ...]) -> int:
        """Two for each pixel of the camera; three with ``sustained``."""
        return math.prod(self.field(shape)) * (3 if self.sustained else 2)

    def field(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Rows and columns of the camera for pictures of this shape."""
        if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] not in (1, 3)):
            raise InputError(f"PixelEvents encodes pictures (height, width) or (height, width, 3), got shape {shape}")
        first, last = self.rows or (0, shape[0])
        height, width = (min(last, shape[0]) - first) // self.block, shape[1] // self.block
        if height < 1 or width < 1:
            raise InputError(f"PixelEvents: rows {self.rows} and block {self.block} leave nothing of {shape} pixels")
        return height, width

    def memory(self, n: int, shape: tuple[int, ...]) -> np.ndarray:
        """Log light of each pixel at its last event; NaN before the first picture."""
        return np.full((n, *self.field(shape)), np.nan)

    def forget(self, memory: np.ndarray, which: np.ndarray) -> None:
        """See `Encoder.forget`."""
        memory[which] = np.nan

    def log_light(self, pictures: np.ndarray) -> np.ndarray:
        """Log light of each pixel of the camera, shape ``(n, rows, columns)``."""
        height, width = self.field(pictures.shape[1:])
        first, block = (self.rows or (0,))[0], self.block
        seen = pictures[:, first : first + height * block, : width * block]
        if seen.ndim == 4:
            seen = seen @ _LUMA if seen.shape[3] == 3 else seen[..., 0]
        light = block_means(seen, block) / 255.0
        return np.log(self.ambient + (1.0 - self.ambient) * light)

    def spikes(
        self, observations: np.ndarray, n_steps: int, rng: np.random.Generator, memory: np.ndarray
    ) -> np.ndarray:
        """See `Encoder.spikes`."""
        light = self.log_light(np.asarray(observations))
        np.copyto(memory, light, where=np.isnan(memory))
        change = (light - memory) / self.threshold
        # Rounding must not hide a change of exactly one threshold.
        count = np.minimum(np.floor(np.abs(change) + 1e-9), n_steps)
        memory += np.sign(change) * count * self.threshold
        when = spread(count.reshape(len(light), -1), n_steps)
        positive = change.reshape(len(light), -1) > 0
        parts = [when & positive, when & ~positive]
        if self.sustained:
            parts.append(self._resting(light, n_steps, rng))
        return np.concatenate(parts, axis=2)

    def _resting(self, light: np.ndarray, n_steps: int, rng: np.random.Generator) -> np.ndarray:
        """Events of pixels that stand out from the background, which is the median of their picture."""
        flat = light.reshape(len(light), -1)
        out = np.abs(flat - np.median(flat, axis=1, keepdims=True)) > self.contrast
        spikes = np.zeros((n_steps, *out.shape), bool)
        spikes[:, out] = rng.random((n_steps, np.count_nonzero(out)), np.float32) < self.sustained
        return spikes


def block_means(pictures: np.ndarray, block: int) -> np.ndarray:
    """Mean of each square of ``block`` pixels: grey pictures ``(n, block * rows, block * columns)`` to ``(n, rows, columns)``."""
    rows = sum((pictures[:, k::block] for k in range(1, block)), start=pictures[:, ::block].astype(np.float64))
    total = sum((rows[:, :, k::block] for k in range(1, block)), start=rows[:, :, ::block])
    return np.asarray(total / block**2)


def spread(count: np.ndarray, n_steps: int) -> np.ndarray:
    """``count`` events, shape ``(n, pixels)``, at equal distances among ``n_steps`` steps: bool ``(n_steps, n, pixels)``."""
    before = np.floor(np.arange(n_steps + 1)[:, None, None] * count / n_steps)
    return np.diff(before, axis=0) > 0
