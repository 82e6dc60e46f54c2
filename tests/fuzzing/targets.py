"""The table of targets: readers of files of others, configurations, live events, and states given to `set_state`."""

from __future__ import annotations

import importlib.util
import json
import pathlib
import random

import numpy as np

from eprop.tasks import Control
from eprop.tasks.pattern_generation import read_path
from eprop.training import RunConfig
from eprop.training.config import parse_config
from fuzzing import circuits, events, states
from fuzzing.mutate import damaged, reworded
from fuzzing.run import Target


def configurations(folder: pathlib.Path) -> list[str]:
    tasks = ("pattern-generation", "evidence-accumulation", "nmnist")
    plus = [RunConfig.make(name, task={"rule": "eprop+"}).to_toml() for name in tasks]
    small = '[task]\nname = "nmnist"\nneurons = 5\nloss = "softmax"\n[data]\ntest_data = ["a", "b"]\n[training]\nepochs = 1\n'
    return [RunConfig.make(name).to_toml() for name in tasks] + plus + [small] * 6


def read_configuration(texts: list[str], rng: random.Random) -> None:
    text = reworded(rng.choice(texts), rng)
    if rng.random() < 0.3:
        text = damaged(text.encode("utf-8", "surrogatepass"), rng).decode("utf-8", "replace")
    made_and_read_back(text)


def made_and_read_back(text: str) -> RunConfig | None:
    """Make the configuration of a text, write it and read it back; None if it names a file."""
    name, given = parse_config(text, "config.toml")
    if name.endswith(".py"):
        return None
    config = RunConfig.make(name, given).absolute()
    again = RunConfig.make(*parse_config(config.to_toml(), "again"))
    assert config.differences(again) == []
    return config


def reward_configurations(folder: pathlib.Path) -> list[str]:
    return [RunConfig.make(name).to_toml() for name in ("cartpole", "delayed-reward", "gymnasium", "pong")]


NAMES = (
    "os:Env-v0", "antigravity:X-v0", "X-v" + "9" * 5000, "../x-v0", "CartPole-v9", "CartPole", "phys2d/CartPole-v0",
    "GymV26Environment-v0", "Humanoid-v5", "FrozenLake-v1", "\x00-v1", "a/b/c-v0", " ", "é-v1", "Blackjack-v1",
)  # fmt: skip


def read_reward_configuration(texts: list[str], rng: random.Random) -> None:
    """Also the network is described, which asks Gymnasium for the environment; that of Atari takes long."""
    text = rng.choice(texts)
    if "CartPole-v1" in text and rng.random() < 0.5:
        text = text.replace('"CartPole-v1"', json.dumps(rng.choice(NAMES)))
    else:
        text = reworded(text, rng)
    config = made_and_read_back(text)
    if config is None:
        return
    if isinstance(config.task, Control) and config.task_name != "pong" and importlib.util.find_spec("gymnasium"):
        config.task.build_network()


def read_curve(folder: pathlib.Path, rng: random.Random) -> None:
    path = folder / "path.csv"
    text = reworded("x,y\n0,0\n1,2\n2,0.5\n", rng).encode("utf-8", "surrogatepass")
    path.write_bytes(damaged(text, rng) if rng.random() < 0.3 else text)
    assert np.isfinite(read_path(str(path), 7)).all()


def itself(folder: pathlib.Path) -> pathlib.Path:
    return folder


TARGETS = (
    Target("recordings", events.recordings, events.read_recordings, 100),
    Target("archives", events.archives, events.read_archive, 800),
    Target("digits", events.digits, events.read_digits, 2000),
    Target("data set", events.data_sets, events.read_set, 120),
    Target("samples", itself, events.read_samples, 1500),
    Target("live", itself, events.read_lines, 200),
    Target("packed events", events.records, events.read_records, 200),
    Target("live arrays", events.records, events.read_arrays, 200),
    Target("configuration", configurations, read_configuration, 800),
    Target("reward configuration", reward_configurations, read_reward_configuration, 300),
    Target("path", itself, read_curve, 1500),
    Target("spikes", circuits.spikes, circuits.read_spikes, 100),
    Target("set_state", states.simulators, states.set_state, 200),
    Target("state of a rule", states.rules, states.set_state, 200),
    Target("streams", states.lanes_of_networks, states.set_lanes, 250),
    Target("checkpoint", states.checkpoints, states.read_checkpoint, 600),
    *((Target("nir", circuits.graphs, circuits.read_graph, 40),) if importlib.util.find_spec("nir") else ()),
)
