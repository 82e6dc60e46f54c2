"""A user's own neuron model or surrogate gradient: check it by running it as Python, and compile it (extra ``own-neuron``).

Running it as Python checks indices; compiled code does not. Only this module imports Numba. It compiles the marked functions
that such a function calls as well. Compiled functions are kept in memory, by the code and constants that they contain, until the
process ends.
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
from eprop.models import Neuron, Surrogate, inline
from eprop.models.base import core_model, has_eligibility
from eprop.models.membrane import HEIGHT, WIDTH, surrogate_gradient
from eprop.parameters import in_package

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
_DOUBLE = np.dtype(np.float64)


class NeuronLoop(NamedTuple):
    """Loop of a model in the core: the code of a built-in model or `OWN_MODEL`, and the address of a compiled function.

    The function is the loop of a user's own model, or the user's surrogate gradient of neurons with a built-in model; 0: none.
    """

    model: int
    function: int


def loop_of(neuron: Neuron, shared: bool, dtype: np.dtype = _DOUBLE) -> NeuronLoop:
    """Return the loop over the neurons of a population.

    Parameters
    ----------
    neuron : Neuron
        The model of the population.
    shared : bool
        Whether all neurons have the same parameters. A user's own model is compiled for either case: with shared parameters, a
        step of a hand-written ALIF takes half the time.
    dtype : numpy.dtype
        Type of the neurons' state and inputs. Parameters are double.

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
        return NeuronLoop(OWN_MODEL, _compiled(model, "update", _compile_loop, (*sizes, shared, dtype.name), gradient))
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


def _compile_loop(update: Callable[..., Any], n_state: int, n_params: int, shared: bool, real: str) -> Any:
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

    pointer, index = numba_types.CPointer, numba_types.int64
    numbers, table = pointer(getattr(numba_types, real)), pointer(numba_types.float64)
    marks = pointer(numba_types.int32)
    signature = numba_types.void(index, index, index, numbers, table, numbers, numbers, marks)
    return cfunc(signature, error_model="numpy")(loop)


def _refusal(owner: type, name: str, reason: str) -> NetworkError:
    function = getattr(owner, name)
    code = getattr(function, "py_func", function).__code__
    return NetworkError(
        f"{owner.__name__}.{name} ({code.co_filename}, line {code.co_firstlineno}) cannot be compiled. It may use numbers, "
        "functions of math and NumPy on numbers, and functions with @inline, but not arrays, lists, dictionaries or f-strings "
        f"of its own, and it must not raise errors. The compiler says: {reason}"
    )


#: Synaptic inputs of the test steps, mV: zero, small values of both signs, and values that make any neuron spike.
INPUTS = (0.0, 0.1, -0.1, 10.0, 1e4, 1e4, -1e4, 0.0)
#: Above this input an exponential may overflow.
LARGE = 1e3
#: Distances of the voltage from the threshold at which a surrogate gradient is tried, mV.
DISTANCES = (0.0, 0.1, -0.1, 1.0, -1.0, 10.0, -10.0)


def validate_user_model(neuron: Neuron, dt: float) -> None:
    """Run some steps of one neuron of a user's own model with index checks, and a user's surrogate gradient.

    Raises
    ------
    NetworkError
        If rows are missing or unknown, or `update` is not marked for compilation, fails, uses an index outside its rows, does
        not return two numbers, or returns a surrogate gradient above the declared bound. If the function of the surrogate
        gradient is not marked, fails, or does not return a finite number.
    """
    kind = type(neuron)
    surrogate = getattr(neuron, "surrogate", None)
    if surrogate is not None and surrogate.code < 0:
        _check_gradient(surrogate)
    if in_package(kind):
        return
    label = kind.__name__
    built_in = core_model(kind)
    if built_in is None and not hasattr(kind, "update"):
        raise NetworkError(
            f"{label} has no update: write update = staticmethod(...), the function of one step, in the class"
        )
    if built_in is None and not hasattr(kind.update, "py_func"):
        raise NetworkError(f"{label}.update is not compiled: write @inline (from eprop.models) above the function")
    derived = neuron.derived(dt)
    if missing := [name for name in kind.parameter_rows if name not in derived]:
        raise NetworkError(f"{label}.derived() has no value for {', '.join(missing)}, named in parameter_rows")
    if surplus := sorted(set(neuron.initial(dt, range(1), 0)) - set(kind.state_rows)):
        raise NetworkError(
            f"{label}.initial() has values for {', '.join(map(str, surplus))}, which state_rows = {kind.state_rows} does not name"
        )
    if neuron.inhibitory_row is not None:
        _check_receptors(neuron, dt)
    params = np.array([np.ravel(derived[name])[:1] for name in kind.parameter_rows], dtype=np.float64).reshape(-1, 1)
    first = neuron.initial(dt, range(1), 0)
    state = np.array([np.ravel(first.get(name, 0.0))[:1] for name in kind.state_rows], np.float64).reshape(-1, 1)
    gradient = getattr(surrogate, "gradient", None)
    update = MarkedCopies(gradient).copy(kind.update) if built_in is None else _update_of_core(neuron)
    largest = _largest_psi(neuron, dt)
    rows = f"state_rows = {neuron.state_rows}, parameter_rows = {neuron.parameter_rows}"
    with np.errstate(all="ignore"):
        for x in INPUTS:
            result = _tried(f"{label}.update", update, state, params, 0, np.float64(x), rows=rows)
            _check_result(label, result, largest)
            if abs(x) < LARGE and not np.isfinite(result[1]):
                raise NetworkError(
                    f"{label}.update returned psi = {result[1]} for an input of {x:g} mV; it must be finite"
                )


