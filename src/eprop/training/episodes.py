"""Record an episode for a figure: spikes, outputs and pictures."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from eprop.engine import Simulator
from eprop.plot.records import EpisodeRecord
from eprop.random import derive
from eprop.rl import ObservationScale, ParallelNetwork
from eprop.training.activity import numbered_through, populations
from eprop.training.control import Control
from eprop.training.reward_learner import TEST_AGENT, TEST_EPISODES, make_agent

#: Pictures of an episode.
FRAMES = 8


class _RecordingLanes:
    """Lanes that record their input events. The episode is simulated again with these events to record all spikes."""

    def __init__(self, lanes: ParallelNetwork):
        self._lanes, self.n, self.count = lanes, lanes.n, 0
        self.events: list[tuple[int, np.ndarray]] = []

    def run(self, steps: int, channels: Any) -> np.ndarray:
        self.events += [(self.count + step, np.flatnonzero(channels[step, 0])) for step in range(steps)]
        self.count += steps
        return self._lanes.run(steps, channels)

    def reset(self, which: Any) -> None:
        self._lanes.reset(which)


def record_episode(
    control: Control, simulator: Simulator, seed: int = 0, most: int = 500, scale: ObservationScale | None = None
) -> EpisodeRecord:
    """Play one test episode from rest and record it. The simulator stays in the state after the episode.

    Parameters
    ----------
    control : Control
    simulator : Simulator
        Of a network for these environments; its weights do not change.
    seed : int
        Seed of a test, ``Control.test_seed``; the episode is the first one of this test.
    most : int
        The record ends after this number of environment steps.
    scale : ObservationScale, optional
        As of `judge`.
    """
    lanes = _RecordingLanes(simulator.lanes(1, learn=False))
    agent = make_agent(control, cast("ParallelNetwork", lanes), derive(seed, TEST_AGENT, 0), scale and scale.frozen())
    environments, policy = control.make_environments(1, render=True), agent.policy
    observation, ended = environments.reset(0, derive(seed, TEST_EPISODES, 0) % 2**31), False
    rows: list[tuple[np.ndarray, ...]] = []
    masks: list[Any] = []
    frames, every = list[tuple[int, np.ndarray]](), 1
    while not ended and len(rows) < most:
        if len(rows) % every == 0 and (frame := environments.frame(0)) is not None:
            frames.append((len(rows), frame))
            if len(frames) == 2 * FRAMES:
                frames, every = frames[::2], 2 * every
        mask = None if observation.mask is None else observation.mask[None]
        decision = agent.act(observation.values[None], mask, greedy=control.greedy)
        outcome = environments.step(0, policy.to_environment(decision.actions, environments.actions)[0])
        rows.append((decision.y[0], decision.actions[0], np.array(outcome.reward), observation.values))
        masks.append(observation.mask)
        observation, ended = outcome.observation, outcome.terminated or outcome.truncated
    environments.close()
    y, actions, rewards, observations = (np.array(column) for column in zip(*rows, strict=True))
    chances = getattr(policy, "log_probabilities", None)
    inputs, spikes = _all_spikes(simulator, lanes)
    network = simulator.network
    return EpisodeRecord(
        dt=network.dt,
        step=control.substeps * network.dt,
        inputs=inputs,
        spikes=spikes,
        n_inputs=network.population("in").size,
        n_neurons=sum(p.size for p in populations(network, "neuron")),
        y=y,
        probabilities=None
        if chances is None
        else np.exp(chances(y[:, :-1], None if mask is None else np.array(masks))),
        actions=actions,
        rewards=rewards,
        frames=[
            frames[k] for k in np.unique(np.linspace(0, len(frames) - 1, min(FRAMES, len(frames))).round().astype(int))
        ],
        observations=observations,
        ended=ended,
    )


def _all_spikes(
    simulator: Simulator, lanes: _RecordingLanes
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Spikes of inputs and neurons: run the same network with the recorded inputs, from rest."""
    dt, neurons = simulator.network.dt, populations(simulator.network, "neuron")
    channels = np.concatenate([each for _, each in lanes.events])
    times = np.repeat([(at + 0.5) * dt for at, _ in lanes.events], [each.size for _, each in lanes.events])
    simulator.reset()
    names = [p.name for p in neurons]
    recording = simulator.run(lanes.count * dt, {"in": (times, channels)}, learn=False, spikes=names)
    return (times, channels), numbered_through(neurons, recording)
