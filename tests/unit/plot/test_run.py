"""Figures of a run are made from its folder, and leave the user's Matplotlib alone."""

from __future__ import annotations

import pathlib

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from eprop import plot
from eprop.errors import CheckpointError, FiguresWarning, OutputError
from eprop.training import RunConfig, run_trials, start_run
from learning_metrics import lines

RUNS = {
    "pattern-generation": ({"duration": 40.0, "neurons": 4, "inputs": 3}, {}, "iterations", "mV²"),
    "evidence-accumulation": (
        {"lif": 4, "alif": 0, "group": 1, "cues": 1, "cue": 10.0, "gap": 5.0, "delay": 10.0, "recall": 10.0},
        {"samples": 4, "test_samples": 2},
        "samples learned",
        "nats",
    ),
}


def short_run(task: str) -> tuple[RunConfig, str, str]:
    """Its settings, and what its learning curve has at its axes."""
    settings, data, x, unit = RUNS[task]
    config = RunConfig.make(task, task=settings, data=data, training={"epochs": 2}, run={"threads": 1})
    return config, x, f"loss per step ({unit})"


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Figure]:
    """Figures that would have been saved, by their names."""
    figures: dict[str, Figure] = {}
    monkeypatch.setattr(plot.run_figures, "save", lambda figure, path: figures.setdefault(path.stem, figure))
    return figures


@pytest.mark.tiny
@pytest.mark.parametrize("task", RUNS)
def test_the_learning_curve_of_a_run_knows_its_units(
    task: str, tmp_path: pathlib.Path, drawn: dict[str, Figure]
) -> None:
    config, *labels = short_run(task)
    start_run(config, tmp_path / "run")
    plot.draw_run(tmp_path / "run")
    bottom = drawn["learning_curve"].axes[-1]
    assert [bottom.get_xlabel(), bottom.get_ylabel()] == labels


@pytest.mark.tiny
@pytest.mark.parametrize("task", RUNS)
def test_the_learning_curve_of_trials_knows_its_units(
    task: str, tmp_path: pathlib.Path, drawn: dict[str, Figure]
) -> None:
    config, *labels = short_run(task)
    run_trials(config, 2, tmp_path / "trials", jobs=1)
    plot.draw_run(tmp_path / "trials")
    (figure,) = drawn.values()
    bottom = [ax for ax in figure.axes if ax.get_ylabel()][-1]
    assert [bottom.get_xlabel(), bottom.get_ylabel()] == labels
    for metrics in tmp_path.rglob("metrics.jsonl"):
        metrics.unlink()
    with pytest.raises(CheckpointError, match=r"trials: none of its 2 trials has reported anything yet"):
        plot.draw_run(tmp_path / "trials")


@pytest.mark.tiny
def test_a_figure_that_fails_is_a_warning(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start_run(short_run("pattern-generation")[0], tmp_path / "run")
    monkeypatch.setattr(plot.run_figures, "draw_weights", lambda *_: 1 / 0)
    with pytest.warns(FiguresWarning, match="figure 'weights' could not be drawn: ZeroDivisionError: division by zero"):
        paths = plot.draw_run(tmp_path / "run")
    assert {path.stem for path in paths} == {"activity", "learning_curve", "network", "pattern"}
    monkeypatch.undo()
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda *_, **__: [][0])
    with pytest.warns(FiguresWarning, match="could not be drawn: IndexError"):
        assert plot.draw_run(tmp_path / "run") == []


@pytest.mark.tiny
def test_the_users_settings_are_left_alone() -> None:
    import matplotlib.pyplot as plt

    before, backend, figures = dict(mpl.rcParams), mpl.get_backend(), plt.get_fignums()
    plot.draw_confusion([[1]])
    plot.draw_learning_curve(lines())
    assert dict(mpl.rcParams) == before
    assert mpl.get_backend() == backend
    assert plt.get_fignums() == figures


@pytest.mark.tiny
def test_a_figure_that_cannot_be_written(tmp_path: pathlib.Path) -> None:
    with pytest.raises(OutputError, match=r"a.png: cannot be written"):
        plot.save(Figure(), tmp_path / "none" / "a.png")
