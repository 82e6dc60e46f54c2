"""Other recordings of the same digits in later epochs."""

from __future__ import annotations

import numpy as np
import pytest

import digits
import eprop as ep
from eprop.data import Digits, Loader
from eprop.tasks import NMNIST
from eprop.training import Trainer, Training

pytestmark = pytest.mark.tiny


def trainer(renew=None, epochs: int = 3) -> Trainer:
    task = NMNIST(neurons=4, n_steps=20, w_in=0.2, w_out=0.1)
    simulator = ep.Simulator(task.build_network(), threads=1, precision="single")
    return Trainer(task, simulator, digits.recordings(8), Training(epochs=epochs, batch_size=4), renew=renew)


def test_trials_are_renewed_once_for_each_later_epoch() -> None:
    asked: list[int] = []

    def renew(epoch: int):
        asked.append(epoch)
        return digits.recordings(8)

    trainer(renew).run()
    assert asked == [1, 2]


def test_renewed_trials_are_learned_from() -> None:
    other = digits.recordings(8).shuffled(3)
    plain, renewed = trainer(), trainer(lambda epoch: other)
    plain.run()
    renewed.run()
    weights = [t.simulator.state()["synapses/weight"] for t in (plain, renewed)]
    assert not np.array_equal(*weights)


def test_going_on_in_a_later_epoch_takes_its_trials() -> None:
    asked: list[int] = []

    def renew(epoch: int):
        asked.append(epoch)
        return digits.recordings(8).shuffled(epoch)

    whole = trainer(renew)
    whole.run()
    first = trainer(renew, epochs=3)
    while first.done < 12:  # in the midst of the second epoch
        first._learn_some()
    second = trainer(renew)
    second.simulator.set_state(first.simulator.state())
    second.set_position(first.position())
    asked.clear()
    second.run()
    assert asked == [1, 2]
    np.testing.assert_array_equal(*(t.simulator.state()["synapses/weight"] for t in (whole, second)))


def test_a_later_epoch_records_the_same_digits_anew() -> None:
    images = np.zeros((3, 28, 28), np.uint8)
    images[:, 8:20, 8:20] = 255
    chosen = Digits(images, np.arange(3, dtype=np.int32), np.arange(3), "squares")
    made = [Loader(cache=False, epoch=epoch).simulate(chosen, learned=True) for epoch in (0, 1, 1)]
    np.testing.assert_array_equal(made[0].labels, made[1].labels)
    assert not np.array_equal(made[0].channels, made[1].channels)
    np.testing.assert_array_equal(made[1].channels, made[2].channels)
