"""Optimisers on a matrix of weights whose columns (presynaptic neurons) are updated at their own times.

All count their steps by a clock: after ``clock`` ticks ``clock // batch_size`` steps must have been taken. In e-prop
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
    decay: float = 0.0


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
    decay: float = 0.0


@dataclass(frozen=True)
class Momentum:
    """Gradient descent with momentum (Polyak 1964), or that of Nesterov, which looks one step ahead."""

    eta: float = 1e-4
    beta: float = 0.9
    nesterov: bool = False
    w_min: float = -np.inf
    w_max: float = np.inf
    batch_size: int = 1
    decay: float = 0.0


@dataclass(frozen=True)
class RMSprop:
    """Steps in units of the gradient's running root mean square (Tieleman and Hinton 2012, lecture 6.5 of a course)."""

    eta: float = 1e-4
    beta: float = 0.9
    epsilon: float = 1e-8
    w_min: float = -np.inf
    w_max: float = np.inf
    batch_size: int = 1
    decay: float = 0.0


Optimizer = GradientDescent | Adam | Momentum | RMSprop


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
        w, keep = weights[:, column], 1.0 - self.optimizer.decay if self.optimizer.eta > 0.0 else 1.0
        for n in range(self.taken[column] + 1, due + 1):
            w = self._step(keep * w, mean, column, n)
            mean = np.zeros_like(mean)
        self.taken[column] = due
        # Clipped after all owed steps, not after each: as NEST does.
        weights[:, column] = np.clip(w, self.optimizer.w_min, self.optimizer.w_max)

    def _step(self, w: Array, g: Array, column: int, n: int) -> Array:
        """Step ``n`` of a column with gradient ``g``; returns the weights."""
        o, m, v = self.optimizer, self.m[:, column], self.v[:, column]
        if isinstance(o, Adam):
            m[:] = o.beta_1 * m + (1.0 - o.beta_1) * g
            v[:] = o.beta_2 * v + (1.0 - o.beta_2) * g**2
            return w - o.eta * np.sqrt(1.0 - o.beta_2**n) / (1.0 - o.beta_1**n) * m / (np.sqrt(v) + o.epsilon)
        if isinstance(o, Momentum):
            m[:] = o.beta * m + g
            return w - o.eta * (g + o.beta * m if o.nesterov else m)
        if isinstance(o, RMSprop):
            v[:] = o.beta * v + (1.0 - o.beta) * g**2
            return w - o.eta * g / (np.sqrt(v) + o.epsilon)
        return w - o.eta * g
