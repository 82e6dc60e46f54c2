"""Tasks that learn from data of a user: one function reads them, the rest is here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from eprop.data.binned import BinnedDataset, concatenate
from eprop.data.cache import describe_bytes
from eprop.data.series import SeriesDataset
from eprop.data.splits import Splits
from eprop.engine import Samples, make_samples
from eprop.errors import DataError, InputError
from eprop.network import Network
from eprop.parameters import param, real_numbers
from eprop.tasks.base import Task
from eprop.tasks.datasets import BinnedChoice, Parted, Progress, absolute_path, at_most

#: Parts of the samples that are for the test, and of the rest for validation, if a task's data have none of their own.
TEST_PART, VALIDATION_PART = 5, 10


@dataclass(frozen=True)
class ArrayData(BinnedChoice):
    """Base of the data of a user's task: a subclass defines `read`. Splits and checksums are made here."""

    data: str | None = param(
        None, kind=str, optional=True, doc="file or folder with the data", main=True, metavar="DIR|FILE"
    )
    samples: int | None = param(
        None, kind=int, at_least=1, optional=True, doc="largest number of training samples", main=True
    )
    test_samples: int | None = param(
        None, kind=int, at_least=1, optional=True,
        doc="largest number of test samples; of data without a test part, a fifth", main=True,
    )  # fmt: skip
    validation: int | None = param(
        None, kind=int, at_least=0, optional=True,
        doc="number of validation samples; never learned from; by default a tenth of the training samples", main=True,
    )  # fmt: skip
    seed: int = param(0, kind=int, at_least=0, doc="seed of the choice of test and validation samples")

    def read(self, task: Any) -> BinnedDataset | SeriesDataset | Splits:
        """Read the samples from ``self.data``, such as with `eprop.data.from_arrays` or `eprop.data.from_series`.

        Parameters
        ----------
        task : Task
            For example its ``n_steps`` and ``dt``.

        Returns
        -------
        BinnedDataset, SeriesDataset or Splits
            All samples, of which a part at random becomes the test; or `Splits` with the training, validation (or None) and test
            samples of the data.
        """
        raise TypeError(f"{type(self).__name__} does not define read()")

    def absolute(self) -> Self:
        """The same data with an absolute path."""
        return self if self.data is None else self.replace(data=absolute_path(self.data))

    def load(self, task: Any, *, threads: int = 1, progress: Progress | None = None, epoch: int = 0) -> Splits:
        """Training, validation and test samples; see `DataChoice.load`."""
        found = self._read(task)
        if found.test is None:
            size = -(-len(found.train) // TEST_PART) if self.test_samples is None else self.test_samples
            train, test = self._parted(found.train, size, "test")
        else:
            train, test = found.train, found.test
        validation = found.validation
        if validation is None:
            train, validation = self._parted(train, self._validation(len(train)), "validation")
        limited = at_most(train, self.samples, self.seed), at_most(test, self.test_samples, self.seed)
        return Splits(limited[0], _spikes(validation) if len(validation) else None, _spikes(limited[1]))

    def load_test(
        self, task: Any, paths: Sequence[Any], *, threads: int = 1, progress: Progress | None = None
    ) -> BinnedDataset:
        """Test samples of other files: their test part if they have one, else all."""
        found = [self.replace(data=str(path))._read(task) for path in paths]
        return concatenate([_spikes(part.train if part.test is None else part.test) for part in found])

    def fingerprint(self, task: Any, dataset: Any) -> str:
        """Checksum of labels, targets, and the numbers of events of each sample and each channel."""
        spikes = _spikes(dataset)
        return describe_bytes(np.frombuffer(super().fingerprint(task, spikes).encode(), np.uint8), spikes.activity())

    def _read(self, task: Any) -> Splits:
        """The result of `read` as splits, checked."""
        if self.data is not None and not os.path.exists(self.data):
            raise DataError(f"{self.data}: no such file or folder")
        found = self.read(task)
        splits = found if isinstance(found, Splits) else Splits(found, None, None)
        parts = [part for part in (splits.train, splits.validation, splits.test) if part is not None]
        if not parts or not all(isinstance(part, (BinnedDataset, SeriesDataset)) for part in parts):
            raise DataError(
                f"{type(self).__name__}.read must return a BinnedDataset, as from_arrays makes one, or Splits of them; got "
                f"{type(found).__name__}"
            )
        return splits

    def _parted(self, data: Parted, size: int, name: str) -> tuple[Parted, Parted]:
        """The data without a random part, and this part."""
        if size >= len(data):
            raise DataError(f"cannot take {size} {name} samples of {len(data)}: nothing would be left to learn from")
        rest, part = data.split((-1, size), seed=self.seed, names=(data.name, f"{data.name}, {name} part"))
        return rest, part

    def _validation(self, n: int) -> int:
        return n // VALIDATION_PART if self.validation is None else self.validation


@dataclass(frozen=True, kw_only=True)
class ArrayTask(Task):
    """Base of tasks that learn from a `BinnedDataset`, with one source of data, an `ArrayData`.

    The inputs go to the population named ``in``, or to the only source. Labels are the classes of the only readouts; targets
    go to the readouts named ``out``, or to the only ones. A subclass defines ``data`` and `build_network`, and `window` if not
    all steps count.
    """

    data: ClassVar[Any] = ArrayData

    @property
    def window(self) -> np.ndarray | None:
        """Weight of each step in loss and score, shape ``(n_steps,)``; None: all steps count."""
        return None

    def make_samples(self, network: Network, dataset: BinnedDataset) -> Samples:
        """Samples of the data set.

        Raises
        ------
        InputError
            If samples, `window` and network do not fit each other.
        """
        return samples_of_dataset(network, dataset, self.window)


def _spikes(data: BinnedDataset | SeriesDataset) -> BinnedDataset:
    """The data set; of series, the spikes of an evaluation."""
    return data.drawn() if isinstance(data, SeriesDataset) else data


def samples_of_dataset(network: Network, dataset: BinnedDataset, window: object = None) -> Samples:
    """Samples for a network from a data set: see `ArrayTask`.

    Raises
    ------
    InputError
        If they do not fit each other.
    """
    source, readout = only(network, "source", "in"), only(network, "readout", "out")
    if dataset.n_channels > source.size:
        raise InputError(
            f"the samples have {dataset.n_channels} channels, but the network has {source.size} inputs ({source.name!r}); "
            "make an input for each channel"
        )
    if dataset.n_channels < source.size and not dataset.inferred:
        raise InputError(
            f"the samples have {dataset.n_channels} channels, but the network has {source.size} inputs ({source.name!r}); make "
            f"as many inputs, or, if the other channels are silent, give from_arrays n_channels={source.size}"
        )
    if dataset.dt != network.dt:
        raise InputError(
            f"the samples have steps of {dataset.dt:g} ms, but the network has steps of {network.dt:g} ms; give both the same dt"
        )
    aims = {"labels": dataset.labels} if dataset.targets is None else {"targets": {readout.name: dataset.targets}}
    inputs = {source.name: (dataset.ptr, dataset.channels)}
    if dataset.lengths is not None:
        window = _until_the_end(dataset, dataset.lengths, window)
    return make_samples(network, len(dataset), dataset.n_steps, inputs, window=window, **aims)


def _until_the_end(dataset: BinnedDataset, lengths: np.ndarray, window: Any) -> np.ndarray:
    """A window of each sample, (samples, steps), which ends with the sample."""
    given = np.ones(dataset.n_steps) if window is None else real_numbers("window", window, InputError)
    if given.shape not in ((dataset.n_steps,), (len(dataset), dataset.n_steps)):
        return given  # it is refused with the others
    found = given * (np.arange(dataset.n_steps) < lengths[:, None])
    if (empty := np.flatnonzero(~found.any(axis=1) & given.any())).size:
        raise InputError(
            f"the window begins after the end of sample {empty[0]}, which has {lengths[empty[0]]} of {dataset.n_steps} steps; "
            "take a window that begins earlier, or leave out short samples"
        )
    return found


def only(network: Network, role: str, name: str) -> Any:
    """The population of a role with this name, or else the only one.

    Raises
    ------
    InputError
        If there are several and none has the name, or there is none.
    """
    found = [p for p in network.populations if p.model.role == role]
    named = [p for p in found if p.name == name]
    if named or len(found) == 1:
        return (named or found)[0]
    what = {"source": "event source", "readout": "readout population"}[role]
    listed = ", ".join(repr(p.name) for p in found) or "none"
    raise InputError(f"a data set needs one {what}, or one named {name!r}; the network has: {listed}")
