"""Episodes one after another; going on with those under way; environments of Gymnasium."""

from __future__ import annotations

import numpy as np
import pytest

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
from worlds import RIGHT, Corridor


def test_an_episode_follows_the_one_before():
    episodes = Episodes(Corridor(2), seed=3)
    start = episodes.observations.copy()
    finished = []
    for _ in range(12):
        rewards, terminated, truncated, ended = episodes.step([RIGHT, RIGHT])
        assert terminated.sum() == len(ended) == rewards.sum()
        assert not truncated.any()
        finished += ended
    assert {each.number for each in finished} == {0, 1}
    assert [each.episode for each in finished if each.number == 0] == list(
        range(len(finished) - sum(e.number for e in finished))
    )
    assert all(each.total == 1.0 and 1 <= each.steps <= 3 for each in finished)
    assert start.shape == (2, 1)


def test_episodes_are_functions_of_the_seed():
    logs = []
    for seed in (1, 1, 2):
        environments = Corridor(2)
        episodes = Episodes(environments, seed)
        for _ in range(8):
            episodes.step([RIGHT, RIGHT])
        logs.append(environments.log)
    assert logs[0] == logs[1]
    assert logs[0] != logs[2]
    assert len({seed for _, seed in logs[0]}) == len(logs[0])  # no two episodes are alike


def wander(episodes, steps, rng):
    out = []
    for _ in range(steps):
        rewards, *_ = episodes.step(rng.integers(2, size=3))
        out.append((rewards, episodes.observations.copy()))
    return out


def test_episodes_under_way_are_repeated():
    whole = Episodes(Corridor(3), seed=4)
    rng = np.random.default_rng(0)
    wander(whole, 7, rng)
    state = whole.state()
    other = Episodes(Corridor(3), seed=4)
    assert other.set_state(state) == []
    expected, found = (wander(e, 20, np.random.default_rng(1)) for e in (whole, other))
    assert all(np.array_equal(a, b) for x, y in zip(expected, found, strict=True) for a, b in zip(x, y, strict=True))
    with pytest.raises(InputError, match="3 environments, here are 2"):
        Episodes(Corridor(2), seed=4).set_state(state)


def test_what_does_not_repeat_itself_begins_anew():
    whole = Episodes(Corridor(2, forgetful=True), seed=4)
    whole.step([0, 1])
    with pytest.warns(EpisodeRestartedWarning, match="2 of 2 environments"):
        assert Episodes(Corridor(2, forgetful=True), seed=4).set_state(whole.state()) == [0, 1]


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


def test_cartpole_is_made_by_its_name():
    pytest.importorskip("gymnasium", reason="needs the extra rl")
    environments = GymnasiumEnvironments("CartPole-v1", 2)
    assert environments.shape == (4,)
    assert environments.actions == DiscreteActions(2)
    episodes = Episodes(environments, seed=1)
    total = np.zeros(2)
    for _ in range(60):
        rewards, *_, ended = episodes.step([1, 1])
        total += rewards
        assert all(5 <= each.steps <= 15 for each in ended)  # a pole that is always pushed falls soon
    assert (total == 60.0).all()
    other = Episodes(GymnasiumEnvironments("CartPole-v1", 2), seed=1)
    assert other.set_state(episodes.state()) == []
    environments.close()


def test_continuous_actions_and_discrete_observations():
    pytest.importorskip("gymnasium", reason="needs the extra rl")
    pendulum = GymnasiumEnvironments("Pendulum-v1")
    assert pendulum.actions == ContinuousActions((-2.0,), (2.0,))
    pendulum.reset(0, 1)
    assert pendulum.step(0, np.array([1.5])).reward < 0.0
    lake = GymnasiumEnvironments("FrozenLake-v1")
    assert lake.shape == (16,)
    assert lake.reset(0, 1).values.tolist() == [1.0] + [0.0] * 15


def test_action_masks_are_those_of_the_environment(monkeypatch):
    gymnasium = pytest.importorskip("gymnasium", reason="needs the extra rl")

    class Masked(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2,))
        action_space = gymnasium.spaces.Discrete(3, start=1)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return np.zeros(2, np.float32), {"action_mask": np.array([1, 0, 1], np.int8)}

        def step(self, action):
            return np.ones(2, np.float32), float(action), True, False, {"action_mask": np.array([1, 1, 0], np.int8)}

    monkeypatch.setitem(gymnasium.registry, "Masked-v0", gymnasium.envs.registration.EnvSpec("Masked-v0", Masked))
    environments = GymnasiumEnvironments("Masked-v0")
    assert environments.reset(0, 3).mask.tolist() == [True, False, True]
    outcome = environments.step(0, 2)
    assert outcome.observation.mask.tolist() == [True, True, False]
    assert outcome.reward == 3.0  # the third action, numbered from 1
    assert GymnasiumEnvironments("Masked-v0", choices=(3, 1)).reset(0, 3).mask.tolist() == [True, True]


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
def test_what_an_environment_of_gymnasium_returns_must_fit(monkeypatch, method, given, words):
    gymnasium = pytest.importorskip("gymnasium", reason="needs the extra rl")
    kind = type("Odd", (gymnasium.envs.classic_control.CartPoleEnv,), {method: lambda self, *_, **__: given})
    gymnasium.register("Odd-v0", kind)
    try:
        with pytest.raises(InputError, match=words):
            Episodes(GymnasiumEnvironments("Odd-v0"), 1).step([0])
    finally:
        del gymnasium.registry["Odd-v0"]


