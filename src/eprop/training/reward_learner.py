"""Learn to act from rewards: rollouts in parallel environments, an update of e-prop after each."""

from __future__ import annotations

import collections
import functools
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from eprop.engine import Simulator
from eprop.errors import DataError, DivergenceError, ParameterError
from eprop.files import JsonObject
from eprop.random import derive
from eprop.rl import (
    Agent,
    Episodes,
    Experience,
    Finished,
    ObservationScale,
    ParallelNetwork,
    Returns,
    RolloutLearner,
    diagnose,
    play,
)  # fmt: skip
from eprop.training.control import Control
from eprop.training.evaluation import counted_by, known, mean_of
from eprop.training.experiment import Experiment
from eprop.training.learner import Check, Learner, Show, State, Sums, below
from eprop.training.settings import SCHEDULES
from eprop.training.watcher import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from eprop.training.pictures import Picture, Trained

#: Largest number of parallel episodes of a test; this bounds the memory.
PARALLEL_EPISODES = 100
#: Episodes over which returns are averaged while learning.
RECENT = 100
#: Attributes that are part of the state.
_STATE = ("updates", "episodes", "seconds", "processor_seconds", "events")
#: Streams of seeds: episodes to learn from, inputs and actions; the same for the episodes of a test.
LEARN_EPISODES, LEARN_AGENT, TEST_EPISODES, TEST_AGENT = range(4)


