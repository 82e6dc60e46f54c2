"""The figures of the paper on tiny networks: their tables, and that they are drawn from these."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import digits
from eprop.errors import DataError, ParameterError
from eprop.figures import Figure2, Figure3, Figure4, figure_2, make_figure, read_tables, rows, table
from eprop.figures.jobs import RUN, JobRunner
from eprop.figures.trainings import combined_spread, score_of, training_job
from eprop.tasks import nmnist
from eprop.training import Progress, RunConfig, Stopped, Watcher

TINY = {
    "regression": {"quick_task": {"duration": 60.0, "neurons": 6, "inputs": 5, "w_in": 1.0}},
    "classification": {
        "quick_task": {
            "lif": 6, "alif": 0, "group": 2, "cues": 1, "cue": 20.0, "gap": 5.0, "delay": 20.0, "recall": 20.0,
            "feedback": "random", "optimizer": "adam", "eta": 1e-3, "eta_out": 1e-3,
        },
        "quick_data": {"samples": 8, "test_samples": 6, "validation": 4}, "batch": 4,
    },
}  # fmt: skip


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name, changes in TINY.items():
        monkeypatch.setitem(figure_2.SIDES, name, dataclasses.replace(figure_2.SIDES[name], **changes))


def texts(figure: Figure) -> set[str]:
    """Titles, labels and letters of all axes, and letters of parts of the figure."""
    out = {text.get_text() for part in figure.subfigs for text in part.texts}
    for ax in figure.axes:
        out |= {ax.get_title(), ax.get_xlabel(), ax.get_ylabel(), *(text.get_text() for text in ax.texts)}
    return out


def test_figure_2_compares_engines_and_rules_over_its_trials(tiny: None) -> None:
    options = {"quick": True, "trials": 2, "iterations": 10, "time_driven": 20}
    made = make_figure(2, options, threads=1)
    tables = read_tables(made.folder / "numbers")
    assert set(tables) == {
        "differences", "samples", "learning_regression", "learning_classification", "test_regression", "test_classification",
    }  # fmt: skip
    # The same weights, the same inputs: the same losses, whoever computes them, whatever was learned before.
    samples = tables["samples"]
    np.testing.assert_allclose(samples["event"], samples["time"], rtol=1e-9)
    first = rows(samples, task="regression", rule="eprop")["event"]
    assert (np.abs(np.diff(first)) > 1e-9 * first[1:]).all()
    steps = tables["differences"]
    assert np.unique(steps["iteration"]).tolist() == [1, 2, 3, 4]
    for task, rule, iteration in (("regression", "eprop+", 3), ("classification", "eprop", 4)):
        of_sample = rows(steps, task=task, rule=rule, iteration=iteration)
        whole = rows(samples, task=task, rule=rule, iteration=iteration)
        assert of_sample["event"].sum() == pytest.approx(whole["event"][0], rel=1e-9)
    np.testing.assert_array_equal(steps["difference"], np.abs(steps["event"] - steps["time"]))
    for name, batches in (("regression", 10), ("classification", 2)):
        learned = tables[f"learning_{name}"]
        event, time = rows(learned, rule="eprop", seed=2), rows(learned, rule="time", seed=2)
        assert event["iteration"].tolist() == list(range(1, 11))
        assert time["iteration"].tolist() == list(range(1, batches + 1))
        np.testing.assert_allclose(event["loss"][:batches], time["loss"], rtol=1e-9)
        assert np.isfinite(rows(learned, rule="eprop+")["validation_error"]).sum() == 20
    # It learned in full in one task only, so it is tested in that only.
    assert sorted(np.unique(tables["test_regression"]["rule"])) == ["eprop", "eprop+", "time"]
    assert sorted(np.unique(tables["test_classification"]["rule"])) == ["eprop", "eprop+"]
    test = rows(tables["test_regression"], rule="time")["error"]
    np.testing.assert_allclose(test, rows(tables["test_regression"], rule="eprop")["error"], rtol=1e-9)
    drawing = made.figure.draw(tables)
    assert {"a", "b", "c", "d", "normalised error (%)", "test error (%)"} <= texts(drawing)
    assert all(ax.get_title() for ax in drawing.axes)
    drawing.draw_without_rendering()
    (legend,) = drawing.legends  # of the curves, which fill their axes
    assert len(legend.get_texts()) == 3
    assert not any(legend.get_window_extent().overlaps(ax.get_tightbbox()) for ax in drawing.axes)
    told = made.facts["summary"]
    assert told["regression: trials"] == 2
    mean = 100 * rows(tables["test_regression"], rule="eprop")["error"].mean()
    assert told["regression, e-prop, event-driven: test normalised error (%)"] == pytest.approx(mean)
    for task in ("regression", "classification"):
        for rule in ("e-prop", "e-prop+"):
            assert made.facts["summary"][f"{task}, {rule}: largest relative difference of losses"] < 1e-9
    tables["samples"] = tables["samples"] | {"event": 1.01 * tables["samples"]["event"]}
    with pytest.warns(
        figure_2.EnginesDifferWarning, match=r"losses of the engines differ by 1.0e-02, more than rounding"
    ):
        made.figure.summary(tables)


@pytest.mark.tiny
def test_neighbouring_iterations_share_a_point() -> None:
    scores = np.stack([np.arange(1.0, 2001.0), np.ones(2000)])
    iterations, means = figure_2.mean_of_neighbours(np.arange(1, 2001), scores)
    assert 40 < len(iterations) <= figure_2.GROUPS
    assert list(iterations[:10]) == list(range(1, 11))
    np.testing.assert_allclose(means, [iterations, np.ones(len(iterations))])
    few, same = figure_2.mean_of_neighbours(np.array([100, 1000]), scores[:, :2])
    assert list(few) == [100, 1000]
    np.testing.assert_array_equal(same, scores[:, :2])


def test_figure_2_without_a_time_driven_network(tiny: None) -> None:
    figure = Figure2(quick=True, trials=1, time_driven=0)
    assert {curve for side in figure._trainings().values() for curve, _ in side} == {"eprop", "eprop+"}
    assert Figure2(quick=True).config(figure_2.SIDES["classification"], "eprop", 1).training.reports == 10
    with pytest.raises(ParameterError, match=r"Figure2.iterations must be >= 10"):
        Figure2(iterations=1)


@pytest.fixture
def recorded(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Options of a tiny figure on N-MNIST."""
    monkeypatch.chdir(tmp_path)
    for kind in (("eprop", "softmax"), ("eprop+", "softmax")):  # few channels are active in these digits
        monkeypatch.setitem(nmnist.SETTINGS, kind, {**nmnist.SETTINGS[kind], "w_in": 0.4})
    folder = digits.write_folder(tmp_path / "digits")
    return {"quick": True, "data": str(folder), "neurons": 5, "validation": 4, "samples": 16, "trials": 2}


