"""What acts on neurons besides synapses: Poisson background, noise and currents."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from eprop.errors import ParameterError
from eprop.parameters import Description, Floats, param, real_numbers, short

#: Largest mean number of Poisson spikes in a step.
MOST_SPIKES = 10.0

Modulation = Callable[[Floats], object]


@dataclass(frozen=True)
class Drive(Description):
    """Base of all drives. A number may be a list with a value for each neuron, or a distribution.

    ``modulation`` is a function of time: it receives the start of each step (ms, an array) and returns factors. Time is that of
    the network in `Simulator.run`, and that of the sample where samples begin at rest.
    """

    per_node = True

    def validate(self) -> None:
        """Check the modulation."""
        modulation = getattr(self, "modulation", None)
        if modulation is not None and not callable(modulation):
            raise ParameterError(f"{type(self).__name__}.modulation must be a function of time, got {modulation!r:.60}")


@dataclass(frozen=True)
class PoissonDrive(Drive):
    """Poisson background of each neuron: ``n`` spikes of one weight in each step, with the mean ``rate dt``.

    Numbers are drawn by the inverse of the distribution from 32 bits, so probabilities are exact to 2^-32. A step has at most 10
    spikes on average; instead of more, take `GaussianNoise` or fewer spikes of a larger weight.

    Examples
    --------
    >>> PoissonDrive(rate=16_000.0, weight=87.8)
    PoissonDrive(rate=16000.0, weight=87.8, modulation=None)
    """

    rate: float = param(1000.0, unit="Hz", at_least=0.0, nest="rate", doc="rate of the sum of all background spikes")
    weight: float = param(0.1, nest="weight", doc="weight of a spike, in the unit of the neuron's input")
    modulation: Modulation | None = None


@dataclass(frozen=True)
class GaussianNoise(Drive):
    """A current that is drawn anew in each step (NEST: ``noise_generator`` whose ``dt`` is the step)."""

    sd: float = param(100.0, unit="pA", at_least=0.0, nest="std", doc="standard deviation")
    mean: float = param(0.0, unit="pA", nest="mean", doc="mean")
    modulation: Modulation | None = None


@dataclass(frozen=True)
class Current(Drive):
    """A current; with a ``modulation`` such as `Pulse` or `Steps` it changes with time (NEST: ``step_current_generator``)."""

    amplitude: float = param(100.0, unit="pA", nest="amplitude", doc="current")
    modulation: Modulation | None = None


@dataclass(frozen=True)
class Pulse(Description):
    """Modulation: 1 from ``start`` to before ``stop``, otherwise 0."""

    start: float = param(0.0, unit="ms", doc="first step")
    stop: float = param(math.inf, unit="ms", infinite=True, doc="end")

    def validate(self) -> None:
        """Check the order."""
        if self.stop <= self.start:
            raise ParameterError(f"Pulse.stop must be after start, got {self.start:g} and {self.stop:g} ms")

    def __call__(self, t: Floats) -> Floats:
        """Factors of the steps that begin at ``t``, ms."""
        return np.where((t >= self.start - 1e-9) & (t < self.stop - 1e-9), 1.0, 0.0)


@dataclass(frozen=True)
class Steps(Description):
    """Modulation: ``values[k]`` from ``times[k]`` on, ms; 0 before the first time."""

    times: Sequence[float]
    values: Sequence[float]

    def validate(self) -> None:
        """Check that times ascend, and have as many values."""
        times, values = (real_numbers(f"Steps.{n}", getattr(self, n), ParameterError) for n in ("times", "values"))
        if times.ndim != 1 or times.shape != values.shape or not times.size or (np.diff(times) <= 0.0).any():
            raise ParameterError("Steps needs ascending times, and as many values")

    def __call__(self, t: Floats) -> Floats:
        """Factors of the steps that begin at ``t``, ms."""
        at = np.searchsorted(np.asarray(self.times, np.float64) - 1e-9, t, side="right")
        return np.concatenate([[0.0], np.asarray(self.values, np.float64)])[at]


def factors(drive: Drive, name: str, times: Floats) -> Floats:
    """Factors of a drive in steps that begin at these times, ms.

    Raises
    ------
    ParameterError
        If the modulation does not return a finite number for each step, or a negative factor of a rate.
    """
    modulation: Modulation | None = getattr(drive, "modulation", None)
    if modulation is None:
        return np.ones(times.size)
    found = real_numbers(f"{name}: modulation", modulation(times), ParameterError)
    if found.shape not in ((), times.shape) or not np.isfinite(found).all():
        raise ParameterError(
            f"{name}: the modulation {short(modulation)} must return {times.size} finite numbers, one for each step"
        )
    if isinstance(drive, PoissonDrive) and found.size and found.min() < 0.0:
        raise ParameterError(f"{name}: the modulation of a rate must not be negative, got {found.min():g}")
    return np.array(np.broadcast_to(found, times.shape), np.float64)