def _check_gradient(surrogate: Surrogate) -> None:
    """Try a user's surrogate gradient at some distances from the threshold."""
    label = f"{type(surrogate).__name__}.gradient"
    gradient: Any = type(surrogate).gradient
    if not hasattr(gradient, "py_func"):
        raise NetworkError(f"{label} is not compiled: write @inline (from eprop.models) above the function")
    for u in DISTANCES:
        with np.errstate(all="ignore"):
            psi = _tried(label, gradient, np.float64(u), surrogate.height, surrogate.width)
        if not isinstance(psi, (int, float, np.number)) or not np.isfinite(psi):
            raise NetworkError(
                f"{label} must return a finite number; {u:g} mV from the threshold it returned {psi!r:.80}"
            )


def _check_receptors(neuron: Neuron, dt: float) -> None:
    """Check what a neuron says of its inhibitory receptor."""
    label, row = type(neuron).__name__, neuron.inhibitory_row
    if row not in neuron.state_rows:
        raise NetworkError(f"{label}.inhibitory_row is {row!r}, which state_rows = {neuron.state_rows} does not name")
    if has_eligibility(neuron) and getattr(neuron.eligibility(dt), "arrival_in", None) is None:
        raise NetworkError(f"{label} has an inhibitory receptor, so eligibility(dt) needs arrival_in as well")


def _update_of_core(neuron: Neuron) -> Callable[..., Any]:
    """One step of one neuron of a built-in model, for a model that derives from it without its own `update`."""
    model, function = loop_of(neuron, shared=False)

    def update(state: np.ndarray, params: np.ndarray, j: int, x: float) -> tuple[bool, float]:
        psi = np.zeros(1)
        spikes = lib.advance(model, state, params, 0, 1, np.array([x], float), psi, function)
        return spikes.size > 0, psi[0]

    return update


def _largest_psi(neuron: Neuron, dt: float) -> float:
    label = f"{type(neuron).__name__}.largest_psi(dt)"
    largest = _tried(label, lambda: float(neuron.largest_psi(dt)))
    if not largest >= 0.0:
        raise NetworkError(f"{label} must be a non-negative number, got {largest}")
    return largest


def _tried(label: str, function: Callable[..., Any], *given: Any, rows: str = "") -> Any:
    """Call a function of the user, and tell whose it is if it fails; ``rows`` are those that it may index."""
    try:
        return function(*given)
    except Exception as error:
        if rows and isinstance(error, IndexError):
            raise NetworkError(f"{label} uses a row that does not exist ({error}): {rows}") from error
        raise NetworkError(f"{label} fails: {type(error).__name__}: {error}") from error


def _check_result(label: str, result: Any, largest: float) -> None:
    two = isinstance(result, tuple) and len(result) == 2 and all(np.ndim(value) == 0 for value in result)
    if not two or not isinstance(result[1], (int, float, np.number)):
        raise NetworkError(f"{label}.update must return whether the neuron spikes, and psi; it returned {result!r:.80}")
    check_psi(label, result[1], largest)


def check_psi(label: str, psi: object, largest: object) -> None:
    """Check surrogate gradients against `Neuron.largest_psi`, if it is finite.

    Raises
    ------
    NetworkError
        If a value is negative, or larger than the bound.
    """
    psi, largest = np.broadcast_arrays(np.asarray(psi), np.asarray(largest))
    broken = np.isfinite(largest) & ~((psi >= 0.0) & (psi <= largest * (1.0 + 1e-12)))
    if broken.any():
        raise NetworkError(
            f"{label}.update returned psi = {psi[broken][0]:.6g}, but {label}.largest_psi() allows only 0 to "
            f"{largest[broken][0]:.6g}; correct largest_psi(), or return math.inf if no bound is known"
        )
