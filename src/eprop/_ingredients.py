"""Functions that only compiled code calls: kept as intermediate code until the function is compiled that they become part of.

Numba optimises each function and makes machine code of it, and does so again with all that it is linked into. Here a function
that is never called from Python is left as it was lowered; it is optimised once, within its caller. To compile the loops of
e-prop+ takes a tenth less for that; to keep the intermediate code costs a part of what is saved. `_jit` is the only user.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from llvmlite import binding  # type: ignore[import-untyped]
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.registry import CPUDispatcher


class _NoMachineCode:
    """Stands for Numba's code generator where there is no machine code that could refer to an environment."""

    @staticmethod
    def set_env(name: str, environment: Any) -> None:
        """Nothing to set."""


class Ingredient(JITCodeLibrary):  # type: ignore[misc]
    """Code of one function, with that of the functions it calls, as it was lowered."""

    @property
    def codegen(self) -> Any:
        """Nothing that could be run."""
        return _NoMachineCode

    def _optimize_functions(self, module: Any) -> None:
        """Leave it to the caller; a module must know the layout of data before it is linked."""
        module.data_layout = self._codegen._data_layout

    def finalize(self) -> None:
        """Take in the functions that are called, and no more."""
        self._raise_if_finalized()
        for library in dict.fromkeys(self._linking_libraries):
            if hasattr(library, "_reload_init"):  # of what runs in parallel; older versions of Numba do not tell
                self._reload_init.update(library._reload_init)
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """There is no machine code."""
        return 0

    def serialize_using_object_code(self) -> tuple[str, bytes]:
        """What the disk cache keeps: intermediate code."""
        return self.name, self._get_module_for_linking().as_bitcode()

    @classmethod
    def restored(cls, codegen: Any, kept: tuple[str, bytes]) -> Ingredient:
        """From what the disk cache kept."""
        name, bitcode = kept
        library = cls(codegen, name)
        library._shared_module = binding.parse_bitcode(bitcode)
        library._finalized = True
        return library


class IngredientCompiler(Compiler):  # type: ignore[misc]
    """Compiles a function into an `Ingredient`."""

    def compile_extra(self, function: Any) -> Any:
        """Prepare the library that Numba would make."""
        self.state.library = Ingredient(self.state.targetctx.codegen(), function.__qualname__)
        return super().compile_extra(function)


class _Restoring:
    """A target that restores ingredients where Numba would load machine code."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def codegen(self) -> Any:
        """The part of a code generator that loading asks for."""
        return self

    def unserialize_library(self, kept: tuple[str, bytes]) -> Ingredient:
        """An ingredient."""
        return Ingredient.restored(self._target.codegen(), kept)


class _CacheOfResults(CompileResultCacheImpl):  # type: ignore[misc]
    def rebuild(self, target_context: Any, payload: Any) -> Any:
        """Load the result of a compilation."""
        return super().rebuild(_Restoring(target_context), payload)._replace(target_context=target_context)


class IngredientCache(FunctionCache):  # type: ignore[misc]
    """Disk cache of ingredients."""

    _impl_class = _CacheOfResults


class IngredientDispatcher(CPUDispatcher):  # type: ignore[misc]
    """A compiled function without a way in from Python: whoever calls it from there, to try it, gets another that has one."""

    # Makes a function that Python may call.
    compile_with_way_in: Callable[..., Any]

    @functools.cached_property
    def _with_way_in(self) -> Any:
        return self.compile_with_way_in(self.py_func)

    def __call__(self, *arguments: Any) -> Any:
        """Compute the result, by code that is compiled for this."""
        return self._with_way_in(*arguments)
