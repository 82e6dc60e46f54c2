"""The delayed cue: its samples, the delay that grows, and the time constant that learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import eprop as ep
from eprop.models.learned import learned_of
from eprop.tasks import delayed_cue
from eprop.training import Stage
from eprop.training.scoring import scoring_of

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]


def steps_at(done: float, **given: Any) -> int:
    experiment = delayed_cue(samples=2, **given)
    train = experiment.splits(Stage()).train
    samples = scoring_of(experiment, train).samples(train, done)
    assert samples.window.sum() == 10 * samples.window.shape[0]  # the go signal, wherever it is
    return int(samples.n_steps)


@pytest.mark.parametrize(("done", "delay"), [(0.0, 200.0), (1 / 3, 1600.0), (2 / 3, 3000.0), (1.0, 3000.0)])
def test_the_delay_grows_during_two_thirds_of_the_training(done: float, delay: float) -> None:
    assert steps_at(done) == round(delay / 10.0) + 20
    assert steps_at(done, grow=False) == 320
    assert steps_at(done, delay=100.0) == 30


def test_a_sample_shows_a_cue_and_after_the_delay_the_go_signal() -> None:
    draw = delayed_cue(delay=500.0).train.draw
    samples = [draw(np.random.default_rng(k)) for k in range(40)]
    assert {int(sample.target) for sample in samples} == {0, 1, 2, 3}
    for inputs, which in samples:  # inputs that are on spike in each step
        by_group = inputs.reshape(70, 6, 10).all(axis=2)
        assert by_group[:10, which].all()
        assert by_group[-10:, 4].all()
        assert by_group.sum() == 20


@pytest.mark.parametrize(
    ("given", "constants"), [({}, ["tau_adapt"]), ({"learn": "none"}, []), ({"rule": "eprop+"}, [])]
)
def test_the_constant_learns_as_asked(given: dict[str, Any], constants: list[str]) -> None:
    assert [name for p in delayed_cue(**given).network.populations for name in learned_of(p.model)] == constants


@pytest.mark.parametrize("learn", ["none", "tau_adapt"])
def test_a_network_whose_time_constants_learn_remembers(learn: Any) -> None:
    """With the same first values, in the single precision of the task."""
    experiment = delayed_cue(delay=1000.0, learn=learn, samples=32 * 20, test_samples=400, epochs=10)
    error = ep.fit(experiment, threads=1).summary["test_error"]
    assert error > 0.5 if learn == "none" else error < 0.05
