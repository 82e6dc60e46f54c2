"""A stopped run continues with the same bits, whenever and however it was stopped."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import eprop as ep
import small_tasks
from eprop.errors import CheckpointError, DivergenceError, OutputError, ParameterError
from eprop.parallel.interrupt import Stopped
from eprop.runs import RunFolder, UnfinishedRunWarning, evaluate_run, load, load_checkpoint, resume_run, save_checkpoint
from eprop.training import Watcher
from small_tasks import KINDS, bare, outcome, small, trained

TESTS = pathlib.Path(__file__).parents[2]
Whole = Callable[[str], pathlib.Path]


class Signal(Watcher):
    """Sends the process a signal: at the second update, or when another phase begins."""

    def __init__(self, when: str, number: int = signal.SIGINT):
        self.when, self.left, self.number = when, 2, number

    def phase(self, text: str) -> None:
        if text == self.when != "learning":
            os.kill(os.getpid(), self.number)

    def progress(self, progress: Any) -> None:
        self.left -= 1
        if self.when == "learning" and self.left == 0:
            os.kill(os.getpid(), self.number)

    def evaluating(self, done: int, total: int, unit: str = "samples") -> None:
        if self.when == "end of the test" and done == total:
            os.kill(os.getpid(), self.number)


def stop(experiment: ep.Experiment, folder: pathlib.Path, when: str, **given: Any) -> Stopped:
    with pytest.raises(Stopped) as stopped:
        trained(experiment, folder, progress=Signal(when, given.pop("number", signal.SIGINT)), **given)
    return stopped.value


@pytest.mark.parametrize(
    ("kind", "when"),
    [*((kind, "learning") for kind in KINDS), ("eprop", "testing"), ("keep best", "testing"), ("reward", "testing")],
)
def test_after_ctrl_c_the_same_call_continues(kind: str, when: str, whole: Whole, tmp_path: pathlib.Path) -> None:
    stopped = stop(KINDS[kind](), tmp_path / "run", when)
    assert stopped.exit_code == 130
    assert not RunFolder(tmp_path / "run").summary.exists()
    trained(KINDS[kind](), tmp_path / "run")
    assert outcome(tmp_path / "run") == outcome(whole(kind))


@pytest.mark.parametrize("kind", ["eprop", "eprop+", "keep best"])
def test_after_ctrl_c_in_validation(
    kind: str, whole: Whole, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eprop.training import sample_learner

    evaluate, left = sample_learner.evaluate, [2]

    def signalling(*given: Any, **more: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return evaluate(*given, **more)

    with monkeypatch.context() as patch:
        patch.setattr(sample_learner, "evaluate", signalling)
        with pytest.raises(Stopped):
            trained(KINDS[kind](), tmp_path / "run")
    assert left[0] <= 0
    trained(KINDS[kind](), tmp_path / "run")
    assert outcome(tmp_path / "run") == outcome(whole(kind))


@pytest.mark.parametrize(("kind", "when"), [("eprop", "end of the test"), ("reward", "drawing figures")])
def test_a_stop_after_the_end_keeps_all(kind: str, when: str, whole: Whole, tmp_path: pathlib.Path) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        trained(KINDS[kind](), tmp_path / "run", progress=Signal(when), formats=("png",))
    assert outcome(tmp_path / "run") == outcome(whole(kind))


KILLED = """
import os, pathlib, signal, sys

sys.path.insert(0, sys.argv[1])
import small_tasks
from eprop.training import trainer

trainer.SAVE_SECONDS, trainer.SAVE_SHARE = -1.0, 1e9
kind, folder, step = sys.argv[2], pathlib.Path(sys.argv[3]), int(sys.argv[4])


def train(path, moment):
    seen = 0

    def count(event, given):
        nonlocal seen
        if event in ("open", "os.mkdir", "os.rename", "os.remove", "os.chmod") and path in str(given[0]):
            seen += 1
            if seen == moment:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    small_tasks.trained(small_tasks.KINDS[kind](), pathlib.Path(path))


