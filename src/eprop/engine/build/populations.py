"""The table of populations, which is assembled from columns that follow from models and rules."""

from __future__ import annotations

from typing import Any

import numpy as np

from eprop.engine.build.built import Sizes
from eprop.engine.build.feedback import eprop_columns
from eprop.engine.build.neurons import Nodes, row_of
from eprop.engine.build.records import POPULATION, Role, Sharing
from eprop.engine.own_neuron import loop_of
from eprop.engine.ranks.partition import RankPartition
from eprop.errors import NetworkError
from eprop.models import EventSource, Neuron, PoissonSource, Readout
from eprop.network import Network
from eprop.rules import PairRule

#: Fields of the table by name, with a value for each population.
Columns = dict[str, Any]

_ROLES: dict[type, Role] = {
    EventSource: Role.events, PoissonSource: Role.poisson, Readout: Role.readout, Neuron: Role.neuron,
}  # fmt: skip


def population_table(sizes: Sizes, nodes: Nodes, sharing: dict[int, Sharing]) -> np.ndarray:
    """The table of populations (populations,) POPULATION.

    ``sharing`` has an entry for each population with neurons of this rank, by its index.
    """
    groups = sizes.trace_groups
    columns = places_of(nodes.network, nodes.ranks) | models_of(nodes) | loops_of(nodes, sharing, sizes.dtype)
    columns |= {"trace_group": groups.of_populations, "kind": groups.kind_of, "pair_group": pair_groups_of(sizes)}
    columns |= eprop_columns(nodes, sizes)
    table = np.zeros(len(nodes.network.populations), POPULATION)
    for name in POPULATION.names or ():
        table[name] = columns[name]
    return table


def places_of(network: Network, ranks: RankPartition) -> Columns:
    """Roles, sizes and ids. Ids of neurons come first, then those of readouts; both follow the order of populations."""
    every = network.populations
    role = np.array([next(role for kind, role in _ROLES.items() if isinstance(p.model, kind)) for p in every])
    size, targets = np.array([ranks.n_local_sources(p) for p in every]), [ranks.targets(p) for p in every]
    spiking = np.where(role == Role.readout, 0, size)
    return {
        "role": role,
        "size": size,
        "first_node": [ranks.own(p)[0] for p in every],
        "first_source": np.cumsum(spiking) - spiking,
        "first_target": [own.start - ranks.own_sources(p).start for p, own in zip(every, targets, strict=True)],
        "target_begin": [own.start for own in targets],
        "target_end": [own.stop for own in targets],
        "channel": np.cumsum(role == Role.events) - (role == Role.events),
    }


def models_of(nodes: Nodes) -> Columns:
    """What the models say of rows of the state, eligibility, loss and dropout."""
    every = nodes.network.populations
    components = [nodes.components.get(p.index) for p in every]
    return {
        "voltage_row": [row_of(p.model, "v") for p in every],
        "inhibitory_row": [row_of(p.model, getattr(p.model, "inhibitory_row", None)) for p in every],
        "n_components": [c.size if c else 0 for c in components],
        "fed_back": [c is not None and c.fed_back for c in components],
        "leaky": [c is not None and c.leaky for c in components],
        "softmax": [isinstance(p.model, Readout) and p.model.loss.softmax for p in every],
        "dropout": [p.dropout for p in every],
    }


def loops_of(nodes: Nodes, sharing: dict[int, Sharing], dtype: np.dtype) -> Columns:
    """The loops over neurons; functions of a user are compiled."""
    every = nodes.network.populations
    loops = {k: loop_of(every[k].model, alike != Sharing.each, dtype) for k, alike in sharing.items()}  # type: ignore[arg-type]
    model, function = zip(*(loops.get(p.index, (0, 0)) for p in every), strict=True)
    return {"sharing": [sharing.get(p.index, 0) for p in every], "model": model, "own_function": function}


def pair_groups_of(sizes: Sizes) -> np.ndarray:
    """A delay group of a pair rule onto each population, or -1, (populations,)."""
    out = np.full(len(sizes.network.populations), -1)
    for p, rows in zip(sizes.network.projections, sizes.delay_groups, strict=True):
        if isinstance(p.rule, PairRule):
            out[p.post.index] = max(out[p.post.index], rows[-1])
    return out


def poisson_rates(network: Network, populations: np.ndarray, neurons: dict[int, list[Any]]) -> np.ndarray:
    """Spikes per step of each source up to the last Poisson source; 0 for all other sources.

    Raises
    ------
    NetworkError
        If a rate exceeds one spike per step.
    """
    poisson = [p for p in network.populations if isinstance(p.model, PoissonSource)]
    first_of = populations["first_source"]
    rates = np.zeros(max((first_of[p.index] + p.size for p in poisson), default=0))
    for p in poisson:
        first = first_of[p.index]
        own = np.array([m.rate for m in neurons[p.index]])
        if own.max() * network.dt > 1000.0:
            raise NetworkError(
                f"{p.name}: a Poisson rate of {own.max():g} Hz is more than one spike per step of {network.dt:g} ms; "
                "for the background of each neuron take Network.stimulate with a PoissonDrive, which has no such limit"
            )
        rates[first : first + p.size] = own * network.dt / 1000.0
    return rates
