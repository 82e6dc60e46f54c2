"""A recording as a block of Neo holds the same numbers, with units and names."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import eprop as ep
from eprop.interop.neo import to_neo

pytestmark = pytest.mark.tiny


@pytest.fixture(scope="module")
def ran():
    """A network that ran twice, and the second recording."""
    net, rule = ep.Network(dt=0.1, seed=3), ep.EPropPlus()
    x, rec = net.add(ep.EventSource(), 5, "in"), net.add(ep.LIF(v_th=0.5), 4, "rec")
    out = net.add(ep.Readout(), 2, "out")
    net.connect(x, rec, weight=ep.Uniform(0.0, 0.5), rule=rule)
    net.connect(rec, out, weight=0.1, rule=rule)
    net.feedback(out, rec, ep.RandomFeedback())
    sim, given = ep.Simulator(net, threads=1), np.random.default_rng(1).random((40, 5)) < 0.2
    given[:, 2] = False
    sim.run(4.0, {"in": given}, {"out": [0.5, 0.0]})
    recorded = [("rec", "v", [1, 3]), ("rec", "surrogate"), ("in->rec", "weight")]
    return net, sim.run(4.0, {"in": given}, {"out": [0.5, 0.0]}, record=recorded, spikes=["in", "rec"])


def test_spikes(ran):
    net, recording = ran
    block = to_neo(recording, net)
    (segment,) = block.segments
    assert len(segment.spiketrains) == 9
    assert [group.name for group in block.groups] == ["in", "rec"]
    for group, size in zip(block.groups, (5, 4), strict=True):
        times, nodes = recording.spikes[group.name]
        assert times.size > 0
        assert [train.annotations["node"] for train in group.spiketrains] == list(range(size))
        for i, train in enumerate(group.spiketrains):
            assert train.name == f"{group.name}[{i}]"
            np.testing.assert_array_equal(train.rescale("ms").magnitude, times[nodes == i])
            assert float(train.t_start.rescale("ms")) == pytest.approx(4.0, abs=1e-12)
            assert float(train.t_stop.rescale("ms")) == pytest.approx(8.0, abs=1e-12)
    assert block.groups[0].spiketrains[2].size == 0


def test_signals(ran):
    net, recording = ran
    signals = {signal.name: signal for signal in to_neo(recording, net).segments[0].analogsignals}
    assert list(signals) == ["rec.v", "rec.surrogate", "in->rec.weight", "out.y", "loss"]
    units = {name: str(signal.units.dimensionality) for name, signal in signals.items()}
    assert [name for name, unit in units.items() if unit == "mV"] == ["rec.v", "out.y"]
    assert set(units.values()) == {"mV", "dimensionless"}
    wanted = [recording["rec", "v"], recording["rec", "surrogate"], recording["in->rec", "weight"]]
    for signal, values in zip(signals.values(), [*wanted, recording.y["out"], recording.loss[:, None]], strict=True):
        np.testing.assert_array_equal(signal.magnitude, values)
        np.testing.assert_allclose(signal.times.rescale("ms").magnitude, recording.times, rtol=1e-14)


def test_spikes_and_values_of_a_step_have_the_same_time(ran):
    _, recording = ran
    assert np.isin(recording.spikes["rec"][0], recording.times).all()


def test_a_recording_of_another_network(ran):
    other = ep.Network()
    other.add(ep.Readout(), 1, "answer")
    with pytest.raises(ep.InputError, match=r"to_neo: the network has no population 'in'; it has: answer"):
        to_neo(ran[1], other)
    with pytest.raises(ep.InputError, match="to_neo takes a Recording and its Network, got Network, Recording"):
        to_neo(*ran)


def test_missing_extra(ran, monkeypatch):
    monkeypatch.setitem(sys.modules, "neo", None)
    with pytest.raises(ep.MissingExtraError, match=r'needs the package "neo": pip install "eprop\[neo\]"'):
        to_neo(ran[1], ran[0])
