"""Samples that are made from a seed: one function draws a sample, whenever it is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from eprop.data.splits import Splits
from eprop.errors import InputError, ParameterError
from eprop.parameters import check_count

#: Purposes of generated samples; each purpose has its own stream of random numbers.
TRAIN, VALIDATION, TEST, FRESH = range(4)


class Sample(NamedTuple):
    """One sample.

    Attributes
    ----------
    inputs : ndarray of bool, shape (n_steps, inputs)
        Spikes of the inputs.
    target : int, or ndarray of shape (n_steps, readouts)
        The class, or the targets of the readouts, mV.
    """

    inputs: np.ndarray
    target: int | np.ndarray


#: A function that draws a sample; it depends on the generator only.
Draw: TypeAlias = Callable[[np.random.Generator], Sample]


@dataclass(frozen=True, eq=False)
class GeneratedSamples:
    """Samples that are drawn on demand: sample ``i`` is a function of ``seed`` and ``numbers[i]``.

    Attributes
    ----------
    draw : callable of (numpy.random.Generator) that returns Sample
    seed : tuple of int
    numbers : ndarray of int64, shape (n,)
    name : str
    staged : callable of (float) that returns a ``draw``, optional
        Gives another ``draw`` after a fraction (0 to 1) of the training; see `at`.
    """

    draw: Draw
    seed: tuple[int, ...]
    numbers: np.ndarray = field(repr=False)
    name: str = "generated"
    staged: Callable[[float], Draw] | None = None
    simulated: bool | None = None

    def __len__(self) -> int:
        return int(self.numbers.size)

    def __getitem__(self, which: Any) -> GeneratedSamples:
        """As `subset`: ``dataset[:4]``."""
        return self.subset(which)

    def subset(self, indices: Any) -> GeneratedSamples:
        """The samples at ``indices`` (whole numbers, a slice or a mask), in that order."""
        return replace(self, numbers=np.atleast_1d(self.numbers[indices]))

    def at(self, done: float) -> GeneratedSamples:
        """The samples as they are after the fraction ``done`` of a training."""
        return self if self.staged is None else replace(self, draw=self.staged(done))

    def drawn(self) -> list[Sample]:
        """Draw the samples.

        Raises
        ------
        InputError
            If ``draw`` does not return samples of one shape.
        """
        out = [self.draw(np.random.default_rng([*self.seed, int(number)])) for number in self.numbers]
        for sample in out:
            if not isinstance(sample, Sample):
                raise InputError(f"draw must return a Sample(inputs, target), got {type(sample).__name__}")
        shapes = {(np.shape(sample.inputs), np.shape(sample.target)) for sample in out}
        if len(shapes) > 1 or any(len(inputs) != 2 for inputs, _ in shapes):
            listed = ", ".join(f"inputs {inputs} with target {target}" for inputs, target in sorted(shapes)[:2])
            raise InputError(
                f"draw must return inputs of shape (n_steps, inputs), and the same shapes in all samples; got {listed}"
            )
        return out


@dataclass(frozen=True, eq=False)
class Generated:
    """Samples for a training that are made from a seed: new training samples in every epoch, the same test for all seeds.

    Attributes
    ----------
    draw : callable of (numpy.random.Generator) that returns Sample
        Draws a sample. The inputs go to the population ``in``, or to the only source; a class is the label, an array the targets
        of the readouts ``out``, or of the only ones.
    samples, test_samples, validation : int
        Training samples per epoch, test samples, validation samples.
    seed : int
        Seed of the training samples.
    data_seed : int
        Seed of all samples.
    name : str
    one_sample : bool
        Whether there is only one sample, for training and test.
    staged : callable of (float) that returns a ``draw``, optional
        For training samples that become harder: the ``draw`` for a mini-batch that begins after a fraction (0 to 1) of the
        training. Validation and test have the plain ``draw``.
    """

    draw: Draw
    samples: int = 320
    test_samples: int = 512
    validation: int = 0
    seed: int = 0
    data_seed: int = 0
    name: str = "generated"
    one_sample: bool = False
    staged: Callable[[float], Draw] | None = None

    def __post_init__(self) -> None:
        check_count("samples", self.samples)
        check_count("test_samples", self.test_samples)
        check_count("validation", self.validation, at_least=0)

    def __call__(self, stage: Any) -> Splits:
        """Training, validation and test samples; other training samples in each ``stage.epoch``."""
        first, names = stage.epoch * self.samples, ("new samples in every epoch", "samples of its own")
        learned, tested = ("the one sample", "the same sample") if self.one_sample else names
        train = self._part(np.arange(first, first + self.samples), learned, TRAIN, self.seed)
        return Splits(
            replace(train, staged=self.staged),
            self._part(np.arange(self.validation), "validation part", VALIDATION) if self.validation else None,
            self._part(np.arange(self.test_samples), tested, TEST),
        )

    def fresh(self, count: int) -> GeneratedSamples:
        """``count`` samples that no training, validation or test uses.

        Raises
        ------
        ParameterError
            If there is only one sample, or ``count`` is below 1.
        """
        if self.one_sample:
            raise ParameterError(f"the task {self.name!r} has one sample: there are no fresh ones")
        check_count("the number of fresh samples", count)
        return self._part(np.arange(count), "fresh samples", FRESH)

    def _part(self, numbers: np.ndarray, what: str, *stream: int) -> GeneratedSamples:
        return GeneratedSamples(self.draw, (self.data_seed, *stream), numbers, f"{self.name}, {what}")
