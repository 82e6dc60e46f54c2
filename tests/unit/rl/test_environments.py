"""Episodes one after another; going on with those under way; environments of Gymnasium."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from compare import assert_same
from eprop.errors import InputError, MissingExtraError, ParameterError
from eprop.rl import (
    ContinuousActions,
    DiscreteActions,
    EpisodeRestartedWarning,
    Episodes,
    GymnasiumEnvironments,
    Observation,
    Outcome,
)
from refusals import each_of, refusals
from worlds import RIGHT, Corridor


def test_an_episode_follows_the_one_before():
    episodes = Episodes(Corridor(2), seed=3)
    finished = []
    for _ in range(12):
        rewards, terminated, truncated, ended = episodes.step([RIGHT, RIGHT])
        assert terminated.sum() == len(ended) == rewards.sum()
        assert not truncated.any()
        finished += ended
    assert {each.number for each in finished} == {0, 1}
    numbers = [each.episode for each in finished if each.number == 0]
    assert numbers == list(range(len(numbers)))
    assert all(each.total == 1.0 and 1 <= each.steps <= 3 for each in finished)


def wander(episodes, steps, seed=0):
    rng, out = np.random.default_rng(seed), []
    for _ in range(steps):
        rewards, *_ = episodes.step(rng.integers(2, size=3))
        out.append((rewards, episodes.observations.copy()))
    return out


def test_episodes_are_functions_of_the_seed_and_those_under_way_are_repeated():
    one, other, same = (Episodes(Corridor(3), seed) for seed in (4, 5, 4))
    wander(one, 7), wander(other, 7)
    log = one.environments.log
    assert len({seed for _, seed in log}) == len(log)  # no two episodes are alike
    assert log != other.environments.log
    assert same.set_state(one.state()) == []
    assert_same(wander(same, 20, 1), wander(one, 20, 1))
    with pytest.raises(InputError, match="3 environments, here are 2"):
        Episodes(Corridor(2), seed=4).set_state(one.state())
    forgetful = [Episodes(Corridor(2, forgetful=True), seed=4) for _ in range(2)]
    forgetful[0].step([0, 1])
    with pytest.warns(EpisodeRestartedWarning, match="2 of 2 environments"):
        assert forgetful[1].set_state(forgetful[0].state()) == [0, 1]


class Endless(Corridor):
    """A corridor whose episodes never end."""

    def step(self, number, action):
        super().step(number, action)
        return Outcome(self._observation(number), 1.0, False, False)


def test_an_episode_without_end_is_cut():
    episodes = Episodes(Endless(2), seed=3, longest=4)
    steps = [episodes.step([RIGHT, RIGHT]) for _ in range(9)]
    assert [truncated.tolist() for _, _, truncated, _ in steps] == [[k % 4 == 3] * 2 for k in range(9)]
    assert not any(terminated.any() for _, terminated, _, _ in steps)
    assert [(each.total, each.steps, each.cut) for each in steps[3][3]] == [(4.0, 4, True)] * 2
    other = Episodes(Endless(2), seed=3, longest=4)
    assert other.set_state(episodes.state()) == []
    walk = Episodes(Corridor(1), seed=3, longest=30)
    ended = [each for _ in range(60) for each in walk.step([RIGHT])[3]]
    assert ended
    assert not any(each.cut for each in ended)  # the environment has ended them


# ------------------------------------------------------------------------------------------------------------ Gymnasium


@pytest.fixture
def gymnasium():
    """The library."""
    return pytest.importorskip("gymnasium", reason="needs the extra rl")


@pytest.fixture
def register(gymnasium, monkeypatch):
    """Give an environment of the library a name."""
    return lambda name, kind: monkeypatch.setitem(
        gymnasium.registry, name, gymnasium.envs.registration.EnvSpec(name, kind)
    )


def test_actions_and_observations_of_all_kinds(gymnasium):
    environments = GymnasiumEnvironments("CartPole-v1", 2)
    assert (environments.shape, environments.actions) == ((4,), DiscreteActions(2))
    episodes, other = (Episodes(GymnasiumEnvironments("CartPole-v1", 2), seed=1) for _ in range(2))
    for _ in range(60):
        assert all(
            5 <= each.steps <= 15 for each in episodes.step([1, 1])[3]
        )  # a pole that is always pushed falls soon
    assert other.set_state(episodes.state()) == []
    environments.close()
    pendulum = GymnasiumEnvironments("Pendulum-v1")
    assert pendulum.actions == ContinuousActions((-2.0,), (2.0,))
    pendulum.reset(0, 1)
    assert pendulum.step(0, np.array([1.5])).reward < 0.0
    lake = GymnasiumEnvironments("FrozenLake-v1")
    assert lake.shape == (16,)
    assert lake.reset(0, 1).values.tolist() == [1.0] + [0.0] * 15
    cards = GymnasiumEnvironments("Blackjack-v1")  # own sum, the dealer's card, whether there is a usable ace
    assert cards.shape == (32 + 11 + 2,)
    assert [int(part.sum()) for part in np.split(cards.reset(0, 1).values, [32, 43])] == [1, 1, 1]


def test_action_masks_are_those_of_the_environment(gymnasium, register):
    class Masked(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2,))
        action_space = gymnasium.spaces.Discrete(3, start=1)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return np.zeros(2, np.float32), {"action_mask": np.array([1, 0, 1], np.int8)}

        def step(self, action):
            return np.ones(2, np.float32), float(action), True, False, {"action_mask": np.array([1, 1, 0], np.int8)}

    register("Masked-v0", Masked)
    environments = GymnasiumEnvironments("Masked-v0")
    assert environments.reset(0, 3).mask.tolist() == [True, False, True]
    outcome = environments.step(0, 2)
    assert outcome.observation.mask.tolist() == [True, True, False]
    assert outcome.reward == 3.0  # the third action, numbered from 1
    assert GymnasiumEnvironments("Masked-v0", choices=(3, 1)).reset(0, 3).mask.tolist() == [True, True]


def test_some_of_the_actions_are_enough_and_one_can_be_repeated(gymnasium):
    lake = GymnasiumEnvironments("FrozenLake-v1", choices=(2, 1), is_slippery=False)
    assert lake.actions == DiscreteActions(2)
    lake.reset(0, 1)
    assert lake.step(0, 0).observation.values.argmax() == 1  # action 2 goes to the right
    assert lake.step(0, 1).observation.values.argmax() == 5  # action 1 goes down
    one, three = GymnasiumEnvironments("CartPole-v1"), GymnasiumEnvironments("CartPole-v1", repeat=3)
    one.reset(0, 1), three.reset(0, 1)
    singles, outcome = [one.step(0, 1) for _ in range(3)], three.step(0, 1)
    assert outcome.reward == 3.0
    assert outcome.observation.values.tolist() == singles[-1].observation.values.tolist()
    total, falls = 3.0, 4
    while not outcome.terminated:
        outcome = three.step(0, 1)
        total += outcome.reward
    while not one.step(0, 1).terminated:
        falls += 1
    assert total == falls  # the action is not repeated behind the end of the episode


@refusals(
    (lambda: GymnasiumEnvironments("CartPole-v1", 0), ParameterError, r"GymnasiumEnvironments\.n must be .* got 0"),
    (lambda: GymnasiumEnvironments("CartPole-v1", repeat=0), ParameterError, r"GymnasiumEnvironments\.repeat must be"),
    (lambda: GymnasiumEnvironments("FrozenLake-v1", choices=(1, 7)), ParameterError, "choices must be among .* 0 to 3"),
    (lambda: GymnasiumEnvironments("Endless-v0"), InputError, r"observations are Sequence\(.*, which have no fixed size"),
    # A version that Python does not read, and a library that is not there, too.
    *each_of(["CartPole-v9", "X-v" + "9" * 5000, "phys2d/CartPole-v1", "a/b/c"], GymnasiumEnvironments, ParameterError,
             "gymnasium has no environment"),
)  # fmt: skip
def test_environments_that_cannot_be_made_are_refused(refusal, gymnasium, register):
    class Endless(gymnasium.Env):
        observation_space = gymnasium.spaces.Sequence(gymnasium.spaces.Discrete(2))
        action_space = gymnasium.spaces.Discrete(2)

    register("Endless-v0", Endless)
    refusal.check()


@pytest.mark.parametrize(("package", "name"), [("gymnasium", "CartPole-v1"), ("ale_py", "ALE/Pong-v5")])
def test_what_is_missing_names_its_extra(package, name, gymnasium, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=f"pip install {package} "):
        GymnasiumEnvironments(name)


class Told(Corridor):
    """A corridor that tells something else from some step on."""

    def __init__(self, at_first: Observation, later: Observation):
        super().__init__(2)
        self.at_first, self.later = at_first, later

    def reset(self, number, seed):
        super().reset(number, seed)
        return self.at_first

    def step(self, number, action):
        return Outcome(self.later, 0.0, False, False)


BOTH, ZEROS = np.ones(2, bool), np.zeros(1)


def test_whole_numbers_at_first_do_not_make_later_observations_whole():
    episodes = Episodes(Told(Observation(np.array([0])), Observation(np.array([0.5]))), 1)
    episodes.step([0, 0])
    assert episodes.observations.tolist() == [[0.5], [0.5]]


@pytest.mark.parametrize(
    ("at_first", "later", "words"),
    [
        (Observation(ZEROS), Observation(ZEROS, BOTH), "gave none when it was reset"),
        (Observation(ZEROS, np.ones(3, bool)), Observation(ZEROS), r"an action mask must have shape \(2,\), .* got \(3,\)"),
        (Observation(ZEROS), Observation(np.zeros(())), r"environment 0 gave an observation of shape \(\), but declares"),
        (Observation(np.zeros(2)), Observation(ZEROS), r"environment 0 gave an observation of shape \(2,\), but declares"),
        (Observation(ZEROS), None, "must give an Observation when it is asked to step, got None"),
        (None, Observation(ZEROS), "must give an Observation when it is asked to reset, got None"),
        (Observation([[1.0], 2.0]), Observation(ZEROS), "the observation must be an array of numbers"),
        (Observation(ZEROS, BOTH), Observation(ZEROS, np.ones(3, bool)), r"an action mask must have shape \(2,\)"),
    ],
)  # fmt: skip
def test_what_an_environment_shows_must_fit(at_first, later, words):
    with pytest.raises(InputError, match=words):
        Episodes(Told(at_first, later), 1).step([0, 0])


@pytest.mark.parametrize(
    ("method", "given", "words"),
    [
        ("reset", None, "Odd-v0: reset must return observation and info, got None"),
        ("reset", (None, {}), "the observation must be real numbers, got (array\\()?None"),
        ("step", None, "Odd-v0: step must return observation, reward, .* got None"),
        ("step", (np.zeros(4), None, False, False, {}), "Odd-v0: a reward must be a finite number, got None"),
        ("step", (np.zeros(3), 0.0, False, False, None), r"of shape \(3,\), but declares the shape \(4,\)"),
    ],
)
def test_what_an_environment_of_gymnasium_returns_must_fit(method, given, words, gymnasium, register):
    kind = type("Odd", (gymnasium.envs.classic_control.CartPoleEnv,), {method: lambda self, *_, **__: given})
    register("Odd-v0", kind)
    with pytest.raises(InputError, match=words):
        Episodes(GymnasiumEnvironments("Odd-v0"), 1).step([0])
