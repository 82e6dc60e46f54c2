"""Damage: to bytes, to texts with a grammar, to arrays."""

from __future__ import annotations

import random
import re

import numpy as np

#: Words that parsers of numbers, lists and names find hard.
WORDS = (
    "0", "-1", "1e999", "-0.0", "nan", "inf", "9" * 20, "9" * 5000, "1.5", "2147483648", "9223372036854775808", "true", "null",
    '""', '"x"', "[]", "{}", "[[]]", "[1, 2]", '["a"]', "1979-05-27", "1e-320", '"\\u0000"', "[" * 2000, "'", "\x00", "\ufeff",
    "$", "${}", "/dev/zero", "..", "a" * 300, "=", "#", "\\", ",", ";", "\n", " ", "é",
)  # fmt: skip
INTEGERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**62, 2**63 - 1, 2**64 - 1)
NUMBERS = (0.0, -0.0, 1.0, -1.0, 0.5, np.nan, np.inf, -np.inf, 1e300, -1e300, 1e-320, 2.0**31, 2.0**53, 2.0**63)


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Bytes with one to four changes."""
    out = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(out) + 1)
        kind = rng.randrange(8)
        if kind == 0 and out:
            out[min(at, len(out) - 1)] ^= 1 << rng.randrange(8)
        elif kind == 1 and out:
            out[min(at, len(out) - 1)] = rng.randrange(256)
        elif kind == 2:
            size = rng.choice((1, 2, 4, 8))
            number = rng.choice(INTEGERS) % 256**size
            out[at : at + size] = number.to_bytes(size, rng.choice(("little", "big")))
        elif kind == 3:
            del out[at : at + rng.choice((1, 2, 8, 64, 512))]
        elif kind == 4:
            out[at:at] = bytes(rng.randrange(256) for _ in range(rng.choice((1, 4, 32))))
        elif kind == 5:
            del out[at:]
        elif kind == 6:
            length, to = rng.choice((4, 16, 128)), rng.randrange(len(out) + 1)
            out[to : to + length] = out[at : at + length]
        else:
            out[at : at + rng.choice((4, 16, 64))] = b"\0" * rng.choice((4, 16))
    return bytes(out)


_TOKEN = re.compile(r"\w[\w.+-]*|\"[^\"]*\"|[^\w\s]|\s+")


def reworded(text: str, rng: random.Random) -> str:
    """A text with one to three words exchanged, left out, doubled or put in."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        tokens = _TOKEN.findall(text) or [""]
        at, kind = rng.randrange(len(tokens)), rng.randrange(5)
        if kind == 0:
            tokens[at] = rng.choice(WORDS)
        elif kind == 1:
            del tokens[at]
        elif kind == 2:
            tokens.insert(at, rng.choice(WORDS))
        elif kind == 3:
            tokens[at] = tokens[rng.randrange(len(tokens))]
        else:
            lines = text.split("\n")
            lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
            tokens = ["\n".join(lines)]
        text = "".join(tokens)
    return text


def spoiled(array: np.ndarray, rng: random.Random) -> object:
    """An array with other numbers, of another type or shape, or something that is none."""
    kind = rng.randrange(10)
    if kind == 0:
        return rng.choice((None, "text", [], {}, 3, array.astype(object), np.array("x"), [[1], [1, 2]]))
    if kind == 1:
        return array.reshape(rng.choice(((-1,), (1, -1), (-1, 1)))) if array.size else array.reshape(-1)
    if kind == 2:
        return array[: rng.randrange(array.shape[0] + 1)] if array.ndim else array.reshape(1)
    if kind == 3:
        with np.errstate(all="ignore"):
            return array.astype(
                rng.choice((np.float32, np.float64, np.int8, np.int64, np.uint64, np.bool_, np.complex128))
            )
    out = array.copy()
    if not out.size:
        return out
    flat = out.reshape(-1)
    at = rng.randrange(flat.size) if kind < 8 else slice(None)
    if out.dtype.kind == "f":
        with np.errstate(all="ignore"):
            flat[at] = rng.choice((*NUMBERS, -flat[at], 1e30 * flat[at]))
    elif out.dtype.kind in "iu":
        info = np.iinfo(out.dtype)
        flat[at] = max(info.min, min(info.max, rng.choice((-1, *INTEGERS, int(flat[0]) + 1, -(2**31)))))
    elif out.dtype == bool:
        flat[at] = ~flat[at]
    return out
