"""The scaling benchmark in separate processes, so that threads, ranks and memory do not depend on earlier work."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig

from eprop.bench.scaling import IN_NEST, ScalingConfig, ScalingResult
from eprop.errors import EPropError, MissingExtraError, ParameterError
from eprop.files import JsonObject

#: The options of ``eprop bench scaling`` that are fields of a configuration.
_COMMAND = [sys.executable, "-P", "-c", "from eprop.cli import app; app()", "bench", "scaling", "--json"]


def mpiexec() -> str | None:
    """Find the launcher of ranks: in the folder of the running Python, or on the PATH."""
    return shutil.which("mpiexec", path=os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")]))


def has_ranks() -> bool:
    """Whether this machine can run networks on several ranks."""
    installed = all(importlib.util.find_spec(name) is not None for name in ("eprop.parallel.mpi", "mpi4py"))
    return installed and mpiexec() is not None


def measure_in_subprocess(config: ScalingConfig, *, ranks: int = 1, nest: bool = False) -> JsonObject:
    """Fields of `ScalingResult`, of eprop or NEST, measured in a separate process or on several ranks.

    Raises
    ------
    EPropError
        If the process fails; the text quotes the error output of the process.
    """
    if nest:
        return compare_with_nest(config).to_dict()
    options: list[str] = []
    for name, value in config.to_dict().items():
        if isinstance(value, bool):
            options += [f"--{name.replace('_', '-')}"] if value else []
        elif name != "type" and value is not None:
            options.append(f"--{name}={value}")
    launcher = [str(mpiexec()), "-n", str(ranks)] if ranks > 1 else []
    # The environment may set one thread: a process that computes a figure does.
    environment = {**os.environ, "EPROP_NUM_THREADS": str(config.threads)}
    environment.pop("OMP_NUM_THREADS", None)
    return _printed_by([*launcher, *_COMMAND, *options], "the benchmark", environment)


def compare_with_nest(config: ScalingConfig) -> ScalingResult:
    """Run the same network in NEST, in a separate process so that its growth is the memory of NEST alone.

    Raises
    ------
    MissingExtraError
        If NEST is not installed.
    ParameterError
        If NEST does not have the optimiser.
    """
    if config.optimizer not in IN_NEST:
        raise ParameterError(f"NEST has no optimizer {config.optimizer!r}: compare {' or '.join(IN_NEST)}")
    given = {**config.to_dict(), "warm_up": config.warm_up, "sample": config.sample_steps, "steps": config.timed_steps}
    return ScalingResult(**in_nest("eprop.interop.nest_scaling", given))


def in_nest(module: str, given: JsonObject) -> JsonObject:
    """Run a module that drives NEST in a separate process, with a configuration; return what it prints.

    Raises
    ------
    MissingExtraError
        If NEST is not installed.
    EPropError
        If the process fails; the text quotes its error output.
    """
    if importlib.util.find_spec("nest") is None:
        raise MissingExtraError("nest-simulator", "nest", "comparing with NEST")
    return _printed_by([sys.executable, "-P", "-m", module, json.dumps(given)], "NEST", None)


def _printed_by(command: list[str], what: str, environment: dict[str, str] | None) -> JsonObject:
    """The JSON object in the last line that a command prints; `EPropError` if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode != 0 or not lines:
        raise EPropError(f"{what} failed (exit code {done.returncode}): {done.stderr.strip()[-600:]}")
    return dict(json.loads(lines[-1]))
