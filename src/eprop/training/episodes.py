"""Record an episode for a figure: spikes, outputs and pictures."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from eprop.engine import Simulator
from eprop.network import Network, Population
from eprop.plot.records import EpisodeRecord
from eprop.random import derive
from eprop.rl import ObservationScale, ParallelNetwork
from eprop.training.activity import numbered_through
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
    environments = control.make_environments(1)
    start = derive(seed, TEST_EPISODES, 0) % 2**31
    observation, ended = environments.reset(0, start), False
    ys: list[np.ndarray] = []
    actions, rewards, seen, masks = [], [], [], []
    while not ended and len(ys) < most:
        seen.append(observation.values)
        masks.append(observation.mask)
        mask = None if observation.mask is None else observation.mask[None]
        decision = agent.act(observation.values[None], mask, greedy=control.greedy)
        outcome = environments.step(0, agent.policy.to_environment(decision.actions, environments.actions)[0])
        ys.append(decision.y[0])
        actions.append(decision.actions[0])
        rewards.append(outcome.reward)
        observation, ended = outcome.observation, outcome.terminated or outcome.truncated
    environments.close()
    y = np.array(ys)
    chances = getattr(agent.policy, "log_probabilities", None)
    mask = None if masks[0] is None else np.array(masks)
    inputs, spikes = _all_spikes(simulator, lanes)
    network = simulator.network
    return EpisodeRecord(
        dt=network.dt,
        step=control.substeps * network.dt,
        inputs=inputs,
        spikes=spikes,
        n_inputs=network.population("in").size,
        n_neurons=sum(p.size for p in _neurons(network)),
        y=y,
        probabilities=None if chances is None else np.exp(chances(y[:, :-1], mask)),
        actions=np.array(actions),
        rewards=np.array(rewards),
        frames=_frames(control, start, agent.policy.to_environment(np.array(actions), environments.actions)),
        observations=np.array(seen),
        ended=ended,
    )


def _all_spikes(
    simulator: Simulator, lanes: _RecordingLanes
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Spikes of inputs and neurons: run the same network with the recorded inputs, from rest."""
    dt, neurons = simulator.network.dt, _neurons(simulator.network)
    channels = np.concatenate([each for _, each in lanes.events])
    times = np.repeat([(at + 0.5) * dt for at, _ in lanes.events], [each.size for _, each in lanes.events])
    simulator.reset()
    recording = simulator.run(
        lanes.count * dt, {"in": (times, channels)}, learn=False, spikes=[p.name for p in neurons]
    )
    return (times, channels), numbered_through(neurons, recording)


def _neurons(network: Network) -> list[Population]:
    return [p for p in network.populations if p.model.role == "neuron"]


def _frames(control: Control, start: int, actions: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Pictures at equal intervals: repeat the episode in an environment that draws pictures."""
    wanted = set(np.unique(np.linspace(0, len(actions) - 1, FRAMES).round().astype(int)).tolist())
    environments = control.make_environments(1, render=True)
    environments.reset(0, start)
    found = []
    for number, action in enumerate(actions):
        if number in wanted:
            frame = environments.frame(0)
            if frame is None:
                break
            found.append((number, frame))
        environments.step(0, action)
    environments.close()
    return found
