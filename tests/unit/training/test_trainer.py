"""The trainer, with real simulators of a few neurons."""

from __future__ import annotations

import pathlib
import warnings
from typing import Any

import numpy as np
import pytest

import digits
import eprop as ep
from eprop.data import shift
from eprop.errors import DataError, DivergenceError
from eprop.tasks import NMNIST
from eprop.training import (
    Checkpoint,
    Interrupt,
    Progress,
    Stopped,
    Trainer,
    Training,
    UnstableWarning,
    Watcher,
    evaluate,
    load_checkpoint,
    save_checkpoint,
)
from eprop.training.evaluation import SLICE
from eprop.training.order import shuffled

pytestmark = pytest.mark.tiny
RULES = ("eprop", "eprop+")


class Log(Watcher):
    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.seen: list[Progress] = []
        self.evaluated: list[tuple[int, int]] = []

    def metrics(self, line: dict[str, Any]) -> None:
        self.lines.append(line)

    def progress(self, progress: Progress) -> None:
        self.seen.append(progress)

    def evaluating(self, done: int, total: int) -> None:
        self.evaluated.append((done, total))


def make(rule: str = "eprop", n: int = 10, watcher: Watcher | None = None, **options: Any) -> Trainer:
    training = Training(**{"epochs": 2, "batch_size": 4, **options.pop("training", {})})
    gentle = {"eta": 1e-6, "eta_out": 1e-5} if rule == "eprop+" else {}
    small = {"neurons": 4, "n_steps": 20, "w_in": 0.2, "w_out": 0.1}
    task = NMNIST(rule=rule, **{**small, **gentle, **options.pop("task", {})})
    simulator = ep.Simulator(task.build_network(), threads=1, precision="single")
    return Trainer(task, simulator, digits.recordings(n), training, watcher=watcher, **options)


def weights(trainer: Trainer) -> np.ndarray:
    return trainer.simulator.state()["synapses/weight"]