def test_figures_3_and_4(recorded: dict[str, Any]) -> None:
    made = make_figure(3, recorded, threads=1)
    tables = read_tables(made.folder / "numbers")
    assert len(tables["test"]["seed"]) == 4
    held = tables["learning"]["validation_error"]
    assert ((held >= 0.0) & (held <= 1.0)).all()
    assert {"a", "b", "validation error (%)", "samples learned"} <= texts(made.figure.draw(tables))
    assert made.facts["options"]["data"] == recorded["data"]
    assert made.facts["summary"]["trials"] == 2
    mean = 100 * rows(tables["test"], rule="eprop")["error"].mean()
    assert made.facts["summary"]["e-prop: test error (%)"] == pytest.approx(mean)
    _check_figure_4(recorded)


def _check_figure_4(recorded: dict[str, Any]) -> None:
    """Made of the same trials as figure 3."""
    made = make_figure(4, recorded, threads=1)
    tables = read_tables(made.folder / "numbers")
    (run,) = made.folder.glob(f"parts/eprop+-1-*/{RUN}")
    assert json.loads((run / "summary.json").read_text())["rule"] == "eprop+"
    assert set(tables) == {"traces", "spikes", "sample", "weights", "distributions", "trials"}
    for network in ("before", "after"):
        steps = rows(tables["traces"], network=network)
        assert steps["time_ms"].tolist() == list(range(1, 301))
        softmax = np.stack([steps[f"output_{k}"] for k in range(10)])
        np.testing.assert_allclose(softmax.sum(axis=0), 1.0)
        for seed in (1, 2):
            of_seed = rows(tables["distributions"], network=network, seed=seed, kind="input")
            assert (of_seed["density"] * (of_seed["high_mV"] - of_seed["low_mV"])).sum() == pytest.approx(1.0)
    weights = rows(tables["weights"], kind="output")
    assert weights["before_mV"].size == 50
    assert not np.array_equal(weights["before_mV"], weights["after_mV"])
    wanted = {
        "a",
        "b",
        "c",
        "before training",
        "after training",
        "input weights",
        "weight after (mV)",
        "density\n(1/mV)",
    }
    assert wanted <= texts(made.figure.draw(tables))


