"""Several seeds side by side."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

from eprop.cli.guard import text_of
from eprop.cli.report import print_trials
from eprop.errors import CheckpointError, DataError, EPropError, OutputError, ParameterError
from eprop.training import RunConfig, RunFolder, Stopped, Watcher, resume_trials, run_trials, start_run, trials
from eprop.training.checkpoint import load_checkpoint
from eprop.training.lock import LOCK
from eprop.training.processes import side_by_side
from eprop.training.trials import summarise
from networks import two_threads

SMALL = {"duration": 50.0, "neurons": 5, "inputs": 5}


def config(**task) -> RunConfig:
    return RunConfig.make("pattern-generation", task={**SMALL, **task}, training={"epochs": 4})


def stopped(monkeypatch: pytest.MonkeyPatch, out: pathlib.Path, at: int, samples: int = 2) -> str:
    """Run three trials and stop them in the one with seed ``at``, after so many samples; what is said then."""

    class Stop(Watcher):
        def metrics(self, line: dict) -> None:
            if line["samples"] >= samples:
                raise Stopped

    def start(config: RunConfig, *args, **more):
        if samples == 0 and config.task.seed == at:
            raise KeyboardInterrupt
        return start_run(config, *args, **more | ({"watcher": Stop()} if config.task.seed == at else {}))

    with monkeypatch.context() as patch:
        patch.setattr("eprop.training.trials.start_run", start)
        with pytest.raises(Stopped) as stop:
            run_trials(config(seed=3), 3, out, jobs=1)
    return str(stop.value)


class Ear(Watcher):
    """Hears how far all trials are."""

    def __init__(self) -> None:
        self.heard: list[tuple] = []

    def working(self, done: int, total: int, share: float, left: float | None, what: str) -> None:
        self.heard.append((done, total, share, left, what))


def without_times(summary: dict) -> dict:
    """What of a summary must be the same whenever it is made."""
    trials = [{k: v for k, v in trial.items() if not k.endswith("seconds")} for trial in summary["trials"]]
    return {**summary, "trials": trials}


@pytest.mark.tiny
def test_trials_that_were_stopped_go_on(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, whole = run_trials(config(seed=3), 3, tmp_path / "whole", jobs=1)
    out = tmp_path / "cut"
    assert stopped(monkeypatch, out, at=4) == (
        f"stopped with 1 of 3 trials finished, 1 begun; continue with: eprop train pattern-generation --resume {out}"
    )
    finished = (out / "seed-3" / "summary.json").read_bytes()
    begun: list[int] = []

    def start(config: RunConfig, *args, **more):
        begun.append(config.task.seed)
        return start_run(config, *args, **more)

    monkeypatch.setattr("eprop.training.trials.start_run", start)
    folder, summary = resume_trials(out, task="pattern-generation", jobs=1)
    assert begun == [5]  # the finished one is kept, the begun one goes on from its checkpoint
    assert (out / "seed-3" / "summary.json").read_bytes() == finished
    assert json.loads(folder.summary.read_text()) == summary
    assert without_times(summary) == without_times(whole)


@pytest.mark.tiny
def test_trials_that_were_stopped_before_the_first_had_begun(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = stopped(monkeypatch, tmp_path / "cut", at=3, samples=0)
    assert said.startswith("stopped before any of 3 trials had begun; continue with: eprop train")
    assert [trial["seed"] for trial in resume_trials(tmp_path / "cut", jobs=1)[1]["trials"]] == [3, 4, 5]


@pytest.mark.tiny
def test_what_cannot_go_on_is_said(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "cut"
    stopped(monkeypatch, out, at=4)
    with pytest.raises(
        OutputError, match=f"not empty; .* continue the run that was stopped in it with --resume {out}, or"
    ):
        run_trials(config(seed=3), 3, out, jobs=1)
    with pytest.raises(ParameterError, match=f"{out}: is a run of the task 'pattern-generation'; continue with: eprop"):
        resume_trials(out, task="nmnist")
    text = (out / "config.toml").read_text()
    (out / "config.toml").write_text(text.replace("epochs = 4", "epochs = 5"))
    with pytest.raises(
        CheckpointError, match=r"config.toml: was edited since the run began \(training.epochs = 5, not 4"
    ):
        resume_trials(out)
    with pytest.raises(CheckpointError, match=r"seed-3: holds no trials.json; it is no folder of several trials"):
        resume_trials(out / "seed-3")
    (out / "trials.json").write_text("[]")
    with pytest.raises(CheckpointError, match=r"trials.json: does not say which seeds the trials have"):
        resume_trials(out)


@pytest.mark.tiny
def test_force_replaces_all_trials(tmp_path: pathlib.Path) -> None:
    run_trials(config(seed=3), 3, tmp_path / "out", jobs=1)
    with pytest.raises(OutputError, match="is not empty"):
        run_trials(config(seed=4), 1, tmp_path / "out", jobs=1)
    run_trials(config(seed=4), 1, tmp_path / "out", jobs=1, force=True)
    assert sorted(path.name for path in (tmp_path / "out").glob("seed-*")) == ["seed-4"]
    start_run(config(), tmp_path / "out", force=True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "checkpoint.npz", "config.toml", "metrics.jsonl", "summary.json",
    ]  # fmt: skip
    assert RunFolder(tmp_path / "out").read_trials() == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_trials_are_the_runs_of_their_seeds(jobs: int, tmp_path: pathlib.Path) -> None:
    folder, summary = run_trials(config(seed=3), 2, tmp_path / "trials", jobs=jobs)
    assert json.loads(folder.summary.read_text()) == summary
    assert [trial["seed"] for trial in summary["trials"]] == [3, 4]
    scores = [trial["test_error"] for trial in summary["trials"]]
    assert summary["mean"] == pytest.approx(np.mean(scores))
    assert summary["sd"] == pytest.approx(np.std(scores, ddof=1))
    alone = start_run(config(seed=4), tmp_path / "alone")
    assert alone.summary["test_error"] == scores[1]
    assert (tmp_path / "trials" / "seed-4" / "checkpoint.npz").exists()


def test_processes_that_are_kept_follow_into_another_folder(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths are those of the folder in which `run_trials` is called, whenever its processes were started."""
    short = RunConfig.make("pattern-generation", task=SMALL, training={"epochs": 1})
    for name, given in (("one", short), ("two", config())):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        folder, summary = run_trials(given, 2, "out", jobs=2)
        assert folder.path == pathlib.Path("out")
        assert [trial["samples_learned"] for trial in summary["trials"]] == [given.training.epochs] * 2
    assert sorted(path.name for path in tmp_path.rglob("seed-*")) == ["seed-1", "seed-1", "seed-2", "seed-2"]
    assert load_checkpoint(tmp_path / "one/out/seed-1/checkpoint.npz").position["done"] == 1


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
        if self.seed == {seed}:
            {wait}
            raise {error}
        return super().build_network()
