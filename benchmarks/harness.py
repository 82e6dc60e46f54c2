"""What the benchmarks share: options, tables, turns, other processes, and results with their command and machine.

This file is no script.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import functools
import importlib.util
import json
import os
import pathlib
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

import eprop
from eprop.errors import EPropError, MissingExtraError
from eprop.parameters import Description, parameters_of

Described = TypeVar("Described", bound=Description)
#: Entries of each array of the triad: larger than any cache.
ENTRIES = 1 << 24

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


def add_options(made: argparse.ArgumentParser, kind: type[Description]) -> None:
    """Add an option for each parameter of a description, with its default and its text; see `described`."""
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    for name, info in parameters_of(kind):
        flag, default = f"--{name.replace('_', '-')}", defaults[name]
        text = (
            info.doc + (f" ({info.unit})" if info.unit else "") + ("" if default is None else "; default: %(default)s")
        )
        if info.kind is bool:
            made.add_argument(flag, action=argparse.BooleanOptionalAction, default=default, help=info.doc)
        else:
            made.add_argument(flag, type=info.kind, default=default, help=text)


def add_result_options(made: argparse.ArgumentParser, *, figure: bool = False) -> None:
    """Add the options of the benchmarks of one network: ``--compare nest``, ``--json``, and perhaps ``--figure``."""
    made.add_argument("--compare", choices=("nest",), help="also measure the same network in NEST")
    made.add_argument("--json", action="store_true", help="print the result, and nothing else, as JSON")
    if figure:
        made.add_argument("--figure", metavar="FILE", help="draw the result into a PNG or PDF file")


def described(kind: type[Described], given: argparse.Namespace) -> Described:
    """Return the description that was given by the options of `add_options`."""
    return kind(**{name: getattr(given, name) for name, _ in parameters_of(kind)})


@contextlib.contextmanager
def refusals(made: argparse.ArgumentParser) -> Iterator[None]:
    """Report an error of the package in one line, with exit code 2, as the parser reports its own."""
    try:
        yield
    except EPropError as error:
        made.exit(2, f"{made.prog}: error: {error}\n")


def print_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; all columns but the first are aligned to the right."""
    from rich.console import Console
    from rich.table import Column, Table

    table = Table(headings[0], *(Column(heading, justify="right") for heading in headings[1:]), title=title)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def mebibytes(size: float) -> str:
    """Return a size in bytes as text."""
    return f"{size / 2**20:,.0f} MiB"


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
    command = [*launcher(ranks), sys.executable, "-m", "eprop", *map(str, words), "--json"]
    return dict(json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout))


def settings_of(texts: Iterable[str]) -> dict[str, Any]:
    """``["eta=0.002", "neuron=alif"]`` as arguments of a task: values of TOML, or texts."""
    found = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            found[name] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            found[name] = value
    return found


def trained(task: str, arguments: Mapping[str, Any], threads: int, where: pathlib.Path | None = None) -> dict[str, Any]:
    """Train and test; returns the summary. With a folder, a finished run is not repeated, and a stopped one continues."""
    if where is not None and (where / "summary.json").exists():
        return dict(json.loads((where / "summary.json").read_text()))
    experiment = eprop.tasks.task_named(task)(**arguments)
    return dict(eprop.fit(experiment, folder=where, threads=threads, formats=(), progress=False).summary)


def in_nest(script: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Run a script that drives NEST in a process of its own, with a configuration. Returns the JSON that it prints."""
    if importlib.util.find_spec("nest") is None:
        raise MissingExtraError("nest-simulator", "nest", "comparing with NEST")
    return printed_by([sys.executable, str(ROOT / "benchmarks" / script), json.dumps(given)], "NEST")


def printed_by(command: list[str], what: str, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the JSON object in the last line that a command prints; `EPropError` with its error output if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode != 0 or not lines:
        raise EPropError(f"{what} failed (exit code {done.returncode}): {done.stderr.strip()[-600:]}")
    return dict(json.loads(lines[-1]))


def launcher(ranks: int) -> list[str]:
    """Return the words before a command that start it on some ranks; none for one rank."""
    return [str(mpiexec()), "-n", str(ranks)] if ranks > 1 else []


def mpiexec() -> str | None:
    """Find the launcher of ranks: in the folder of the running Python, or on the PATH."""
    return shutil.which("mpiexec", path=os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")]))


def has_ranks() -> bool:
    """Whether this machine can run networks on several ranks."""
    return importlib.util.find_spec("mpi4py") is not None and mpiexec() is not None


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
        "triad_GB_per_s": round(triad() / 1e9, 1),
    }


@functools.cache
def triad(threads: int = 1, repeats: int = 8) -> float:
    """Return the bytes per second that some threads read and write in ``a = b + s c``: the best of some repeats."""
    from eprop.core import lib

    a, b, c = (np.full(ENTRIES, x) for x in (0.0, 1.0, 2.0))
    best = np.inf
    for _ in range(repeats):
        began = time.perf_counter()
        lib.triad(a, b, c, 3.0, threads)
        best = min(best, time.perf_counter() - began)
    return float(24.0 * ENTRIES / best)


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
