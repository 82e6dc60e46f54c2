"""Tables of weights: where they are made, and that they change no bit."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from eprop.engine import state
from eprop.kernels.arrange import arrange


def network(connect: ep.Bernoulli | ep.FixedIndegree, neurons: int = 35, delay: float = 1.0) -> ep.Network:
    """Two populations, so that the padding of one row of a table lies over the next population's inputs."""
    net = ep.Network(seed=3)
    rule = ep.EProp(optimizer=ep.Adam(eta=0.01), c_reg=1.0)
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


@pytest.mark.parametrize("precision", ["single", "double"])
@pytest.mark.parametrize("delay", [1.0, 3.0])
def test_tables_change_no_bit(monkeypatch, precision, delay):
    net = network(ep.Bernoulli(0.6), delay=delay)
    with_tables, y = learned(net, precision=precision)
    monkeypatch.setattr(state, "DENSE_FROM", 2.0)
    without, y_without = learned(net, precision=precision)
    assert all(np.array_equal(value, without[name]) for name, value in with_tables.items())
    assert np.array_equal(y, y_without)


def lanes_of(net: ep.Network) -> state.Lanes:
    return state.Lanes(ep.Simulator(net).arrays.built, 1, 3, learns=True, log_size=64)


@pytest.mark.tiny
def test_which_projections_get_a_table():
    at = lanes_of(network(ep.Bernoulli(0.6))).dense_at
    assert (at >= 0).tolist() == [True, True, False]  # 3 readouts are too few
    few = lanes_of(network(ep.Bernoulli(0.05))).dense_at
    assert (few >= 0).tolist() == [False, True, False]


@pytest.mark.tiny
def test_repeated_connections_get_no_table():
    once = lanes_of(network(ep.FixedIndegree(30)))
    twice = lanes_of(network(ep.FixedIndegree(30, multapses=True)))
    assert once.dense_at[0] >= 0
    assert twice.dense_at[0] == -1


@pytest.mark.tiny
def test_tables_are_bounded(monkeypatch):
    monkeypatch.setattr(state, "DENSE_TO", 1)
    assert lanes_of(network(ep.Bernoulli(0.6))).dense.size == 0


@pytest.mark.tiny
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_aligned(dtype):
    made = state.aligned((3, 7), dtype)
    assert made.shape == (3, 7)
    assert made.dtype == dtype
    assert not made.any()
    assert made.ctypes.data % state.CACHE_LINE == 0


@pytest.mark.tiny
@pytest.mark.parametrize(
    ("ptr", "channels", "well"),
    [
        ([[0, 2, 2, 3]], [1, 4, 0], True),
        ([[2, 2, 3, 3], [0, 1, 1, 2]], [3, 1, 2], True),
        ([[0, 0, 0, 0]], [], True),
        ([[0, 2, 2, 3]], [4, 1, 0], False),
        ([[0, 2, 2, 3]], [1, 1, 2], False),
        ([[0, 2, 2, 3]], [1, 5, 0], False),
        ([[0, 2, 2, 3]], [-1, 4, 0], False),
        ([[0, 2, 1, 3]], [1, 4, 0], False),
        ([[0, 2, 2, 4]], [1, 4, 0], False),
        ([[-1, 2, 2, 3]], [1, 4, 0], False),
    ],
)
def test_arrange(ptr, channels, well):
    ptr, channels = np.array(ptr), np.array(channels, np.int32)
    total = int((ptr[:, -1] - ptr[:, 0]).sum())
    start, out = np.zeros(ptr.size - len(ptr) + 1, np.int64), np.zeros(total, np.int32)
    assert arrange(ptr, channels, 5, start, out) == well
    if well:
        want = np.concatenate([channels[a:b] for a, b in zip(ptr[:, 0], ptr[:, -1], strict=True)])
        assert np.array_equal(out, want)
        assert np.array_equal(np.diff(start), np.diff(ptr, axis=1).ravel())
