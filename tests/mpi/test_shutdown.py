"""A rank that ends, or is stopped, before the others: nobody waits for it forever without a word."""

from __future__ import annotations

import re
import time

import pytest

from launching import launch

PROGRAM = """
import sys, threading, time
import eprop as ep
from eprop.parallel import find_communicator, shutdown

comm = find_communicator()
net = ep.Network(seed=1)
rec = net.add(ep.LIF(), 8, "rec")
net.connect(rec, rec, ep.FixedIndegree(3), weight=0.1, delay=2.0)
sim = ep.Simulator(net, threads=1, comm=comm)
sim.run(4.0)
"""
ALONE = "if comm.rank == 1: sys.exit({code})\nsim.run(1e5)\n"
ALL = """
thread = threading.Thread(target=lambda: sys.exit(5))
thread.start()
thread.join()
if comm.rank == 0: time.sleep(0.5)
sys.exit({code})
"""
SLOW = """
shutdown.PATIENCE_SECONDS = 0.3
if comm.rank == 1: sys.exit()
time.sleep(2.0)
"""


@pytest.mark.mpi
@pytest.mark.parametrize(("code", "given"), [(3, "3"), (1, "'no such file'")])
def test_a_rank_that_exits_with_a_code_ends_all(mpiexec, code, given):
    began = time.monotonic()
    done = launch(mpiexec, 2, "-c", PROGRAM + ALONE.format(code=given), seconds=60)
    assert time.monotonic() - began < 30
    assert done.returncode == code
    assert re.findall(r"(?m)^rank \d of 2.*$", done.stderr) == [
        f"rank 1 of 2: ended with exit code {code}; the other ranks go on and would wait for this one"
    ]


@pytest.mark.mpi
@pytest.mark.parametrize("code", [0, 4])
def test_ranks_that_exit_together_have_nothing_to_say(mpiexec, code):
    """Though not in the same moment; and in a thread, ``sys.exit`` ends the thread."""
    done = launch(mpiexec, 2, "-c", PROGRAM + ALL.format(code=code), seconds=60)
    assert done.returncode == code
    assert "rank" not in done.stderr


@pytest.mark.mpi
def test_a_rank_that_ends_long_before_the_others_says_so_once(mpiexec):
    done = launch(mpiexec, 2, "-c", PROGRAM + SLOW, seconds=60)
    assert done.returncode == 0
    assert re.findall(r"(?m)^rank \d of 2.*$", done.stderr) == [
        "rank 1 of 2: has ended, others have not. If the others wait, they make a call that this rank did not make"
    ]


WARM_UP = """
import signal
from eprop.cli import main
from eprop.parallel import find_communicator
from eprop.training.trainer import Trainer

signal.signal(signal.SIGINT, signal.default_int_handler)
warm_up = Trainer.warm_up

def stopped(self):
    if find_communicator().rank == 1:
        signal.raise_signal(signal.SIGINT)
    warm_up(self)

Trainer.warm_up = stopped
main()
"""


@pytest.mark.mpi
def test_ctrl_c_while_one_rank_prepares_ends_all(mpiexec, tmp_path):
    """They have no place yet where all of them would stop together."""
    words = ["train", "pattern-generation", "--no-figures", "--quiet", "--threads", "1", "--out", str(tmp_path / "run")]
    for setting in ("neurons=8", "inputs=20", "duration=40.0"):
        words += ["--set", setting]
    done = launch(mpiexec, 2, "-c", WARM_UP, *words, seconds=60)
    assert done.returncode != 0
    assert re.search(r"rank 1 of 2: eprop: stopped after 0 of [\d,]+ samples; go on with: eprop train", done.stderr)
