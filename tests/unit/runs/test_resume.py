"""Runs in a folder: what they leave, how they stop and continue, what is refused."""

from __future__ import annotations

import json
import pathlib
import shutil
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import digits
import eprop as ep
from eprop import __version__, core
from eprop.data import from_arrays
from eprop.errors import CheckpointError, DataError, DivergenceError, OutputError, ParameterError
from eprop.runs import RunFolder, load, load_checkpoint, resume_run, save_checkpoint
from eprop.training import Experiment, Stopped, Watcher
from refusals import Refusal, refusals
from small_tasks import SignalAt, assert_same_run, fitted, small, stop_after

RULES = ("eprop", "eprop+")
RNG = np.random.default_rng(0)
DATA = from_arrays(RNG.random((12, 10, 4)) < 0.3, np.arange(12) % 2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pathlib.Path]:
    """Finished runs, which the tests do not change."""
    folders = {rule: tmp_path_factory.mktemp("runs") / "run" for rule in RULES}
    for rule, folder in folders.items():
        fitted(folder, small(rule))
    return folders


def cut(folder: pathlib.Path, samples: int = 12, experiment: Experiment | None = None, **given: Any) -> pathlib.Path:
    """A run that was stopped."""
    with pytest.raises(Stopped):
        fitted(folder, experiment, callbacks=[stop_after(samples)], **given)
    return folder


def own(eta: float = 1e-2, data: Any = DATA, **given: Any) -> Experiment:
    """An experiment that no function has made."""
    net = ep.recurrent(4, 5, 2, rule=ep.EProp(optimizer=ep.Adam(eta=eta)), seed=1)
    return Experiment(net, data, test=DATA, **{"epochs": 3, "batch_size": 4, **given})


def nmnist(folder: pathlib.Path, **changes: Any) -> Experiment:
    return ep.tasks.nmnist(**{"data": folder, "neurons": 5, "validation": 4, "epochs": 1, "batch_size": 4, **changes})


# ---------------------------------------------------------------- what a run leaves


def test_a_run_leaves_its_folder(whole: dict[str, pathlib.Path]) -> None:
    run = RunFolder(whole["eprop"])
    assert sorted(path.name for path in run.path.iterdir()) == [
        "checkpoint.npz", "config.toml", "metrics.jsonl", "summary.json",
    ]  # fmt: skip
    summary, lines = json.loads(run.summary.read_text()), run.read_metrics()
    wanted = ("test_error", "train_samples_per_second", "synaptic_events", "ns_per_synaptic_event", "peak_memory_bytes")
    assert all(summary[name] >= 0 for name in wanted)
    assert (summary["seed"], summary["version"], summary["commit"]) == (1, __version__, core.commit())
    sizes = [summary[f"{name}_samples"] for name in ("train", "validation", "test")]
    assert (sizes, summary["samples_learned"]) == ([8, 5, 6], 24)
    assert np.sum(summary["confusion"]) == 6
    assert (lines[-1]["samples"], lines[-1]["validation_error"]) == (24, summary["validation_error"])
    assert [line["samples"] for line in lines if "validation_error" in line] == [8, 16, 24]


def test_pictures_are_drawn_in_the_formats_that_are_wanted(tmp_path: pathlib.Path) -> None:
    fitted(tmp_path, formats=("png", "svg"))
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert {"learning_curve.png", "learning_curve.svg", "confusion.png"} <= names


# ---------------------------------------------------------------- the same bits after a stop


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("when", [12, 16, "testing"], ids=["learning", "in validation", "in the test"])
def test_a_stopped_run_is_resumed_bit_by_bit(
    when: int | str, rule: str, whole: dict[str, pathlib.Path], tmp_path: pathlib.Path
) -> None:
    folder = RunFolder(tmp_path / "a run")
    with pytest.raises(Stopped) as stopped:
        fitted(folder.path, small(rule), progress=SignalAt(when))
    assert stopped.value.exit_code == 143
    assert f"continue with: eprop train delayed-cue --resume '{folder.path}'" in str(stopped.value)
    assert not folder.summary.exists()
    position = load_checkpoint(folder.checkpoint).position
    assert (position["done"], position["unreported"]) == ((24, False) if when == "testing" else (when, when == 16))
    other = tmp_path / "other"
    shutil.copytree(folder.path, other)
    folder.add_metrics({"samples": 10**6, "loss": 0.0, "epoch": 2})  # a line behind the checkpoint
    resume_run(folder.path, watcher=Watcher())
    fitted(other, small(rule))  # the same call continues as well
    for path in (folder.path, other):
        assert_same_run(whole[rule], path)


KILLED = """
import os, signal, sys
import small_tasks
from eprop.files import writing
from eprop.training import trainer

trainer.SAVE_SECONDS, trainer.SAVE_SHARE = 0.0, 1e9  # a checkpoint after each update
left, where, rule = int(sys.argv[2]), sys.argv[3], sys.argv[4]

def count(*_):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

if where == "write":  # the new file has its content, but not yet its name
    os.fsync = count
small_tasks.fitted(sys.argv[1], small_tasks.small(rule), callbacks=[count] if where == "line" else [])
"""


