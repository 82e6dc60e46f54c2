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
from collections.abc import Callable, Iterable

from eprop.errors import DataError
from eprop.files import output_errors, parsing

Progress = Callable[[str, int, int | None], None]

#: Mendeley Data, doi 10.17632/468j46mzdv.1: one archive that contains both archives.
NMNIST_URL = "https://data.mendeley.com/public-api/zip/468j46mzdv/download/1"
NMNIST_PAGE = "https://data.mendeley.com/datasets/468j46mzdv/1"
NMNIST_MD5 = {"Train.zip": "20959b8e626244a1b502305a9e6e2031", "Test.zip": "69ca8762b2fe404d9b9bad1103e97832"}

_CHUNK = 1 << 18
#: HTTP statuses of a server that may answer later.
_BUSY = {408, 425, 429, 500, 502, 503, 504}


class _TryAgain(Exception):
    """A transfer failed in a way that may be temporary."""


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
    missing = {name: md5 for name, md5 in wanted.items() if not (folder / name).is_file() or _md5(folder / name) != md5}
    outer = folder / "nmnist-download.zip"
    try:
        for name, md5 in missing.items():
            if not outer.is_file():  # else an earlier call was interrupted while it unpacked
                download(url, outer, progress=progress, retries=retries, pause=pause, timeout=timeout)
            _unpack(outer, folder / name, md5, progress)
    except DataError as error:
        outer.unlink(missing_ok=True)
        by_hand = f"Or download {' and '.join(missing)} by hand from {NMNIST_PAGE} into {folder}"
        raise DataError(f"{error}. {by_hand}") from None
    outer.unlink(missing_ok=True)
    return folder


def download(
    url: str,
    target: str | pathlib.Path,
    *,
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
    progress : callable of (name, done, total), optional
    retries : int
        Further attempts after a temporary failure; each continues where the last one stopped.
    pause : float
        Seconds before the first retry; doubled each time.
    timeout : float
        Seconds without data after which an attempt fails.

    Returns
    -------
    pathlib.Path
        ``target``.

    Raises
    ------
    DataError
        If the server cannot be reached or refuses.
    OutputError
        If the disk is full or not writable.
    """
    target = pathlib.Path(target)
    part = target.with_name(target.name + ".part")
    with output_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(retries + 1):
        try:
            _transfer(url, part, progress, timeout)
            break
        except _TryAgain as reason:
            if attempt == retries:
                kept = f" ({part.stat().st_size} bytes are kept for the next attempt)" if part.exists() else ""
                raise DataError(f"{url}: {reason}, after {retries + 1} attempts{kept}") from None
            time.sleep(pause * 2**attempt)
    part.replace(target)
    return target


def _transfer(url: str, part: pathlib.Path, progress: Progress | None, timeout: float) -> None:
    """Make one attempt, from the end of ``part``."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "eprop", "Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout) as response:
            have = have if response.status == 206 else 0  # else the server sends all
            length = response.headers.get("Content-Length")
            total = have + int(length) if length and length.isdigit() else None
            chunks = iter(lambda: _read(response), b"")
            done = _write(chunks, part, have, total, progress)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            part.unlink(missing_ok=True)
            raise _TryAgain("the bytes of the earlier attempt do not fit") from None
        if error.code in _BUSY:
            raise _TryAgain(f"HTTP {error.code} {error.reason}") from None
        raise DataError(f"{url}: refused with HTTP {error.code} {error.reason}") from None
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise _TryAgain(f"cannot be reached ({getattr(error, 'reason', None) or error})") from None
    if total is not None and done != total:
        raise _TryAgain(f"broke off after {done} of {total} bytes")


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _TryAgain(f"broke off ({error})") from None


def _write(chunks: Iterable[bytes], path: pathlib.Path, have: int, total: int | None, progress: Progress | None) -> int:
    """Append chunks after the first ``have`` bytes of a file, and report them; return the size of the file."""
    done, name = have, path.name.removesuffix(".part")
    with output_errors(path, total), path.open("ab" if have else "wb") as file:
        for chunk in chunks:
            file.write(chunk)
            done += len(chunk)
            if progress is not None:
                progress(name, done, total)
    return done


def _md5(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _unpack(outer: pathlib.Path, target: pathlib.Path, md5: str, progress: Progress | None) -> None:
    """Extract one inner archive, and verify its checksum."""
    part = target.with_name(target.name + ".part")
    try:
        with (
            parsing(str(outer), "damaged archive", advice="it was removed, start again"),
            zipfile.ZipFile(outer) as archive,
        ):
            members = {info.filename.rsplit("/", 1)[-1]: info for info in archive.infolist()}
            if target.name not in members:
                raise zipfile.BadZipFile(f"it holds no {target.name}, only {archive.namelist()[:3]}")
            info = members[target.name]
            with archive.open(info) as source:
                _write(iter(lambda: source.read(_CHUNK), b""), part, 0, info.file_size, progress)
        if (found := _md5(part)) != md5:
            raise DataError(f"{target.name}: wrong checksum (md5 {found}, expected {md5}); removed, start again")
        part.replace(target)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
