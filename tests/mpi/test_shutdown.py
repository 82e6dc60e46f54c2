"""A rank that fails, exits, is killed or is stopped before the others ends all of them; none waits for ever."""

from __future__ import annotations

import re
import time

import pytest

from launching import launch

pytestmark = pytest.mark.mpi

PROGRAM = """
import os, signal, sys
import eprop as ep
from eprop.parallel import find_communicator

comm = find_communicator()
net = ep.Network(seed=1)
rec = net.add(ep.LIF(), 8, "rec")
net.connect(rec, rec, ep.FixedIndegree(3), weight=0.1, delay=2.0)
sim = ep.Simulator(net, threads=1, comm=comm)
sim.run(4.0)
if comm.rank == 1:
    {mishap}
sim.run(1e5)
"""


@pytest.mark.parametrize(
    ("mishap", "words"),
    [
        ("raise RuntimeError('out of luck')", r"rank 1 of 3: Traceback[\s\S]*RuntimeError: out of luck"),
        ("os.kill(os.getpid(), signal.SIGKILL)", None),
        ("sys.exit(3)", None),
    ],
)
def test_a_rank_that_fails_ends_all(mpiexec, tmp_path, mishap, words):
    """The launcher reports a killed rank; ``python -m mpi4py`` ends all ranks if one exits with a code."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(mishap=mishap))
    began = time.monotonic()
    done = launch(mpiexec, 3, *(["-m", "mpi4py"] if "exit" in mishap else []), str(program), seconds=60)
    assert time.monotonic() - began < 30.0
    assert done.returncode != 0
    assert re.findall(r"(?m)^rank \d of 3", done.stderr) == (["rank 1 of 3"] if words else [])
    assert words is None or len(re.findall(words, done.stderr)) == 1


COMMAND = """
import os, signal, sys
from eprop.cli import main
from eprop.parallel import find_communicator
from eprop.training.trainer import Trainer

signal.signal(signal.SIGINT, signal.default_int_handler)
make = Trainer.__init__

def stopped(self, *given, **more):
    if find_communicator().rank == 1:
        {mishap}
    make(self, *given, **more)

Trainer.__init__ = stopped
main()
"""
WORDS = ["train", "pattern-generation", "--no-figures", "--quiet", "--threads", "1", "--set", "neurons=8"]
WORDS += ["--set", "inputs=20", "--set", "duration=40.0"]


@pytest.mark.parametrize(
    ("mishap", "words"),
    [
        (
            "signal.raise_signal(signal.SIGINT)",
            r"rank 1 of 2: eprop: stopped$",
        ),
        ("sys.exit(3)", "rank 1 of 2: eprop: exits with 3"),
    ],
)
def test_one_rank_of_a_command_ends_all_while_it_prepares(mpiexec, tmp_path, mishap, words):
    """The ranks have no place yet where all of them would stop together."""
    command = COMMAND.format(mishap=mishap)
    done = launch(mpiexec, 2, "-c", command, *WORDS, "--out", str(tmp_path / "run"), seconds=60)
    assert done.returncode != 0
    assert re.search(words, done.stderr, re.MULTILINE)
