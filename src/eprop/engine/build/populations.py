"""The table of populations, and properties of all rules of a network."""

from __future__ import annotations

from typing import Any

import numpy as np

from eprop.engine.build.eligibility import Components
from eprop.engine.build.records import POPULATION, Role, Sharing
from eprop.engine.own_neuron import loop_of
from eprop.engine.ranks.partition import RankPartition
from eprop.errors import NetworkError
from eprop.models import EventSource, Neuron, PoissonSource, Readout
from eprop.network import Network, Population
from eprop.rules import EProp, EPropPlus

_ROLES: dict[type, Role] = {EventSource: Role.events, PoissonSource: Role.poisson, Readout: Role.readout}


def populations_of(network: Network, ranks: RankPartition) -> np.ndarray:
    """Make the table of populations (populations,), without the fields that depend on rules.

    Ids of neurons come first, then ids of readouts; both follow the order of populations.
    """
    table = np.zeros(len(network.populations), POPULATION)
    n_sources = n_channels = 0
    n_targets = ranks.n_neurons
    for p in network.populations:
        row = table[p.index]
        role = next((role for kind, role in _ROLES.items() if isinstance(p.model, kind)), Role.neuron)
        row["role"], row["size"] = role, ranks.n_local_sources(p)
        row["first_source"], row["channel"] = n_sources, n_channels
        row["trace_group"] = row["pair_group"] = row["voltage_row"] = row["inhibitory_row"] = -1
        row["error_latency"], row["kappa_gain"], row["dropout"] = 1, 1.0, p.dropout
        if role != Role.readout:
            n_sources += row["size"]
        if role == Role.neuron:
            first, (begin, stop) = ranks.first_target(p), ranks.own(p)
            row["first_node"] = begin
            row["target_begin"], row["target_end"] = np.clip((first + begin, first + stop), 0, ranks.n_neurons)
            row["first_target"] = row["target_begin"] - ranks.own_sources(p).start
        if isinstance(p.model, Readout):
            row["first_target"] = row["target_begin"] = n_targets
            n_targets += p.size
            row["target_end"] = n_targets
            row["softmax"] = p.model.loss.softmax
        n_channels += role == Role.events
    return table


def learning_receptor(network: Network, population: Population) -> str | None:
    """The receptor of all projections onto a population that learn by its eligibility.

    None if the population has one receptor, or no projection learns.

    Raises
    ------
    NetworkError
        If projections onto both receptors learn: a neuron has the propagators of one eligibility.
    """
    found = dict[str, str]()
    for p in network.projections:
        if p.post is population and p.receptor is not None and isinstance(p.rule, EProp | EPropPlus):
            found.setdefault(p.receptor, p.name)
    if len(found) > 1:
        both = " and ".join(f"{name} ({receptor})" for receptor, name in sorted(found.items()))
        raise NetworkError(
            f"{both} learn at both receptors of {population.name!r}; let the projections of one receptor be static or learn by "
            "STDP, or give the neurons one time constant (tau_syn_in=None)"
        )
    return next(iter(found), None)


def add_models(table: np.ndarray, neurons: list[Population], components: dict[int, Components]) -> None:
    """Write to the table of populations which row is the voltage, and the structure of the eligibility (``components``)."""
    for p in neurons:
        row, c, model = table[p.index], components[p.index], p.model
        assert isinstance(model, Neuron)
        if "v" in model.state_rows:
            row["voltage_row"] = model.state_rows.index("v")
        if model.inhibitory_row is not None:
            row["inhibitory_row"] = model.state_rows.index(model.inhibitory_row)
        row["n_components"] = c.size
        row["fed_back"] = c.spike.any()
        row["leaky"] = c.size == 1 and not c.spike.any() and bool((c.arrival == 1.0).all() and (c.output == 1.0).all())


def add_loops(table: np.ndarray, neurons: list[Population], sharing: dict[int, Sharing], dtype: np.dtype) -> None:
    """Write to the table of populations the loops over their neurons; functions of a user are compiled.

    ``sharing`` has an entry for each population with neurons of this rank, by its index.
    """
    for p in neurons:
        assert isinstance(p.model, Neuron)
        if p.index in sharing:
            row, alike = table[p.index], sharing[p.index]
            row["sharing"] = alike
            row["model"], row["own_function"] = loop_of(p.model, alike != Sharing.each, dtype)


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


def split(n: int, parts: int) -> np.ndarray:
    """Bounds of ``parts`` ranges of nearly equal size."""
    return np.linspace(0, n, parts + 1).astype(np.int64)
