"""Optimisers at work on the weights of a projection, each synapse at its own times.

Steps are counted by a clock: of mini-batches in e-prop, of time steps in e-prop+. A synapse that was not updated for a while owes
steps and takes them at its next update: the first with the gradient since then, the others with none.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from eprop import rules
from eprop.reference.neurons import Array

Integers = npt.NDArray[np.int64]


class Descent:
    """An optimiser at work.

    Parameters
    ----------
    optimizer : Optimizer
    signs : (size,) int
        1 and -1 of weights that keep their sign, 0 of others.
    rounding : callable, optional
        Rounds weights of few bits after each update.

    Attributes
    ----------
    m, v, gradient : (size,)
        Running means of the gradient and of its square, gradient that waits for a step.
    taken : (size,) int
        Steps taken.
    """

    def __init__(
        self, optimizer: rules.Optimizer, signs: npt.NDArray[np.integer], rounding: Callable[..., Array] | None = None
    ):
        self.optimizer, self.rounding = optimizer, rounding
        self.low = np.where(signs > 0, max(optimizer.w_min, 0.0), optimizer.w_min)
        self.high = np.where(signs < 0, min(optimizer.w_max, 0.0), optimizer.w_max)
        self.m, self.v, self.gradient = np.zeros((3, signs.size))
        self.taken = np.zeros(signs.size, np.int64)

    def update(self, weights: Array, gradient: Array, synapses: Integers, clock: int, factor: float = 1.0) -> None:
        """Let some synapses take all steps up to ``clock``, in place; ``factor`` is that of the learning rate."""
        self.gradient[synapses] += gradient
        late = synapses[self.taken[synapses] < clock]
        if len(late):
            self._catch_up(weights, late, clock, factor)

    def _catch_up(self, weights: Array, synapses: Integers, due: int, factor: float) -> None:
        """Synapses take the steps that each owes up to ``due``; all but the first have no gradient."""
        o, eta = self.optimizer, factor * self.optimizer.eta
        keep = 1.0 - o.decay if eta > 0.0 else 1.0
        synapses = synapses[np.argsort(self.taken[synapses])]
        taken, w, gradient = self.taken[synapses], weights[synapses], self.gradient[synapses]
        m, v = self.m[synapses], self.v[synapses]
        steps = np.arange(taken[0] + 1, due + 1)
        if isinstance(o, rules.GradientDescent) and not o.in_python and keep == 1.0:
            steps = np.unique(taken) + 1  # the others change nothing
        for n, end in zip(steps.tolist(), np.searchsorted(taken, steps), strict=True):  # the first ones owe step n
            w[:end], m[:end], v[:end] = self._step(keep * w[:end], gradient[:end], m[:end], v[:end], n, eta)
            gradient[:end] = 0.0
        self.m[synapses], self.v[synapses] = m, v
        self.gradient[synapses], self.taken[synapses] = 0.0, due
        # Clipped after all owed steps, not after each: as NEST does.
        weights[synapses] = np.clip(w, self.low[synapses], self.high[synapses])
        if self.rounding is not None:
            weights[synapses] = self.rounding(weights[synapses], synapses, due)

    def _step(self, w: Array, g: Array, m: Array, v: Array, n: int, eta: float) -> tuple[Array, Array, Array]:
        """Step ``n`` with the gradient ``g``; returns the weights and both running means."""
        match None if self.optimizer.in_python else self.optimizer:  # a derived class may have a step of its own
            case rules.GradientDescent():
                return w - eta * g, m, v
            case rules.Momentum(beta=beta, nesterov=nesterov):
                m = beta * m + g
                return w - eta * (g + beta * m if nesterov else m), m, v
            case rules.RMSprop(beta=beta, epsilon=epsilon):
                v = beta * v + (1.0 - beta) * g**2
                return w - eta * g / (np.sqrt(v) + epsilon), m, v
            case rules.Adam(beta_1=beta_1, beta_2=beta_2, epsilon=epsilon):
                # Kingma and Ba 2015, the form at the end of their section 2.
                m = beta_1 * m + (1.0 - beta_1) * g
                v = beta_2 * v + (1.0 - beta_2) * g**2
                rate = eta * np.sqrt(1.0 - beta_2**n) / (1.0 - beta_1**n)
                return w - rate * m / (np.sqrt(v) + epsilon), m, v
        # A user-defined one, which changes its moments in place.
        kept = tuple(part for part, keep in zip((m, v), self.optimizer.moments, strict=True) if keep)
        return np.asarray(self.optimizer.replace(eta=eta).step(w, g, kept, n)), m, v
