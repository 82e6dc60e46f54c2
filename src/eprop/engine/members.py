"""Neurons of one population with parameters of their own: one model for each, with plain numbers."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from eprop.equations import rng
from eprop.errors import NetworkError, ParameterError
from eprop.network import Distribution, Network, Population
from eprop.parameters import Description, Values, varies


def members_of(network: Network, population: Population) -> list[Any]:
    """The model of each neuron or readout, or a list of the one model if they are all alike.

    A drawn parameter depends on (the network's seed, population, parameter, neuron) only.

    Raises
    ------
    NetworkError
        If a drawn value breaks a bound of its parameter, or values do not fit together.
    """
    if not varies(population.model):
        return [population.model]
    seed = rng.derive(network.seed, rng.PARAMETER, population.index)
    columns = _columns(population.model, population.size, seed)
    found = []
    for j in range(population.size):
        try:
            found.append(_member(population.model, columns, j))
        except ParameterError as error:
            raise NetworkError(f"{population.name}, {population.model.role} {j}: {error}") from None
    return found


def parameters_of_members(network: Network, population: Population) -> dict[str, np.ndarray]:
    """Values of all parameters that are numbers, ``(size,)`` each; those of a part are called ``part.parameter``."""
    members = members_of(network, population)
    columns = [_numbers_of(member) for member in members]
    found = {name: np.array([numbers[name] for numbers in columns], np.float64) for name in columns[0]}
    return {name: np.broadcast_to(values, population.size).copy() for name, values in found.items()}


def _numbers_of(description: Description) -> dict[str, float]:
    out: dict[str, float] = {}
    for field in dataclasses.fields(description):
        value = getattr(description, field.name)
        if isinstance(value, Description):
            out |= {f"{field.name}.{name}": number for name, number in _numbers_of(value).items()}
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            out[field.name] = float(value)
    return out


def _columns(description: Description, size: int, seed: int) -> dict[str, Any]:
    """Values of the parameters that vary, each ``(size,)``; nested descriptions give a nested dictionary."""
    out: dict[str, Any] = {}
    for k, field in enumerate(dataclasses.fields(description)):
        value = getattr(description, field.name)
        own = rng.derive(seed, k)
        if isinstance(value, Values):
            out[field.name] = np.array(value.values)
        elif isinstance(value, Distribution):
            each = np.arange(size + 1)
            out[field.name] = value.drawn(field.name, 0, size, each, (1.0, 1.0), rng.derive(own, rng.WEIGHT))
        elif isinstance(value, Description) and varies(value):
            out[field.name] = _columns(value, size, own)
    return out


def _member(description: Any, columns: dict[str, Any], j: int) -> Any:
    changes = {}
    for name, column in columns.items():
        nested = isinstance(column, dict)
        changes[name] = _member(getattr(description, name), column, j) if nested else float(column[j])
    return description.replace(**changes)
