"""Learn from rewards: act in parallel environments, then take e-prop's gradient of a rollout and an optimiser step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from eprop.encoders import Encoder
from eprop.errors import InputError
from eprop.network import Network
from eprop.parameters import check_count
from eprop.rl.environments import LONGEST, Environments, Episodes, Finished
from eprop.rl.objective import Experience, Objective, credit, objective_errors
from eprop.rl.policies import Policy
from eprop.rl.scaling import ObservationScale, RewardScale

#: Random streams of an agent: one for its inputs, one for its actions.
INPUTS, ACTIONS = range(2)


class ParallelNetwork(Protocol):
    """Copies of a network that act in parallel: what an agent needs of ``Simulator.lanes``."""

    n: int

    def run(self, steps: int, channels: np.ndarray) -> np.ndarray:
        """Steps of the network with events ``(steps, n, channels)``; voltages of the readouts, mV, ``(n, steps, readouts)``."""

    def reset(self, which: np.ndarray) -> None:
        """Episodes of these lanes have ended: their networks restart from rest."""

    def backward(self, errors: np.ndarray) -> dict[str, np.ndarray]:
        """Gradients from errors ``(n, steps, readouts)``; the next rollout begins."""

    def replay(self) -> np.ndarray:
        """Repeat the rollout with the present weights; voltages ``(n, steps, readouts)``."""

    def learn(self, gradients: dict[str, np.ndarray]) -> None:
        """Apply an optimiser step to the weights."""


class Decision(NamedTuple):
    """Actions in one step of the environments, and the readout voltages (mV) that gave them."""

    actions: np.ndarray
    y: np.ndarray


class Agent:
    """A network that acts: observations become spikes, some steps of the network later readouts become actions.

    Parameters
    ----------
    lanes : ParallelNetwork
        As ``Simulator.lanes(n)`` makes them.
    encoder : Encoder
    policy : Policy
    shape : tuple of int
        Of an observation.
    substeps : int
        Steps of the network for each step of the environment.
    seed : int
    scale : ObservationScale, optional
        Scale of the observations before they are encoded.

    Attributes
    ----------
    memory : ndarray
        State of the encoder.
    """

    def __init__(
        self, lanes: ParallelNetwork, encoder: Encoder, policy: Policy, shape: tuple[int, ...], substeps: int, seed: int,
        scale: ObservationScale | None = None,
    ):  # fmt: skip
        check_count("Agent.substeps", substeps)
        self.lanes, self.encoder, self.policy, self.n, self.substeps = lanes, encoder, policy, lanes.n, substeps
        self.memory, self.scale = encoder.memory(self.n, shape), scale
        self._draws = [np.random.default_rng([seed, purpose]) for purpose in (INPUTS, ACTIONS)]

    def act(self, observations: np.ndarray, masks: np.ndarray | None = None, *, greedy: bool = False) -> Decision:
        """Show an observation to each stream, and choose an action by the readouts after ``substeps`` steps.

        Parameters
        ----------
        observations : ndarray, shape (n, ...)
        masks : ndarray of bool, shape (n, actions), optional
        greedy : bool
            Take the most probable action instead of a random one.
        """
        if self.scale is not None:
            observations = self.scale.scaled(observations)
        spikes = self.encoder.spikes(observations, self.substeps, self._draws[INPUTS], self.memory)
        y = np.array(self.lanes.run(self.substeps, spikes)[:, -1])
        acting = y[:, :-1]
        if greedy:
            return Decision(self.policy.best(acting, masks), y)
        return Decision(self.policy.sample(acting, self._draws[ACTIONS], masks), y)

    def reset(self, which: np.ndarray) -> None:
        """Episodes of these lanes have ended: network and encoder restart."""
        if which.size:
            self.lanes.reset(which)
            self.encoder.forget(self.memory, which)

    def state(self) -> dict[str, Any]:
        """State of the random numbers and of the encoder."""
        return {"draws": [rng.bit_generator.state for rng in self._draws], "memory": self.memory.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a `state`.

        Raises
        ------
        InputError
            If the state is of another encoder.
        """
        memory = np.asarray(state["memory"])
        if memory.shape != self.memory.shape:
            raise InputError(f"the state of the encoder has the shape {self.memory.shape}, got {memory.shape}")
        for rng, kept in zip(self._draws, state["draws"], strict=True):
            rng.bit_generator.state = kept
        self.memory[...] = memory


