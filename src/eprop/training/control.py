"""Teach a network to act: rollouts in environments side by side, e-prop's step after each, a report now and then."""

from __future__ import annotations

import collections
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from eprop.engine import Simulator
from eprop.errors import DataError, DivergenceError, ParameterError
from eprop.parameters import param
from eprop.random import derive
from eprop.rl import (
    Agent,
    Episodes,
    Experience,
    Finished,
    Objective,
    ObservationScale,
    Returns,
    RewardScale,
    RolloutLearner,
    diagnose,
    play,
)  # fmt: skip
from eprop.tasks.control import Control, EpisodeChoice, spaces
from eprop.training.interrupt import Interrupt
from eprop.training.loop import LoopPosition, TrainingLoop, check_schedule
from eprop.training.position import Told
from eprop.training.schedule import SCHEDULES, linear
from eprop.training.watch import ControlProgress, Watcher

#: Episodes that are judged side by side, so that memory is bounded whatever their number.
SIDE_BY_SIDE = 100
#: Episodes over which returns are averaged while learning.
RECENT = 100
#: Streams of seeds: episodes to learn from, inputs and actions; the same for the episodes of a test.
LEARN_EPISODES, LEARN_AGENT, TEST_EPISODES, TEST_AGENT = range(4)
#: Parts of a position: scales of observations and of rewards.
OBSERVATIONS, REWARDS = "scale of observations", "scale of rewards"


@dataclass(frozen=True)
class PolicyTraining(Objective):
    """How long, how fast and from what to learn; see `eprop.rl.Objective` for what makes an action good."""

    steps: int = param(500_000, kind=int, at_least=1, doc="steps of the environments, all together")
    environments: int = param(32, kind=int, at_least=1, doc="environments side by side")
    rollout: int = param(64, kind=int, at_least=1, doc="steps of each environment from one update to the next")
    passes: int = param(1, kind=int, at_least=1, doc="how often a rollout is learned from; more than once: set a clip")
    schedule: str = param(
        "linear", kind=str, doc="of the learning rates: constant, linear, exponential, cosine or step"
    )
    eta_final: float = param(0.01, at_least=0.0, at_most=1.0, doc="learning rates end at this fraction")
    entropy_final: float = param(
        1.0, at_least=0.0, at_most=1.0, doc="the weight of the entropy goes to this fraction, along a straight line"
    )
    reports: int = param(200, kind=int, at_least=1, doc="lines of metrics, at most one per update")

    def validate(self) -> None:
        """A schedule that exists and can come to its end; a bound where a rollout is learned from several times."""
        check_schedule("PolicyTraining", self.schedule, self.eta_final)
        if self.passes > 1 and self.clip is None:
            raise ParameterError(
                f"PolicyTraining.passes = {self.passes} needs a clip, such as 0.2: without, nothing keeps the policy "
                "near the one that has acted"
            )

    def objective_at(self, done: float) -> Objective:
        """The objective after the part ``done`` (0 to 1) of the training."""
        values = {field.name: getattr(self, field.name) for field in fields(Objective)}
        return Objective(**{**values, "entropy": self.entropy * linear(done, self.entropy_final)})

    @property
    def updates(self) -> int:
        """Rollouts: as many as bring ``steps``."""
        return math.ceil(self.steps / (self.environments * self.rollout))


@dataclass
class _Interval:
    """What happened since the last report."""

    total: float = 0.0
    episodes: int = 0
    spikes: int = 0
    steps: int = 0
    seconds: float = 0.0

    @classmethod
    def of(cls, told: Told) -> _Interval:
        """From a checkpoint."""
        whole, real = told.whole, told.real
        return cls(real("total"), whole("episodes"), whole("spikes"), whole("steps"), real("seconds"))


@dataclass
class _Position(LoopPosition):
    """All that must be remembered beside the states of simulator, streams, agent and episodes."""

    updates: int = 0
    episodes: int = 0
    processor_seconds: float = 0.0
    interval: _Interval = field(default_factory=_Interval)
    recent: collections.deque[float] = field(default_factory=lambda: collections.deque(maxlen=RECENT))


