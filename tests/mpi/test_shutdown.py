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


LONG_RUN = """
import os, signal, threading
import numpy as np
import eprop as ep
from eprop.interop.sonata import spikes_from_sonata
from eprop.parallel import find_communicator

signal.signal(signal.SIGINT, signal.default_int_handler)
comm = find_communicator()
net = ep.Network(seed=1)
noise, rec = net.add(ep.PoissonSource(50.0), 20, "noise"), net.add(ep.LIF(), 8, "rec")
net.connect(noise, rec, weight=0.1, delay=2.0)
sim = ep.Simulator(net, threads=1, comm=comm)
if comm.rank == 1:
    threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    sim.run(1e9, spikes_to="FILE", interval=1.0)
except ep.engine.RunStopped as stop:
    rows = stop.recording.times.size
assert rows == sim.time and set(comm.gather(rows)) == {rows}
whole = ep.Simulator(net, threads=1, comm=comm).run(sim.time, spikes=["rec"]).spikes["rec"]
if comm.rank == 0:
    for found, expected in zip(spikes_from_sonata("FILE")["rec"], whole, strict=True):
        np.testing.assert_array_equal(found, expected)
    print("stopped together", flush=True)
"""


def test_ctrl_c_on_one_rank_stops_a_long_run_on_all(mpiexec, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(LONG_RUN.replace("FILE", str(tmp_path / "s.h5")))
    done = launch(mpiexec, 2, str(program), seconds=60)
    assert done.returncode == 0, done.stderr
    assert "stopped together" in done.stdout


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
WORDS = ["train", "pattern-generation", "--no-figures", "--quiet", "--threads", "1", "--neurons", "8"]
WORDS += ["--inputs", "20", "--duration", "40"]


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
