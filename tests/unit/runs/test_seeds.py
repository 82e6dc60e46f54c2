"""Several seeds of an experiment in parallel processes."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import eprop as ep
from eprop.errors import CheckpointError, DataError, EPropError, OutputError, ParameterError
from eprop.parallel.interrupt import Stopped
from eprop.runs import RunFolder, draw, fitting, load_checkpoint, seeds
from eprop.training import Watcher
from networks import two_threads
from small_tasks import bare, outcome, small, trained

TESTS = pathlib.Path(__file__).parents[2]
PIPES: dict[str, Any] = {
    "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": {**os.environ, "PYTHONPATH": str(TESTS)},
    "start_new_session": True,
}  # fmt: skip
run_in_folder = fitting.run_in_folder


def several(count: int = 3, out: pathlib.Path | str | None = None, experiment: Any = None, **given: Any) -> Any:
    return trained(small(seed=3) if experiment is None else experiment, out, seeds=count, **{"jobs": 1, **given})


def stopped(monkeypatch: pytest.MonkeyPatch, out: pathlib.Path | None, at: int, samples: int = 8) -> str:
    """Stop three seeds in the one with seed ``at``, after so many samples; the message of the stop."""

    class Stop(Watcher):
        def metrics(self, line: dict[str, Any]) -> None:
            if line["samples"] >= samples:
                raise Stopped

    def start(experiment: Any, folder: Any, watcher: Watcher, *more: Any) -> Any:
        if samples == 0 and experiment.seed == at:
            raise KeyboardInterrupt
        return run_in_folder(experiment, folder, Stop() if experiment.seed == at else watcher, *more)

    with monkeypatch.context() as patch:
        patch.setattr(fitting, "run_in_folder", start)
        with pytest.raises(Stopped) as stop:
            several(3, out)
    return str(stop.value)


def wait_for(condition: Callable[[], bool], seconds: float = 200.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert condition()


def is_gone(group: int) -> bool:
    """Whether no process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def without_times(summary: dict[str, Any]) -> dict[str, Any]:
    """The parts of a summary that do not depend on the time."""
    each = [{k: v for k, v in trial.items() if not k.endswith("seconds")} for trial in summary["trials"]]
    return {**summary, "trials": each}


# ---------------------------------------------------------------- in this process


