"""Parameters and first states of neurons."""

from __future__ import annotations

from typing import Any

import numpy as np

from eprop.equations import rng
from eprop.models import Neuron
from eprop.network import Network


def neuron_arrays(network: Network, models: list[type[Neuron]], members: dict[int, list[Any]], n: int):
    """``(params, initial, leak)`` of ``n`` neurons: (parameter rows, n), (state rows, n), (n,)."""
    n_params = max((len(m.parameter_rows) for m in models), default=1)
    n_state = max((len(m.state_rows) for m in models), default=1)
    params, initial, leak = np.zeros((n_params, n)), np.zeros((n_state, n)), np.zeros(n)
    at = 0
    for p in network.populations:
        if p.model.role != "neuron":
            continue
        span, own = slice(at, at + p.size), members[p.index]
        derived = [member.derived(network.dt) for member in own]
        seed = rng.derive(network.seed, rng.PHASE, p.index)
        for row, name in enumerate(own[0].parameter_rows):
            params[row, span] = [values[name] for values in derived]
        for row, name in enumerate(own[0].state_rows):
            initial[row, span] = _initial_values(own, name, network.dt, p.size, seed)
        leak[span] = [getattr(member, "e_l", 0.0) for member in own]
        at += p.size
    return params, initial, leak


def _initial_values(members: list[Any], name: str, dt: float, size: int, seed: int) -> Any:
    """Values of one row of state at the start, for all neurons of a population."""
    if len(members) == 1:
        return members[0].initial(dt, size, seed).get(name, 0.0)
    return [np.ravel(m.initial(dt, 1, rng.derive(seed, j)).get(name, 0.0))[0] for j, m in enumerate(members)]
