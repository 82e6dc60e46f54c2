"""Gradient descent and Adam on a matrix of weights whose columns (presynaptic neurons) are updated at their own times.

Both count their steps by a clock: after ``clock`` ticks ``clock // batch_size`` steps must have been taken. In e-prop
the clock counts samples, in e-prop+ time steps. A column that was not updated for a while owes steps and takes them
at its next update: the first with the gradient that has come together, the others with none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eprop.reference.neurons import Array


@dataclass(frozen=True)
class GradientDescent:
    """``w - eta g``, then clipped to ``[w_min, w_max]``; ``batch_size`` as in the head of this module."""

    eta: float = 1e-4
    w_min: float = -np.inf
    w_max: float = np.inf
    batch_size: int = 1


@dataclass(frozen=True)
class Adam:
    """Adam with bias correction (Kingma and Ba 2015, the form at the end of their section 2)."""

    eta: float = 1e-4
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    w_min: float = -np.inf
    w_max: float = np.inf
    batch_size: int = 1


Optimizer = GradientDescent | Adam


class Descent:
    """An optimiser at work on weights of shape [n_post, n_pre]: moments, gradient so far, steps taken per column."""

    def __init__(self, optimizer: Optimizer, shape: tuple[int, int]):
        self.optimizer = optimizer
        self.m = np.zeros(shape)
        self.v = np.zeros(shape)
        self.gradient = np.zeros(shape)
        self.taken = np.zeros(shape[1], dtype=np.int64)

    def update(self, weights: Array, gradient: Array, column: int, clock: int) -> None:
        """Add ``gradient`` [n_post] to what a column has gathered, and let it take the steps it owes, in place."""
        self.gradient[:, column] += gradient
        due = clock // self.optimizer.batch_size
        if due <= self.taken[column]:
            return
        mean = self.gradient[:, column] / self.optimizer.batch_size
        self.gradient[:, column] = 0.0
        w = weights[:, column]
        w = self._adam(w, mean, column, due) if isinstance(self.optimizer, Adam) else w - self.optimizer.eta * mean
        self.taken[column] = due
        # Clipped after all owed steps, not after each: as NEST does.
        weights[:, column] = np.clip(w, self.optimizer.w_min, self.optimizer.w_max)

    def _adam(self, w: Array, g: Array, column: int, due: int) -> Array:
        o = self.optimizer
        assert isinstance(o, Adam)
        m, v = self.m[:, column], self.v[:, column]
        for n in range(self.taken[column] + 1, due + 1):
            m = o.beta_1 * m + (1.0 - o.beta_1) * g
            v = o.beta_2 * v + (1.0 - o.beta_2) * g**2
            eta = o.eta * np.sqrt(1.0 - o.beta_2**n) / (1.0 - o.beta_1**n)
            w = w - eta * m / (np.sqrt(v) + o.epsilon)
            g = np.zeros_like(g)
        self.m[:, column], self.v[:, column] = m, v
        return w
