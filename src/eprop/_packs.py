"""Packs: some synapses of a row at a time, as vectors, in code that is written as if for one.

The targets of a row lie anywhere, so LLVM does not vectorise a loop over its synapses; it would have to look up each number of a
target's map by itself. Here what belongs to a target lies side by side in a *record*; the records of a pack's targets are
loaded whole and turned, so that each entry of theirs becomes a vector. A `Pack` can be added, subtracted, multiplied and divided.
Loops are templates, bound to an `Access` to a pack of synapses or to a single one: the operations are the same, in the same
order, so no bit depends on which of them does a synapse. Others get these from `eprop._jit`.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.core.types.containers import UniTuple
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

# Synapses of a pack; entries of a record come in groups of so many.
PACK, GROUP = 8, 4
_INT, _WORD = ir.IntType(32), ir.IntType(64)
_PLAIN = bool(numba.config.DISABLE_JIT)


class Access(NamedTuple):
    """How loops read and write the synapses that they do at a time, from synapse ``q`` on.

    Attributes
    ----------
    read, write : callable
        ``read(values, q)``, ``write(values, q, new)``: entries of an array (contiguous, the index is that of the flattened one).
    spread : callable
        ``spread(number, values)``: the same number for each, in the type of an array.
    cast : callable
        ``cast(value, values)``: in the type of an array.
    aim : callable
        ``aim(targets, q)``: a tuple of the targets ``to``. They are read once: what is written might be other targets, for all
        that a compiler knows.
    records : callable
        ``records(table, first, to)``: of the targets' records, a tuple of their entries. ``table`` is contiguous, its last axis
        are the entries of a record, as many as `access` was told, and the record of target 0 begins at its entry ``first``.
    column : callable
        ``column(table, first, to, values)``: of the targets, the entries of one row of a table, which begins at its entry
        ``first``, in the type of an array.
    limit : callable
        ``limit(w, w_min, w_max)``: as `eprop.equations.optimize.clip`.
    pass_on : callable
        ``pass_on(x, to, w)``: add to the inputs of the targets, one after the other.
    """

    read: Callable[..., Any]
    write: Callable[..., Any]
    spread: Callable[..., Any]
    cast: Callable[..., Any]
    aim: Callable[..., Any]
    records: Callable[..., Any]
    column: Callable[..., Any]
    limit: Callable[..., Any]
    pass_on: Callable[..., Any]


def record_size(entries: int) -> int:
    """Entries of a record, of which so many are used."""
    return -(-entries // GROUP) * GROUP


class Pack(types.Type):
    """Numba's type of `PACK` numbers of one type."""

    def __init__(self, dtype: Any):
        self.dtype = dtype
        super().__init__(name=f"Pack({dtype})")


@register_model(Pack)
class _PackModel(models.PrimitiveModel):  # type: ignore[misc]
    """A vector of LLVM."""

    def __init__(self, manager: Any, kind: Pack):
        super().__init__(manager, kind, ir.VectorType(manager.lookup(kind.dtype).get_value_type(), PACK))


def _operator(function: Callable[..., Any], code: str) -> None:
    """Let packs of one type take part in an operator."""

    class Typing(AbstractTemplate):  # type: ignore[misc]
        def generic(self, arguments: Any, keywords: Any) -> Any:
            if not keywords and isinstance(arguments[0], Pack) and set(arguments) == {arguments[0]}:
                return signature(arguments[0], *arguments)
            return None

    infer_global(function)(Typing)

    @lower_builtin(function, *[Pack] * (1 if code == "fneg" else 2))  # type: ignore[untyped-decorator]
    def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return getattr(builder, code)(*arguments)


for _function, _code in (
    (operator.add, "fadd"), (operator.iadd, "fadd"), (operator.sub, "fsub"), (operator.isub, "fsub"),
    (operator.mul, "fmul"), (operator.imul, "fmul"), (operator.truediv, "fdiv"), (operator.neg, "fneg"),
):  # fmt: skip
    _operator(_function, _code)


