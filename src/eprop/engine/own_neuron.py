"""The loop over neurons of each model; compiler of a user's `update` or surrogate gradient (extra ``own-neuron``).

Only this module imports Numba. It compiles the marked functions that such a function calls as well. Compiled functions are kept
in memory, by the code and constants that they contain, until the process ends.
"""

from __future__ import annotations

import gc
import sys
import types
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import numpy as np

from eprop.core import lib
from eprop.errors import MissingExtraError, NetworkError
from eprop.models import Neuron, inline
from eprop.models.base import core_model
from eprop.models.membrane import HEIGHT, WIDTH, surrogate_gradient

#: Modules of Python and of libraries: their attributes do not change.
LIBRARIES = frozenset({"numpy", "numba", "scipy", *sys.stdlib_module_names}) - {"__main__"}


def _unchanged(function: Any) -> Any:
    return function


class MarkedCopies:
    """Copies marked functions, with all marked functions that they call, in their present form.

    Numba freezes constants and called functions, but a notebook may change them after an earlier compilation.
    `surrogate_gradient` becomes the population's own function: a loop that may call an exponential does not vectorise.

    Parameters
    ----------
    gradient : callable, optional
        The function of the population's surrogate gradient.
    finish : callable
        Turns each copied function into the one that is called: a compiler, or nothing.

    Attributes
    ----------
    contents : list
        Code and constants of the copied functions: what a compiled function depends on.
    """

    def __init__(self, gradient: Callable[..., Any] | None, finish: Callable[..., Any] = _unchanged):
        self._finish = finish
        self.contents: list[Hashable] = []
        self._made: dict[Any, Any] = {}
        if gradient is not None:

            @inline
            def of_population(params: Any, j: Any, u: Any) -> Any:
                return gradient(u, params[HEIGHT, j], params[WIDTH, j])

            self._made[surrogate_gradient] = self.copy(of_population)

    def copy(self, value: Any, names: frozenset[str] = frozenset()) -> Any:
        """Copy a marked function, or a module with its attributes ``names``; return other values unchanged."""
        if isinstance(value, types.ModuleType) and value.__name__.partition(".")[0] not in LIBRARIES:
            return self._module(value, names)
        plain = getattr(value, "py_func", None)
        if plain is None:
            self.contents.append(_identity(value))
            return value
        if plain not in self._made:
            self._made[plain] = self._function(plain)
        return self._made[plain]

    def _function(self, plain: Any) -> Any:
        used, known, closure = _names(plain.__code__), dict(plain.__globals__), plain.__closure__ or ()
        self.contents += [plain.__code__, repr(plain.__defaults__)]
        cells = tuple(types.CellType() for _ in closure)
        function = types.FunctionType(plain.__code__, known, plain.__name__, plain.__defaults__, cells or None)
        function.__qualname__ = plain.__qualname__
        self._made[plain] = finished = self._finish(function)
        known |= {name: self.copy(known[name], used) for name in sorted(used & known.keys())}
        for cell, original in zip(cells, closure, strict=True):
            cell.cell_contents = self.copy(original.cell_contents, used)
        return finished

    def _module(self, module: types.ModuleType, names: frozenset[str]) -> types.ModuleType:
        key, known = (module, names), vars(module)
        if key not in self._made:
            self._made[key] = copy = types.ModuleType(module.__name__)
            vars(copy).update(known)
            vars(copy).update({name: self.copy(known[name], names) for name in sorted(names & known.keys())})
        made: types.ModuleType = self._made[key]
        return made


def _names(code: types.CodeType) -> frozenset[str]:
    """Names that a function and its nested functions use."""
    inner = (_names(part) for part in code.co_consts if isinstance(part, types.CodeType))
    return frozenset(code.co_names).union(*inner)


