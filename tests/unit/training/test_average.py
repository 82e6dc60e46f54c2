"""Training that ends with the mean of the weights of its last part."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import digits
import eprop as ep
from eprop.errors import DataError, ParameterError
from eprop.tasks import NMNIST
from eprop.training import Trainer, Training
from eprop.training.reference import ReferenceSimulator

pytestmark = pytest.mark.tiny
RULES = ("eprop", "eprop+")


def make(rule: str, average: float, engine: Any = ep.Simulator, samples: int = 10) -> Trainer:
    gentle = {"eta": 1e-6, "eta_out": 1e-5} if rule == "eprop+" else {}
    task = NMNIST(rule=rule, neurons=4, n_steps=20, w_in=0.2, w_out=0.1, **gentle)
    options = {"threads": 1, "precision": "single"} if engine is ep.Simulator else {}
    training = Training(epochs=2, batch_size=2, average=average)
    return Trainer(task, engine(task.build_network(), **options), digits.recordings(samples), training)


def names(trainer: Trainer) -> list[str]:
    return [p.name for p in trainer.simulator.network.projections]


def weights(trainer: Trainer) -> dict[str, np.ndarray]:
    return {name: trainer.simulator.connections(name)[2] for name in names(trainer)}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("engine", [ep.Simulator, ReferenceSimulator])
def test_it_ends_with_the_mean_of_the_last_part(rule, engine):
    """20 samples in batches of two: of the last 0.35 of them, weights after 14, 16, 18 and 20 samples count."""
    averaged, plain = make(rule, 0.35, engine), make(rule, 0.0, engine)
    seen = []
    while plain.done < plain.total:
        plain._learn_some()
        if plain.done % 2 == 0 and plain.done >= 13:
            seen.append(weights(plain))
    averaged.run()
    assert [len(seen), plain.done] == [4, 20]
    for name, found in weights(averaged).items():
        mean = sum(w[name] for w in seen) / 4
        np.testing.assert_array_equal(found, mean.astype(np.float32) if engine is ep.Simulator else mean)
    assert any(not np.array_equal(weights(averaged)[name], seen[-1][name]) for name in names(averaged))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("stop", [10, 15, 17, 20])
def test_a_training_that_was_stopped_goes_on_to_the_same_mean(rule, stop):
    whole, first, second = (make(rule, 0.5) for _ in range(3))
    whole.run()
    while first.done < stop:
        first._learn_some()
        first._average_if_due()
    second.simulator.set_state(first.simulator.state())
    second.set_position(first.position(), first.weight_sums())
    second.run()
    for name, found in weights(second).items():
        assert found.tobytes() == weights(whole)[name].tobytes()


def test_it_is_taken_some_fifty_times(monkeypatch):
    trainer, times = make("eprop", 0.5, samples=500), []
    trainer.training = trainer.training.replace(batch_size=1)
    monkeypatch.setattr(trainer._average, "add", lambda: times.append(trainer.done))
    monkeypatch.setattr(trainer._average, "apply", lambda: None)
    for done in range(1, trainer.total + 1):
        trainer._at.done = done
        trainer._average_if_due()
    assert times == list(range(500, 1001, 10))


def test_sums_of_another_network_are_refused():
    trainer = make("eprop", 0.5)
    with pytest.raises(DataError, match="in->rec is missing or has another size"):
        trainer.set_position({**trainer.position(), "averaged": 1}, {"in->rec": np.zeros(3)})


def test_a_part_is_between_nothing_and_all():
    with pytest.raises(ParameterError, match="average"):
        Training(average=1.5)