class _Values:
    """Entries of an array, as of the flattened one."""

    def __init__(self, context: Any, builder: Any, kind: Any, array: Any):
        made = context.make_array(kind)(context, builder, array)
        self._builder, self._data = builder, made.data
        self.width = cgutils.unpack_tuple(builder, made.shape)[-1]
        self._element = context.get_data_type(kind.dtype)
        self._align = int(context.get_abi_sizeof(self._element))

    def _at(self, index: Any, size: int) -> Any:
        place = self._builder.gep(self._data, [index])
        return place if size == 1 else self._builder.bitcast(place, ir.VectorType(self._element, size).as_pointer())

    def load(self, index: Any, size: int) -> Any:
        """One of them, or a vector."""
        return self._builder.load(self._at(index, size), align=self._align)

    def store(self, value: Any, index: Any, size: int) -> None:
        """Write one of them, or a vector."""
        self._builder.store(value, self._at(index, size), align=self._align)


def _shuffled(builder: Any, a: Any, b: Any, places: list[int]) -> Any:
    """Of two vectors, the entries at these places."""
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_INT, len(places)), places))


def _turned(builder: Any, records: list[Any]) -> list[Any]:
    """Of eight vectors of four entries, four of eight. Shuffles are those that processors know: within four lanes each."""
    pairs = [_shuffled(builder, records[k], records[k + 4], list(range(8))) for k in range(4)]
    out = []
    for order in ([0, 8, 1, 9, 4, 12, 5, 13], [2, 10, 3, 11, 6, 14, 7, 15]):
        even, odd = _shuffled(builder, pairs[0], pairs[1], order), _shuffled(builder, pairs[2], pairs[3], order)
        out.append(_shuffled(builder, even, odd, [0, 1, 8, 9, 4, 5, 12, 13]))
        out.append(_shuffled(builder, even, odd, [2, 3, 10, 11, 6, 7, 14, 15]))
    return out


def _returned(builder: Any, entries: list[Any]) -> list[Any]:
    """The way back from `_turned`: of four vectors of eight entries, eight of four."""
    low, high = [0, 8, 1, 9, 4, 12, 5, 13], [2, 10, 3, 11, 6, 14, 7, 15]
    out: list[Any] = [None] * PACK
    for k, order in ((0, low), (2, high)):
        even, odd = _shuffled(builder, entries[0], entries[1], order), _shuffled(builder, entries[2], entries[3], order)
        out[k] = _shuffled(builder, even, odd, [0, 1, 8, 9])
        out[k + 1] = _shuffled(builder, even, odd, [2, 3, 10, 11])
        out[k + 4] = _shuffled(builder, even, odd, [4, 5, 12, 13])
        out[k + 5] = _shuffled(builder, even, odd, [6, 7, 14, 15])
    return out


def _converted(builder: Any, value: Any, kind: Any) -> Any:
    """A number, or a vector of them, in another type."""
    if value.type == kind:
        return value
    element = kind.element if isinstance(kind, ir.VectorType) else kind
    return (builder.fpext if isinstance(element, ir.DoubleType) else builder.fptrunc)(value, kind)


def _together(builder: Any, numbers: list[Any]) -> Any:
    """Numbers as a vector; one stays what it is."""
    if len(numbers) == 1:
        return numbers[0]
    out = ir.Constant(ir.VectorType(numbers[0].type, len(numbers)), ir.Undefined)
    for k, number in enumerate(numbers):
        out = builder.insert_element(out, number, _INT(k))
    return out


def _apart(builder: Any, value: Any, size: int) -> list[Any]:
    """The numbers of a vector; a number is the only one."""
    return [value] if size == 1 else [builder.extract_element(value, _INT(k)) for k in range(size)]


