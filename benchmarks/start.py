"""How long the start takes: ``python benchmarks/start.py``."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

import record

EXAMPLE = """
import numpy as np, eprop as ep
net = ep.Network(seed=1)
rule = ep.{rule}()
x, rec, out = net.add(ep.EventSource(), 5), net.add(ep.LIF(), 5), net.add(ep.Readout(), 1)
net.connect(x, rec, weight=0.5, rule=rule); net.connect(rec, out, rule=rule); net.feedback(out, rec)
ep.Simulator(net, threads=1).run(50.0, {{x.name: np.ones((50, 5))}}, {{out.name: np.ones(1)}})
"""


def seconds(command: list[str], **environment: str) -> float:
    """Wall time of a process."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **environment})
    return time.perf_counter() - began


def main() -> None:
    """Measure imports, help, first and second call."""
    argparse.ArgumentParser(description=__doc__).parse_args()  # --help must not measure, and write over the result
    python = sys.executable
    result = {
        "import_eprop": record.spread([seconds([python, "-c", "import eprop"]) for _ in range(5)]),
        "python_alone": record.spread([seconds([python, "-c", "pass"]) for _ in range(5)]),
        "eprop_help": record.spread(
            [seconds([python, "-c", "from eprop.cli import main; main()", "--help"]) for _ in range(5)]
        ),
    }
    for rule in ("EProp", "EPropPlus"):
        code = [python, "-c", EXAMPLE.format(rule=rule)]
        with tempfile.TemporaryDirectory() as cache:
            result[f"{rule}_first_call_compiles"] = seconds(code, EPROP_CACHE_DIR=cache)
            result[f"{rule}_from_cache"] = record.spread([seconds(code, EPROP_CACHE_DIR=cache) for _ in range(3)])
    print(json.dumps(result, indent=2))
    print(record.write("start", result))


if __name__ == "__main__":
    main()
