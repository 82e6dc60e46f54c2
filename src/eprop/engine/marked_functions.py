"""Copies of functions marked by `eprop.models.inline`, to compile them or to run them as Python."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from eprop.models import inline
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
        Code and constants of the copied functions: what a compiled loop depends on.
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
