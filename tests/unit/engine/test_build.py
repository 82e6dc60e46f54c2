"""Building: the same network for any number of threads, small temporaries, and a word before memory runs out."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
from typer.testing import CliRunner

import eprop as ep
from compare import assert_same
from eprop.core import lib
from eprop.engine.build import check, memory
from eprop.engine.build.assemble import build
from eprop.engine.build.draws import chunks
from eprop.engine.build.records import branches_of
from eprop.engine.state import storage
from eprop.errors import MemoryLimitError, NetworkError
from eprop.free_memory import available_memory
from eprop.models import LIF, PoissonSource, Readout
from eprop.network import Bernoulli, FixedIndegree, FixedOutdegree, Network, Normal, Uniform
from eprop.parallel import Serial
from eprop.rules import Adam, EProp, EPropPlus, GradientDescent, RewardTrace
from networks import small_network

RULES = (FixedIndegree(20), FixedIndegree(270, multapses=True), FixedOutdegree(7), Bernoulli(0.1))


def network(connectivity=RULES[0], rule=None, delay=None, neurons=300):
    net = Network(seed=3)
    source, rec, out = (
        net.add(PoissonSource(rate=5.0), 50, "in"), net.add(LIF(), neurons, "rec"), net.add(Readout(), 3, "out"),
    )  # fmt: skip
    net.connect(source, rec, Bernoulli(0.3))
    net.connect(rec, rec, connectivity, weight=Normal(0.0, 0.1), rule=rule or EPropPlus(), delay=delay)
    net.connect(rec, out)
    net.feedback(out, rec)
    return net


@pytest.mark.parametrize("connectivity", RULES, ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("delay", [None, Uniform(1.0, 4.0)], ids=["one delay", "delays"])
@pytest.mark.parametrize("partitions", [1, 2])
def test_thread_count_does_not_change_connections(connectivity, delay, partitions):
    alone, shared = (build(network(connectivity, delay=delay), partitions, np.float32, threads) for threads in (1, 5))
    for name in ("branch_start", "targets"):
        np.testing.assert_array_equal(getattr(alone.topology, name), getattr(shared.topology, name))
    np.testing.assert_array_equal(alone.weight, shared.weight)


def test_branches_hold_ascending_targets_and_the_degrees_asked_for():
    built = build(network(FixedIndegree(270, multapses=True)), 1, np.float64, 3)
    group, start = built.topology.groups[1], built.topology.branch_start[0]
    first, stop = group["first_branch"], group["first_branch"] + group["n_branches"]
    for branch in range(first, stop):
        targets = built.topology.targets[start[branch] : start[branch + 1]]
        assert (np.diff(targets.astype(np.int64)) >= 0).all()
    counts = np.bincount(built.topology.targets[start[first] : start[stop]], minlength=300)
    assert (counts[:300] == 270).all()


def test_branches_of_an_axon_are_neighbours():
    """Each branch belongs to one delay group."""
    rule = EPropPlus(optimizer=GradientDescent(1e-3), cutoff=20.0)
    built = build(network(FixedIndegree(20), delay=Uniform(0.5, 3.5), rule=rule), 2, np.float64, 1)
    groups = built.topology.groups[built.delay_groups[1]]
    branches = np.array([np.arange(built.topology.n_branches)[branches_of(group)] for group in groups])
    assert len(groups) == 3
    np.testing.assert_array_equal(np.diff(branches, axis=0), 1)
    np.testing.assert_array_equal(np.sort(branches, axis=None), branches.min() + np.arange(branches.size))
    assert (groups["first_group"] == built.delay_groups[1][0]).all()
    assert (groups["delay_offset"] == groups["delay"] - groups["delay"][0]).all()


def test_drawn_sources_ascend_whatever_their_number():
    from eprop.random import CONNECT, below

    for n_pre, degree in itertools.product((1, 64, 65, 1000, 2048, 2049, 5_000_000), (31, 100, 700)):
        indptr, sources = lib.fixed_indegree(0, 2, n_pre, degree, True, True, 1)
        for k in range(2):
            row = sources[indptr[k] : indptr[k + 1]]
            # The draws themselves, one for each place in the row.
            drawn = below(1, CONNECT, k, np.arange(degree), n_pre)
            np.testing.assert_array_equal(row, np.sort(drawn))


def test_chunks_are_small_beside_the_network():
    for neurons, degree in ((3000, 2000), (2_000_000, 10_000)):
        projection = network(FixedIndegree(degree, multapses=True), neurons=neurons).projection("rec->rec")
        _, (begin, stop) = next(chunks(projection, 0, neurons)), next(chunks(projection, 0, neurons))
        # 16 bytes while a synapse is drawn, 8 to 12 afterwards.
        assert 16 * (stop - begin) * degree <= 0.1 * 8 * neurons * degree


def test_temporaries_take_less_than_a_tenth():
    net = network(FixedIndegree(1000, multapses=True), neurons=3000)
    build(net, 1, np.float32)
    tracemalloc.start()
    built = build(net, 1, np.float32)
    now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert built.weight.size > 3_000_000
    assert now > 8 * built.weight.size
    assert peak - now < 0.1 * 8 * built.weight.size


@pytest.mark.parametrize(
    "rule",
    [
        EPropPlus(),
        EPropPlus(optimizer=Adam()),
        EPropPlus(kappa_reg=0.5),
        EPropPlus(each_step=True),
        EPropPlus(reward=RewardTrace(200.0)),
        EProp(),
        EProp(optimizer=GradientDescent()),
    ],
    ids=["plus", "adam", "two kappas", "each step", "reward", "eprop adam", "eprop"],
)
@pytest.mark.parametrize("precision", ["single", "double"])
def test_the_estimate_is_what_is_built(rule, precision, monkeypatch):
    found = []
    estimate = memory.estimate
    monkeypatch.setattr(memory, "estimate", lambda *given: found.append(estimate(*given)) or found[-1])
    sim = ep.Simulator(network(FixedIndegree(200), rule), threads=1, precision=precision)
    held = sim.memory()
    assert found[0].per_synapse * sim.n_synapses == held["synapses"]
    assert abs(found[0].synapses / sim.n_synapses - 1.0) < 0.02
    assert found[0].others > 0.8 * held["propagators"]


def test_what_does_not_fit_is_refused_with_advice(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 1_000_000_000)
    net = network(FixedIndegree(10_000, multapses=True), neurons=10_000)
    words = r"needs about 2\.\d GB \(100,\d+,\d+ synapses of 20 bytes.*1\.0 GB are available.*[\d,]+ synapses, \d+ % of them"
    with pytest.raises(MemoryLimitError, match=words):
        ep.Simulator(net, threads=1)
    with pytest.raises(MemoryLimitError, match=r"precision=\"single\" with 1\.\d GB does not fit either"):
        ep.Simulator(net, threads=1)


def test_neurons_alone_can_be_too_many(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 1_000_000_000)
    net = ep.Network()
    net.add(ep.LIF(), 10**9)
    with pytest.raises(MemoryLimitError, match="These would fit: fewer neurons"):
        ep.Simulator(net, threads=1)


@pytest.mark.tiny
def test_results_that_do_not_fit(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 1_000_000_000)
    net = ep.Network()
    net.add(ep.LIF(), 3, "rec")
    net.add(ep.Readout(), 2, "out")
    sim = ep.Simulator(net, threads=1)
    with pytest.raises(MemoryLimitError, match=r"events of 1 x 1,000,000,000 steps would take 8\.0 GB, .* in parts"):
        sim.run(1e9)
    words = r"results of 30,000,000 steps \(2 readouts, 3 recorded values\) would take 1\.4 GB.*several parts, or record less"
    with pytest.raises(MemoryLimitError, match=words):
        sim.run(3e7, record=[("rec", "v")])
    samples = sim.samples(1, 50_000_000, window=None)
    for reset in (False, True):
        with pytest.raises(MemoryLimitError, match=r"results of 50,000,000 steps \(2 readouts\) would take 1\.2 GB"):
            sim.evaluate(samples, reset=reset)


class Crowd(Serial):
    """One of four ranks of a machine, all of which do the same."""

    size = 4

    def ranks_on_machine(self) -> int:
        return 4

    def gather(self, value: object) -> list[object]:
        return [value] * 4


@pytest.mark.tiny
@pytest.mark.parametrize("comm", [Serial(), Crowd()], ids=["alone", "crowd"])
@pytest.mark.parametrize("call", ["lanes", "train", "evaluate", "forward"])
def test_failed_allocations_are_refused_and_change_nothing(comm, call, monkeypatch):
    sim = ep.Simulator(network(FixedIndegree(2), EProp(), neurons=10), threads=1, comm=comm, parallel="data")
    samples, before = sim.samples(2 * comm.size, 3, window=None), sim.state()
    monkeypatch.setattr(sim._episodes, "make_lanes", no_memory)
    with pytest.raises(
        MemoryLimitError, match=r"the system grants no more memory \(.+\): take fewer or shorter samples"
    ):
        getattr(sim, call)(2 * comm.size if call == "lanes" else samples)
    assert_same(sim.state(), before)
    monkeypatch.undo()
    if comm.size == 1:
        assert sim.train(samples).loss.shape == (2,)


def no_memory(*_):
    raise MemoryError


def test_copies_of_a_network_share_the_memory_of_a_machine(monkeypatch):
    net = network(FixedIndegree(6000, multapses=True), EProp(), neurons=1000)
    monkeypatch.setattr(memory, "available_memory", lambda: 400_000_000)
    ep.Simulator(net, threads=1, parallel="data")
    with pytest.raises(MemoryLimitError, match=r"but 0\.1 GB are available to each of 4 ranks"):
        ep.Simulator(net, threads=1, comm=Crowd(), parallel="data")


def test_axons_of_every_delay_count(monkeypatch):
    """Each delay that occurs has an axon for each source."""
    monkeypatch.setattr(memory, "available_memory", lambda: 100_000_000)
    connections = {"in->rec": {"connectivity": FixedIndegree(10), "delay": ep.Uniform(1.0, 100_000.0)}}
    net = small_network((10_000, 100, 0), connections)
    with pytest.raises(MemoryLimitError, match=r"GB for propagators, neurons and axons"):
        ep.Simulator(net, threads=1)


@pytest.mark.tiny
def test_the_command_line_says_so_as_well(monkeypatch):
    from eprop.cli import app

    monkeypatch.setattr(memory, "available_memory", lambda: 1_000_000)
    done = CliRunner().invoke(app, ["bench", "scaling", "--neurons", "3000", "--indegree", "3000", "--mode", "static"])
    assert done.exit_code == 2
    assert "GB are available" in done.stderr
    assert "not enough memory" not in done.stderr


def test_memory_is_known_on_linux():
    free = memory.available_memory()
    assert free is None or free > 0


GROUPS = {
    "none": ({}, 1024),
    "of version 2, around it": ({"a/memory.max": "500\n", "a/memory.current": "200\n"}, 300),
    "with files in the cache": (
        {"a/b/memory.max": "500", "a/b/memory.current": "450", "a/b/memory.stat": "file 300\ninactive_file 250\n"}, 300
    ),
    "without a limit": ({"a/b/memory.max": "max", "a/b/memory.current": "450"}, 1024),
    "seen as the root": ({"memory.max": "700", "memory.current": "100"}, 600),
    "of version 1": ({"memory/c/memory.limit_in_bytes": "400", "memory/c/memory.usage_in_bytes": "300"}, 100),
    "of version 1, no limit": (
        {"memory/c/memory.limit_in_bytes": "9223372036854771712", "memory/c/memory.usage_in_bytes": "300"}, 1024
    ),
    "of both": (
        {"a/memory.max": "800", "a/memory.current": "0", "memory/c/memory.limit_in_bytes": "90",
         "memory/c/memory.usage_in_bytes": "95"}, 0
    ),
}  # fmt: skip


@pytest.mark.tiny
@pytest.mark.parametrize("name", GROUPS)
def test_limits_of_control_groups_count(name, tmp_path):
    files, left = GROUPS[name]
    files = {f"sys/fs/cgroup/{where}": text for where, text in files.items()}
    files |= {"proc/meminfo": "MemTotal: 4 kB\nMemAvailable: 1 kB\n", "proc/self/cgroup": "0::/a/b\n4:cpu,memory:/c\n"}
    for where, text in files.items():
        (tmp_path / where).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / where).write_text(text)
    assert available_memory(tmp_path) == left


@pytest.mark.tiny
def test_a_system_that_says_nothing(tmp_path):
    assert available_memory(tmp_path) is None


def test_more_axons_than_can_be_numbered(monkeypatch):
    net = small_network((100, 100, 0), {"in->rec": {"connectivity": FixedIndegree(10), "delay": ep.Uniform(0.5, 10.5)}})
    monkeypatch.setattr(check, "MOST", 999)
    with pytest.raises(
        NetworkError, match=r"has 1,000 axons .* at most 999 are possible; use more ranks, or fewer different delays"
    ):
        ep.Simulator(net, threads=1)
    monkeypatch.setattr(check, "MOST", 199)
    with pytest.raises(NetworkError, match=r"has 200 sources on a rank, at most 199 are possible; use more ranks$"):
        ep.Simulator(net, threads=1)


def test_a_rule_that_draws_all_for_any_target_is_not_asked_often():
    few = network(FixedOutdegree(7)).projection("rec->rec")
    many = network(FixedOutdegree(1000, multapses=True), neurons=100_000).projection("rec->rec")
    assert len(list(chunks(few, 0, 300))) == 1
    assert len(list(chunks(many, 0, 100_000))) <= 17


@pytest.mark.tiny
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_begin_at_a_cache_line(dtype):
    for shape in ((3, 7), (5,)):
        made = storage.aligned(shape, dtype)
        assert (made.shape, made.dtype) == (shape, dtype)
        assert not made.any()
        assert made.ctypes.data % storage.CACHE_LINE == 0
