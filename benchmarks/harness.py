"""What the benchmarks share: options, turns, other processes, and results with the command and the machine that made them.

This file is no script.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import pathlib
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import eprop
from eprop.bench.in_subprocess import mpiexec

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def parser(
    description: str | None, *, repeats: int = 0, seeds: Sequence[int] = (), threads: int = 0, keep: bool = False,
    label: bool = False, precision: bool = False,
) -> argparse.ArgumentParser:  # fmt: skip
    """Return a parser with a script's description, and with those of the common options that get a default or True."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    if repeats:
        made.add_argument("--repeats", type=int, default=repeats, help="measurements of each case, in turns")
    if seeds:
        made.add_argument("--seeds", type=int, nargs="+", default=list(seeds), help="one network for each seed")
    if threads:
        made.add_argument("--threads", type=int, default=threads, help="threads of each network")
    if keep:
        made.add_argument("--keep", type=pathlib.Path, help="folder for the runs; the default is a temporary one")
    if label:
        made.add_argument("--label", default="", help="end of the result's name")
    if precision:
        kinds = ("single", "double")
        made.add_argument("--precision", choices=kinds, default="single", help="precision of weights and traces")
    return made


def in_turns(runs: Mapping[Any, Callable[[], Any]], repeats: int) -> dict[Any, list[Any]]:
    """Call each function several times, in turns, so that a change of the machine's load concerns all of them.

    Every second turn has the opposite order. Returns the values of each function.
    """
    found: dict[Any, list[Any]] = {name: [] for name in runs}
    for turn in range(repeats):
        for name in list(runs)[:: -1 if turn % 2 else 1]:
            found[name].append(runs[name]())
    return found


def in_process(*words: Any) -> Any:
    """Run this script with other arguments in a process of its own. Returns the JSON in the last line that it prints."""
    command = [sys.executable, sys.argv[0], *map(str, words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def command_line(*words: Any, ranks: int = 1) -> dict[str, Any]:
    """Run ``eprop WORDS --json``, perhaps on several ranks. Returns its JSON output."""
    launcher = [str(mpiexec()), "-n", str(ranks)] if ranks > 1 else []
    command = [*launcher, sys.executable, "-m", "eprop", *map(str, words), "--json"]
    return dict(json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout))


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
    a, b, c = np.ones(n), np.ones(n), np.empty(n)
    best = np.inf
    for _ in range(repeats):
        began = time.perf_counter()
        np.add(a, b, out=c)
        best = min(best, time.perf_counter() - began)
    return round(3 * 8 * n / best / 1e9, 1)


def write(name: str, result: Any, label: str = "") -> pathlib.Path:
    """Write ``results/NAME.json``, or ``NAME-LABEL.json``, atomically. Returns its path."""
    RESULTS.mkdir(exist_ok=True)
    document = {
        "command": "python " + shlex.join([_script(pathlib.Path(sys.argv[0])), *map(public, sys.argv[1:])]),
        "version": eprop.__version__,
        "commit": commit(),
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "result": result,
    }
    path = RESULTS / f"{'-'.join(filter(None, (name, label)))}.json"
    aside = path.with_suffix(".tmp")
    aside.write_text(json.dumps(document, indent=2) + "\n")
    aside.replace(path)
    return path


def commit() -> str | None:
    """Return the commit of the checkout; None outside a repository. ``+``: package or benchmarks have uncommitted changes."""
    try:
        name = _git("rev-parse", "--short=10", "HEAD")
        return name + ("+" if _git("status", "--porcelain", "--", "src", "benchmarks/*.py") else "")
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
