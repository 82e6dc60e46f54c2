"""Binned data sets on disk: one folder each, written under a temporary name and renamed, so that it is always complete.

The arrays are plain ``.npy`` files, which are mapped into memory, so that processes on one machine share them. A damaged entry
is made again, with a warning. Entries whose last use is longest ago are deleted when all together exceed `LIMIT`.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from eprop.core import lib
from eprop.data.binned import BinnedDataset
from eprop.errors import CacheWarning, DataError, OutputError, warn
from eprop.files import open_regular, output_errors, parse_json, read_text, reason_of, write_text

#: Bytes that all entries of a folder may take.
LIMIT = 10 * 10**9
#: Version of the layout on disk.
FORMAT = 2
_ARRAYS = ("ptr", "channels", "labels")
#: Array of data sets for a regression only.
_OPTIONAL = ("targets", "lengths")
_META = "dataset.json"
#: Names of entries, and of incomplete ones.
_NAME, _LEFT = re.compile(r"[0-9a-f]{32}"), re.compile(r"\.[0-9a-f]{32}\..*")


def default_folder() -> pathlib.Path:
    """Folder of cached data sets: ``data`` in ``EPROP_CACHE_DIR``, or in the folder ``eprop`` of the user's cache."""
    if own := os.environ.get("EPROP_CACHE_DIR"):
        return pathlib.Path(own) / "data"
    home = pathlib.Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or home) / "eprop" / "data"


def cached(
    key: Mapping[str, object], make: Callable[[], BinnedDataset], folder: str | pathlib.Path | None = None
) -> BinnedDataset:
    """Return the data set for ``key``: from disk, or made now and kept on disk.

    Parameters
    ----------
    key : mapping
        Everything that determines the result of ``make``, in values that JSON can write.
    make : callable
        Makes the data set.
    folder : path, optional
        Parent folder of the entries. The default is `default_folder`.

    Returns
    -------
    BinnedDataset
        From disk if possible, its arrays mapped copy-on-write.

    Warns
    -----
    CacheWarning
        If a damaged entry is made again, the disk cannot store the data set (which is returned nevertheless), or other entries
        are deleted because all together exceed `LIMIT`.
    """
    entry = pathlib.Path(folder or default_folder()) / digest(key)
    if entry.exists():
        try:
            found = load_dataset(entry)
            with contextlib.suppress(OSError):  # a cache that may only be read
                os.utime(entry / _META)
            return found
        except DataError as error:
            warn(f"cached data set is made again: {error}", CacheWarning)
            shutil.rmtree(entry, ignore_errors=True)
    dataset = make()
    try:
        save_dataset(dataset, entry, key, replace=False)
        _keep_within_limit(entry)
        return load_dataset(entry)
    except (DataError, OutputError) as error:
        warn(
            f"{error}. The data set is used from memory and not kept; set EPROP_CACHE_DIR to keep it elsewhere.",
            CacheWarning,
        )
        return dataset


def clear(folder: str | pathlib.Path | None = None) -> tuple[int, int]:
    """Delete all entries, by default of `default_folder`; return how many, and their bytes. Arrays in use stay mapped."""
    return _deleted(_entries(pathlib.Path(folder or default_folder())))


def _keep_within_limit(latest: pathlib.Path) -> None:
    """Delete the entries next to the ``latest`` one that were used longest ago, until all together keep the limit."""
    entries = _entries(latest.parent)
    excess, unused = sum(size for _, size, _ in entries) - LIMIT, list[tuple[float, int, pathlib.Path]]()
    for entry in entries:
        if excess > 0 and entry[2] != latest:
            unused.append(entry)
            excess -= entry[1]
    count, size = _deleted(unused)
    if count:
        warn(
            f"{latest.parent}: the cached data sets exceeded {LIMIT / 1e9:g} GB; deleted those used longest ago, {count} of "
            f"{len(entries)}, {size / 1e9:.2g} GB; the next use makes them again",
            CacheWarning,
        )


def _entries(folder: pathlib.Path) -> list[tuple[float, int, pathlib.Path]]:
    """Last use, bytes and folder of each entry, oldest use first; also what a killed process has left more than a day ago."""
    found, yesterday = [], time.time() - 86_400
    for path in folder.glob("*"):
        with contextlib.suppress(OSError):  # another process has deleted it
            used = ((path / _META) if _NAME.fullmatch(path.name) else path).stat().st_mtime
            if _NAME.fullmatch(path.name) or (_LEFT.fullmatch(path.name) and used < yesterday):
                found.append((used, sum(file.stat().st_size for file in path.iterdir()), path))
    return sorted(found)