@pytest.mark.tiny
def test_the_same_call_continues(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard, begun, out = [], [], tmp_path / "cut"

    class Ear(Watcher):
        def trial(self, done: int, total: int, summary: dict[str, Any]) -> None:
            heard.append((done, total, summary["seed"]))

    whole = several(3, tmp_path / "whole", progress=Ear())
    assert heard == [(1, 3, 3), (2, 3, 4), (3, 3, 5)]
    words = f"stopped with 1 of 3 seeds in {out} finished; the same command continues"
    assert stopped(monkeypatch, out, at=4) == words
    finished = (out / "seed-3" / "summary.json").read_bytes()

    def start(experiment: Any, *given: Any) -> Any:
        begun.append(experiment.seed)
        return run_in_folder(experiment, *given)

    monkeypatch.setattr(fitting, "run_in_folder", start)
    trials = several(3, out)
    assert begun == [4, 5]  # the finished one is kept
    assert (out / "seed-3" / "summary.json").read_bytes() == finished
    assert json.loads(trials.folder.summary.read_text()) == trials.summary
    assert without_times(trials.summary) == without_times(whole.summary)
    assert outcome(out / "seed-4") == outcome(tmp_path / "whole/seed-4")


@pytest.mark.tiny
def test_without_a_folder_the_last_unfinished_seeds_continue(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stopped(monkeypatch, None, at=3, samples=0)
    names = [several(2, experiment=small(seed=3, epochs=epochs)).folder.path.name for epochs in (3, 3, 4)]
    assert names == [f"small-eprop-seeds-00{number}" for number in (1, 2, 3)]
    RunFolder("runs/small-eprop-seeds-003").summary.unlink()
    assert several(2).folder.path.name.endswith("004")  # other epochs


@pytest.mark.tiny
def test_more_seeds_are_added_and_all_replaced(tmp_path: pathlib.Path) -> None:
    out, settings = tmp_path / "out", {"batch_size": 6, "epochs": 1}
    folder = several(2, out, **settings).folder
    finished = folder.of_seed(3).summary.read_bytes()
    assert len(several(3, out, **settings).summary["trials"]) == 3
    assert folder.of_seed(3).summary.read_bytes() == finished
    assert folder.seeds() == [3, 4, 5]
    for seed in folder.seeds():
        record = load_checkpoint(folder.of_seed(seed).checkpoint).record
        assert [record.settings[name] for name in ("batch_size", "epochs", "seed")] == [6, 1, seed]
    for other in (small(seed=4).changed(**settings), small(seed=3)):
        with pytest.raises(OutputError, match=r"out: holds seeds with other settings \(.* not .*\); .* force=True"):
            several(1, out, other)
    with pytest.raises(OutputError, match="seed-3: is not empty"):
        several(1, out / "seed-3")
    several(1, out, small(seed=4), force=True)
    assert folder.seeds() == [4]
    trained(small(), out, force=True)
    names = ["checkpoint.npz", "config.toml", "metrics.jsonl", "summary.json"]
    assert sorted(path.name for path in out.iterdir()) == names


@pytest.mark.tiny
@pytest.mark.parametrize(
    ("given", "words"),
    [
        *(({"seeds": count}, "number of seeds must be a whole number >= 1, got") for count in (2.5, "3", True, 0)),
        *(({"jobs": jobs}, "number of jobs must be a whole number >= 1, got") for jobs in (1.5, 0)),
        ({"threads": 1000}, "threads is 1000, but only"),
        *(({"experiment": bare(), "seeds": n}, "several seeds need a function that makes the experiment") for n in (1, 2)),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_a_folder_is_made(
    tmp_path: pathlib.Path, given: dict[str, Any], words: str
) -> None:
    experiment = given.pop("experiment", small())
    with pytest.raises(ParameterError, match=words):
        trained(experiment, tmp_path / "out", **{"seeds": 2, "jobs": 2, **given})
    assert not (tmp_path / "out").exists()


@pytest.mark.tiny
@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ([{"value": 0.5}], (0.5, None, None, 0.5, 0.5)),
        ([{"value": 0.0, "sigma": 0.03}, {"value": 0.0, "sigma": 0.04}], (0.0, 0.0, 0.0353553, 0.0, 0.0)),
        ([{"value": 0.0}, {"value": 0.02, "sigma": 0.1}], (0.01, 0.0141421, 0.1, 0.0, 0.02)),
        ([{}, {}], (None,) * 5),
    ],
)
def test_mean_and_spread(given: list[dict[str, float]], wanted: tuple[float | None, ...]) -> None:
    found = seeds.summarise([{"seed": 1, "score": "error", "unit": "error", **each} for each in given])
    values = [found[name] for name in ("mean", "sd", "sigma", "lowest", "highest")]
    assert values == [value if value is None else pytest.approx(value, abs=1e-6) for value in wanted]


@pytest.mark.tiny
def test_the_picture_of_all_seeds(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    assert several(2, out, formats=("png",)).folder.figures.joinpath("learning_curve.png").is_file()
    assert [path.name for path in draw(out, tmp_path / "again", formats=("svg",))] == ["learning_curve.svg"]
    stopped(monkeypatch, tmp_path / "new", at=3, samples=0)
    (tmp_path / "new/seed-3").mkdir()
    (tmp_path / "new/seed-3/config.toml").write_text((out / "seed-3/config.toml").read_text())
    with pytest.raises(CheckpointError, match="none of 1 seeds has reported anything yet"):
        draw(tmp_path / "new")


# ---------------------------------------------------------------- in several processes


@pytest.mark.parametrize("jobs", [1, 2])
def test_they_are_the_runs_of_their_seeds(jobs: int, tmp_path: pathlib.Path) -> None:
    trials = several(2, tmp_path / "trials", jobs=jobs)
    assert [trial["seed"] for trial in trials.summary["trials"]] == [3, 4]
    scores = [trial["test_error"] for trial in trials.summary["trials"]]
    assert trials.summary["mean"] == pytest.approx(np.mean(scores))
    assert trials.summary["sd"] == pytest.approx(np.std(scores, ddof=1))
    trained(small(seed=4), tmp_path / "alone")
    assert outcome(tmp_path / "alone") == outcome(trials.folder.of_seed(4).path)
    assert repr(trials).startswith(f"Trials({str(tmp_path / 'trials')!r}: ")
    assert trials._repr_html_().count("<tr>") == 2


@two_threads
def test_reused_processes_follow_into_another_folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, epochs in (("one", 1), ("two", 2)):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        trials = several(2, "out", small(epochs=epochs), jobs=2, threads=epochs)
        assert trials.folder.path == pathlib.Path("out")
        assert [trial["samples_learned"] for trial in trials.summary["trials"]] == [12 * epochs] * 2
        assert trials.folder.of_seed(2).read_summary()["threads"] == epochs
    assert sorted(path.name for path in tmp_path.rglob("seed-*")) == ["seed-1", "seed-1", "seed-2", "seed-2"]


SCRIPT = """
import sys

sys.path.append({tests!r})
import eprop as ep
import small_tasks

with open("executed", "a") as file:
    file.write("x")


@ep.tasks.task
def mine(*, seed: int = 1) -> ep.Experiment:
    sample = small_tasks.draw
    source = ep.data.Generated(lambda rng: sample(rng), 12, 6, seed=seed)
    return ep.Experiment(small_tasks.network("eprop", 5, False, seed), source, batch_size=4)


trials = ep.fit(mine(), folder="out", seeds=2, jobs=2, formats=(), progress=False)
print(len(trials.summary["trials"]))
"""


def test_processes_execute_neither_the_script_nor_modules_of_the_current_folder(tmp_path: pathlib.Path) -> None:
    """A script without ``if __name__ == "__main__"`` would begin again; the folder may be the run of somebody else."""
    for name in ("joblib.py", "numpy.py"):
        (tmp_path / name).write_text("import pathlib\n\npathlib.Path('ran').touch()\n")
    (tmp_path / "script.py").write_text(SCRIPT.format(tests=str(TESTS)))
    with subprocess.Popen([sys.executable, "-P", "script.py"], cwd=tmp_path, **PIPES) as process:
        try:
            text, errors = process.communicate(timeout=60)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # none is left if they begin again and again
    assert (process.returncode, text) == (0, "2\n"), errors
    assert (tmp_path / "executed").read_text() == "x"
    assert not (tmp_path / "ran").exists()
    assert RunFolder(tmp_path / "out").seeds() == [1, 2]


BAD = """
import os, pathlib, sys, time

sys.path.insert(0, {tests!r})
import eprop as ep
import small_tasks
from eprop.errors import DataError


@ep.tasks.task
def bad(*, seed: int = 1) -> ep.Experiment:
    def fails(stage):
        while not pathlib.Path("out/seed-1/metrics.jsonl").is_file():
            time.sleep(0.1)
        {mistake}

    source = fails if seed == 2 else ep.data.Generated(small_tasks.draw, 12, 6, seed=seed)
    return ep.Experiment(small_tasks.network("eprop", 5, False, seed), source, epochs=10**6, reports=10**6)
"""


@pytest.mark.parametrize(
    ("mistake", "error", "words"),
    [
        ("raise DataError('out of luck')", DataError, "^out of luck\nwith the seed 2$"),
        ("os.kill(os.getpid(), 9)", EPropError, r"was killed, perhaps for lack of memory: take fewer jobs \(now 2\)"),
    ],
)
def test_an_error_names_its_seed_and_a_checkpoint_of_the_others_stays(
    mistake: str, error: type[Exception], words: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.py").write_text(BAD.format(mistake=mistake, tests=str(TESTS)))
    with pytest.raises(error, match=words) as failed:
        several(3, "out", ep.tasks.task_named(str(tmp_path / "bad.py"))(), jobs=2)
    if error is DataError:
        assert "in fails" in str(failed.value.__cause__)
    assert load_checkpoint(RunFolder("out/seed-1").checkpoint)


LONG = """
import signal, sys

sys.path.insert(0, sys.argv[2])
import eprop as ep
import small_tasks
from eprop.parallel.interrupt import Stopped

signal.signal(signal.SIGINT, signal.default_int_handler)
print("ready", flush=True)
try:
    small_tasks.trained(small_tasks.small(seed=3, epochs=10**6), sys.argv[1], seeds=3, jobs=2, reports=10**6, validations=0)
except Stopped as stop:
    print(stop)
    sys.exit(stop.exit_code)
"""


def endless(out: pathlib.Path) -> subprocess.Popen[str]:
    """Three endless trainings, two at a time, in a process group of their own."""
    return subprocess.Popen([sys.executable, "-c", LONG, str(out), str(TESTS)], **PIPES)


@pytest.mark.parametrize(
    ("number", "group"),
    [(signal.SIGTERM, False), pytest.param(signal.SIGTERM, True, marks=pytest.mark.slow), (signal.SIGINT, True)],
)
def test_stopped_processes_save_their_work(number: int, group: bool, tmp_path: pathlib.Path) -> None:
    """A signal may reach one or all; the third training does not begin any more."""
    out = tmp_path / "out"
    runs = [RunFolder(out / f"seed-{seed}") for seed in (3, 4, 5)]
    with endless(out) as process:
        wait_for(lambda: process.poll() is not None or all(run.metrics.is_file() for run in runs[:2]))
        (os.killpg if group else os.kill)(process.pid, number)
        text = process.communicate(timeout=100)[0]
    assert f"stopped with 0 of 3 seeds in {out} finished; the same command continues" in text
    assert process.returncode == 128 + number
    for run in runs[:2]:  # all reported samples are in the checkpoint
        assert load_checkpoint(run.checkpoint).position["done"] >= run.read_metrics()[-1]["samples"] > 0
    assert not runs[2].checkpoint.exists()
    assert not list(out.rglob(".*"))


def test_they_end_with_the_process_that_started_them(tmp_path: pathlib.Path) -> None:
    runs = [RunFolder(tmp_path / f"out/seed-{seed}") for seed in (3, 4)]
    with endless(tmp_path / "out") as process:
        wait_for(lambda: process.poll() is not None or all(run.metrics.is_file() for run in runs))
        process.kill()
    wait_for(lambda: is_gone(process.pid))
    assert all(run.checkpoint.is_file() for run in runs)


def test_ctrl_c_before_one_has_begun(tmp_path: pathlib.Path) -> None:
    """While processes start, the signal reaches them as well, and their pool reports this as an error."""
    with endless(tmp_path / "out") as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.7)
        os.killpg(process.pid, signal.SIGINT)
        text = process.communicate(timeout=100)[0]
    assert "the same command continues" in text
    assert process.returncode == 130
