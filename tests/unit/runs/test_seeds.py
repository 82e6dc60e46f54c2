"""Several seeds of one experiment, in parallel processes."""

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

import eprop as ep
from eprop.cli.guard import text_of
from eprop.cli.report import print_trials
from eprop.errors import CheckpointError, DataError, EPropError, OutputError, ParameterError
from eprop.runs import RunFolder, Trials, draw, load_checkpoint, seeds
from eprop.runs.seeds import summarise
from eprop.runs.side_by_side import side_by_side
from eprop.tasks import task_named
from eprop.training import Experiment, Stopped, Watcher
from networks import two_threads
from refusals import Refusal, refusals
from small_tasks import QUIET, assert_same_run, fitted, small


def trained(
    out: pathlib.Path | str | None, count: int = 2, experiment: Experiment | None = None, **given: Any
) -> Trials:
    """Seeds in this process, or with ``jobs`` in several."""
    options = {**QUIET, "threads": None, "seeds": count, "jobs": 1, **given}
    trials: Trials = ep.fit(experiment or small(seed=3), folder=out, **options)
    return trials


def stopped(monkeypatch: pytest.MonkeyPatch, out: pathlib.Path | None, at: int, samples: int = 8) -> str:
    """Three seeds that are stopped in the one with seed ``at``, after so many samples; the message of the stop."""

    class Stop(Watcher):
        def metrics(self, line: dict[str, Any]) -> None:
            if line["samples"] >= samples:
                raise Stopped

    def run(sent: Any, settings: Any, out: str, execution: Any, watcher: Watcher) -> Any:
        found = out.endswith(f"seed-{at}")
        if found and samples == 0:
            raise KeyboardInterrupt
        return real(sent, settings, out, execution, Stop() if found else watcher)

    real = seeds._run_trial
    with monkeypatch.context() as patch:
        patch.setattr(seeds, "_run_trial", run)
        with pytest.raises(Stopped) as stop:
            trained(out, 3)
    return str(stop.value)


def wait_for(condition: Callable[[], bool], limit: float = 200.0) -> None:
    deadline = time.monotonic() + limit
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


# ---------------------------------------------------------------- in this process


