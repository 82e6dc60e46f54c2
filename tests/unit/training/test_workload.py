"""NeuroBench's metrics are those of its definitions, written out with dense matrices and the spikes of each step."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import digits
import eprop as ep
from eprop.training import evaluate, neurobench
from eprop.training.number_text import _neurobench
from networks import small_network
from small_learner import learner

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]
SCRIPT = pathlib.Path(__file__).parents[3] / "benchmarks" / "neurobench_package.py"
SIZES = {"in": 6, "rec": 9, "out": 2}
RULES = {"e-prop": ep.EProp(), "e-prop+": ep.EPropPlus(), "static": ep.Static()}


def network(rule: ep.Rule) -> ep.Network:
    """A recurrent network, a part of whose connections have no weight, and with delays."""
    rng, connections = np.random.default_rng(3), {}
    for name in ("in->rec", "rec->rec", "rec->out"):
        pre, post = name.split("->")
        weights = rng.normal(0.05, 0.3, (SIZES[post], SIZES[pre])) * (rng.random((SIZES[post], SIZES[pre])) < 0.6)
        given = {"weight": weights, "delay": ep.Uniform(0.6, 4.0), "connectivity": ep.Bernoulli(0.8)}
        connections[name] = given | {"rule": rule}
    return small_network((6, 9, 2), connections, neuron=ep.LIF(tau_m=10.0, v_th=0.5), seed=2)


def written_out(net: ep.Network, x: np.ndarray) -> tuple[float, float, float, float]:
    """Sparsity of connections and activations, accumulates and dense operations of a sample."""
    n, steps, _ = x.shape
    sim = ep.Simulator(net, threads=1)
    matrices = {p.name: sim.weights(p).toarray() for p in net.projections}
    runs = [np.zeros((n, steps, SIZES["rec"])), x.astype(float)]
    for k in range(n):
        fresh = ep.Simulator(net, threads=1)
        runs[0][k] = fresh.run(float(steps), {"in": x[k]}, learn=False, record=[("rec", "z")])["rec", "z"]
    spikes = {"rec": runs[0], "in": runs[1]}
    active = sum(np.einsum("nts,ps->", spikes[p.pre.name], matrices[p.name] != 0.0) for p in net.projections)
    nonzero, pairs = sum(np.count_nonzero(m) for m in matrices.values()), sum(m.size for m in matrices.values())
    return 1.0 - nonzero / pairs, 1.0 - runs[0].mean(), active / n, pairs * steps


@pytest.mark.parametrize(("rule", "n"), [("e-prop", 5), ("static", 5), ("e-prop+", 3)])
def test_metrics_are_those_of_the_definitions(rule, n):
    """Three samples are a chunk each, which begins at rest with e-prop+, too; more follow each other in chunks."""
    net, x = network(RULES[rule]), np.random.default_rng(1).random((n, 40, 6)) < 0.15
    connections, activations, accumulates, dense = written_out(net, x)
    assert 0.1 < connections < 0.9
    assert 0.5 < activations < 1.0
    for partitions in (1, 3):
        sim = ep.Simulator(net, threads=1, partitions=partitions)
        found = neurobench(sim, sim.samples(n, 40, {"in": x}))
        assert found.dense == dense
        measured = found.connection_sparsity, found.activation_sparsity, found.effective_acs
        assert measured == pytest.approx((connections, activations, accumulates), rel=1e-12)


def test_footprint_counts_weights_connections_and_nodes():
    net = small_network((6, 9, 2), {"in->rec": 0.1, "rec->out": 0.1})
    rows = len(ep.LIF.parameter_rows) + len(ep.LIF.state_rows)
    for precision, bits, weight in (("double", None, 8), ("single", None, 4), ("single", 8, 1), ("double", 9, 2)):
        sim = ep.Simulator(net.with_precision(bits and ep.FixedPoint(bits)), threads=1, precision=precision)
        found = neurobench(sim, sim.samples(1, 5, {"in": np.zeros((1, 5, 6))})).footprint
        assert found == (6 * 9 + 9 * 2) * (weight + 4) + 8 * (7 + 10) + 8 * 9 * rows + 8 * 2 * 6


def test_poisson_sources_count_by_their_rate():
    net = ep.Network(dt=0.5, seed=1)
    x, rec = net.add(ep.PoissonSource(rate=[40.0, 0.0, 2000.0]), 3, "in"), net.add(ep.LIF(), 5, "rec")
    net.connect(x, rec, weight=0.0001)
    sim = ep.Simulator(net, threads=1)
    found = neurobench(sim, sim.samples(2, 100))
    assert found.effective_acs == pytest.approx(100 * 5 * (0.02 + 1.0))
    assert found.activation_sparsity == 1.0


def test_summary_of_an_evaluation():
    learns = learner()
    data = digits.recordings(14, seed=2)
    found = evaluate(learns.scoring, learns.simulator, data)
    together = neurobench(learns.simulator, learns.scoring.samples(data))
    summary = found.summary()["neurobench"]
    assert json.loads(json.dumps(summary)) == summary == together.summary()
    assert summary["synaptic_operations"]["Effective_ACs"] > 0.0
    facts = dict(_neurobench({**summary, "footprint": 35_672, "connection_sparsity": 0.25, "activation_sparsity": 0.5}))
    assert facts["sparsity"] == "connections 0.250, activations 0.500; footprint 0.0357 MB"


@pytest.mark.slow
def test_metrics_are_those_of_the_package():
    """By the package ``neurobench`` 2 in an environment of its own, whose Python `EPROP_NEUROBENCH` names."""
    theirs = os.environ.get("EPROP_NEUROBENCH")
    if not theirs:
        pytest.skip("EPROP_NEUROBENCH names no Python with the package neurobench")
    wanted, found = (
        json.loads(subprocess.run([python, SCRIPT], capture_output=True, check=True, text=True).stdout)
        for python in (theirs, sys.executable)
    )
    assert found["synaptic_operations"] == pytest.approx(wanted["synaptic_operations"], rel=1e-12)
    assert found["activation_sparsity"] == pytest.approx(wanted["activation_sparsity"], rel=1e-12)
    assert found["connection_sparsity"] == pytest.approx(wanted["connection_sparsity"], abs=5e-5)  # rounded there
