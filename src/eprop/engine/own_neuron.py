"""The loop over neurons of each model; compiler of a user's `update` (extra ``own-neuron``).

Only this module imports Numba. Compiled loops are kept in memory, by a digest of their code, until the process ends.
"""

from __future__ import annotations

import gc
import hashlib
import re
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from eprop.core import lib
from eprop.errors import MissingExtraError, NetworkError
from eprop.models import Neuron, inline
from eprop.models.base import compiled_step, core_model
from eprop.models.membrane import HEIGHT, WIDTH, surrogate_gradient

#: Code of these modules belongs to the package, to Python or to a library, and is identified by name alone.
LIBRARIES = frozenset({"eprop", "numpy", "numba", "scipy", *sys.stdlib_module_names}) - {"__main__"}
#: Numba's names for memory allocation inside a loop.
TAKES_MEMORY = re.compile(r"NRT_(Allocate|MemInfo_(alloc|new))")


class NeuronLoop(NamedTuple):
    """Loop of a model in the core: the code of a built-in model, or the address of a compiled loop."""

    model: int
    own: int


def loop_of(neuron: Neuron, shared: bool) -> NeuronLoop:
    """Return the loop over the neurons of a population.

    Parameters
    ----------
    neuron : Neuron
        The model of the population.
    shared : bool
        Whether all neurons have the same parameters. A user's own model is compiled for either case: with shared parameters, a
        step of a hand-written ALIF takes half the time.

    Raises
    ------
    MissingExtraError
        If a user's own model needs compilation and Numba is not installed.
    NetworkError
        If the compiler rejects its `update`.
    """
    update, name = compiled_step(neuron), core_model(type(neuron))
    if update is None:
        assert name is not None
        return NeuronLoop(lib.models[name], 0)
    return NeuronLoop(0, _compiled(neuron, update, shared).address)


# -------------------------------------------------------------------------------------------------------------- compiler

# Compiled loops by digests of `update` and of the surrogate gradient, numbers of rows, and whether parameters are shared. Machine
# code lives as long as its entry.
_LOOPS: dict[tuple[str, str, int, int, bool], Any] = {}


def _compiled(neuron: Neuron, update: Callable[..., Any], shared: bool) -> Any:
    model, gradient = type(neuron), getattr(getattr(neuron, "surrogate", None), "gradient", None)
    digest = "" if gradient is None else digest_of(gradient)
    key = digest_of(update), digest, len(model.state_rows), len(model.parameter_rows), shared
    if key not in _LOOPS:
        try:
            from numba.core.errors import NumbaError, UnsupportedBytecodeError
        except ImportError as error:
            raise MissingExtraError("numba", "own-neuron", f"{model.__name__}, a neuron model of your own,") from error
        collects = gc.isenabled()
        gc.disable()  # else a tenth of the compile time goes into the search for cycles among a million new objects
        try:
            loop = _compile(_with_callees(update, gradient), *key[2:])
        except (NumbaError, UnsupportedBytecodeError) as error:
            raise _refusal(model, _gist(str(error), update)) from error
        finally:
            if collects:
                gc.enable()
        if TAKES_MEMORY.search(loop.inspect_llvm()):
            raise _refusal(model, _gist("it makes an array, a list or a text", update))
        _LOOPS[key] = loop
    return _LOOPS[key]


def _compile(update: Callable[..., Any], n_state: int, n_params: int, shared: bool) -> Any:
    """Compile the loop over neurons around ``update``, with the signature of `NeuronLoop` in ``core/common/neurons/own.hpp``.

    Unsigned indices and ``error_model="numpy"`` let LLVM vectorise the loop. LLVM checks at run time that arrays do not
    overlap, for a limited number of pairs; therefore the loop does not clear its input as well.
    """
    from numba import carray, cfunc
    from numba import types as numba_types
    from numpy.lib.stride_tricks import as_strided

    def loop(begin: Any, neurons: Any, columns: Any, state: Any, params: Any, x: Any, psi: Any, spiked: Any) -> None:
        states, first = carray(state, (n_state, columns)), np.uint64(begin)
        if shared:
            parameters = as_strided(carray(params, (n_params, columns)), (n_params, columns), (8 * columns, 0))
        else:
            parameters = carray(params, (n_params, columns))
        for k in range(np.uint64(neurons)):
            spike, psi_k = update(states, parameters, first + k, x[first + k])
            psi[k] = psi_k
            spiked[k] = np.int32(1) if spike else np.int32(0)

    index, numbers = numba_types.int64, numba_types.CPointer(numba_types.float64)
    marks = numba_types.CPointer(numba_types.int32)
    signature = numba_types.void(index, index, index, numbers, numbers, numbers, numbers, marks)
    return cfunc(signature, error_model="numpy")(loop)


