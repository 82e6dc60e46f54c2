"""The tables of drives of a network, and their factors in time."""

from __future__ import annotations

import numpy as np

from eprop import random
from eprop.core import lib
from eprop.engine.build.neurons import Nodes, row_of, values_of
from eprop.engine.build.records import DRIVE
from eprop.errors import InputError, NetworkError
from eprop.models import Neuron
from eprop.models.base import EXCITATORY, INHIBITORY
from eprop.network import Current, GaussianNoise, Network, PoissonDrive, Stimulation
from eprop.network.drives import MOST_SPIKES, factors
from eprop.parameters import Floats

_KINDS = {PoissonDrive: lib.DriveKind.poisson, GaussianNoise: lib.DriveKind.noise, Current: lib.DriveKind.current}


def drive_tables(nodes: Nodes) -> dict[str, np.ndarray]:
    """``drives`` (own drives,) DRIVE and ``drive_values`` (3, driven neurons), see `Topology`.

    Raises
    ------
    NetworkError
        If a rate is too high, the neurons of a stimulation take no current, or its weights belong to two receptors.
    """
    rows, columns, begin = [], [np.empty((lib.drive_rows, 0))], 0
    for stimulation in nodes.network.stimulations:
        p = stimulation.population
        first, stop = nodes.ranks.own(p)
        values, row = values_of_drive(nodes.network, stimulation, nodes.models[p.index])
        receptor = receptor_of_drive(stimulation, values[1]) == INHIBITORY
        if first == stop:
            continue
        own = values[:, first:stop]
        target = nodes.ranks.targets(p).start
        kind, same = _KINDS[type(stimulation.drive)], (own == own[:, :1]).all(axis=1)
        rows.append((kind, target, target + stop - first, first, stimulation.index, row, receptor, *same[:2], begin))
        columns.append(own)
        begin += stop - first
    return {"drives": np.array(rows, DRIVE), "drive_values": np.ascontiguousarray(np.hstack(columns))}


def values_of_drive(network: Network, stimulation: Stimulation, models: list[Neuron]) -> tuple[Floats, int]:
    """Values of all neurons of a stimulation (3, size), and the row of the state that takes its current, or -1.

    For `PoissonDrive`: spikes per step and weight. Otherwise mean and noise in units of the input, and what is left after a step.
    """
    drive, p, dt = stimulation.drive, stimulation.population, network.dt
    given = _given(network, stimulation)
    values = np.zeros((lib.drive_rows, p.size))
    if isinstance(drive, PoissonDrive):
        values[0], values[1] = given["rate"] * dt * 1e-3, given["weight"]
        _check_rate(stimulation, float(values[0].max()), dt)
        return values, -1
    found = current_gains(models, p.size, dt)
    if found is None:
        raise NetworkError(
            f"{stimulation.name}: {type(p.model).__name__} takes no current; give it a method current_gain, or take a "
            "PoissonDrive"
        )
    gain, rest = found
    mean = given["mean"] if isinstance(drive, GaussianNoise) else given["amplitude"]
    values[0], values[1], values[2] = mean * gain, given.get("sd", np.zeros(p.size)) * gain, rest
    return values, row_of(models[0], "current")


def current_gains(models: list[Neuron], size: int, dt: float) -> tuple[Floats, Floats] | None:
    """`Neuron.current_gain` of each neuron (size,): input for 1 pA, and what remains of it after a step; None without."""
    gains = [gain for model in models if (gain := model.current_gain(dt)) is not None]
    if len(gains) < len(models):
        return None
    gain, rest = np.broadcast_to(np.array(gains, np.float64), (size, 2)).T
    return gain, rest


def receptor_of_drive(stimulation: Stimulation, weights: Floats) -> str | None:
    """The receptor of background spikes by the sign of their weights (size,).

    None onto neurons with one receptor, and for currents.

    Raises
    ------
    NetworkError
        If the weights have both signs.
    """
    model = stimulation.population.model
    if not isinstance(stimulation.drive, PoissonDrive) or not isinstance(model, Neuron) or model.inhibitory_row is None:
        return None
    low, high = float(np.min(weights)), float(np.max(weights))
    if low < 0.0 < high:
        raise NetworkError(
            f"{stimulation.name}: weights of both signs, {low:g}..{high:g} {model.input_unit}, but one drive "
            f"acts on one receptor of {stimulation.population.name!r}; make a drive for each sign, with a rate of 0 where the "
            "other one acts"
        )
    return INHIBITORY if low < 0.0 else EXCITATORY


def _given(network: Network, s: Stimulation) -> dict[str, np.ndarray]:
    """Parameters of a drive for each neuron, (size,) each."""
    return values_of(s.drive, s.population.size, random.derive(network.seed, random.STIMULUS, s.index), s.name)


def drive_factors(network: Network, n_steps: int, first_step: int = 0) -> Floats:
    """Factors of all stimulations in some steps, (n_steps, stimulations); (0, stimulations) if none changes with time.

    Raises
    ------
    ParameterError
        If a modulation returns something else than a finite number for each step.
    NetworkError
        If a rate becomes too high.
    """
    stimulations = network.stimulations
    if all(getattr(s.drive, "modulation", None) is None for s in stimulations):
        return np.empty((0, len(stimulations)))
    times: Floats = (first_step + np.arange(n_steps)) * np.float64(network.dt)
    found = np.stack([factors(s.drive, s.name, times) for s in stimulations], axis=1)
    for s, factor in zip(stimulations, found.T, strict=True):
        if isinstance(s.drive, PoissonDrive) and s.drive.modulation is not None and n_steps:
            highest = _given(network, s)["rate"].max()
            _check_rate(s, float(highest * factor.max()) * network.dt * 1e-3, network.dt)
    return np.ascontiguousarray(found)


def refuse_modulation(network: Network, what: str) -> None:
    """Refuse drives that change with time, where time has no single meaning.

    Raises
    ------
    InputError
    """
    for s in network.stimulations:
        if getattr(s.drive, "modulation", None) is not None:
            raise InputError(
                f"{what}: the drive {s.name!r} changes with time, which run, train and evaluate alone can do"
            )


def _check_rate(stimulation: Stimulation, spikes: float, dt: float) -> None:
    if spikes > MOST_SPIKES:
        raise NetworkError(
            f"{stimulation.name}: {spikes:g} Poisson spikes in a step of {dt:g} ms are more than {MOST_SPIKES:g}; take "
            "GaussianNoise, or a lower rate with a larger weight"
        )
