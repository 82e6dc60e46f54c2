"""Losses that users write in Python: NumPy compares outputs with targets; the core sees these readouts without a target."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from eprop.engine.run.results import Recording
from eprop.engine.run.samples import SampleLayout, Samples
from eprop.errors import InputError
from eprop.network import Network


class OwnLosses:
    """The readouts of a network whose loss is a user's; false if there are none."""

    def __init__(self, network: Network):
        self._layout = SampleLayout.of(network)
        self._parts = [(k, p) for k, p in enumerate(self._layout.readouts) if p.loss.in_python]

    def __bool__(self) -> bool:
        return bool(self._parts)

    def without_targets(self, samples: Samples) -> Samples:
        """The same samples for the core, which has no error and no loss of these readouts."""
        if not self:
            return samples
        target = samples.target.copy()
        for _, p in self._parts:
            target[:, :, p.first : p.first + p.size] = np.nan
        return dataclasses.replace(samples, target=target)

    def compare(self, samples: Samples, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Errors (n, steps, readouts) and losses (n, steps) of outputs, times the window; 0 for all other readouts.

        Raises
        ------
        InputError
            If a user's method returns other shapes, or values that are not finite.
        """
        errors, losses = np.zeros(y.shape), np.zeros(y.shape[:2])
        for k, p in self._parts:
            columns = slice(p.first, p.first + p.size)
            target = np.broadcast_to(samples.target[:, :, columns], y[:, :, columns].shape)
            if np.isnan(target).any():
                continue  # no target, no loss
            window = samples.window[:, :, k]
            error, loss = _checked(p.loss, y[:, :, columns], target)
            errors[:, :, columns] = window[:, :, None] * error
            losses += window * loss
        return errors, losses

    def add_to(self, result: Any, samples: Samples) -> Any:
        """Add the losses to a result of samples, or of one sample step by step; return the result."""
        if not self:
            return result
        if isinstance(result, Recording):
            y = np.concatenate([result.y[p.name] for p in self._layout.readouts], axis=1)
            result.loss[...] += self.compare(samples, y[None])[1][0]
        else:
            result.loss[...] += self.compare(samples, result.y)[1].sum(axis=1)
        return result


def _checked(loss: Any, y: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Errors and losses from a user's method, in the shapes of the outputs and of their steps."""
    label = f"{type(loss).__name__}.compare"
    found = loss.compare(y, target)
    if not (isinstance(found, tuple) and len(found) == 2):
        raise InputError(f"{label} must return a pair (errors, losses), got {found!r:.60}")
    for name, values, shape in (("errors", found[0], y.shape), ("losses", found[1], y.shape[:2])):
        if np.shape(values) != shape or not np.isfinite(values).all():
            raise InputError(f"{label} must return finite {name} of shape {shape}, got shape {np.shape(values)}")
    return found
