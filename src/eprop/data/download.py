"""Download of data sets by pooch (extra ``download``), and of the full N-MNIST: checked, and stored only when complete."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import zipfile

from eprop.errors import DataError, MissingExtraError
from eprop.files import output_errors, parsing

#: Mendeley Data, doi 10.17632/468j46mzdv.1: one archive that contains both archives.
NMNIST_URL = "https://data.mendeley.com/public-api/zip/468j46mzdv/download/1"
NMNIST_PAGE = "https://data.mendeley.com/datasets/468j46mzdv/1"
NMNIST_MD5 = {"Train.zip": "20959b8e626244a1b502305a9e6e2031", "Test.zip": "69ca8762b2fe404d9b9bad1103e97832"}
#: Attempts after a failed one; pooch waits a second longer before each.
RETRIES = 3


def fetch(
    url: str, target: pathlib.Path, known_hash: str | None, *, unpack: str | None = None, progress: bool = False
) -> None:
    """Download ``url`` to the file ``target``, unless it is there with this hash.

    Parameters
    ----------
    url : str
    target : path
        Written only when complete.
    known_hash : str or None
        ``"ALGORITHM:DIGEST"``; None accepts any file.
    unpack : str, optional
        Folder beside the target into which the file is unpacked, a ``.tar.gz``.
    progress : bool
        Whether to show a bar.

    Raises
    ------
    MissingExtraError
        If pooch is not installed.
    DataError
        If the server cannot be reached or refuses, the file has another hash, or the folder cannot be written.
    """
    try:
        import pooch
    except ImportError:
        raise MissingExtraError("pooch", "download", "to download recordings") from None
    pooch.get_logger().setLevel("WARNING")
    name = target.name
    made = pooch.create(target.parent, "", registry={name: known_hash}, urls={name: url}, retry_if_failed=RETRIES)
    try:
        processor = None if unpack is None else pooch.Untar(extract_dir=unpack)
        made.fetch(name, processor, pooch.HTTPDownloader(progressbar=progress))
    except (OSError, ValueError) as error:  # errors of requests are OSErrors
        reason = " ".join(str(error).split())
        raise DataError(f"{url}: cannot be downloaded to {target.parent} ({reason:.300})") from None


def download_nmnist(
    folder: str | pathlib.Path,
    *,
    progress: bool = False,
    url: str = NMNIST_URL,
    checksums: dict[str, str] | None = None,
) -> pathlib.Path:
    """Download the full N-MNIST (60,000 + 10,000 recordings, 1.1 GB) as ``Train.zip`` and ``Test.zip``.

    Parameters
    ----------
    folder : path
        Folder for the two archives; archives there with the right checksum are kept.
    progress : bool
        Whether to show a bar.
    url : str
        Archive that contains both archives.
    checksums : dict, optional
        MD5 of each archive. The default is those of the published archives.

    Returns
    -------
    pathlib.Path
        ``folder``, an argument of `read_nmnist`.

    Raises
    ------
    MissingExtraError
        If pooch is not installed.
    DataError
        If the data cannot be downloaded or are damaged; the message says how to get them by hand.
    OutputError
        If an archive cannot be written.
    """
    folder = pathlib.Path(os.path.expanduser(folder))
    wanted = NMNIST_MD5 if checksums is None else checksums
    missing = {name: md5 for name, md5 in wanted.items() if not _matches(folder / name, md5)}
    outer = folder / "nmnist-download.zip"  # stays if unpacking is interrupted
    try:
        for name, md5 in missing.items():
            fetch(url, outer, None, progress=progress)
            _unpack(outer, folder / name, md5)
    except DataError as error:
        outer.unlink(missing_ok=True)
        by_hand = f"Or download {' and '.join(missing)} by hand from {NMNIST_PAGE} into {folder}"
        raise DataError(f"{error}. {by_hand}") from None
    outer.unlink(missing_ok=True)
    return folder


def _matches(path: pathlib.Path, md5: str) -> bool:
    """Whether a file is there and has a checksum."""
    if not path.is_file():
        return False
    import pooch

    return bool(pooch.file_hash(str(path), alg="md5") == md5)


def _unpack(outer: pathlib.Path, target: pathlib.Path, md5: str) -> None:
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
            with archive.open(info) as source, output_errors(part, info.file_size), part.open("wb") as file:
                shutil.copyfileobj(source, file)
        if not _matches(part, md5):
            raise DataError(f"{target.name}: wrong checksum (expected md5 {md5}); removed, start again")
        part.replace(target)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
