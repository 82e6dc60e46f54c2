"""Spike files in the format of SONATA: HDF5 with times and nodes of each population, appended while a network runs."""

from __future__ import annotations

import bisect
import contextlib
import io
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np

from eprop.errors import OutputError
from eprop.files.writing import output_errors, write_bytes

#: Header of every file: the number that identifies the format, and its version.
MAGIC, VERSION = np.uint32(0x0A7A), np.array([0, 1], np.uint32)
#: Orders of spikes.
SORTINGS = h5py.enum_dtype({"none": 0, "by_id": 1, "by_time": 2}, basetype=np.uint8)
BY_TIME = 2
#: Spikes of a chunk of a growing file.
CHUNK = 1 << 14
#: Bytes of a time with its node; bytes that the index of a population may take at once.
SPIKE_BYTES, INDEX_BYTES = 16, 1 << 16
_NETWORK = "eprop_network"


@contextlib.contextmanager
def written(path: str | pathlib.Path) -> Iterator[h5py.File]:
    """Write a file, completely or not at all. It is made in memory, because the HDF5 library would crash on a full disk."""
    image = io.BytesIO()
    with h5py.File(image, "w", libver="earliest") as file:
        file.attrs["magic"], file.attrs["version"] = MAGIC, VERSION
        yield file
    write_bytes(path, image.getvalue())


def add_spikes(file: h5py.File, name: str, times: object, nodes: object, **layout: Any) -> None:
    """Add the spikes of a population to a file, in the order of time: times in ms, and nodes."""
    group = file.create_group(f"spikes/{name}")
    group.attrs.create("sorting", BY_TIME, dtype=SORTINGS)
    group.create_dataset("timestamps", data=np.asarray(times, np.float64), **layout).attrs["units"] = "ms"
    group.create_dataset("node_ids", data=np.asarray(nodes, np.uint64), **layout)


class SpikeFile:
    """A spike file that grows. After each `append` it can be read, also if the process is killed or the disk is full.

    Parameters
    ----------
    path : path
    populations : iterable of str
        Populations with spikes.
    network : str
        Identifies the network.
    after : float
        If above 0 (ms), a file of the same network is continued behind its spikes up to this time; later ones are removed.
        Else a file at ``path`` is replaced.

    Raises
    ------
    OutputError
        If the file cannot be written, or is to be continued and belongs to another network or other populations.
    """

    def __init__(self, path: str | pathlib.Path, populations: Iterable[str], network: str, after: float = 0.0):
        self.path, self._names = pathlib.Path(path), list(populations)
        if after <= 0.0 or not self.path.exists():
            with written(self.path) as file:
                file.attrs[_NETWORK] = network
                for name in self._names:
                    add_spikes(file, name, [], [], maxshape=(None,), chunks=(CHUNK,))
        with output_errors(self.path):
            self._file = h5py.File(self.path, "r+", libver="earliest", locking=False)
        try:
            self._check(network)
            self._counts = {name: self._count(name, after) for name in self._names}
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove what an interrupted `append` has left, and close the file."""
        with output_errors(self.path):
            for name, count in self._counts.items():
                for data in self._arrays(name):
                    if len(data) > count:
                        data.resize((count,))
            self._file.close()

    def append(self, spikes: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
        """Append the spikes of each population: times (ms), all later than those before, and nodes.

        After an exception the same spikes may be appended again.

        Raises
        ------
        OutputError
            If there is no room for them; the file keeps those before.
        """
        counts = {name: count + len(spikes[name][0]) for name, count in self._counts.items()}
        with output_errors(self.path):
            self._reserve(sum(SPIKE_BYTES * (len(spikes[name][0]) + CHUNK) + INDEX_BYTES for name in counts))
            for name, count in counts.items():
                for data, values in zip(self._arrays(name), spikes[name], strict=True):
                    data.resize((count,))
                    data[self._counts[name] :] = values
            self._file.flush()
        self._counts = counts

    def _reserve(self, size: int) -> None:
        """Take room behind the file: a write of the HDF5 library that fails would leave the file damaged."""
        begin = self._file.id.get_filesize()
        with open(self.path, "r+b") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), begin, size)
            else:
                file.seek(begin)
                file.write(bytes(size))

    def _arrays(self, name: str) -> tuple[h5py.Dataset, h5py.Dataset]:
        group = self._file["spikes"][name]
        return group["timestamps"], group["node_ids"]

    def _check(self, network: str) -> None:
        if self._file.attrs.get(_NETWORK) != network or set(self._file.get("spikes", ())) != set(self._names):
            raise OutputError(
                f"{self.path}: holds spikes of another network or of other populations; choose another file, or delete this one"
            )

    def _count(self, name: str, after: float) -> int:
        """Number of spikes up to a time."""
        times, nodes = self._arrays(name)
        return bisect.bisect_right(times, after, hi=min(len(times), len(nodes)))