"""
WAIT = """
            import pathlib, time
            while not pathlib.Path("out/seed-1/metrics.jsonl").is_file():
                time.sleep(0.1)
"""


def bad_trials(folder: pathlib.Path, error: str, wait: str = "") -> RunConfig:
    """Endless trials, of which the second one fails."""
    (folder / "bad.py").write_text(BAD.format(seed=2, error=error, wait=wait))
    return RunConfig.make(str(folder / "bad.py"), task=SMALL, training={"epochs": 10**6, "reports": 10**6})


def test_a_trial_that_fails_is_named_and_the_others_save_what_they_have_learned(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="out of luck") as failed:
        run_trials(bad_trials(tmp_path, "DataError('out of luck')", WAIT), 3, "out", jobs=2)
    assert text_of(failed.value) == "out of luck (in the trial with seed 2)"
    assert "in build_network" in str(failed.value.__cause__)
    first, _, third = (RunFolder(f"out/seed-{seed}") for seed in (1, 2, 3))
    learned = load_checkpoint(first.checkpoint).position["done"]
    assert learned >= max(line["samples"] for line in first.read_metrics()) > 0
    assert not third.checkpoint.exists()
    assert not list((tmp_path / "out").rglob(".*"))


def _killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_is_killed_is_told_in_a_line(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EPropError, match=r"was killed, perhaps for lack of memory: take fewer of them$"):
        list(side_by_side([(_killed, ()), (_killed, ())], 2, advice="take fewer of them"))

    def break_down(*args, **more):
        raise EPropError(f"killed: {more['advice']}")

    monkeypatch.setattr(trials, "side_by_side", break_down)
    with pytest.raises(EPropError) as killed:
        run_trials(config(), 2, tmp_path / "out", jobs=2)
    assert str(killed.value) == (
        f"killed: take fewer --jobs; continue with: eprop train pattern-generation --resume {tmp_path / 'out'} --jobs 1"
    )


def test_an_error_that_cannot_be_sent_is_told(tmp_path: pathlib.Path) -> None:
    with pytest.raises(RuntimeError, match="Odd: out of luck") as failed:
        run_trials(bad_trials(tmp_path, "Odd('out of luck', 13)"), 2, tmp_path / "out", jobs=2)
    assert failed.value.__notes__ == ["in the trial with seed 2"]


@pytest.mark.tiny
def test_a_trial_that_fails_in_this_process_is_named(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(config: RunConfig, *args, **more):
        if config.task.seed == 4:
            raise DataError("out of luck")
        return start_run(config, *args, **more)

    monkeypatch.setattr("eprop.training.trials.start_run", start)
    with pytest.raises(DataError) as failed:
        run_trials(config(seed=3), 2, tmp_path / "out", jobs=1)
    assert text_of(failed.value) == "out of luck (in the trial with seed 4)"


@two_threads
def test_trials_may_have_several_threads_each(tmp_path: pathlib.Path) -> None:
    """As many as are asked for, however few cores there are for a process."""
    given = RunConfig.make("pattern-generation", task=SMALL, training={"epochs": 1}, run={"threads": 2})
    _, summary = run_trials(given, 2, tmp_path / "out", jobs=2)
    assert len(summary["trials"]) == 2
    assert RunFolder(tmp_path / "out/seed-2").read_summary()["threads"] == 2


@pytest.mark.tiny
def test_too_many_threads_are_refused_before_anything_is_made(tmp_path: pathlib.Path) -> None:
    given = RunConfig.make("pattern-generation", task=SMALL, run={"threads": 1000})
    with pytest.raises(ParameterError, match="threads is 1000, but only"):
        run_trials(given, 2, tmp_path / "out", jobs=2)
    assert not (tmp_path / "out").exists()


@pytest.mark.tiny
@pytest.mark.parametrize(
    "given",
    [{"count": 2.5}, {"count": "3"}, {"count": True}, {"count": 2, "jobs": "2"}, {"count": 2, "jobs": 1.5}],
)
def test_numbers_that_are_not_whole_are_refused(tmp_path: pathlib.Path, given: dict) -> None:
    with pytest.raises(ParameterError, match="must be a whole number, got"):
        run_trials(config(), out=tmp_path / "out", **given)
    assert not (tmp_path / "out").exists()
    with pytest.raises(ParameterError, match=r"must be a whole number, got 1\.5"):
        resume_trials(tmp_path, jobs=1.5)  # type: ignore[arg-type]


def test_one_trial_has_no_spread(tmp_path: pathlib.Path) -> None:
    run = start_run(config(), tmp_path / "run")
    assert run.summary["test_error_sigma"] is None
    summary = summarise([run.summary])
    assert (summary["sd"], summary["sigma"]) == (None, None)


@pytest.mark.tiny
def test_trials_that_end_alike_have_the_spread_within_one(
    capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path
) -> None:
    run = start_run(config(), tmp_path / "run")
    trials = [{**run.summary, "score": "error", "test_error": 0.0, "test_error_sigma": s} for s in (0.03, 0.04)]
    summary = summarise(trials)
    assert (summary["sd"], summary["sigma"]) == (0.0, pytest.approx(0.025 * 2**0.5))
    print_trials(RunFolder(tmp_path), summary)
    assert "0.0 ± 3.5 % over 2 trials" in capsys.readouterr().out
    apart = summarise([trials[0], {**trials[1], "test_error": 0.02}])
    print_trials(RunFolder(tmp_path), apart)
    assert "1.0 ± 1.4 % over 2 trials" in capsys.readouterr().out


def test_wrong_numbers_and_folders_are_refused(tmp_path: pathlib.Path) -> None:
    for given in ({"count": 0}, {"count": 1, "jobs": 0}):
        with pytest.raises(ParameterError, match=r"must be >= 1, got 0"):
            run_trials(config(), **given)
    (tmp_path / "mine").write_text("")
    with pytest.raises(OutputError, match="is not empty"):
        run_trials(config(), 1, tmp_path)


SLEEPERS = """
import pathlib, sys, time
from eprop.training.interrupt import terminating
from eprop.training.processes import side_by_side