class PolicyTrainer(TrainingLoop):
    """Teaches a simulator to act.

    Parameters
    ----------
    task : Control
    simulator : Simulator
        Of the task's network.
    training : PolicyTraining
    watcher : Watcher, optional
        Is told of progress and metrics; a progress bar if not given, ``Watcher()`` shows nothing.
    save : callable of (trainer), optional
        Is called every few minutes, to write a checkpoint.
    interrupt : Interrupt, optional
        Where Ctrl-C is noted; an own one if not given. The trainer then stops between two updates and raises `Stopped`;
        another `run` goes on from there.
    callbacks : sequence of callables of (trainer, line), optional
        Called after each line of metrics; when one returns True, the training ends.

    Examples
    --------
    >>> task = CartPole()
    >>> trainer = PolicyTrainer(task, ep.Simulator(task.build_network()), PolicyTraining(steps=100_000))
    >>> trainer.run()
    >>> judge(task, trainer.simulator, scale=trainer.observation_scale).mean
    """

    _at: _Position

    def __init__(
        self,
        task: Control,
        simulator: Simulator,
        training: PolicyTraining | None = None,
        *,
        watcher: Watcher | None = None,
        save: Callable[[PolicyTrainer], None] | None = None,
        interrupt: Interrupt | None = None,
        callbacks: Sequence[Callable[[Any, dict[str, Any]], bool | None]] = (),
    ):
        super().__init__(simulator, _Position(), watcher, save, interrupt, callbacks)
        self.task, self.training = task, training or PolicyTraining()
        self._latest: Experience | None = None
        n = self.training.environments
        self._environments = task.make_environments(n)
        self._streams = simulator.lanes(n)
        scale = ObservationScale(spaces(task)[0]) if task.scales_observations else None
        agent = make_agent(task, self._streams, derive(task.seed, LEARN_AGENT), scale)
        episodes = Episodes(self._environments, derive(task.seed, LEARN_EPISODES))
        self._learner = RolloutLearner(
            simulator, agent, episodes, self.training, self.training.rollout, self.training.passes
        )

    @property
    def total(self) -> int:
        """Steps of the environments, all together."""
        return self.training.updates * self._per_update

    @property
    def done(self) -> int:
        """Steps of the environments so far."""
        return self._at.updates * self._per_update

    @property
    def processor_seconds(self) -> float:
        """Time of the processor spent learning, of all threads together."""
        return self._at.processor_seconds

    @property
    def episodes(self) -> int:
        """Episodes that have ended."""
        return self._at.episodes

    @property
    def recent_return(self) -> float:
        """Mean return of the last `RECENT` episodes, with actions drawn at random; NaN before the first."""
        return float(np.mean(self._at.recent)) if self._at.recent else math.nan

    @property
    def observation_scale(self) -> ObservationScale | None:
        """Of all observations so far; None if the task does not scale them."""
        return self._learner.agent.scale

    def warm_up(self) -> None:
        """Nothing has to be compiled."""

    def close(self) -> None:
        """Let go of the environments."""
        self._environments.close()

    def position(self) -> dict[str, Any]:
        """Where the training is, in plain numbers and arrays; with the simulator's state it is enough to go on bit by bit."""
        at, agent, learner = self._at, self._learner.agent.state(), self._learner
        scales = {OBSERVATIONS: self.observation_scale.moments.state()} if self.observation_scale else {}
        if self.training.scale_rewards:
            scales[REWARDS] = learner.reward_scale.state()
        return {
            "done": self.done,
            "updates": at.updates,
            "episodes": at.episodes,
            "seconds": at.seconds,
            "processor_seconds": at.processor_seconds,
            "events": at.events,
            "stopped_early": at.stopped_early,
            "interval": dict(vars(at.interval)),
            "recent": list(at.recent),
            "draws": agent["draws"],
            "encoder/memory": agent["memory"],
            **{f"{part}/{name}": array for part, state in scales.items() for name, array in state.items()},
            **{f"episodes/{name}": array for name, array in learner.episodes.state().items()},
            **{f"streams/{name}": np.asarray(array) for name, array in self._streams.state().items()},
        }

    def set_position(self, position: dict[str, Any]) -> None:
        """Go on from a `position`; episodes under way are repeated up to where they were."""
        at, told = self._at, Told(position)
        at.updates, at.episodes, at.events = (told.whole(name) for name in ("updates", "episodes", "events"))
        at.seconds, at.processor_seconds = told.real("seconds"), told.real("processor_seconds")
        at.stopped_early = told.flag("stopped_early")
        at.interval = _Interval.of(Told(position["interval"], "interval"))
        at.recent = collections.deque(told.reals("recent", RECENT), RECENT)
        if self.done > self.total:
            raise DataError(f"the training is at step {self.done}, but has only {self.total} now")
        if self.observation_scale is not None:
            self.observation_scale.moments.set_state(_below(OBSERVATIONS, position))
        if self.training.scale_rewards:
            self._learner.reward_scale.set_state(_below(REWARDS, position))
        self._streams.set_state(_below("streams", position))
        self._learner.agent.set_state({"draws": position["draws"], "memory": position["encoder/memory"]})
        anew = self._learner.episodes.set_state(_below("episodes", position))
        self._learner.agent.reset(np.array(anew, np.int64))

    # ---------------------------------------------------------------- one update

    @property
    def _per_update(self) -> int:
        return self.training.environments * self.training.rollout

    def _eta_factor(self) -> float:
        return SCHEDULES[self.training.schedule](self.done / self.total, self.training.eta_final)

    def _stopped_midway(self) -> bool:
        return self._at.interval.steps > 0

    def _learn_some(self) -> None:
        at, part = self._at, self._at.interval
        began, processor, events = time.perf_counter(), time.process_time(), self.simulator.events
        self.simulator.scale_learning_rates(self._eta_factor())
        self._learner.objective = self.training.objective_at(self.done / self.total)
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # what diverges is reported by an error
                self._latest, finished = self._learner.update()
        except DivergenceError as error:
            raise DivergenceError(f"after {self.done} steps of the environments, {error}") from None
        at.updates += 1
        at.events += self.simulator.events - events
        seconds = time.perf_counter() - began
        at.seconds += seconds
        part.seconds += seconds
        at.processor_seconds += time.process_time() - processor
        self._note(finished)

    def _note(self, finished: list[Finished]) -> None:
        at, part = self._at, self._at.interval
        at.episodes += len(finished)
        at.recent.extend(each.total for each in finished)
        part.episodes += len(finished)
        for each in finished:
            part.total += each.total
        part.spikes += int(np.sum(self._streams.spikes))
        part.steps += self._per_update

    def _show(self) -> None:
        self.watcher.control_progress(
            ControlProgress(self.done, self.total, self.episodes, self.recent_return, self.seconds)
        )

    def _report_if_due(self) -> None:
        times, total = min(self.training.reports, self.training.updates), self.training.updates
        if self._at.updates * times // total == (self._at.updates - 1) * times // total:
            return
        part, steps = self._at.interval, max(self._at.interval.steps, 1)
        neuron_seconds = steps * self.task.substeps * self.task.dt / 1000.0 * self.task.neurons
        self._at.interval = _Interval()
        line: dict[str, Any] = {
            "samples": self.done,
            "learned": self.done,
            "total": self.total,
            "episodes": self.episodes,
            "return": part.total / part.episodes if part.episodes else None,
            "recent_return": None if math.isnan(self.recent_return) else self.recent_return,
            **self._diagnosis(),
            "rate": part.spikes / neuron_seconds,
            "eta_factor": self._eta_factor(),
            "seconds": self.seconds,
            "steps_per_second": steps / max(part.seconds, 1e-9),
        }
        self._tell(line)

    def _diagnosis(self) -> dict[str, float | None]:
        """How unsure the policy is, and how good the value, in the latest rollout; None where it cannot be told."""
        if self._latest is None:
            return {}
        told = diagnose(self._latest, self._learner.objective, self._learner.agent.policy)
        return {name: None if math.isnan(value) else value for name, value in told._asdict().items()}


