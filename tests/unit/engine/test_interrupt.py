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

PLUS = network(ep.EPropPlus(optimizer=ep.GradientDescent(1e-6, w_min=-1.0, w_max=1.0), cutoff=20.0))
SAMPLE = network(ep.EProp(optimizer=ep.GradientDescent(1e-4, w_min=-1.0, w_max=1.0)))

def interrupted(work):
    print("ready", flush=True)
    try:
        work()
    except KeyboardInterrupt:
        return
    raise SystemExit("the work ended by itself")

def same(a, b):
    a, b = a.state(), b.state()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
"""

RUN = """
sim, other = ep.Simulator(PLUS, threads=THREADS), ep.Simulator(PLUS, threads=THREADS)
for each in (sim, other):
    each.run(10.0)
interrupted(lambda: [sim.run(3000.0) for _ in range(10**9)])
steps = sim.time - 10.0
print("stopped at", sim.time, flush=True)
other.run(steps)
assert other.time == sim.time
same(sim, other)
first, second = sim.run(200.0), other.run(200.0)
np.testing.assert_array_equal(first.y["out"], second.y["out"])
same(sim, other)
"""

ONE_LONG_RUN = RUN.replace("[sim.run(3000.0) for _ in range(10**9)]", "sim.run(1e6)")

TRAIN_PLUS = """
sim, other = ep.Simulator(PLUS, threads=THREADS), ep.Simulator(PLUS, threads=THREADS)
few, many = sim.samples(2, 50), sim.samples(100_000, 50)
sim.train(few)
other.train(few)
interrupted(lambda: sim.train(many))
other.run(sim.time - other.time)
same(sim, other)
sim.train(few)
other.train(few)
same(sim, other)
"""

TRAIN = """
sim, other = ep.Simulator(SAMPLE, threads=THREADS), ep.Simulator(SAMPLE, threads=THREADS)
few, many = sim.samples(7, 50), sim.samples(300_000, 50)
before = sim.train(few)
interrupted(lambda: [sim.train(few) for _ in range(10**9)])
assert sim.updates >= 1
other.train(few)
while other.updates < sim.updates:
    other.train(few)
same_weights = lambda: np.testing.assert_array_equal(sim.state()["synapses/weight"], other.state()["synapses/weight"])
same_weights()
# In the middle of a batch: nothing of it counts.
interrupted(lambda: sim.train(many))
assert sim.updates == other.updates
same_weights()
np.testing.assert_array_equal(sim.train(few).loss, other.train(few).loss)
same_weights()
"""

EVALUATE = """
for net in (PLUS, SAMPLE):
    sim = ep.Simulator(net, threads=THREADS)
    before = sim.state()
    few, many = sim.samples(16, 50), sim.samples(300_000, 50)
    wanted = sim.evaluate(few).loss
    interrupted(lambda: sim.evaluate(many))
    for name, value in sim.state().items():
        if name != "counters":
            np.testing.assert_array_equal(value, before[name])
    np.testing.assert_array_equal(sim.evaluate(few).loss, wanted)
"""

PROGRAMS = {
    "run": RUN,
    "one long run": ONE_LONG_RUN,
    "train e-prop+": TRAIN_PLUS,
    "train e-prop": TRAIN,
    "evaluate": EVALUATE,
}


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("name", "threads"),
    [*((name, 1) for name in PROGRAMS), *(pytest.param(name, 2, marks=two_threads) for name in ("run", "evaluate"))],
)
def test_interrupt(name, threads, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(COMMON + PROGRAMS[name].replace("THREADS", str(threads)), encoding="utf-8")
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
