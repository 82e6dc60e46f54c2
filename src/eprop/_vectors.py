"""Short loops over neighbouring entries of arrays, as vectors, whatever the processor.

LLVM's loop vectoriser is made for long loops. What is left of them at the end, which of a run of neighbouring targets is most, it
does one by one; so here vectors are written down. Arrays are contiguous, and indices those of the flattened array. Others get
these functions from `eprop._jit`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numba.extending
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils

# Entries that are done at a time.
CHUNK, WIDE, BROAD = 8, 32, 128
_INT = ir.IntType(32)
_PLAIN = bool(numba.config.DISABLE_JIT)


class _Chunks:
    """Reads and writes ``size`` neighbouring entries of an array."""

    def __init__(self, context: Any, builder: Any, kind: Any, array: Any, size: int):
        self._builder, self._data = builder, context.make_array(kind)(context, builder, array).data
        element = context.get_data_type(kind.dtype)
        self.type = ir.VectorType(element, size)
        self._align = int(context.get_abi_sizeof(element))

    def _place(self, index: Any) -> Any:
        return self._builder.bitcast(self._builder.gep(self._data, [index]), self.type.as_pointer())

    def load(self, index: Any) -> Any:
        """All of them, from an entry on."""
        return self._builder.load(self._place(index), align=self._align)

    def load_first(self, index: Any, count: Any) -> Any:
        """The first ``count`` of them, and zeros instead of the others, which may lie beyond the end of the array."""
        place, mask, zeros = self._place(index), self._first(count), ir.Constant(self.type, [0.0] * self.type.count)
        kind = ir.FunctionType(self.type, [place.type, _INT, mask.type, self.type])
        return self._builder.call(self._masked("load", kind), [place, _INT(self._align), mask, zeros])

    def store(self, value: Any, index: Any) -> None:
        """Write all of them."""
        self._builder.store(value, self._place(index), align=self._align)

    def store_first(self, value: Any, index: Any, count: Any) -> None:
        """Write the first ``count`` of them."""
        place, mask = self._place(index), self._first(count)
        kind = ir.FunctionType(ir.VoidType(), [self.type, place.type, _INT, mask.type])
        self._builder.call(self._masked("store", kind), [value, place, _INT(self._align), mask])

    def filled(self, value: Any) -> Any:
        """A number of this array's type, as often as there are entries."""
        return self._repeated(value, self.type)

    def _first(self, count: Any) -> Any:
        """Which entries are among the first ``count``."""
        numbers = ir.VectorType(count.type, self.type.count)
        own = ir.Constant(numbers, list(range(self.type.count)))
        return self._builder.icmp_unsigned("<", own, self._repeated(count, numbers))

    def _repeated(self, value: Any, kind: Any) -> Any:
        first = self._builder.insert_element(ir.Constant(kind, ir.Undefined), value, _INT(0))
        return self._builder.shuffle_vector(
            first, first, ir.Constant(ir.VectorType(_INT, kind.count), [0] * kind.count)
        )

    def _masked(self, what: str, kind: Any) -> Any:
        size, element = self.type.count, "f64" if isinstance(self.type.element, ir.DoubleType) else "f32"
        name = f"llvm.masked.{what}.v{size}{element}.p0v{size}{element}"
        return cgutils.get_or_insert_function(self._builder.module, kind, name)

    def of(self, value: Any) -> Any:
        """Entries of another array as numbers of this array's type."""
        if value.type == self.type:
            return value
        wider = isinstance(self.type.element, ir.DoubleType)
        return (self._builder.fpext if wider else self._builder.fptrunc)(value, self.type)