class RolloutLearner:
    """Actor and critic in one network, learned by e-prop, rollout by rollout.

    Parameters
    ----------
    simulator : Simulator
        Of a network whose readouts are those of the policy, then one for the value.
    agent : Agent
        Of ``simulator.lanes(n)``.
    episodes : Episodes
        Of as many environments.
    objective : Objective
    rollout : int
        Steps of the environments in a rollout.
    passes : int
        How often a rollout is learned from; from the second time on it is simulated again with the weights of then.

    Attributes
    ----------
    reward_scale : RewardScale
        Of all rewards so far, if the objective scales rewards.

    Raises
    ------
    InputError
        If the network has other readouts than policy and value need, or there are not as many lanes as environments.
    ParameterError
        If ``rollout`` or ``passes`` is no whole number from 1 on.
    """

    def __init__(
        self, simulator: Any, agent: Agent, episodes: Episodes, objective: Objective, rollout: int = 64, passes: int = 1
    ):
        if episodes.environments.n != agent.n:
            raise InputError(f"the agent has {agent.n} lanes for {episodes.environments.n} environments")
        check_readouts(simulator.network, agent.policy.readouts(episodes.environments.actions))
        check_count("RolloutLearner.rollout", rollout)
        check_count("RolloutLearner.passes", passes)
        self.simulator, self.agent, self.episodes, self.objective = simulator, agent, episodes, objective
        self.rollout, self.passes, self.reward_scale = rollout, passes, RewardScale(agent.n)

    def update(self) -> tuple[Experience, list[Finished]]:
        """Act for one rollout, then learn from it.

        Returns
        -------
        Experience
            With the rewards that were learned from, scaled or not.
        list of Finished
            Episodes that ended during the rollout.
        """
        experience, finished = self.collect()
        if self.objective.scale_rewards:
            ends = experience.terminated | experience.truncated
            scaled = self.reward_scale.scaled(experience.rewards, ends, self.objective.gamma)
            experience = experience._replace(rewards=scaled)
        worth, y, lanes = credit(experience, self.objective), None, self.agent.lanes
        for number in range(self.passes):
            if number:
                y = self._at_decisions(lanes.replay())
            wanted = objective_errors(experience, worth, self.objective, self.agent.policy, y)
            lanes.learn(lanes.backward(self._at_steps(wanted)))
        return experience, finished

    def collect(self) -> tuple[Experience, list[Finished]]:
        """Act for one rollout."""
        agent, episodes, policy = self.agent, self.episodes, self.agent.policy
        rows: list[Sequence[np.ndarray]] = []
        masks: list[Any] = []
        finished: list[Finished] = []
        for _ in range(self.rollout):
            allowed = None if episodes.masks is None else episodes.masks.copy()
            actions, y = agent.act(episodes.observations, allowed)
            *outcome, ended = episodes.step(policy.to_environment(actions, episodes.environments.actions))
            agent.reset(np.array([each.number for each in ended], np.int64))
            rows.append((y, actions, *outcome))
            masks.append(allowed)
            finished += ended
        ys, chosen, *outcomes = (np.stack(part) for part in zip(*rows, strict=True))
        mask = None if episodes.masks is None else np.stack(masks)
        log_probability = policy.log_probability(ys[:, :, :-1], chosen, mask)
        return Experience(ys, chosen, log_probability, mask, *outcomes), finished

    def _at_steps(self, wanted: np.ndarray) -> np.ndarray:
        """Errors ``(steps, n, readouts)`` of decisions, as those of the network's steps ``(n, all steps, readouts)``."""
        steps, n, readouts = wanted.shape
        out = np.zeros((n, steps, self.agent.substeps, readouts))
        out[:, :, -1] = wanted.transpose(1, 0, 2)
        return out.reshape(n, steps * self.agent.substeps, readouts)

    def _at_decisions(self, y: np.ndarray) -> np.ndarray:
        """Voltages ``(n, all steps, readouts)`` of the network's steps, as those of decisions ``(steps, n, readouts)``."""
        return y[:, self.agent.substeps - 1 :: self.agent.substeps].transpose(1, 0, 2)


