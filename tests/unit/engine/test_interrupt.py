"""Ctrl-C: a run of hours ends at once and leaves a simulator that goes on as if it had been asked to stop there.

Tests do not measure time; what is checked is that the program ends long before its run would, and bit for bit what it
left behind. Each case is a program of its own, since the signal goes to a process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from networks import two_threads

COMMON = """
import signal
import sys
from functools import partial
# A program that was started in the background of a shell may have been told not to listen.
signal.signal(signal.SIGINT, signal.default_int_handler)
import numpy as np
import eprop as ep

def network(rule):
    net = ep.Network(seed=3)
    x = net.add(ep.PoissonSource(20.0), 50, "noise")
    rec = net.add(ep.LIF(v_th=0.5), 40, "rec")
    out = net.add(ep.Readout(), 3, "out")
    net.connect(x, rec, ep.Bernoulli(0.5), weight=ep.Normal(0.1, 0.1), rule=rule)
    net.connect(rec, rec, ep.FixedIndegree(5), weight=ep.Normal(0.0, 0.1), rule=rule)
    net.connect(rec, out, weight=ep.Glorot(), rule=rule)
    net.feedback(out, rec, ep.RandomFeedback())
    return net

PLUS = network(ep.EPropPlus(optimizer=ep.GradientDescent(1e-6, w_min=-1.0, w_max=1.0), cutoff=20.0, c_reg=1e-3))
SAMPLE = network(ep.EProp(optimizer=ep.GradientDescent(1e-4, w_min=-1.0, w_max=1.0), c_reg=1e-3))

def interrupted(work):
    print("ready", flush=True)
    try:
        work()
    except KeyboardInterrupt:
        return
    raise SystemExit("the work ended by itself")

def same(sim, other):
    assert (sim.time, sim.updates) == (other.time, other.updates)
    a, b = sim.state(), other.state()
    for name in a:
        if name != "counters":
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)

def check(net, some, prepare, catch_up):
    # Some work, another one that is interrupted, and some again: as if the second one had been as long as it was.
    sim, other = (ep.Simulator(net, threads=THREADS) for _ in range(2))
    some(sim), some(other)
    interrupted(prepare(sim))
    catch_up(sim, other)
    same(sim, other)
    np.testing.assert_array_equal(some(sim).loss, some(other).loss)
    same(sim, other)

def run(sim):
    return sim.run(10.0)

def train(sim):
    return sim.train(sim.samples(7, 50))

def again_and_again(work):
    return lambda sim: lambda: [work(sim) for _ in range(10**9)]

def many(work, n=300_000):
    return lambda sim: partial(getattr(sim, work), sim.samples(n, 50))

def in_time(sim, other):
    other.run(sim.time - other.time)

def in_updates(sim, other):
    while other.updates < sim.updates:
        train(other)

def not_at_all(sim, other):
    pass

"""

PROGRAMS = {
    "runs": "check(PLUS, run, again_and_again(lambda sim: sim.run(3000.0)), in_time)",
    "one long run": "check(PLUS, run, lambda sim: partial(sim.run, 1e6), in_time)",
    "train e-prop+": "check(PLUS, train, many('train', 100_000), in_time)",
    "train e-prop": "check(SAMPLE, train, again_and_again(train), in_updates)",
    "one long batch": "check(SAMPLE, train, many('train'), not_at_all)",
    "evaluate e-prop": "check(SAMPLE, train, many('evaluate'), not_at_all)",
    "evaluate e-prop+": "check(PLUS, train, many('evaluate'), not_at_all)",
}


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("name", "threads"),
    [
        *((name, 1) for name in PROGRAMS),
        *(pytest.param(name, 2, marks=two_threads) for name in ("runs", "evaluate e-prop")),
    ],
)
def test_interrupt(name, threads, tmp_path):
    program = tmp_path / "program.py"
    program.write_text((COMMON + PROGRAMS[name]).replace("THREADS", str(threads)), encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-W", "error", str(program)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("ready"):
                time.sleep(0.4)  # let it get into its stride, but not to the end of anything
                process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, errors
