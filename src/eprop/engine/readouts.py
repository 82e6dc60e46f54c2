"""Build readouts: their constants, and classes of those that filter spikes alike.

What filters spikes belongs to an axon, so that readouts of one population whose time constants differ need axons of
their own: a projection onto them has a tract for each class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from eprop.kernels import layout as lay
from eprop.models import Readout
from eprop.network import Network


@dataclass
class ReadoutClasses:
    """Readouts of one population, sorted by what they do to spikes.

    Attributes
    ----------
    of_readout : (size,) class of each readout
    decay, scale : (classes,) their ``alpha_o`` and ``zeta``
    """

    of_readout: np.ndarray
    decay: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, members: list[Readout], size: int, dt: float) -> ReadoutClasses:
        """The classes of a population's members (one, if all are alike)."""
        pairs = np.array([(m.membrane_decay(dt), m.input_scale(dt)) for m in members])
        distinct, of_readout = np.unique(pairs, axis=0, return_inverse=True)
        return cls(np.broadcast_to(of_readout.ravel(), size), distinct[:, 0], distinct[:, 1])

    @property
    def filters(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of each class, as of neurons: the decay (1, 1) and what a spike adds (1,)."""
        return [(np.array([[d]]), np.array([s])) for d, s in zip(self.decay, self.scale, strict=True)]


def readout_arrays(
    network: Network, populations: np.ndarray, members: dict[int, list[Any]], classes: dict[int, ReadoutClasses]
) -> tuple[np.ndarray, np.ndarray]:
    """Table of all readouts (READ_ROWS, readouts), and which populations have a softmax."""
    readouts = [p for p in network.populations if isinstance(p.model, Readout)]
    table = np.zeros((lay.READ_ROWS, sum(p.size for p in readouts)))
    softmax = np.zeros(len(network.populations), np.bool_)
    at = 0
    for p in readouts:
        part, own, dt = table[:, at : at + p.size], members[p.index], network.dt
        model: Any = p.model
        alpha = np.array([m.membrane_decay(dt) for m in own])
        part[lay.READ_ALPHA] = alpha
        part[lay.READ_ZETA] = [m.input_scale(dt) for m in own]
        part[lay.READ_DRIVE] = (1.0 - alpha) * [m.tau_m / m.c_m * m.i_e for m in own]
        part[lay.READ_MIN] = [m.v_min - m.e_l for m in own]
        part[lay.READ_START] = [0.0 if m.v_init is None else m.v_init - m.e_l for m in own]
        part[lay.READ_GROUP] = populations[p.index, lay.POP_GROUP] + classes[p.index].of_readout
        part[lay.READ_LEAK] = [m.e_l for m in own]
        softmax[p.index] = model.loss.softmax
        at += p.size
    return table, softmax
