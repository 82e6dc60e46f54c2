"""How rows are walked: which become tables of weights, which runs of neighbours, and that it changes no bit."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import eprop as ep
from eprop._jit import WIDE
from eprop.engine import rows
from eprop.engine.rows import aligned, walks_of
from eprop.kernels import layout as lay

RULE = ep.EProp(optimizer=ep.Adam(eta=0.01), c_reg=1.0)


def network(connect: Any, neurons: int = 35, delay: Any = 1.0, rule: Any = RULE) -> ep.Network:
    """Two populations, so that the padding of one row of a table lies over the next population's inputs."""
    net = ep.Network(seed=3)
    x = net.add(ep.EventSource(), 40, name="in")
    first = net.add(ep.LIF(tau_m=20.0, v_th=1.0), neurons, name="first")
    second = net.add(ep.LIF(tau_m=15.0, v_th=0.8, surrogate=ep.Arctan()), 20, name="second")
    out = net.add(ep.Readout(tau_m=20.0), 3, name="out")
    net.connect(x, first, connect, weight=ep.Normal(0.1, 0.3), delay=delay, rule=rule)
    net.connect(first, second, ep.Bernoulli(0.5), weight=ep.Normal(0.1, 0.3), rule=rule)
    net.connect(second, out, ep.AllToAll(), weight=ep.Normal(0.0, 0.3), rule=rule)
    net.feedback(out, first, ep.RandomFeedback(ep.Normal(0.0, 1.0)))
    net.feedback(out, second, ep.Symmetric())
    return net


def learned(net: ep.Network, threads: int = 1, precision: str = "single") -> tuple[dict[str, np.ndarray], np.ndarray]:
    simulator = ep.Simulator(net, threads=threads, precision=precision)
    rng = np.random.default_rng(5)
    inputs = (rng.random((5, 30, 40)) < 0.2).astype(float)
    targets = rng.normal(size=(5, 30, 3))
    samples = simulator.samples(5, 30, inputs={"in": inputs}, targets={"out": targets})
    result = simulator.train(samples)
    simulator.train(samples)
    assert result.spikes is not None
    assert result.spikes.min() > 0
    return simulator.state(), simulator.evaluate(samples).y