def outcome_of(path, moment):
    child = os.fork()
    if child == 0:
        train(path, moment)
        os._exit(0)
    return os.waitpid(child, 0)[1]


moment, killed = 1, True
while killed:
    path = str(folder / f"at-{moment}")
    killed = outcome_of(path, moment) == signal.SIGKILL
    if killed and (again := outcome_of(path, 0)):
        print("at", moment, "ended with", again, flush=True)
    moment += step
print("moments", moment - step)
"""


@pytest.mark.parametrize(("kind", "step"), [("keep best", 1), ("eprop+", 5), ("reward", 7)])
def test_after_kill_9_before_any_operation_on_its_files(
    kind: str, step: int, whole: Whole, tmp_path: pathlib.Path
) -> None:
    """With a checkpoint after each update; the same call continues, or begins again."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(TESTS), kind, str(tmp_path), str(step)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("moments ")
    assert int(done.stdout.split()[1]) > 40
    wanted = outcome(whole(kind))
    for path in tmp_path.iterdir():
        assert outcome(path) == wanted, path.name
        assert not list(path.glob(".*"))


def test_sigterm_and_a_line_behind_the_checkpoint(whole: Whole, tmp_path: pathlib.Path) -> None:
    stopped = stop(small(), tmp_path / "run", "learning", number=signal.SIGTERM)
    assert stopped.exit_code == 143
    run = RunFolder.open(tmp_path / "run")
    done = load_checkpoint(run.checkpoint).position["done"]
    assert f"stopped after {done} of 36 samples; continue with: eprop train " in str(stopped)
    with pytest.warns(UnfinishedRunWarning, match=f"run: was stopped after {done} of 36"):
        evaluate_run(run.path, small, watcher=Watcher())
    run.add_metrics({"samples": 35, "loss": 0.0, "epoch": 2})
    resume_run(run.path, small, watcher=Watcher())
    assert outcome(run.path) == outcome(whole("eprop"))


@pytest.mark.parametrize(
    ("begun", "other", "words"),
    [
        (small, lambda: small(neurons=7, epochs=2), r"neurons = 7, not 6; epochs = 2, not 3"),
        (small, lambda: small().changed(seed=5), r"seed = 5, not 1"),
        (small, bare, r"task = '', not 'small'"),
        (bare, lambda: bare(seed=2), r"seed = 2, not 1"),
        (bare, lambda: bare(batch_size=6), r"batch_size = 6, not 4"),
        (
            bare,
            lambda: replace(bare(), network=small_tasks.network("eprop", 6, True, 1)),
            "in->rec.rewiring = Rewiring, not",
        ),
    ],
)
def test_a_stopped_run_of_other_settings_is_not_continued(
    begun: Callable[[], ep.Experiment], other: Callable[[], ep.Experiment], words: str, tmp_path: pathlib.Path
) -> None:
    stop(begun(), tmp_path / "run", "learning")
    with pytest.raises(OutputError, match=rf"run: has a stopped run with other settings \({words}.*\); .* force=True"):
        trained(other(), tmp_path / "run")
    trained(other(), tmp_path / "run", force=True)
    assert RunFolder(tmp_path / "run").read_summary()


def test_a_resumed_run_has_its_own_arguments(tmp_path: pathlib.Path) -> None:
    stop(small(), tmp_path / "run", "learning")
    with pytest.raises(ParameterError, match=r"run: is a run with other settings \(neurons = 7, not 6\); .*like"):
        resume_run(tmp_path / "run", small(neurons=7), watcher=Watcher())
    moved = shutil.copy(small_tasks.__file__, tmp_path / "small_tasks.py")
    assert resume_run(tmp_path / "run", str(moved), watcher=Watcher()).trainer.finished


