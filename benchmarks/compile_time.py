"""Core seconds that compiling the core takes: of checkouts in turns, without a compiler cache.

    python benchmarks/compile_time.py before=../before after=. generic=.:generic --turns 2

Each build is ``name=folder``, or ``name=folder:kinds`` for ``EPROP_KINDS``. The figure is the user time of all compilers of a
build, the least of the turns. The result is ``compile-time.json``.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import resource
import subprocess
import sys
import tempfile

from harness import write


def seconds(folder: str, kinds: str, jobs: int) -> float:
    """User time of the compilers of one build."""
    environment = {**os.environ, "CCACHE_DISABLE": "1", "CMAKE_CXX_COMPILER_LAUNCHER": ""}
    with tempfile.TemporaryDirectory() as build:
        options = [f"-DEPROP_OUTPUT={build}/modules", f"-DPython_EXECUTABLE={sys.executable}"]
        options += [f"-DEPROP_KINDS={kinds}"] if kinds else []
        command = ["cmake", "-S", folder, "-B", build, "-G", "Ninja", *options]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        subprocess.run(["ninja", "-C", build, "-j", str(jobs)], env=environment, check=True, stdout=subprocess.DEVNULL)
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def main() -> None:
    """Print the core seconds of each build."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("builds", nargs="+", help="name=folder or name=folder:kinds")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--label", default="")
    given = parser.parse_args()
    found: dict[str, list[float]] = {}
    for _ in range(given.turns):
        for build in given.builds:
            name, _, where = build.partition("=")
            folder, _, kinds = where.partition(":")
            took = seconds(str(pathlib.Path(folder).resolve()), kinds, given.jobs)
            found.setdefault(name, []).append(round(took, 1))
            print(f"{name}: {took:.1f} core seconds, load {os.getloadavg()[0]:.1f}", flush=True)
    least = {name: min(took) for name, took in found.items()}
    first = next(iter(least))
    print(*(f"{name}: {100 * took / least[first]:.0f} % of {first}" for name, took in least.items()), sep="\n")
    write("compile-time", {"core seconds": found, "least": least}, given.label)


if __name__ == "__main__":
    main()
