"""Recordings of digits as trials: real N-MNIST, or digits shown to a simulated camera."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from eprop.data import BinnedDataset, EventCamera, Loader, load, load_test
from eprop.data.cache import describe_bytes
from eprop.errors import DataError, ParameterError
from eprop.parameters import param
from eprop.tasks.trials import DataChoice, Parts, Progress

#: Held out by default: this many of the training samples, but at most a twentieth (a ninth of the embedded digits).
VALIDATION = 1000
VALIDATION_EMBEDDED = 500
#: How much more than N-MNIST's the recordings to learn from differ: of a digit that never stands twice the same a small
#: network learns more. Chosen by the error on validation digits, which the camera shows as it is.
WARP, SHIFT = 0.07, 0.3


@dataclass(frozen=True)
class Recordings(DataChoice):
    """Which recordings to learn from, and which to be judged by."""

    data: str | None = param(None, kind=str, optional=True, doc="real recordings to learn from: N-MNIST folder or zip")
    mnist: str | None = param(None, kind=str, optional=True, doc="folder with MNIST's idx files, to be simulated")
    range: str | None = param(None, kind=str, optional=True, doc='digits to learn from, by MNIST index, "start:stop"')
    test_data: tuple[str, ...] = param((), kind=(tuple, list), doc="recordings or MNIST folders to be judged by")
    samples: int | None = param(None, kind=int, at_least=1, optional=True, doc="most samples to learn from")
    test_samples: int | None = param(None, kind=int, at_least=1, optional=True, doc="most samples to test")
    validation: int | None = param(
        None, kind=int, at_least=0, optional=True, doc="validation samples: never learned from, to watch the learning"
    )
    seed: int = param(0, kind=int, at_least=0, doc="seed of the simulated camera and of splits")
    fresh: bool = param(True, kind=bool, doc="simulated digits: record them anew for every epoch")
    warp: float = param(
        WARP, at_least=0.0, at_most=0.5, doc="simulated digits to learn from: sd of a linear map of each"
    )
    elastic: float = param(
        0.0, unit="px", at_least=0.0, at_most=3.0, doc="simulated digits to learn from: sd of smooth displacements"
    )
    elastic_spacing: int = param(
        EventCamera.elastic_spacing, kind=int, unit="px", at_least=3, at_most=14,
        doc="pixels between the nodes of these displacements, which are finer if it is small",
    )  # fmt: skip
    shift: float = param(
        SHIFT, unit="px", at_least=0.0, at_most=2.0, doc="simulated digits to learn from: sd of the place of each"
    )
    deskew: bool = param(
        False, kind=bool, doc="shear and move all recordings, so that digits stand upright in the middle"
    )

    def validate(self) -> None:
        """One source of training data; a range that reads; names as text."""
        if self.data is not None and self.mnist is not None:
            raise ParameterError("give either data (real recordings) or mnist (digits to simulate), not both")
        if any(not isinstance(path, str) for path in self.test_data):
            raise ParameterError(f"Recordings.test_data must be a list of paths, got {self.test_data!r}")
        object.__setattr__(self, "test_data", tuple(self.test_data))
        if self.range is not None and self.data is None and self.mnist is None:
            raise ParameterError("a range needs data or mnist; the embedded digits are sorted by class")
        self.span  # noqa: B018 - raises if it does not read

    @property
    def embedded(self) -> bool:
        """Whether the digits that come with a package are learned."""
        return self.data is None and self.mnist is None

    @property
    def fresh_epochs(self) -> bool:
        """Simulated digits are recorded anew; what a real camera saw stays as it is."""
        return self.fresh and self.data is None

    @property
    def span(self) -> tuple[int, int] | None:
        """``range`` as two numbers."""
        return None if self.range is None else parse_range(self.range)

    def absolute(self) -> Recordings:
        """The same with absolute paths."""
        whole = {name: _absolute(path) for name in ("data", "mnist") if (path := getattr(self, name)) is not None}
        changed: Recordings = self.replace(test_data=tuple(map(_absolute, self.test_data)), **whole)
        return changed

    def load(self, task: Any, *, threads: int = 1, progress: Progress | None = None, epoch: int = 0) -> Parts:
        """Training, validation and test data; in a later ``epoch`` with other recordings of simulated digits."""
        for path in (self.data, self.mnist, *self.test_data):
            if path is not None and not os.path.exists(path):  # before an hour is spent on the other parts
                raise DataError(f"{path}: no such folder or zip archive")
        splits = load(
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
        train, test = _at_most(train, self.samples, self.seed), _at_most(test, self.test_samples, self.seed)
        return Parts(train, splits.validation, test)

    def load_test(
        self, task: Any, paths: Sequence[Any], *, threads: int = 1, progress: Progress | None = None
    ) -> BinnedDataset:
        """Recordings, or the test digits of folders of MNIST files, simulated as by default."""
        return load_test(list(paths), loader=self._loader(task, Recordings().seed, threads, progress))

    def fingerprint(self, task: Any, trials: Any) -> str:
        """Checksum of labels and numbers of events."""
        return describe_bytes(trials.labels, trials.counts)

    def pack(self, trials: Any) -> dict[str, np.ndarray]:
        """Offsets, channels and labels."""
        kept = trials.compact()
        return {"ptr": kept.ptr, "channels": kept.channels, "labels": kept.labels}

    def unpack(self, task: Any, arrays: Mapping[str, np.ndarray]) -> BinnedDataset:
        """Recordings again."""
        sources = [p for p in task.build_network().populations if p.model.role == "source"]
        channels = next((p for p in sources if p.name == "in"), sources[0]).size
        if not {"ptr", "channels", "labels"} <= arrays.keys():
            raise DataError("the trial that was kept is not one of recordings")
        kept = BinnedDataset(arrays["ptr"], arrays["channels"], arrays["labels"], channels, getattr(task, "dt", 1.0))
        kept.validate()
        return kept

    def _varied(self) -> EventCamera:
        """The camera for digits to learn from."""
        jitter = math.hypot(EventCamera.jitter, self.shift)
        return EventCamera(warp=self.warp, elastic=self.elastic, elastic_spacing=self.elastic_spacing, jitter=jitter)

    def _loader(self, task: Any, seed: int, threads: int, progress: Progress | None, epoch: int = 0) -> Loader:
        n_steps, dt = getattr(task, "n_steps", 300), getattr(task, "dt", 1.0)
        return Loader(
            seed=seed, n_steps=n_steps, dt=dt, threads=threads, progress=progress, epoch=epoch, deskew=self.deskew
        )

    def _needed_span(self) -> tuple[int, int] | None:
        """The range; cut to what ``samples`` asks for, where digits come in a random order and are to be simulated."""
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
        If it does not read, or is empty.
    """
    match = re.fullmatch(r"\s*(\d+)\s*:\s*(\d+)\s*", text)
    if match is None:
        raise ParameterError(f'range must be "start:stop" such as "1000:60000", got {text!r}')
    start, stop = int(match[1]), int(match[2])
    if start >= stop:
        raise ParameterError(f"range must have start < stop, got {text!r}")
    return start, stop


def _at_most(data: BinnedDataset, count: int | None, seed: int) -> BinnedDataset:
    """A random choice of ``count`` samples with equal shares of the classes, or all."""
    if count is None or count >= len(data):
        return data
    return data.split((count,), seed=seed)[0]


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))
