"""Write a result with the command, the version and the machine that made it. This file is no script."""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import platform
import shlex
import subprocess
import sys
from typing import Any

import numpy as np

import eprop

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def machine() -> dict[str, Any]:
    """Return the facts about the machine on which the numbers depend."""
    processor = platform.processor() or platform.machine()
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        processor = names[0] if names else processor
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "system": platform.system(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "triad_GB_per_s": triad(),
    }


def triad(n: int = 4_000_000, repeats: int = 20) -> float:
    """Return the memory bandwidth of one thread in GB/s: ``c = a + b``, the best of some repeats."""
    import time

    a, b, c = np.ones(n), np.ones(n), np.empty(n)
    best = np.inf
    for _ in range(repeats):
        began = time.perf_counter()
        np.add(a, b, out=c)
        best = min(best, time.perf_counter() - began)
    return round(3 * 8 * n / best / 1e9, 1)


def write(name: str, result: Any) -> pathlib.Path:
    """Write ``results/NAME.json`` atomically. Returns its path."""
    RESULTS.mkdir(exist_ok=True)
    document = {
        "command": "python " + shlex.join([_script(pathlib.Path(sys.argv[0])), *map(public, sys.argv[1:])]),
        "version": eprop.__version__,
        "commit": commit(),
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "result": result,
    }
    path = RESULTS / f"{name}.json"
    aside = path.with_suffix(".tmp")
    aside.write_text(json.dumps(document, indent=2) + "\n")
    aside.replace(path)
    return path


def commit() -> str | None:
    """Return the commit of the checkout; None outside a repository. ``+``: package or benchmarks have uncommitted changes."""
    try:
        name = _git("rev-parse", "--short=10", "HEAD")
        return name + ("+" if _git("status", "--porcelain", "--", "src", "benchmarks/*.py", "benchmarks/micro") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def _script(path: pathlib.Path) -> str:
    """Return the script as it is called from the top of the repository."""
    return str(path.resolve().relative_to(ROOT)) if path.resolve().is_relative_to(ROOT) else path.name


def public(argument: str) -> str:
    """Return an argument that may be published: only the last part of a path."""
    return pathlib.Path(argument).name if os.sep in argument else argument


def spread(values: list[float]) -> dict[str, Any]:
    """Return mean, standard deviation and the values themselves."""
    return {
        "mean": float(np.mean(values)),
        "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "values": values,
    }
