"""What `eprop.load` reads of a run, and what TensorBoard is given."""

from __future__ import annotations

import pathlib
import sys
from typing import Any

import numpy as np
import pytest

import eprop as ep
from eprop.errors import CheckpointError, MissingExtraError
from eprop.training import RunConfig, Watcher, resume_run, start_run

SMALL = {"neurons": 5, "duration": 40.0, "inputs": 5}


def config(**run: Any) -> RunConfig:
    return RunConfig.make("pattern-generation", None, task=SMALL, training={"epochs": 4}, run={"threads": 1, **run})


@pytest.fixture
def run(tmp_path: pathlib.Path) -> pathlib.Path:
    start_run(config(), tmp_path / "run", watcher=Watcher())
    return tmp_path / "run"


def test_a_run_is_loaded_with_config_metrics_network_and_weights(run: pathlib.Path) -> None:
    pandas = pytest.importorskip("pandas")
    loaded = ep.load(run, threads=1)
    assert loaded.config.task.neurons == 5
    assert isinstance(loaded.metrics, pandas.DataFrame)
    assert list(loaded.metrics["samples"]) == [1, 2, 3, 4]
    assert loaded.summary["test_samples"] == 1
    assert [p.name for p in loaded.network.populations] == ["in", "rec", "out"]
    for name in ("in->rec", "rec->rec", "rec->out"):
        np.testing.assert_array_equal(loaded.weights[name].toarray(), loaded.simulator.weights(name).toarray())
    assert "pattern-generation, 4 reports" in repr(loaded)


def test_a_finished_run_shows_the_lines_of_the_command(tmp_path: pathlib.Path) -> None:
    finished = start_run(config(), tmp_path / "run", watcher=Watcher())
    error = f"{100 * finished.summary['test_error']:.1f} %"
    assert repr(finished) == f"FinishedRun({str(tmp_path / 'run')!r}: test normalised error {error})"
    for words in ("test normalised error", f"{error} on 1 sample", "4 samples in", str(tmp_path / "run")):
        assert words in finished._repr_html_()


def test_metrics_are_a_dict_of_arrays_without_pandas(run: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    metrics = ep.load(run).metrics
    assert isinstance(metrics, dict)
    assert metrics["samples"].tolist() == [1, 2, 3, 4]
    assert metrics["loss"].dtype == np.float64


def test_what_is_no_run_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        ep.load(tmp_path)


def test_tensorboard_gets_every_report_once_also_after_a_resume(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def stop(trainer: Any, line: dict[str, Any]) -> None:
        if line["samples"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        start_run(config(tensorboard=True), tmp_path / "run", watcher=Watcher(), callbacks=[stop])
    finished = resume_run(tmp_path / "run", watcher=Watcher())
    read = EventAccumulator(str(finished.run.tensorboard)).Reload()
    losses = [line["loss"] for line in finished.run.read_metrics()]
    shown = read.Tensors("training/loss")
    assert [event.step for event in shown] == [1, 2, 3, 4]
    assert [event.tensor_proto.float_val[0] for event in shown] == pytest.approx(losses, rel=1e-6)
    start_run(config(), tmp_path / "run", force=True, watcher=Watcher())  # replaces that as well
    assert not finished.run.tensorboard.exists()


def test_a_missing_tensorboard_is_named_before_a_folder_is_made(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.summary", None)
    with pytest.raises(MissingExtraError, match=r"pip install tensorboard "):
        start_run(config(tensorboard=True), tmp_path / "run", watcher=Watcher())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("value", ['"x"', "[1]", "9" * 300, "{}"])
def test_metrics_that_are_no_numbers(value: str, run: pathlib.Path) -> None:
    (run / "metrics.jsonl").write_text(f'{{"samples": {value}}}\n{{"samples": 1}}\n')
    with pytest.raises(CheckpointError, match=r"metrics.jsonl: holds other values than numbers"):
        _ = ep.load(run).metrics