@pytest.mark.parametrize(
    ("where", "count", "rule"), [("line", 3, "eprop"), ("write", 6, "eprop"), ("line", 2, "eprop+")]
)
def test_a_killed_run_is_resumed_bit_by_bit(
    where: str, count: int, rule: str, whole: dict[str, pathlib.Path], tmp_path: pathlib.Path
) -> None:
    """Killed after a line of metrics, before its checkpoint; and while a checkpoint is written."""
    folder, tests = RunFolder(tmp_path / "run"), str(pathlib.Path(__file__).parents[2])
    code = f"import sys; sys.path.insert(0, {tests!r})\n{KILLED}"
    done = subprocess.run([sys.executable, "-c", code, str(folder.path), str(count), where, rule], check=False)
    assert done.returncode == -9
    assert bool(list(folder.path.glob(".checkpoint*"))) == (where == "write")
    assert 0 < load_checkpoint(folder.checkpoint).position["done"] < 24
    fitted(folder.path, small(rule))
    assert_same_run(whole[rule], folder.path)


def test_an_experiment_of_no_function_is_continued(tmp_path: pathlib.Path) -> None:
    """With the settings and the seed of the stopped call."""
    changed = {"epochs": 4, "seed": 9}
    fitted(tmp_path / "whole", own(), **changed)
    with pytest.raises(Stopped, match=r"the same call of fit, with folder='.*cut', continues$"):
        fitted(tmp_path / "cut", own(), callbacks=[stop_after(12)], **changed)
    shutil.copytree(tmp_path / "cut", tmp_path / "other")
    fitted(tmp_path / "cut", own(), **changed)
    resume_run(tmp_path / "other", own(), watcher=Watcher())
    for name in ("cut", "other"):
        assert_same_run(tmp_path / "whole", tmp_path / name)


def test_changed_settings_of_a_task_are_kept(tmp_path: pathlib.Path) -> None:
    fitted(tmp_path / "whole", epochs=4, seed=9)
    cut(tmp_path / "cut", epochs=4, seed=9)
    resume_run(tmp_path / "cut", watcher=Watcher())
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


