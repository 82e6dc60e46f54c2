"""The delayed cue: its samples, the delay that grows, and which constants learn."""

from __future__ import annotations

import pathlib
from typing import Any, ClassVar

import numpy as np
import pytest

import eprop as ep
from eprop.models.learned import learned_of
from eprop.tasks.delayed_cue import DelayedCue
from eprop.training import RunConfig, Training, start_run
from eprop.training.sample_learner import SampleLearner
from refusals import Refusal, refusals

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]


@pytest.mark.parametrize(("done", "delay"), [(0.0, 200.0), (1 / 3, 1600.0), (2 / 3, 3000.0), (1.0, 3000.0)])
def test_the_delay_grows_during_two_thirds_of_the_training(done: float, delay: float) -> None:
    stage = DelayedCue().stage(done)
    assert stage.delay == pytest.approx(delay)
    assert stage.n_steps == round(delay / 10.0) + 20
    assert DelayedCue(grow=False).stage(done).delay == 3000.0
    assert DelayedCue(delay=100.0).stage(done).delay == 100.0


def test_a_sample_shows_a_cue_and_after_the_delay_the_go_signal() -> None:
    task = DelayedCue(delay=500.0, background_rate=0.0, cue_rate=100.0)
    samples = [task.draw_sample(np.random.default_rng(k)) for k in range(40)]
    assert {int(sample.target) for sample in samples} == {0, 1, 2, 3}
    for inputs, which in samples:
        by_group = inputs.reshape(70, 6, 10).all(axis=2)
        assert by_group[:10, which].all()
        assert by_group[-10:, 4].all()
        assert by_group.sum() == 20
    assert task.window.sum() == 10.0


def constants_of(**given: Any) -> list[str]:
    net = DelayedCue(**given).build_network()
    return sorted(f"{p.name}.{name}" for p in net.populations for name in learned_of(p.model))


def test_constants_learn_as_asked() -> None:
    assert constants_of() == ["rec.tau_adapt"]
    assert constants_of(learn="none") == constants_of(rule="eprop+") == []
    assert constants_of(learn="taus") == ["out.tau_m", "rec.tau_adapt", "rec.tau_m"]
    assert constants_of(learn="all") == ["out.tau_m", "rec.beta", "rec.i_e", "rec.tau_adapt", "rec.tau_m", "rec.v_th"]


def test_first_values_are_drawn_evenly_by_their_logarithm() -> None:
    drawn = ep.Simulator(DelayedCue(neurons=1000, spread=5.0).build_network(), threads=1).parameters("rec")["tau_adapt"]
    assert 40.0 <= drawn.min() < 45.0
    assert 950.0 < drawn.max() <= 1000.0
    assert np.median(drawn) == pytest.approx(200.0, rel=0.1)


@refusals(
    (
        lambda: DelayedCue(learn="beta"),
        ep.errors.ParameterError,
        'DelayedCue.learn must be "none", "tau_adapt", "taus" or "all"',
    ),
    (lambda: DelayedCue(rule="eprop+", learn="taus"), ep.errors.ParameterError, "only e-prop learns constants"),
    (
        lambda: DelayedCue(tau_adapt=6000.0),
        ep.errors.ParameterError,
        "tau_adapt must lie in 10..5000 ms to learn, got 6000 ms",
    ),
)
def test_what_cannot_be_learned_is_refused(refusal: Refusal) -> None:
    refusal.check()


class Watched(DelayedCue):
    """Remembers the delays of its mini-batches."""

    delays: ClassVar[list[float]] = []

    def make_samples(self, network: ep.Network, dataset: Any) -> ep.engine.Samples:
        self.delays.append(self.delay)
        return super().make_samples(network, dataset)


def test_the_trainer_asks_for_the_stage_of_each_mini_batch() -> None:
    task = Watched(neurons=4, group=2, delay=600.0)
    data = task.data(samples=12).load(task)
    learner = SampleLearner(
        task, ep.Simulator(task.build_network(), threads=1), data.train, Training(epochs=1, batch_size=2)
    )
    Watched.delays.clear()
    for _ in range(6):
        learner.step(lambda: None)
    assert Watched.delays[-6:] == [200.0, 300.0, 400.0, 500.0, 600.0, 600.0]


@pytest.mark.parametrize("learn", ["none", "tau_adapt"])
def test_a_network_whose_time_constants_learn_remembers(learn: str) -> None:
    task = DelayedCue(delay=1000.0, learn=learn)
    sim, n = ep.Simulator(task.build_network(), threads=1, precision="single"), 200
    data = task.data(samples=32 * n, test_samples=400).load(task)
    for i in range(n):
        sim.scale_learning_rates(1.0 - 0.9 * i / n)
        sim.train(task.stage(i / n).make_samples(sim.network, data.train.subset(range(32 * i, 32 * i + 32))))
    samples = task.make_samples(sim.network, data.test)
    error = task.score(samples, sim.evaluate(samples).y).mean()
    assert error > 0.5 if learn == "none" else error < 0.05


def test_runs_keep_the_constants_that_learn(tmp_path: pathlib.Path) -> None:
    config = RunConfig.make(
        "delayed-cue",
        task={"neurons": 4, "group": 2, "delay": 100.0},
        data={"samples": 12, "test_samples": 4},
        training={"epochs": 1, "batch_size": 4},
        run={"precision": "double", "threads": 1},
    )
    start_run(config, tmp_path / "run")
    run = ep.load(tmp_path / "run")
    first, learned = (sim.parameters("rec")["tau_adapt"] for sim in (run.untrained(), run.simulator))
    assert np.unique(learned - first).size > 1
