"""Building: the same network for any number of threads, small temporaries, and a word before memory runs out."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import eprop as ep
from compare import assert_same
from eprop.engine.build import check
from eprop.engine.build.assemble import build
from eprop.errors import MemoryLimitError, NetworkError
from eprop.free_memory import available_memory
from eprop.models import PoissonSource
from eprop.network import Bernoulli, FixedIndegree, Network, Normal, Uniform
from eprop.parallel import Serial
from eprop.rules import Adam, EProp, EPropPlus, GradientDescent, RewardTrace
from networks import all_kinds, small_network
from refusals import each_row, refusals


def network(connectivity=FixedIndegree(20), rule=None, neurons=300):
    recurrent = {"connectivity": connectivity, "weight": Normal(0.0, 0.1), "rule": rule or EPropPlus()}
    connections = {"in->rec": {"connectivity": Bernoulli(0.3)}, "rec->rec": recurrent, "rec->out": None}
    net = small_network((50, neurons, 3), connections, source=PoissonSource(rate=5.0), seed=3)
    net.feedback("out", "rec")
    return net


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


LEARNING = {
    "plus": EPropPlus(), "adam": EPropPlus(optimizer=Adam()), "two kappas": EPropPlus(kappa_reg=0.5, c_reg=0.0),
    "each step": EPropPlus(each_step=True), "reward": EPropPlus(reward=RewardTrace(200.0)),
    "eprop adam": EProp(), "eprop": EProp(optimizer=GradientDescent()),
}  # fmt: skip


@pytest.mark.parametrize("rule", LEARNING.values(), ids=LEARNING)
@pytest.mark.parametrize("precision", ["single", "double"])
def test_the_estimate_is_what_is_built(rule, precision, monkeypatch):
    found, estimate = [], check.estimate
    monkeypatch.setattr(check, "estimate", lambda *given: found.append(given) or estimate(*given))
    sim = ep.Simulator(network(FixedIndegree(200), rule), threads=1, precision=precision)
    [(sizes, threads)], synapses = found, sim.n_synapses()
    running = check.running(sizes)
    assert estimate(sizes, threads) == max(running, check.building(sizes, threads), key=lambda phase: phase.total)
    assert abs(running.synapses / synapses - 1.0) < 0.02
    assert running.per_synapse * synapses == sim.memory()["synapses"]
    held, vectors = sim._arrays.online.bytes(), sim._arrays.online.vectors_before(sizes.in_core(0, sizes.longest_delay))
    arrays = sum(size for name, size in held.items() if name not in vectors)
    assert running.per_synapse * synapses + running.others - sum(vectors.values()) == arrays


@pytest.mark.parametrize("rule", [EPropPlus(), ep.STDP(w_max=0.01)], ids=["plus", "pairs"])
def test_vectors_take_what_was_expected_at_moderate_rates(rule):
    drive = {"in->rec": {"connectivity": Bernoulli(0.3), "weight": Normal(0.0, 0.3)}}
    recurrent = {"rec->rec": {"connectivity": FixedIndegree(20), "weight": Uniform(0.0, 0.01), "rule": rule}}
    sim = ep.Simulator(small_network((500, 4000, 0), drive | recurrent, source=PoissonSource(rate=5.0)), threads=1)
    online, spikes = sim._arrays.online, sim.run(300.0, spikes=["rec"]).spikes["rec"][0].size
    assert 2.0 < spikes / 4000 / 0.3 < 20.0
    built, held = sim._arrays.built, online.bytes()
    for name, expected in online.vectors_before(built.in_core(0, built.max_delay)).items():
        assert held[name] / 4 - 10_000 < expected < 4 * held[name] + 10_000, name


def test_lists_of_spikes_do_not_grow_with_the_partitions():
    found = [ep.Simulator(network(), threads=1, partitions=n)._arrays.online.bytes() for n in (1, 7)]
    assert found[0]["lists"] == found[1]["lists"] == 300 * (4 + 1) + 50 * 4


def ring(degree: int, neurons: int, *rule: Any) -> Network:
    return network(FixedIndegree(degree, multapses=True), *rule, neurons=neurons)


def delayed(sources: int, most: float) -> Network:
    """Each delay that occurs has an axon for each source."""
    connections = {"in->rec": {"connectivity": FixedIndegree(10), "delay": Uniform(0.5, most)}}
    return small_network((sources, 100, 0), connections)


def results(steps: float, *names: str) -> Any:
    """A run, or samples, of a network without connections, whose results are large."""
    return ep.Simulator(small_network((0, 3, 2)), threads=1).run(steps, record=[(name, "v") for name in names])


def samples(reset: bool) -> Any:
    sim = ep.Simulator(small_network((0, 3, 2)), threads=1)
    return sim.evaluate(sim.samples(1, 8_000_000, window=None), reset=reset)


@all_kinds
@refusals(*each_row([
    (lambda: ep.Simulator(ring(10_000, 10_000), threads=1), r"needs about 2\.\d GB \(100,\d+,\d+ synapses of 20 bytes.*1\.0 GB "
     r"are available.*[\d,]+ synapses, \d+ % of them.*precision=\"single\" with 1\.\d GB does not fit either"),
], lambda call: call(), MemoryLimitError))  # fmt: skip
def test_synapses_that_do_not_fit_are_refused_with_a_number_that_does(refusal, monkeypatch):
    monkeypatch.setattr(check, "available_memory", lambda: 1_000_000_000)
    refusal.check()


@refusals(*each_row([
    (lambda: ep.Simulator(small_network((0, 10**9, 0)), threads=1), "These would fit: fewer neurons"),
    (lambda: ep.Simulator(network(rule=EPropPlus(cutoff=500_000.0)), threads=1), "fewer neurons; a shorter cutoff"),
    (lambda: ep.Simulator(delayed(100_000, 100_000.0), threads=1), "GB for propagators, neurons and axons"),
    (lambda: results(1e9), r"results of 1,000,000,000 steps .* would take 24\.0 GB, .* in several parts"),
], lambda call: call(), MemoryLimitError))  # fmt: skip
def test_what_does_not_fit_is_refused_with_advice(refusal, monkeypatch):
    monkeypatch.setattr(check, "available_memory", lambda: 1_000_000_000)
    refusal.check()


def test_a_network_that_does_not_fit_is_refused_before_its_delays_are_drawn(monkeypatch):
    monkeypatch.setattr(check, "available_memory", lambda: 10_000)
    monkeypatch.setattr("eprop.engine.build.connections.draw_delays", no_memory)
    with pytest.raises(MemoryLimitError, match="GB are available"):
        ep.Simulator(delayed(1000, 20.0), threads=1)


@refusals(*each_row([
    (lambda: results(6e6, "rec"), r"results of 6,000,000 steps \(2 readouts, 3 recorded values\) would take 0\.3 GB.*several "
     "parts, or record less"),
    *((lambda reset=reset: samples(reset), r"results of 8,000,000 steps \(2 readouts\) would take 0\.2 GB")
      for reset in (False, True)),
], lambda call: call(), MemoryLimitError))  # fmt: skip
def test_results_that_do_not_fit_are_refused_with_advice(refusal, monkeypatch):
    monkeypatch.setattr(check, "available_memory", lambda: 150_000_000)
    refusal.check()


def test_copies_of_a_network_share_the_memory_of_a_machine(monkeypatch):
    monkeypatch.setattr(check, "available_memory", lambda: 40_000_000)
    ep.Simulator(ring(600, 1000, EProp()), threads=1)
    with pytest.raises(MemoryLimitError, match=r"but 0\.0 GB are available to each of 4 ranks"):
        ep.Simulator(ring(600, 1000, EProp()), threads=1, comm=Crowd())


@pytest.mark.parametrize(("most", "words"), [
    (999, r"has 1,000 axons .* at most 999 are possible; use more ranks, or fewer different delays"),
    (199, r"has 200 sources on a rank, at most 199 are possible; use more ranks$"),
])  # fmt: skip
def test_more_than_can_be_numbered_is_refused(most, words, monkeypatch):
    monkeypatch.setattr(check, "MOST", most)
    with pytest.raises(NetworkError, match=words):
        ep.Simulator(delayed(100, 10.5), threads=1)


class Crowd(Serial):
    """One of four ranks of a machine, all of which do the same."""

    size = 4

    def ranks_on_machine(self) -> int:
        return 4

    def gather(self, value: object) -> list[object]:
        return [value] * 4


@pytest.mark.tiny
@pytest.mark.parametrize("comm", [Serial(), Crowd()], ids=["alone", "crowd"])
@pytest.mark.parametrize("call", ["lanes", "train", "evaluate", "samples in lanes"])
def test_failed_allocations_are_refused_and_change_nothing(comm, call, monkeypatch):
    sim = ep.Simulator(network(FixedIndegree(2), EProp(), neurons=10), threads=1, comm=comm)
    samples, before = sim.samples(2 * comm.size, 3, targets={"out": np.zeros((2 * comm.size, 1, 3))}), sim.state()
    monkeypatch.setattr(sim._episodes, "make_lanes", no_memory)
    with pytest.raises(
        MemoryLimitError, match=r"the system grants no more memory \(.+\): take fewer or shorter samples"
    ):
        getattr(sim, call.split()[-1])(2 * comm.size if call == "lanes" else samples)
    assert_same(sim.state(), before)
    monkeypatch.undo()
    if comm.size == 1:
        assert sim.train(samples).loss.shape == (2,)


def no_memory(*_):
    raise MemoryError


@pytest.mark.tiny
def test_the_command_line_says_so_as_well(monkeypatch, tmp_path):
    from eprop.cli import app

    monkeypatch.setattr(check, "available_memory", lambda: 1_000_000)
    done = CliRunner().invoke(app, ["train", "pattern-generation", "--neurons", "3000", "--out", str(tmp_path / "run")])
    assert done.exit_code == 2
    assert "GB are available" in done.stderr
    assert "not enough memory" not in done.stderr


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
    assert available_memory(tmp_path / "nothing") is None
    assert (check.available_memory() or 1) > 0
