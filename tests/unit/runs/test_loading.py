"""A run that is read: network, metrics, another test, pictures, the same with changes."""

from __future__ import annotations

import importlib.util
import pathlib
import shutil
import sys
import tomllib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import digits
import eprop as ep
import small_tasks
import worlds
from eprop.errors import CheckpointError, DataError, FiguresWarning, ParameterError
from eprop.runs import LoadedRun, arguments_of_run, draw, evaluate_run, like, load, load_checkpoint, resume_run
from eprop.tasks import nmnist, pattern_generation
from eprop.tasks.registry import new_task
from eprop.training import Watcher
from small_tasks import KINDS, bare, outcome, small, trained

Whole = Callable[[str], pathlib.Path]
QUIET = Watcher()
FILE = small_tasks.__file__


def test_what_a_run_has(whole: Whole) -> None:
    pandas = pytest.importorskip("pandas")
    run = load(whole("eprop"), small, threads=1)
    assert run.experiment.origin is not None
    origin = run.experiment.origin
    assert (origin.task, origin.file, origin.arguments["neurons"]) == ("small", FILE, 6)
    assert isinstance(run.metrics, pandas.DataFrame)
    assert list(run.metrics["samples"])[-1] == 36
    assert run.summary["test_samples"] == 6
    assert [p.name for p in run.network.populations] == ["in", "rec", "out"]
    for name, matrix in run.weights.items():
        np.testing.assert_array_equal(matrix.toarray(), run.simulator.weights(name).toarray())
    assert (run.weights["rec->out"] != run.untrained().weights("rec->out")).nnz
    assert f"LoadedRun({str(whole('eprop'))!r}: small-eprop, {len(run.metrics)} reports)" == repr(run)
    np.testing.assert_array_equal(
        run.simulator.state()["synapses/weight"], run.checkpoint.state["synapses/weight"], strict=True
    )


