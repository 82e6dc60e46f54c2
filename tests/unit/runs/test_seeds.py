"""Several seeds in parallel processes."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from eprop.cli.guard import text_of
from eprop.cli.report import print_trials
from eprop.errors import DataError, EPropError, OutputError, ParameterError
from eprop.training import RunConfig, RunFolder, Stopped, Watcher, run_trials, start_run, trials
from eprop.training.checkpoint import load_checkpoint
from eprop.training.parallel import side_by_side
from eprop.training.trials import summarise
from networks import two_threads

SMALL = {"duration": 50.0, "neurons": 5, "inputs": 5}


def config(epochs: int = 4, threads: int | None = None, **task: Any) -> RunConfig:
    training, run = {"epochs": epochs}, {} if threads is None else {"threads": threads}
    return RunConfig.make("pattern-generation", task={**SMALL, **task}, training=training, run=run)


def stopped(monkeypatch: pytest.MonkeyPatch, out: pathlib.Path | None, at: int, samples: int = 2) -> str:
    """Run three trials and stop them in the one with seed ``at``, after so many samples; the message of the stop."""

    class Stop(Watcher):
        def metrics(self, line: dict[str, Any]) -> None:
            if line["samples"] >= samples:
                raise Stopped

    def start(config: RunConfig, *args: Any, **more: Any) -> Any:
        if samples == 0 and config.task.seed == at:
            raise KeyboardInterrupt
        return start_run(config, *args, **more | ({"watcher": Stop()} if config.task.seed == at else {}))

    with monkeypatch.context() as patch:
        patch.setattr("eprop.training.trials.start_run", start)
        with pytest.raises(Stopped) as stop:
            run_trials(config(seed=3), 3, out, jobs=1)
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


def assert_saved(run: RunFolder) -> None:
    """All reported samples are in the checkpoint."""
    assert load_checkpoint(run.checkpoint).position["done"] >= max(line["samples"] for line in run.read_metrics()) > 0


def without_times(summary: dict[str, Any]) -> dict[str, Any]:
    """The parts of a summary that do not depend on the time."""
    trials = [{k: v for k, v in trial.items() if not k.endswith("seconds")} for trial in summary["trials"]]
    return {**summary, "trials": trials}


# ---------------------------------------------------------------- in this process


@pytest.mark.tiny
def test_the_same_call_continues_stopped_trials(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, whole = run_trials(config(seed=3), 3, tmp_path / "whole", jobs=1)
    out, begun = tmp_path / "cut", []
    assert stopped(monkeypatch, out, at=4) == (
        f"stopped with 1 of 3 trials in {out} finished; the same command continues"
    )
    finished = (out / "seed-3" / "summary.json").read_bytes()

    def start(config: RunConfig, *args: Any, **more: Any) -> Any:
        begun.append(config.task.seed)
        return start_run(config, *args, **more)

    monkeypatch.setattr("eprop.training.trials.start_run", start)
    folder, summary = run_trials(config(seed=3), 3, out, jobs=1)
    assert begun == [5]  # the finished trial is kept, the begun one continues from its checkpoint
    assert (out / "seed-3" / "summary.json").read_bytes() == finished
    assert json.loads(folder.summary.read_text()) == summary
    assert without_times(summary) == without_times(whole)


@pytest.mark.tiny
def test_without_a_folder_the_last_unfinished_trials_continue(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = []
    for given in (config(seed=3), config(seed=3), config(seed=3), config(seed=3, epochs=5)):
        if not names:
            stopped(monkeypatch, None, at=3, samples=0)
        names.append(run_trials(given, 2, jobs=1)[0].path.name.removeprefix("pattern-generation-sines-eprop-"))
    assert names == ["trials-001", "trials-002", "trials-003", "trials-004"]
    RunFolder("runs/pattern-generation-sines-eprop-trials-004").summary.unlink()
    assert run_trials(config(seed=3), 2, jobs=1)[0].path.name.endswith("005")  # other epochs


@pytest.mark.tiny
def test_more_seeds_are_added(tmp_path: pathlib.Path) -> None:
    folder, _ = run_trials(config(), 2, tmp_path / "out", jobs=1)
    finished = folder.of_seed(1).summary.read_bytes()
    assert len(run_trials(config(), 3, folder.path, jobs=1)[1]["trials"]) == 3
    assert folder.of_seed(1).summary.read_bytes() == finished
    assert folder.seeds() == [1, 2, 3]


@pytest.mark.tiny
def test_trials_with_other_settings_are_refused(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "cut"
    stopped(monkeypatch, out, at=4)
    with pytest.raises(
        OutputError, match=r"cut: holds trials with other settings \(training.epochs = 5, not 4\); choose"
    ):
        run_trials(config(seed=3, epochs=5), 3, out, jobs=1)
    with pytest.raises(ParameterError, match=r"config.toml: configures the task 'pattern-generation', not 'nmnist'"):
        run_trials(RunConfig.make("nmnist"), 3, out, jobs=1)
    with pytest.raises(OutputError, match="seed-3: is not empty; choose another folder"):
        run_trials(config(seed=3), 1, out / "seed-3", jobs=1)


@pytest.mark.tiny
def test_force_replaces_all_trials(tmp_path: pathlib.Path) -> None:
    out = tmp_path / "out"
    run_trials(config(seed=3), 3, out, jobs=1)
    with pytest.raises(OutputError, match=r"other settings \(task.seed = 4, not 3\)"):
        run_trials(config(seed=4), 1, out, jobs=1)
    run_trials(config(seed=4), 1, out, jobs=1, force=True)
    assert [path.name for path in out.glob("seed-*")] == ["seed-4"]
    start_run(config(), out, force=True)
    names = ["checkpoint.npz", "config.toml", "metrics.jsonl", "summary.json"]
    assert sorted(path.name for path in out.iterdir()) == names


@pytest.mark.tiny
@pytest.mark.parametrize(
    ("given", "words"),
    [
        *(({"count": count}, "number of seeds must be a whole number >= 1, got") for count in (2.5, "3", True, 0)),
        *(({"count": 2, "jobs": jobs}, "number of jobs must be a whole number >= 1, got") for jobs in (1.5, 0)),
        ({"count": 2, "config": config(threads=1000)}, "threads is 1000, but only"),
    ],
)
def test_wrong_numbers_are_refused_before_a_folder_is_made(
    tmp_path: pathlib.Path, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(ParameterError, match=words):
        run_trials(**{"config": config(), "jobs": 2, **given}, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.tiny
def test_the_spread_is_that_between_trials_or_within_one(
    capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path
) -> None:
    run = start_run(config(), tmp_path / "run")
    one = summarise([run.summary])
    assert (one["sd"], one["sigma"]) == (None, None)
    same = [{**run.summary, "score": "error", "test_error": 0.0, "test_error_sigma": s} for s in (0.03, 0.04)]
    for given, words in (
        (same, "0.0 ± 3.5 % over 2 seeds"),
        ([same[0], {**same[1], "test_error": 0.02}], "1.0 ± 1.4 %"),
    ):
        print_trials(RunFolder(tmp_path), summarise(given))
        assert words in capsys.readouterr().out


@pytest.mark.tiny
def test_the_watcher_receives_each_trial(tmp_path: pathlib.Path) -> None:
    heard = []

    class Ear(Watcher):
        def trial(self, done: int, total: int, summary: dict[str, Any]) -> None:
            heard.append((done, total, summary["seed"]))

    run_trials(config(seed=3), 3, tmp_path / "out", jobs=1, watcher=Ear())
    assert heard == [(1, 3, 3), (2, 3, 4), (3, 3, 5)]


@pytest.mark.tiny
def test_a_warning_names_the_trial() -> None:
    before = warnings.formatwarning
    with trials._named_warnings(7):
        line = warnings.formatwarning("the loss is high", UserWarning, "trainer.py", 1)
    assert line == "eprop: warning: seed 7: the loss is high\n"
    assert warnings.formatwarning is before


# ---------------------------------------------------------------- in several processes


@pytest.mark.parametrize("jobs", [1, 2])
def test_trials_are_the_runs_of_their_seeds(jobs: int, tmp_path: pathlib.Path) -> None:
    folder, summary = run_trials(config(seed=3), 2, tmp_path / "trials", jobs=jobs)
    assert json.loads(folder.summary.read_text()) == summary
    assert [trial["seed"] for trial in summary["trials"]] == [3, 4]
    scores = [trial["test_error"] for trial in summary["trials"]]
    assert summary["mean"] == pytest.approx(np.mean(scores))
    assert summary["sd"] == pytest.approx(np.std(scores, ddof=1))
    assert start_run(config(seed=4), tmp_path / "alone").summary["test_error"] == scores[1]
    assert folder.of_seed(4).checkpoint.exists()


def test_reused_processes_follow_into_another_folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths are those of the folder in which `run_trials` is called, whenever its processes were started."""
    for name, given in (("one", config(epochs=1)), ("two", config())):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        folder, summary = run_trials(given, 2, "out", jobs=2)
        assert folder.path == pathlib.Path("out")
        assert [trial["samples_learned"] for trial in summary["trials"]] == [given.training.epochs] * 2
    assert sorted(path.name for path in tmp_path.rglob("seed-*")) == ["seed-1", "seed-1", "seed-2", "seed-2"]


