"""Spiking Heidelberg Digits (SHD) and Spiking Speech Commands (SSC): HDF5 files with the spikes of a cochlea of 700 channels.

Cramer, Stradmann, Schemmel and Zenke 2020, doi 10.1109/TNNLS.2020.3044364; files at https://zenkelab.org/datasets, CC BY 4.0.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from eprop.data.binned import BinnedDataset
from eprop.data.binning import Block, bin_blocks
from eprop.data.events import MAX_TIME
from eprop.errors import DataError, ParameterError
from eprop.files.hdf5 import Array, read_hdf5, read_ragged

#: Channels of the files.
UNITS = 700
SPLITS = ("train", "valid", "test")
_NAMES = ("shd", "ssc")
LAYOUT = (
    "SHD and SSC are HDF5 files shd_train.h5, shd_test.h5, ssc_train.h5, ssc_valid.h5 and ssc_test.h5 with spikes/times (s), "
    "spikes/units and labels; unpack .gz and .zip files first"
)


@dataclass(frozen=True, eq=False)
class SpikeRecordings:
    """Samples of one file of SHD or SSC; spikes are read by `binned`.

    Attributes
    ----------
    labels : ndarray of int32, shape (n,)
    speakers : ndarray of int64, shape (n,)
        Number of the speaker; empty if the file does not tell.
    path : pathlib.Path
    """

    labels: np.ndarray
    speakers: np.ndarray
    path: pathlib.Path
    _memory: int | None = None

    def __len__(self) -> int:
        return int(self.labels.size)

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.path.name

    def stamp(self) -> str:
        """Size and time of the file, for a cache key."""
        status = os.stat(self.path)
        return f"{self.path.name} {status.st_size} {status.st_mtime_ns}"

    def binned(
        self, *, n_steps: int = 200, dt: float = 5.0, pool: int = 1, progress: Callable[[int, int], None] | None = None
    ) -> BinnedDataset:
        """Read and bin all samples; ``pool`` neighbouring channels become one.

        Raises
        ------
        DataError
            If a time or a channel is impossible; the message names the sample.
        ParameterError
            If ``pool`` does not divide 700.
        """
        if pool < 1 or UNITS % pool:
            raise ParameterError(f"pool must divide {UNITS}, got {pool}")
        ptr, channels = bin_blocks(self._blocks(pool, progress), UNITS // pool, n_steps, dt)
        return BinnedDataset(ptr, channels, self.labels, UNITS // pool, dt, False, self.name)

    def _blocks(self, pool: int, progress: Callable[[int, int], None] | None) -> Iterator[Block]:
        done = 0
        for (times, offsets), (units, others) in read_ragged(
            self.path, ("spikes/times", "spikes/units"), memory=self._memory
        ):
            if wrong := np.flatnonzero(np.diff(offsets) != np.diff(others)).tolist():
                raise DataError(f"{self.path}: sample {done + wrong[0]} has other numbers of times and units")
            micro = np.rint(times.astype(np.float64) * 1e6)
            for values, least, most, what in ((micro, 0, MAX_TIME, "time"), (units, 0, UNITS - 1, "unit")):
                bad = np.flatnonzero(~((values >= least) & (values <= most)))
                if bad.size:
                    sample = done + int(np.searchsorted(offsets, bad[0], side="right")) - 1
                    shown = (times if what == "time" else units)[bad[0]]
                    raise DataError(f"{self.path}: sample {sample} has the {what} {shown}. {LAYOUT}")
            yield micro.astype(np.int32), (units.astype(np.int32) // pool).astype(np.int32), offsets.astype(np.int64)
            done += offsets.size - 1
            if progress is not None:
                progress(done, len(self))


def read_spikes_of_speech(
    path: str | pathlib.Path, split: str | None = None, *, memory: int | None = None
) -> SpikeRecordings:
    """Open a file of SHD or SSC.

    Parameters
    ----------
    path : path
        A file, or a folder with files named as published.
    split : "train", "valid" or "test", optional
        Needed for a folder.
    memory : int, optional
        Bytes allowed for a block of samples.

    Raises
    ------
    DataError
        If there is no such file, or it has another layout.
    """
    file = _file(pathlib.Path(os.path.expanduser(path)), split)
    found = read_hdf5(file, ("labels", "speaker"), memory=memory)
    labels, speakers = found.get("labels"), found.get("extra/speaker")
    if not isinstance(labels, Array) or labels.values is None or labels.values.ndim != 1:
        raise DataError(f"{file}: has no labels. {LAYOUT}")
    numbers = np.asarray(labels.values)
    if (
        numbers.size == 0
        or numbers.dtype.kind not in "iu"
        or numbers.min() < 0
        or numbers.max() > np.iinfo(np.int32).max
    ):
        raise DataError(f"{file}: labels must be whole numbers >= 0, at least one. {LAYOUT}")
    times = found.get("spikes/times")
    if not isinstance(times, Array) or times.shape != numbers.shape:
        raise DataError(f"{file}: has no spikes/times with a row for each of {numbers.size} labels. {LAYOUT}")
    known = isinstance(speakers, Array) and speakers.values is not None and speakers.values.shape == numbers.shape
    who = np.asarray(speakers.values, np.int64) if known and isinstance(speakers, Array) else np.zeros(0, np.int64)
    return SpikeRecordings(numbers.astype(np.int32), who, file, memory)


def splits_of_speech(path: str | pathlib.Path) -> dict[str, pathlib.Path]:
    """Files of a folder by split.

    Raises
    ------
    DataError
        If there is none, or files of both data sets.
    """
    folder = pathlib.Path(os.path.expanduser(path))
    found = {
        name: {split: folder / f"{name}_{split}.h5" for split in SPLITS if (folder / f"{name}_{split}.h5").exists()}
        for name in _NAMES
    }
    here = [name for name in _NAMES if found[name]]
    if len(here) != 1:
        raise DataError(
            f"{folder}: {'files of both SHD and SSC, give a folder with one' if here else 'no file'}. {LAYOUT}"
        )
    return found[here[0]]


def _file(path: pathlib.Path, split: str | None) -> pathlib.Path:
    if not path.is_dir():
        return path
    if split not in SPLITS:
        raise ParameterError(f"{path}: is a folder, choose a split: {', '.join(SPLITS)}")
    files = splits_of_speech(path)
    if split not in files:
        raise DataError(f"{path}: has no file of the split {split}, only {', '.join(files)}. {LAYOUT}")
    return files[split]
