"""Binned data sets on disk: one folder each, written aside and then renamed, so that it is there whole or not at all.

The arrays are plain ``.npy`` files and mapped into memory, so that several processes on one machine share them. Every
file's checksum is kept; a damaged entry is made again, with a warning.
"""

from __future__ import annotations

import contextlib
import errno
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
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from eprop.core import lib
from eprop.data.binned import BinnedDataset
from eprop.errors import CacheWarning, DataError
from eprop.files import explain, open_regular, parse_json, read_text, told

#: Version of the layout on disk.
FORMAT = 1
_ARRAYS = ("ptr", "channels", "labels")
_META = "dataset.json"
_STALE = 24 * 3600.0
# Whatever decides which events come out, beside the core's `data_version`; a change of any of these files makes all entries anew.
_MAKERS = (
    "_archive.py",
    "_nmnist_layout.py",
    "binned.py",
    "camera.py",
    "camera_path.py",
    "mnist.py",
    "nmnist.py",
)


def cache_root() -> pathlib.Path:
    """Folder of everything the package keeps between runs; ``EPROP_CACHE_DIR`` overrides the user's cache folder."""
    if own := os.environ.get("EPROP_CACHE_DIR"):
        return pathlib.Path(own)
    base = os.environ.get("XDG_CACHE_HOME") or (
        pathlib.Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    )
    return pathlib.Path(base) / "eprop"


def default_folder() -> pathlib.Path:
    """Where cached data sets are kept: ``data`` in ``EPROP_CACHE_DIR`` or in the user's cache folder."""
    return cache_root() / "data"


def cached(
    key: Mapping[str, Any], make: Callable[[], BinnedDataset], folder: str | pathlib.Path | None = None
) -> BinnedDataset:
    """The data set for ``key``: from disk, or made and kept for the next time.

    Parameters
    ----------
    key : mapping
        All that decides what ``make`` returns, in values that JSON can write.
    make : callable
        Makes the data set.
    folder : path, optional
        Parent folder of the entries; `default_folder` if not given.

    Returns
    -------
    BinnedDataset
        From disk where possible, its arrays mapped copy-on-write.

    Warns
    -----
    CacheWarning
        If an entry was damaged and is made anew, or the disk does not take it (the data set is returned all the same).
    """
    entry = pathlib.Path(folder or default_folder()) / digest(key)
    if (there := _found(entry)) is not None:
        return there
    dataset = make()
    try:
        _save(dataset, entry, key, replace=False)
        return load_dataset(entry)
    except DataError as error:
        warnings.warn(f"{error}. The data set is used from memory and not kept.", CacheWarning, stacklevel=2)
        return dataset


def _found(entry: pathlib.Path) -> BinnedDataset | None:
    """An entry that is there and sound; a damaged one is removed."""
    for last in (False, True):
        if not entry.exists():
            return None
        try:
            return load_dataset(entry)
        except DataError as error:
            if last:
                warnings.warn(f"cached data set is made anew: {error}", CacheWarning, stacklevel=3)
        # The first time another process may have been about to remove it, and to put a sound one in its place.
    with contextlib.suppress(OSError):
        _remove(entry)
    return None


def digest(key: Mapping[str, Any]) -> str:
    """Name of the entry for ``key``: a digest of it, of the layout on disk, and of the code that makes data sets."""
    text = json.dumps({"key": dict(key), "format": FORMAT, "code": _code_digest()}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def save_dataset(dataset: BinnedDataset, folder: str | pathlib.Path, key: Mapping[str, Any] | None = None) -> None:
    """Write a data set to a folder of its own, which must not exist, or be empty, or hold a data set, which is replaced.

    Raises
    ------
    DataError
        If the folder holds something else, or the disk is full or not writable; nothing is left behind.
    """
    _save(dataset, pathlib.Path(folder), key, replace=True)


def _save(dataset: BinnedDataset, folder: pathlib.Path, key: Mapping[str, Any] | None, *, replace: bool) -> None:
    """As `save_dataset`; without ``replace`` what is there already stays, as made of the same key by another process."""
    aside = None
    try:
        if folder.is_dir() and any(folder.iterdir()) and not (folder / _META).is_file():
            raise DataError(
                f"{folder}: holds no data set that could be replaced, but other files; choose another folder"
            )
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        aside = pathlib.Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        _write(dataset.compact(), aside, key)
        _put_in_place(aside, folder, replace)
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be written: {explain(error, dataset.nbytes)}; or set EPROP_CACHE_DIR to a folder on another disk"
        ) from None
    finally:
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)


