"""Optimisers on a matrix of weights whose columns (presynaptic neurons) are updated at their own times.

All count their steps by a clock: after ``clock`` ticks ``clock // batch_size`` steps must have been taken. In e-prop
the clock counts samples, in e-prop+ time steps. A column that was not updated for a while owes steps and takes them
at its next update: the first with the gradient that has come together, the others with none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eprop.reference.neurons import Array

Integers = npt.NDArray[np.int64]


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

    def update(self, weights: Array, gradient: Array, columns: npt.ArrayLike, clock: int) -> None:
        """Add a gradient [n_post, columns] to what columns have gathered, and let them take the steps they owe, in place."""
        columns = np.atleast_1d(columns)
        self.gradient[:, columns] += gradient.reshape(len(weights), columns.size)
        due = clock // self.optimizer.batch_size
        late = columns[self.taken[columns] < due]
        for taken in np.unique(self.taken[late]).tolist():
            self._catch_up(weights, late[self.taken[late] == taken], taken, due)

    def _catch_up(self, weights: Array, columns: Integers, taken: int, due: int) -> None:
        """Columns that have taken as many steps take those up to ``due``; all but the first have no gradient."""
        mean = self.gradient[:, columns] / self.optimizer.batch_size
        self.gradient[:, columns] = 0.0
        w, keep = weights[:, columns], 1.0 - self.optimizer.decay if self.optimizer.eta > 0.0 else 1.0
        for n in range(taken + 1, due + 1):
            w = self._step(keep * w, mean, columns, n)
            mean = np.zeros_like(mean)
        self.taken[columns] = due
        # Clipped after all owed steps, not after each: as NEST does.
        weights[:, columns] = np.clip(w, self.optimizer.w_min, self.optimizer.w_max)

    def _step(self, w: Array, g: Array, columns: Integers, n: int) -> Array:
        """Step ``n`` of some columns with gradient ``g``; returns the weights."""
        o = self.optimizer
        if isinstance(o, Adam):
            self.m[:, columns] = m = o.beta_1 * self.m[:, columns] + (1.0 - o.beta_1) * g
            self.v[:, columns] = v = o.beta_2 * self.v[:, columns] + (1.0 - o.beta_2) * g**2
            return w - o.eta * np.sqrt(1.0 - o.beta_2**n) / (1.0 - o.beta_1**n) * m / (np.sqrt(v) + o.epsilon)
        if isinstance(o, Momentum):
            self.m[:, columns] = m = o.beta * self.m[:, columns] + g
            return w - o.eta * (g + o.beta * m if o.nesterov else m)
        if isinstance(o, RMSprop):
            self.v[:, columns] = v = o.beta * self.v[:, columns] + (1.0 - o.beta) * g**2
            return w - o.eta * g / (np.sqrt(v) + o.epsilon)
        return w - o.eta * g