def _identity(value: object) -> Hashable:
    """Return what distinguishes a constant from others; the numbers 1, 1.0 and True are different for a compiler."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, (types.FunctionType, types.ModuleType, type)):
        return value
    return type(value), repr(value)


#: What compiled code must not do, by the functions of Numba's run time that it would call: nobody takes an error from the loop.
REFUSED_CALLS = {
    ("NRT_Allocate", "NRT_MemInfo_alloc", "NRT_MemInfo_new"): "it makes an array, a list or a text",
    (
        "numba_do_raise",
    ): "it may raise an error (raise, assert, a power of integers), which the loop over neurons cannot report",
}


#: What each function of a user belongs to.
PARTS = {"update": "a neuron model", "gradient": "a surrogate gradient"}
#: In place of the code of a model: the neurons have a loop of their own.
OWN_MODEL = -1


class NeuronLoop(NamedTuple):
    """Loop of a model in the core: the code of a built-in model or `OWN_MODEL`, and the address of a compiled function.

    The function is the loop of a user's own model, or the user's surrogate gradient of neurons with a built-in model; 0: none.
    """

    model: int
    function: int


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
        If a user's own model or surrogate gradient needs compilation and Numba is not installed.
    NetworkError
        If the compiler rejects its function.
    """
    model, surrogate = type(neuron), getattr(neuron, "surrogate", None)
    name = core_model(model)
    if name is None:
        sizes = len(model.state_rows), len(model.parameter_rows)
        gradient = getattr(surrogate, "gradient", None)
        return NeuronLoop(OWN_MODEL, _compiled(model, "update", _compile_loop, (*sizes, shared), gradient))
    if surrogate is None or surrogate.code >= 0:
        return NeuronLoop(lib.models[name], 0)
    return NeuronLoop(lib.models[name], _compiled(type(surrogate), "gradient", _compile_gradient))


# Compiled functions by their code and constants, and what they are compiled for. Machine code lives as long as its entry.
_COMPILED: dict[Hashable, Any] = {}


def _compiled(
    owner: type,
    name: str,
    compile_as: Callable[..., Any],
    options: tuple[Any, ...] = (),
    gradient: Callable[..., Any] | None = None,
) -> int:
    """Address of the function ``name`` of a class: ``compile_as(function, *options)`` compiles it.

    ``gradient`` is the surrogate gradient of the population, if the function may call it.
    """
    try:
        from numba import njit
        from numba.core.errors import NumbaError, UnsupportedBytecodeError
    except ImportError as error:
        raise MissingExtraError("numba", "own-neuron", f"{owner.__name__}, {PARTS[name]} of your own,") from error
    copies = MarkedCopies(gradient, njit(error_model="numpy", forceinline=True))
    function = copies.copy(getattr(owner, name))
    key = *copies.contents, compile_as, *options
    if key not in _COMPILED:
        collects = gc.isenabled()
        gc.disable()  # else a tenth of the compile time goes into the search for cycles among a million new objects
        try:
            made = compile_as(function, *options)
        except (NumbaError, UnsupportedBytecodeError) as error:
            raise _refusal(owner, name, str(error)) from error
        finally:
            if collects:
                gc.enable()
        code = made.inspect_llvm()
        for names, reason in REFUSED_CALLS.items():
            if any(called in code for called in names):
                raise _refusal(owner, name, reason)
        _COMPILED[key] = made
    return int(_COMPILED[key].address)


def _compile_gradient(function: Callable[..., Any]) -> Any:
    """Compile a surrogate gradient, with the signature of `OwnSurrogate` in ``core/neurons/own.hpp``."""
    from numba import cfunc
    from numba import types as numba_types

    def gradient(u: Any, height: Any, width: Any) -> Any:
        return function(u, height, width)

    number = numba_types.float64
    return cfunc(number(number, number, number), error_model="numpy")(gradient)


def _compile_loop(update: Callable[..., Any], n_state: int, n_params: int, shared: bool) -> Any:
    """Compile the loop over neurons around ``update``, with the signature of `NeuronLoop` in ``core/neurons/own.hpp``.

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


def _refusal(owner: type, name: str, reason: str) -> NetworkError:
    function = getattr(owner, name)
    code = getattr(function, "py_func", function).__code__
    return NetworkError(
        f"{owner.__name__}.{name} ({code.co_filename}, line {code.co_firstlineno}) cannot be compiled. It may use numbers, "
        "functions of math and NumPy on numbers, and functions with @inline, but not arrays, lists, dictionaries or f-strings "
        f"of its own, and it must not raise errors. The compiler says: {reason}"
    )