def _reading(size: int) -> tuple[Any, Any, Any, Any]:
    """Compiled ``read``, ``write``, ``spread`` and ``cast`` of ``size`` synapses."""

    @intrinsic  # type: ignore[untyped-decorator]
    def read(typing: Any, values: Any, q: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return _Values(context, builder, signature.args[0], arguments[0]).load(arguments[1], size)

        return _kind(values, size)(values, types.uint64), code

    @intrinsic  # type: ignore[untyped-decorator]
    def write(typing: Any, values: Any, q: Any, new: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _Values(context, builder, signature.args[0], arguments[0]).store(arguments[2], arguments[1], size)
            return context.get_dummy_value()

        return types.void(values, types.uint64, _kind(values, size)), code

    @intrinsic  # type: ignore[untyped-decorator]
    def spread(typing: Any, number: Any, values: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            if size == 1:
                return arguments[0]
            first = _together(builder, [arguments[0], *[ir.Constant(arguments[0].type, ir.Undefined)] * (size - 1)])
            return _shuffled(builder, first, first, [0] * size)

        return _kind(values, size)(values.dtype, values), code

    @intrinsic  # type: ignore[untyped-decorator]
    def cast(typing: Any, value: Any, values: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return _converted(builder, arguments[0], context.get_value_type(signature.return_type))

        return _kind(values, size)(value, values), code

    return read, write, spread, cast


def _looking_up(size: int, entries: int, room: int) -> tuple[Any, Any, Any]:
    """Compiled ``aim``, ``records``, with that many entries and ``room``, and ``column`` of ``size`` synapses."""
    aimed = UniTuple(types.uint64, size)

    @intrinsic  # type: ignore[untyped-decorator]
    def aim(typing: Any, targets: Any, q: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            listed = _Values(context, builder, targets, arguments[0])
            found = [listed.load(builder.add(arguments[1], _WORD(k)), 1) for k in range(size)]
            return context.make_tuple(builder, aimed, [builder.zext(j, _WORD) for j in found])

        return aimed(targets, types.uint64), code

    @intrinsic  # type: ignore[untyped-decorator]
    def records(typing: Any, table: Any, first: Any, to: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            values, targets = (
                _Values(context, builder, table, arguments[0]),
                cgutils.unpack_tuple(builder, arguments[2]),
            )
            starts = [builder.add(arguments[1], builder.mul(j, _WORD(room))) for j in targets]

            def loaded(entry: int, count: int) -> list[Any]:
                return [values.load(builder.add(start, _WORD(entry)), count) for start in starts]

            out = []
            if size == 1:
                out = [loaded(c, 1)[0] for c in range(entries)]
            else:
                for c in range(0, entries, GROUP):
                    out += _turned(builder, loaded(c, GROUP))
            return context.make_tuple(builder, signature.return_type, out[:entries])

        return UniTuple(_kind(table, size), entries)(table, types.uint64, aimed), code

    @intrinsic  # type: ignore[untyped-decorator]
    def column(typing: Any, table: Any, first: Any, to: Any, values: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            numbers, targets = (
                _Values(context, builder, table, arguments[0]),
                cgutils.unpack_tuple(builder, arguments[2]),
            )
            found = [numbers.load(builder.add(arguments[1], j), 1) for j in targets]
            return _converted(builder, _together(builder, found), context.get_value_type(signature.return_type))

        return _kind(values, size)(table, types.uint64, aimed, values), code

    return aim, records, column


def _changing(size: int) -> tuple[Any, Any]:
    """Compiled ``limit`` and ``pass_on`` of ``size`` synapses."""

    @intrinsic  # type: ignore[untyped-decorator]
    def limit(typing: Any, w: Any, w_min: Any, w_max: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            w, low, high = arguments
            below = builder.select(builder.fcmp_ordered(">", w, high), high, w)
            return builder.select(builder.fcmp_ordered("<", w, low), low, below)

        return w(w, w, w), code

    @intrinsic  # type: ignore[untyped-decorator]
    def pass_on(typing: Any, x: Any, to: Any, w: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            sums, targets = _Values(context, builder, x, arguments[0]), cgutils.unpack_tuple(builder, arguments[1])
            one = context.get_value_type(x.dtype)
            added = _converted(builder, arguments[2], one if size == 1 else ir.VectorType(one, size))
            for j, number in zip(targets, _apart(builder, added, size), strict=True):
                sums.store(builder.fadd(sums.load(j, 1), number), j, 1)
            return context.get_dummy_value()

        return types.void(x, UniTuple(types.uint64, size), w), code

    return limit, pass_on


@functools.cache
def laying(entries: int) -> Any:
    """``lay(source, first, j, table, to)``: the records of a pack of neurons from ``j`` on, from maps with that many entries.

    The map begins at entry ``first`` of ``source`` (.., .., neurons), the records at entry ``to`` of ``table``. Entries of
    records that are not used become zero.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def lay(typing: Any, source: Any, first: Any, j: Any, table: Any, to: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            maps, out = _Values(context, builder, source, arguments[0]), _Values(context, builder, table, arguments[3])
            begin, nothing = (
                builder.add(arguments[1], arguments[2]),
                ir.VectorType(context.get_value_type(source.dtype), PACK),
            )
            for group in range(0, entries, GROUP):
                rows = [
                    maps.load(builder.add(begin, builder.mul(maps.width, _WORD(c))), PACK)
                    if c < entries
                    else nothing([0.0] * PACK)
                    for c in range(group, group + GROUP)
                ]
                for k, record in enumerate(_returned(builder, rows)):
                    at = builder.mul(builder.add(arguments[2], _WORD(k)), out.width)
                    out.store(record, builder.add(builder.add(arguments[4], at), _WORD(group)), GROUP)
            return context.get_dummy_value()

        return types.void(source, types.uint64, types.uint64, table, types.uint64), code

    def plain(source: np.ndarray, first: Any, j: Any, table: np.ndarray, to: Any) -> None:
        """Like the compiled one."""
        width, size, start = source.shape[-1], table.shape[-1], int(to) + int(j) * table.shape[-1]
        out = table.reshape(-1)[start : start + PACK * size].reshape(PACK, size)
        for c in range(entries):
            out[:, c] = source.reshape(-1)[int(first) + int(j) + c * width :][:PACK]

    return plain if _PLAIN else lay


def _kind(array: Any, size: int) -> Any:
    """Type of what is read from an array."""
    return array.dtype if size == 1 else Pack(array.dtype)


def _plain(size: int, entries: int, room: int) -> Access:
    """Access without a compiler: packs are arrays."""

    def part(values: np.ndarray, q: Any) -> Any:
        flat = values.reshape(-1)
        return flat[int(q)] if size == 1 else flat[int(q) : int(q) + size]

    def write(values: np.ndarray, q: Any, new: Any) -> None:
        values.reshape(-1)[int(q) : int(q) + size] = new

    def aim(targets: np.ndarray, q: Any) -> Any:
        return targets[int(q) : int(q) + size].astype(np.int64)

    def at(places: np.ndarray) -> Any:
        return places[0] if size == 1 else places

    def records(table: np.ndarray, first: Any, to: Any) -> Any:
        starts = int(first) + at(to) * room
        return tuple(table.reshape(-1)[starts + c] for c in range(entries))

    def column(table: np.ndarray, first: Any, to: Any, values: np.ndarray) -> Any:
        return table.reshape(-1)[int(first) + at(to)].astype(values.dtype)

    def limit(w: Any, w_min: Any, w_max: Any) -> Any:
        out = np.where(w < w_min, w_min, np.where(w > w_max, w_max, w))
        return out[()] if size == 1 else out

    def pass_on(x: np.ndarray, to: Any, w: Any) -> None:
        np.add.at(x, to, w)

    return Access(
        read=lambda values, q: part(values, q).copy(), write=write, spread=lambda number, values: number,
        cast=lambda value, values: value.astype(values.dtype), aim=aim, records=records, column=column, limit=limit,
        pass_on=pass_on,
    )  # fmt: skip


@functools.cache
def access(size: int, entries: int, room: int) -> Access:
    """Access to a pack (``size`` `PACK`) or to one synapse (1), whose targets have maps of so many entries.

    ``room`` is the size of a record, which is that of the largest map of the network: known when compiled, it costs less.
    """
    if _PLAIN:
        return _plain(size, entries, room)
    return Access(*_reading(size), *_looking_up(size, entries, room), *_changing(size))
