"""Where a training was, as a checkpoint tells it: numbers of the right kind, or an error that names them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from eprop.errors import DataError
from eprop.parameters import is_finite_number

#: Most that may be counted, as in the state of a simulator.
MOST = 10**16


class Told:
    """Numbers by name, of a position or a part of one.

    Parameters
    ----------
    values : mapping
    part : str
        Name of the part, for messages.

    Raises
    ------
    DataError
        By each method, if what is there is of another kind, or nothing is there and no ``default`` is given.
    """

    def __init__(self, values: Any, part: str = ""):
        if not isinstance(values, Mapping):
            raise DataError(f"{part or 'the position'} must hold numbers by name, got {values!r:.80}")
        self.values, self._part = values, f"{part}." if part else ""

    def whole(self, name: str, default: int | None = None) -> int:
        """A whole number from 0 on."""
        value = self._value(name, default)
        if type(value) is not int or not 0 <= value <= MOST:
            raise self._wrong(name, "a whole number from 0 on", value)
        return value

    def real(self, name: str) -> float:
        """A finite number."""
        value = self._value(name, None)
        if not is_finite_number(value):
            raise self._wrong(name, "a finite number", value)
        return float(value)

    def known(self, name: str) -> float:
        """A finite number; NaN where nothing is there yet."""
        return math.nan if self.values.get(name) is None else self.real(name)

    def flag(self, name: str) -> bool:
        """True or false; false where nothing is there, as in older files."""
        value = self._value(name, False)
        if type(value) is not bool:
            raise self._wrong(name, "true or false", value)
        return value

    def reals(self, name: str, most: int) -> list[float]:
        """A list of at most so many finite numbers."""
        value = self._value(name, None)
        if not isinstance(value, list) or len(value) > most or not all(map(is_finite_number, value)):
            raise self._wrong(name, f"a list of at most {most} finite numbers", value)
        return [float(each) for each in value]

    def array(self, name: str, kinds: str, shape: tuple[int, ...]) -> np.ndarray:
        """An array of numbers of one of these kinds, as `numpy.dtype.kind` has them."""
        value = np.asarray(self._value(name, None))
        if value.dtype.kind not in kinds or value.shape != shape:
            raise self._wrong(name, f"an array of shape {shape}", f"type {value.dtype}, shape {value.shape}")
        return value

    def _value(self, name: str, default: Any) -> Any:
        value = self.values.get(name, default)
        if value is None:
            raise DataError(f"{self._part}{name} is missing")
        return value

    def _wrong(self, name: str, wanted: str, value: Any) -> DataError:
        return DataError(f"{self._part}{name} must be {wanted}, got {value!r:.80}")