def sleep(path):
    pathlib.Path(path).touch()
    time.sleep(600)

try:
    with terminating():
        list(side_by_side([(sleep, (path,)) for path in sys.argv[1:]], 2))
except KeyboardInterrupt as stop:
    sys.exit(stop.exit_code)
"""


def test_sigterm_stops_all_processes(tmp_path):
    """Whoever kills a command, as a batch system does, kills one process; those that it has started must not go on alone."""
    paths, deadline = [tmp_path / "one", tmp_path / "two"], time.monotonic() + 60
    with subprocess.Popen([sys.executable, "-c", SLEEPERS, *map(str, paths)], start_new_session=True) as process:
        while not all(path.exists() for path in paths) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.terminate()
        assert process.wait(60) == 128 + signal.SIGTERM
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return  # nobody is left of the group
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    pytest.fail("processes went on alone")


@pytest.mark.tiny
def test_the_watcher_hears_how_far_all_trials_are(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eprop.training.progress_poller.POLL_INTERVAL", 0.001)
    ear = Ear()
    run_trials(config(seed=3), 3, tmp_path / "out", jobs=1, watcher=ear)
    assert {(total, what) for _, total, _, _, what in ear.heard} == {(3, "trials")}
    shares = [share for _, _, share, _, _ in ear.heard]
    assert shares == sorted(shares)
    assert any(0.0 < share < 1.0 for share in shares)
    assert all((left is None) == (share == 0.0) for _, _, share, left, _ in ear.heard)


@pytest.mark.tiny
def test_what_was_done_before_takes_no_time(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials that go on: the first two thirds are there already, and nothing is said of the time left from them."""
    monkeypatch.setattr("eprop.training.progress_poller.POLL_INTERVAL", 0.001)
    stopped(monkeypatch, tmp_path / "out", at=5, samples=0)
    ear = Ear()
    resume_trials(tmp_path / "out", jobs=1, watcher=ear)
    shares = [share for _, _, share, _, _ in ear.heard]
    assert min(shares) >= 2 / 3 - 1e-9
    # However late the first look is: nothing is known as long as no more is done than at the beginning.
    assert all((left is None) == (share == pytest.approx(2 / 3)) for _, _, share, left, _ in ear.heard)


