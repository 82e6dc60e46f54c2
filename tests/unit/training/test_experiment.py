"""Runs from a configuration to a folder, on a few recordings."""

from __future__ import annotations

import json
import os
import pathlib
import signal
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import digits
from eprop import __version__, core
from eprop.engine import Simulator
from eprop.errors import CheckpointError, DataError, DivergenceError, InputError, OutputError
from eprop.tasks import recordings
from eprop.tasks.nmnist import NMNIST
from eprop.training import (
    FinishedRun,
    Progress,
    RunConfig,
    RunFolder,
    Stopped,
    UnfinishedRunWarning,
    Watcher,
    evaluate_run,
    load,
    load_checkpoint,
    read_config,
    resume_run,
    save_checkpoint,
    start_run,
)

RULES = ("eprop", "eprop+")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return digits.write_folder(tmp_path_factory.mktemp("digits"))


@pytest.fixture(autouse=True, scope="module")
def _cache() -> Iterator[None]:
    """Data sets of these tests are not cached."""
    with pytest.MonkeyPatch.context() as patch:
        real = recordings.Loader
        patch.setattr(recordings, "Loader", lambda **given: real(cache=False, **given))
        yield


@pytest.fixture(scope="module", params=RULES)
def whole(
    folder: pathlib.Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest, _cache: None
) -> FinishedRun:
    """A finished run, which the tests do not change."""
    return start_run(config(folder, request.param), tmp_path_factory.mktemp("runs") / "run")


def config(folder: pathlib.Path, rule: str = "eprop", **changes: dict[str, Any]) -> RunConfig:
    parts = {
        "task": {"rule": rule, "neurons": 5, "w_in": 0.4, "w_out": 0.05},
        "data": {"data": str(folder), "validation": 4},
        "training": {"epochs": 2, "batch_size": 4},
        "run": {"threads": 1},
    }
    if rule == "eprop+":
        parts["task"] |= {"eta": 1e-7, "eta_out": 1e-6}
    return RunConfig.make("nmnist", None, **{part: {**parts[part], **changes.get(part, {})} for part in parts})


def weights(run: RunFolder) -> bytes:
    return load_checkpoint(run.checkpoint).state["synapses/weight"].tobytes()


def test_a_run_leaves_its_folder(whole: FinishedRun) -> None:
    names = sorted(path.name for path in whole.run.path.iterdir())
    assert names == ["checkpoint.npz", "config.toml", "metrics.jsonl", "summary.json"]
    summary = json.loads(whole.run.summary.read_text())
    wanted = ("test_error", "train_samples_per_second", "synaptic_events", "ns_per_synaptic_event", "peak_memory_bytes")
    assert all(summary[name] >= 0 for name in wanted)
    assert (summary["seed"], summary["version"], summary["commit"]) == (1, __version__, core.commit())
    assert (summary["train_samples"], summary["validation_samples"], summary["test_samples"]) == (20, 4, 12)
    assert summary["samples_learned"] == 40
    assert (summary["train_simulated"], summary["test_simulated"]) == (False, False)
    assert np.sum(summary["confusion"]) == 12
    lines = whole.run.read_metrics()
    assert lines[-1]["samples"] == 40
    assert lines[-1]["validation_error"] == summary["validation_error"]


def test_the_configuration_repeats_the_run(whole: FinishedRun, tmp_path: pathlib.Path) -> None:
    again = start_run(RunConfig.make(*read_config(whole.run.config)), tmp_path / "b")
    assert weights(whole.run) == weights(again.run)
    assert whole.run.config.read_text() == again.run.config.read_text()
    assert whole.summary["test_loss"] == again.summary["test_loss"]


def test_evaluating_gives_the_error_of_the_run(whole: FinishedRun, folder: pathlib.Path) -> None:
    for data, samples in (
        (None, 12),
        ([folder / "Test"], 12),
        ([folder], 12),
        ([folder / "Test", folder / "Train"], 36),
    ):
        _, found, test = evaluate_run(whole.run.path, data)
        assert len(test) == found.confusion().sum() == samples
        assert samples == 36 or found.error == whole.summary["test_error"]


