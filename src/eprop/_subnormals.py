"""Numbers that are almost zero, taken as zero.

What decays and is never added to, such as the running rate of a neuron that fell silent or a moment of a synapse that learns no
more, ends below the smallest number that has all its digits, and stays there: the smallest of all, times 0.97, is rounded to
itself. Processors of the x86 family take many times as long to compute with such subnormal numbers, and have a mode in which
they are zeros. It belongs to a thread, whose other users may want them, so a loop puts it back as it was; and it is not on where
threads are started, for they would inherit it. Elsewhere nothing is done.
"""

from __future__ import annotations

import platform
from typing import Any

import numba
import numba.extending
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils

_PLAIN = bool(numba.config.DISABLE_JIT)
_X86 = platform.machine().lower() in ("x86_64", "amd64")
#: Whether `flush_subnormals` has an effect.
FLUSHES = _X86 and not _PLAIN
_WORD = ir.IntType(32)
# Bits of the control register of SSE: results that are subnormal become zero, and so do operands.
_RESULTS, _OPERANDS = 1 << 15, 1 << 6


def _control(builder: Any, name: str, place: Any) -> None:
    """Read the control register (``st``) into a place, or set it (``ld``) from there."""
    byte = ir.IntType(8).as_pointer()
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(ir.VoidType(), [byte]), f"llvm.x86.sse.{name}mxcsr"
    )
    builder.call(function, [builder.bitcast(place, byte)])


def _flush(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Code of `flush_subnormals`."""
    if not _X86:
        return _WORD(0)
    before, after = cgutils.alloca_once(builder, _WORD), cgutils.alloca_once(builder, _WORD)
    _control(builder, "st", before)
    builder.store(builder.or_(builder.load(before), _WORD(_RESULTS | _OPERANDS)), after)
    _control(builder, "ld", after)
    return builder.load(before)


def _restore(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Code of `restore_mode`."""
    if _X86:
        place = cgutils.alloca_once(builder, _WORD)
        builder.store(arguments[0], place)
        _control(builder, "ld", place)
    return context.get_dummy_value()


@numba.extending.intrinsic  # type: ignore[untyped-decorator]
def _compiled_flush(typing: Any) -> Any:
    return numba.uint32(), _flush


@numba.extending.intrinsic  # type: ignore[untyped-decorator]
def _compiled_restore(typing: Any, mode: Any) -> Any:
    return numba.void(numba.uint32), _restore


def _plain_flush() -> int:
    """Nothing."""
    return 0


def _plain_restore(mode: int) -> None:
    """Nothing."""


# ``flush_subnormals()``: from here on this thread takes subnormal numbers as zeros; returns how it was before.
flush_subnormals = _plain_flush if _PLAIN else _compiled_flush
# ``restore_mode(mode)``: as it was before.
restore_mode = _plain_restore if _PLAIN else _compiled_restore
