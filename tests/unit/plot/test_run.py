"""Figures of a run are made from its folder, and leave the user's Matplotlib alone."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
from matplotlib.figure import Figure

import eprop as ep
from compare import assert_same
from eprop.errors import CheckpointError, FiguresWarning
from eprop.runs import draw
from eprop.tasks import task_named
from eprop.training import pictures

#: Small tasks, the labels of their learning curve, and their pictures beside those of every run.
RUNS = {
    "pattern-generation": (
        {"duration": 40.0, "neurons": 4, "inputs": 3}, ["iterations", "loss per step (mV²)"], {"pattern"}
    ),
    "evidence-accumulation": (
        {"lif": 4, "alif": 0, "cues": 1, "delay": 10.0, "samples": 4, "test_samples": 2},
        ["samples learned", "loss per step (nats)"], {"confusion"},
    ),
    "delayed-cue": (
        {"neurons": 4, "delay": 50.0, "samples": 4, "test_samples": 2},
        ["samples learned", "loss per step (nats)"], {"confusion", "constants"},
    ),
}  # fmt: skip
OF_ALL = {"activity", "learning_curve", "network", "weights"}
pytestmark = pytest.mark.tiny

DRAWN = {"threads": 1, "progress": False}


def experiment_of(task: str) -> ep.Experiment:
    return task_named(task)(**RUNS[task][0], epochs=2)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Figure]:
    """Figures that would have been saved, by their names."""
    figures: dict[str, Figure] = {}
    monkeypatch.setattr("eprop.plot.style.save", lambda figure, path: figures.setdefault(path.stem, figure))
    return figures


@pytest.mark.parametrize("task", RUNS)
def test_a_run_draws_what_its_learner_can_show(task: str, tmp_path: pathlib.Path, drawn: dict[str, Figure]) -> None:
    ep.fit(experiment_of(task), folder=tmp_path / "run", **DRAWN)
    _, labels, own = RUNS[task]
    assert drawn.keys() == OF_ALL | own
    bottom = drawn["learning_curve"].axes[-1]
    assert [bottom.get_xlabel(), bottom.get_ylabel()] == labels
    for figure in drawn.values():
        assert all(np.isfinite([*ax.get_xlim(), *ax.get_ylim()]).all() for ax in figure.axes)
    drawn.clear()
    draw(tmp_path / "run")  # again, from the folder
    assert drawn.keys() == OF_ALL | own


def test_the_learning_curve_of_several_seeds_knows_its_units(tmp_path: pathlib.Path, drawn: dict[str, Figure]) -> None:
    ep.fit(experiment_of("evidence-accumulation"), folder=tmp_path / "seeds", seeds=2, jobs=1, **DRAWN)
    drawn.clear()
    draw(tmp_path / "seeds")
    (figure,) = drawn.values()
    bottom = [ax for ax in figure.axes if ax.get_ylabel()][-1]
    assert [bottom.get_xlabel(), bottom.get_ylabel()] == RUNS["evidence-accumulation"][1]
    for metrics in tmp_path.rglob("metrics.jsonl"):
        metrics.unlink()
    with pytest.raises(CheckpointError, match=r"none of 2 seeds has reported anything yet"):
        draw(tmp_path / "seeds")


REWARD = {"cues": 1, "delay": 50.0, "steps": 64, "environments": 4, "rollout": 8, "episodes": 2}


@pytest.mark.parametrize("reward", [False, True])
def test_pictures_leave_the_trained_network_as_it_is(reward: bool, tmp_path: pathlib.Path) -> None:
    """Pictures run the network, from its first weights as well."""
    experiment = ep.tasks.delayed_reward(**REWARD) if reward else experiment_of("evidence-accumulation")
    alone = ep.fit(experiment, **DRAWN).simulator.state()
    drawn = ep.fit(experiment, folder=tmp_path / "run", **DRAWN).simulator.state()
    assert list((tmp_path / "run" / "figures").iterdir())
    assert_same(drawn, alone)


def test_a_picture_of_weights_has_those_that_learn_before_and_after() -> None:
    net = ep.Network()
    x, rec, out = net.add(ep.EventSource(), 3), net.add(ep.LIF(), 4, name="rec"), net.add(ep.Readout(), 2, name="out")
    net.connect(x, rec, weight=ep.Normal(0.0, 1.0))
    net.connect(rec, out, weight=ep.Normal(0.0, 1.0), rule=ep.EProp())
    simulator = ep.Simulator(net, threads=1)
    run = pictures.Trained(ep.Experiment(net, learner=lambda *_: None), simulator, simulator.state())
    first = simulator.connections("rec->out")[2].copy()
    simulator.set_weights("rec->out", 2.0 * first)
    figure = pictures.pictures_of_network(run)["weights"]()
    (shown,) = figure.axes
    assert shown.get_title() == "rec → out"
    (points,) = shown.collections
    np.testing.assert_allclose(points.get_offsets(), np.transpose([first, 2.0 * first]))
    np.testing.assert_array_equal(simulator.connections("rec->out")[2], 2.0 * first)


def test_a_picture_that_fails_is_a_warning(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ep.fit(experiment_of("pattern-generation"), folder=tmp_path / "run", formats=(), **DRAWN)
    monkeypatch.setattr(pictures, "_weights", lambda *_: 1 / 0)
    with pytest.warns(FiguresWarning, match="'weights' could not be drawn: ZeroDivisionError: division by zero"):
        paths = draw(tmp_path / "run")
    assert {path.stem for path in paths} == {"activity", "learning_curve", "network", "pattern"}
    monkeypatch.undo()
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda *_, **__: [][0])
    with pytest.warns(FiguresWarning, match="could not be drawn: IndexError"):
        assert draw(tmp_path / "run") == []
