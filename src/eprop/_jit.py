"""The one door to Numba: decorators, disk cache, threading layer.

Numba does not notice when a callee in another file changes, nor does its cache know the compiler flags. The cache
directory therefore carries a digest of all package sources, the Numba version and the flags: stale machine code
cannot be loaded. `bind` makes one loop serve many models without losing that cache.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import sys
import types
from collections.abc import Callable
from typing import Any


def _source_digest() -> str:
    """Digest of every source file of the package and of all that changes generated code."""
    root = pathlib.Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    for name in ("NUMBA_BOUNDSCHECK", "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_OPT"):
        digest.update(f"{name}={os.environ.get(name, '')}".encode())
    digest.update(sys.version.encode())
    return digest.hexdigest()[:16]


def cache_root() -> pathlib.Path:
    """Folder of everything the package keeps between runs; ``EPROP_CACHE_DIR`` overrides the user's cache folder."""
    if own := os.environ.get("EPROP_CACHE_DIR"):
        return pathlib.Path(own)
    base = os.environ.get("XDG_CACHE_HOME") or (
        pathlib.Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    )
    return pathlib.Path(base) / "eprop"


CACHE_DIR = cache_root() / "kernels" / _source_digest()
# A waiting thread must not burn the core that another rank needs; the OpenMP runtime reads this once, when it starts.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
_previous = os.environ.get("NUMBA_CACHE_DIR")
os.environ["NUMBA_CACHE_DIR"] = str(CACHE_DIR)

import numba  # noqa: E402

numba.config.CACHE_DIR = str(CACHE_DIR)
if _previous is None:
    del os.environ["NUMBA_CACHE_DIR"]
else:
    os.environ["NUMBA_CACHE_DIR"] = _previous

prange = numba.prange
JIT_DISABLED = bool(numba.config.DISABLE_JIT)
# error_model="numpy": a zero test at each division would keep loops from vectorising.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "cache": True, "nogil": True}


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function of scalars and arrays, serially."""
    return numba.njit(**_OPTIONS)(function)


def inline(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a scalar function that disappears into the loop that calls it."""
    return numba.njit(**_OPTIONS)(function)


def parallel_kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function whose ``prange`` loops run on threads."""
    return numba.njit(parallel=True, **_OPTIONS)(function)


def bind(template: Callable[..., Any], name: str, *, parallel: bool = False, **bound: Any) -> Callable[..., Any]:
    """Compile ``template`` with some of its global names replaced by ``bound``.

    A function passed as an argument, or closed over, would never be found in the disk cache. Replacing a *global*
    keeps the cache working, as long as each combination has its own qualified name: ``name`` must differ whenever
    ``bound`` does.
    """
    made = types.FunctionType(template.__code__, {**template.__globals__, **bound}, name, template.__defaults__)
    made.__qualname__ = name
    made.__doc__ = template.__doc__
    made.__module__ = template.__module__
    return numba.njit(parallel=parallel, **_OPTIONS)(made)


def set_threads(count: int) -> None:
    """Let the next parallel region use ``count`` threads (at most as many as Numba started with)."""
    numba.set_num_threads(max(1, min(count, numba.config.NUMBA_NUM_THREADS)))


def available_threads() -> int:
    """Threads Numba can use in this process."""
    return int(numba.config.NUMBA_NUM_THREADS)


def describe() -> dict[str, Any]:
    """Versions and settings that matter for speed, for ``eprop info``."""
    try:
        layer = numba.threading_layer()
    except ValueError:  # no parallel region has run yet
        layer = f"{numba.config.THREADING_LAYER} (not started)"
    return {
        "numba": numba.__version__,
        "threading_layer": layer,
        "threads": available_threads(),
        "jit": not JIT_DISABLED,
        "kernel_cache": str(CACHE_DIR),
    }