def local(width: int, sources: int = 40, targets: int = 400, step: int = 10) -> ep.Explicit:
    """Each source reaches two stretches of neighbours, around the circle; every seventh source reaches nothing."""
    pairs = [
        (i, (step * i + shift + k) % targets)
        for i in range(sources) for shift in (0, targets // 2) for k in range(width - i % 3)
        if i % 7
    ]  # fmt: skip
    source, target = np.array(sorted(pairs)).T
    return ep.Explicit(sources=source, targets=target)


@pytest.mark.parametrize("precision", ["single", "double"])
@pytest.mark.parametrize(("delay", "neurons"), [(1.0, 35), (3.0, 35), (ep.Uniform(0.5, 2.5), 60)])
def test_tables_change_no_bit(monkeypatch, precision, delay, neurons):
    """Of one delay, or a table for each."""
    net = network(ep.Bernoulli(0.8), neurons, delay)
    assert (walks(net).dense_at[:-1] >= 0).all()
    with_tables, y = learned(net, precision=precision)
    monkeypatch.setattr(rows, "DENSE_FROM", 2.0)
    without, y_without = learned(net, precision=precision)
    assert all(np.array_equal(value, without[name]) for name, value in with_tables.items())
    assert np.array_equal(y, y_without)


def walks(net: ep.Network) -> rows.Walks:
    return walks_of(ep.Simulator(net).arrays.built, 30)


@pytest.mark.tiny
def test_which_projections_get_a_table():
    at = walks(network(ep.Bernoulli(0.6))).dense_at
    assert (at >= 0).tolist() == [True, True, False]  # 3 readouts are too few
    few = walks(network(ep.Bernoulli(0.05))).dense_at
    assert (few >= 0).tolist() == [False, True, False]
    several = walks(network(ep.Bernoulli(0.8), 60, ep.Uniform(0.5, 3.5))).dense_at  # a quarter of all in each
    assert (several >= 0).tolist() == [False, False, False, True, False]


@pytest.mark.tiny
def test_repeated_connections_get_no_table():
    once = walks(network(ep.FixedIndegree(30)))
    twice = walks(network(ep.FixedIndegree(30, multapses=True)))
    assert once.dense_at[0] >= 0
    assert twice.dense_at[0] == -1


@pytest.mark.tiny
def test_tables_are_bounded(monkeypatch):
    monkeypatch.setattr(rows, "DENSE_TO", 1)
    assert walks(network(ep.Bernoulli(0.6))).dense.size == 0


@pytest.mark.parametrize("precision", ["single", pytest.param("double", marks=pytest.mark.tiny)])
@pytest.mark.parametrize("delay", [3.0, ep.Uniform(0.5, 4.5), ep.Uniform(0.5, 60.5)])
def test_gradients_spike_by_spike_change_no_bit(monkeypatch, precision, delay):
    """All synapses at a time, or the few of an axon; rows are longer than a pack or shorter, and some delays than a sample."""
    net = network(ep.Bernoulli(0.3), delay=delay)
    monkeypatch.setattr(rows, "PICKED_TO", 0.0)
    assert not walks(net).by_spikes.any()
    by_rows, y = learned(net, precision=precision)
    monkeypatch.setattr(rows, "PICKED_TO", 2.0)
    *onto_neurons, onto_readouts = walks(net).by_spikes
    assert all(onto_neurons)
    assert not onto_readouts
    for most in (rows.MOST_SUMS, 1):
        monkeypatch.setattr(rows, "MOST_SUMS", most)
        by_spikes, y_by_spikes = learned(net, precision=precision)
        assert all(np.array_equal(value, by_spikes[name]) for name, value in by_rows.items())
        assert np.array_equal(y, y_by_spikes)


def test_gradients_spike_by_spike_of_two_threads_are_the_same(monkeypatch):
    monkeypatch.setattr(rows, "PICKED_TO", 2.0)
    net = network(ep.Bernoulli(0.3))
    one, y_one = learned(net, precision="double")
    two, y_two = learned(net, 2, "double")
    assert all(np.array_equal(value, two[name]) for name, value in one.items())
    assert np.array_equal(y_one, y_two)


PIECES = [(ep.Bernoulli(0.3), 35, 0.0), (ep.Bernoulli(0.3), 35, 2.0), (local(20), 400, 2.0)]


@pytest.mark.parametrize(
    ("connect", "neurons", "picked", "delay", "threads"),
    [
        pytest.param(*piece, delay, threads, marks=pytest.mark.tiny if several and threads == 1 else [])
        for piece in PIECES
        for several, delay in enumerate((1.0, ep.Uniform(0.5, 4.5)))
        for threads in (1, 2)
    ],
)
def test_pieces_change_no_bit(monkeypatch, connect, neurons, picked, delay, threads):
    """Gradients of all axons at a time, of a few, or of each on its own: of rows, of runs, spike by spike, and of readouts."""
    net = network(connect, neurons, delay)
    monkeypatch.setattr(rows, "PICKED_TO", picked)
    by_runs = neurons == 400 and delay == 1.0
    assert (walks(net).by_spikes[0], walks(net).by_runs[0]) == (picked > 0.0 and not by_runs, by_runs)
    at_once, y = learned(net, threads, "double")
    for most in (100, 1):
        with monkeypatch.context() as patch:
            patch.setattr(rows, "PIECE", most)
            patch.setattr(rows, "MOST_SUMS", most)
            in_pieces, y_in_pieces = learned(net, threads, "double")
        assert all(np.array_equal(value, in_pieces[name]) for name, value in at_once.items())
        assert np.array_equal(y, y_in_pieces)


@pytest.mark.parametrize("precision", ["single", pytest.param("double", marks=pytest.mark.tiny)])
@pytest.mark.parametrize(("span", "neurons"), [(60.5, 35), (5.5, 35), (60.5, 300)])
def test_axons_walked_as_one_row_change_no_bit(monkeypatch, precision, span, neurons):
    """Rows of a few synapses, or of one, or none; some delays are longer than a sample; gradients spike by spike, and of rows."""
    net = network(ep.Bernoulli(0.3), neurons, ep.Uniform(0.5, span))
    for picked in (0.0, 2.0):
        monkeypatch.setattr(rows, "PICKED_TO", picked)
        monkeypatch.setattr(rows, "AS_ONE_TO", 0.0)
        assert not walks(net).as_one.any()
        each, y = learned(net, precision=precision)
        monkeypatch.setattr(rows, "AS_ONE_TO", 1e9)
        assert walks(net).as_one[0]
        as_one, y_as_one = learned(net, precision=precision)
        assert all(np.array_equal(value, as_one[name]) for name, value in each.items())
        assert np.array_equal(y, y_as_one)


@pytest.mark.tiny
def test_which_axons_are_walked_as_one_row(monkeypatch):
    assert not walks(network(ep.Bernoulli(0.05))).as_one.any()  # one branch
    net = network(ep.Bernoulli(0.05), delay=ep.Uniform(0.5, 4.5))
    several = walks(net)
    assert several.as_one[:4].all()
    assert not several.as_one[4:].any()
    assert several.turn == 4
    monkeypatch.setattr(rows, "AS_ONE_TO", 0.1)
    long = walks(net)
    assert not long.as_one.any()
    assert long.entries.size == 0


@pytest.mark.tiny
def test_entries_are_those_of_targets_in_the_steps_they_are_reached_in():
    built = ep.Simulator(network(ep.Bernoulli(0.3), delay=ep.Uniform(0.5, 4.5))).arrays.built
    walk, width = walks_of(built, 30), rows.row_width(built)
    projections, indptr, targets = built.topology.projections, built.topology.indptr, built.topology.targets
    synapses = 0
    for r in np.flatnonzero(walk.as_one):
        row = projections[r]
        for i in range(
            row[lay.PRO_ROW], row[lay.PRO_ROW] + row[lay.PRO_ROWS] * row[lay.PRO_STRIDE], row[lay.PRO_STRIDE]
        ):
            for part in indptr:
                span = slice(part[i], part[i + 1])
                assert (walk.entries[span] == row[lay.PRO_LATE] * width + targets[span]).all()
                synapses += part[i + 1] - part[i]
    assert synapses > 200
    assert rows.entries_bytes(built) == 4 * synapses


@pytest.mark.tiny
def test_behind_the_last_neuron_there_is_room_for_what_is_done_at_a_time():
    for neurons in (1, 31, 32, 33, 64):
        built = ep.Simulator(network(ep.Bernoulli(0.5), neurons)).arrays.built
        assert rows.row_width(built) >= built.topology.params.shape[1] + WIDE


@pytest.mark.tiny
def test_entries_that_would_be_too_large_are_not_written_down(monkeypatch):
    built = ep.Simulator(network(ep.Bernoulli(0.3), delay=ep.Uniform(0.5, 4.5))).arrays.built
    assert walks_of(built, 30).as_one.any()
    monkeypatch.setattr(rows, "row_width", lambda built: 2**29)
    assert not rows.rows_as_one(built).any()


@pytest.mark.tiny
def test_each_thread_finds_several_pieces(monkeypatch):
    """Of a small network as well; never more synapses than suit the cache."""
    built = ep.Simulator(network(ep.Bernoulli(0.9), neurons=400)).arrays.built
    assert built.weight.size > 16 * rows.LEAST_PIECE
    assert walks_of(built, 30, 1).piece == built.weight.size // 8
    assert walks_of(built, 30, 2).piece == built.weight.size // 16
    assert walks_of(built, 30, 1000).piece == rows.LEAST_PIECE
    monkeypatch.setattr(rows, "PIECE", 1000)
    assert walks_of(built, 30, 1).piece == 1000


@pytest.mark.tiny
def test_which_gradients_are_added_spike_by_spike():
    assert walks(network(ep.Bernoulli(0.05))).by_spikes.tolist() == [True, False, False]
    plus = walks(network(ep.Bernoulli(0.05), rule=ep.EPropPlus()))
    assert not plus.by_spikes.any()


@pytest.mark.tiny
def test_room_for_sums_grows_with_what_is_read_for_each(monkeypatch):
    built = ep.Simulator(network(ep.Bernoulli(0.05), 300)).arrays.built
    walk = walks_of(built, 30)
    monkeypatch.setattr(rows, "_longest", lambda built, tracts: 20)  # synapses of an axon
    most = rows.room_for_sums(built, walk, 30, 1)
    monkeypatch.setattr(rows, "LEAST_SUMS", 100)
    monkeypatch.setattr(rows, "SUMS_EACH", 2**10)
    assert 100 <= rows.room_for_sums(built, walk, 30, 1) < most
    assert rows.room_for_sums(built, walk, 10**6, 1) == most


@pytest.mark.parametrize("precision", ["single", "double"])
@pytest.mark.parametrize(("width", "delays"), [(20, [1.0]), (37, [3.0]), (37, [2.0, 5.0, 40.0])])
def test_runs_change_no_bit(monkeypatch, precision, width, delays):
    """Runs longer and shorter than what is done at a time, that end with the last neuron, in empty rows, beside another tract."""
    connect = local(width)
    far = (np.asarray(connect.targets) // 50) % len(delays)  # by distance; 40 steps are longer than the samples
    net = network(connect, neurons=400, delay=np.array(delays)[far] if len(delays) > 1 else delays[0])
    assert walks(net).by_runs.tolist() == [*(True for _ in delays), False, False]
    by_runs, y = learned(net, precision=precision)
    monkeypatch.setattr(rows, "RUNS_FROM", np.inf)
    assert not walks(net).by_runs.any()
    without, y_without = learned(net, precision=precision)
    assert all(np.array_equal(value, without[name]) for name, value in by_runs.items())
    assert np.array_equal(y, y_without)


def test_runs_of_two_threads_are_the_same():
    net = network(local(20), neurons=400)
    one, y_one = learned(net, precision="double")
    two, y_two = learned(net, 2, "double")
    assert all(np.array_equal(value, two[name]) for name, value in one.items())
    assert np.array_equal(y_one, y_two)


@pytest.mark.tiny
def test_what_is_read_beyond_the_last_neuron_is_there(monkeypatch):
    """Neurons end with a cache line, the last of them with runs: the history has to be longer."""
    monkeypatch.setattr(rows, "DENSE_FROM", np.inf)
    net = ep.Network(seed=3)
    x = net.add(ep.EventSource(), 40, name="in")
    last = net.add(ep.LIF(tau_m=20.0, v_th=1.0), 64, name="last")
    out = net.add(ep.Readout(tau_m=20.0), 3, name="out")
    net.connect(x, last, local(20, targets=64), weight=ep.Normal(0.1, 0.3), rule=RULE)
    net.connect(last, out, ep.AllToAll(), weight=ep.Normal(0.0, 0.3), rule=RULE)
    net.feedback(out, last, ep.Symmetric())
    by_runs = walks(net).by_runs
    assert by_runs[0]
    with_runs = few_steps(net)
    monkeypatch.setattr(rows, "RUNS_FROM", np.inf)
    assert all(np.array_equal(value, with_runs[name]) for name, value in few_steps(net).items())


def few_steps(net: ep.Network) -> dict[str, np.ndarray]:
    """What is learned from two short samples, on one thread and in double precision."""
    simulator = ep.Simulator(net, threads=1)
    rng = np.random.default_rng(5)
    inputs, targets = {"in": (rng.random((2, 12, 40)) < 0.2).astype(float)}, {"out": rng.normal(size=(2, 12, 3))}
    simulator.train(simulator.samples(2, 12, inputs=inputs, targets=targets))
    return simulator.state()


def evaluated(threads: int) -> np.ndarray:
    simulator = ep.Simulator(network(local(37), neurons=400, rule=ep.EPropPlus()), threads=threads)
    inputs = {"in": (np.random.default_rng(5).random((3, 30, 40)) < 0.2).astype(float)}
    return simulator.evaluate(simulator.samples(3, 30, inputs=inputs)).y


def test_runs_that_partitions_cut_are_the_same(monkeypatch):
    """Networks that learn by e-prop+ divide their neurons, and with them the runs, among threads."""
    two = evaluated(2)
    monkeypatch.setattr(rows, "RUNS_FROM", np.inf)
    assert np.array_equal(two, evaluated(2))
    assert np.array_equal(two, evaluated(1))
    assert two.any()


@pytest.mark.tiny
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_runs_are_those_of_the_rows(threads):
    """They begin and end where targets stop being neighbours, in each partition."""
    built = ep.Simulator(network(local(37), neurons=400, rule=ep.EPropPlus()), threads=threads).arrays.built
    by = walks_of(built, 30)
    by_runs, run_rows, run_start, run_target = by.by_runs, by.run_rows, by.run_start, by.run_target
    assert by_runs.tolist() == [True, False, False]
    assert len(run_rows) == threads
    indptr, targets, own = built.topology.indptr, built.topology.targets, built.topology.projections[0]
    for p, part in enumerate(indptr):
        for i in range(part.size - 1):
            found = [list(range(run_start[k], run_start[k + 1])) for k in range(*run_rows[p, i])]
            if not own[1] <= i < own[1] + own[2]:
                assert found == []
                continue
            assert [q for run in found for q in run] == list(range(part[i], part[i + 1]))
            assert run_target[slice(*run_rows[p, i])].tolist() == [targets[run[0]] for run in found]
            assert all(np.array_equal(np.diff(targets[run].astype(int)), np.ones(len(run) - 1)) for run in found)
            ends = itertools.pairwise(found)
            assert all(targets[after[0]] != targets[before[-1]] + 1 for before, after in ends)


@pytest.mark.tiny
def test_which_projections_are_walked_by_runs(monkeypatch):
    assert walks(network(local(20), neurons=400)).by_runs.tolist() == [True, False, False]
    assert not walks(network(local(6), neurons=400)).by_runs.any()  # too short
    assert not walks(network(ep.AllToAll(), neurons=400)).by_runs[0]  # a table is better
    assert walks(network(ep.AllToAll(), neurons=12)).by_runs[0]  # too few targets for a table
    assert not walks(network(ep.FixedIndegree(30, multapses=True), neurons=12)).by_runs[0]
    monkeypatch.setattr(rows, "DENSE_TO", 1)
    assert walks(network(ep.AllToAll(), neurons=400)).by_runs[0]  # too large for a table


@pytest.mark.tiny
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_aligned(dtype):
    made = aligned((3, 7), dtype)
    assert made.shape == (3, 7)
    assert made.dtype == dtype
    assert not made.any()
    assert made.ctypes.data % rows.CACHE_LINE == 0
