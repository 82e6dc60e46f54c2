"""Download of the full N-MNIST: resumed after an interruption, checked, and stored only when complete.

It needs only the standard library. A transfer goes to ``<target>.part``; the next call continues from there if the server
supports it. The file gets its final name only after its length and checksum are verified.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import pathlib
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from typing import Any, BinaryIO

from eprop.errors import DataError
from eprop.files import check_disk, explain, parsing

Progress = Callable[[str, int, int | None], None]

#: Mendeley Data, doi 10.17632/468j46mzdv.1: one archive that contains both archives.
NMNIST_URL = "https://data.mendeley.com/public-api/zip/468j46mzdv/download/1"
NMNIST_PAGE = "https://data.mendeley.com/datasets/468j46mzdv/1"
NMNIST_MD5 = {"Train.zip": "20959b8e626244a1b502305a9e6e2031", "Test.zip": "69ca8762b2fe404d9b9bad1103e97832"}

_CHUNK = 1 << 18
_RETRY_STATUS = {408, 425, 429, 500, 502, 503, 504}


class _TryAgain(Exception):
    """A transfer failed in a way that may be temporary."""

    def __init__(self, reason: str, wait: float | None = None):
        super().__init__(reason)
        self.wait = wait


class _DamagedArchive(DataError):
    """The downloaded archive was damaged and has been removed."""


def download_nmnist(
    folder: str | pathlib.Path,
    *,
    progress: Progress | None = None,
    url: str = NMNIST_URL,
    checksums: dict[str, str] | None = None,
    retries: int = 5,
    pause: float = 2.0,
    timeout: float = 60.0,
) -> pathlib.Path:
    """Download the full N-MNIST (60,000 + 10,000 recordings, 1.1 GB) as ``Train.zip`` and ``Test.zip``.

    Parameters
    ----------
    folder : path
        Folder for the two archives; archives there with the right checksum are kept. A call continues the download of an
        interrupted one.
    progress : callable of (name, done, total), optional
        Receives bytes; ``total`` is ``None`` if the server does not report it.
    url : str
        Archive that contains both archives.
    checksums : dict, optional
        MD5 of each archive. The default is those of the published archives.
    retries, pause, timeout
        As for `download`.

    Returns
    -------
    pathlib.Path
        ``folder``, an argument of `read_nmnist`.

    Raises
    ------
    DataError
        If the data cannot be downloaded or are damaged; the message says how to get them by hand.
    """
    folder = pathlib.Path(os.path.expanduser(folder))
    wanted = NMNIST_MD5 if checksums is None else checksums
    missing = {name: md5 for name, md5 in wanted.items() if not _has(folder / name, md5)}
    if not missing:
        return folder
    outer = folder / "nmnist-download.zip"
    by_hand = f"Or download {' and '.join(missing)} by hand from {NMNIST_PAGE} into {folder}"
    try:
        if (
            outer.is_file()
        ):  # the archive has its name only when complete: an earlier call was interrupted while unpacking
            with contextlib.suppress(_DamagedArchive):
                return _unpack_all(outer, missing, progress)
            missing = {name: md5 for name, md5 in missing.items() if not _has(folder / name, md5)}
        download(url, outer, progress=progress, retries=retries, pause=pause, timeout=timeout)
        return _unpack_all(outer, missing, progress)
    except DataError as error:
        raise DataError(f"{error}. {by_hand}") from None


def download(
    url: str,
    target: str | pathlib.Path,
    *,
    md5: str | None = None,
    progress: Progress | None = None,
    retries: int = 5,
    pause: float = 2.0,
    timeout: float = 60.0,
) -> pathlib.Path:
    """Download ``url`` to the file ``target``.

    Parameters
    ----------
    url : str
    target : path
        Written only when complete; until then the bytes are in ``<target>.part``, from which a later call continues.
    md5 : str, optional
        Checksum that the file must have.
    progress : callable of (name, done, total), optional
    retries : int
        Further attempts after a temporary failure; each continues where the last one stopped.
    pause : float
        Seconds before the first retry; doubled each time, unless the server names a time.
    timeout : float
        Seconds without data after which an attempt fails.

    Returns
    -------
    pathlib.Path
        ``target``.

    Raises
    ------
    DataError
        If the server cannot be reached or refuses, the disk is full, or the checksum is wrong.
    """
    target = pathlib.Path(target)
    part = target.with_name(target.name + ".part")
    _make_folder(target.parent)
    resumed = _fetch(url, part, progress, retries, pause, timeout)
    if md5 is not None and _md5(part) != md5 and resumed:
        part.unlink()  # the old bytes may belong to another file
        _fetch(url, part, progress, retries, pause, timeout)
    if md5 is not None and (found := _md5(part)) != md5:
        part.unlink()
        raise DataError(f"{url}: wrong checksum (md5 {found}, expected {md5}); the damaged file was removed")
    part.replace(target)
    return target


def _fetch(url: str, part: pathlib.Path, progress: Progress | None, retries: int, pause: float, timeout: float) -> bool:
    """Complete ``part``; return whether it began with bytes from an earlier call."""
    resumed = part.exists() and part.stat().st_size > 0
    for attempt in range(retries + 1):
        try:
            _transfer(url, part, progress, timeout)
            return resumed
        except _TryAgain as reason:
            if attempt == retries:
                kept = f" ({part.stat().st_size} bytes are kept for the next attempt)" if part.exists() else ""
                raise DataError(f"{url}: {reason}, after {retries + 1} attempts{kept}") from None
            time.sleep(pause * 2**attempt if reason.wait is None else min(reason.wait, 120.0))
    return resumed


def _transfer(url: str, part: pathlib.Path, progress: Progress | None, timeout: float) -> None:
    """Make one attempt, from the end of ``part``."""
    have, total = part.stat().st_size if part.exists() else 0, None
    request = urllib.request.Request(url, headers={"User-Agent": "eprop", "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            if have and not _continues(response, have):
                have = 0
            length = response.headers.get("Content-Length")
            total = have + int(length) if length and length.isdigit() else None
            if total is not None:
                check_disk(part.parent, part, total - have)
            with part.open("ab" if have else "wb") as file:
                _pump(response, file, part.name.removesuffix(".part"), have, total, progress)
    except urllib.error.HTTPError as error:
        _refused(url, part, have, error)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise _TryAgain(f"cannot be reached ({getattr(error, 'reason', None) or error})") from None
    except OSError as error:
        raise DataError(f"{part}: cannot be written ({explain(error, total)})") from None


def _continues(response: Any, have: int) -> bool:
    """Whether the server sends only the rest, from exactly the requested byte."""
    return response.status == 206 and str(response.headers.get("Content-Range", "")).startswith(f"bytes {have}-")


def _refused(url: str, part: pathlib.Path, have: int, error: urllib.error.HTTPError) -> None:
    """Interpret an HTTP error; return if nothing was left to send."""
    if error.code == 416 and have:
        if str(error.headers.get("Content-Range", "")).endswith(f"/{have}"):
            return
        part.unlink()
        raise _TryAgain("the bytes of the earlier attempt do not fit", wait=0.0) from None
    if error.code in _RETRY_STATUS:
        wait = str(error.headers.get("Retry-After", ""))
        raise _TryAgain(f"HTTP {error.code} {error.reason}", float(wait) if wait.isdigit() else None) from None
    raise DataError(f"{url}: refused with HTTP {error.code} {error.reason}") from None


def _pump(response: Any, file: BinaryIO, name: str, done: int, total: int | None, progress: Progress | None) -> None:
    while True:
        try:
            chunk = response.read(_CHUNK)
        except http.client.IncompleteRead as error:
            file.write(error.partial)
            raise _TryAgain(f"broke off after {done + len(error.partial)} bytes") from None
        except (OSError, http.client.HTTPException) as error:
            raise _TryAgain(f"broke off after {done} bytes ({error})") from None
        if not chunk:
            break
        file.write(chunk)
        done += len(chunk)
        if progress is not None:
            progress(name, done, total)
    if total is not None and done != total:
        raise _TryAgain(f"broke off after {done} of {total} bytes")


def _make_folder(folder: pathlib.Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: cannot be made ({error.strerror or error})") from None


def _md5(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _has(path: pathlib.Path, md5: str) -> bool:
    return path.is_file() and _md5(path) == md5


def _unpack_all(outer: pathlib.Path, wanted: dict[str, str], progress: Progress | None) -> pathlib.Path:
    """Extract the wanted archives from the outer one, which is then removed; return their folder."""
    for name, md5 in wanted.items():
        _unpack(outer, name, outer.parent / name, md5, progress)
    outer.unlink()
    return outer.parent


def _unpack(outer: pathlib.Path, name: str, target: pathlib.Path, md5: str, progress: Progress | None) -> None:
    """Extract one inner archive, and verify its checksum."""
    part = target.with_name(target.name + ".part")
    found = hashlib.md5(usedforsecurity=False)
    try:
        with parsing(str(outer), "damaged archive", _DamagedArchive, "it was removed, start again"):
            _copy_member(outer, name, part, found.update, progress)
    except DataError as error:
        part.unlink(missing_ok=True)
        if isinstance(error, _DamagedArchive):
            outer.unlink(missing_ok=True)
        raise
    if found.hexdigest() != md5:
        part.unlink()
        outer.unlink()
        raise _DamagedArchive(f"{name}: wrong checksum (md5 {found.hexdigest()}, expected {md5}); removed, start again")
    part.replace(target)


def _copy_member(
    outer: pathlib.Path, name: str, part: pathlib.Path, tell: Callable[[bytes], None], progress: Progress | None
) -> None:
    """Write a member of an archive to a file, cut at the size in the table of contents, and report each chunk."""
    with zipfile.ZipFile(outer) as archive:
        info = next((i for i in archive.infolist() if i.filename.rsplit("/", 1)[-1] == name), None)
        if info is None:
            raise zipfile.BadZipFile(f"it holds no {name}, only {archive.namelist()[:3]}")
        check_disk(part.parent, part, info.file_size)
        done = 0
        try:
            with archive.open(info) as source, part.open("wb") as file:
                while chunk := source.read(_CHUNK):
                    file.write(chunk)
                    tell(chunk)
                    done += len(chunk)
                    if progress is not None:
                        progress(name, done, info.file_size)
        except OSError as error:
            raise DataError(f"{part}: cannot be written ({explain(error, info.file_size)})") from None
