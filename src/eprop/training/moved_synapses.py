"""Synapses that move in a training: its metrics and its summary."""

from __future__ import annotations

from eprop.engine import Moved, Simulator
from eprop.files import JsonObject
from eprop.rules import EProp


def rewired(simulator: Simulator) -> bool:
    """Whether synapses of a network move."""
    return any(p.rewiring is not None for p in simulator.network.projections)


def learns_by_batch(simulator: Simulator) -> bool:
    """Whether a network learns by mini-batch; else at each spike."""
    return any(isinstance(p.rule, EProp) for p in simulator.network.projections)


def moves(simulator: Simulator) -> dict[str, Moved]:
    """How the synapses of each projection have moved that can move."""
    if not rewired(simulator):
        return {}
    return {p.name: simulator.moved(p) for p in simulator.network.projections if p.rewiring is not None}


def summary_of_moves(simulator: Simulator) -> JsonObject:
    """Moved synapses of each projection, their share of all, and the mean age of synapses in mini-batches, or ms of learning."""
    found: JsonObject = {
        name: {"moved": m.total, "turnover": m.turnover, "mean_age": float(m.ages.mean()) if m.ages.size else 0.0}
        for name, m in moves(simulator).items()
    }
    return {"rewiring": found} if found else {}