@pytest.mark.tiny
def test_how_far_a_run_is(tmp_path: pathlib.Path) -> None:
    run = RunFolder(tmp_path)
    assert run.share() == 0.0
    run.metrics.write_text('{"samples": 3, "total": 4}\n{"samples": 4, "tot')
    assert run.share() == 0.75  # the last line is incomplete
    for damaged in ('{"samples": 0, "total": 0}\n', "5\n", '{"samples": "3", "total": 4}\n', "\udcff\n"):
        run.metrics.write_text(damaged, errors="surrogateescape")
        assert run.share() == 0.0
    run.summary.write_text("{}")
    assert run.share() == 1.0


@pytest.mark.tiny
def test_a_warning_names_the_trial() -> None:
    before = warnings.formatwarning
    with trials._named_warnings(7):
        line = warnings.formatwarning("the loss is high", UserWarning, "trainer.py", 1)
    assert line == "eprop: warning: seed 7: the loss is high\n"
    assert warnings.formatwarning is before


LONG = """
import sys
from eprop.training import RunConfig, Stopped, run_trials

small, endless = {"duration": 50.0, "neurons": 5, "inputs": 5, "seed": 3}, {"epochs": 10**6, "reports": 10**6}
try:
    run_trials(RunConfig.make("pattern-generation", task=small, training=endless), 3, sys.argv[1], jobs=2)
except Stopped as stop:
    print(stop)
    sys.exit(stop.exit_code)
"""