def test_a_finished_run_is_tested_again_and_its_record_stays(
    whole: dict[str, pathlib.Path], tmp_path: pathlib.Path
) -> None:
    shutil.copytree(whole["eprop"], tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    before, error = folder.summary.read_text(), folder.read_summary()["test_error"]
    assert resume_run(folder.path, watcher=Watcher()).history.summary["test_error"] == error
    assert folder.summary.read_text() == before
    for lose in (folder.summary.unlink, lambda: folder.summary.write_text("{")):
        lose()
        resume_run(folder.path, watcher=Watcher())
        assert_same_run(whole["eprop"], folder.path)


def test_a_mistake_of_the_task_loses_nothing(tmp_path: pathlib.Path) -> None:
    calls = 0

    def sometimes(stage: Any) -> Any:
        nonlocal calls
        calls += 1
        return 1 / 0 if calls == 2 else DATA

    fitted(tmp_path / "whole", own(data=lambda stage: DATA))
    with pytest.raises(ZeroDivisionError) as error:
        fitted(tmp_path / "cut", own(data=sometimes))
    assert error.value.__notes__[0].startswith("stopped after 12 of 36 samples; the same call of fit")
    fitted(tmp_path / "cut", own(data=sometimes))
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


def test_a_diverging_run_keeps_its_last_checkpoint(tmp_path: pathlib.Path) -> None:
    wild = small(optimizer="gradient_descent", eta=1e300, eta_out=1e300)
    words = r"Lower the learning rate.* The last good checkpoint is .*checkpoint.npz"
    with pytest.raises(DivergenceError, match=words), np.errstate(all="ignore"):
        fitted(tmp_path / "run", wild)
    assert np.isfinite(load(tmp_path / "run").simulator.state()["synapses/weight"]).all()


# ---------------------------------------------------------------- what is refused


@refusals(
    (lambda run: fitted(run, small(neurons=5)), OutputError, r"other settings \(neurons = 5, not 4\); choose .*--force"),
    (lambda run: fitted(run, small(eta=0.1, delay=200.0)), OutputError, r"delay = 200.0, not 100.0; eta = 0.1, not None"),
    (lambda run: fitted(run, small(rule="eprop+", eta=None)), OutputError, r"\(rule = 'eprop\+', not 'eprop'"),
    (lambda run: fitted(run, epochs=4), OutputError, r"\(epochs = 4, not 3\)"),
    (lambda run: fitted(run, seed=4), OutputError, r"\(seed = 4, not None\)"),
    (lambda run: fitted(run, own()), OutputError, r"\(task = '', not 'delayed-cue'\)"),
    (lambda run: fitted(run, seeds=2), OutputError, r"--resume .*or replace the run in it with --force"),
    (lambda run: resume_run(run, small(eta=0.1)), ParameterError, r"is a run with other settings \(eta = 0.1, not None\)"),
    (lambda run: resume_run(run, "nmnist"), ParameterError, "is a run of the task 'delayed-cue', not of 'nmnist'"),
    (lambda run: resume_run(run, own()), ParameterError, "is a run of the task 'delayed-cue', not of this experiment"),
)  # fmt: skip
def test_a_run_is_not_continued_with_other_arguments(refusal: Refusal, stopped_run: pathlib.Path) -> None:
    before = (stopped_run / "checkpoint.npz").read_bytes()
    refusal.check(stopped_run)
    assert (stopped_run / "checkpoint.npz").read_bytes() == before


@pytest.fixture(scope="module")
def stopped_run(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return cut(tmp_path_factory.mktemp("stopped") / "run")


@refusals(
    (lambda run: fitted(run, own(eta=0.1)), OutputError, r"in->rec = '.*eta=0.1.*', not '.*eta=0.01"),
    (lambda run: fitted(run, own(seed=8)), OutputError, r"\(seed = 8, not None\)"),
    (
        lambda run: fitted(run, own(data=DATA[::-1])),
        CheckpointError,
        "other data; the data of the experiment have changed",
    ),
    (resume_run, ParameterError, "no function has made its experiment: give the experiment itself"),
    (lambda run: resume_run(run, "nmnist"), ParameterError, "no function has made its experiment"),
    (lambda run: resume_run(run, own(eta=0.1)), ParameterError, "in->rec = .*eta=0.1"),
)
def test_another_experiment_of_no_function_is_refused(refusal: Refusal, tmp_path: pathlib.Path) -> None:
    refusal.check(cut(tmp_path / "run", experiment=own()))


def test_a_run_is_replaced_with_force_only(tmp_path: pathlib.Path) -> None:
    """Before any work; other files stay."""
    fitted(tmp_path / "run")
    (tmp_path / "run" / "notes.txt").write_text("mine")
    for experiment, given in ((small(), {}), (small(neurons=5), {}), (small(), {"seeds": 2})):
        phases: list[str] = []
        watcher = Watcher()
        watcher.phase = phases.append  # type: ignore[method-assign]
        with pytest.raises(OutputError, match=r"run: is not empty; choose another folder, or replace .* --force"):
            fitted(tmp_path / "run", experiment, progress=watcher, **given)
        assert phases == []
    fitted(tmp_path / "run", small(neurons=5), force=True)
    assert load(tmp_path / "run").checkpoint.record.arguments["neurons"] == 5
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


def test_force_begins_a_stopped_run_again(whole: dict[str, pathlib.Path], tmp_path: pathlib.Path) -> None:
    fitted(cut(tmp_path / "run", experiment=small(neurons=5)), force=True)
    assert_same_run(whole["eprop"], tmp_path / "run")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"validation": 24}, "cannot take 24 validation samples of 24 training samples"),
        ({"data": "/none"}, "/none: no such folder"),
        ({"test_data": ("/none",)}, "/none"),
    ],
)
def test_nothing_is_left_of_a_run_without_data(given: dict[str, Any], words: str, tmp_path: pathlib.Path) -> None:
    experiment = nmnist(digits.write_folder(tmp_path / "data"), **given)
    with pytest.raises(DataError, match=words):
        fitted(tmp_path / "run", experiment)
    assert not (tmp_path / "run").exists()


def test_changed_data_are_noticed(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EPROP_CACHE_DIR", str(tmp_path / "cache"))
    experiment = nmnist(digits.write_folder(tmp_path / "data"))
    cut(tmp_path / "run", 8, experiment)
    digits.write_folder(tmp_path / "data", seed=9)
    for again in (lambda: resume_run(tmp_path / "run"), lambda: fitted(tmp_path / "run", experiment)):
        with pytest.raises(CheckpointError, match=r"was written while learning from other data; .* start a new run"):
            again()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda c: {"record": replace(c.record, arguments={**c.record.arguments, "neurons": 6})},
            "does not fit its exp",
        ),
        (lambda c: {"state": {}}, "does not fit its experiment .* written by eprop 0.0"),
        (lambda c: {"position": {"data": c.position["data"]}}, "has no valid position"),
        (lambda c: {"position": {**c.position, "sums": 3}}, "has no valid position"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(change: Any, words: str, tmp_path: pathlib.Path) -> None:
    path = cut(tmp_path / "run") / "checkpoint.npz"
    sound = load_checkpoint(path)
    save_checkpoint(path, replace(sound, **{"version": "0.0", **change(sound)}))
    for call in (resume_run, *([] if "position" in words else [load])):
        with pytest.raises(CheckpointError, match=words):
            call(path.parent)
