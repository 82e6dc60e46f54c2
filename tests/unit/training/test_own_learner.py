"""A learner of a user's own: training, folder, resume and seeds need nothing but the class."""

from __future__ import annotations

import functools
import json
import pathlib
import re
from typing import Any

import numpy as np
import pytest

import eprop as ep
from command_line import run
from compare import assert_same
from eprop.data.generated import Generated, Sample
from eprop.runs import draw
from eprop.training import Evaluation, Experiment, Learner, Stage, Stopped, Watcher, task
from eprop.training.forms import samples_of
from eprop.training.number_text import facts_of, line_of
from eprop.training.pictures import Picture, Trained

pytestmark = pytest.mark.tiny


class MeanLearner(Learner):
    """Brings the mean output of random samples to one."""

    unit = "updates"
    done, seconds = 0, 0.0

    def __init__(self, experiment: Experiment, simulator: ep.Simulator, updates: int = 6):
        self.experiment, self.simulator, self.updates = experiment, simulator, updates
        self.splits = experiment.splits(Stage())

    @property
    def total(self) -> int:
        return self.updates

    def step(self, check: Any) -> None:
        rng = np.random.default_rng([self.experiment.seed, self.done])
        rollout = self.forward(self.splits.train.subset(rng.integers(0, 8, 4)))
        self.error = rollout.y.mean() - 1.0
        rollout.learn(rollout.backward(np.full(rollout.y.shape, self.error)))
        self.done += 1

    def forward(self, dataset: Any) -> Any:
        return self.simulator.lanes(samples_of(self.simulator.network, dataset))

    def report(self, check: Any) -> dict[str, Any] | None:
        return {"loss": self.error**2} if self.done % 2 == 0 else None

    def evaluate(self, show: Any = None) -> Evaluation:
        error = np.abs(self.forward(self.splits.test).y.mean(axis=(1, 2)) - 1.0)
        return Evaluation(error, error**2)

    def state(self) -> dict[str, Any]:
        return {"done": self.done}

    def set_state(self, state: Any) -> None:
        self.done = state["done"]


class Untested(MeanLearner):
    """Has no test, and a picture of its own."""

    evaluate = Learner.evaluate  # type: ignore[assignment]

    def pictures(self, run: Trained) -> dict[str, Picture]:
        return {"losses": lambda: self.curve(run.lines, run.summary)}


def drawn(rng: np.random.Generator) -> Sample:
    return Sample(rng.random((20, 5)) < 0.3, np.zeros((20, 1)))


@task
def mean(*, updates: int = 6, tested: bool = True, seed: int = 1) -> Experiment:
    """Bring the mean output to one."""
    net, rule = ep.Network(seed=seed), ep.EProp(optimizer=ep.Adam(eta=0.01))
    x, rec = net.add(ep.EventSource(), 5, "in"), net.add(ep.LIF(v_th=0.5), 6)
    out = net.add(ep.Readout(), 1, "out")
    net.connect(x, rec, weight=0.5, rule=rule)
    net.connect(rec, out, weight=0.2, rule=rule)
    net.feedback(out, rec)
    samples = Generated(drawn, samples=8, test_samples=3)
    return Experiment(net, samples, learner=functools.partial(MeanLearner if tested else Untested, updates=updates))


def fit(
    folder: pathlib.Path | None, watcher: Watcher | None = None, *, force: bool = False, formats: Any = (), **arguments: Any
) -> ep.History:  # fmt: skip
    given: dict[str, Any] = {"threads": 1, "force": force, "formats": formats}
    return ep.fit(mean(**arguments), folder=folder, progress=watcher or False, **given)


def test_a_run_of_an_own_learner_is_resumed(tmp_path: pathlib.Path) -> None:
    class StopAt(Watcher):
        def progress(self, progress: Any) -> None:
            assert progress.total == 6
            if progress.done == 3:
                raise Stopped

    whole = fit(tmp_path / "whole")
    assert [(line["samples"], line["total"]) for line in whole.lines] == [(2, 6), (4, 6), (6, 6)]
    assert ("learned", "in 0:00") in facts_of(tmp_path, whole.summary)
    with pytest.raises(Stopped, match="stopped after 3 of 6 updates; "):
        fit(tmp_path / "cut", StopAt())
    resumed = fit(tmp_path / "cut")
    memory = fit(None)
    for other in (resumed, memory):
        assert_same(other.simulator.state(), whole.simulator.state())
        assert other.lines == whole.lines
        assert other.evaluation.error == whole.summary["test_error"]
    with pytest.raises(TypeError, match=r"MeanLearner does not learn from samples: take history.evaluation"):
        whole.predict(np.zeros((1, 20, 5)))


def test_a_learner_without_a_test_says_so(tmp_path: pathlib.Path) -> None:
    history = fit(tmp_path / "run", tested=False)
    assert history.evaluation is None
    assert line_of(tmp_path, history.summary) == f"no score; {tmp_path}"
    done = run("evaluate", tmp_path / "run", "--task", __file__, "--quiet")
    assert (done.exit_code, done.stdout) == (2, "")
    assert re.fullmatch(
        r"eprop: error: .*run: its learner has no test; define the method evaluate of Untested, which .*\n", done.stderr
    )


@pytest.mark.parametrize("drawn_again", [False, True])
def test_pictures_of_an_earlier_run_leave_its_folder(drawn_again: bool, tmp_path: pathlib.Path) -> None:
    fit(tmp_path, tested=False, formats=() if drawn_again else ("png",))
    if drawn_again:
        draw(tmp_path, task=mean)
    (tmp_path / "figures" / "mine.png").write_text("mine")
    assert (tmp_path / "figures" / "losses.png").is_file()
    summary = json.loads((tmp_path / "summary.json").read_text())
    (tmp_path / "kept.png").write_text("not a figure of the run")
    summary["figures"] += ["../kept", 3]
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    fit(tmp_path, force=True)
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["mine.png"]
    assert (tmp_path / "kept.png").is_file()


def test_an_own_learner_learns() -> None:
    few, many = (fit(None, updates=n).evaluation.error for n in (1, 150))
    assert many < 0.5 * few


def test_a_missing_method_is_an_error_before_the_training() -> None:
    class Incomplete(MeanLearner):
        step = Learner.step  # type: ignore[assignment]

    with pytest.raises(TypeError, match=r"abstract.*step"):
        Incomplete(mean(), ep.Simulator(mean().network, threads=1))
