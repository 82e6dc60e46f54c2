"""Download of the Free Spoken Digit Dataset: 2,500 recordings of five speakers, 12 MB."""

from __future__ import annotations

import pathlib

from eprop.data.cache import default_folder
from eprop.data.download import fetch
from eprop.errors import DataError

#: Version 1.0.9, CC BY-SA 4.0, and the checksum that TensorFlow Datasets publishes for it.
DIGITS_URL = "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/v1.0.9.tar.gz"
DIGITS_SHA256 = "8bc44cde129d505cbbb6b365c09f80c663f2aa77578afc634e6141a2f87100c0"


def download_digits(
    folder: str | pathlib.Path | None = None, *, url: str = DIGITS_URL, sha256: str = DIGITS_SHA256
) -> pathlib.Path:
    """Download the recordings, unless they are there already, and verify their checksum.

    Parameters
    ----------
    folder : path, optional
        The default is a folder next to the cached data sets.
    url, sha256 : str
        The archive, ``.tar.gz``.

    Returns
    -------
    pathlib.Path
        Folder of the recordings, an argument of `read_sounds`.

    Raises
    ------
    MissingExtraError
        If pooch is not installed.
    DataError
        If the server cannot be reached, or the archive has another checksum.
    """
    folder = default_folder().parent / "downloads" if folder is None else pathlib.Path(folder)
    try:
        fetch(url, folder / "spoken-digits.tar.gz", f"sha256:{sha256}", unpack="spoken-digits")
    except DataError as error:
        raise DataError(f"{error}; or download it by hand, unpack it, and give its folder with --data") from None
    return folder / "spoken-digits"
