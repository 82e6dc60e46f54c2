"""How long the start takes, ``python benchmarks/start.py``: with ``--threads 2``, of several processes with ``--together 4``."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

import record

# Of the system's number for the most memory, in bytes: Linux tells it in KiB.
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024

EXAMPLE = """
import numpy as np, eprop as ep
net = ep.Network(seed=1)
rule = ep.{rule}()
x, rec, out = net.add(ep.EventSource(), 5), net.add(ep.LIF(), 5), net.add(ep.Readout(), 1)
net.connect(x, rec, weight=0.5, rule=rule); net.connect(rec, out, rule=rule); net.feedback(out, rec)
ep.Simulator(net, threads={threads}).run(50.0, {{x.name: np.ones((50, 5))}}, {{out.name: np.ones(1)}})
"""


def seconds(command: list[str], **environment: str) -> float:
    """Wall time of a process."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **environment})
    return time.perf_counter() - began


def together(processes: int, rule: str, threads: int) -> dict[str, Any]:
    """Seconds until all of some processes that start at once have run, with an empty cache, and the most memory of each."""
    code = EXAMPLE.format(rule=rule, threads=threads)
    code += "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    with tempfile.TemporaryDirectory() as cache:
        began, environment = time.perf_counter(), {**os.environ, "EPROP_CACHE_DIR": cache}
        started = [
            subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)
            for _ in range(processes)
        ]
        peaks = [int(process.communicate()[0]) * MAXRSS_UNIT / 1e6 for process in started]
        return {"processes": processes, "seconds": time.perf_counter() - began, "peak_MB": sorted(peaks)}


def main() -> None:
    """Measure imports, help, first and second call; or several first calls at once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--together", type=int, metavar="N", help="measure only N processes that start at once")
    parser.add_argument(
        "--threads", type=int, default=1, help="of each process, which need loops of their own from two on"
    )
    arguments = parser.parse_args()
    label = f"-threads-{arguments.threads}" if arguments.threads > 1 else ""
    python = sys.executable
    if arguments.together:
        found = {rule: together(arguments.together, rule, arguments.threads) for rule in ("EProp", "EPropPlus")}
        print(json.dumps(found, indent=2))
        print(record.write(f"start-together{label}", found))
        return
    result = {
        "import_eprop": record.spread([seconds([python, "-c", "import eprop"]) for _ in range(5)]),
        "python_alone": record.spread([seconds([python, "-c", "pass"]) for _ in range(5)]),
        "eprop_help": record.spread(
            [seconds([python, "-c", "from eprop.cli import main; main()", "--help"]) for _ in range(5)]
        ),
    }
    for rule in ("EProp", "EPropPlus"):
        code = [python, "-c", EXAMPLE.format(rule=rule, threads=arguments.threads)]
        with tempfile.TemporaryDirectory() as cache:
            result[f"{rule}_first_call_compiles"] = seconds(code, EPROP_CACHE_DIR=cache)
            result[f"{rule}_from_cache"] = record.spread([seconds(code, EPROP_CACHE_DIR=cache) for _ in range(3)])
    print(json.dumps(result, indent=2))
    print(record.write(f"start{label}", result))


if __name__ == "__main__":
    main()