SUMMARY = {
    "version",
    "task",
    "seed",
    "score",
    "value",
    "stopped_early",
    "train_seconds",
    "synapses",
    "ranks",
    "machine",
}
SAMPLES = {"test_error", "test_loss", "confusion", "epochs", "samples_learned", "synaptic_events", "rates"}
REWARD = {"mean_return", "std_return", "environment_steps", "episodes"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_of_a_run(kind: str, whole: Whole) -> None:
    folder = whole(kind)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["checkpoint.npz", "config.toml", "metrics.jsonl", "summary.json"]
    summary = ep.runs.RunFolder(folder).read_summary()
    assert summary.keys() >= SUMMARY | (REWARD if kind == "reward" else SAMPLES)
    config = (folder / "config.toml").read_text()
    task, arguments = arguments_of_run(folder)
    assert config.startswith("# A run of eprop ")
    assert (f"eprop train {task} --like {folder}" in config) == (kind != "no function")
    read = tomllib.loads(config)
    assert read["task"] == {"no function": "", "reward": "corridor"}.get(kind, "small")
    assert read.get("file", "") == task
    assert read["arguments"] == {name: value for name, value in arguments.items() if value is not None}
    assert read["training"]["seed"] == 1


def test_metrics_are_a_dict_of_arrays_without_pandas(whole: Whole, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    metrics = load(whole("eprop"), small).metrics
    assert isinstance(metrics, dict)
    assert metrics["samples"].dtype == np.int64
    assert np.isnan(metrics["validation_loss"]).any()


@pytest.mark.parametrize("value", ['"x"', "[1]", "9" * 300, "{}"])
def test_metrics_that_are_no_numbers(value: str, whole: Whole, tmp_path: pathlib.Path) -> None:
    shutil.copytree(whole("eprop"), tmp_path / "run")
    (tmp_path / "run/metrics.jsonl").write_text(f'{{"samples": {value}}}\n{{"samples": 1}}\n')
    with pytest.raises(CheckpointError, match=r"metrics.jsonl: holds other values than numbers"):
        _ = load(tmp_path / "run", small).metrics


# ---------------------------------------------------------------- which task


@pytest.mark.parametrize(
    ("kind", "task"),
    [("eprop", small), ("eprop", "FILE"), ("eprop", small()), ("eprop", small(epochs=9)), ("no function", bare())],
    ids=["function", "file", "experiment", "experiment with other settings", "without a function"],
)
def test_how_the_task_is_named(kind: str, task: Any, whole: Whole, tmp_path: pathlib.Path) -> None:
    if task == "FILE":  # it may have moved
        task = str(shutil.copy(FILE, tmp_path / "small_tasks.py"))
    run = load(whole(kind), task)
    assert run.experiment.epochs == 3
    assert evaluate_run(whole(kind), task, watcher=QUIET)[1].loss == run.summary["test_loss"]


@pytest.mark.parametrize(
    ("kind", "task", "words"),
    [
        ("eprop", None, r"is a run of .*small_tasks.py, a Python file, and eprop executes only files that you name"),
        ("eprop", "nmnist", r"is a run of the task '.*small_tasks.py', not of 'nmnist'"),
        ("eprop", "other.py", "other.py: the file of the task does not exist"),
        ("eprop", nmnist, "not of 'nmnist'"),
        ("eprop", bare(), "not of this experiment"),
        ("eprop", pattern_generation(), "not of this experiment"),
        (
            "no function",
            None,
            r"no task has made its experiment: give the Experiment .* as in ep.load\('.*/run', experiment\)",
        ),
        ("no function", small, "is a run of the task '', not of"),
    ],
)
def test_other_tasks_are_refused(kind: str, task: Any, words: str, whole: Whole) -> None:
    for call in (load, evaluate_run, lambda path, task: draw(path, task=task), resume_run):
        with pytest.raises(ParameterError, match=rf"run: {words}" if "is a run" in words else words):
            call(whole(kind), task)


@pytest.fixture
def strange(tmp_path: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path, pathlib.Path]:
    """A run, its task, a file that leaves a mark when it is executed, and this mark."""
    payload, ran = tmp_path / "payload.py", tmp_path / "ran"
    _, text = new_task("payload", payload)
    payload.write_text(f"{text}\n\nimport pathlib\n\npathlib.Path({str(ran)!r}).touch()\n")
    trained(ep.tasks.task_named(str(payload))(neurons=3, epochs=1), tmp_path / "run")
    forget(ran)
    return tmp_path / "run", payload, ran


def forget(ran: pathlib.Path) -> None:
    """As in another process."""
    ran.unlink()
    for name in [name for name in sys.modules if name.startswith("eprop_task_")]:
        del sys.modules[name]


CALLS: dict[str, Callable[..., Any]] = {
    "load": load,
    "evaluate": evaluate_run,
    "resume": resume_run,
    "draw": lambda run, task=None: draw(run, task=task, formats=()),
    "like": like,
}


@pytest.mark.parametrize("call", CALLS)
def test_only_files_that_the_user_names_are_executed(call: str, strange: tuple[pathlib.Path, ...]) -> None:
    run, payload, ran = strange
    for given, words in (((), r"payload\.py"), (("nmnist",), r"payload\.py"), (("other.py",), "does not exist")):
        with pytest.raises(ParameterError, match=words):
            CALLS[call](run, *given)
    assert arguments_of_run(run)[0] == str(payload)
    assert not ran.exists()
    CALLS[call](run, str(payload))
    assert ran.exists()


def test_bytecode_beside_a_file_is_not_executed(strange: tuple[pathlib.Path, ...]) -> None:
    """Python would execute it instead of the file, which the user has read."""
    from importlib._bootstrap_external import _code_to_timestamp_pyc

    run, payload, ran = strange
    evil = run.parent / "evil"
    code = compile(f"import pathlib\npathlib.Path({str(evil)!r}).touch()\n", str(payload), "exec")
    cached = pathlib.Path(importlib.util.cache_from_source(str(payload)))
    cached.parent.mkdir(exist_ok=True)
    cached.write_bytes(_code_to_timestamp_pyc(code, int(payload.stat().st_mtime), payload.stat().st_size))
    load(run, str(payload))
    assert ran.exists()
    assert not evil.exists()


# ---------------------------------------------------------------- with changes


def test_like_changes_arguments_and_keeps_changed_settings(whole: Whole, tmp_path: pathlib.Path) -> None:
    trained(small(), tmp_path / "run", epochs=2, batch_size=6, seed=5)
    for changes, wanted in (({}, (2, 6, 5, 6)), ({"neurons": 4, "epochs": 1, "seed": 2}, (1, 6, 2, 4))):
        made = like(tmp_path / "run", small, **changes)
        size = made.network.population("rec").size
        assert (made.epochs, made.batch_size, made.seed, size) == wanted
    loaded = load(tmp_path / "run", small).experiment
    assert (loaded.epochs, loaded.batch_size, loaded.seed) == (2, 6, 5)
    for task, changes, words in (
        (small, {"nix": 1}, "has no argument nix"),
        (small(), {}, "needs the function of the task"),
    ):
        with pytest.raises(ParameterError, match=words):
            like(whole("eprop"), task, **changes)
    with pytest.raises(ParameterError, match="window belongs to the function that makes the experiment"):
        trained(small(), None, window=np.ones(20))
    trained(like(whole("eprop"), small), tmp_path / "again")
    assert outcome(tmp_path / "again") == outcome(whole("eprop"))


PICTURES = {
    "eprop": {"activity", "confusion", "learning_curve", "network", "weights"},
    "rewiring": {"activity", "confusion", "learning_curve", "network", "rewiring", "weights"},
    "reward": {"episode", "network", "returns", "weights"},
    "no function": {"activity", "confusion", "learning_curve", "network", "weights"},
}


# ---------------------------------------------------------------- another test


def evaluated(folder: pathlib.Path, task: Any, **given: Any) -> tuple[LoadedRun, Any, Any]:
    return evaluate_run(folder, task, watcher=QUIET, threads=1, **given)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("reward", "no function")])
