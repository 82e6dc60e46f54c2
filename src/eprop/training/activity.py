"""Record the activity of a network during one sample, for a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from eprop.engine import Recording, Samples, Simulator
from eprop.engine.build.neurons import neurons_of
from eprop.models import EventSource
from eprop.network import Network, Population
from eprop.training.scoring import has_softmax

if TYPE_CHECKING:
    from eprop.plot.records import Activity


def record_activity(simulator: Simulator, samples: Samples, label: str = "") -> Activity:
    """Run one sample from rest with frozen weights and record its activity. The simulator stays in the state after the sample.

    Parameters
    ----------
    simulator : Simulator
        Of several event sources, the one named ``in`` is recorded, else the first. Of several readout populations with a target,
        the one named ``out`` is recorded, else the first.
    samples : Samples
        Exactly one sample.
    label : str
        Name of its class, if it has one.
    """
    from eprop.plot.records import Activity  # Matplotlib takes long to import

    network = simulator.network
    neurons = populations(network, "neuron")
    inputs, targets = _inputs_of(network, samples), _targets(network, samples)
    aims = {name: values for name, values in targets.items() if not np.isnan(values).any()}
    source = network.population(_shown(list(inputs) or [p.name for p in populations(network, "source")], "in"))
    readout = network.population(_shown(list(aims or targets), "out"))
    windows = {p.name: samples.window[0, :, k] for k, p in enumerate(populations(network, "readout"))}
    simulator.reset()
    recording = simulator.run(
        samples.n_steps * network.dt,
        inputs=inputs | {name: values[0] for name, values in samples.currents.items()},
        targets=aims,
        window=windows,
        signals={name: values[0] for name, values in samples.signals.items()},
        modulator=samples.modulator[0] if len(samples.modulator) else None,
        reward=samples.reward[0] if len(samples.reward) else None,
        learn=False,
        record=[
            *((p.name, variable) for p in neurons for variable in ("v", "surrogate", "learning_signal")),
            *((p.name, "threshold") for p in neurons if _moves(p)),
            *((readout.name, variable) for variable in ("y", "error")),
        ],
        spikes=[source.name, *(p.name for p in neurons)],
    )
    return Activity(
        times=recording.times,
        inputs=recording.spikes[source.name],
        spikes=numbered_through(neurons, recording),
        n_inputs=source.size,
        n_neurons=sum(p.size for p in neurons),
        v=_side_by_side(neurons, recording, "v"),
        psi=_side_by_side(neurons, recording, "surrogate"),
        learning_signal=_side_by_side(neurons, recording, "learning_signal"),
        y=recording[readout.name, "y"],
        target=targets[readout.name],
        error=recording[readout.name, "error"],
        window=windows[readout.name],
        softmax=has_softmax(readout),
        threshold=np.hstack([_none_of(recording), *(_threshold(network, p, recording) for p in neurons)]),
        label=label,
    )


def populations(network: Network, role: str) -> list[Population]:
    """Populations of a kind."""
    return [p for p in network.populations if p.model.role == role]


def _shown(names: list[str], usual: str) -> str:
    """Which of several populations is shown: the one with the ``usual`` name, else the first."""
    return usual if usual in names else names[0]


def _moves(population: Population) -> bool:
    """Whether the threshold of neurons is part of their state."""
    return "threshold" in population.model.state_rows  # type: ignore[attr-defined]


def _threshold(network: Network, population: Population, recording: Recording) -> np.ndarray:
    """Thresholds of a population in each step, mV."""
    if _moves(population):
        return recording[population.name, "threshold"]
    still = [float(getattr(model, "v_th", np.nan)) for model in neurons_of(network, population)]
    return np.broadcast_to(still, (recording.times.size, population.size))


def _none_of(recording: Recording) -> np.ndarray:
    """A recording of a variable of zero neurons, for networks without neurons."""
    return np.empty((recording.times.size, 0))


def _side_by_side(among: list[Population], recording: Recording, variable: str) -> np.ndarray:
    """A variable of all neurons, (n_steps, n_neurons)."""
    return np.hstack([_none_of(recording), *(recording[p.name, variable] for p in among)])


def numbered_through(among: list[Population], recording: Recording) -> tuple[np.ndarray, np.ndarray]:
    """Times and neuron indices of all spikes, in order of time; indices run over all populations."""
    first = np.cumsum([0, *(p.size for p in among)])
    if not among:
        return np.zeros(0), np.zeros(0, np.int64)
    times = np.concatenate([recording.spikes[p.name][0] for p in among])
    nodes = np.concatenate([recording.spikes[p.name][1] + at for p, at in zip(among, first, strict=False)])
    order = np.argsort(times, kind="stable")
    return times[order], nodes[order]


def _inputs_of(network: Network, samples: Samples) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Times (ms) and channels of the events of samples that follow each other, for each event source."""
    sources = [p for p in network.populations if isinstance(p.model, EventSource)]
    found = {}
    for population, starts in zip(sources, samples.event_start, strict=True):
        steps = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        found[population.name] = steps * network.dt, samples.event_channels[starts[0] : starts[-1]]
    return found


def _targets(network: Network, samples: Samples) -> dict[str, np.ndarray]:
    """Targets of the first sample, (n_steps, size), for each readout population; NaN without a target."""
    target = np.broadcast_to(samples.target[0], (samples.n_steps, samples.target.shape[2]))
    readouts = populations(network, "readout")
    ends = np.cumsum([p.size for p in readouts])
    return {p.name: target[:, end - p.size : end] for p, end in zip(readouts, ends, strict=True)}
