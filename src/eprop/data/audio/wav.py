"""WAV files: mono, PCM of 8 to 32 bits or floating point; every fault in words."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from eprop.errors import DataError

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
#: Size of samples that were written to a pipe: all that follow.
_UNKNOWN = 2**32 - 1
#: Formats that are often met, and not read.
_COMPRESSED = {2: "ADPCM", 6: "A-law", 7: "mu-law", 17: "IMA ADPCM", 85: "MP3"}
_TYPES = {(_PCM, 8): "u1", (_PCM, 16): "<i2", (_PCM, 32): "<i4", (_FLOAT, 32): "<f4", (_FLOAT, 64): "<f8"}


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


class _Format(NamedTuple):
    kind: int
    channels: int
    rate: int
    bits: int


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
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise DataError(f"{where}: is not a WAV file (RIFF, WAVE); convert it: ffmpeg -i FILE -ac 1 OUT.wav")
    found: _Format | None = None
    at = 12
    while at + 8 <= len(content):
        name, size = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        body = content[at + 8 : at + 8 + size]
        if name == b"fmt ":
            found = _format(body, where)
        elif name == b"data":
            if found is None:
                raise DataError(f"{where}: has samples before their format; is it a WAV file?")
            if len(body) < size != _UNKNOWN:
                raise DataError(f"{where}: truncated: {len(body)} of {size} bytes of samples; download it again")
            return Wav(_samples(body, found, where), found.rate)
        at += 8 + size + size % 2
    raise DataError(f"{where}: ends before its samples; download it again")


def _format(body: bytes, where: str) -> _Format:
    if len(body) < 16:
        raise DataError(f"{where}: truncated in its format; download it again")
    kind, channels, rate, bits = (int.from_bytes(body[a:b], "little") for a, b in ((0, 2), (2, 4), (4, 8), (14, 16)))
    if kind == _EXTENSIBLE and len(body) >= 26:
        kind = int.from_bytes(body[24:26], "little")
    if (kind, bits) not in {*_TYPES, (_PCM, 24)}:
        named = _COMPRESSED.get(kind, f"format {kind}" if kind not in (_PCM, _FLOAT) else "numbers")
        raise DataError(
            f"{where}: holds {named} of {bits} bits; PCM of 8, 16, 24 or 32 bits and floating point can be read: convert "
            "it with ffmpeg -i FILE -c:a pcm_s16le OUT.wav"
        )
    if channels != 1:
        raise DataError(
            f"{where}: has {channels} channels, and one is read: convert it with ffmpeg -i FILE -ac 1 OUT.wav"
        )
    if rate == 0:
        raise DataError(f"{where}: its header has a rate of 0 samples per second")
    return _Format(kind, channels, rate, bits)


def _samples(body: bytes, found: _Format, where: str) -> np.ndarray:
    width = found.bits // 8
    if not body:
        raise DataError(f"{where}: has no samples; leave it out")
    if len(body) % width:
        raise DataError(f"{where}: truncated in the middle of a sample of {width} bytes; download it again")
    if found.bits == 24:
        bytes_of = np.frombuffer(body, np.uint8).reshape(-1, 3)
        wide = np.zeros((len(bytes_of), 4), np.uint8)
        wide[:, 1:] = bytes_of
        return wide.view("<i4")[:, 0] / 2.0**31
    values = np.frombuffer(body, _TYPES[found.kind, found.bits]).astype(np.float64)
    if found.kind == _FLOAT:
        if not np.isfinite(values).all():
            raise DataError(f"{where}: sample {np.flatnonzero(~np.isfinite(values))[0]} is not finite")
        return values
    return values / 128.0 - 1.0 if width == 1 else values / 2.0 ** (found.bits - 1)