def test_the_test_gives_the_score_of_the_run(kind: str, whole: Whole) -> None:
    run, found, test = evaluated(whole(kind), small)
    assert test is not None
    assert (found.error, len(test)) == (run.summary["test_error"], 6)
    assert len(evaluated(whole(kind), small, test_samples=9)[2]) == 9
    rounded, _, _ = evaluated(whole(kind), small, bits=3)
    assert np.unique(rounded.weights["rec->out"].data).size <= 7


def test_fresh_samples_and_other_episodes(whole: Whole) -> None:
    _, found, test = evaluated(whole("fresh epochs"), small, fresh=11)
    assert test is not None
    assert len(test) == np.sum(found.confusion()) == 11
    assert "fresh samples" in test.name
    run, found, test = evaluated(whole("reward"), worlds.corridor)
    assert (found.summary()["mean_return"], test) == (run.summary["mean_return"], None)
    assert evaluated(whole("reward"), worlds.corridor, episodes=5)[1].summary()["episodes"] == 5


@pytest.mark.parametrize(
    ("kind", "task", "given", "words"),
    [
        ("eprop", small, {"fresh": 3}, "fresh samples need samples that are made from a seed"),
        ("fresh epochs", small, {"fresh": 0}, "number of fresh samples must be a whole number >= 1"),
        ("reward", worlds.corridor, {"fresh": 3}, r"no samples that could be fresh: leave out fresh \(--fresh\)"),
        ("eprop", small, {"bits": 1}, "bits"),
        ("eprop", small, {"test_data": ("x",)}, "has no argument test_data"),
        ("eprop", small(), {"test_samples": 3}, "test_samples is an argument of a task: give its function"),
    ],
)
def test_tests_that_cannot_be(kind: str, task: Any, given: dict[str, Any], words: str, whole: Whole) -> None:
    with pytest.raises(ParameterError, match=words):
        evaluated(whole(kind), task, **given)


def test_recordings_of_ones_own_that_are_gone_when_pictures_are_drawn(tmp_path: pathlib.Path) -> None:
    data = digits.write_folder(tmp_path / "data")
    trained(nmnist(data=data, neurons=5, validation=4, epochs=1, batch_size=4), tmp_path / "run")
    for given, samples in ((None, 12), ([data / "Test", data / "Train"], 36)):
        more = {} if given is None else {"test_data": given}
        _, found, test = evaluated(tmp_path / "run", None, **more)
        assert test is not None
        assert len(test) == found.confusion().sum() == samples
    shutil.rmtree(data)
    with pytest.raises(DataError, match="no such folder"):
        evaluated(tmp_path / "run", "nmnist", test_data=[data])
    assert {path.stem for path in draw(tmp_path / "run")} == PICTURES["eprop"]


@pytest.mark.parametrize("kind", PICTURES)
def test_the_pictures_of_a_run_are_those_of_the_training(kind: str, whole: Whole, tmp_path: pathlib.Path) -> None:
    history = trained(KINDS[kind](), tmp_path / "run", formats=("png", "svg"))
    names = {f"{name}.{end}" for name in PICTURES[kind] for end in ("png", "svg")}
    assert {path.name for path in (tmp_path / "run/figures").iterdir()} == names
    task = worlds.corridor if kind == "reward" else bare() if kind == "no function" else small
    found = draw(whole(kind), tmp_path / "out", task=task)
    assert {path.name for path in found} == {f"{name}.png" for name in PICTURES[kind]}
    state = load_checkpoint(tmp_path / "run/checkpoint.npz").state  # drawing has left the network as it was
    for name, value in history.simulator.state().items():
        np.testing.assert_array_equal(value, state[name], err_msg=name)


def test_pictures_that_fail_do_not_hide_the_result(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/figures").write_text("mine")
    with pytest.warns(
        FiguresWarning, match="run: the training is complete and kept, but its figures could not be drawn"
    ):
        history = trained(small(), tmp_path / "run", formats=("png",), force=True)
    assert history.summary
    with pytest.raises(ParameterError, match="format"):
        draw(tmp_path / "run", formats=("bmp",))
