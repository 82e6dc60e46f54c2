"""The loop over any learner: callbacks, early stopping, checkpoints at intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import digits
from compare import assert_same
from eprop.errors import ParameterError
from eprop.training import Evaluation, Interrupt, SampleLearner, Stopped, Trainer
from eprop.training.sample_learner import BestNetwork
from small_learner import RULES, Log, learner, resumed, run, weights

pytestmark = pytest.mark.tiny


def validated(**training: Any) -> SampleLearner:
    options = {"epochs": 4, "batch_size": 2, "reports": 1, "eta": 0.05, "eta_out": 0.05, **training}
    return learner(validation=digits.recordings(6), **options)


def scores(*errors: float, loss: float = 1.0) -> Evaluation:
    return Evaluation(np.array(errors), np.full(len(errors), loss))


def test_a_lower_error_is_better_and_of_equal_errors_the_lower_loss() -> None:
    best = BestNetwork()
    assert best.note(scores(1.0))
    assert not best.note(scores(1.0))
    assert best.note(scores(1.0, loss=0.5))
    assert not best.note(scores(1.0, loss=0.7))
    assert (best.error, best.loss, best.waited) == (1.0, 0.5, 1)
    assert vars(BestNetwork.of_state(best.state())) == vars(best)


def test_patience_ends_the_training_with_the_best_network(monkeypatch: pytest.MonkeyPatch) -> None:
    learns = validated(validation_interval=4, patience=2)
    found = iter([0.5, 0.4, 0.45, 0.4, 0.1])  # of two equal errors with equal losses the second is no better
    seen: list[np.ndarray] = []

    def evaluate(*_: Any) -> Evaluation:
        seen.append(weights(learns))
        return scores(next(found))

    monkeypatch.setattr("eprop.training.sample_learner.evaluate", evaluate)
    trainer, log = run(learns)
    assert trainer.stopped_early
    assert trainer.done == 16
    assert learns.best.error == 0.4
    assert len(log.lines) == 4
    np.testing.assert_array_equal(weights(learns), seen[1])
    assert not np.array_equal(seen[1], seen[3])
    trainer.run()  # it has ended
    assert trainer.done == 16


def test_the_last_network_stays_if_the_best_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    learns = validated(validation_interval=4, patience=1, keep_best=False)
    monkeypatch.setattr("eprop.training.sample_learner.evaluate", lambda *_: scores(0.5))
    trainer, _ = run(learns)
    assert trainer.done == 8
    assert learns.best.network == {}


class StopAtCall(Interrupt):
    """Stops at the call ``at`` of its check, counted from 1; once."""

    calls, at = 0, 0

    def check(self) -> None:
        self.calls += 1
        if self.calls == self.at:
            raise Stopped


@pytest.mark.parametrize("rule", RULES)
def test_a_stop_at_any_point_changes_nothing(rule: str) -> None:
    """Before an update, within a mini-batch, and within the validation after it, whose report comes with the next `run`."""
    options = {"validation": digits.recordings(3), "epochs": 1, "validations": 2, "reports": 3}
    counting = StopAtCall()
    whole, log = run(learner(rule, **options), interrupt=counting)
    wanted = [{name: value for name, value in line.items() if "second" not in name} for line in log.lines]
    assert counting.calls > 6
    for at in range(1, counting.calls + 1):
        stop, seen = StopAtCall(), Log()
        stop.at = at
        trainer = Trainer(learner(rule, **options), watcher=seen, interrupt=stop)
        with pytest.raises(Stopped):
            trainer.run()
        trainer.run()
        assert_same(trainer.simulator.state(), whole.simulator.state())
        assert [{name: value for name, value in line.items() if "second" not in name} for line in seen.lines] == wanted


def test_a_callback_sees_every_line_and_may_end_the_training() -> None:
    seen: list[tuple[int, int]] = []

    def stop(trainer: Trainer, line: dict[str, Any]) -> bool:
        seen.append((trainer.done, line["samples"]))
        return np.bool_(trainer.done >= 20)  # as a comparison of arrays gives it

    training = {"epochs": 4, "batch_size": 2, "reports": 20}
    trainer, log = run(learner(**training), callbacks=[stop, lambda trainer, line: None])
    assert trainer.stopped_early
    assert seen == [(done, done) for done in range(2, 22, 2)]
    assert len(log.lines) == len(seen)
    again, _ = resumed(learner(**training), trainer)
    assert again.done == trainer.done  # the end is part of the state


def test_checkpoints_are_saved_at_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[int] = []
    run(learner(), save=lambda trainer: saved.append(trainer.done))
    assert saved == []
    monkeypatch.setattr("eprop.training.trainer.SAVE_SECONDS", -1.0)
    monkeypatch.setattr("eprop.training.trainer.SAVE_SHARE", 1e9)
    run(learner(), save=lambda trainer: saved.append(trainer.done), watcher=Log())
    assert saved == [4, 8, 10, 14, 18, 20]


@pytest.mark.parametrize("given", [(np.zeros((2, 3)), np.zeros(2)), None, "learner"])
def test_what_is_no_learner_is_refused(given: Any) -> None:
    with pytest.raises(
        ParameterError, match=f"Trainer drives a learner, such as SampleLearner.*got {type(given).__name__}"
    ):
        Trainer(given)
