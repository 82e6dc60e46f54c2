"""Optimisers at work on the weights of a projection, each synapse at its own times.

Steps are counted by a clock: of mini-batches in e-prop, of time steps in e-prop+. A synapse that was not updated for a while owes
steps and takes them at its next update: the first with the gradient since then, the others with none.
"""

from __future__ import annotations

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
    size : int
        Number of weights.

    Attributes
    ----------
    m, v, gradient : (size,)
        Running means of the gradient and of its square, gradient that waits for a step.
    taken : (size,) int
        Steps taken.
    """

    def __init__(self, optimizer: rules.Optimizer, size: int):
        self.optimizer = optimizer
        self.m, self.v, self.gradient = np.zeros((3, size))
        self.taken = np.zeros(size, np.int64)

    def update(self, weights: Array, gradient: Array, synapses: Integers, clock: int, factor: float = 1.0) -> None:
        """Let some synapses take all steps up to ``clock``, in place; ``factor`` is that of the learning rate."""
        self.gradient[synapses] += gradient
        late = synapses[self.taken[synapses] < clock]
        for taken in np.unique(self.taken[late]).tolist():
            self._catch_up(weights, late[self.taken[late] == taken], taken, clock, factor)

    def _catch_up(self, weights: Array, synapses: Integers, taken: int, due: int, factor: float) -> None:
        """Synapses that have taken as many steps take those up to ``due``; all but the first have no gradient."""
        o, eta = self.optimizer, factor * self.optimizer.eta
        w, g = weights[synapses], self.gradient[synapses].copy()
        for n in range(taken + 1, due + 1):
            w = self._step((1.0 - o.decay if eta > 0.0 else 1.0) * w, g, synapses, n, eta)
            g = np.zeros_like(g)
        self.gradient[synapses], self.taken[synapses] = 0.0, due
        # Clipped after all owed steps, not after each: as NEST does.
        weights[synapses] = np.clip(w, o.w_min, o.w_max)

    def _step(self, w: Array, g: Array, synapses: Integers, n: int, eta: float) -> Array:
        """Step ``n`` with the gradient ``g``; returns the weights."""
        match None if self.optimizer.in_python else self.optimizer:  # a derived class may have a step of its own
            case rules.GradientDescent():
                return w - eta * g
            case rules.Momentum(beta=beta, nesterov=nesterov):
                self.m[synapses] = m = beta * self.m[synapses] + g
                return w - eta * (g + beta * m if nesterov else m)
            case rules.RMSprop(beta=beta, epsilon=epsilon):
                self.v[synapses] = v = beta * self.v[synapses] + (1.0 - beta) * g**2
                return w - eta * g / (np.sqrt(v) + epsilon)
            case rules.Adam(beta_1=beta_1, beta_2=beta_2, epsilon=epsilon):
                # Kingma and Ba 2015, the form at the end of their section 2.
                self.m[synapses] = m = beta_1 * self.m[synapses] + (1.0 - beta_1) * g
                self.v[synapses] = v = beta_2 * self.v[synapses] + (1.0 - beta_2) * g**2
                rate = eta * np.sqrt(1.0 - beta_2**n) / (1.0 - beta_1**n)
                return w - rate * m / (np.sqrt(v) + epsilon)
        # A user-defined one.
        kept = [part for part, keep in zip((self.m, self.v), self.optimizer.moments, strict=True) if keep]
        moments = tuple(part[synapses] for part in kept)
        w = np.asarray(self.optimizer.replace(eta=eta).step(w, g, moments, n))
        for part, values in zip(kept, moments, strict=True):
            part[synapses] = values
        return w