@pytest.mark.tiny
def test_options_of_the_nmnist_figures_reach_their_trainings(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    figure = Figure3(mnist="digits", range="5:9", test_data=["a"]).absolute()
    assert (figure.mnist, figure.test_data) == (str(tmp_path / "digits"), (str(tmp_path / "a"),))
    assert figure.config("eprop+", 3).task.seed == 3
    assert "MNIST digits" in figure.describe_data()
    assert Figure4(quick=True).config("eprop+", 1).task.neurons == 50
    for wrong, message in (({"range": "1:2"}, "needs data or mnist"), ({"data": "a", "mnist": "b"}, "not both")):
        with pytest.raises(ParameterError, match=message):
            Figure4(**wrong)


@pytest.mark.tiny
def test_missing_data_are_refused_before_a_folder_is_made(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, options in (
        (3, {"mnist": "none"}),
        (3, {"data": "none"}),
        (4, {"data": "none"}),
        (4, {"test_data": ["none"]}),
    ):
        with pytest.raises(DataError, match="none: no such folder or zip archive; see --data"):
            make_figure(number, options)
    assert not list(tmp_path.iterdir())


@pytest.mark.tiny
def test_one_source_of_data_replaces_the_other() -> None:
    old = {"data": None, "mnist": "digits", "range": "5:9"}
    assert Figure3.options_that_stay(old, {"trials": 2}) == old
    assert Figure3.options_that_stay(old, {"data": "recorded"}) == {"range": "5:9"}
    assert Figure3.options_that_stay({"data": "recorded"}, {"mnist": "digits"}) == {}


@pytest.mark.tiny
def test_spread_between_and_within_trials() -> None:
    test = table(rule=["a", "a", "b"], error=[0.1, 0.3, 0.2], error_sd=[0.03, 0.05, np.nan])
    assert combined_spread(test, "a") == pytest.approx(np.sqrt(0.02 + (0.03**2 + 0.05**2) / 2))
    assert np.isnan(combined_spread(test, "b"))  # of one trial, whose test is one sample, nothing is known
    assert score_of(test, "b", "mean", "spread") == {"mean": 20.0}
    assert score_of(test, "a", "mean", "spread") == {
        "mean": pytest.approx(20.0),
        "spread": pytest.approx(14.7309, rel=1e-4),
    }
    alone = table(rule=["a"], error=[0.1], error_sd=[0.03])
    assert combined_spread(alone, "a") == pytest.approx(0.03)
    alike = table(rule=["a", "a"], error=[0.1, 0.1], error_sd=[np.nan, np.nan])
    assert combined_spread(alike, "a") == 0.0


@pytest.mark.tiny
def test_a_stopped_training_resumes(tmp_path: pathlib.Path) -> None:
    config = RunConfig.make(
        "pattern-generation",
        task={"duration": 60.0, "neurons": 6, "inputs": 5},
        training={"epochs": 8, "reports": 8},
        run={"precision": "double"},
    )
    whole = JobRunner(tmp_path / "whole", threads=1).each([training_job("a", config)])[0]
    job = training_job("a", config)
    folder = tmp_path / "parts" / job.name
    seen: list[int] = []

    class Late(Watcher):
        def progress(self, progress: Progress) -> None:
            seen.append(progress.done)
            if len(seen) == 5:
                raise Stopped

    folder.mkdir(parents=True)
    with pytest.raises(Stopped):
        job.function(folder, Late(), **job.arguments)
    assert 0 < len((folder / RUN / "metrics.jsonl").read_text().splitlines()) < 8
    result = job.function(folder, Late(), **job.arguments)
    assert seen == list(range(1, 9))  # it did not begin anew
    assert [line["loss"] for line in result["metrics"]] == [line["loss"] for line in whole["metrics"]]
    assert result["summary"]["test_loss"] == whole["summary"]["test_loss"]
    early = JobRunner(tmp_path, threads=1, watcher=Watcher()).each([training_job("b", config, batches=3)])[0]
    assert early["summary"] is None
    assert [line["loss"] for line in early["metrics"]] == [line["loss"] for line in whole["metrics"][:3]]
