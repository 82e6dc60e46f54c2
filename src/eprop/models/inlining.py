"""The decorator for functions that make up a user's `update` or surrogate gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def inline(function: Function) -> Function:
    """Mark ``update``, the function of a surrogate gradient, or a function that one of them calls, for compilation.

    The function itself stays plain Python; `eprop.engine.own_neuron` compiles a copy when it builds a network.
    """
    function.__eprop_inline__ = True  # type: ignore[attr-defined]
    function.py_func = function  # type: ignore[attr-defined]
    return function
