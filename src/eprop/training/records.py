"""What figures show: the activity of a network during one sample, and an episode with spikes, outputs and pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from eprop.engine import Recording, Samples, Simulator
from eprop.engine.build.neurons import neurons_of
from eprop.network import Network, Population
from eprop.random import derive
from eprop.rl import ObservationScale, ParallelNetwork
from eprop.tasks import Classification, Dataset, Task
from eprop.tasks.control import Control
from eprop.training.cell_activity import inputs_of
from eprop.training.reward_learner import TEST_AGENT, TEST_EPISODES, make_agent

#: Pictures of an episode.
FRAMES = 8


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


def record_activity(task: Task, simulator: Simulator, sample: Dataset) -> Activity:
    """Run one sample from rest with frozen weights and record its activity. The simulator stays in the state after the sample.

    Parameters
    ----------
    task : Task
    simulator : Simulator
        Of the task's network. Of several event sources, the one named ``in`` is recorded, else the first. Of several readout
        populations with a target, the one named ``out`` is recorded, else the first.
    sample : Dataset
        Exactly one sample.
    """
    network = simulator.network
    neurons = _all(network, "neuron")
    samples = task.make_samples(network, sample)
    inputs, targets = inputs_of(network, samples), _targets(network, samples)
    aims = {name: values for name, values in targets.items() if not np.isnan(values).any()}
    source = network.population(_shown(list(inputs) or [p.name for p in _all(network, "source")], "in"))
    readout = network.population(_shown(list(aims or targets), "out"))
    windows = {p.name: samples.window[0, :, k] for k, p in enumerate(_all(network, "readout"))}
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
        softmax=_has_softmax(readout),
        threshold=np.hstack([_none_of(recording), *(_threshold(network, p, recording) for p in neurons)]),
        label=_label(task, samples),
    )


def uses_softmax(network: Network) -> bool:
    """Whether the softmax of the readouts is compared with the target. Of several readout populations, ``out`` counts."""
    return _has_softmax(network.population(_shown([p.name for p in _all(network, "readout")], "out")))


def _has_softmax(readout: Population) -> bool:
    return bool(getattr(getattr(readout.model, "loss", None), "softmax", False))


def _all(network: Network, role: str) -> list[Population]:
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


def _side_by_side(populations: list[Population], recording: Recording, variable: str) -> np.ndarray:
    """A variable of all neurons, (n_steps, n_neurons)."""
    return np.hstack([_none_of(recording), *(recording[p.name, variable] for p in populations)])


def numbered_through(populations: list[Population], recording: Recording) -> tuple[np.ndarray, np.ndarray]:
    """Times and neuron indices of all spikes, in order of time; indices run over all populations."""
    first = np.cumsum([0, *(p.size for p in populations)])
    if not populations:
        return np.zeros(0), np.zeros(0, np.int64)
    times = np.concatenate([recording.spikes[p.name][0] for p in populations])
    nodes = np.concatenate([recording.spikes[p.name][1] + at for p, at in zip(populations, first, strict=False)])
    order = np.argsort(times, kind="stable")
    return times[order], nodes[order]


def _label(task: Task, samples: Samples) -> str:
    known = isinstance(task, Classification) and samples.labels is not None
    return task.classes[samples.labels[0]] if known else ""  # type: ignore[attr-defined,index]


def _targets(network: Network, samples: Samples) -> dict[str, np.ndarray]:
    """Targets of the first sample, (n_steps, size), for each readout population; NaN without a target."""
    target = np.broadcast_to(samples.target[0], (samples.n_steps, samples.target.shape[2]))
    readouts = _all(network, "readout")
    ends = np.cumsum([p.size for p in readouts])
    return {p.name: target[:, end - p.size : end] for p, end in zip(readouts, ends, strict=True)}


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
    task: Control, simulator: Simulator, seed: int = 0, most: int = 500, scale: ObservationScale | None = None
) -> EpisodeRecord:
    """Play one test episode from rest and record it. The simulator stays in the state after the episode.

    Parameters
    ----------
    task : Control
    simulator : Simulator
        Of the task's network; its weights do not change.
    seed : int
        Seed of `EpisodeChoice`; the episode is the first one of this test.
    most : int
        The record ends after this number of environment steps.
    scale : ObservationScale, optional
        As of `judge`.
    """
    lanes = _RecordingLanes(simulator.lanes(1, learn=False))
    agent = make_agent(task, cast("ParallelNetwork", lanes), derive(seed, TEST_AGENT, 0), scale and scale.frozen())
    environments = task.make_environments(1)
    start = derive(seed, TEST_EPISODES, 0) % 2**31
    observation, ended = environments.reset(0, start), False
    ys: list[np.ndarray] = []
    actions, rewards, seen, masks = [], [], [], []
    while not ended and len(ys) < most:
        seen.append(observation.values)
        masks.append(observation.mask)
        mask = None if observation.mask is None else observation.mask[None]
        decision = agent.act(observation.values[None], mask, greedy=task.greedy)
        outcome = environments.step(0, agent.policy.to_environment(decision.actions, environments.actions)[0])
        ys.append(decision.y[0])
        actions.append(decision.actions[0])
        rewards.append(outcome.reward)
        observation, ended = outcome.observation, outcome.terminated or outcome.truncated
    environments.close()
    y = np.array(ys)
    chances = getattr(agent.policy, "log_probabilities", None)
    mask = None if masks[0] is None else np.array(masks)
    inputs, spikes = _all_spikes(simulator, lanes, task)
    source = simulator.network.population("in")
    return EpisodeRecord(
        dt=task.dt,
        step=task.substeps * task.dt,
        inputs=inputs,
        spikes=spikes,
        n_inputs=source.size,
        n_neurons=task.neurons,
        y=y,
        probabilities=None if chances is None else np.exp(chances(y[:, :-1], mask)),
        actions=np.array(actions),
        rewards=np.array(rewards),
        frames=_frames(task, start, agent.policy.to_environment(np.array(actions), environments.actions)),
        observations=np.array(seen),
        ended=ended,
    )


def _all_spikes(
    simulator: Simulator, lanes: _RecordingLanes, task: Control
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Spikes of inputs and neurons: run the same network with the recorded inputs, from rest."""
    channels = np.concatenate([each for _, each in lanes.events])
    times = np.repeat([(at + 0.5) * task.dt for at, _ in lanes.events], [each.size for _, each in lanes.events])
    neurons = [p for p in simulator.network.populations if p.model.role == "neuron"]
    simulator.reset()
    recording = simulator.run(
        lanes.count * task.dt, {"in": (times, channels)}, learn=False, spikes=[p.name for p in neurons]
    )
    return (times, channels), numbered_through(neurons, recording)


def _frames(task: Control, start: int, actions: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Pictures at equal intervals: repeat the episode in an environment that draws pictures."""
    wanted = set(np.unique(np.linspace(0, len(actions) - 1, FRAMES).round().astype(int)).tolist())
    environments = task.make_environments(1, render=True)
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
