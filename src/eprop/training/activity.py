"""Everything that happens in a network during one sample, for figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from eprop.engine import Samples, Simulator
from eprop.network import Network
from eprop.tasks import Classification, Task


@dataclass(frozen=True, eq=False)
class Activity:
    """One sample with frozen weights, from rest.

    Attributes
    ----------
    times : ndarray, shape (n_steps,)
        End of each step, ms.
    inputs, spikes : tuple of ndarray
        Times (ms) and numbers of the nodes, of the event source and of the neurons.
    n_inputs, n_neurons : int
    v, psi, learning_signal : ndarray, shape (n_steps, n_neurons)
        Membrane voltage (mV), surrogate gradient, learning signal.
    y, target, error : ndarray, shape (n_steps, n_readouts)
        Readouts, what they should be, and the error signal, which is zero outside the learning window.
    window : ndarray, shape (n_steps,)
    softmax : bool
        Whether the softmax of the readouts is compared with the target, rather than the readouts.
    v_th : float
        mV.
    label : str
        Class of the sample; empty if it has none.
    """

    times: np.ndarray
    inputs: tuple[np.ndarray, np.ndarray]
    spikes: tuple[np.ndarray, np.ndarray]
    n_inputs: int
    n_neurons: int
    v: np.ndarray
    psi: np.ndarray
    learning_signal: np.ndarray
    y: np.ndarray
    target: np.ndarray
    error: np.ndarray
    window: np.ndarray
    softmax: bool
    v_th: float
    label: str

    @property
    def output(self) -> np.ndarray:
        """What is compared with the target: the readouts, or their softmax."""
        if not self.softmax:
            return self.y
        shown = np.exp(self.y - self.y.max(axis=1, keepdims=True))
        return shown / shown.sum(axis=1, keepdims=True)

    def spike_counts(self) -> np.ndarray:
        """Spikes of each neuron, shape (n_neurons,)."""
        return np.bincount(self.spikes[1], minlength=self.n_neurons)


def record_activity(task: Task, simulator: Simulator, trial: Any) -> Activity:
    """Run one trial with frozen weights and record everything; the simulator is at rest before, not so after.

    Parameters
    ----------
    task : Task
    simulator : Simulator
        Of the task's network, which has one event source, one population of neurons and one of readouts.
    trial : Trials
        With one trial.
    """
    network = simulator.network
    source, neurons, readout = (_only(network, role) for role in ("source", "neuron", "readout"))
    samples = task.make_samples(network, trial)
    target = np.broadcast_to(samples.target[0], (samples.n_steps, samples.target.shape[2]))
    simulator.reset()
    recording = simulator.run(
        samples.n_steps * network.dt,
        inputs={source.name: _events(samples, network.dt)},
        targets={readout.name: target},
        window=samples.window[0],
        learn=False,
        record=[
            *((neurons.name, variable) for variable in ("v", "surrogate", "learning_signal")),
            *((readout.name, variable) for variable in ("y", "error")),
        ],
        spikes=[source.name, neurons.name],
    )
    return Activity(
        times=recording.times,
        inputs=recording.spikes[source.name],
        spikes=recording.spikes[neurons.name],
        n_inputs=source.size,
        n_neurons=neurons.size,
        v=recording[neurons.name, "v"],
        psi=recording[neurons.name, "surrogate"],
        learning_signal=recording[neurons.name, "learning_signal"],
        y=recording[readout.name, "y"],
        target=target,
        error=recording[readout.name, "error"],
        window=samples.window[0],
        softmax=bool(getattr(readout.model.loss, "softmax", False)),
        v_th=float(getattr(neurons.model, "v_th", np.nan)),
        label=_label(task, samples),
    )


def _only(network: Network, role: str) -> Any:
    """First population of a kind."""
    return next(p for p in network.populations if p.model.role == role)


def _label(task: Task, samples: Samples) -> str:
    known = isinstance(task, Classification) and samples.labels is not None
    return task.classes[samples.labels[0]] if known else ""  # type: ignore[attr-defined,index]


def _events(samples: Samples, dt: float) -> tuple[np.ndarray, np.ndarray]:
    """Times (ms) and channels of the first sample's events."""
    starts = samples.event_start[0, : samples.n_steps + 1]
    steps = np.repeat(np.arange(samples.n_steps), np.diff(starts))
    return steps * dt, samples.event_channels[starts[0] : starts[-1]]
