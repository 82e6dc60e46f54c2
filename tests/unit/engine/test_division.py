"""Into how many parts neurons are divided, and by which loop their time goes on."""

from __future__ import annotations

import pytest

import eprop as ep
from eprop import _jit
from eprop.engine.division import MANY_NEURONS
from networks import two_threads

pytestmark = pytest.mark.tiny
SMALL = 30


def simulator(neurons: int, rule: ep.EProp | ep.EPropPlus | ep.Static, **options) -> ep.Simulator:
    net = ep.Network()
    x, rec = net.add(ep.EventSource(), 2, "in"), net.add(ep.LIF(), neurons, "rec")
    out = net.add(ep.Readout(), 1, "out")
    net.connect(x, rec, ep.FixedOutdegree(3), weight=0.1, rule=rule)
    net.feedback(out, rec, ep.RandomFeedback())
    return ep.Simulator(net, **options)


def parts(sim: ep.Simulator) -> int:
    return sim.arrays.built.topology.indptr.shape[0]


@two_threads
@pytest.mark.parametrize("rule", [ep.EPropPlus(), ep.Static()], ids=["e-prop+", "static"])
def test_threads_divide_many_neurons_or_when_they_are_asked_to(rule):
    available = _jit.available_threads()
    assert parts(simulator(SMALL, rule)) == 1
    assert parts(simulator(SMALL, rule, threads=2)) == 2
    assert parts(simulator(MANY_NEURONS, rule)) == available
    assert simulator(SMALL, rule).threads == available  # for samples side by side


@two_threads
@pytest.mark.parametrize("threads", [1, 2, None])
def test_where_threads_divide_samples_time_goes_on_in_one(threads):
    sim = simulator(SMALL, ep.EProp(), threads=threads)
    assert parts(sim) == 1


@two_threads
@pytest.mark.skipif(_jit.JIT_DISABLED, reason="the loops have no names then")
@pytest.mark.parametrize(
    ("rule", "along"), [(ep.EProp(), "serial"), (ep.Static(), "parallel")], ids=["e-prop", "static"]
)
def test_the_loop_is_one_for_several_threads_where_they_divide_neurons(rule, along):
    loop = simulator(SMALL, rule, threads=2).arrays.loops().stream
    assert loop.py_func.__qualname__.endswith(along)
