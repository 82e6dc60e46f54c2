"""Networks that cannot be built, and settings of a simulator that will not do, are refused in words."""

from __future__ import annotations

import functools
import warnings

import numpy as np
import pytest
import scipy.sparse

import eprop as ep
from eprop.errors import NetworkError, NoFeedbackWarning, ParameterError, SilenceWarning
from networks import small_network
from refusals import NAN, each_of, network, refusals, refuse, state_network

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]


def simulator(**options):
    return ep.Simulator(network(), **{"threads": 1} | options)


@refusals(
    *each_of([None, 5, "net", ep.LIF(), ep.Network], ep.Simulator, NetworkError, "^Simulator needs a Network, got"),
    *each_of([0, -1, 1.5, "2", True, NAN, [1]], lambda n: simulator(threads=n), ParameterError,
             "^Simulator.threads must be a whole number >= 1"),
    *each_of([0, -1, 1.5, "2", True], lambda n: simulator(partitions=n), ParameterError,
             "^Simulator.partitions must be a whole number >= 1"),
    (lambda: simulator(threads=10**6), ParameterError,
     "^Simulator.threads is 1000000, but only .* set EPROP_NUM_THREADS before"),
    # That of mpi4py is none either.
    *each_of(["world", object(), 2], lambda comm: simulator(comm=comm), ParameterError,
             r"^Simulator.comm must come from eprop.parallel.find_communicator\(\), got"),
    *each_of(["half", None, 32, np.float32, ""], lambda precision: simulator(precision=precision), ParameterError,
             '^Simulator.precision must be "double" or "single"'),
    (lambda: ep.Simulator(ep.Network(), threads=1), NetworkError, r"no populations; add some with add\(\)"),
)  # fmt: skip
def test_settings_that_are_refused(refusal):
    refusal.check()


def mixed(first, second):
    return small_network((4, 3, 2), {"in->rec": {"rule": first}, "rec->rec": None, "rec->out": None}, rule=second)


def built(*parts, feedback=False):
    """Build a network of neurons and readouts with a projection between them for each of these options."""
    net = small_network((0, 3, 2))
    for options in parts:
        net.connect("rec", "out", **options)
    if feedback:
        net.feedback("out", "rec")
    return ep.Simulator(net, threads=1)


def noise_alone(*neurons):
    net = ep.Network()
    for model in (ep.PoissonSource(1001.0), *neurons):
        net.add(model, 3, "noise" if isinstance(model, ep.PoissonSource) else "rec")
    return ep.Simulator(net, threads=1)


def readouts_that_differ():
    net = small_network((0, 3, 0), {"rec->rec": None}, rule=ep.EProp())
    for k, tau in enumerate((10.0, 20.0)):
        out = net.add(ep.Readout(tau_m=tau), 2, f"out{k}")
        net.connect("rec", out)
        net.feedback(out, "rec")
    return ep.Simulator(net, threads=1)


PLUS = ep.EPropPlus()
MIRRORED = "Symmetric feedback to .* follows .*, which must have no multapses"


@refusals(
    *((lambda first=first, second=second: ep.Simulator(mixed(first, second), threads=1), NetworkError, words)
      for first, second, words in (
        (ep.EProp(), PLUS, "a network can have only one of them"),
        (PLUS, ep.EPropPlus(kappa=0.5), "all EPropPlus projections onto 'rec' must share kappa, got None and 0.5"),
        (PLUS, ep.EPropPlus(kappa_reg=0.5, c_reg=0.0), "must share kappa_reg"),
        (PLUS, ep.EPropPlus(cutoff=50.0), "must share cutoff, got 100 and 50"),
        (PLUS, ep.EPropPlus(c_reg=1.0), "must share c_reg"),
        (PLUS, ep.EPropPlus(f_target=1.0), "must share f_target"),
        (ep.EProp(c_reg=1.0), ep.EProp(), "all EProp projections onto 'rec' must share c_reg"),
        (ep.EProp(kappa=0.5), ep.EProp(), "must share kappa"),
    )),
    (lambda: ep.Simulator(network(ep.EPropPlus(cutoff=20.5)), threads=1), ParameterError,
     "^in->rec: EPropPlus.cutoff must be a multiple of dt = 1 ms, got 20.5 ms"),
    *each_of([1.0, 0.1, 1e-300, 1e7, 1e300], lambda cutoff: ep.Simulator(network(ep.EPropPlus(cutoff=cutoff)), threads=1),
             NetworkError, "in->rec: EPropPlus.cutoff must be at least two steps of 1 ms, at most 1000000, got"),
    (lambda: ep.Simulator(network(ep.EPropPlus(cutoff=2.0), dt=2.0), threads=1), NetworkError,
     "in->rec: EPropPlus.cutoff must be at least two steps of 2 ms"),
    *each_of([ep.FixedIndegree(5, multapses=True), ep.FixedTotalNumber(500), ep.Explicit(sources=[0, 0], targets=[1, 1])],
             lambda rule: built({"connectivity": rule, "rule": PLUS}, feedback=True), NetworkError, MIRRORED),
    (lambda: built({"rule": ep.EProp(), "name": "a"}, {"rule": ep.EProp(), "name": "b"}, feedback=True), NetworkError,
     "needs one projection onto 'out', got 2"),
    (noise_alone, NetworkError, "no neurons or readouts, only sources"),
    (lambda: noise_alone(ep.LIF()), NetworkError, "noise: a Poisson rate of 1001 Hz is more than one spike per step of 1 ms"),
    (lambda: ep.Simulator(small_network((0, 9, 0), neuron=ep.LIF(tau_m=ep.Normal(1.0, 5.0))), threads=1), NetworkError,
     r"rec, neuron \d: LIF.tau_m must be > 0"),
    (readouts_that_differ, NetworkError, "readouts of 'rec' have different tau_m; set EProp.kappa"),
    *((lambda kind=kind, t_ref=t_ref: ep.Simulator(small_network((0, 3, 0), neuron=kind(t_ref=t_ref)), threads=1),
       ParameterError, rf"^rec: {kind.__name__}.t_ref must be a multiple of dt = 1 ms, got \S+ ms")
      for kind in (ep.LIF, ep.ALIF, ep.DeltaLIF, ep.DeltaALIF) for t_ref in (0.4, 2.5, [2.0, 1.0, 1.5])),
)  # fmt: skip
def test_rules_and_models_that_do_not_fit_a_network(refusal):
    refusal.check()


