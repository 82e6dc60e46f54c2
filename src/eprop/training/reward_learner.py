"""Learn to act from rewards: rollouts in parallel environments, an update of e-prop after each."""

from __future__ import annotations

import collections
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import cast

import numpy as np

from eprop.engine import Simulator
from eprop.errors import DataError, DivergenceError, ParameterError
from eprop.files import JsonObject
from eprop.parameters import inherited, param
from eprop.random import derive
from eprop.rl import (
    Agent,
    Episodes,
    Experience,
    Finished,
    Objective,
    ObservationScale,
    ParallelNetwork,
    Returns,
    RewardScale,
    RolloutLearner,
    diagnose,
    play,
)  # fmt: skip
from eprop.tasks.control import Control, EpisodeChoice, spaces
from eprop.training.evaluation import counted_by, known, mean_of
from eprop.training.learner import Check, Learner, Setup, Show, State, Sums, below
from eprop.training.sample_learner import Training
from eprop.training.schedule import SCHEDULES, check_schedule, linear
from eprop.training.watcher import Progress

#: Largest number of parallel episodes of a test; this bounds the memory.
PARALLEL_EPISODES = 100
#: Episodes over which returns are averaged while learning.
RECENT = 100
#: Streams of seeds: episodes to learn from, inputs and actions; the same for the episodes of a test.
LEARN_EPISODES, LEARN_AGENT, TEST_EPISODES, TEST_AGENT = range(4)


@dataclass(frozen=True)
class PolicyTraining(Objective):
    """Duration, learning rates and objective of a training from rewards; see `eprop.rl.Objective`."""

    steps: int = param(500_000, kind=int, at_least=1, doc="steps of the environments, all together", main=True)
    environments: int = param(
        32,
        kind=int,
        at_least=1,
        doc="parallel environments, each with a copy of the network's state",
        main=True,
    )
    rollout: int = param(64, kind=int, at_least=1, doc="steps of each environment from one update to the next")
    passes: int = param(
        1, kind=int, at_least=1, doc="how often each rollout is learned from; more than once: set a clip"
    )
    schedule: str = inherited(Training, "schedule", "linear")
    eta_final: float = inherited(Training, "eta_final", 0.01)
    entropy_final: float = param(
        1.0, at_least=0.0, at_most=1.0, doc="final weight of the entropy, as a fraction of the initial one; linear"
    )
    reports: int = param(200, kind=int, at_least=1, doc="lines of metrics, at most one per update")

    def validate(self) -> None:
        """Check the schedule; several passes need a clip."""
        check_schedule("PolicyTraining", self.schedule, self.eta_final)
        if self.passes > 1 and self.clip is None:
            raise ParameterError(
                f"PolicyTraining.passes = {self.passes} needs a clip, such as 0.2: without, nothing keeps the policy "
                "near the one that has acted"
            )

    def objective_at(self, done: float) -> Objective:
        """The objective after the fraction ``done`` (0 to 1) of the training."""
        values = {field.name: getattr(self, field.name) for field in fields(Objective)}
        return Objective(**{**values, "entropy": self.entropy * linear(done, self.entropy_final)})

    @property
    def updates(self) -> int:
        """Number of rollouts that gives at least ``steps`` steps."""
        return math.ceil(self.steps / (self.environments * self.rollout))


