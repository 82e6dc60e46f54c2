"""The training ends early where that is asked for, and validation samples are evaluated where they shall be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import digits
import eprop as ep
from eprop.errors import ParameterError
from eprop.tasks import NMNIST
from eprop.training import Evaluation, Interrupt, Stopped, Trainer, Training, Watcher
from eprop.training.early_stopping import Best

pytestmark = pytest.mark.tiny


class Lines(Watcher):
    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def metrics(self, line: dict[str, Any]) -> None:
        self.lines.append(line)


def make(validation: bool = True, callbacks: Any = (), **training: Any) -> tuple[Trainer, list[dict[str, Any]]]:
    task = NMNIST(neurons=4, n_steps=20, w_in=0.2, w_out=0.1, eta=0.05, eta_out=0.05)
    simulator = ep.Simulator(task.build_network(), threads=1)
    watcher, given = Lines(), Training(**{"epochs": 4, "batch_size": 2, "reports": 1, **training})
    part = digits.recordings(6) if validation else None
    trainer = Trainer(
        task, simulator, digits.recordings(10), given, validation=part, watcher=watcher, callbacks=callbacks
    )
    return trainer, watcher.lines


def scores(*errors: float, loss: float = 1.0) -> Evaluation:
    return Evaluation(np.array(errors), np.full(len(errors), loss))


def test_a_lower_error_is_better_and_of_equal_errors_the_lower_loss() -> None:
    best = Best()
    assert best.note(scores(1.0))
    assert not best.note(scores(1.0))
    assert best.note(scores(1.0, loss=0.5))
    assert not best.note(scores(1.0, loss=0.7))
    assert (best.error, best.loss, best.waited) == (1.0, 0.5, 1)
    assert vars(Best.of_position(best.position())) == vars(best)
    assert np.isnan(Best.of_position({}).error)


def test_validation_samples_are_evaluated_at_the_interval_and_at_the_end() -> None:
    trainer, lines = make(validation_interval=14)
    trainer.run()
    assert [line["samples"] for line in lines if "validation_error" in line] == [14, 28, 40]
    assert not trainer.stopped_early


def test_patience_ends_the_training_with_the_best_network(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, lines = make(validation_interval=4, patience=2)
    found = iter([0.5, 0.4, 0.45, 0.4, 0.1])  # of two equal errors with equal losses the second is no better
    weights: list[np.ndarray] = []

    def evaluate(*_: Any) -> Evaluation:
        weights.append(trainer.simulator.state()["synapses/weight"])
        return scores(next(found))

    monkeypatch.setattr("eprop.training.trainer.evaluate", evaluate)
    trainer.run()
    assert trainer.stopped_early
    assert trainer.finished
    assert trainer.done == 16
    assert trainer.best_error == 0.4
    assert len(lines) == 4
    np.testing.assert_array_equal(trainer.simulator.state()["synapses/weight"], weights[1])
    assert not np.array_equal(weights[1], weights[3])
    trainer.run()  # it is over
    assert trainer.done == 16


def test_the_last_network_stays_if_the_best_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, _ = make(validation_interval=4, patience=1, keep_best=False)
    monkeypatch.setattr("eprop.training.trainer.evaluate", lambda *_: scores(0.5))
    trainer.run()
    assert trainer.done == 8
    assert trainer._best.state == {}


def test_a_resumed_training_ends_as_the_whole_one_does() -> None:
    """Patience, its counter and the best network go through the position."""
    given = {"validation_interval": 4, "patience": 2, "epochs": 8}
    whole, lines = make(**given)
    whole.run()
    assert whole.stopped_early
    for stop in range(6, whole.done, 6):
        part, before = make(**given)
        interrupt = part._given_interrupt = part._interrupt = Interrupt()
        part.watcher.progress = lambda progress, at=stop, i=interrupt: setattr(i, "signal", 2 * (progress.done >= at))  # type: ignore[method-assign]
        with pytest.raises(Stopped):
            part.run()
        rest, after = make(**given)
        rest.set_position(part.position())
        rest.simulator.set_state(part.simulator.state())
        rest.run()
        assert (rest.done, rest.best_error) == (whole.done, whole.best_error)
        assert [line["validation_loss"] for line in before + after] == [line["validation_loss"] for line in lines]
        for name, value in whole.simulator.state().items():
            np.testing.assert_array_equal(value, rest.simulator.state()[name])


def test_a_callback_sees_every_line_and_may_end_the_training() -> None:
    seen: list[tuple[int, int]] = []

    def stop(trainer: Trainer, line: dict[str, Any]) -> bool:
        seen.append((trainer.done, line["samples"]))
        return trainer.done >= 20

    trainer, lines = make(validation=False, callbacks=[stop, lambda trainer, line: None], reports=20)
    trainer.run()
    assert trainer.stopped_early
    assert seen == [(done, done) for done in range(2, 22, 2)]
    assert len(lines) == len(seen)


@pytest.mark.parametrize("given", [{"patience": 1}, {"keep_best": True}, {"validation_interval": 5}])
def test_what_needs_validation_samples_is_refused_without_them(given: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=rf"Training.{next(iter(given))} needs validation samples"):
        make(validation=False, **given)
