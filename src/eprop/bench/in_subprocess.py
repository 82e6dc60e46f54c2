"""The scaling benchmark in separate processes, so that threads, ranks and memory do not depend on earlier work."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from typing import Any

from eprop.bench.scaling import ScalingConfig
from eprop.errors import EPropError

#: The options of ``eprop bench scaling`` that are fields of a configuration.
_COMMAND = [sys.executable, "-P", "-c", "from eprop.cli import app; app()", "bench", "scaling", "--json"]


def mpiexec() -> str | None:
    """Find the launcher of ranks: in the folder of the running Python, or on the PATH."""
    return shutil.which("mpiexec", path=os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")]))


def has_ranks() -> bool:
    """Whether this machine can run networks on several ranks."""
    installed = all(importlib.util.find_spec(name) is not None for name in ("eprop.parallel.mpi", "mpi4py"))
    return installed and mpiexec() is not None


def measure_in_subprocess(config: ScalingConfig, *, ranks: int = 1, nest: bool = False) -> dict[str, Any]:
    """Fields of `ScalingResult`, of eprop or NEST, measured in a separate process or on several ranks.

    Raises
    ------
    EPropError
        If the process fails; the text quotes the error output of the process.
    """
    if nest:
        from eprop.bench.scaling import compare_with_nest

        return compare_with_nest(config).to_dict()
    options = [f"--{name}={value}" for name, value in config.to_dict().items() if name not in ("type", "timers")]
    launcher = [str(mpiexec()), "-n", str(ranks)] if ranks > 1 else []
    # The environment may set one thread: a process that computes a figure does.
    environment = {**os.environ, "EPROP_NUM_THREADS": str(config.threads)}
    environment.pop("OMP_NUM_THREADS", None)
    done = subprocess.run(
        [*launcher, *_COMMAND, *options, *(["--timers"] if config.timers else [])],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode != 0 or not lines:
        raise EPropError(f"the benchmark failed (exit code {done.returncode}): {done.stderr.strip()[-600:]}")
    return dict(json.loads(lines[-1]))
