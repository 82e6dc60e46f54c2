"""Encode the positions and motions of objects in pictures: a fixed front-end without learned filters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eprop.encoders import Encoder, drawn, receptive_fields
from eprop.errors import InputError, ParameterError
from eprop.parameters import Description, param

AXES = ("rows", "columns", "both")
#: The background is the median of every fourth pixel in rows and columns.
SPARSE = 4


@dataclass(frozen=True)
class Region(Description):
    """A part of a picture in which there is one object. Rows and columns count from 0; the last ones are not included."""

    first_row: int = param(kind=int, at_least=0, doc="first row")
    last_row: int = param(kind=int, at_least=1, doc="row after the last one")
    first_column: int = param(kind=int, at_least=0, doc="first column")
    last_column: int = param(kind=int, at_least=1, doc="column after the last one")
    axes: str = param("both", kind=str, doc="encoded coordinates of the object: rows, columns or both")

    def validate(self) -> None:
        """A region that is not empty, and axes that exist."""
        if self.last_row <= self.first_row or self.last_column <= self.first_column:
            raise ParameterError(f"{self!r} has no pixel: the last row and column must be above the first ones")
        if self.axes not in AXES:
            raise ParameterError(f"Region.axes must be one of {', '.join(AXES)}, got {self.axes!r}")

    @property
    def extents(self) -> list[tuple[int, float]]:
        """Axis (0: rows, 1: columns) and length in pixels of each encoded coordinate."""
        both = [(0, float(self.last_row - self.first_row)), (1, float(self.last_column - self.first_column))]
        return both if self.axes == "both" else [both[AXES.index(self.axes)]]


@dataclass(frozen=True)
class ObjectCode(Encoder):
    """Position of one object in each region of a picture, and its motion since the previous picture.

    The pixels of an object differ from the background, which is the median of its region. Their centre is a
    position from -1 to 1 along the region. The motion is ``tanh(change / speed)`` of the change since the last picture, in
    pixels. Each position and each motion has ``fields`` channels with Gaussian receptive fields, as in `PopulationCode`. Without
    an object no channel is active.

    Pictures are grey, uint8 ``(height, width)``.
    """

    regions: tuple[Region, ...] = param((), kind=(tuple, list), doc="regions with one object each")
    contrast: float = param(20.0, above=0.0, doc="least difference of an object's pixel from the background, of 255")
    speed: float = param(8.0, above=0.0, doc="motion between pictures, in pixels, that becomes tanh(1)")
    fields: int = param(16, kind=int, at_least=2, doc="channels of each position and motion")
    width: float = param(0.15, above=0.0, doc="standard deviation of a receptive field, of half the range")
    probability: float = param(0.5, above=0.0, at_most=1.0, doc="that the best channel is active in a step")

    def validate(self) -> None:
        """At least one region."""
        if not self.regions or not all(isinstance(region, Region) for region in self.regions):
            raise ParameterError(f"ObjectCode.regions must be one Region or more, got {self.regions!r:.80}")
        object.__setattr__(self, "regions", tuple(self.regions))

    def channels(self, shape: tuple[int, ...]) -> int:
        """``fields`` for each position and each motion."""
        self._check(shape)
        return 2 * self.fields * self._coordinates

    def memory(self, n: int, shape: tuple[int, ...]) -> np.ndarray:
        """Position of each object in the previous picture, in pixels; NaN without an object."""
        return np.full((n, self._coordinates), np.nan)

    def forget(self, memory: np.ndarray, which: np.ndarray) -> None:
        """See `Encoder.forget`."""
        memory[which] = np.nan

    def positions(self, pictures: np.ndarray) -> np.ndarray:
        """Centres of the objects, pixels from the corner of their region; NaN without an object.

        Parameters
        ----------
        pictures : ndarray of uint8, shape (n, height, width)

        Returns
        -------
        ndarray, shape (n, coordinates)
        """
        found = []
        for region in self.regions:
            seen = pictures[:, region.first_row : region.last_row, region.first_column : region.last_column]
            background = np.median(seen[:, ::SPARSE, ::SPARSE], axis=(1, 2))[:, None, None]
            above = np.minimum(np.floor(background + self.contrast), 255).astype(np.uint8)
            below = np.maximum(np.ceil(background - self.contrast), 0).astype(np.uint8)
            out = ((seen > above) | (seen < below)).view(np.uint8)
            for axis, length in region.extents:
                weight = out.sum(axis=2 - axis, dtype=np.int32)
                total = weight.sum(axis=1)
                centre = weight @ (np.arange(length) + 0.5) / np.maximum(total, 1)
                found.append(np.where(total > 0, centre, np.nan))
        return np.stack(found, axis=1)

    def spikes(
        self, observations: np.ndarray, n_steps: int, rng: np.random.Generator, memory: np.ndarray
    ) -> np.ndarray:
        """See `Encoder.spikes`."""
        pictures = np.asarray(observations)
        self._check(pictures.shape[1:])
        if pictures.dtype != np.uint8:
            raise InputError(f"ObjectCode encodes pictures of uint8, 0 to 255, got {pictures.dtype}")
        at = self.positions(pictures)
        lengths = np.array([length for region in self.regions for _, length in region.extents])
        values = np.concatenate([2.0 * at / lengths - 1.0, np.tanh((at - memory) / self.speed)], axis=1)
        memory[...] = at
        chance = self.probability * receptive_fields(values, self.fields, self.width)
        return drawn(np.nan_to_num(chance), n_steps, rng)

    @property
    def _coordinates(self) -> int:
        return sum(len(region.extents) for region in self.regions)

    def _check(self, shape: tuple[int, ...]) -> None:
        """Raise unless pictures of a shape contain all regions."""
        if len(shape) != 2:
            raise InputError(f"ObjectCode encodes grey pictures (height, width), got shape {shape}")
        for region in self.regions:
            if region.last_row > shape[0] or region.last_column > shape[1]:
                raise InputError(f"{region!r} lies outside of pictures of {shape[0]} x {shape[1]} pixels")
