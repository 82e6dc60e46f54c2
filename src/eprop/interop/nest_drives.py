"""Background, noise and currents in NEST: the values that the simulator draws, played by generators of each neuron.

Poisson background becomes a ``spike_generator`` whose spikes carry the summed weight of a step; noise and currents become a
``step_current_generator``. NEST's own generators would draw other numbers, so that no spike could be compared.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from eprop.checks import driven
from eprop.errors import NetworkError
from eprop.network import Network, PoissonDrive

#: Largest number of values of all drives: a run of NEST reads them from lists.
MOST_VALUES = 200_000_000


def check_drives(network: Network, original: bool, counted: bool) -> None:
    """Refuse drives where NEST's steps begin at another time than here.

    ``original`` : whether the network learns by `EProp`; ``counted`` : whether NEST's optimiser counts the steps of the clock.

    Raises
    ------
    NetworkError
    """
    if network.stimulations and (original or counted):
        rule, why = ("EProp", "samples") if original else ("Adam", "first step")
        raise NetworkError(
            f"{network.stimulations[0].name}: NEST's {why} with {rule} would begin without its drive; record the background as "
            "spikes of an EventSource, or use EPropPlus with GradientDescent"
        )


def empty_steps(network: Network) -> int:
    """Steps of NEST before step 0: currents arrive there a step later than spikes."""
    return 2 if any(not isinstance(s.drive, PoissonDrive) for s in network.stimulations) else 1


def drive_nodes(nest: Any, network: Network, nodes: dict[str, Any], n_steps: int, first: int) -> None:
    """Create the generators of all stimulations for a run of ``n_steps``, and connect them to the neurons.

    ``first`` is the step of NEST that is step 0 here.

    Raises
    ------
    NetworkError
        If the run is so long that the lists would not fit into memory.
    """
    driven_neurons = sum(s.population.size for s in network.stimulations)
    if driven_neurons * n_steps > MOST_VALUES:
        raise NetworkError(
            f"NEST reads the drives of {driven_neurons} neurons from lists, at most {MOST_VALUES:,} values; run at most "
            f"{MOST_VALUES // driven_neurons * network.dt:g} ms"
        )
    inputs, currents, inhibition = driven(network, n_steps)
    for population in network.populations:
        for spikes in (inputs, inhibition):
            if population.name in spikes:
                _emit(nest, nodes[population.name], spikes[population.name], first, network.dt)
        if population.name in currents:
            _inject(nest, nodes[population.name], currents[population.name], first, network.dt)


def _emit(nest: Any, nodes: Any, weights: np.ndarray, first: int, dt: float) -> None:
    """Play weights, (steps, size): a spike generator's time ``g dt`` arrives at step ``g`` with a delay of one step."""
    generators = nest.Create("spike_generator", weights.shape[1])
    for generator, column in zip(generators, weights.T, strict=True):
        steps = np.flatnonzero(column)
        generator.set(spike_times=dt * (steps + first), spike_weights=column[steps])
    nest.Connect(generators, nodes, "one_to_one", {"delay": dt})


def _inject(nest: Any, nodes: Any, amplitudes: np.ndarray, first: int, dt: float) -> None:
    """Play currents, (steps, size), pA: the voltage follows a generator's time ``g dt`` from step ``g + 1`` on."""
    generators = nest.Create("step_current_generator", amplitudes.shape[1])
    for generator, column in zip(generators, amplitudes.T, strict=True):
        steps = np.flatnonzero(np.diff(column, prepend=0.0))
        generator.set(amplitude_times=dt * (steps + first - 1), amplitude_values=column[steps])
    nest.Connect(generators, nodes, "one_to_one", {"delay": dt})