def _add_run(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Code of `add_run`."""
    _, i, _, j, count = arguments
    sums, terms = (_Chunks(context, builder, signature.args[k], arguments[k], CHUNK) for k in (0, 2))
    word = count.type
    whole = builder.and_(count, word(-CHUNK))
    with cgutils.for_range_slice(builder, word(0), whole, word(CHUNK), word) as (k, _):
        at = builder.add(i, k)
        sums.store(builder.fadd(sums.load(at), sums.of(terms.load(builder.add(j, k)))), at)
    rest = builder.sub(count, whole)
    with builder.if_then(builder.icmp_unsigned(">", rest, word(0))):
        at = builder.add(i, whole)
        last = terms.load_first(builder.add(j, whole), rest)
        sums.store(builder.fadd(sums.load(at), sums.of(last)), at)
    return context.get_dummy_value()


@numba.extending.intrinsic  # type: ignore[untyped-decorator]
def _compiled_add_run(typing: Any, to: Any, i: Any, source: Any, j: Any, count: Any) -> Any:
    word = numba.int64
    return numba.void(to, word, source, word, word), _add_run


def _add_sum(size: int) -> Callable[..., Any]:
    """Code of `add_chunk` and `add_wide`."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, i, end, factor, _, first, width, places, begin, stop = arguments
        rows, sums = (_Chunks(context, builder, signature.args[k], arguments[k], size) for k in (4, 0))
        listed, one = context.make_array(signature.args[7])(context, builder, places).data, first.type(1)

        def row(k: Any) -> Any:
            place = builder.sext(builder.load(builder.gep(listed, [k])), first.type)
            return rows.load(builder.add(first, builder.mul(place, width)))

        total = cgutils.alloca_once(builder, rows.type)
        builder.store(row(begin), total)
        with cgutils.for_range_slice(builder, builder.add(begin, one), stop, one, first.type) as (k, _):
            builder.store(builder.fadd(builder.load(total), row(k)), total)
        terms, count = builder.fmul(sums.filled(factor), builder.load(total)), builder.sub(end, i)
        with builder.if_else(builder.icmp_signed(">=", count, first.type(size))) as (whole, part):
            with whole:
                sums.store(builder.fadd(sums.load(i), terms), i)
            with part:
                sums.store_first(builder.fadd(sums.load_first(i, count), terms), i, count)
        return context.get_dummy_value()

    return code


def _of_size(size: int) -> Any:
    made = _add_sum(size)

    def add_sum(
        typing: Any, to: Any, i: Any, end: Any, factor: Any, table: Any, first: Any, width: Any, places: Any, begin: Any,
        stop: Any,
    ) -> Any:  # fmt: skip
        word = numba.int64
        return numba.void(to, word, word, to.dtype, table, word, word, places, word, word), made

    return numba.extending.intrinsic(add_sum)


def _plain_add_run(to: np.ndarray, i: int, source: np.ndarray, j: int, count: int) -> None:
    """Like the compiled one."""
    to.reshape(-1)[i : i + count] += source.reshape(-1)[j : j + count]


def _plain_of_size(size: int) -> Callable[..., None]:
    def add_sum(
        to: np.ndarray, i: int, end: int, factor: Any, table: np.ndarray, first: int, width: int, places: np.ndarray,
        begin: int, stop: int,
    ) -> None:  # fmt: skip
        """Like the compiled one."""
        flat = table.reshape(-1)
        at = first + width * places.reshape(-1)[begin:stop].astype(np.int64)
        total = flat[at[0] : at[0] + size].copy()
        for start in at[1:]:
            total += flat[start : start + size]
        count = min(end - i, size)
        to[i : i + count] += factor * total[:count]

    return add_sum


def _marks(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Code of `marks`."""
    marked = _Chunks(context, builder, signature.args[0], arguments[0], WIDE).load(arguments[1])
    bits = builder.icmp_signed("!=", marked, ir.Constant(marked.type, [0] * WIDE))
    return builder.zext(builder.bitcast(bits, ir.IntType(WIDE)), ir.IntType(64))


@numba.extending.intrinsic  # type: ignore[untyped-decorator]
def _compiled_marks(typing: Any, array: Any, index: Any) -> Any:
    return numba.int64(array, numba.int64), _marks


def _lowest(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Code of `lowest`."""
    return builder.cttz(arguments[0], ir.IntType(1)(1))


@numba.extending.intrinsic  # type: ignore[untyped-decorator]
def _compiled_lowest(typing: Any, bits: Any) -> Any:
    return numba.int64(numba.int64), _lowest


def _plain_marks(array: np.ndarray, index: int) -> int:
    """Like the compiled one."""
    return sum(1 << int(k) for k in np.flatnonzero(array[index : index + WIDE]))


def _plain_lowest(bits: int) -> int:
    """Like the compiled one."""
    return (bits & -bits).bit_length() - 1


# ``marks(array, i)``: an integer whose bit ``k`` says whether entry ``i + k`` of an array of int32 is not zero, up to ``WIDE``.
marks = _plain_marks if _PLAIN else _compiled_marks
# ``lowest(bits)``: the number of the lowest bit that is set, of at least one.
lowest = _plain_lowest if _PLAIN else _compiled_lowest
# ``add_run(to, i, source, j, count)``: add ``count`` entries of ``source`` from ``j`` on to those of ``to`` from ``i`` on, behind
# which there must be ``CHUNK`` entries more. These stay what they are.
add_run = _plain_add_run if _PLAIN else _compiled_add_run
# ``add_chunk(to, i, end, factor, table, first, width, places, begin, stop)``: sum the rows ``places[begin:stop]`` (int32, one
# or more), in their order, of a table whose rows have ``width`` entries, from entry ``first`` on, and add ``factor`` times the
# sum to ``to[i:end]``, or to the first ``CHUNK`` entries of that; `add_wide` and `add_broad` to the first ``WIDE`` and ``BROAD``.
add_chunk, add_wide, add_broad = (_plain_of_size(n) if _PLAIN else _of_size(n) for n in (CHUNK, WIDE, BROAD))