class RewardLearner(Learner):
    """Learns to act from rewards, with an actor and a critic.

    Parameters
    ----------
    task : Control
    simulator : Simulator
        Of the task's network.
    training : PolicyTraining, optional
    episodes : EpisodeChoice, optional
        Episodes of the test, for `evaluate`.

    Attributes
    ----------
    updates, episodes, events : int
        Rollouts learned from, episodes that have ended, synaptic events.
    processor_seconds : float
        Processor time spent on learning, summed over all threads.

    Examples
    --------
    >>> task = CartPole()
    >>> learner = RewardLearner(task, ep.Simulator(task.build_network()), PolicyTraining(steps=100_000))
    >>> Trainer(learner).run()
    >>> learner.evaluate().mean
    """

    unit, test_unit = "steps", "episodes"
    settings = PolicyTraining

    def __init__(
        self,
        task: Control,
        simulator: Simulator,
        training: PolicyTraining | None = None,
        episodes: EpisodeChoice | None = None,
    ):
        self.task, self.simulator, self.training = task, simulator, training or PolicyTraining()
        self.test = episodes or EpisodeChoice()
        self.updates, self.episodes, self.events, self.seconds, self.processor_seconds = 0, 0, 0, 0.0, 0.0
        self._sums, self._recent = Sums(), collections.deque[float](maxlen=RECENT)
        self._latest: Experience | None = None
        n = self.training.environments
        self._environments, self._lanes = task.make_environments(n), simulator.lanes(n)
        scale = ObservationScale(spaces(task)[0]) if task.scales_observations else None
        self._learner = RolloutLearner(
            simulator,
            make_agent(task, self._lanes, derive(task.seed, LEARN_AGENT), scale),
            Episodes(self._environments, derive(task.seed, LEARN_EPISODES), longest=task.longest),
            self.training,
            self.training.rollout,
            self.training.passes,
        )

    @classmethod
    def of_run(cls, setup: Setup) -> RewardLearner:
        """See `Learner.of_run`; `ParameterError` for options that need samples."""
        name = setup.task.name
        if setup.comm.size > 1:
            raise ParameterError(f"the task {name!r} runs in one process: leave out mpiexec")
        if setup.execution.parallel != "model":
            raise ParameterError(f"the task {name!r} does not know --parallel data")
        return cls(cast("Control", setup.task), setup.simulator, setup.training, cast("EpisodeChoice", setup.data))

    @property
    def total(self) -> int:
        """Steps of all environments together."""
        return self.training.updates * self._steps_per_update

    @property
    def done(self) -> int:
        """Steps of the environments so far."""
        return self.updates * self._steps_per_update

    @property
    def _steps_per_update(self) -> int:
        return self.training.environments * self.training.rollout

    @property
    def recent_return(self) -> float:
        """Mean return of the last `RECENT` episodes, with random actions; NaN before the first."""
        return mean_of(self._recent)

    @property
    def observation_scale(self) -> ObservationScale | None:
        """Scale of all observations so far; None if the task does not scale them."""
        return self._learner.agent.scale

    def finish(self) -> None:
        """Close the environments; reset the learning rates."""
        self._environments.close()
        self.simulator.scale_learning_rates(1.0)

    def state(self) -> State:
        """See `Learner.state`."""
        agent, learner = self._learner.agent.state(), self._learner
        parts = {"episodes": learner.episodes.state(), "lanes": self._lanes.state()}
        if self.observation_scale is not None:
            parts["observation_scale"] = self.observation_scale.moments.state()
        if self.training.scale_rewards:
            parts["reward_scale"] = learner.reward_scale.state()
        return {
            "updates": self.updates,
            "episodes": self.episodes,
            "seconds": self.seconds,
            "processor_seconds": self.processor_seconds,
            "events": self.events,
            "sums": dict(self._sums.values),
            "recent": list(self._recent),
            "draws": agent["draws"],
            "encoder/memory": agent["memory"],
            **{f"{part}/{name}": np.asarray(value) for part, state in parts.items() for name, value in state.items()},
        }

    def set_state(self, state: State) -> None:
        """See `Learner.set_state`; present episodes are repeated up to where they were."""
        if state["updates"] > self.training.updates:
            at = state["updates"] * self._steps_per_update
            raise DataError(f"the training is at step {at}, but has only {self.total} now")
        self.updates, self.episodes, self.events = state["updates"], state["episodes"], state["events"]
        self.seconds, self.processor_seconds = state["seconds"], state["processor_seconds"]
        self._sums, self._recent = Sums(dict(state["sums"])), collections.deque(state["recent"], RECENT)
        learner = self._learner
        if self.observation_scale is not None:
            self.observation_scale.moments.set_state(below("observation_scale", state))
        if self.training.scale_rewards:
            learner.reward_scale.set_state(below("reward_scale", state))
        self._lanes.set_state(below("lanes", state))
        learner.agent.set_state({"draws": state["draws"], "memory": state["encoder/memory"]})
        restarted = learner.episodes.set_state(below("episodes", state))
        learner.agent.reset(np.array(restarted, np.int64))

    def step(self, check: Check) -> None:
        """Act for one rollout, then learn from it."""
        began, processor, events = time.perf_counter(), time.process_time(), self.simulator.events
        self.simulator.scale_learning_rates(self._eta_factor())
        self._learner.objective = self.training.objective_at(self.done / self.total)
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
        spikes = int(np.sum(self._lanes.spikes))
        self._sums.add(episodes=len(finished), spikes=spikes, steps=self._steps_per_update, seconds=seconds)
        for each in finished:
            self._sums.add(total=each.total)

    def report(self, check: Check) -> JsonObject | None:
        """A line of metrics if one is due."""
        times, updates = min(self.training.reports, self.training.updates), self.training.updates
        sums = self._sums
        if self.updates * times // updates == (self.updates - 1) * times // updates:
            return None
        self._sums, steps = Sums(), sums["steps"]
        neuron_seconds = steps * self.task.substeps * self.task.dt / 1000.0 * self.task.neurons
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
        return SCHEDULES[self.training.schedule](self.done / self.total, self.training.eta_final)

    def progress(self) -> Progress:
        """See `Learner.progress`."""
        return Progress(
            self.done, self.total, self.unit, seconds=self.seconds, values={"return": self.recent_return}
        )  # fmt: skip

    def evaluate(self, show: Show | None = None) -> Returns:
        """Returns of the test episodes."""
        return judge(self.task, self.simulator, self.test, show, self.observation_scale)

    def summary(self) -> JsonObject:
        """Environment, steps and episodes learned from."""
        return {
            "environment": getattr(self.task, "env", self.task.name),
            "recent_return": known(self.recent_return),
            "environment_steps": self.done,
            "episodes_learned": self.episodes,
            "train_processor_seconds": self.processor_seconds,
            "steps_per_second": self.done / max(self.seconds, 1e-9),
        }


