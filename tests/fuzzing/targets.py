"""The table of targets: readers of files of others, arguments of tasks, live events, and states given to `set_state`."""

from __future__ import annotations

import importlib.util
import json
import pathlib
import random
from collections.abc import Callable
from typing import Any

import numpy as np

from eprop.files import parse_json
from eprop.runs.record import RunRecord
from eprop.tasks import task_named
from eprop.tasks.curves import read_path
from fuzzing import circuits, events, states
from fuzzing.mutate import damaged, reworded


def arguments(folder: pathlib.Path) -> list[str]:
    """Tasks and all their arguments, as a checkpoint has them."""
    names = ("pattern-generation", "evidence-accumulation", "nmnist")
    made = [task_named(name)(rule=rule) for name in names for rule in ("eprop", "eprop+")]
    made += [task_named(name)() for name in ("cartpole", "delayed-reward", "gymnasium", "pong")]
    small = {"task": "nmnist", "arguments": {"neurons": 5, "loss": "softmax", "test_data": ["a", "b"], "epochs": 1}}
    records = [RunRecord.of(each) for each in made]
    return [json.dumps({"task": each.task, "arguments": each.arguments}) for each in records] + [json.dumps(small)] * 6


#: Names of environments.
NAMES = (
    "os:Env-v0", "antigravity:X-v0", "X-v" + "9" * 5000, "../x-v0", "CartPole-v9", "CartPole", "phys2d/CartPole-v0",
    "GymV26Environment-v0", "Humanoid-v5", "FrozenLake-v1", "\x00-v1", "a/b/c-v0", " ", "é-v1", "Blackjack-v1",
)  # fmt: skip


def read_arguments(texts: list[str], rng: random.Random) -> None:
    text = rng.choice(texts)
    if '"CartPole-v1"' in text and rng.random() < 0.5:
        text = text.replace('"CartPole-v1"', json.dumps(rng.choice(NAMES)))
    else:
        text = reworded(text, rng)
    if rng.random() < 0.2:
        text = damaged(text.encode("utf-8", "surrogatepass"), rng).decode("utf-8", "replace")
    made_again(text)


def made_again(text: str) -> None:
    """Make the experiment of a text, and another one of its record; a Python file is not executed."""
    found = parse_json(text, "arguments")
    try:
        name, given = str(found["task"]), dict(found["arguments"])
    except (KeyError, TypeError, ValueError):
        return
    if name.endswith(".py"):
        return
    record = RunRecord.of(task_named(name)(**given))
    assert record.differences(RunRecord.of(task_named(record.task)(**record.arguments))) == []


def read_curve(folder: pathlib.Path, rng: random.Random) -> None:
    path = folder / "path.csv"
    text = reworded("x,y\n0,0\n1,2\n2,0.5\n", rng).encode("utf-8", "surrogatepass")
    path.write_bytes(damaged(text, rng) if rng.random() < 0.3 else text)
    assert np.isfinite(read_path(path, 7)).all()


def itself(folder: pathlib.Path) -> pathlib.Path:
    return folder


#: What makes sound inputs once, and what damages one and reads it: it returns, or raises what the reader raises.
TARGETS: dict[str, tuple[Callable[[pathlib.Path], Any], Callable[[Any, random.Random], None]]] = {
    "recordings": (events.recordings, events.read_recordings),
    "archives": (events.archives, events.read_archive),
    "digits": (events.digits, events.read_digits),
    "data set": (events.data_sets, events.read_set),
    "samples": (itself, events.read_samples),
    "live": (itself, events.read_lines),
    "packed events": (events.records, events.read_records),
    "live arrays": (events.records, events.read_arrays),
    "arguments": (arguments, read_arguments),
    "path": (itself, read_curve),
    "spikes": (circuits.spikes, circuits.read_spikes),
    "set_state": (states.rules, states.set_state),
    "streams": (states.lanes_of_networks, states.set_lanes),
    "checkpoint": (states.checkpoints, states.read_checkpoint),
    **({"nir": (circuits.graphs, circuits.read_graph)} if importlib.util.find_spec("nir") else {}),
}
