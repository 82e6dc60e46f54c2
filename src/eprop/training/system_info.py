"""The machine and the installation, described for summaries, error reports and ``eprop info``."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import pathlib
import platform
import sys

from eprop import core
from eprop.data.cache import default_folder
from eprop.files import JsonObject
from eprop.parallel.launch import available_threads

_PACKAGES = (
    "numpy", "scipy", "numba", "h5py", "matplotlib", "rich", "typer", "mlxtend", "tonic", "mpi4py", "neo", "nir", "pandas",
    "scikit-learn", "nest-simulator",
)  # fmt: skip


def package_version() -> str:
    """Version of this package."""
    from eprop import __version__

    return __version__


def describe_machine() -> JsonObject:
    """Processor, cores, memory, system, and the versions on which results and speed depend."""
    built = core.describe()
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_bytes": _memory(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": _version("numpy"),
        "core": f"{built['level']}, {built['compiler']}",
    }


def describe_installation() -> JsonObject:
    """The machine (`describe_machine`), all versions, the build of the core, threads, and cached data."""
    built, cache = core.describe(), default_folder()
    return {
        "eprop": package_version(),
        "commit": core.commit(),
        "installed_at": str(pathlib.Path(__file__).parents[1]),
        **describe_machine(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "core_flags": built["flags"],
        "core_features": " ".join(built["features"]),
        "core_levels": " ".join(core.built_levels()),
        "threads": available_threads(),
        "data_cache": str(cache),
        "cache_bytes": sum(path.stat().st_size for path in cache.rglob("*") if path.is_file()),
        "environment": {n: v for n, v in sorted(os.environ.items()) if n.startswith(("EPROP_", "OMP_"))},
    }


def peak_memory() -> int | None:
    """Peak memory of this process, bytes; None if the system does not report it."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else 1024 * peak)


def resident_memory() -> int | None:
    """Resident memory of this process, bytes; the peak memory if the system does not report it."""
    try:
        pages = int(pathlib.Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return peak_memory()


def _version(name: str) -> str | None:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(name)
    return None


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory() -> int | None:
    with contextlib.suppress(ValueError, OSError, AttributeError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None
