"""The delayed cue: its samples, the delay that grows, and which constants learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import eprop as ep
from eprop.errors import EPropError
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
    draw = delayed_cue(delay=500.0, background_rate=0.0, cue_rate=100.0).train.draw
    samples = [draw(np.random.default_rng(k)) for k in range(40)]
    assert {int(sample.target) for sample in samples} == {0, 1, 2, 3}
    for inputs, which in samples:
        by_group = inputs.reshape(70, 6, 10).all(axis=2)
        assert by_group[:10, which].all()
        assert by_group[-10:, 4].all()
        assert by_group.sum() == 20


@pytest.mark.parametrize(
    ("given", "constants"),
    [
        ({}, ["rec.tau_adapt"]),
        ({"learn": "none"}, []),
        ({"rule": "eprop+"}, []),
        ({"learn": "taus"}, ["out.tau_m", "rec.tau_adapt", "rec.tau_m"]),
        ({"learn": "all"}, ["out.tau_m", "rec.beta", "rec.i_e", "rec.tau_adapt", "rec.tau_m", "rec.v_th"]),
    ],
)
def test_constants_learn_as_asked(given: dict[str, Any], constants: list[str]) -> None:
    net = delayed_cue(**given).network
    assert sorted(f"{p.name}.{name}" for p in net.populations for name in learned_of(p.model)) == constants


def test_first_values_are_drawn_evenly_by_their_logarithm() -> None:
    net = delayed_cue(neurons=1000, spread=5.0).network
    drawn = ep.Simulator(net, threads=1).parameters("rec")["tau_adapt"]
    assert 40.0 <= drawn.min() < 45.0
    assert 950.0 < drawn.max() <= 1000.0
    assert np.median(drawn) == pytest.approx(200.0, rel=0.1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learn": "beta"}, 'learn must be "none", "tau_adapt", "taus" or "all"'),
        ({"rule": "eprop+", "learn": "taus"}, "only e-prop learns constants"),
        ({"tau_adapt": 6000.0}, "tau_adapt must lie in 10..5000 ms to learn, got 6000 ms"),
        ({"spread": 0.5}, "spread must be >= 1, got 0.5"),
        ({"delay": 15.0}, "delay must be a multiple of dt = 10 ms, got 15 ms"),
        ({"neurons": -1, "spread": 2.0}, "neurons must be a whole number >= 1, got -1"),
    ],
)
def test_wrong_values_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(EPropError, match=message):
        delayed_cue(**values)


@pytest.mark.parametrize("learn", ["none", "tau_adapt"])
def test_a_network_whose_time_constants_learn_remembers(learn: Any) -> None:
    """With the same first values, in the single precision of the task."""
    experiment = delayed_cue(delay=1000.0, learn=learn, samples=32 * 20, test_samples=400, epochs=10)
    error = ep.fit(experiment, threads=1).summary["test_error"]
    assert error > 0.5 if learn == "none" else error < 0.05