@pytest.mark.tiny
def test_the_same_call_continues_stopped_seeds(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(tmp_path / "whole", 3)
    out = tmp_path / "cut"
    assert stopped(monkeypatch, out, at=4) == f"stopped with 1 of 3 seeds in {out} finished; the same command continues"
    assert load_checkpoint(out / "seed-4" / "checkpoint.npz").position["done"] == 8
    finished = (out / "seed-3" / "summary.json").read_bytes()
    trials = trained(out, 3)
    assert (out / "seed-3" / "summary.json").read_bytes() == finished
    assert json.loads(trials.folder.summary.read_text()) == trials.summary
    for seed in (3, 4, 5):
        assert_same_run(tmp_path / "whole" / f"seed-{seed}", out / f"seed-{seed}")


@pytest.mark.tiny
def test_changed_settings_reach_all_seeds(tmp_path: pathlib.Path) -> None:
    trained(tmp_path / "out", epochs=2, jobs=2)
    for seed in (3, 4):
        fitted(tmp_path / f"{seed}", small(seed=seed), epochs=2)
        assert_same_run(tmp_path / f"{seed}", tmp_path / "out" / f"seed-{seed}")


@pytest.mark.tiny
def test_without_a_folder_the_last_unfinished_seeds_continue(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stopped(monkeypatch, None, at=3, samples=0)
    names = [trained(None, epochs=epochs).folder.path.name[-9:] for epochs in (3, 3, 3, 2)]
    assert names == ["seeds-001", "seeds-002", "seeds-003", "seeds-004"]
    next(pathlib.Path("runs").glob("*-seeds-004/summary.json")).unlink()
    assert trained(None).folder.path.name.endswith("005")  # other epochs


@pytest.mark.tiny
def test_more_seeds_are_added_and_force_replaces_all(tmp_path: pathlib.Path) -> None:
    folder = trained(tmp_path / "out").folder
    finished = folder.of_seed(3).summary.read_bytes()
    assert len(trained(folder.path, 3).summary["trials"]) == 3
    assert folder.of_seed(3).summary.read_bytes() == finished
    assert folder.seeds() == [3, 4, 5]
    trained(folder.path, 1, small(seed=4), force=True)
    assert folder.seeds() == [4]
    fitted(folder.path, force=True)
    names = ["checkpoint.npz", "config.toml", "metrics.jsonl", "summary.json"]
    assert sorted(path.name for path in folder.path.iterdir()) == names


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Stopped seeds, which the tests do not change."""
    out = tmp_path_factory.mktemp("seeds") / "cut"
    with pytest.MonkeyPatch.context() as patch:
        stopped(patch, out, at=4)
    return out


def bare() -> Experiment:
    return Experiment(small().network, small().train)


@pytest.mark.tiny
@refusals(
    (lambda out: trained(out, epochs=5), OutputError, "cut: holds seeds with other settings, see its config.toml; choose"),
    (lambda out: trained(out, 3, small(seed=4)), OutputError, r"or replace them with force=True \(--force\)"),
    (lambda out: trained(out / "seed-3", 1), OutputError, "seed-3: is not empty; choose another folder"),
    (lambda out: fitted(out), OutputError, "cut: is not empty; choose another folder"),
    *((lambda out, n=n: trained(out / "new", n), ParameterError, "number of seeds must be a whole number >= 1, got")
      for n in (2.5, "3", True, 0)),
    *((lambda out, n=n: trained(out / "new", jobs=n), ParameterError, "number of jobs must be a whole number >= 1, got")
      for n in (1.5, 0)),
    (lambda out: trained(out / "new", threads=1000), ParameterError, "threads is 1000, but only"),
    (lambda out: trained(out / "new", experiment=bare()), ParameterError, "several seeds need a function that makes the exp"),
    (lambda out: trained(out / "new", seed=5), ParameterError, "seeds begin with the seed of the experiment"),
    (lambda out: trained(out / "new", callbacks=[print]), ParameterError, "callbacks do not reach the processes"),
    (lambda out: fitted(out / "new", jobs=2), ParameterError, "jobs is the number of processes for seeds"),
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_a_folder_is_made(refusal: Refusal, cut: pathlib.Path) -> None:
    refusal.check(cut)
    assert not (cut / "new").exists()


@pytest.mark.tiny
def test_pictures_of_seeds(tmp_path: pathlib.Path) -> None:
    trials = trained(tmp_path / "out", formats=("png",))
    before = sorted(path.name for path in trials.folder.figures.iterdir())
    assert "learning_curve.png" in before
    assert sorted(path.name for path in draw(tmp_path / "out")) == before
    with pytest.raises(CheckpointError, match="holds several trials, seed-3, seed-4; give the folder of one"):
        ep.load(tmp_path / "out")


@pytest.mark.tiny
def test_the_spread_is_that_between_seeds_or_within_one(
    capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path
) -> None:
    summary = fitted(tmp_path / "run").summary
    one = summarise([summary])
    assert (one["mean"], one["sd"]) == (summary["test_error"], None)
    same = [{**summary, "value": 0.0, "test_error": 0.0, "sigma": s} for s in (0.03, 0.04)]
    for given, words in (
        (same, "0.0 ± 3.5 % over 2 seeds"),
        ([same[0], {**same[1], "value": 0.02, "test_error": 0.02}], "1.0 ± 1.4 %"),
    ):
        print_trials(RunFolder(tmp_path), summarise(given))
        assert words in capsys.readouterr().out


@pytest.mark.tiny
def test_the_watcher_receives_each_seed(tmp_path: pathlib.Path) -> None:
    heard = []

    class Ear(Watcher):
        def trial(self, done: int, total: int, summary: dict[str, Any]) -> None:
            heard.append((done, total, summary["seed"]))

    trained(tmp_path / "out", 3, progress=Ear())
    assert heard == [(1, 3, 3), (2, 3, 4), (3, 3, 5)]


@pytest.mark.tiny
def test_a_warning_names_the_seed() -> None:
    before = warnings.formatwarning
    with seeds._named_warnings(7):
        line = warnings.formatwarning("the loss is high", UserWarning, "trainer.py", 1)
    assert line == "eprop: warning: seed 7: the loss is high\n"
    assert warnings.formatwarning is before


# ---------------------------------------------------------------- in several processes


@pytest.mark.parametrize("jobs", [1, 2])
def test_trials_are_the_runs_of_their_seeds(jobs: int, tmp_path: pathlib.Path) -> None:
    trials = trained(tmp_path / "trials", jobs=jobs)
    summary = trials.summary
    assert json.loads(trials.folder.summary.read_text()) == summary
    assert [trial["seed"] for trial in summary["trials"]] == [3, 4]
    scores = [trial["test_error"] for trial in summary["trials"]]
    assert (summary["mean"], summary["sd"]) == (pytest.approx(np.mean(scores)), pytest.approx(np.std(scores, ddof=1)))
    assert "over" not in repr(trials)
    assert str(trials.folder.path) in repr(trials)
    fitted(tmp_path / "alone", small(seed=4))
    assert_same_run(tmp_path / "alone", trials.folder.of_seed(4).path)


def test_reused_processes_follow_into_another_folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths are those of the folder in which `fit` is called, whenever its processes were started."""
    for name, epochs in (("one", 1), ("two", 2)):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        trials = trained("out", jobs=2, epochs=epochs)
        assert trials.folder.path == pathlib.Path("out")
        assert [trial["samples_learned"] for trial in trials.summary["trials"]] == [8 * epochs] * 2
    assert sorted(path.name for path in tmp_path.rglob("seed-*")) == ["seed-3", "seed-3", "seed-4", "seed-4"]


@two_threads
def test_seeds_may_have_several_threads_each(tmp_path: pathlib.Path) -> None:
    """As many as wanted, however few cores there are for a process."""
    trained(tmp_path / "out", jobs=2, threads=2)
    assert RunFolder(tmp_path / "out/seed-4").read_summary()["threads"] == 2


BAD = """
import pathlib, time
import eprop as ep
from eprop.errors import DataError
from eprop.tasks import task

class Odd(Exception):
    def __init__(self, one, two):
        super().__init__(one)

def broken(*_):
    while not pathlib.Path("out/seed-1/metrics.jsonl").is_file():
        time.sleep(0.1)
    raise {error}

@task
def bad(*, seed: int = 1) -> ep.Experiment:
    made = ep.tasks.pattern_generation(duration=50.0, neurons=5, inputs=5, seed=seed)
    train = broken if seed == 2 else made.train
    return ep.Experiment(made.network, train, score=made.score, epochs=10**6, reports=10**6, batch_size=1)
"""


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        ("DataError('out of luck')", DataError, "out of luck (with the seed 2)"),
        ("Odd('out of luck', 13)", RuntimeError, "Odd: out of luck (with the seed 2)"),  # cannot be pickled
    ],
)
def test_an_error_names_its_seed_and_the_others_save_their_work(
    error: str, kind: type[Exception], text: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.py").write_text(BAD.format(error=error))
    with pytest.raises(kind) as failed:
        trained("out", 3, task_named(tmp_path / "bad.py")(), jobs=2)
    assert text_of(failed.value) == text
    assert "in broken" in str(failed.value.__cause__)
    assert_saved(RunFolder("out/seed-1"))
    assert not list((tmp_path / "out").rglob(".*"))


def _killed(watcher: Watcher) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_is_reported_in_a_line(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EPropError, match=r"was killed, perhaps for lack of memory: take fewer of them$"):
        list(side_by_side([(_killed, ()), (_killed, ())], 2, advice="take fewer of them"))

    def fail(*_: Any, advice: str, **__: Any) -> Any:
        raise EPropError(f"killed: {advice}")

    monkeypatch.setattr(seeds, "side_by_side", fail)
    with pytest.raises(EPropError) as killed:
        trained(tmp_path / "out", jobs=2)
    assert str(killed.value) == "killed: take fewer jobs; the same call with 1 of them continues"


LONG = """
import signal, sys
import eprop as ep
from eprop.training import Stopped

signal.signal(signal.SIGINT, signal.default_int_handler)
endless = {"duration": 50.0, "neurons": 5, "inputs": 5, "seed": 3, "epochs": 10**6, "reports": 10**6}
print("ready", flush=True)
try:
    ep.fit(ep.tasks.pattern_generation(**endless), folder=sys.argv[1], seeds=3, jobs=2, progress=False)
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
    assert f"stopped with 0 of 3 seeds in {out} finished; the same command continues" in text
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
    code = "import operator\nfrom eprop.runs.side_by_side import side_by_side\n"
    code += "print(list(side_by_side([(operator.is_, (2,))] * 2, 2)))"
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "[False, False]\n", done.stderr
    assert not (tmp_path / "ran").exists()