@pytest.mark.parametrize("rule", RULES)
def test_every_sample_is_learned_once_an_epoch_in_a_new_order(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make(rule)
    learned: list[int] = []
    original = trainer.trials.subset
    recorder = type(
        "Recorder", (), {"__len__": lambda _: 10, "subset": lambda _, i: (learned.extend(i), original(i))[1]}
    )
    trainer.trials = recorder()
    trainer.run()
    first, second = learned[:10], learned[10:]
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert first == shuffled(1, 0, 10).tolist()
    assert trainer.done == trainer.total == 20


def test_learning_rates_fall_from_batch_to_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, factors = make(), []
    monkeypatch.setattr(trainer.simulator, "scale_learning_rates", factors.append)
    trainer.run()
    np.testing.assert_allclose(factors, [1 - 0.99 * done / 20 for done in (0, 4, 8, 10, 14, 18)] + [1.0])


@pytest.mark.parametrize("rule", RULES)
def test_reports_add_up(rule: str) -> None:
    log = Log()
    trainer = make(rule, watcher=log, validation=digits.recordings(6, seed=1), training={"validations": 2})
    trainer.run()
    assert [line["samples"] for line in log.lines] == [4, 8, 10, 14, 18, 20]
    assert [line["epoch"] for line in log.lines] == [1, 1, 1, 2, 2, 2]
    held = [line["samples"] for line in log.lines if "validation_error" in line]
    assert held == [10, 20]
    assert all((line["error"] is None) == (rule == "eprop+") for line in log.lines)
    assert log.seen[-1].done == log.seen[-1].total == 20
    assert log.evaluated[-1] == (6, 6)
    assert trainer.validation_error == log.lines[-1]["validation_error"]
    assert trainer.events > 0


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("reports", [1, 2, 3, 7, 20, 200])
def test_evaluations_keep_their_distances_whatever_is_reported(rule: str, reports: int) -> None:
    log = Log()
    options = {"batch_size": 1, "reports": reports, "validations": 5}
    trainer = make(rule, watcher=log, validation=digits.recordings(2, seed=1), training=options)
    trainer.run()
    assert [line["samples"] for line in log.lines if "validation_error" in line] == [4, 8, 12, 16, 20]
    places = {-(-20 * k // reports) for k in range(1, reports + 1)}  # of reports: the first batch that ends there
    assert [line["samples"] for line in log.lines] == sorted(places | {4, 8, 12, 16, 20})


@pytest.mark.parametrize("evaluations", [3, 7])
def test_an_evaluation_waits_for_the_batch_to_end(evaluations: int) -> None:
    log = Log()
    options = {"batch_size": 2, "reports": 4, "validations": evaluations}
    make(watcher=log, validation=digits.recordings(2, seed=1), training=options).run()
    places = [2 * -(-10 * k // evaluations) for k in range(1, evaluations + 1)]
    assert [line["samples"] for line in log.lines if "validation_error" in line] == places


@pytest.mark.parametrize("rule", RULES)
def test_a_stopped_training_goes_on_bit_by_bit(rule: str) -> None:
    whole, log = make(rule), Log()
    whole.run()
    interrupt = Interrupt()

    class Stopper(Log):
        def progress(self, progress: Progress) -> None:
            interrupt.signal = 2 * (progress.done >= 12)

    first = make(rule, watcher=Stopper(), interrupt=interrupt)
    with pytest.raises(Stopped):
        first.run()
    assert 12 <= first.done < 20
    second = make(rule, watcher=log)
    second.warm_up()
    second.simulator.set_state(first.simulator.state())
    second.set_position(first.position())
    second.run()
    assert weights(second).tobytes() == weights(whole).tobytes()
    assert second.events == whole.events
    assert log.lines[-1]["samples"] == 20


@pytest.mark.parametrize("rule", RULES)
def test_easy_samples_are_passed_over(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the second epoch on, by their losses when they were learned last; the position goes on over them."""
    log = Log()
    trainer = make(rule, n=12, watcher=log, training={"epochs": 3, "skip_easy": 1.0})
    learned: list[int] = []
    losses: dict[int, float] = {}
    samples, train = trainer._samples, trainer.simulator.train
    monkeypatch.setattr(trainer, "_samples", lambda which: (learned.extend(which), samples(which))[1])

    def noted(given: Any, **options: Any) -> Any:
        result = train(given, **options)
        losses.update(zip(learned[-len(given) :], result.loss, strict=True))
        return result

    monkeypatch.setattr(trainer.simulator, "train", noted)
    for epoch in range(3):
        mean = np.mean(list(losses.values())) if losses else 0.0
        wanted = [i for i in shuffled(1, epoch, 12) if losses.get(i, 0.0) >= mean]
        learned.clear()
        while trainer.done < 12 * (epoch + 1):
            trainer._learn_some()
            trainer.watcher.progress(trainer._progress())
            trainer._report_if_due()
        assert learned == wanted
        assert (len(learned) < 12) == (epoch > 0)
        assert trainer.done == 12 * (epoch + 1)
    assert trainer.learned < 36
    assert all(0 < p.to_learn + p.learned <= 36 for p in log.seen)
    assert log.seen[-1].to_learn == 0
    assert log.seen[0].to_learn == 36 - log.seen[0].learned  # before the first report
    (end,) = (p for p in log.seen if p.done == 12)
    assert end.to_learn < 24
    assert log.lines[-1]["samples"] == 36


@pytest.mark.parametrize("rule", RULES)
def test_a_training_that_passes_over_samples_goes_on_bit_by_bit(rule: str, tmp_path: pathlib.Path) -> None:
    options: dict[str, Any] = {"n": 12, "training": {"epochs": 3, "skip_easy": 0.5, "batch_size": 3}}
    whole, first, second = (make(rule, **options) for _ in range(3))
    whole.run()
    while first.done < 28:  # in the midst of the third epoch
        first._learn_some()
    assert first.done % 12
    save_checkpoint(tmp_path / "c.h5", Checkpoint("", first.position(), first.simulator.state()))
    first._learn_some()  # what was saved must not change any more
    found = load_checkpoint(tmp_path / "c.h5")
    second.simulator.set_state(found.state)
    second.set_position(found.position)
    second.run()
    assert weights(second).tobytes() == weights(whole).tobytes()
    assert (second.learned, second.events) == (whole.learned, whole.events)
    assert second.learned < 36


@pytest.mark.parametrize("rule", RULES)
def test_pieces_make_no_difference(rule: str) -> None:
    whole, pieces = make(rule), make(rule)
    whole._piece = 100
    whole.run()
    for _ in range(100):
        if pieces.done < pieces.total:
            pieces._piece = 1
            pieces._learn_some()
    assert pieces.done == 20
    assert weights(pieces).tobytes() == weights(whole).tobytes()


def test_a_batch_that_is_broken_off_is_forgotten() -> None:
    interrupt = Interrupt()
    trainer = make(n=12, training={"batch_size": 12}, interrupt=interrupt)
    before, checks = weights(trainer), iter([0, 2])

    def check() -> None:
        interrupt.signal = next(checks, 2)
        Interrupt.check(interrupt)

    interrupt.check = check  # type: ignore[method-assign]
    with pytest.raises(Stopped):
        trainer.run()
    assert trainer.done == 0
    assert np.array_equal(weights(trainer), before)


@pytest.mark.parametrize("rule", RULES)
def test_warming_up_leaves_no_trace(rule: str) -> None:
    trainer = make(rule)
    before = trainer.simulator.state()
    trainer.warm_up()
    after = trainer.simulator.state()
    assert before.keys() == after.keys()
    for name, value in before.items():
        if name != "spike_log/sources":  # it may have grown
            assert np.array_equal(value, after[name]), name


def test_each_epoch_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[int] = []
    monkeypatch.setattr("eprop.training.trainer.SAVE_EPOCH_SECONDS", -1.0)
    make(save=lambda trainer: saved.append(trainer.done)).run()
    assert saved == [10, 20]
    monkeypatch.setattr("eprop.training.trainer.SAVE_SECONDS", -1.0)
    make(save=lambda trainer: saved.append(trainer.done)).run()
    assert saved[2:] == [4, 8, 10, 14, 18, 20]


def test_the_network_learns() -> None:
    task = {"neurons": 20, "w_in": 0.6, "w_out": 0.5, "eta": 0.005, "eta_out": 0.005}
    trainer = make(n=40, training={"epochs": 15}, task=task)
    before = evaluate(trainer.task, trainer.simulator, digits.recordings(40, seed=3))
    trainer.run()
    after = evaluate(trainer.task, trainer.simulator, digits.recordings(40, seed=3))
    assert after.loss < 0.5 * before.loss
    assert after.error < 0.2


def test_a_diverging_training_stops_with_advice() -> None:
    task = {"optimizer": "gradient_descent", "eta": 1e300, "eta_out": 1e300}
    trainer = make(task=task)
    with (
        pytest.raises(DivergenceError, match=r"after \d+ samples, .*Lower the learning rate"),
        np.errstate(all="ignore"),
    ):
        trainer.run()


def test_an_unstable_training_warns_once() -> None:
    trainer = make(task={"optimizer": "gradient_descent", "eta": 0.0, "eta_out": 1e3})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.run()
    unstable = [w for w in caught if w.category is UnstableWarning]
    assert len(unstable) == 1
    assert "lower the learning rates (eta, eta_out)" in str(unstable[0].message)


def test_empty_data_are_refused() -> None:
    trainer = make()
    with pytest.raises(DataError, match="there is no trial to learn from"):
        Trainer(trainer.task, trainer.simulator, trainer.trials.subset(slice(0, 0)))
    with pytest.raises(DataError, match="there is no trial to evaluate"):
        evaluate(trainer.task, trainer.simulator, trainer.trials.subset(slice(0, 0)))


def test_a_position_behind_the_end_is_refused() -> None:
    trainer = make()
    with pytest.raises(DataError, match="is at sample 99, but has only 20 now"):
        trainer.set_position({**trainer.position(), "done": 99})


@pytest.mark.parametrize("rule", RULES)
def test_evaluating_changes_nothing_and_shuffles(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make(rule)
    data = digits.recordings(12, seed=2).subset(np.argsort(np.arange(12) % 2))  # sorted by class
    before = trainer.simulator.state()
    labels: list[int] = []
    original = NMNIST.make_samples

    def spy(task: NMNIST, network: Any, trials: Any) -> Any:
        labels.extend(trials.labels.tolist())
        return original(task, network, trials)

    monkeypatch.setattr(NMNIST, "make_samples", spy)
    outcome = evaluate(trainer.task, trainer.simulator, data)
    assert labels != sorted(labels)
    assert sorted(labels) == data.labels.tolist() == outcome.labels.tolist()
    after = trainer.simulator.state()
    assert all(np.array_equal(before[name], after[name]) for name in before if name != "counters")


def test_several_views_of_a_trial_are_judged_together(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, data = make(), digits.recordings(14, seed=2)
    monkeypatch.setattr(NMNIST, "views", lambda self, trials: (trials, shift(trials, 9, 3)))
    monkeypatch.setattr("eprop.training.evaluation.SLICE", 5)
    counts: list[int] = []
    both = evaluate(trainer.task, trainer.simulator, data, counts.append)
    assert sum(counts) == len(data)
    monkeypatch.undo()
    evidence, losses = 0.0, 0.0
    for view in (data, shift(data, 9, 3)):
        samples = trainer.task.make_samples(trainer.simulator.network, view)
        result = trainer.simulator.evaluate(samples)
        evidence, losses = evidence + trainer.task.evidence(samples, result.y), losses + result.loss / 2
    assert both.predictions.tolist() == evidence.argmax(axis=1).tolist()
    assert both.scores.tolist() == (evidence.argmax(axis=1) != data.labels).tolist()
    np.testing.assert_allclose(both.losses, losses, rtol=1e-12)


def test_memory_of_an_evaluation_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, sizes = make(), []
    original = trainer.simulator.evaluate
    monkeypatch.setattr("eprop.training.evaluation.SLICE", 5)
    monkeypatch.setattr(trainer.simulator, "evaluate", lambda s, **k: (sizes.append(len(s)), original(s, **k))[1])
    small = evaluate(trainer.task, trainer.simulator, trainer.trials)
    assert sizes == [5, 5]
    monkeypatch.setattr("eprop.training.evaluation.SLICE", SLICE)
    large = evaluate(trainer.task, trainer.simulator, trainer.trials)
    assert np.array_equal(small.losses, large.losses)  # e-prop starts each sample from rest