def _with_callees(update: Callable[..., Any], gradient: Callable[..., Any] | None) -> Any:
    """Return ``update`` for the compiler, with the functions that it calls.

    `surrogate_gradient` becomes the population's own function: a loop that may call an exponential does not vectorise.
    """
    if gradient is None:
        return _anew(update, (), {})

    @inline
    def of_population(params: Any, j: Any, u: Any) -> Any:
        return gradient(u, params[HEIGHT, j], params[WIDTH, j])

    return _anew(update, (), {surrogate_gradient: _anew(of_population, (), {})})


def _anew(value: object, names: Sequence[str], made: dict[Any, Any]) -> Any:
    """Copy a marked function, with all marked functions that it calls, for compilation in its present form.

    Numba freezes constants and called functions, but a notebook may change them after an earlier compilation. A module
    becomes a copy in which the attributes ``names`` are treated in the same way. Other values are returned unchanged.
    """
    from numba import njit

    if isinstance(value, types.ModuleType) and (value.__name__.startswith("eprop.") or not _of_library(value.__name__)):
        key = value, tuple(names)
        if key not in made:
            made[key] = copy = types.ModuleType(value.__name__)
            vars(copy).update(vars(value))
            vars(copy).update({name: _anew(vars(value)[name], names, made) for name in names if name in vars(value)})
        return made[key]
    plain = getattr(value, "py_func", None)
    if plain is None:
        return value
    if plain not in made:
        used, known = _names(plain.__code__), dict(plain.__globals__)
        cells = tuple(types.CellType() for _ in plain.__closure__ or ())
        function = types.FunctionType(plain.__code__, known, plain.__name__, plain.__defaults__, cells or None)
        function.__qualname__ = plain.__qualname__
        made[plain] = njit(error_model="numpy", forceinline=True)(function)
        known |= {name: _anew(known[name], used, made) for name in used if name in known}
        for cell, theirs in zip(cells, plain.__closure__ or (), strict=True):
            cell.cell_contents = _anew(theirs.cell_contents, used, made)
    return made[plain]


# ---------------------------------------------------------------------------------------------------------------- digest


def digest_of(function: Callable[..., Any]) -> str:
    """Digest of everything that defines a marked function: its code, the code it calls, and the constants it uses.

    Other content of its file or notebook does not count.
    """
    digest = hashlib.sha256()
    for part in _parts(function, []):
        digest.update(part.encode() + b"\n")
    return digest.hexdigest()[:32]


def _of_library(module: str) -> bool:
    return module.partition(".")[0] in LIBRARIES


def _parts(value: object, met: list[Any]) -> Iterator[str]:
    """Yield what defines a value, as text; functions are followed once."""
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
    elif isinstance(value, types.ModuleType) or callable(value):  # from a library: the name is enough
        yield f"{type(value).__name__} {getattr(value, '__name__', value)}"
    else:
        yield f"{type(value).__name__} {value!r}"


def _attributes(owners: list[Any], names: list[str], met: list[Any]) -> Iterator[str]:
    """Attributes with these names in modules and classes, because the code of `constants.G` or `Row.V` holds only the names."""
    for owner in owners:  # the list grows by nested modules
        if isinstance(owner, (types.ModuleType, type)):
            for name in names:
                found = getattr(owner, name, None)
                yield from _parts(found, met)
                if isinstance(found, (types.ModuleType, type)) and not any(found is other for other in owners):
                    owners.append(found)


def _names(code: types.CodeType) -> list[str]:
    """Names that a function and its nested functions use."""
    inner = [name for part in code.co_consts if isinstance(part, types.CodeType) for name in _names(part)]
    return [*code.co_names, *inner]


# ----------------------------------------------------------------------------------------------------------------- words


def _refusal(model: type[Neuron], reason: str) -> NetworkError:
    return NetworkError(
        f"{model.__name__}.update cannot be compiled: {reason}. It may use numbers, functions of math and NumPy on numbers, and "
        "functions with @inline, but not arrays, lists or dictionaries of its own"
    )


def _gist(text: str, update: Any) -> str:
    """Extract the reason and the line from Numba's long message."""
    lines = [line.strip() for line in text.splitlines()]
    reasons = [line for line in lines if line and not line.startswith(("Failed in", "During:", "File ", "- ", ">>>"))]
    reason = reasons[0].rstrip(":.") if reasons else "the compiler gives no reason"
    if re.search(r"f-strings|\(FORMAT_", reason):  # which of the two depends on the version of Python
        reason = "the compiler does not support f-strings"
    elif opcode := re.search(r"unsupported opcode \((\w+)\)", reason):
        reason = f"it has a statement that the compiler does not support ({opcode[1]})"
    plain = getattr(update, "py_func", update)
    file = re.escape(plain.__code__.co_filename.rpartition("/")[2])
    found = re.findall(rf"{file}(?:\", line | \()(\d+)", text)
    return f"{reason} ({plain.__code__.co_filename}, line {found[-1] if found else plain.__code__.co_firstlineno})"