def test_a_finished_run_is_kept(whole: Whole, tmp_path: pathlib.Path) -> None:
    before = outcome(whole("eprop"))
    with pytest.raises(OutputError, match=r"run: is not empty; .* force=True \(--force\)"):
        trained(small(), whole("eprop"))
    trained(small(), tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    first = run.summary.read_text()
    resume_run(run.path, small, watcher=Watcher())  # tests again
    assert run.summary.read_text() == first
    for lose in (run.summary.unlink, lambda: run.summary.write_text("{")):
        lose()
        resume_run(run.path, small, watcher=Watcher())
        assert outcome(run.path) == before


def test_a_mistake_in_the_middle_loses_nothing(whole: Whole, tmp_path: pathlib.Path) -> None:
    def fails(trainer: Any, line: dict[str, Any]) -> None:
        if line["samples"] >= 12:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as error:
        trained(small(), tmp_path / "a run", callbacks=[fails])
    (note,) = error.value.__notes__
    assert note.endswith(f"--resume '{tmp_path / 'a run'}'")
    trained(small(), tmp_path / "a run")
    assert outcome(tmp_path / "a run")["state"] == outcome(whole("eprop"))["state"]


@pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")
def test_a_diverging_run_keeps_its_last_checkpoint(tmp_path: pathlib.Path) -> None:
    wild = ep.EProp(optimizer=ep.GradientDescent(eta=1e300))
    net = ep.Network(seed=1)
    x, rec, out = net.add(ep.EventSource(), 6), net.add(ep.LIF(), 6), net.add(ep.Readout(), 2)
    net.connect(x, rec, weight=0.5, rule=wild)
    net.connect(rec, out, weight=0.5, rule=wild)
    net.feedback(out, rec)
    events = np.random.default_rng(0).random((8, 20, 6)) < 0.4
    experiment = ep.Experiment(net, (events, np.ones((8, 20, 2))), epochs=20, batch_size=4, precision="single")
    with (
        pytest.raises(DivergenceError, match=r"The last good checkpoint is .*checkpoint.npz"),
        np.errstate(all="ignore"),
    ):
        trained(experiment, tmp_path / "run")
    assert np.isfinite(load(tmp_path / "run", experiment).simulator.state()["synapses/weight"]).all()


def test_nothing_is_left_of_a_run_that_could_not_begin(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: Any) -> None:
        raise OutputError("the disk is full")

    monkeypatch.setattr("eprop.runs.run.save_checkpoint", full)
    with pytest.raises(OutputError, match="the disk is full"):
        trained(small(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_changed_data_are_noticed(tmp_path: pathlib.Path) -> None:
    assert "the same call of ep.fit continues" in str(stop(bare(), tmp_path / "run", "learning"))
    other = bare()
    events = np.zeros((12, small_tasks.STEPS, small_tasks.INPUTS), bool)
    changed = ep.Experiment(other.network, (events, np.arange(12) % 2), test=other.test, seed=1, epochs=3, batch_size=4)
    with pytest.raises(CheckpointError, match=r"was written while learning from other data"):
        trained(changed, tmp_path / "run")


def test_a_checkpoint_of_another_network_is_refused(tmp_path: pathlib.Path) -> None:
    trained(small(), tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    sound = load_checkpoint(run.checkpoint)
    seven = replace(sound.record, arguments={**sound.record.arguments, "neurons": 7})
    for record, state in ((seven, sound.state), (sound.record, {})):
        other = replace(sound, record=record, state=state, version="0.0")
        save_checkpoint(run.checkpoint, other)
        with pytest.raises(CheckpointError, match=r"does not fit its experiment .* written by eprop 0.0"):
            load(run.path, small)
        words = r"does not fit its experiment .* written by eprop 0.0|rec->rec.*|size of rec = 7, not 6"
        with pytest.raises((CheckpointError, ParameterError), match=words):
            resume_run(run.path, small, watcher=Watcher())
