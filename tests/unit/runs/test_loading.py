"""A run that is read from its folder: network, metrics, another test, changed arguments, pictures."""

from __future__ import annotations

import pathlib
import shutil
import sys
from typing import Any

import numpy as np
import pytest

import digits
import eprop as ep
from eprop.errors import CheckpointError, DataError, InputError, MissingExtraError, ParameterError
from eprop.runs import RunFolder, UnfinishedRunWarning, arguments_of_run, draw, evaluate_run, like, load
from eprop.tasks import recordings
from eprop.training import Stage, Stopped, Watcher
from refusals import Refusal, refusals
from small_tasks import fitted, small, stop_after

SHOWN: dict[str, Any] = {"threads": 1, "watcher": Watcher()}


@pytest.fixture(scope="module", params=["eprop", "eprop+"])
def run(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> pathlib.Path:
    """A finished run, which the tests do not change."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    fitted(folder, small(request.param))
    return folder


@pytest.fixture(scope="module")
def digit_run(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A run on recordings, and their folder ``data`` beside it."""
    folder = tmp_path_factory.mktemp("digits")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EPROP_CACHE_DIR", str(folder / "cache"))
        data = digits.write_folder(folder / "data")
        experiment = ep.tasks.nmnist(data=data, neurons=5, validation=4, w_in=0.4, epochs=1, batch_size=4)
        fitted(folder / "run", experiment)
    return folder / "run"


# ---------------------------------------------------------------- load


def test_a_run_is_loaded_with_metrics_network_and_weights(run: pathlib.Path) -> None:
    pandas = pytest.importorskip("pandas")
    loaded = load(run, threads=1)
    assert arguments_of_run(run) == (loaded.checkpoint.record.task, loaded.checkpoint.record.arguments)
    assert (loaded.experiment.epochs, loaded.checkpoint.position["done"]) == (3, 24)
    assert isinstance(loaded.metrics, pandas.DataFrame)
    assert loaded.metrics["samples"].iloc[-1] == 24
    assert loaded.summary["test_samples"] == 6
    assert [p.name for p in loaded.network.populations] == ["in", "rec", "out"]
    learned = loaded.simulator.weights("rec->out")
    np.testing.assert_array_equal(loaded.weights["rec->out"].toarray(), learned.toarray())
    assert (loaded.untrained().weights("rec->out") != learned).nnz > 0
    assert f"{loaded.experiment.name}, {len(loaded.metrics)} reports" in repr(loaded)


def test_the_restored_network_is_the_trained_one(run: pathlib.Path) -> None:
    loaded = load(run)
    found, saved = loaded.simulator.state()["synapses/weight"], loaded.checkpoint.state["synapses/weight"]
    # The reset adds the corrections of spikes in transit with e-prop+.
    np.testing.assert_allclose(found, saved, rtol=0, atol=1e-6 if "eprop+" in loaded.experiment.name else 0)


def test_metrics_are_a_dict_of_arrays_without_pandas(run: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    metrics = load(run).metrics
    assert isinstance(metrics, dict)
    assert (metrics["samples"][-1], metrics["samples"].dtype, metrics["loss"].dtype) == (24, np.int64, np.float64)


@pytest.mark.parametrize("value", ['"x"', "[1]", "9" * 300, "{}"])
def test_metrics_that_are_no_numbers(value: str, run: pathlib.Path, tmp_path: pathlib.Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "metrics.jsonl").write_text(f'{{"samples": {value}}}\n{{"samples": 1}}\n')
    with pytest.raises(CheckpointError, match=r"metrics.jsonl: holds other values than numbers"):
        _ = load(tmp_path / "run").metrics


# ---------------------------------------------------------------- evaluate


@pytest.mark.filterwarnings("ignore::eprop.errors.InstabilityWarning")
def test_evaluating_gives_the_score_of_the_run(run: pathlib.Path) -> None:
    loaded, found, test = evaluate_run(run, **SHOWN)
    assert (found.error, found.loss) == (loaded.summary["test_error"], loaded.summary["test_loss"])
    assert test is not None
    assert len(test) == 6
    assert evaluate_run(run, test_samples=3, **SHOWN)[1].summary()["test_samples"] == 3


def test_fresh_samples_are_used_by_nothing_else(run: pathlib.Path) -> None:
    loaded, found, test = evaluate_run(run, fresh=20, **SHOWN)
    assert found.summary()["test_samples"] == 20
    parts = loaded.experiment.splits(Stage())
    known = {sample.inputs.tobytes() for part in (parts.train, parts.validation, parts.test) for sample in part.drawn()}
    assert not known & {sample.inputs.tobytes() for sample in test.drawn()}


def test_a_test_with_rounded_weights(run: pathlib.Path) -> None:
    rounded, found, _ = evaluate_run(run, bits=2, **SHOWN)
    exact = load(run)
    for name, matrix in rounded.weights.items():
        assert np.unique(matrix.data).size <= 4 < np.unique(exact.weights[name].data).size
    assert found.loss != exact.summary["test_loss"]


def test_other_recordings_are_tested(digit_run: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training samples are not read for this."""
    data, summary, read = digit_run.parent / "data", RunFolder(digit_run).read_summary(), recordings.Loader
    monkeypatch.setattr(recordings, "Loader", lambda **given: read(**{**given, "cache": False}))
    for given, samples in (((), 12), ((data / "Test",), 12), ((data / "Test", data / "Train"), 36)):
        _, found, test = evaluate_run(digit_run, **({"test_data": given} if given else {}), **SHOWN)
        assert len(test) == found.confusion().sum() == samples
        assert samples == 36 or found.error == summary["test_error"]


def test_episodes_of_a_run_with_reward(tmp_path: pathlib.Path) -> None:
    short = {"lif": 3, "alif": 3, "group": 2, "cues": 1, "delay": 50.0, "recall": 50.0, "environments": 4}
    fitted(tmp_path / "run", ep.tasks.delayed_reward(**short, steps=200, episodes=8))
    loaded, found, test = evaluate_run(tmp_path / "run", **SHOWN)
    assert test is None
    assert found.mean == loaded.summary["mean_return"]
    assert evaluate_run(tmp_path / "run", episodes=5, **SHOWN)[1].summary()["episodes"] == 5
    assert evaluate_run(tmp_path / "run", loaded.experiment, episodes=5, **SHOWN)[1].summary()["episodes"] == 5
    with pytest.raises(ParameterError, match=r"no samples that could be fresh: leave out fresh \(--fresh\)"):
        evaluate_run(tmp_path / "run", fresh=3, **SHOWN)


def test_a_test_of_a_stopped_run_warns(tmp_path: pathlib.Path) -> None:
    with pytest.raises(Stopped):
        fitted(tmp_path / "cut", callbacks=[stop_after(12)])
    with pytest.warns(UnfinishedRunWarning, match=r"cut: was stopped after 12 of 24 .*; this evaluation is of"):
        evaluate_run(tmp_path / "cut", **SHOWN)


@refusals(
    (lambda run: evaluate_run(run, bits=1), ParameterError, "bits"),
    (lambda run: evaluate_run(run, fresh=0), ParameterError, "must be a whole number >= 1"),
    (lambda run: evaluate_run(run, test_data=("x",)), ParameterError, "delayed-cue has no argument test_data"),
    (lambda run: evaluate_run(run, neurons=5), CheckpointError, "does not fit its experiment"),
    (lambda run: evaluate_run(run, small(), test_samples=3), ParameterError, "an experiment has no setting test_samples"),
    (lambda run: load(run, "nmnist"), ParameterError, "is a run of the task 'delayed-cue', not of 'nmnist'"),
    (lambda run: load(run.parent), CheckpointError, "holds no checkpoint"),
    (lambda run: like(run, neuron=5), ParameterError, "has no argument neuron; did you mean|has no argument neuron"),
    (lambda run: like(run, small()), ParameterError, "like needs the function of the task"),
    (lambda run: draw(run, formats=("gif",)), ParameterError, "format"),
)  # fmt: skip
def test_what_does_not_fit_a_run_is_refused(refusal: Refusal, run: pathlib.Path) -> None:
    refusal.check(run)


@refusals(
    (lambda run: evaluate_run(run, test_data=("/none",)), DataError, "no such folder"),
    (lambda run: evaluate_run(run, test_data=(run,)), DataError, "no recording found"),
    (lambda run: evaluate_run(run, fresh=3), ParameterError, "fresh samples need samples that are made from a seed"),
    (lambda run: ep.fit(small(), digits.recordings(2)), InputError, "an Experiment has its own samples"),
)
def test_other_recordings_are_refused(refusal: Refusal, digit_run: pathlib.Path) -> None:
    refusal.check(digit_run)


# ---------------------------------------------------------------- like, draw, TensorBoard


def test_a_run_is_repeated_with_changes(tmp_path: pathlib.Path) -> None:
    """Settings that were changed in `fit` stay; those that are changed now do not."""
    fitted(tmp_path / "run", small(neurons=5), epochs=2, reports=9, seed=7)
    found = like(tmp_path / "run", eta=0.2)
    assert found.origin is not None
    assert (found.origin.arguments["neurons"], found.origin.arguments["eta"]) == (5, 0.2)
    assert (found.epochs, found.reports, found.seed) == (2, 9, 7)
    again = like(tmp_path / "run", epochs=4)
    assert (again.epochs, again.reports) == (4, 9)
    fitted(tmp_path / "same", like(tmp_path / "run"))
    for name in ("synapses/weight", "network"):
        one, other = (load(tmp_path / folder).simulator.state()[name] for folder in ("run", "same"))
        assert one.tobytes() == other.tobytes()


def test_pictures_are_drawn_without_the_data(digit_run: pathlib.Path, tmp_path: pathlib.Path) -> None:
    shutil.copytree(digit_run.parent, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "data")
    shutil.rmtree(tmp_path / "cache")
    drawn = draw(tmp_path / "run")
    assert {"learning_curve.png", "confusion.png", "activity.png"} <= {path.name for path in drawn}
    assert all(path.parent == tmp_path / "run" / "figures" for path in drawn)
    (tmp_path / "elsewhere").mkdir()
    assert all(path.suffix == ".svg" for path in draw(tmp_path / "run", tmp_path / "elsewhere", formats=("svg",)))


def test_tensorboard_gets_every_report_once_also_after_a_resume(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with pytest.raises(Stopped):
        fitted(tmp_path / "run", tensorboard=True, callbacks=[stop_after(12)])
    history = fitted(tmp_path / "run", tensorboard=True)
    shown = EventAccumulator(str(history.folder.tensorboard)).Reload().Tensors("training/loss")
    assert [event.step for event in shown] == [line["samples"] for line in history.lines]
    assert [event.tensor_proto.float_val[0] for event in shown] == pytest.approx(history["loss"], rel=1e-6)
    fitted(tmp_path / "run", force=True)  # replaces that as well
    assert not history.folder.tensorboard.exists()


def test_a_missing_tensorboard_is_named_before_a_folder_is_made(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.summary", None)
    with pytest.raises(MissingExtraError, match=r"pip install tensorboard "):
        fitted(tmp_path / "run", tensorboard=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.filterwarnings("ignore::eprop.errors.InstabilityWarning")
@pytest.mark.parametrize("feedback", ["symmetric", "adaptive"])
def test_a_network_that_learned_at_spikes_is_judged_as_it_was(tmp_path: pathlib.Path, feedback: str) -> None:
    given: dict[str, Any] = {"neurons": 20, "inputs": 20, "duration": 200.0, "eta": 0.01, "feedback": feedback}
    fitted(tmp_path / "run", ep.tasks.pattern_generation(rule="eprop+", epochs=20, **given))
    run, found, _ = evaluate_run(tmp_path / "run", **SHOWN)
    assert found.loss == run.summary["test_loss"]
    first, simulator = run.untrained(), load(tmp_path / "run").simulator
    moved = (simulator.feedback_weights("out", "rec") - first.feedback_weights("out", "rec")).T
    learned = (simulator.weights("rec->out") - first.weights("rec->out")).toarray()
    assert np.abs(learned).max() > 1e-3
    np.testing.assert_allclose(moved, learned, rtol=0, atol=1e-5)  # both kinds learn what the readouts learn
