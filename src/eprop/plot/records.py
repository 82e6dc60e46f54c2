"""What figures show: the activity of a network during one sample, and an episode with spikes, outputs and pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Activity:
    """Activity of one sample, run from rest with frozen weights.

    Attributes
    ----------
    times : ndarray, shape (n_steps,)
        End of each step, ms.
    inputs, spikes : tuple of ndarray
        Times (ms) and indices of the nodes: of the event source, and of the neurons.
    n_inputs, n_neurons : int
        Indices of neurons run over all populations of neurons.
    v, psi, learning_signal : ndarray, shape (n_steps, n_neurons)
        Membrane voltage (mV), surrogate gradient, learning signal.
    y, target, error : ndarray, shape (n_steps, n_readouts)
        Outputs of the readouts, targets, and error signals. Error signals are zero outside the learning window.
    window : ndarray, shape (n_steps,)
    softmax : bool
        Whether the softmax of the outputs is compared with the target, rather than the outputs.
    threshold : ndarray, shape (n_steps, n_neurons)
        mV; it changes if a neuron adapts. NaN for neurons without a threshold.
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
    threshold: np.ndarray
    label: str

    @property
    def output(self) -> np.ndarray:
        """The outputs that are compared with the target: the voltages of the readouts, or their softmax."""
        if not self.softmax:
            return self.y
        shown = np.exp(self.y - self.y.max(axis=1, keepdims=True))
        return shown / shown.sum(axis=1, keepdims=True)

    def spike_counts(self) -> np.ndarray:
        """Spikes of each neuron, shape (n_neurons,)."""
        return np.bincount(self.spikes[1], minlength=self.n_neurons)


@dataclass(frozen=True, eq=False)
class EpisodeRecord:
    """One episode, run from rest with frozen weights.

    Attributes
    ----------
    dt, step : float
        Length of a step of the network, and of the environment, ms.
    inputs, spikes : tuple of ndarray
        Times (ms) and indices of the nodes; indices of neurons run over all populations.
    n_inputs, n_neurons : int
    y : ndarray, shape (steps, readouts)
        Voltages of the readouts (mV) at each decision, the value last.
    probabilities : ndarray, shape (steps, actions), or None
        Probabilities of all actions at each decision; None if actions are continuous.
    actions, rewards : ndarray, shape (steps, ...) and (steps,)
    frames : list of (step, ndarray of uint8 (height, width, 3))
        Empty if the environment draws no pictures.
    observations : ndarray, shape (steps, ...)
    ended : bool
        Whether the episode ended within the recorded steps.
    """

    dt: float
    step: float
    inputs: tuple[np.ndarray, np.ndarray]
    spikes: tuple[np.ndarray, np.ndarray]
    n_inputs: int
    n_neurons: int
    y: np.ndarray
    probabilities: np.ndarray | None
    actions: np.ndarray
    rewards: np.ndarray
    frames: list[tuple[int, np.ndarray]]
    observations: np.ndarray
    ended: bool
