"""Other simulators and formats: ``nest``, ``neo``, ``nir``, ``sklearn``, ``sonata``; each is optional."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eprop.interop import nest as nest, neo as neo, nir as nir, sklearn as sklearn, sonata as sonata  # noqa: I001

__all__ = ["nest", "neo", "nir", "sklearn", "sonata"]

if not TYPE_CHECKING:  # type checkers use the import above

    def __getattr__(name: str) -> ModuleType:
        """Import a module on first use."""
        if name not in __all__:
            raise AttributeError(f"module 'eprop.interop' has no attribute {name!r}")
        return importlib.import_module(f"eprop.interop.{name}")