def test_observations_that_are_no_box_are_flattened(monkeypatch):
    gymnasium = pytest.importorskip("gymnasium", reason="needs the extra rl")
    cards = GymnasiumEnvironments("Blackjack-v1")  # own sum, the dealer's card, whether there is a usable ace
    assert cards.shape == (32 + 11 + 2,)
    seen = cards.reset(0, 1).values
    assert [int(part.sum()) for part in np.split(seen, [32, 43])] == [1, 1, 1]

    class Endless(gymnasium.Env):
        observation_space = gymnasium.spaces.Sequence(gymnasium.spaces.Discrete(2))
        action_space = gymnasium.spaces.Discrete(2)

    monkeypatch.setitem(gymnasium.registry, "Endless-v0", gymnasium.envs.registration.EnvSpec("Endless-v0", Endless))
    with pytest.raises(InputError, match=r"observations are Sequence\(.*, which have no fixed size"):
        GymnasiumEnvironments("Endless-v0")


def test_some_of_the_actions_are_enough():
    pytest.importorskip("gymnasium", reason="needs the extra rl")
    lake = GymnasiumEnvironments("FrozenLake-v1", choices=(2, 1), is_slippery=False)
    assert lake.actions == DiscreteActions(2)
    lake.reset(0, 1)
    assert lake.step(0, 0).observation.values.argmax() == 1  # action 2 goes to the right
    assert lake.step(0, 1).observation.values.argmax() == 5  # action 1 goes down
    with pytest.raises(ParameterError, match="choices must be among its actions 0 to 3"):
        GymnasiumEnvironments("FrozenLake-v1", choices=(1, 7))


def test_an_action_can_be_repeated():
    pytest.importorskip("gymnasium", reason="needs the extra rl")
    one, three = GymnasiumEnvironments("CartPole-v1"), GymnasiumEnvironments("CartPole-v1", repeat=3)
    one.reset(0, 1), three.reset(0, 1)
    singles = [one.step(0, 1) for _ in range(3)]
    outcome = three.step(0, 1)
    assert outcome.reward == 3.0
    assert outcome.observation.values.tolist() == singles[-1].observation.values.tolist()
    rewards, ended = [outcome.reward], False
    while not ended:
        outcome = three.step(0, 1)
        rewards.append(outcome.reward)
        ended = outcome.terminated
    falls = 3
    while not one.step(0, 1).terminated:
        falls += 1
    assert sum(rewards) == falls + 1  # the action is not repeated behind the end of the episode
    with pytest.raises(ParameterError, match=r"GymnasiumEnvironments\.repeat must be"):
        GymnasiumEnvironments("CartPole-v1", repeat=0)


def test_names_and_kinds_that_do_not_fit_are_told():
    pytest.importorskip("gymnasium", reason="needs the extra rl")
    with pytest.raises(ParameterError, match="no environment 'CartPole-v9'"):
        GymnasiumEnvironments("CartPole-v9")
    with pytest.raises(ParameterError, match=r"GymnasiumEnvironments\.n must be a whole number >= 1, got 0"):
        GymnasiumEnvironments("CartPole-v1", 0)


def test_what_is_missing_names_its_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "gymnasium", None)
    with pytest.raises(MissingExtraError, match=r"pip install gymnasium "):
        GymnasiumEnvironments("CartPole-v1")


def test_a_missing_emulator_names_its_extra(monkeypatch):
    pytest.importorskip("gymnasium", reason="needs the extra rl")
    monkeypatch.setitem(__import__("sys").modules, "ale_py", None)
    with pytest.raises(MissingExtraError, match=r"pip install ale_py "):
        GymnasiumEnvironments("ALE/Pong-v5")


@pytest.mark.parametrize("name", ["X-v" + "9" * 5000, "phys2d/CartPole-v1", "a/b/c"])
def test_an_environment_that_cannot_be_made_is_told(name):
    """The first has a version that Python does not read, the second needs a library that is not there."""
    pytest.importorskip("gymnasium")
    with pytest.raises(ParameterError, match="gymnasium has no environment"):
        GymnasiumEnvironments(name)