class RewardLearner(Learner):
    """Learns to act from rewards, with an actor and a critic.

    Parameters
    ----------
    experiment : Experiment
        With ``environments``.
    simulator : Simulator
        Of the experiment's network.

    Attributes
    ----------
    updates, episodes, events : int
        Rollouts learned from, episodes that have ended, synaptic events.
    processor_seconds : float
        Processor time spent on learning, summed over all threads.

    Raises
    ------
    ParameterError
        If there are several processes.

    Examples
    --------
    >>> experiment = ep.tasks.cartpole(steps=100_000)
    >>> learner = RewardLearner(experiment, ep.Simulator(experiment.network))
    >>> Trainer(learner).run()
    >>> learner.evaluate().mean
    """

    unit, test_unit = "steps", "episodes"
    score_name = "mean return"

    def __init__(self, experiment: Experiment, simulator: Simulator):
        control = experiment.environments
        if control is None:
            raise ParameterError("a RewardLearner needs an experiment with environments")
        if simulator.comm.size > 1:
            raise ParameterError("environments run in one process: leave out mpiexec")
        self.experiment, self.simulator, self.control = experiment, simulator, control
        self.updates, self.episodes, self.events, self.seconds, self.processor_seconds = 0, 0, 0, 0.0, 0.0
        self._sums, self._recent = Sums(float), collections.deque[float](maxlen=RECENT)
        self._latest: Experience | None = None
        self._kept: State | None = None
        n = control.environments
        self._environments, self._lanes = control.make_environments(n), simulator.lanes(n)
        scale = ObservationScale(control.spaces[0]) if control.scale_observations else None
        self._learner = RolloutLearner(
            simulator,
            make_agent(control, self._lanes, derive(experiment.seed, LEARN_AGENT), scale),
            Episodes(self._environments, derive(experiment.seed, LEARN_EPISODES), longest=control.longest),
            control,
            control.rollout,
            control.passes,
        )

    @property
    def total(self) -> int:
        """Steps of all environments together."""
        return self.control.updates * self._steps_per_update

    @property
    def done(self) -> int:
        """Steps of the environments so far."""
        return self.updates * self._steps_per_update

    @property
    def _steps_per_update(self) -> int:
        return self.control.environments * self.control.rollout

    @property
    def recent_return(self) -> float:
        """Mean return of the last `RECENT` episodes, with random actions; NaN before the first."""
        return mean_of(self._recent)

    @property
    def observation_scale(self) -> ObservationScale | None:
        """Scale of all observations so far; None if the experiment does not scale them."""
        return self._learner.agent.scale

    def finish(self) -> None:
        """Close the environments; reset the learning rates."""
        self._environments.close()
        self.simulator.scale_learning_rates(1.0)

    def state(self) -> State:
        """See `Learner.state`."""
        agent, learner = self._learner.agent.state(), self._learner
        parts = {"episodes": self._kept or learner.episodes.state(), "lanes": self._lanes.state()}
        if self.observation_scale is not None:
            parts["observation_scale"] = self.observation_scale.moments.state()
        if self.control.scale_rewards:
            parts["reward_scale"] = learner.reward_scale.state()
        return {
            **{name: getattr(self, name) for name in _STATE},
            "sums": dict(self._sums),
            "recent": list(self._recent),
            "draws": agent["draws"],
            "encoder/memory": agent["memory"],
            **{f"{part}/{name}": np.asarray(value) for part, state in parts.items() for name, value in state.items()},
        }

    def set_state(self, state: State) -> None:
        """See `Learner.set_state`; before the next step, present episodes are repeated up to where they were."""
        if state["updates"] > self.control.updates:
            at = state["updates"] * self._steps_per_update
            raise DataError(f"the training is at step {at}, but has only {self.total} now")
        for name in _STATE:
            setattr(self, name, state[name])
        self._sums, self._recent = Sums(float, state["sums"]), collections.deque(state["recent"], RECENT)
        learner = self._learner
        if self.observation_scale is not None:
            self.observation_scale.moments.set_state(below("observation_scale", state))
        if self.control.scale_rewards:
            learner.reward_scale.set_state(below("reward_scale", state))
        self._lanes.set_state(below("lanes", state))
        learner.agent.set_state({"draws": state["draws"], "memory": state["encoder/memory"]})
        self._kept = below("episodes", state)

    def _continue_episodes(self) -> None:
        """Repeat the episodes of a state. It takes time, and a test or a figure of a trained network does not need them."""
        if self._kept is not None:
            restarted = self._learner.episodes.set_state(dict(self._kept))
            self._learner.agent.reset(np.array(restarted, np.int64))
            self._kept = None

    def step(self, check: Check) -> None:
        """Act for one rollout, then learn from it."""
        self._continue_episodes()
        began, processor, events = time.perf_counter(), time.process_time(), self.simulator.events
        self.simulator.scale_learning_rates(self._eta_factor())
        self._learner.objective = self.control.objective_at(self.done / self.total)
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # divergence raises an error
                self._latest, finished = self._learner.update()
        except DivergenceError as error:
            raise DivergenceError(f"after {self.done} steps of the environments, {error}") from None
        self.updates += 1
        self.events += self.simulator.events - events
        seconds = time.perf_counter() - began
        self.seconds += seconds
        self.processor_seconds += time.process_time() - processor
        self._note(finished, seconds)

    def _note(self, finished: list[Finished], seconds: float) -> None:
        self.episodes += len(finished)
        self._recent.extend(each.total for each in finished)
        added = {"episodes": len(finished), "spikes": int(np.sum(self._lanes.spikes)), "steps": self._steps_per_update}
        for name, value in (*added.items(), ("seconds", seconds), *(("total", each.total) for each in finished)):
            self._sums[name] += value

    def report(self, check: Check) -> JsonObject | None:
        """A line of metrics if one is due."""
        times, updates = min(self.control.reports, self.control.updates), self.control.updates
        sums = self._sums
        if self.updates * times // updates == (self.updates - 1) * times // updates:
            return None
        self._sums, steps = Sums(float), sums["steps"]
        network = self.simulator.network
        neurons = sum(p.size for p in network.populations if p.model.role == "neuron")
        neuron_seconds = steps * self.control.substeps * network.dt / 1000.0 * neurons
        return {
            "episodes": self.episodes,
            "return": sums["total"] / sums["episodes"] if sums["episodes"] else None,
            "recent_return": known(self.recent_return),
            **self._diagnosis(),
            "rate": sums["spikes"] / neuron_seconds,
            "eta_factor": self._eta_factor(),
            "seconds": self.seconds,
            "steps_per_second": steps / max(sums["seconds"], 1e-9),
        }

    def _diagnosis(self) -> dict[str, float | None]:
        """Entropy of the policy and explained variance of the value in the latest rollout; None where undefined."""
        if self._latest is None:
            return {}
        found = diagnose(self._latest, self._learner.objective, self._learner.agent.policy)
        return {name: known(value) for name, value in found._asdict().items()}

    def _eta_factor(self) -> float:
        return SCHEDULES[self.control.schedule](self.done / self.total, self.control.eta_final)

    def progress(self) -> Progress:
        """See `Learner.progress`."""
        return Progress(
            self.done, self.total, self.unit, seconds=self.seconds, values={"return": self.recent_return}
        )  # fmt: skip

    def evaluate(self, show: Show | None = None) -> Returns:
        """Returns of the test episodes."""
        return judge(self.control, self.simulator, show=show, scale=self.observation_scale)

    def summary(self) -> JsonObject:
        """Environment, steps and episodes learned from."""
        return {
            "environment": self.control.label or self.experiment.name,
            "recent_return": known(self.recent_return),
            "environment_steps": self.done,
            "episodes_learned": self.episodes,
            "train_processor_seconds": self.processor_seconds,
            "steps_per_second": self.done / max(self.seconds, 1e-9),
        }

    def pictures(self, run: Trained) -> dict[str, Picture]:
        """Returns over the training, and an episode of the test."""
        found: dict[str, Picture] = {"episode": lambda: self._episode(run)}
        if run.lines:
            found["returns"] = functools.partial(self.curve, run.lines, run.summary)
        return found

    def curve(self, lines: Sequence[JsonObject], summary: JsonObject) -> Figure:
        """Draw the returns over the steps of the environments, and the test."""
        from eprop.plot import draw_returns

        return draw_returns(lines, summary, self.control.meaning)

    def _episode(self, run: Trained) -> Figure:
        """The figure of the first episode of the test."""
        from eprop.plot import draw_episode
        from eprop.training.episodes import record_episode

        with run.trained() as simulator:
            episode = record_episode(self.control, simulator, self.control.test_seed, scale=self.observation_scale)
        return draw_episode(episode, self.value_unit)

    @property
    def value_unit(self) -> float:
        """Value of a readout at 1 mV, in units of the environment's rewards."""
        scale = self._learner.reward_scale.moments.unit if self.control.scale_rewards else 1.0
        return self.control.value_scale * float(scale)