def load_dataset(folder: str | pathlib.Path) -> BinnedDataset:
    """Read what `save_dataset` wrote, and check it against its checksums.

    Raises
    ------
    DataError
        If something is missing or damaged.
    """
    folder = pathlib.Path(folder)
    try:
        return _loaded(folder)
    except Exception as error:  # NumPy raises errors of many kinds for a header that is damaged
        raise DataError(f"{folder}: no readable data set ({told(error)}); delete the folder") from None


def _loaded(folder: pathlib.Path) -> BinnedDataset:
    meta = parse_json(read_text(folder / _META), _META)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # NumPy only warns of some headers that are not as it writes them
        arrays: dict[str, Any] = {name: _mapped(folder / f"{name}.npy") for name in _ARRAYS}
    sums = {name: _checksum(array) for name, array in arrays.items()}
    if meta["format"] != FORMAT or sums != meta["checksums"]:
        raise DataError("damaged, or of another version")
    dataset = BinnedDataset(**arrays, **meta["attributes"])
    dataset.validate()
    return dataset


def _mapped(path: pathlib.Path) -> np.ndarray:
    """An array of a file that NumPy has written; it may be changed, the disk stays as it is."""
    open_regular(path).close()
    array: np.ndarray = np.load(path, mmap_mode="c", allow_pickle=False)
    return array


def _write(dataset: BinnedDataset, folder: pathlib.Path, key: Mapping[str, Any] | None) -> None:
    arrays = {name: getattr(dataset, name) for name in _ARRAYS}
    for name, array in arrays.items():
        _save_array(folder / f"{name}.npy", array)
    meta = {
        "format": FORMAT,
        "attributes": {
            "n_channels": int(dataset.n_channels),
            "dt": float(dataset.dt),
            "simulated": bool(dataset.simulated),
            "name": str(dataset.name),
        },
        "checksums": {name: _checksum(array) for name, array in arrays.items()},
        "key": dict(key or {}),
    }
    (folder / _META).write_text(json.dumps(meta, indent=1))


def _save_array(path: pathlib.Path, array: np.ndarray) -> None:
    """As `numpy.save`, which does not tell of a disk that is full when it closes a file."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(_bytes(array))


def _put_in_place(aside: pathlib.Path, folder: pathlib.Path, replace: bool) -> None:
    """Give a finished folder its name; one that is there already is replaced, or stays: another process may be reading it."""
    try:
        aside.replace(folder)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.EACCES) or not folder.is_dir():
            raise
        if replace:
            _remove(folder)
            aside.replace(folder)


def _remove(folder: pathlib.Path) -> None:
    """Remove a folder, which is never seen with half of its files."""
    old = pathlib.Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        folder.replace(old / "old")
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _sweep(folder: pathlib.Path) -> None:
    """Remove what processes left beside a folder that died while writing it, or another entry of a cache, a day ago or earlier.

    Names are those that `tempfile.mkdtemp` gives: whatever else lies there is not ours.
    """
    ours = re.compile(rf"\.({re.escape(folder.name)}|[0-9a-f]{{32}})\.[a-z0-9_]{{8}}")
    for path in folder.parent.glob(".*.*"):
        if ours.fullmatch(path.name) and path.is_dir() and time.time() - path.stat().st_mtime > _STALE:
            shutil.rmtree(path, ignore_errors=True)


def _checksum(array: np.ndarray) -> list[Any]:
    return [str(array.dtype), list(array.shape), zlib.crc32(_bytes(array))]


def _bytes(array: np.ndarray) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


@functools.lru_cache(maxsize=1)
def _code_digest() -> str:
    here = pathlib.Path(__file__).parent
    out = hashlib.sha256(str(lib.data_version).encode())
    for name in _MAKERS:
        out.update((here / name).read_bytes())
    return out.hexdigest()[:16]


def describe_bytes(*arrays: Any) -> str:
    """Digest of some arrays, for a key."""
    out = hashlib.blake2b(digest_size=16)
    for array in arrays:
        array = np.asarray(array)
        out.update(f"{array.dtype}{array.shape}".encode())
        out.update(_bytes(array))
    return out.hexdigest()