@two_threads
def test_trials_may_have_several_threads_each(tmp_path: pathlib.Path) -> None:
    """As many as wanted, however few cores there are for a process."""
    run_trials(config(epochs=1, threads=2), 2, tmp_path / "out", jobs=2)
    assert RunFolder(tmp_path / "out/seed-2").read_summary()["threads"] == 2


BAD = """
from dataclasses import dataclass
from eprop.errors import DataError
from eprop.tasks.pattern_generation import PatternGeneration

class Odd(Exception):
    def __init__(self, one, two):
        super().__init__(one)

@dataclass(frozen=True, kw_only=True)
class Bad(PatternGeneration):
    name = "bad"

    def build_network(self):
        if self.seed == 2:
            import pathlib, time
            while not pathlib.Path("out/seed-1/metrics.jsonl").is_file():
                time.sleep(0.1)
            raise {error}
        return super().build_network()
"""


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        ("DataError('out of luck')", DataError, "out of luck (in the trial with seed 2)"),
        ("Odd('out of luck', 13)", RuntimeError, "Odd: out of luck (in the trial with seed 2)"),  # cannot be pickled
    ],
)
def test_an_error_names_its_trial_and_the_others_save_their_work(
    error: str, kind: type[Exception], text: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.py").write_text(BAD.format(error=error))
    endless = RunConfig.make(str(tmp_path / "bad.py"), task=SMALL, training={"epochs": 10**6, "reports": 10**6})
    with pytest.raises(kind) as failed:
        run_trials(endless, 3, "out", jobs=2)
    assert text_of(failed.value) == text
    assert "in build_network" in str(failed.value.__cause__)
    assert_saved(RunFolder("out/seed-1"))
    assert not list((tmp_path / "out").rglob(".*"))


def _killed(watcher: Watcher) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_is_reported_in_a_line(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EPropError, match=r"was killed, perhaps for lack of memory: take fewer of them$"):
        list(side_by_side([(_killed, ()), (_killed, ())], 2, advice="take fewer of them"))

    def fail(*_: Any, advice: str, **__: Any) -> Any:
        raise EPropError(f"killed: {advice}")

    monkeypatch.setattr(trials, "side_by_side", fail)
    with pytest.raises(EPropError) as killed:
        run_trials(config(), 2, tmp_path / "out", jobs=2)
    assert str(killed.value) == ("killed: take fewer --jobs; the same command with --jobs 1 continues")


LONG = """
import signal, sys
from eprop.training import RunConfig, Stopped, run_trials

signal.signal(signal.SIGINT, signal.default_int_handler)
small, endless = {"duration": 50.0, "neurons": 5, "inputs": 5, "seed": 3}, {"epochs": 10**6, "reports": 10**6}
print("ready", flush=True)
try:
    run_trials(RunConfig.make("pattern-generation", task=small, training=endless), 3, sys.argv[1], jobs=2)
except Stopped as stop:
    print(stop)
    sys.exit(stop.exit_code)
"""


def long_trials(out: pathlib.Path) -> subprocess.Popen[str]:
    """Three endless trials, two at a time, in a process group of their own."""
    command = [sys.executable, "-c", LONG, str(out)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


@pytest.mark.parametrize(
    ("number", "group"),
    [(signal.SIGTERM, False), pytest.param(signal.SIGTERM, True, marks=pytest.mark.slow), (signal.SIGINT, True)],
)
def test_stopped_processes_save_their_work(number: int, group: bool, tmp_path: pathlib.Path) -> None:
    """A signal may reach one or all; the third trial does not begin any more."""
    out = tmp_path / "out"
    runs = [RunFolder(out / f"seed-{seed}") for seed in (3, 4, 5)]
    with long_trials(out) as process:
        wait_for(lambda: all(run.metrics.is_file() for run in runs[:2]))
        (os.killpg if group else os.kill)(process.pid, number)
        text = process.communicate(timeout=100)[0]
    assert f"stopped with 0 of 3 trials in {out} finished; the same command continues" in text
    assert process.returncode == 128 + number
    for run in runs[:2]:
        assert_saved(run)
    assert not runs[2].checkpoint.exists()
    assert not list(out.rglob(".*"))


def test_trials_end_with_the_process_that_started_them(tmp_path: pathlib.Path) -> None:
    out = tmp_path / "out"
    runs = [RunFolder(out / f"seed-{seed}") for seed in (3, 4)]
    with long_trials(out) as process:
        wait_for(lambda: all(run.metrics.is_file() for run in runs))
        process.kill()
    wait_for(lambda: is_gone(process.pid))


def test_ctrl_c_before_a_trial_has_begun(tmp_path: pathlib.Path) -> None:
    """While processes start, the signal reaches them as well, and their pool reports this as an error."""
    with long_trials(tmp_path / "out") as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.7)
        os.killpg(process.pid, signal.SIGINT)
        text = process.communicate(timeout=100)[0]
    assert "the same command continues" in text
    assert process.returncode == 130


def test_processes_import_nothing_from_the_current_folder(tmp_path: pathlib.Path) -> None:
    """Python looks there first for a module that it starts with -m; the folder may be the run of somebody else."""
    for name in ("joblib.py", "numpy.py"):
        (tmp_path / name).write_text("import pathlib\n\npathlib.Path('ran').touch()\n")
    code = "import operator\nfrom eprop.training.parallel import side_by_side\n"
    code += "print(list(side_by_side([(operator.is_, (2,))] * 2, 2)))"
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "[False, False]\n", done.stderr
    assert not (tmp_path / "ran").exists()
