"""Parameters and first states of neurons."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from eprop.engine.own_code import is_own
from eprop.engine.share import RankShare
from eprop.equations import rng
from eprop.kernels.layout import SAME, SHORT
from eprop.models import Neuron
from eprop.network import Network


def neuron_arrays(network: Network, models: list[type[Neuron]], members: dict[int, list[Any]], share: RankShare):
    """``(params, initial, leak)`` of a rank's ``n`` neurons: (parameter rows + 1, n), (state rows, n), (n,).

    In the last row of ``params`` stands what can be said of all neurons of the population, see ``EACH`` of `kernels.layout`.
    """
    n = share.neurons
    n_params = max((len(m.parameter_rows) for m in models), default=1)
    n_state = max((len(m.state_rows) for m in models), default=1)
    params, initial, leak = np.zeros((n_params + 1, n)), np.zeros((n_state, n)), np.zeros(n)
    at = 0
    for p in network.populations:
        if p.model.role != "neuron":
            continue
        lo, hi = share.own(p)
        if lo == hi:
            continue
        span, own = slice(at, at + hi - lo), own_members(members[p.index], lo, hi)
        derived = [member.derived(network.dt) for member in own]
        seed = rng.derive(network.seed, rng.PHASE, p.index)
        for row, name in enumerate(own[0].parameter_rows):
            params[row, span] = [values[name] for values in derived]
        for row, name in enumerate(own[0].state_rows):
            initial[row, span] = _initial_values(own, name, network.dt, range(lo, hi), seed)
        if (params[:, span] == params[:, span.start, None]).all() and _same_eligibility(own, network.dt):
            params[-1, span] = SHORT if _takes_shortcut(own[0], params[:, span]) else SAME
        leak[span] = [getattr(member, "e_l", 0.0) for member in own]
        at += hi - lo
    return params, initial, leak


def _same_eligibility(members: list[Any], dt: float) -> bool:
    """Whether all learn with the same constants, which may come from parameters that `update` does not read."""
    found = [[np.asarray(part).tolist() for part in dataclasses.astuple(m.eligibility(dt))] for m in members]
    return all(each == found[0] for each in found)


def _takes_shortcut(model: Neuron, params: np.ndarray) -> bool:
    """Whether all is zero that must be for the shortcut of a model of the package, if it has one."""
    if model.shortcut is None or is_own(type(model)):
        return False
    return not params[[model.parameter_rows.index(name) for name in model.shortcut.parameters]].any()


def own_members(members: list[Any], lo: int, hi: int) -> list[Any]:
    """Models of neurons ``lo:hi`` of a population: one for each, or one for all."""
    return members if len(members) == 1 else members[lo:hi]


def _initial_values(members: list[Any], name: str, dt: float, nodes: range, seed: int) -> Any:
    """Values of one row of state at the start, for some neurons of a population."""
    if len(members) == 1:
        return members[0].initial(dt, nodes, seed).get(name, 0.0)
    one = range(1)
    return [
        np.ravel(m.initial(dt, one, rng.derive(seed, j)).get(name, 0.0))[0] for j, m in zip(nodes, members, strict=True)
    ]
