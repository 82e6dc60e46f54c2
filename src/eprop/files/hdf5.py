"""Read foreign HDF5 files in a separate process with limits of processor time and memory; see `eprop.files.hdf5_child`.

The limit is one of processor time: a stopped process, a suspended computer or a slow disk does not use it up.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import pathlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from eprop.errors import DataError, EPropError
from eprop.files.reading import memory_budget, open_regular

#: Seconds of processor time allowed for any file, and bytes of the file that earn one more second.
SECONDS, BYTES_A_SECOND = 10.0, 20e6
#: Largest ratio of a file's size to its room on the disk; a sparse file earns no time and memory beyond it.
LEAST_ON_DISK = 100
#: Memory of the process besides the arrays that it reads.
OWN_MEMORY = 2_000_000_000
#: Longest header line of an answer.
MOST_TOLD = 256_000_000
_CHILD = pathlib.Path(__file__).with_name("hdf5_child.py")


@dataclass
class Array:
    """An array of a file.

    Attributes
    ----------
    values : ndarray or None
        None if the values were not requested, or are not numbers.
    shape : tuple of int
    dtype : str
    attrs : dict
    """

    values: np.ndarray | None
    shape: tuple[int, ...]
    dtype: str
    attrs: dict[str, Any] = field(default_factory=dict)


@dataclass
class Group:
    """A group of a file: its members by name, and its attributes."""

    members: dict[str, Group | Array] = field(default_factory=dict)
    attrs: dict[str, Any] = field(default_factory=dict)

    def get(self, path: str) -> Group | Array | None:
        """Return the member at a path such as ``"0/syn_weight"``, or None."""
        node: Group | Array | None = self
        for name in path.split("/"):
            node = node.members.get(name) if isinstance(node, Group) else None
        return node


class Hdf5Process:
    """A process that reads HDF5 files; it starts on demand, and restarts if a file has ended it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._alone = threading.Lock()

    def read(
        self, path: str | pathlib.Path, names: Iterable[str] | None = None, *, memory: int | None = None,
        seconds: float | None = None, keep: bool = True, error: type[EPropError] = DataError, what: str = "cannot be read",
    ) -> Group:  # fmt: skip
        """Read the content of a file.

        Parameters
        ----------
        path : path
        names : iterable of str, optional
            Names of the arrays to read. The default is all. Other arrays report shape and type only.
        memory : int, optional
            Bytes allowed for arrays. The default is most of the free memory.
        seconds : float, optional
            Limit of processor time, > 0. The default is ten seconds, and more for a large file.
        keep : bool
            Whether to return the numbers; if False, only check that all can be read.
        error : type
            Class of the raised error.
        what : str
            Start of the message for a damaged file.

        Raises
        ------
        EPropError
            Of the class ``error``, if the file is missing or damaged, or needs more processor time or memory than allowed.
        """
        with open_regular(path, error) as file:
            status = os.fstat(file.fileno())
        size = min(status.st_size, LEAST_ON_DISK * _on_disk(status))
        allowed = SECONDS + size / BYTES_A_SECOND if seconds is None else seconds
        budget = memory_budget(memory)
        request = {
            "path": os.path.abspath(path), "names": None if names is None else list(names), "memory": budget,
            "limit": budget * 2 + size + OWN_MEMORY, "keep": keep, "seconds": allowed,
        }  # fmt: skip
        with self._alone:
            told, arrays = self._ask(request, f"{path}", error)
        if "refused" in told:
            raise error(f"{path}: {what + ': ' if told['damaged'] else ''}{told['refused']}")
        return _group(told["tree"], iter(arrays))

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1.0)
        if process.poll() is None:
            process.kill()
            process.wait()

    def _ask(
        self, request: dict[str, Any], where: str, error: type[EPropError]
    ) -> tuple[dict[str, Any], list[np.ndarray]]:
        process = self._started()
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            told = json.loads(_line(process))
            return told, [_numbers(process, *one) for one in told.get("arrays", ())]
        except (OSError, ValueError, EOFError):
            self.close()
            if process.returncode == -signal.SIGPROF:  # see `limit_time` in hdf5_child.py
                what = f"the HDF5 library did not finish reading it within {request['seconds']:g} s of processor time"
            else:
                what = "the HDF5 library crashed, or ran out of memory"
            raise error(f"{where}: {what}; the file is damaged or malicious") from None
        except BaseException:  # after Ctrl-C, the rest of this answer would be read as the next answer
            self.close()
            raise

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            # Preloaded libraries, such as a sanitizer, may need more memory than the child is allowed.
            inherited = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
            one_thread = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_CHILD)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=inherited | one_thread,
            )
        return self._process


_open: list[Hdf5Process] = []


@contextlib.contextmanager
def hdf5_process() -> Iterator[Hdf5Process]:
    """Context with a process that reads HDF5 files; nested contexts share the process."""
    if _open:
        yield _open[-1]
        return
    process = Hdf5Process()
    _open.append(process)
    try:
        yield process
    finally:
        _open.remove(process)
        process.close()


def _on_disk(status: os.stat_result) -> int:
    """Bytes that a file takes on the disk; its size where the system does not tell."""
    return 512 * int(status.st_blocks) if hasattr(status, "st_blocks") else status.st_size


def _line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    line = process.stdout.readline(MOST_TOLD)
    if not line.endswith(b"\n"):
        raise EOFError
    return line


def _numbers(process: subprocess.Popen[bytes], dtype: str, shape: list[int]) -> np.ndarray:
    assert process.stdout is not None
    array = np.empty([int(n) for n in shape], np.dtype(dtype))
    if array.dtype.kind not in "iufb" or math.prod(array.shape) != array.size:
        raise ValueError
    view = array.reshape(-1).view(np.uint8).data if array.size else memoryview(b"")
    at = 0
    while at < len(view):
        count = process.stdout.readinto(view[at:])  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        at += count
    return array


def _group(told: dict[str, Any], arrays: Iterator[np.ndarray]) -> Group:
    members: dict[str, Group | Array] = {}
    for name, node in told["members"].items():
        if "members" in node:
            members[name] = _group(node, arrays)
        else:
            values = next(arrays) if node["given"] else None
            members[name] = Array(values, tuple(node["shape"]), node["dtype"], node["attrs"])
    return Group(members, told["attrs"])
