"""Spikes to and from SONATA, a file format of large published models (Dai et al. 2020).

::

    from eprop.interop.sonata import spikes_from_sonata, spikes_to_sonata

    spikes_to_sonata(sim.run(1000.0, {"in": events}, spikes=["rec"]), "spikes.h5")
    times, nodes = spikes_from_sonata("spikes.h5")["rec"]

``Simulator.run(..., spikes_to="spikes.h5")`` writes the same files while a network runs. Needs no extra.
(doi:10.1371/journal.pcbi.1007696)
"""

from __future__ import annotations

import os
import pathlib

import numpy as np

from eprop.engine import Recording
from eprop.errors import DataError, InputError
from eprop.files.hdf5 import Array, Group, read_hdf5
from eprop.files.spike_file import add_spikes, written
from eprop.parameters import brief, is_finite_number

#: Units of times, in ms.
UNITS = {"ms": 1.0, "s": 1000.0, "us": 0.001}


def spikes_to_sonata(recording: Recording, path: str | pathlib.Path) -> None:
    """Write the spikes of a recording in the order of time, each with the time (ms) of the end of its step.

    Raises
    ------
    InputError
        If no spikes were recorded.
    OutputError
        If the file cannot be written.
    """
    if not getattr(recording, "spikes", None):
        raise InputError('spikes_to_sonata takes a Recording with spikes: Simulator.run(..., spikes=["rec"])')
    with written(path) as file:
        for name, (times, ids) in recording.spikes.items():
            add_spikes(file, name, times, ids)


def spikes_from_sonata(
    path: str | pathlib.Path, *, recorded_dt: float | None = None, memory: int | None = None
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Read spikes by population: times (ms) and nodes, in the form that `Simulator.run` takes for sources.

    Parameters
    ----------
    path : path
    recorded_dt : float, optional
        Time step of the recording (ms), if times are the ends of steps, as `spikes_to_sonata` and NEST write them. Times are
        then moved to the middle of the step, so that a run has the spikes in the steps in which they were recorded. The
        default returns the times unchanged.
    memory : int, optional
        Bytes allowed for the spikes. The default is three quarters of the free memory.

    Returns
    -------
    dict of (times, nodes)
        By the name of the population: ndarrays of equal length, float64 in ms and int64; nodes are counted from 0.

    Raises
    ------
    DataError
        If the file is not a spike file, its times are not finite or have an unknown unit, or numbers of nodes and times differ.
    """
    if recorded_dt is not None and not (is_finite_number(recorded_dt) and recorded_dt > 0.0):
        raise InputError(f"spikes_from_sonata: recorded_dt must be a number of ms above 0, got {brief(recorded_dt)}")
    late = 0.0 if recorded_dt is None else 0.5 * recorded_dt
    spikes = _read_spikes(path, memory)
    if spikes.get("timestamps") is not None:
        raise DataError(
            f"{path}: holds spikes without the name of their population, as in an older layout of the format"
        )
    found = {}
    for name, group in spikes.members.items():
        place = f"{path}: spikes/{name}"
        if not isinstance(group, Group):
            raise DataError(f"{place} must be a group, the population of that name")
        times, nodes = _times_of(group, place), _nodes_of(group, place)
        if nodes.size != times.size:
            raise DataError(f"{place}/node_ids has {nodes.size:,} entries, but the other lists have {times.size:,}")
        found[name] = times - late, nodes
    return found


def _read_spikes(path: str | pathlib.Path, memory: int | None) -> Group:
    """Read the group of all populations; its arrays may take ``memory`` bytes."""
    if not os.path.lexists(path):
        raise DataError(f"{path}: the file does not exist")
    file = read_hdf5(path, ("timestamps", "node_ids"), memory=memory, what="is not a SONATA file with spikes")
    spikes = file.get("spikes")
    if not isinstance(spikes, Group):
        raise DataError(f"{path}: is not a SONATA file with spikes: the group is missing")
    return spikes


def _list_of(group: Group, name: str, place: str) -> Array:
    """One-dimensional array of a population."""
    node = group.get(name)
    if node is None:
        raise DataError(f"{place}/{name} is missing: it is not a SONATA file with spikes")
    if not isinstance(node, Array) or node.values is None or node.values.ndim != 1:
        kind = "a group" if isinstance(node, Group) else f"of type {node.dtype} and shape {node.shape}"
        raise DataError(f"{place}/{name} must be a list of numbers, but is {kind}")
    return node


def _times_of(group: Group, place: str) -> np.ndarray:
    """Times of spikes (ms), as float64."""
    node = _list_of(group, "timestamps", place)
    unit = _unit_of(node, place)
    values = np.asarray(node.values)
    times = values.astype(np.float64)
    with np.errstate(invalid="ignore"):  # a double may round a whole number beyond the range of its type
        lost = values.dtype.kind in "iu" and (times.astype(values.dtype) != values).any()
    if lost or np.isinf(times).any():
        raise DataError(f"{place}/timestamps holds a number that a double cannot hold")
    if (wrong := np.flatnonzero(np.isnan(times))).size:
        raise DataError(f"{place}/timestamps: time {wrong[0]} is not a number")
    return UNITS[unit] * times


def _unit_of(node: Array, place: str) -> str:
    """Unit of times; the default is ms."""
    unit = node.attrs.get("units", "ms")
    if isinstance(unit, list) and len(unit) == 1:
        unit = unit[0]
    if not isinstance(unit, str) or unit not in UNITS:
        raise DataError(f"{place}/timestamps: times are in {unit!r:.80}; supported are {', '.join(UNITS)}")
    return unit


def _nodes_of(group: Group, place: str) -> np.ndarray:
    """Nodes of spikes, counted from 0, as int64."""
    values = np.asarray(_list_of(group, "node_ids", place).values)
    if values.dtype.kind not in "iu":
        raise DataError(f"{place}/node_ids must be whole numbers, but is of type {values.dtype}")
    if (wrong := np.flatnonzero((values < 0) | (values > np.iinfo(np.int64).max))).size:
        raise DataError(f"{place}/node_ids must be whole numbers from 0 on, got {values[wrong[0]]} at {wrong[0]}")
    return values.astype(np.int64)
