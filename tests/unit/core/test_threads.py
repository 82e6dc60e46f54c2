"""The pool of threads: what fails in one of them fails in the call, and no call waits for ever."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest

import eprop as ep
from eprop.core import lib
from eprop.errors import InputError


# Not tiny: AddressSanitizer ends the process where so much memory is asked for.
def test_memory_that_a_thread_does_not_get_is_an_error_of_the_call():
    """Each of two samples has one event, but there are so many steps that a thread has no room to count them."""
    times, channels = np.zeros(2, np.int32), np.zeros(2, np.int32)
    with pytest.raises(MemoryError):
        lib.bin_events(times, channels, np.arange(3), 1 << 55, 1, 1000.0, 2)
    found, ptr = lib.bin_events(times, channels, np.arange(3), 1, 1, 1000.0, 2)  # the pool goes on
    assert found.tolist() == [0, 0]
    assert ptr.tolist() == [[0, 1], [1, 2]]


AFTER_MANY_REGIONS = """
import numpy as np
from eprop.core import lib

a, b = np.zeros(6), np.arange(6.0)
for regions in (0, 2**21 - 2, 2**21, 2**22 - 2, 2**31):
    for threads in (3, 2, 3):
        lib.triad(a, b, b, 2.0, threads)
        assert (a == 3.0 * b).all()
    lib.testing.skip_regions(regions)
print("done")
"""


def test_shares_that_had_no_work_for_long_are_claimed():
    """The pool counts its calls, and compares the count with that of the last call of each share."""
    run = [sys.executable, "-c", AFTER_MANY_REGIONS]
    assert subprocess.run(run, capture_output=True, text=True, timeout=60.0, check=True).stdout == "done\n"


@pytest.mark.tiny
def test_a_simulator_belongs_to_one_thread_at_a_time():
    net = ep.Network()
    net.connect(net.add(ep.EventSource(), 2, name="in"), net.add(ep.LIF(), 2))
    sim, problems = ep.Simulator(net), []

    def from_another_thread(work):
        def call():
            try:
                work()
            except InputError as error:
                problems.append(str(error))

        thread = threading.Thread(target=call)
        thread.start()
        thread.join()

    samples, stepper = sim.samples(1, 5, {"in": np.zeros((1, 5, 2))}), sim.stepper()
    calls = (
        lambda: stepper.step([1]),
        sim.reset,
        lambda: sim.set_weights("in->0", 1.0),
        lambda: sim.scale_learning_rates(1.0),
    )
    sim.evaluate(samples, reset=True, progress=lambda _: [from_another_thread(call) for call in calls])
    assert len(problems) == len(calls)
    assert all("another thread" in problem for problem in problems)