def check_readouts(network: Network, policy: int) -> None:
    """Whether a network has ``policy`` readouts and one for the value.

    Raises
    ------
    InputError
        If it has not.
    """
    sizes = {p.name: p.size for p in network.populations if p.model.role == "readout"}
    if sum(sizes.values()) != policy + 1 or list(sizes.values())[-1:] != [1]:
        raise InputError(
            f"actor and critic need {policy} readouts for the policy, then a population of one for the value; the network has "
            f"{', '.join(f'{size} in {name!r}' for name, size in sizes.items()) or 'none'}"
        )


@dataclass(frozen=True, eq=False)
class Returns:
    """Returns of episodes.

    Attributes
    ----------
    totals : ndarray, shape (episodes,)
        Sum of the rewards of each, not discounted.
    steps : ndarray of int, shape (episodes,)
        Steps of the environment.
    seconds : float
        Wall clock time.
    cut : int
        Number of episodes that were cut at the largest number of steps.
    """

    totals: np.ndarray
    steps: np.ndarray
    seconds: float = 0.0
    cut: int = 0

    @property
    def mean(self) -> float:
        """Mean return."""
        return float(self.totals.mean())

    @property
    def std(self) -> float:
        """Standard deviation of the return over episodes (n - 1 in the denominator); 0 of a single one."""
        return float(self.totals.std(ddof=1)) if self.totals.size > 1 else 0.0

    def summary(self) -> dict[str, Any]:
        """Entries of ``summary.json``."""
        cut = f", {self.cut:,} of them cut (longest=N)" if self.cut else ""
        return {
            "score": "mean return",
            "value": self.mean,
            "spread": self.std,
            "sigma": self.std / math.sqrt(self.totals.size),
            "unit": "",
            "tested": f"{self.totals.size:,} episode{'' if self.totals.size == 1 else 's'}{cut}",
            "mean_return": self.mean,
            "std_return": self.std,
            "episodes": int(self.totals.size),
            "episodes_cut": self.cut,
            "mean_steps": float(self.steps.mean()),
            "test_seconds": self.seconds,
        }


def play(
    agent: Agent,
    environments: Environments,
    seeds: list[int],
    *,
    greedy: bool = True,
    progress: Callable[[int], None] | None = None,
    longest: int = LONGEST,
) -> Returns:
    """Play one episode in each of several parallel environments, with frozen weights.

    Parameters
    ----------
    agent : Agent
        At rest, with as many streams as there are environments: of ``Simulator.lanes(n, learn=False)``.
    environments : Environments
    seeds : list of int
        Seed of the episode in each environment.
    greedy : bool
        Take the most probable action instead of a random one.
    progress : callable of (episodes that ended since the last call), optional
    longest : int
        Steps after which an episode is cut.
    """
    episodes, finished = Episodes(environments, seeds, longest=longest), list[Finished]()
    while len(finished) < environments.n:
        actions, _ = agent.act(episodes.observations, episodes.masks, greedy=greedy)
        *_, ended = episodes.step(agent.policy.to_environment(actions, environments.actions))
        finished += ended
        if progress is not None:
            progress(len(ended))
    finished.sort(key=lambda episode: episode.number)
    totals, steps = np.array([each.total for each in finished]), np.array([each.steps for each in finished])
    return Returns(totals, steps, cut=sum(each.cut for each in finished))