@pytest.mark.parametrize(("number", "group"), [(signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGINT, True)])
def test_trials_side_by_side_keep_what_they_have_learned(number: int, group: bool, tmp_path: pathlib.Path) -> None:
    """They are asked to stop, with a checkpoint each; the third one does not begin any more. A signal may reach one or all."""
    out, deadline = tmp_path / "out", time.monotonic() + 200
    runs = [RunFolder(out / f"seed-{seed}") for seed in (3, 4, 5)]
    command = [sys.executable, "-c", f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n{LONG}"]
    with subprocess.Popen([*command, str(out)], stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        while not all(run.metrics.is_file() for run in runs[:2]) and time.monotonic() < deadline:
            time.sleep(0.1)
        (os.killpg if group else os.kill)(process.pid, number)
        said, code = process.communicate(timeout=100)[0], process.returncode
    assert (
        "stopped with 0 of 3 trials finished, 2 begun; continue with: eprop train pattern-generation --resume" in said
    )
    assert code == 128 + number
    for run in runs[:2]:
        learned = load_checkpoint(run.checkpoint).position["done"]
        assert learned >= max(line["samples"] for line in run.read_metrics()) > 0
    assert not runs[2].checkpoint.exists()
    assert not list(out.rglob(".*"))


def test_trials_do_not_go_on_alone(tmp_path: pathlib.Path) -> None:
    """If the process that has begun them is killed, they save what they have learned, and end."""
    out, deadline = tmp_path / "out", time.monotonic() + 200
    runs = [RunFolder(out / f"seed-{seed}") for seed in (3, 4)]
    with subprocess.Popen([sys.executable, "-c", LONG, str(out)], start_new_session=True) as process:
        while not all(run.metrics.is_file() for run in runs) and time.monotonic() < deadline:
            time.sleep(0.1)
        with pytest.raises(OutputError, match=f"out: is in use by process {process.pid} on "):
            resume_trials(out)
        with pytest.raises(OutputError, match=r"is in use by process \d+ on "):
            run_trials(config(seed=3), 3, out, force=True)
        process.kill()
    while any((run.path / LOCK).exists() for run in runs) and time.monotonic() < deadline:
        time.sleep(0.05)
    for run in runs:
        learned = load_checkpoint(run.checkpoint).position["done"]
        assert learned >= max(line["samples"] for line in run.read_metrics()) > 0
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return  # nobody is left of the group
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    pytest.fail("processes went on alone")


def test_ctrl_c_before_a_trial_has_begun(tmp_path: pathlib.Path) -> None:
    """While processes start, it reaches them as well, and their pool calls that an error."""
    program = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n{LONG}"
    program = program.replace("try:", "print('ready', flush=True)\ntry:")
    command = [sys.executable, "-c", program, str(tmp_path / "out")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, start_new_session=True) as process:
        process.stdout.readline()
        time.sleep(0.7)
        os.killpg(process.pid, signal.SIGINT)
        said, code = process.communicate(timeout=100)[0], process.returncode
    assert "continue with: eprop train pattern-generation --resume" in said
    assert code == 130


@pytest.mark.tiny
def test_a_trial_that_was_stopped_alone_is_missed(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eprop.training.trials.side_by_side", lambda calls, *_, **__: iter([None] * len(calls)))
    with pytest.raises(Stopped, match="stopped before any of 2 trials had begun"):
        run_trials(config(seed=3), 2, tmp_path / "out", jobs=2)
    assert not (tmp_path / "out" / "summary.json").exists()


def test_processes_import_nothing_from_the_current_folder(tmp_path: pathlib.Path) -> None:
    """Python looks there first for what it starts with -m; the folder may be the run of somebody else."""
    (tmp_path / "joblib.py").write_text("import pathlib\n\npathlib.Path('ran').touch()\n")
    (tmp_path / "numpy.py").write_text("import pathlib\n\npathlib.Path('ran').touch()\n")
    code = "import os\nfrom eprop.training.processes import side_by_side\n"
    code += "print(len(list(side_by_side([(os.getpid, ())] * 2, 2))))"
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "2\n", done.stderr
    assert not (tmp_path / "ran").exists()