def make_agent(task: Control, streams: Any, seed: int, scale: ObservationScale | None = None) -> Agent:
    """An agent of a task's network; `ParameterError` if the task scales observations and no scale is given."""
    shape, actions = spaces(task)
    if scale is None and task.scales_observations:
        raise ParameterError(
            f"the task {task.name!r} scales its observations by those that it has learned from: give their scale, "
            "which PolicyTrainer.observation_scale and observation_scale_of(task, checkpoint.position) have"
        )
    return Agent(streams, task.make_encoder(), task.make_policy(actions), shape, task.substeps, seed, scale)


def observation_scale_of(task: Control, position: Mapping[str, Any]) -> ObservationScale | None:
    """The scale of observations in a `PolicyTrainer.position`, frozen; None if the task does not scale them."""
    if not task.scales_observations:
        return None
    scale = ObservationScale(spaces(task)[0])
    scale.moments.set_state(_below(OBSERVATIONS, position))
    return scale.frozen()


def value_unit_of(training: PolicyTraining, position: Mapping[str, Any]) -> float:
    """Value of a readout at 1 mV, in units of the environment's rewards, by a `PolicyTrainer.position`."""
    if not training.scale_rewards:
        return training.value_scale
    scale = RewardScale(training.environments)
    scale.set_state(_below(REWARDS, position))
    return training.value_scale * float(scale.moments.unit)


def judge(
    task: Control,
    simulator: Simulator,
    choice: EpisodeChoice | None = None,
    progress: Callable[[int], None] | None = None,
    scale: ObservationScale | None = None,
) -> Returns:
    """Returns of whole episodes with frozen weights.

    Parameters
    ----------
    task : Control
    simulator : Simulator
        Of the task's network; its weights stay as they are.
    choice : EpisodeChoice, optional
        How many, and of which seed.
    progress : callable of (episodes done since the last call), optional
    scale : ObservationScale, optional
        Of the observations that were learned from; it stays as it is. Needed if the task scales observations.

    Raises
    ------
    ParameterError
        If it is needed and not given.
    """
    choice, began = choice or EpisodeChoice(), time.perf_counter()
    totals, steps = [], []
    for first in range(0, choice.episodes, SIDE_BY_SIDE):
        n = min(SIDE_BY_SIDE, choice.episodes - first)
        streams = simulator.lanes(n, learn=False)
        agent = make_agent(task, streams, derive(choice.seed, TEST_AGENT, first), scale and scale.frozen())
        environments = task.make_environments(n)
        seeds = [derive(choice.seed, TEST_EPISODES, first + k) % 2**31 for k in range(n)]
        try:
            part = play(agent, environments, seeds, greedy=task.greedy, progress=progress)
        finally:
            environments.close()
        totals.append(part.totals)
        steps.append(part.steps)
    return Returns(np.concatenate(totals), np.concatenate(steps), time.perf_counter() - began)


def _below(name: str, position: Mapping[str, Any]) -> dict[str, Any]:
    """Arrays of a position whose names begin with ``name/``."""
    return {key.removeprefix(f"{name}/"): value for key, value in position.items() if key.startswith(f"{name}/")}
