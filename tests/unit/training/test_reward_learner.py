"""Runs that learn from reward: folder, resume, evaluate, figures, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import eprop as ep
from eprop import plot
from eprop.errors import CheckpointError, ParameterError
from eprop.rl import Returns, RewardScale
from eprop.tasks import TASKS, EpisodeChoice
from eprop.training import (
    PolicyTraining,
    RewardLearner,
    RunConfig,
    RunFolder,
    Stopped,
    Trainer,
    UnfinishedRunWarning,
    Watcher,
    evaluate_run,
    judge,
    load_checkpoint,
    resume_run,
    start_run,
)
from eprop.training.checkpoint import save_checkpoint
from eprop.training.reward_learner import value_unit_of
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
    position = {k: v for k, v in checkpoint.position.items() if "seconds" not in k and k != "sums"}
    arrays = dict(checkpoint.state) | {k: v for k, v in position.items() if isinstance(v, np.ndarray)}
    rest = {k: json.dumps(v).encode() for k, v in position.items() if not isinstance(v, np.ndarray)}
    return rest | {k: np.ascontiguousarray(v).tobytes() for k, v in arrays.items()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run, which the tests do not change."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TASKS, "corridor", CorridorTask)
        return start_run(config(), tmp_path_factory.mktemp("corridor") / "run")


def test_a_run_leaves_its_folder(finished):
    summary = json.loads(finished.run.summary.read_text())
    assert (summary["task"], summary["score"], summary["episodes"]) == ("corridor", "mean return", 6)
    assert summary["environment_steps"] == 600
    assert 0.0 <= summary["mean_return"] <= 1.0
    assert isinstance(finished.evaluation, Returns)
    assert summary["std_return"] == finished.evaluation.std
    assert summary["train_seconds"] > 0.0
    assert summary["train_processor_seconds"] > 0.0
    assert summary["synapses"] > 0
    assert not [name for name in summary if "synaptic_event" in name]
    lines = finished.run.read_metrics()
    assert [line["samples"] for line in lines] == [120, 240, 360, 480, 600]
    assert sum(line["return"] is not None for line in lines) > 0
    assert all(line["rate"] > 0.0 for line in lines)
    assert all(0.0 < line["entropy"] <= 1.1 and line["explained_variance"] <= 1.0 for line in lines)


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

    def progress(self, progress):
        if progress.done >= self.steps:
            raise Stopped


SETTINGS = {"clip": 0.2, "entropy": 0.1, "entropy_final": 0.1}


@pytest.mark.parametrize(
    "settings",
    [
        {"training": {**SETTINGS, "passes": 1}},
        {"training": {**SETTINGS, "passes": 2}},
        {"task": {"scaled": True}, "training": {"scale_rewards": True}},
    ],
    ids=["one pass", "two passes", "scaled"],
)
def test_a_stopped_run_is_resumed_bit_by_bit(tmp_path, settings):
    whole = start_run(config(**settings), tmp_path / "whole")
    with pytest.raises(Stopped, match=r"stopped after 240 of 600 steps; continue with: eprop train corridor --resume"):
        start_run(config(**settings), tmp_path / "part", watcher=StopAt(240))
    with pytest.warns(UnfinishedRunWarning, match="after 240 of 600 steps"):
        evaluate_run(tmp_path / "part")
    resumed = resume_run(tmp_path / "part")
    assert states(resumed.run) == states(whole.run)
    keep = ("samples", "return", "recent_return", "rate", "episodes")
    one, other = ([{k: line[k] for k in keep} for line in run.read_metrics()] for run in (whole.run, resumed.run))
    assert one == other
    if "task" in settings:
        position = load_checkpoint(whole.run.checkpoint).position
        assert position["observation_scale/count"] == position["reward_scale/count"] == 600
    assert np.array_equal(evaluate_run(tmp_path / "part")[1].totals, whole.evaluation.totals)


def test_a_test_uses_the_scale_of_the_training_and_leaves_it(tmp_path):
    task = CorridorTask(scaled=True)
    simulator = ep.Simulator(task.build_network(), threads=1)
    learner = RewardLearner(task, simulator, PolicyTraining(steps=80, environments=2, rollout=10))
    Trainer(learner, watcher=Watcher()).run()
    before = learner.observation_scale.moments.state()
    judge(task, simulator, EpisodeChoice(episodes=3), scale=learner.observation_scale)
    after = learner.observation_scale.moments.state()
    assert {k: v.tolist() for k, v in before.items()} == {k: v.tolist() for k, v in after.items()}
    with pytest.raises(ParameterError, match=r"'corridor' scales its observations .* give their scale"):
        judge(task, simulator, EpisodeChoice(episodes=3))


def test_a_damaged_scale_is_said_of_the_checkpoint(tmp_path):
    run = start_run(config(task={"scaled": True}), tmp_path / "run").run
    checkpoint = load_checkpoint(run.checkpoint)
    position = {k: v for k, v in checkpoint.position.items() if k != "observation_scale/mean"}
    save_checkpoint(run.checkpoint, replace(checkpoint, position=position))
    with pytest.raises(CheckpointError, match="lacks 'mean'"):
        evaluate_run(tmp_path / "run")


def test_the_value_in_the_figure_has_the_unit_of_the_rewards(tmp_path):
    training = PolicyTraining(value_scale=3.0, scale_rewards=True, environments=2)
    scale = RewardScale(2)
    scale.scaled(np.array([[1.0, 5.0]]), np.zeros((1, 2), bool), 0.9)
    position = {f"reward_scale/{name}": array for name, array in scale.state().items()}
    assert value_unit_of(training, position) == pytest.approx(6.0)
    assert value_unit_of(PolicyTraining(value_scale=3.0), {}) == 3.0


def test_threads_change_nothing(tmp_path):
    one, two = (start_run(config(run={"threads": k}), tmp_path / str(k)).run for k in (1, 2))
    assert states(one) == states(two)


def test_evaluation_is_by_episodes_of_its_own(finished):
    _, same, _ = evaluate_run(finished.run.path)
    assert np.array_equal(same.totals, finished.evaluation.totals)
    assert evaluate_run(finished.run.path, episodes=9)[1].totals.size == 9
    with pytest.raises(ParameterError, match="tested by episodes"):
        evaluate_run(finished.run.path, fresh=3)


def test_the_figures_of_a_run(finished, monkeypatch):
    drawn = {}
    monkeypatch.setattr(plot.run_figures, "save", lambda figure, path: drawn.setdefault(path.stem, figure))
    plot.draw_run(finished.run.path)
    assert drawn.keys() == {"returns", "episode", "network", "weights"}
    assert drawn["episode"].axes[0].get_title().startswith("return ")
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
    with pytest.raises(ParameterError, match="does not know --parallel data"):
        start_run(config(run={"parallel": "data"}), tmp_path / "run")
