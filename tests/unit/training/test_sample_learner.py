"""Learning from samples, with real simulators of a few neurons."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import digits
from eprop.data import BinnedDataset, Splits
from eprop.errors import DataError, DivergenceError, InstabilityWarning, ParameterError
from eprop.training import Stage, evaluate
from eprop.training.epoch_order import shuffled
from refusals import Refusal, refusals
from small_learner import RULES, learner, resumed, run, stopped, weights

pytestmark = pytest.mark.tiny
NOTHING = digits.recordings(4).subset(slice(0, 0))


def recorder(dataset: BinnedDataset, asked: list[int]) -> BinnedDataset:
    """Samples that note which of them were asked for."""

    class Recorder(BinnedDataset):
        def subset(self, indices: Any, name: str | None = None) -> BinnedDataset:
            asked.extend(int(i) for i in indices)
            return super().subset(indices, name)

    return Recorder(**vars(dataset))


def no_check() -> None:
    """Nobody asks to stop."""


@pytest.mark.parametrize("rule", RULES)
def test_every_sample_is_learned_once_an_epoch_in_a_new_order(rule: str) -> None:
    asked: list[int] = []
    trained, _ = run(learner(rule, train=recorder(digits.recordings(10), asked)))
    first, second = asked[-20:-10], asked[-10:]  # those before check the samples
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert first == shuffled(1, 0, 10).tolist()
    assert trained.done == trained.total == 20


@pytest.mark.parametrize("rule", RULES)
def test_reports_add_up(rule: str) -> None:
    learns = learner(rule, validation=digits.recordings(6, seed=1), validations=2)
    _, log = run(learns)
    assert [line["samples"] for line in log.lines] == [4, 8, 10, 14, 18, 20]
    assert [line["epoch"] for line in log.lines] == [1, 1, 1, 2, 2, 2]
    factors = [1 - 0.99 * done / 20 for done in (4, 8, 10, 14, 18, 20)]
    np.testing.assert_allclose([line["eta_factor"] for line in log.lines], factors)
    assert log.validated == [10, 20]
    assert all((line["error"] is None) == (rule == "eprop+") for line in log.lines)
    assert log.seen[-1].done == log.seen[-1].total == 20
    assert learns.validation_error == log.lines[-1]["validation_error"]
    assert learns.events > 0


@pytest.mark.parametrize("rule", RULES)
def test_a_resumed_training_has_the_bits_and_the_rates_of_an_uninterrupted_one(rule: str) -> None:
    whole, log = run(learner(rule, reports=1))
    network, (line,) = whole.simulator.network, log.lines
    assert line["rate_sd_rec"] > 0.0 < line["rate_rec"]
    if rule == "eprop":
        neuron_seconds = 1e-3 * 20 * network.dt * network.population("rec").size
        assert line["rate_rec"] == pytest.approx(line["spikes_per_sample"] / neuron_seconds)
    first = stopped(learner(rule, reports=1), at=12)
    assert 12 <= first.done < 20
    second, other = resumed(learner(rule, reports=1), first)
    assert weights(second).tobytes() == weights(whole).tobytes()
    assert second.learner.events == whole.learner.events
    assert [other.lines[-1][name] for name in ("samples", "rate_rec", "rate_sd_rec")] == [
        line[name] for name in ("samples", "rate_rec", "rate_sd_rec")
    ]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("reports", [1, 3, 7, 200])
def test_number_of_reports_does_not_move_validations(rule: str, reports: int) -> None:
    options = {"batch_size": 1, "reports": reports, "validations": 5}
    _, log = run(learner(rule, validation=digits.recordings(2, seed=1), **options))
    assert log.validated == [4, 8, 12, 16, 20]
    places = {-(-20 * k // reports) for k in range(1, reports + 1)}  # of reports: the first batch that ends there
    assert [line["samples"] for line in log.lines] == sorted(places | {4, 8, 12, 16, 20})


@pytest.mark.parametrize(
    ("given", "validated"),
    [
        ({"validations": 3}, [8, 14, 20]),
        ({"validations": 7}, [4, 6, 10, 12, 16, 18, 20]),
        ({"validation_interval": 7}, [8, 14, 20]),
        ({"validation_interval": 9}, [10, 18, 20]),
    ],
)
def test_a_validation_waits_for_the_batch_to_end(given: dict[str, int], validated: list[int]) -> None:
    _, log = run(learner(validation=digits.recordings(2, seed=1), batch_size=2, reports=4, **given))
    assert log.validated == validated


@pytest.mark.parametrize("rule", RULES)
def test_length_of_calls_does_not_change_weights(rule: str) -> None:
    whole, chunks = learner(rule), learner(rule)
    whole._chunk = 100
    run(whole)
    while not chunks.finished:
        chunks._chunk = 1
        chunks.step(no_check)
    assert weights(chunks).tobytes() == weights(whole).tobytes()


def test_a_diverging_training_stops_with_advice() -> None:
    task = {"optimizer": "gradient_descent", "eta": 1e300, "eta_out": 1e300}
    with (
        pytest.raises(DivergenceError, match=r"after \d+ samples, .*Lower the learning rate"),
        np.errstate(all="ignore"),
    ):
        run(learner(**task))


def test_an_unstable_training_warns_once() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        task = {"optimizer": "gradient_descent", "eta": 0.0, "eta_out": 1e3}
        run(learner(epochs=60, schedule="constant", **task))
    unstable = [str(w.message) for w in caught if w.category is InstabilityWarning]
    assert len(unstable) == 1, unstable
    assert "times that of readouts that do nothing" in unstable[0]
    assert "with a third of eta" in unstable[0]


@refusals(
    (lambda: learner(train=NOTHING), DataError, "there is no sample to learn from"),
    (lambda: evaluate(learner().scoring, learner().simulator, NOTHING), DataError, "there is no sample to evaluate"),
    (lambda: learner().set_state({**learner().state(), "done": 99}), DataError, "is at sample 99, but has only 20 now"),
    (lambda: learner(patience=1), ParameterError, "^patience needs validation samples"),
    (lambda: learner(keep_best=True), ParameterError, "^keep_best needs validation samples"),
    (lambda: learner(validation_interval=5), ParameterError, "^validation_interval needs validation samples"),
)
def test_what_cannot_be_learned_is_refused(refusal: Refusal) -> None:
    refusal.check()


# ---------------------------------------------------------------- new samples for later epochs


class Fresh:
    """Makes other samples in each epoch, and notes the stages."""

    def __init__(self, fresh_epochs: bool = True, fewer: int = 0):
        self.stages: list[Stage] = []
        self.fresh_epochs, self.fewer = fresh_epochs, fewer

    def __call__(self, stage: Stage) -> Splits:
        self.stages.append(stage)
        made = digits.recordings(10 - self.fewer * stage.epoch, seed=stage.epoch)
        return Splits(made, None, digits.recordings(2))


def test_samples_are_made_once_for_each_epoch_also_after_a_stop() -> None:
    source, again = Fresh(), Fresh()
    whole, _ = run(learner(train=source, epochs=3))
    assert [(stage.epoch, stage.done, stage.threads) for stage in source.stages] == [
        (0, 0, 1),
        (1, 1 / 3, 1),
        (2, 2 / 3, 1),
    ]
    assert len(whole.learner.test) == 2
    second, _ = resumed(learner(train=again, epochs=3), stopped(learner(train=Fresh(), epochs=3), at=14))
    assert [stage.epoch for stage in again.stages] == [0, 1, 2]
    np.testing.assert_array_equal(weights(whole), weights(second))
    constant = Fresh(fresh_epochs=False)
    plain, _ = run(learner(train=constant, epochs=3))
    assert len(constant.stages) == 1
    assert weights(plain).tobytes() == weights(run(learner(epochs=3))[0]).tobytes() != weights(whole).tobytes()


def test_a_plain_function_is_called_in_each_epoch() -> None:
    epochs: list[int] = []

    def load(stage: Stage) -> BinnedDataset:
        epochs.append(stage.epoch)
        return digits.recordings(10)

    read, _ = run(learner(train=load, epochs=3))
    assert epochs == [0, 1, 2]
    assert weights(read).tobytes() == weights(run(learner(epochs=3))[0]).tobytes()


def test_a_function_gives_the_bits_of_its_samples() -> None:
    """Epochs one by one, each with its samples, at a constant learning rate that no epoch resets."""
    made, settings = Fresh(), {"schedule": "constant", "optimizer": "gradient_descent", "batch_size": 10}
    whole, _ = run(learner(train=made, epochs=3, **settings))
    plain = learner(epochs=3, **settings)
    for epoch in range(3):
        samples = plain.scoring.samples(digits.recordings(10, seed=epoch).subset(shuffled(1, epoch, 10)))
        plain.simulator.train(samples)
    assert weights(plain).tobytes() == weights(whole).tobytes()


def test_epochs_have_equally_many_samples() -> None:
    with pytest.raises(DataError, match="training samples of epoch 2 are 9, those before were 10"):
        run(learner(train=Fresh(fewer=1)))


def test_synapses_move_in_three_quarters_of_a_training() -> None:
    moving = {"rewiring": "random", "rewiring_every": 1, "input_probability": 0.02}
    trained, log = run(learner(epochs=4, **moving))
    moved = [line["moved_in->rec"] for line in log.lines]
    # 12 mini-batches, of which 8 move some: the share of the ninth is 0.
    ages = trained.simulator.moved("in->rec").ages
    assert moved == sorted(moved)
    assert moved[0] > 0
    assert set(ages[ages < 12]) <= set(range(4, 12))
    assert log.lines[-1]["turnover_in->rec"] == np.mean(ages < 12)
    summary = trained.learner.summary()
    assert summary["rewiring"]["in->rec"]["moved"] == moved[-1]
    assert summary["rewiring"]["in->rec"]["mean_age"] == np.mean(ages)
    halted = stopped(learner(epochs=4, **moving), at=14)
    again, _ = resumed(learner(epochs=4, **moving), halted)
    for name, value in trained.simulator.state().items():
        np.testing.assert_array_equal(again.simulator.state()[name], value, err_msg=name)