def test_times_that_will_do():
    """0.3 is not three times 0.1 in binary; what is drawn is rounded; a cutoff is in ms."""
    net = small_network((0, 3, 0), neuron=ep.LIF(t_ref=0.3), dt=0.1)
    net.add(ep.LIF(t_ref=ep.Uniform(0.0, 3.0)), 3)
    ep.Simulator(net, threads=1)
    ep.Simulator(network(ep.EPropPlus(cutoff=1.0), dt=0.5), threads=1)


@pytest.mark.parametrize("c_reg", [0.0, 0.1])
@pytest.mark.parametrize("rule", [ep.EProp, ep.EPropPlus])
def test_a_network_that_cannot_learn_warns_once(rule, c_reg):
    net = ep.Network()
    x, rec, out = net.add(ep.EventSource(), 4, "in"), net.add(ep.LIF(), 3, "rec"), net.add(ep.Readout(), 2, "out")
    net.connect(x, rec, rule=rule(c_reg=c_reg))
    net.connect(rec, out, rule=rule(c_reg=c_reg))
    sim = ep.Simulator(net, threads=1)
    with pytest.warns(
        NoFeedbackWarning, match="^in->rec: the weights should learn, but no learning signal reaches"
    ) as told:
        sim.run(5.0)
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", SilenceWarning)
        sim.run(5.0)  # it warns once
        ep.Simulator(net, threads=1).run(5.0, learn=False)
        ep.Simulator(net, threads=1).run(5.0, signals={"rec": np.ones((5, 3))})
        net.feedback(out, rec)
        ep.Simulator(net, threads=1).run(5.0)
        other = small_network((4, 3, 0), {"in->rec": None}, rule=rule(c_reg=0.1))
        ep.Simulator(other, threads=1).run(5.0)


def test_a_simulator_keeps_its_network():
    """Whatever is added to it later."""
    net = state_network()
    sim = ep.Simulator(net, threads=1)
    x, rec = net.populations[:2]
    net.connect(x, rec, name="more")
    net.connect(net.add(ep.EventSource(), 2, "other"), rec)
    events = {x: np.ones((5, 4)), "in": np.ones((5, 4))}  # by the population, or by its name
    for key in events:
        sim.run(5.0, {key: events[key]}, {net.population("out"): [0.0, 0.0]})
    assert sim.state()["synapses/weight"].size == sim.n_synapses()
    for call in (sim.weights, sim.connections):
        with refuse("no projection 'more'; there are: in->rec, rec->rec, rec->out", NetworkError):
            call("more")


@refusals(
    *((lambda connect, given=given: connect(delay=given), NetworkError, words) for given, words in (
        (np.ones((2, 3)), r"delay must have shape \(3, 2\) = \(targets, sources\)"),
        ([1.0, 2.0], "in->rec: a list of 2 delays needs as many Explicit connections, got AllToAll"),
        (np.full((3, 2), 1.5), r"delay must be a multiple of dt .*, at index \(0, 0\)"),
        ([[1.0, 2.0], [0.0, 1.0], [1.0, 1.0]],
         r"> 0 ms, got 0.0, at index \(1, 0\); entries without a connection may hold any delay"),
        (scipy.sparse.csr_matrix(np.ones((3, 2))), r"delay got a sparse matrix; give it as an array with a delay wherever"),
        ("long", "delay must be a finite number > 0 ms, got 'long'"),
    )),
    (lambda connect: connect(ep.Explicit(sources=[0, 1, 1], targets=[0, 0, 1]), delay=[1.0, 2.0]), NetworkError,
     "got 3 connections; or give an"),
)  # fmt: skip
def test_delays_that_are_refused(refusal):
    net = ep.Network()
    refusal.check(functools.partial(net.connect, net.add(ep.EventSource(), 2, "in"), net.add(ep.LIF(), 3, "rec")))
