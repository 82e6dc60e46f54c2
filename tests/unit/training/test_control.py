"""Runs that learn from reward: folder, resume, evaluate, figures, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from eprop import plot
from eprop.errors import ParameterError
from eprop.rl import Returns
from eprop.tasks import TASKS
from eprop.training import (
    PolicyTraining,
    RunConfig,
    RunFolder,
    Stopped,
    UnfinishedRunWarning,
    Watcher,
    evaluate_run,
    load_checkpoint,
    resume_run,
    start_run,
)
from worlds import CorridorTask


@pytest.fixture(autouse=True)
def _corridor(monkeypatch):
    monkeypatch.setitem(TASKS, "corridor", CorridorTask)


def config(**changes) -> RunConfig:
    parts = {"data": {"episodes": 6}, "run": {"threads": 1}}
    return RunConfig.make(
        "corridor", None, **{part: {**parts.get(part, {}), **changes.get(part, {})} for part in (*parts, *changes)}
    )


def states(run: RunFolder) -> dict[str, bytes]:
    """All arrays, and the position without times."""
    checkpoint = load_checkpoint(run.checkpoint)
    position = {k: v for k, v in checkpoint.position.items() if "seconds" not in k and k != "interval"}
    arrays = dict(checkpoint.state) | {k: v for k, v in position.items() if isinstance(v, np.ndarray)}
    rest = {k: json.dumps(v).encode() for k, v in position.items() if not isinstance(v, np.ndarray)}
    return rest | {k: np.ascontiguousarray(v).tobytes() for k, v in arrays.items()}


def test_a_run_leaves_its_folder(tmp_path):
    outcome = start_run(config(), tmp_path / "run")
    summary = json.loads(outcome.run.summary.read_text())
    assert (summary["task"], summary["score"], summary["episodes"]) == ("corridor", "mean return", 6)
    assert summary["environment_steps"] == 600
    assert 0.0 <= summary["mean_return"] <= 1.0
    assert isinstance(outcome.evaluation, Returns)
    assert summary["std_return"] == outcome.evaluation.std
    assert summary["train_seconds"] > 0.0
    assert summary["train_processor_seconds"] > 0.0
    assert summary["synapses"] > 0
    assert not [name for name in summary if "synaptic_event" in name]
    lines = outcome.run.read_metrics()
    assert [line["samples"] for line in lines] == [120, 240, 360, 480, 600]
    assert sum(line["return"] is not None for line in lines) > 0
    assert all(line["rate"] > 0.0 for line in lines)


def test_the_weight_of_the_entropy_falls_along_a_line():
    training = PolicyTraining(entropy=0.2, entropy_final=0.25, gamma=0.8)
    found = [training.objective_at(done) for done in (0.0, 0.5, 1.0)]
    assert [each.entropy for each in found] == pytest.approx([0.2, 0.125, 0.05])
    assert {each.gamma for each in found} == {0.8}


def test_a_run_uses_the_weight_of_the_entropy_that_is_due(tmp_path):
    ends = (1.0, 0.0)
    folders = [
        start_run(config(training={"entropy": 1.0, "entropy_final": end}), tmp_path / str(end)).run for end in ends
    ]
    weights = [load_checkpoint(run.checkpoint).state["synapses/weight"] for run in folders]
    assert not np.array_equal(*weights)


class StopAt(Watcher):
    """Ctrl-C once so many steps are done."""

    def __init__(self, steps):
        self.steps = steps

    def control_progress(self, progress):
        if progress.done >= self.steps:
            raise Stopped


@pytest.mark.parametrize("passes", [1, 2])
def test_a_run_that_was_stopped_goes_on_bit_by_bit(tmp_path, passes):
    settings = {"passes": passes, "clip": 0.2, "entropy": 0.1, "entropy_final": 0.1}
    whole = start_run(config(training=settings), tmp_path / "whole")
    with pytest.raises(Stopped, match=r"stopped after 240 of 600 steps; go on with: eprop train corridor --resume"):
        start_run(config(training=settings), tmp_path / "part", watcher=StopAt(240))
    with pytest.warns(UnfinishedRunWarning, match="after 240 of 600 steps"):
        evaluate_run(tmp_path / "part")
    resumed = resume_run(tmp_path / "part")
    assert states(resumed.run) == states(whole.run)
    assert resumed.summary["mean_return"] == whole.summary["mean_return"]
    keep = ("samples", "return", "recent_return", "rate", "episodes")
    one, other = ([{k: line[k] for k in keep} for line in run.read_metrics()] for run in (whole.run, resumed.run))
    assert one == other


def test_threads_change_nothing(tmp_path):
    one, two = (start_run(config(run={"threads": k}), tmp_path / str(k)).run for k in (1, 2))
    assert states(one) == states(two)


def test_evaluation_is_by_episodes_of_its_own(tmp_path):
    outcome = start_run(config(), tmp_path / "run")
    _, same, _ = evaluate_run(tmp_path / "run")
    assert np.array_equal(same.totals, outcome.evaluation.totals)
    _, more, _ = evaluate_run(tmp_path / "run", episodes=9)
    assert more.totals.size == 9
    with pytest.raises(ParameterError, match="judged by episodes"):
        evaluate_run(tmp_path / "run", fresh=3)


def test_the_figures_of_a_run(tmp_path, monkeypatch):
    start_run(config(), tmp_path / "run")
    drawn = {}
    monkeypatch.setattr(plot.run, "save", lambda figure, path: drawn.setdefault(path.stem, figure))
    plot.draw_run(tmp_path / "run")
    assert drawn.keys() == {"returns", "episode", "network", "weights"}
    titles = [ax.get_title() for ax in drawn["episode"].axes]
    assert titles[0].startswith("return ")
    assert drawn["episode"].axes[0].images  # pictures of the corridor


def test_the_figure_of_several_trials():
    metrics = [[{"samples": 100 * k, "return": float(k * seed)} for k in (1, 2, 3)] for seed in (1, 2)]
    figure = plot.draw_returns_of_trials(
        [(m, {"environment_steps": 300, "mean_return": 3.0}) for m in metrics], "points"
    )
    (ax,) = figure.axes
    assert ax.get_ylabel() == "return\n(points)"
    assert [len(line.get_xdata()) for line in ax.get_lines()] == [3, 3, 3, 2]
    with pytest.raises(ParameterError, match="none of 1 trials"):
        plot.draw_returns_of_trials([([], {})])


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(ParameterError, match="passes = 2 needs a clip"):
        PolicyTraining(passes=2)
    with pytest.raises(ParameterError, match="neither --engine time nor --parallel data"):
        start_run(config(run={"engine": "time"}), tmp_path / "run")
