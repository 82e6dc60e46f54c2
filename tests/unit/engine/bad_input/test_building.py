"""Networks that cannot be built, and settings of a simulator that will not do, are refused in words."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.sparse

import eprop as ep
from refusals import NAN, network, refuse, state_network

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]


@pytest.mark.parametrize("given", [None, 5, "net", ep.LIF(), ep.Network], ids=repr)
def test_not_a_network(given):
    with refuse("^Simulator needs a Network, got", ep.NetworkError):
        ep.Simulator(given)


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", True, NAN, [1]], ids=repr)
def test_threads(threads):
    with refuse("^Simulator.threads must be a whole number >= 1", ep.ParameterError):
        ep.Simulator(network(), threads=threads)


@pytest.mark.parametrize("partitions", [0, -1, 1.5, "2", True], ids=repr)
def test_partitions(partitions):
    with refuse("^Simulator.partitions must be a whole number >= 1", ep.ParameterError):
        ep.Simulator(network(), threads=1, partitions=partitions)


def test_more_threads_than_there_are():
    with refuse("^Simulator.threads is 1000000, but only .* set EPROP_NUM_THREADS before", ep.ParameterError):
        ep.Simulator(network(), threads=10**6)


@pytest.mark.parametrize("comm", ["world", object(), 2], ids=["text", "object", "number"])
def test_communicators(comm):
    """That of mpi4py is none either."""
    with refuse(r"^Simulator.comm must come from eprop.parallel.find_communicator\(\), got", ep.ParameterError):
        ep.Simulator(network(), threads=1, comm=comm)


@pytest.mark.parametrize("precision", ["half", None, 32, np.float32, ""], ids=repr)
def test_precision(precision):
    with refuse('^Simulator.precision must be "double" or "single"', ep.ParameterError):
        ep.Simulator(network(), threads=1, precision=precision)


def test_empty_networks():
    with refuse(r"no populations; add some with add\(\)", ep.NetworkError):
        ep.Simulator(ep.Network(), threads=1)
    net = ep.Network()
    net.add(ep.PoissonSource(), 3)
    with refuse("no neurons or readouts, only sources", ep.NetworkError):
        ep.Simulator(net, threads=1)


def mixed(first, second):
    net = ep.Network()
    x, rec, out = net.add(ep.EventSource(), 4, "in"), net.add(ep.LIF(), 3, "rec"), net.add(ep.Readout(), 2, "out")
    net.connect(x, rec, rule=first)
    net.connect(rec, rec, rule=second)
    net.connect(rec, out, rule=second)
    return net


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ((ep.EProp(), ep.EPropPlus()), "a network can have only one of them"),
        (
            (ep.EPropPlus(), ep.EPropPlus(kappa=0.5)),
            "all EPropPlus projections onto 'rec' must share kappa, got 0.97 and 0.5",
        ),
        ((ep.EPropPlus(), ep.EPropPlus(kappa_reg=0.5)), "must share kappa_reg"),
        ((ep.EPropPlus(), ep.EPropPlus(cutoff=50.0)), "must share cutoff, got 100 and 50"),
        ((ep.EPropPlus(), ep.EPropPlus(c_reg=1.0)), "must share c_reg"),
        ((ep.EPropPlus(), ep.EPropPlus(f_target=1.0)), "must share f_target"),
        ((ep.EProp(c_reg=1.0), ep.EProp()), "all EProp projections onto 'rec' must share c_reg"),
        ((ep.EProp(kappa=0.5), ep.EProp()), "must share kappa"),
    ],
    ids=lambda x: str(x)[:20],
)
def test_rules_that_do_not_fit_together(rules, words):
    with refuse(words, ep.NetworkError):
        ep.Simulator(mixed(*rules), threads=1)


@pytest.mark.parametrize("t_ref", [0.4, 2.5, [2.0, 1.0, 1.5]], ids=repr)
@pytest.mark.parametrize("kind", [ep.LIF, ep.ALIF, ep.DeltaLIF, ep.DeltaALIF])
def test_refractory_times_are_multiples_of_the_step(kind, t_ref):
    net = ep.Network()
    net.add(kind(t_ref=t_ref), 3, "rec")
    with refuse(rf"^rec: {kind.__name__}.t_ref must be a multiple of dt = 1 ms, got \S+ ms", ep.ParameterError):
        ep.Simulator(net, threads=1)


def test_refractory_times_that_will_do():
    net = ep.Network(dt=0.1)
    net.add(ep.LIF(t_ref=0.3), 3)  # 0.3 is not three times 0.1 in binary
    net.add(ep.LIF(t_ref=ep.Uniform(0.0, 3.0)), 3)  # what is drawn is rounded
    ep.Simulator(net, threads=1)


def test_cutoffs_are_multiples_of_the_step():
    with refuse("^in->rec: EPropPlus.cutoff must be a multiple of dt = 1 ms, got 20.5 ms", ep.ParameterError):
        ep.Simulator(network(ep.EPropPlus(cutoff=20.5)), threads=1)


@pytest.mark.parametrize("cutoff", [1.0, 0.1, 1e-300, 1e7, 1e300])
def test_cutoffs(cutoff):
    with refuse("in->rec: EPropPlus.cutoff must be at least two steps of 1 ms, at most 1000000, got", ep.NetworkError):
        ep.Simulator(network(ep.EPropPlus(cutoff=cutoff)), threads=1)


def test_cutoffs_are_in_ms():
    ep.Simulator(network(ep.EPropPlus(cutoff=1.0), dt=0.5), threads=1)
    with refuse("in->rec: EPropPlus.cutoff must be at least two steps of 2 ms", ep.NetworkError):
        ep.Simulator(network(ep.EPropPlus(cutoff=2.0), dt=2.0), threads=1)


def test_rates_of_poisson_sources():
    net = ep.Network()
    x, rec = net.add(ep.PoissonSource(1001.0), 4, "noise"), net.add(ep.LIF(), 3, "rec")
    net.connect(x, rec)
    with refuse("noise: a Poisson rate of 1001 Hz is more than one spike per step of 1 ms", ep.NetworkError):
        ep.Simulator(net, threads=1)


def test_kappa_of_readouts_that_differ():
    net = ep.Network()
    rec = net.add(ep.LIF(), 3, "rec")
    net.connect(rec, rec, rule=ep.EProp())
    for k, tau in enumerate((10.0, 20.0)):
        out = net.add(ep.Readout(tau_m=tau), 2, f"out{k}")
        net.connect(rec, out)
        net.feedback(out, rec)
    with refuse("readouts of 'rec' have different tau_m; set EProp.kappa", ep.NetworkError):
        ep.Simulator(net, threads=1)


def test_symmetric_feedback_of_what_cannot_be_mirrored():
    for connectivity in (ep.FixedIndegree(5, multapses=True), ep.Explicit(sources=[0, 0], targets=[1, 1])):
        net = ep.Network()
        rec, out = net.add(ep.LIF(), 3, "rec"), net.add(ep.Readout(), 2, "out")
        net.connect(rec, out, connectivity, rule=ep.EPropPlus())
        net.feedback(out, rec)
        with refuse("Symmetric feedback to .* follows .*, which must have no multapses", ep.NetworkError):
            ep.Simulator(net, threads=1)
    net = ep.Network()
    rec, out = net.add(ep.LIF(), 3, "rec"), net.add(ep.Readout(), 2, "out")
    for name in ("a", "b"):
        net.connect(rec, out, rule=ep.EProp(), name=name)
    net.feedback(out, rec)
    with refuse("needs one projection onto 'out', got 2", ep.NetworkError):
        ep.Simulator(net, threads=1)


@pytest.mark.parametrize("rule", [ep.EProp, ep.EPropPlus])
def test_what_cannot_learn_is_told(rule):
    net = ep.Network()
    x, rec, out = net.add(ep.EventSource(), 4, "in"), net.add(ep.LIF(), 3, "rec"), net.add(ep.Readout(), 2, "out")
    net.connect(x, rec, rule=rule())
    net.connect(rec, out, rule=rule())
    sim = ep.Simulator(net, threads=1)
    with pytest.warns(
        ep.NoFeedbackWarning, match="^in->rec: the weights should learn, but no learning signal reaches"
    ) as told:
        sim.run(5.0)
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ep.SilenceWarning)
        sim.run(5.0)  # it warns once
        ep.Simulator(net, threads=1).run(5.0, learn=False)
        ep.Simulator(net, threads=1).run(5.0, signals={"rec": np.ones((5, 3))})
        net.feedback(out, rec)
        ep.Simulator(net, threads=1).run(5.0)
        other = ep.Network()
        x, rec = other.add(ep.EventSource(), 4, "in"), other.add(ep.LIF(), 3, "rec")
        other.connect(x, rec, rule=rule(c_reg=0.1))
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
    assert sim.state()["synapses/weight"].size == sim.n_synapses
    for call in (sim.weights, sim.connections):
        with refuse("no projection 'more'; there are: in->rec, rec->rec, rec->out", ep.NetworkError):
            call("more")


def test_delays():
    net = ep.Network()
    x, rec = net.add(ep.EventSource(), 2, "in"), net.add(ep.LIF(), 3, "rec")
    with refuse(r"delay must have shape \(3, 2\) = \(targets, sources\)", ep.NetworkError):
        net.connect(x, rec, delay=np.ones((2, 3)))
    with refuse("in->rec: a list of 2 delays needs as many Explicit connections, got AllToAll", ep.NetworkError):
        net.connect(x, rec, delay=[1.0, 2.0])
    with refuse("got 3 connections; or give an", ep.NetworkError):
        net.connect(x, rec, ep.Explicit(sources=[0, 1, 1], targets=[0, 0, 1]), delay=[1.0, 2.0])
    with refuse(r"delay must be a multiple of dt .*, at index \(0, 0\)", ep.NetworkError):
        net.connect(x, rec, delay=np.full((3, 2), 1.5))
    with refuse(
        r"> 0 ms, got 0.0, at index \(1, 0\); entries without a connection may hold any delay", ep.NetworkError
    ):
        net.connect(x, rec, delay=[[1.0, 2.0], [0.0, 1.0], [1.0, 1.0]])
    with refuse(r"delay got a sparse matrix; give it as an array with a delay wherever", ep.NetworkError):
        net.connect(x, rec, delay=scipy.sparse.csr_matrix(np.ones((3, 2))))
    with refuse("delay must be a finite number > 0 ms, got 'long'", ep.NetworkError):
        net.connect(x, rec, delay="long")