def make_agent(task: Control, lanes: ParallelNetwork, seed: int, scale: ObservationScale | None = None) -> Agent:
    """An agent of a task's network; `ParameterError` if the task scales observations and no scale is given."""
    shape, actions = spaces(task)
    if scale is None and task.scales_observations:
        raise ParameterError(
            f"the task {task.name!r} scales its observations by those that it has learned from: give their scale, "
            "which RewardLearner.observation_scale and observation_scale_of(task, checkpoint.position) have"
        )
    return Agent(lanes, task.make_encoder(), task.make_policy(actions), shape, task.substeps, seed, scale)


def observation_scale_of(task: Control, state: State) -> ObservationScale | None:
    """The scale of observations in a `RewardLearner.state`, frozen; None if the task does not scale them."""
    if not task.scales_observations:
        return None
    scale = ObservationScale(spaces(task)[0])
    scale.moments.set_state(below("observation_scale", state))
    return scale.frozen()


def value_unit_of(training: PolicyTraining, state: State) -> float:
    """Value of a readout at 1 mV, in units of the environment's rewards, by a `RewardLearner.state`."""
    if not training.scale_rewards:
        return training.value_scale
    scale = RewardScale(training.environments)
    scale.set_state(below("reward_scale", state))
    return training.value_scale * float(scale.moments.unit)


def judge(
    task: Control,
    simulator: Simulator,
    choice: EpisodeChoice | None = None,
    show: Callable[[int, int], object] | None = None,
    scale: ObservationScale | None = None,
) -> Returns:
    """Returns of whole episodes with frozen weights.

    Parameters
    ----------
    task : Control
    simulator : Simulator
        Of the task's network; its weights do not change.
    choice : EpisodeChoice, optional
        Number and seed of the episodes.
    show : callable of (episodes done, all episodes), optional
    scale : ObservationScale, optional
        Scale of the observations that were learned from; it does not change. Needed if the task scales observations.

    Raises
    ------
    ParameterError
        If the scale is needed and not given.
    """
    choice, began = choice or EpisodeChoice(), time.perf_counter()
    progress = counted_by(show, choice.episodes)
    parts: list[Returns] = []
    for first in range(0, choice.episodes, PARALLEL_EPISODES):
        n = min(PARALLEL_EPISODES, choice.episodes - first)
        lanes = simulator.lanes(n, learn=False)
        agent = make_agent(task, lanes, derive(choice.seed, TEST_AGENT, first), scale and scale.frozen())
        environments = task.make_environments(n)
        seeds = [derive(choice.seed, TEST_EPISODES, first + k) % 2**31 for k in range(n)]
        try:
            parts.append(play(agent, environments, seeds, greedy=task.greedy, progress=progress, longest=task.longest))
        finally:
            environments.close()
    totals, steps = (np.concatenate([getattr(part, name) for part in parts]) for name in ("totals", "steps"))
    return Returns(totals, steps, time.perf_counter() - began, sum(part.cut for part in parts))
