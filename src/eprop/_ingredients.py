"""Functions that only compiled code calls: kept as intermediate code until the function is compiled that they become part of.

Numba optimises each function and makes machine code of it, and does so again with all that it is linked into. Here a function
that only loops call is left as it was lowered, beside those that it calls; all of them are linked and optimised once, within the
loop, a `Dish`. Called from Python, such a function is compiled once more, with a way in. `_jit` is the only user.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

from llvmlite import binding  # type: ignore[import-untyped]
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.environment import lookup_environment
from numba.core.registry import CPUDispatcher


class _NoMachineCode:
    """Stands for Numba's code generator where there is no machine code that could refer to an environment."""

    @staticmethod
    def set_env(name: str, environment: Any) -> None:
        """Nothing to set."""


class Ingredient(JITCodeLibrary):  # type: ignore[misc]
    """Code of one function as it was lowered, beside that of the functions it calls: all is linked where machine code is made."""

    # Intermediate code, its own first, each function's before that of those it calls: LLVM links what is called by then.
    parts: tuple[bytes, ...]
    # Names of Numba's environments of these functions.
    environments: tuple[str, ...]
    _linked: Any = None

    @property
    def codegen(self) -> Any:
        """Nothing that could be run."""
        return _NoMachineCode

    def _optimize_functions(self, module: Any) -> None:
        """Leave it to the caller; a module must know the layout of data before it is linked."""
        module.data_layout = self._codegen._data_layout

    def finalize(self) -> None:
        """Note what belongs to it."""
        self._raise_if_finalized()
        self._finalized = True
        kept = [_kept(super()._get_module_for_linking())]
        for library in dict.fromkeys(self._linking_libraries):
            if hasattr(library, "_reload_init"):  # of what runs in parallel; older versions of Numba do not tell
                self._reload_init.update(library._reload_init)
            if isinstance(library, Ingredient):
                kept.append((library.parts, library.environments))
            else:
                kept.append(_kept(library._get_module_for_linking()))
        parts, environments = zip(*kept, strict=True)
        self.parts, self.environments = _each_once(parts), _each_once(environments)

    def _get_module_for_linking(self) -> Any:
        """The functions, linked, for a caller that becomes machine code."""
        self._ensure_finalized()
        if self._linked is None:
            self._linked, *others = map(binding.parse_bitcode, self.parts)
            for other in others:
                self._linked.link_in(other)
        return self._linked

    def get_pointer_to_function(self, name: str) -> int:
        """There is no machine code."""
        return 0

    def serialize_using_object_code(self) -> tuple[str, tuple[bytes, ...], tuple[str, ...]]:
        """What the disk cache keeps: intermediate code."""
        return self.name, self.parts, self.environments

    @classmethod
    def restored(cls, codegen: Any, kept: tuple[str, tuple[bytes, ...], tuple[str, ...]]) -> Ingredient:
        """From what the disk cache kept."""
        name, parts, environments = kept
        library = cls(codegen, name)
        library.parts, library.environments = parts, environments
        library._finalized = True
        return library


def _kept(module: Any) -> tuple[tuple[bytes, ...], tuple[str, ...]]:
    """Of a module, intermediate code and the names of Numba's environments."""
    names = (variable.name for variable in module.global_variables)
    return (module.as_bitcode(),), tuple(name for name in names if name.startswith("_ZN08NumbaEnv"))


def _each_once(lists: Iterable[tuple[Any, ...]]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(lists)))


class Dish(JITCodeLibrary):  # type: ignore[misc]
    """Machine code of a function that Python calls, made of its own code and of all its ingredients at once."""

    def __init__(self, codegen: Any, name: str) -> None:
        super().__init__(codegen, name)
        self.enable_object_caching()

    def _optimize_functions(self, module: Any) -> None:
        """Leave it to the end: of a function with a parallel loop and many arrays this was a quarter of the time to compile."""
        module.data_layout = self._codegen._data_layout


@contextlib.contextmanager
def _loops_as_ingredients(codegen: Any) -> Iterator[None]:
    """Context in which the body of a parallel loop becomes an ingredient of the function it is in.

    So do the two functions around it. Numba would make machine code of each, with all that it calls, though it is only the whole
    function that is run. Functions are compiled within each other, but always one at a time.
    """
    create = codegen.create_library

    def create_library(name: str, **options: Any) -> Any:
        if "__numba_parfor_gufunc" in name or "_GufuncWrapper" in name or name == "parallelgufuncwrapper":
            return Ingredient(codegen, name)
        return create(name, **options)

    codegen.create_library = create_library
    try:
        yield
    finally:
        codegen.create_library = create


class IngredientCompiler(Compiler):  # type: ignore[misc]
    """Compiles a function into an `Ingredient`."""

    library_class: type[JITCodeLibrary] = Ingredient

    def compile_extra(self, function: Any) -> Any:
        """Prepare the library that Numba would make, and those that it makes on the way."""
        codegen = self.state.targetctx.codegen()
        self.state.library = self.library_class(codegen, function.__qualname__)
        with _loops_as_ingredients(codegen):
            return super().compile_extra(function)


class DishCompiler(IngredientCompiler):
    """Compiles a function into a `Dish`."""

    library_class = Dish


class _Restoring:
    """A target that restores ingredients where Numba would load machine code."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def codegen(self) -> Any:
        """The part of a code generator that loading asks for."""
        return self

    def unserialize_library(self, kept: tuple[str, tuple[bytes, ...], tuple[str, ...]]) -> Ingredient:
        """An ingredient."""
        return Ingredient.restored(self._target.codegen(), kept)


class _CacheOfResults(CompileResultCacheImpl):  # type: ignore[misc]
    def reduce(self, result: Any) -> Any:
        """What is kept of a result: with the environments of all functions, and without types in words, for which nobody asks."""
        *reduced, _ = super().reduce(result._replace(type_annotation=""))
        found = map(lookup_environment, result.library.environments)
        return *reduced, tuple(
            environment for environment in found if environment is not None and environment.can_cache()
        )

    def rebuild(self, target_context: Any, payload: Any) -> Any:
        """Load the result of a compilation."""
        return super().rebuild(_Restoring(target_context), payload)._replace(target_context=target_context)


class IngredientCache(FunctionCache):  # type: ignore[misc]
    """Disk cache of ingredients."""

    _impl_class = _CacheOfResults


class IngredientDispatcher(CPUDispatcher):  # type: ignore[misc]
    """A compiled function without a way in from Python: what is called from there is another one, made when it is needed."""

    # Makes a function that Python may call.
    compile_with_way_in: Callable[..., Any]

    @functools.cached_property
    def _with_way_in(self) -> Any:
        return self.compile_with_way_in(self.py_func)

    def __call__(self, *arguments: Any) -> Any:
        """Compute the result, by code that is compiled for this."""
        return self._with_way_in(*arguments)
