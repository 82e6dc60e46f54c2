"""Targets: whole folders of runs, trials and figures, configurations of what is learned from reward, the state folder."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import pathlib
import random
import shutil
from collections.abc import Callable
from typing import Any
from unittest import mock

import eprop as ep
from eprop.files.trust import is_own, is_trusted, own_mark, trust_task
from eprop.tasks import Control
from eprop.training import RunConfig, RunFolder, Stopped, Watcher, evaluate_run, load_checkpoint, resume_run, start_run
from eprop.training.checkpoint import Checkpoint, save_checkpoint
from fuzzing.mutate import damaged, reworded
from fuzzing.state_targets import changed
from fuzzing.target import Target
from fuzzing.targets import made_and_read_back

SMALL: dict[str, Any] = {
    "task": {"cues": 1, "cue": 5.0, "gap": 1.0, "delay": 2.0, "recall": 3.0, "group": 2, "lif": 3, "alif": 2},
    "data": {"samples": 6, "test_samples": 2, "validation": 2},
    "training": {"epochs": 2, "batch_size": 2, "reports": 6},
    "run": {"threads": 1, "figures": []},
}
SMALL_CONTROL: dict[str, Any] = {
    "task": {"lif": 4, "fields": 2, "substeps": 2},
    "data": {"episodes": 1},
    "training": {"steps": 48, "environments": 2, "rollout": 8, "reports": 3},
    "run": {"threads": 1, "figures": []},
}


def small(rule: str = "eprop", **run: Any) -> RunConfig:
    """A run of milliseconds."""
    parts = SMALL | {"task": SMALL["task"] | {"rule": rule}, "run": SMALL["run"] | run}
    return RunConfig.make("evidence-accumulation", None, **parts)


class StopAt(Watcher):
    """Ctrl-C once a part is done."""

    def progress(self, progress: Any) -> None:
        if progress.done >= 4:
            raise Stopped

    def control_progress(self, progress: Any) -> None:
        if progress.done >= 16:
            raise Stopped


Files = dict[str, bytes]


def files_of(folder: pathlib.Path) -> Files:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def put(folder: pathlib.Path, files: Files) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def configs() -> list[RunConfig]:
    found = [small(), small("eprop+"), small(engine="time")]
    if importlib.util.find_spec("gymnasium"):
        found.append(RunConfig.make("cartpole", None, **SMALL_CONTROL))
    return found


def runs(folder: pathlib.Path) -> tuple[pathlib.Path, list[tuple[Files, Checkpoint]]]:
    """Runs that were stopped, and runs that came to their end."""
    found = []
    for config in configs():
        for watcher in (StopAt(), Watcher()):
            made = folder / "sound"
            shutil.rmtree(made, ignore_errors=True)
            with contextlib.suppress(Stopped):
                start_run(config, made, watcher=watcher)
            found.append((files_of(made), load_checkpoint(made / "checkpoint.h5")))
    return folder / "run", found


def loaded(run: pathlib.Path) -> None:
    found = ep.load(run)
    _ = found.weights, found.summary, repr(found), found.network
    assert len(found.metrics) >= 0


ACTIONS: tuple[Callable[[pathlib.Path], Any], ...] = (
    loaded,
    loaded,
    lambda run: resume_run(run, watcher=Watcher()),
    lambda run: evaluate_run(run, watcher=Watcher()),
)


def read_whole_run(state: tuple[pathlib.Path, list[tuple[Files, Checkpoint]]], rng: random.Random) -> None:
    """One file of a run is damaged, or a part of its checkpoint, made by this user or by another."""
    run, sound = state
    files, kept = rng.choice(sound)
    put(run, files)
    action, kind = rng.choice(ACTIONS), rng.randrange(6)
    if kind == 0:
        name = rng.choice(sorted(files))
        content = files[name]
        if not name.endswith(".h5"):
            content = reworded(content.decode(), rng).encode("utf-8", "surrogatepass")
        (run / name).write_bytes(damaged(content, rng) if name.endswith(".h5") or rng.random() < 0.3 else content)
    else:
        parts: dict[str, Any] = {name: getattr(kept, name) for name in ("config", "position", "state", "example")}
        if kind == 1:  # what it says may take a week
            parts["config"], action = reworded(kept.config, rng), loaded
        else:
            name = rng.choice(("position", "position", "state", "example"))
            parts[name] = changed(parts[name], rng)
        mark = mock.patch("eprop.training.checkpoint.own_mark", return_value="")
        with mark if rng.random() < 0.3 else contextlib.nullcontext():
            try:
                save_checkpoint(run / "checkpoint.h5", Checkpoint(**parts, version=kept.version))
            except (TypeError, ValueError, OverflowError, UnicodeError):  # not everything can be written
                return
    action(run)


def trials(folder: pathlib.Path) -> tuple[pathlib.Path, Files, str]:
    """Two trials, of which only what is drawn is there."""
    run, config = folder / "trials", small()
    for seed in (1, 2):
        start_run(config, run / f"seed-{seed}", watcher=Watcher())
    one = RunFolder(run / "seed-1").read_summary()
    files = {name: content for name, content in files_of(run).items() if not name.endswith(".h5")}
    summary = {
        "score": "error", "mean": 0.5, "sd": 0.1, "sigma": 0.1, "lowest": 0.4, "highest": 0.6, "test_data": "made",
        "trials": [{"seed": seed, "test_error": 0.5, "run": f"seed-{seed}"} for seed in (1, 2)], "machine": one["machine"],
    }  # fmt: skip
    files["summary.json"], files["trials.json"] = json.dumps(summary).encode(), b'{"seeds": [1, 2]}'
    return run, files, config.to_toml()


def report(state: tuple[pathlib.Path, Files, str], rng: random.Random) -> None:
    """A page about trials, one file of which is damaged."""
    from eprop.plot import write_report

    run, files, config = state
    put(run, files | {"config.toml": config.encode()})
    name = rng.choice(("summary.json", "trials.json", *sorted(files)))
    text = reworded(files[name].decode(), rng).encode("utf-8", "surrogatepass")
    (run / name).write_bytes(damaged(text, rng) if rng.random() < 0.2 else text)
    assert write_report(run).stat().st_size > 1000


# --------------------------------------------------------------------------------------------------------- configurations


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


def state_folder(folder: pathlib.Path) -> pathlib.Path:
    return folder


def read_state_folder(folder: pathlib.Path, rng: random.Random) -> None:
    """Whatever lies there: nobody's file is trusted, nobody's mark is known."""
    with mock.patch.dict(os.environ, {"EPROP_STATE_DIR": str(folder)}):
        (folder / "trusted_tasks.txt").write_bytes(damaged(b"0" * 64 + b" a.py\n" + b"1" * 64 + b" b.py\n", rng))
        (folder / "key").write_bytes(damaged(bytes(range(32)), rng))
        assert not is_trusted("2" * 64)
        mark = own_mark("a")
        assert is_own("a", mark) == bool(mark)
        assert not is_own("b", mark)
        assert not is_own("a", "é" * 64)
        trust_task("c.py", "3" * 64)
        assert is_trusted("3" * 64)


RUN_TARGETS = (
    Target("whole run", runs, read_whole_run, 20),
    Target("report", trials, report, 1),
    Target("reward configuration", reward_configurations, read_reward_configuration, 300),
    Target("state folder", state_folder, read_state_folder, 200),
)
