"""A user's own compiled functions: a digest that changes when one of them does, and words for what the compiler refuses."""

from __future__ import annotations

import functools
import hashlib
import re
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from eprop import _jit
from eprop.errors import NetworkError
from eprop.models import Neuron

#: Their code belongs to the cache as a whole, see `eprop._jit`, or to a version of Python.
LIBRARIES = frozenset({"eprop", "numpy", "numba", "scipy", *sys.stdlib_module_names}) - {"__main__"}


def is_own(model: type[Neuron]) -> bool:
    """Whether a model is not the package's."""
    return not _jit.in_package(model)


def digest_of(function: Callable[..., Any]) -> str:
    """Eight digits for all that a compiled function is made of: code, its own and of what it calls, and the constants it freezes.

    What else stands in its file, or notebook, does not count, so that nothing is compiled again because of it.
    """
    digest = hashlib.sha256()
    for part in _parts(function, []):
        digest.update(part.encode() + b"\n")
    return digest.hexdigest()[:8]


@functools.cache
def as_it_is_now(function: Callable[..., Any], digest: str) -> Callable[..., Any]:
    """The function, compiled from what it is made of at present, which is what ``digest`` stands for.

    Numba freezes constants, and functions that are called, when it compiles a function for the first time. Those of a notebook
    may have changed since.
    """
    return _anew(function, (), {})


def _anew(value: Any, names: Sequence[str], made: dict[Any, Any]) -> Any:
    """A user's compiled function, with all such functions that it calls, to be compiled again; anything else as it is.

    A module becomes one in which this was done to what has these ``names``.
    """
    if isinstance(value, types.ModuleType) and not _of_library(value.__name__):
        key = value, tuple(names)
        if key not in made:
            made[key] = copy = types.ModuleType(value.__name__)
            vars(copy).update(vars(value))
            vars(copy).update({name: _anew(vars(value)[name], names, made) for name in names if name in vars(value)})
        return made[key]
    plain = getattr(value, "py_func", None)
    if plain is None or _jit.in_package(plain):
        return value
    if plain not in made:
        used, known = _names(plain.__code__), dict(plain.__globals__)
        cells = tuple(types.CellType() for _ in plain.__closure__ or ())
        function = types.FunctionType(plain.__code__, known, plain.__name__, plain.__defaults__, cells or None)
        # Numba keeps the name of the module with the machine code, and imports it to load that. Theirs may be gone by then, or
        # have another name: the digest is of what functions do.
        function.__module__, function.__qualname__ = "__main__", f"{plain.__module__}.{plain.__qualname__}"
        made[plain] = _jit.inline(function)
        known |= {name: _anew(known[name], used, made) for name in used if name in known}
        for cell, theirs in zip(cells, plain.__closure__ or (), strict=True):
            cell.cell_contents = _anew(theirs.cell_contents, used, made)
    return made[plain]


def _of_library(module: str) -> bool:
    return module.partition(".")[0] in LIBRARIES


def _parts(value: Any, met: list[Any]) -> Any:
    """What makes a value what it is, as text; functions are followed once."""
    value = getattr(value, "py_func", value)
    if isinstance(value, types.FunctionType) and not _of_library(value.__module__):
        if any(value is other for other in met):
            return
        met.append(value)
        names = {name: value.__globals__[name] for name in _names(value.__code__) if name in value.__globals__}
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        yield value.__qualname__
        for part in (value.__code__, value.__defaults__, cells, *names.items()):
            yield from _parts(part, met)
        yield from _attributes([*names.values(), *cells], _names(value.__code__), met)
    elif isinstance(value, types.CodeType):
        yield f"{value.co_code.hex()} {value.co_names} {value.co_varnames} {value.co_freevars}"
        yield from _parts(value.co_consts, met)
    elif isinstance(value, (tuple, list)):
        yield f"{type(value).__name__} of {len(value)}"
        for part in value:
            yield from _parts(part, met)
    elif isinstance(value, frozenset):
        yield f"{sorted(map(repr, value))}"
    elif isinstance(value, np.ndarray):
        yield f"{value.dtype} {value.shape} {value.tobytes().hex()}"
    elif isinstance(value, types.ModuleType) or callable(value):  # of libraries: their names will do
        yield f"{type(value).__name__} {getattr(value, '__name__', value)}"
    else:
        yield f"{type(value).__name__} {value!r}"


def _attributes(owners: list[Any], names: list[str], met: list[Any]) -> Any:
    """What has these names in modules and classes: of `constants.G` or `Row.V` the code holds the two names alone."""
    for owner in owners:  # grows by modules within modules
        if isinstance(owner, (types.ModuleType, type)):
            for name in names:
                found = getattr(owner, name, None)
                yield from _parts(found, met)
                if isinstance(found, (types.ModuleType, type)) and not any(found is other for other in owners):
                    owners.append(found)


def _names(code: types.CodeType) -> list[str]:
    """Names that a function uses, and those defined within it."""
    inner = [name for part in code.co_consts if isinstance(part, types.CodeType) for name in _names(part)]
    return [*code.co_names, *inner]


def explaining(loop: Callable[..., Any], models: Sequence[type[Neuron]]) -> Callable[..., Any]:
    """The loop; where it cannot be compiled because of a user's own `update`, that is said in words.

    Raises
    ------
    NetworkError
        Of the function that is returned.
    """
    own = [model for model in models if is_own(model)]
    if not own:
        return loop

    def call(*arguments: Any) -> Any:
        try:
            return loop(*arguments)
        except _jit.COMPILE_ERRORS as error:
            _explain(own, error)

    return call


def _explain(models: Sequence[type[Neuron]], error: Exception) -> NoReturn:
    for model in models:
        update = as_it_is_now(model.update, digest_of(model.update))
        try:  # alone, on the types that the loops give it
            update(np.zeros((len(model.state_rows), 1)), np.ones((len(model.parameter_rows), 1)), np.uint64(0), 0.0)
        except _jit.COMPILE_ERRORS as alone:
            raise NetworkError(
                f"{model.__name__}.update cannot be compiled: {_gist(str(alone), model.update)}. It may use numbers, functions "
                "of math and NumPy of numbers, and functions with @inline; not arrays, lists or dictionaries of its own"
            ) from alone
    raise error


def _gist(text: str, update: Any) -> str:
    """Of the many lines of Numba's message, the reason and the place."""
    lines = [line.strip() for line in text.splitlines()]
    reasons = [line for line in lines if line and not line.startswith(("Failed in", "During:", "File ", "- ", ">>>"))]
    reason = reasons[0].rstrip(":.") if reasons else "the compiler gives no reason"
    if re.search(r"f-strings|\(FORMAT_", reason):  # which of the two depends on the version of Python
        reason = "the compiler knows no f-strings"
    elif opcode := re.search(r"unsupported opcode \((\w+)\)", reason):
        reason = f"it has a statement that the compiler does not know ({opcode[1]})"
    if "NRT required" in text:  # its name for memory that is taken while the loop runs
        reason = "it makes an array, a list or a text"
    plain = getattr(update, "py_func", update)
    file = re.escape(plain.__code__.co_filename.rpartition("/")[2])
    found = re.findall(rf"{file}(?:\", line | \()(\d+)", text)
    return f"{reason} ({plain.__code__.co_filename}, line {found[-1] if found else plain.__code__.co_firstlineno})"
