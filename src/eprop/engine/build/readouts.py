"""Readouts: their constants, and classes of readouts with the same spike filter.

A spike filter belongs to an axon, so readouts of one population with different time constants need separate axons: a
projection onto them has a delay group for each class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from eprop.engine.build.records import READOUT
from eprop.models import Readout
from eprop.network import Network


@dataclass
class ReadoutClasses:
    """Readouts of one population, sorted by their spike filter.

    Attributes
    ----------
    of_readout : (size,) class of each readout
    decay, scale : (classes,) their ``alpha_o`` and ``zeta``
    """

    of_readout: np.ndarray
    decay: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, readouts: list[Readout], size: int, dt: float) -> ReadoutClasses:
        """Classes of a population's readouts; one class if all are alike."""
        pairs = np.array([(m.membrane_decay(dt), m.input_scale(dt)) for m in readouts])
        distinct, of_readout = np.unique(pairs, axis=0, return_inverse=True)
        return cls(np.broadcast_to(of_readout.ravel(), size), distinct[:, 0], distinct[:, 1])

    @property
    def filters(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each class, as for neurons: the decay (1, 1) and the increase at a spike (1,)."""
        return [(np.array([[d]]), np.array([s])) for d, s in zip(self.decay, self.scale, strict=True)]


def readout_table(
    network: Network, populations: np.ndarray, readouts: dict[int, list[Any]], classes: dict[int, ReadoutClasses]
) -> np.ndarray:
    """Constants of all readouts (readouts,), voltages relative to the leak potential.

    Parameters
    ----------
    network : Network
    populations : (populations,) POPULATION
        With trace groups filled in.
    readouts : dict
        Models of each population's readouts (one model if all are alike), by its index.
    classes : dict
    """
    populations_of_readouts = [p for p in network.populations if isinstance(p.model, Readout)]
    table = np.zeros(sum(p.size for p in populations_of_readouts), READOUT)
    first, dt = 0, network.dt
    for p in populations_of_readouts:
        part, own = table[first : first + p.size], readouts[p.index]
        alpha = np.array([m.membrane_decay(dt) for m in own])
        part["alpha"] = alpha
        part["zeta"] = [m.input_scale(dt) for m in own]
        part["drive"] = (1.0 - alpha) * [m.tau_m / m.c_m * m.i_e for m in own]
        part["y_min"] = [m.v_min - m.e_l for m in own]
        part["y_start"] = [0.0 if m.v_init is None else m.v_init - m.e_l for m in own]
        part["trace_group"] = populations["trace_group"][p.index] + classes[p.index].of_readout
        part["leak"] = [m.e_l for m in own]
        first += p.size
    return table
