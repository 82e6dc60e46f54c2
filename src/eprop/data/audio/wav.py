"""WAV files: mono, PCM of 8 to 32 bits or floating point; every fault in words."""

from __future__ import annotations

import io
import warnings
from typing import NamedTuple

import numpy as np

from eprop.errors import DataError
from eprop.files import parsing

#: Size of samples that were written to a pipe: all that follow.
_UNKNOWN = 2**32 - 1
_ADVICE = (
    "PCM of 8, 16, 24 or 32 bits and floating point can be read: convert it with ffmpeg -i FILE -c:a pcm_s16le OUT.wav"
)


class Wav(NamedTuple):
    """Samples and samples per second.

    Attributes
    ----------
    samples : ndarray of float64, shape (n,)
        Whole numbers of a file become -1..1; floating-point numbers stay.
    rate : int
    """

    samples: np.ndarray
    rate: int


def read_wav(content: bytes, where: str) -> Wav:
    """Samples of the bytes of a WAV file.

    Parameters
    ----------
    content : bytes
    where : str
        Name of the file, for messages.

    Raises
    ------
    DataError
        If the file is no WAV, truncated, empty, compressed or stereo, or a sample is not finite.
    """
    from scipy.io import wavfile

    _check_size(content, where)
    with parsing(where, "cannot be read as WAV", advice=_ADVICE), warnings.catch_warnings():
        warnings.simplefilter("ignore", wavfile.WavFileWarning)  # of chunks that hold no samples
        # The size of the whole file may be unknown as well.
        rate, values = wavfile.read(io.BytesIO(b"RIFF" + (len(content) - 8).to_bytes(4, "little") + content[8:]))
    if values.ndim != 1:
        raise DataError(
            f"{where}: has {values.shape[1]} channels, and one is read: convert it with ffmpeg -i FILE -ac 1 OUT.wav"
        )
    if rate == 0:
        raise DataError(f"{where}: its header has a rate of 0 samples per second")
    return Wav(_scaled(values, where), int(rate))


def _check_size(content: bytes, where: str) -> None:
    """Refuse what SciPy reads in part, or as silence: a truncated file, or one without samples."""
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise DataError(f"{where}: is not a WAV file (RIFF, WAVE); convert it: ffmpeg -i FILE -ac 1 OUT.wav")
    at = 12
    while at + 8 <= len(content):
        name, size = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        if name == b"data":
            there = len(content) - at - 8
            if there < size != _UNKNOWN:
                raise DataError(f"{where}: truncated: {there} of {size} bytes of samples; download it again")
            if not min(there, size):
                raise DataError(f"{where}: has no samples; leave it out")
            return
        at += 8 + size + size % 2
    raise DataError(f"{where}: ends before its samples; download it again")


def _scaled(values: np.ndarray, where: str) -> np.ndarray:
    """Samples of a file as float64, whole numbers between -1 and 1."""
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise DataError(f"{where}: sample {np.flatnonzero(~np.isfinite(values))[0]} is not finite")
        return values.astype(np.float64)
    if values.dtype.kind == "u":  # 8 bits
        return values / 128.0 - 1.0
    return values / 2.0 ** (8 * values.dtype.itemsize - 1)