def _deleted(entries: Sequence[tuple[float, int, pathlib.Path]]) -> tuple[int, int]:
    """Delete entries; return how many, and their bytes."""
    done = []
    for _, size, path in entries:
        with contextlib.suppress(OSError):  # not ours to delete
            # Nobody reads an entry that is deleted in part.
            path = path.rename(path.with_name(f".{path.name.strip('.')}.deleted"))
            shutil.rmtree(path)
            done.append(size)
    return len(done), sum(done)


def digest(key: Mapping[str, object]) -> str:
    """Name of the entry for ``key``: a digest of the key, the layout on disk, and the code that makes data sets."""
    text = json.dumps({"key": dict(key), "format": FORMAT, "code": _code_digest()}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def save_dataset(
    dataset: BinnedDataset, folder: str | pathlib.Path, key: Mapping[str, object] | None = None, *, replace: bool = True
) -> None:
    """Write a data set to a folder that does not exist, is empty, or holds a data set.

    Parameters
    ----------
    dataset : BinnedDataset
    folder : path
    key : mapping, optional
        What determines the data set; written beside it.
    replace : bool
        Whether the new data set replaces one that another process has written in the meantime, or is dropped.

    Raises
    ------
    DataError
        If the folder holds other files.
    OutputError
        If the disk is full or not writable; nothing is left behind.
    """
    folder = pathlib.Path(folder)
    with output_errors(folder, dataset.nbytes):
        if folder.is_dir() and any(folder.iterdir()) and not (folder / _META).is_file():
            raise DataError(
                f"{folder}: holds other files than a data set, which will not be replaced; choose another folder"
            )
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = pathlib.Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            _write(dataset.compact(), aside, key)
            if replace and folder.is_dir():
                shutil.rmtree(folder)
            aside.replace(folder)
        except OSError:
            if replace or not folder.is_dir():
                raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def load_dataset(folder: str | pathlib.Path) -> BinnedDataset:
    """Read a data set that `save_dataset` wrote, and check that all offsets and channels lie in bounds.

    Raises
    ------
    DataError
        If a file is missing or damaged.
    """
    folder = pathlib.Path(folder)
    try:
        return _loaded(folder)
    except Exception as error:  # NumPy raises many kinds of errors for a damaged header
        raise DataError(f"{folder}: is not a readable data set ({reason_of(error)}); delete the folder") from None


def _loaded(folder: pathlib.Path) -> BinnedDataset:
    meta = parse_json(read_text(folder / _META), _META)
    if meta["format"] != FORMAT:
        raise DataError("from another version")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # for some damaged headers, NumPy only warns
        names = (*_ARRAYS, *(name for name in _OPTIONAL if (folder / f"{name}.npy").exists()))
        for name in names:
            open_regular(folder / f"{name}.npy").close()
        # Mapped: changes stay in memory.
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="c", allow_pickle=False) for name in names}
    dataset = BinnedDataset(**arrays, **meta["attributes"])
    dataset.validate()
    return dataset


def _write(dataset: BinnedDataset, folder: pathlib.Path, key: Mapping[str, object] | None) -> None:
    for name in (*_ARRAYS, *(name for name in _OPTIONAL if getattr(dataset, name) is not None)):
        _save_array(folder / f"{name}.npy", getattr(dataset, name))
    attributes = {
        "n_channels": int(dataset.n_channels), "dt": float(dataset.dt), "simulated": bool(dataset.simulated),
        "name": str(dataset.name), "inferred": bool(dataset.inferred),
    }  # fmt: skip
    meta = {"format": FORMAT, "attributes": attributes, "key": dict(key or {})}
    write_text(folder / _META, json.dumps(meta, indent=1))


def _save_array(path: pathlib.Path, array: np.ndarray) -> None:
    """Save as `numpy.save` does; NumPy does not report a disk that is full when a file is closed."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(_bytes(array))
        file.flush()
        os.fsync(file.fileno())


def _bytes(array: np.ndarray) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


@functools.cache
def _code_digest() -> str:
    """Digest of this folder's code and of the core's `data_version`: a change of either renews all entries."""
    out = hashlib.sha256(str(lib.data_version).encode())
    for path in sorted(pathlib.Path(__file__).parent.rglob("*.py")):
        out.update(path.read_bytes())
    return out.hexdigest()[:16]


def describe_bytes(*arrays: ArrayLike) -> str:
    """Digest of some arrays, for a key."""
    out = hashlib.blake2b(digest_size=16)
    for array in arrays:
        array = np.asarray(array)
        out.update(f"{array.dtype}{array.shape}".encode())
        out.update(_bytes(array))
    return out.hexdigest()
