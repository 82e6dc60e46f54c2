"""A learner of a user's own: the run, its folder, a resume, trials and an evaluation need nothing but the class."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

import eprop as ep
from compare import assert_same
from eprop.errors import ParameterError
from eprop.parameters import Description, param
from eprop.tasks import TASKS, GeneratedTask, Sample
from eprop.training import Evaluation, Learner, RunConfig, Stopped, Watcher, evaluate_run, load, resume_run, start_run
from eprop.training.number_text import facts_of

pytestmark = pytest.mark.tiny


@dataclass(frozen=True)
class Updates(Description):
    updates: int = param(6, kind=int, at_least=1, doc="weight updates", main=True)


class MeanLearner(Learner):
    """Brings the mean output of random samples to one."""

    settings, unit = Updates, "updates"
    done, seconds = 0, 0.0

    def __init__(self, setup: Any):
        self.task, self.simulator, self.splits, self.updates = setup.task, setup.simulator, setup.splits, setup.training

    @classmethod
    def of_run(cls, setup: Any) -> MeanLearner:
        return cls(setup)

    @property
    def total(self) -> int:
        return self.updates.updates

    def step(self, check: Any) -> None:
        rng = np.random.default_rng([self.task.seed, self.done])
        rollout = self.forward(self.splits.train.subset(rng.integers(0, 8, 4)))
        self.error = rollout.y.mean() - 1.0
        self.simulator.learn(rollout.backward(np.full(rollout.y.shape, self.error)))
        self.done += 1

    def forward(self, dataset: Any) -> Any:
        return self.simulator.forward(self.task.make_samples(self.simulator.network, dataset))

    def report(self, check: Any) -> dict[str, Any] | None:
        return {"loss": self.error**2} if self.done % 2 == 0 else None

    def evaluate(self, show: Any = None) -> Evaluation:
        error = np.abs(self.forward(self.splits.test).y.mean(axis=(1, 2)) - 1.0)
        return Evaluation(error, error**2)

    def state(self) -> dict[str, Any]:
        return {"done": self.done}

    def set_state(self, state: Any) -> None:
        self.done = state["done"]


@dataclass(frozen=True, kw_only=True)
class MeanTask(GeneratedTask):
    name: ClassVar[str] = "mean"
    learner: ClassVar[Any] = MeanLearner

    def default_data(self) -> dict[str, Any]:
        return {"samples": 8, "test_samples": 3}

    def draw_sample(self, rng: np.random.Generator) -> Sample:
        return Sample(rng.random((20, 5)) < 0.3, np.zeros((20, 1)))

    def build_network(self) -> ep.Network:
        net, rule = ep.Network(seed=self.seed), ep.EProp(optimizer=ep.Adam(eta=0.01))
        x, rec = net.add(ep.EventSource(), 5, "in"), net.add(ep.LIF(v_th=0.5), 6)
        out = net.add(ep.Readout(), 1, "out")
        net.connect(x, rec, weight=0.5, rule=rule)
        net.connect(rec, out, weight=0.2, rule=rule)
        net.feedback(out, rec)
        return net


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS, "mean", MeanTask)


def config(**training: int) -> RunConfig:
    return RunConfig.make("mean", training=training, run={"threads": 1})


def test_a_run_of_an_own_learner_is_resumed_and_evaluated(tmp_path: pathlib.Path) -> None:
    class StopAt(Watcher):
        def progress(self, progress: Any) -> None:
            assert progress.total == 6
            if progress.done == 3:
                raise Stopped

    whole = start_run(config(), tmp_path / "whole", watcher=Watcher())
    assert [(line["samples"], line["total"]) for line in whole.run.read_metrics()] == [(2, 6), (4, 6), (6, 6)]
    assert ("learned", "in 0:00") in facts_of(tmp_path, whole.summary)
    with pytest.raises(Stopped, match="stopped after 3 of 6 updates; continue with: eprop train mean --resume"):
        start_run(config(), tmp_path / "cut", watcher=StopAt())
    resumed = resume_run(tmp_path / "cut", watcher=Watcher())
    assert_same(load(tmp_path / "cut").weights, load(tmp_path / "whole").weights)
    assert resumed.run.read_metrics() == whole.run.read_metrics()
    assert evaluate_run(tmp_path / "cut", watcher=Watcher())[1].error == whole.summary["test_error"]
    with pytest.raises(ParameterError, match=r"has its own learner, .* leave out --data and --fresh"):
        evaluate_run(tmp_path / "cut", fresh=3)


def test_an_own_learner_learns(tmp_path: pathlib.Path) -> None:
    few, many = (start_run(config(updates=n), tmp_path / str(n), watcher=Watcher()).summary for n in (1, 150))
    assert many["test_error"] < 0.5 * few["test_error"]


def test_a_missing_method_is_an_error_before_the_training() -> None:
    class Incomplete(MeanLearner):
        step = Learner.step  # type: ignore[assignment]

    with pytest.raises(TypeError, match=r"abstract.*step"):
        Incomplete(None)