def make_agent(control: Control, lanes: ParallelNetwork, seed: int, scale: ObservationScale | None = None) -> Agent:
    """An agent of a network; `ParameterError` if observations are scaled and no scale is given."""
    shape, actions = control.spaces
    if scale is None and control.scale_observations:
        raise ParameterError(
            "the network has learned from scaled observations (Control.scale_observations): give their scale, "
            "which RewardLearner.observation_scale has"
        )
    return Agent(lanes, control.encoder, control.policy_for(actions), shape, control.substeps, seed, scale)


def judge(
    control: Control,
    simulator: Simulator,
    *,
    show: Callable[[int, int], object] | None = None,
    scale: ObservationScale | None = None,
) -> Returns:
    """Returns of whole episodes with frozen weights.

    Parameters
    ----------
    control : Control
        With number and seed of the episodes, ``episodes`` and ``test_seed``.
    simulator : Simulator
        Of a network for these environments; its weights do not change.
    show : callable of (episodes done, all episodes), optional
    scale : ObservationScale, optional
        Scale of the observations that were learned from; it does not change. Needed if observations are scaled.

    Raises
    ------
    ParameterError
        If the scale is needed and not given.
    """
    began, progress = time.perf_counter(), counted_by(show, control.episodes)
    parts: list[Returns] = []
    for first in range(0, control.episodes, PARALLEL_EPISODES):
        n = min(PARALLEL_EPISODES, control.episodes - first)
        lanes = simulator.lanes(n, learn=False)
        agent = make_agent(control, lanes, derive(control.test_seed, TEST_AGENT, first), scale and scale.frozen())
        environments = control.make_environments(n)
        seeds = [derive(control.test_seed, TEST_EPISODES, first + k) % 2**31 for k in range(n)]
        try:
            parts.append(
                play(agent, environments, seeds, greedy=control.greedy, progress=progress, longest=control.longest)
            )
        finally:
            environments.close()
    totals, steps = (np.concatenate([getattr(part, name) for part in parts]) for name in ("totals", "steps"))
    return Returns(totals, steps, time.perf_counter() - began, sum(part.cut for part in parts))
