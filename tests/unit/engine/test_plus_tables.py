"""e-prop+ over tables of whole rows: where they are made, and that they change no bit."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from eprop.engine import state, streaming

RULE = ep.EPropPlus(optimizer=ep.GradientDescent(eta=0.01, w_min=-1.5, w_max=1.2), c_reg=0.5, cutoff=9.0)


def network(rule: ep.EPropPlus = RULE, connect: ep.Bernoulli | ep.FixedIndegree = ep.Bernoulli(0.6)) -> ep.Network:
    net = ep.Network(seed=3)
    x = net.add(ep.EventSource(), 40, name="in")
    rec = net.add(ep.LIF(tau_m=20.0, v_th=1.0), 61, name="rec")
    out = net.add(ep.Readout(tau_m=20.0), 3, name="out")
    net.connect(x, rec, connect, weight=ep.Normal(0.05, 0.3), delay=2.0, rule=rule)
    net.connect(rec, rec, ep.FixedIndegree(4), weight=ep.Normal(0.0, 0.2), rule=rule)
    net.connect(rec, out, ep.AllToAll(), weight=ep.Normal(0.0, 0.3), rule=rule)
    net.feedback(out, rec, ep.RandomFeedback(ep.Normal(0.0, 1.0)))
    return net


def learned(partitions: int, precision: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Learn, go on without learning from a table, learn again; silences are shorter and longer than the cutoff."""
    sim = ep.Simulator(network(), threads=1, precision=precision, partitions=partitions)
    rng = np.random.default_rng(5)
    inputs = (rng.random((4, 30, 40)) < np.linspace(0.02, 0.3, 40)).astype(float)
    samples = sim.samples(4, 30, inputs={"in": inputs}, targets={"out": rng.normal(size=(4, 30, 3))})
    result = sim.train(samples)
    sim.run(30.0, {"in": inputs[0]}, {"out": np.zeros(3)}, record=[("in->rec", "weight", 0)])
    sim.train(samples)
    assert result.spikes is not None
    assert result.spikes.min() > 0
    return sim.state(), result.y


@pytest.mark.tiny
@pytest.mark.parametrize("precision", ["single", "double"])
def test_tables_change_no_bit(monkeypatch, precision):
    without, y_without = learned(1, precision)
    monkeypatch.setattr(streaming, "TABLED_STEPS", 1)
    for partitions in (1, 3):
        tables, y = learned(partitions, precision)
        assert all(np.array_equal(value, without[name]) for name, value in tables.items())
        assert np.array_equal(y, y_without)


def populations(sizes: tuple[int, ...], partitions: int) -> dict[str, np.ndarray]:
    """Populations side by side, each with a table if it is large enough, learn from the same inputs."""
    net, rule = ep.Network(seed=3), RULE.replace(optimizer=ep.GradientDescent(eta=0.0005, w_min=-1.5, w_max=1.2))
    x, out = net.add(ep.EventSource(), 40, name="in"), net.add(ep.Readout(tau_m=20.0), 3, name="out")
    for size in sizes:
        rec = net.add(ep.LIF(tau_m=20.0, v_th=1.0), size, name=f"rec {len(net.populations)}")
        net.connect(x, rec, ep.Bernoulli(0.9), weight=ep.Normal(0.05, 0.3), rule=rule)
        net.connect(rec, out, ep.AllToAll(), weight=ep.Normal(0.0, 0.3), rule=rule)
        net.feedback(out, rec, ep.RandomFeedback(ep.Normal(0.0, 1.0)))
    sim, rng = ep.Simulator(net, threads=1, partitions=partitions), np.random.default_rng(5)
    inputs = (rng.random((4, 30, 40)) < 0.1).astype(float)
    sim.train(sim.samples(4, 30, inputs={"in": inputs}, targets={"out": rng.normal(size=(4, 30, 3))}))
    return sim.state()


@pytest.mark.tiny
@pytest.mark.parametrize("sizes", [(20, 20, 20), (20, 5, 32)], ids=str)
def test_rows_of_several_populations_end_where_they_should(monkeypatch, sizes):
    """Loops over the last neurons go on to the end of a padded row; those of others, and short rows, must not."""
    without = populations(sizes, 1)
    monkeypatch.setattr(streaming, "TABLED_STEPS", 1)
    for partitions in (1, 2, 5):
        tables = populations(sizes, partitions)
        assert all(np.array_equal(value, without[name]) for name, value in tables.items())


@pytest.mark.tiny
def test_which_tracts_get_a_table():
    def has_table(net: ep.Network) -> list[bool]:
        sim = ep.Simulator(net, threads=1)
        scratch = state.with_tables(sim.arrays.built, sim.arrays.scratch)
        assert scratch.dense_weight.size == scratch.dense_trace.size == (scratch.dense_width[0] * 40 or 0)
        return (scratch.dense_at >= 0).tolist()

    assert has_table(network()) == [True, False, False]
    assert has_table(network(connect=ep.FixedIndegree(30, multapses=True))) == [False, False, False]
    # What the loops over tables do not know.
    for other in (RULE.replace(kappa_reg=0.5), RULE.replace(optimizer=ep.Adam()), RULE.replace(each_step=True)):
        assert has_table(network(other)) == [False, False, False]
