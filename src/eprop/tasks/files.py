"""What tasks with recordings share: which files and how many samples of them are for training, validation and test."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self, TypedDict

from annotated_doc import Doc

from eprop.data import BinnedDataset, Splits
from eprop.data.splits import at_most
from eprop.errors import DataError
from eprop.parameters import Description, param
from eprop.tasks.settings import DATA
from eprop.training import Stage


class FileSettings(TypedDict, total=False):
    """Settings of `FileSamples` that a task takes."""

    data: Annotated[pathlib.Path | None, Doc("real recordings for training: a folder or an archive"), DATA]
    test_data: Annotated[tuple[pathlib.Path, ...], Doc("recordings for the test"), DATA]
    samples: Annotated[int | None, Doc("largest number of training samples"), DATA]
    test_samples: Annotated[int | None, Doc("largest number of test samples"), DATA]
    validation: Annotated[int | None, Doc("validation samples, of the training samples; never learned from"), DATA]


@dataclass(frozen=True, kw_only=True)
class FileSamples(Description):
    """Base of sources of recordings: called with a `Stage`, it returns `Splits`."""

    data: pathlib.Path | None = None
    test_data: tuple[pathlib.Path, ...] = ()
    samples: int | None = param(None, kind=int, at_least=1, optional=True, doc="most training samples")
    test_samples: int | None = param(None, kind=int, at_least=1, optional=True, doc="most test samples")
    validation: int | None = param(None, kind=int, at_least=0, optional=True, doc="validation samples")
    n_steps: int = param(100, kind=int, at_least=1, doc="time steps of a sample")
    dt: float = param(1.0, unit="ms", above=0.0, doc="length of a step")

    @classmethod
    def of(cls, settings: Mapping[str, Any], **more: Any) -> Self:
        """The source that the settings of a task describe, and ``more``."""
        names = [each.name for each in dataclasses.fields(cls)]
        return cls(**{**more, **{name: settings[name] for name in names if settings.get(name) is not None}})

    @property
    def paths(self) -> tuple[pathlib.Path | None, ...]:
        """What must exist."""
        return self.data, *self.test_data

    @abstractmethod
    def read(self, stage: Stage) -> Splits:
        """All samples."""

    @abstractmethod
    def read_paths(self, stage: Stage) -> BinnedDataset:
        """All recordings of ``test_data``."""

    def __call__(self, stage: Stage) -> Splits:
        """Training, validation and test samples.

        Raises
        ------
        DataError
            If data are missing, damaged, or too few.
        """
        for path in self.paths:
            if path is not None and not os.path.exists(path):  # raise before spending time on the other parts
                raise DataError(f"{path}: no such folder or archive")
        found = self.read(stage)
        return Splits(
            at_most(found.train, self.samples, 0), found.validation, at_most(found.test, self.test_samples, 0)
        )

    def read_test(self, stage: Stage) -> BinnedDataset:
        """The test samples; those of ``test_data`` without reading what was learned from."""
        return at_most(self.read_paths(stage), self.test_samples, 0) if self.test_data else self(stage).test
