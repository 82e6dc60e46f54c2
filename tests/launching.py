"""Start Python on several ranks."""

from __future__ import annotations

import os
import subprocess
import sys

# Launchers that are themselves under a launcher, as in a batch job, would confuse these.
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("PMI", "OMPI_COMM", "SLURM"))}
SECONDS = 240
# Two threads for each rank, so that a test may ask for them.
THREADS = {"EPROP_NUM_THREADS": "2", "OMP_NUM_THREADS": "1"}


def launch(
    mpiexec: str, ranks: int, *command: str, seconds: float = SECONDS, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run Python on several ranks, which share the cores."""
    return subprocess.run(
        [mpiexec, "-n", str(ranks), sys.executable, *command], capture_output=True, text=True, timeout=seconds, check=False,
        env={**CLEAN, **THREADS, **environment},
    )  # fmt: skip
