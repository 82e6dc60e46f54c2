"""What figures show: an episode with spikes, outputs and pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


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
