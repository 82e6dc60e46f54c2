"""Samples that are made from a seed: new ones in each epoch, harder ones during the training, the same test for all seeds."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from eprop.data.generated import Draw, Generated, GeneratedSamples, Sample
from eprop.errors import InputError, ParameterError
from eprop.training import Experiment, SampleLearner, Stage, Trainer, Watcher
from refusals import Refusal, refusals

pytestmark = pytest.mark.tiny


def drawn(rng: np.random.Generator, rate: float = 0.3) -> Sample:
    return Sample(rng.random((20, 6)) < rate, int(rng.integers(3)))


def staged(done: float) -> Draw:
    return lambda rng: drawn(rng, 0.1 + done)


SOURCE = Generated(drawn, samples=8, test_samples=5, validation=3)


def bits(samples: GeneratedSamples) -> list[bytes]:
    return [sample.inputs.tobytes() for sample in samples.drawn()]


def test_each_part_and_epoch_has_samples_of_its_own() -> None:
    first, second = SOURCE(Stage(0)), SOURCE(Stage(1))
    parts = (first.train, second.train, first.test, first.validation, SOURCE.fresh(4))
    every = [sample for part in parts for sample in bits(part)]
    assert len(set(every)) == len(every) == 8 + 8 + 5 + 3 + 4
    assert bits(first.test) == bits(second.test)
    assert bits(first.train)[2:4] == bits(first.train[2:4]) == bits(first.train.subset([2, 3]))
    assert SOURCE(Stage()).describe()["train"] == "generated, new samples in every epoch (8 samples)"
    assert Generated(drawn)(Stage()).validation is None


def test_a_seed_changes_the_training_and_the_seed_of_data_everything() -> None:
    found = []
    for source in (SOURCE, Generated(drawn, 8, 5, 3, seed=1), Generated(drawn, 8, 5, 3, data_seed=1)):
        parts = source(Stage())
        found.append([bits(part) for part in (parts.train, parts.validation, parts.test)])
    same = [[a == b for a, b in zip(found[0], other, strict=True)] for other in found[1:]]
    assert same == [[False, True, True], [False, False, False]]


def test_training_samples_become_harder_and_the_test_does_not() -> None:
    parts = Generated(drawn, 8, 5, 3, staged=staged)(Stage())
    easy, hard = (np.mean([sample.inputs for sample in parts.train.at(done).drawn()]) for done in (0.0, 0.8))
    assert (easy, hard) == (pytest.approx(0.1, abs=0.05), pytest.approx(0.9, abs=0.05))
    assert bits(parts.test.at(0.8)) == bits(parts.test) == bits(SOURCE(Stage()).test)


def learner(threads: int = 1, source: Generated | None = None) -> SampleLearner:
    source = source or Generated(drawn, 8, 5, 3, staged=staged)
    made = Experiment(ep.recurrent(6, 5, 3), source, epochs=3, batch_size=4)
    return SampleLearner(made, ep.Simulator(made.network, threads=threads))


def test_each_mini_batch_has_the_samples_of_its_time_also_after_a_stop() -> None:
    asked: list[float] = []

    def noted(done: float) -> Draw:
        asked.append(done)
        return staged(done)

    whole, again, resumed, plain = learner(), learner(3), learner(), learner(source=SOURCE)
    for one in (whole, again, plain):
        Trainer(one, watcher=Watcher()).run()
    first = learner()
    Trainer(first, watcher=Watcher(), callbacks=[lambda trainer, _: trainer.done >= 12]).run()
    resumed.simulator.set_state(first.simulator.state())
    resumed.set_state(first.state())
    Trainer(resumed, watcher=Watcher()).run()
    weights = [one.simulator.state()["synapses/weight"].tobytes() for one in (whole, again, resumed, plain)]
    assert weights[0] == weights[1] == weights[2] != weights[3]
    noting = learner(source=Generated(drawn, 8, 5, 3, staged=noted))
    asked.clear()
    Trainer(noting, watcher=Watcher()).run()
    assert asked == [k / 6 for k in range(6)]


LENGTHS = iter([2, 3])


def narrow(rng: np.random.Generator) -> Sample:
    return Sample(rng.random((20, 7)) < 0.3, 0)


def of(sample: object, n: int = 1) -> GeneratedSamples:
    return GeneratedSamples(lambda rng: sample() if callable(sample) else sample, (0,), np.arange(n))  # type: ignore[return-value]


@refusals(
    (lambda: Generated(drawn, samples=0), ParameterError, "^samples must be a whole number >= 1, got 0$"),
    (lambda: Generated(drawn, test_samples=0), ParameterError, "^test_samples must be"),
    (lambda: Generated(drawn, validation=-1), ParameterError, "^validation must be a whole number >= 0"),
    (lambda: SOURCE.fresh(0), ParameterError, "^the number of fresh samples must be"),
    (lambda: Generated(drawn, 1, one_sample=True, name="mine").fresh(2), ParameterError, "^the task 'mine' has one sample"),
    (lambda: of((np.zeros((2, 2)), 0)).drawn(), InputError, r"^draw must return a Sample\(inputs, target\), got tuple$"),
    (lambda: of(Sample(np.zeros(2, bool), 0)).drawn(), InputError, r"^draw must return inputs of shape \(n_steps, inputs\)"),
    (lambda: of(lambda: Sample(np.zeros((next(LENGTHS), 2), bool), 0), 2).drawn(), InputError, "the same shapes in all samples"),
    (lambda: learner(source=Generated(narrow)), InputError, "^drawn samples, window and network must fit each other"),
)  # fmt: skip
def test_wrong_samples_are_refused(refusal: Refusal) -> None:
    refusal.check()