def test_the_restored_network_is_the_trained_one(whole: FinishedRun) -> None:
    run = load(whole.run.path)
    found, saved = run.simulator.state()["synapses/weight"], run.checkpoint.state["synapses/weight"]
    if whole.summary["rule"] == "eprop":
        np.testing.assert_array_equal(found, saved)
    else:  # the reset adds the corrections of spikes in transit
        np.testing.assert_allclose(found, saved, atol=1e-6)


class StopAt(Watcher):
    """Sends the process a signal once some samples have been learned."""

    def __init__(self, samples: int):
        self.samples = samples

    def progress(self, progress: Progress) -> None:
        if progress.done >= self.samples:
            self.samples = 10**9
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_stopped_run_is_resumed_bit_by_bit(whole: FinishedRun, folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with pytest.raises(Stopped) as stopped:
        start_run(config(folder, whole.summary["rule"]), tmp_path / "cut", watcher=StopAt(13))
    assert stopped.value.exit_code == 143
    assert f"continue with: eprop train nmnist --resume {tmp_path / 'cut'}" in str(stopped.value)
    cut = RunFolder.open(tmp_path / "cut")
    assert not cut.summary.exists()
    done = load_checkpoint(cut.checkpoint).position["done"]
    assert 13 <= done < 40
    with pytest.warns(
        UnfinishedRunWarning, match=f"cut: was stopped after {done} of 40 samples; this evaluation is of"
    ):
        evaluate_run(cut.path)
    cut.add_metrics({"samples": 39, "loss": 0.0, "epoch": 2})  # a line behind the checkpoint
    resumed = resume_run(cut.path)
    assert weights(resumed.run) == weights(whole.run)
    for name in ("test_loss", "synaptic_events"):
        assert resumed.summary[name] == whole.summary[name]
    loss = [[(line["samples"], line["loss"]) for line in run.read_metrics()] for run in (whole.run, cut)]
    assert loss[0] == loss[1]


def test_a_finished_run_is_tested_again_and_its_record_stays(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    first = start_run(config(folder), tmp_path / "run")
    before = first.run.summary.read_text(), weights(first.run)
    assert resume_run(first.run.path).summary["test_error"] == first.summary["test_error"]
    assert (first.run.summary.read_text(), weights(first.run)) == before
    for lose in (first.run.summary.unlink, lambda: first.run.summary.write_text("{")):
        lose()
        resume_run(first.run.path)
        assert first.run.read_summary()["test_error"] == first.summary["test_error"]


def test_a_mistake_of_the_task_loses_nothing(
    folder: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = start_run(config(folder), tmp_path / "whole")
    make, calls = NMNIST.make_samples, iter([False] * 4 + [True] + [False] * 100)

    def sometimes(self: NMNIST, *given: Any) -> Any:
        return 1 / 0 if next(calls) else make(self, *given)

    monkeypatch.setattr(NMNIST, "make_samples", sometimes)
    with pytest.raises(ZeroDivisionError) as error:
        start_run(config(folder), tmp_path / "a run")
    (note,) = error.value.__notes__
    assert note.endswith(f"continue with: eprop train nmnist --resume '{tmp_path / 'a run'}'")
    assert load_checkpoint(tmp_path / "a run" / "checkpoint.npz").position["done"] > 0
    assert weights(resume_run(tmp_path / "a run").run) == weights(whole.run)


@pytest.mark.filterwarnings("ignore::eprop.errors.InstabilityWarning")
@pytest.mark.parametrize("feedback", ["symmetric", "adaptive"])
def test_a_network_that_learned_at_spikes_is_judged_as_it_was(tmp_path: pathlib.Path, feedback: str) -> None:
    task = {"rule": "eprop+", "neurons": 20, "inputs": 20, "duration": 200.0, "eta": 0.01, "feedback": feedback}
    wanted = RunConfig.make("pattern-generation", task=task, training={"epochs": 20}, run={"threads": 1})
    outcome = start_run(wanted, tmp_path / "run")
    assert evaluate_run(outcome.run.path)[1].loss == outcome.summary["test_loss"]
    simulator = load(outcome.run.path).simulator
    first = Simulator(wanted.task.build_network(), threads=1, precision=simulator.precision)
    found, before = simulator.feedback_weights("out", "rec").T, first.feedback_weights("out", "rec").T
    learned = (simulator.weights("rec->out") - first.weights("rec->out")).toarray()
    assert np.abs(learned).max() > 1e-3
    np.testing.assert_allclose(found - before, learned, rtol=0, atol=1e-5)  # both kinds learn what the readouts learn


def test_recordings_are_divided_and_limited(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    train = {"data": str(folder / "Train"), "validation": 0}
    for data, sizes in ((train, (21, 3, 42)), ({"samples": 6, "test_samples": 2}, (6, 2, 12))):
        summary = start_run(config(folder, data=data), tmp_path / str(sizes[0])).summary
        assert (summary["train_samples"], summary["test_samples"], summary["samples_learned"]) == sizes
        assert data is not train or summary["test_data"].endswith("the other tenth")


def test_a_diverging_run_keeps_its_last_checkpoint(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    task = {"optimizer": "gradient_descent", "eta": 1e300, "eta_out": 1e300}
    with (
        pytest.raises(DivergenceError, match=r"Lower the learning rate.* The last good checkpoint is .*checkpoint.npz"),
        np.errstate(all="ignore"),
    ):
        start_run(config(folder, task=task), tmp_path / "run")
    assert np.isfinite(load(tmp_path / "run").simulator.state()["synapses/weight"]).all()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"validation": 24}, "cannot take 24 validation samples of 24 training samples"),
        ({"data": "/none"}, "/none: no such folder"),
        ({"data": None, "mnist": "/none"}, "/none"),
        ({"test_data": ("/none",)}, "/none"),
        ({"range": "1000:2000"}, "no recording of a digit with index in 1000..1999"),
    ],
)
def test_nothing_is_left_of_a_run_without_data(
    folder: pathlib.Path, tmp_path: pathlib.Path, data: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError) as caught:
        start_run(config(folder, data=data), tmp_path / "run")
    assert message in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_taken_is_noticed_before_the_work(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("mine")
    phases: list[str] = []
    watcher = Watcher()
    watcher.phase = phases.append  # type: ignore[method-assign]
    with pytest.raises(OutputError, match="is not empty"):
        start_run(config(folder), tmp_path, watcher=watcher)
    assert phases == []


def test_changed_data_are_noticed(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    copy = digits.write_folder(tmp_path / "data")
    start_run(config(copy), tmp_path / "run")
    digits.write_folder(tmp_path / "data", seed=9)
    with pytest.raises(CheckpointError, match=r"was written while learning from other data"):
        resume_run(tmp_path / "run")


def test_a_checkpoint_of_another_network_is_refused(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    run = start_run(config(folder), tmp_path / "run").run
    sound = load_checkpoint(run.checkpoint)
    other = type(sound)(
        sound.config.replace("neurons = 5 ", "neurons = 6 "), sound.position, sound.state, sound.example, "0.0"
    )
    save_checkpoint(run.checkpoint, other)
    for call in (load, resume_run):
        with pytest.raises(CheckpointError, match=r"does not fit its configuration .* written by eprop 0.0"):
            call(run.path)
    less = type(sound)(sound.config, sound.position, {}, sound.example, "0.0")
    save_checkpoint(run.checkpoint, less)
    for call in (load, resume_run):
        with pytest.raises(CheckpointError, match="does not fit its configuration"):
            call(run.path)


def test_other_recordings_are_refused(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    run = start_run(config(folder), tmp_path / "run").run
    with pytest.raises(DataError, match="no such folder"):
        evaluate_run(run.path, [tmp_path / "none"])
    with pytest.raises(DataError, match="no recording found"):
        evaluate_run(run.path, [tmp_path / "run"])
    task = load(run.path).config.task
    with pytest.raises(InputError):
        task.make_samples(task.build_network(), digits.recordings(2))
