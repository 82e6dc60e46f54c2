"""A recording as a block of Neo holds the same numbers, with units and names."""

from __future__ import annotations

import sys

import numpy as np
import pytest

pytest.importorskip("neo", reason="needs the extra neo")

import eprop as ep
from eprop.interop.neo import to_neo
from networks import small_network

pytestmark = pytest.mark.tiny


@pytest.fixture(scope="module")
def ran():
    """A network that ran twice, and the second recording."""
    rule = ep.EPropPlus()
    connections = {"in->rec": ep.Uniform(0.0, 0.5), "rec->out": 0.1}
    models = {"neuron": ep.LIF(v_th=0.5), "feedback": ep.RandomFeedback()}
    net = small_network((5, 4, 2), connections, **models, rule=rule, dt=0.1, seed=3)
    sim, given = ep.Simulator(net, threads=1), np.random.default_rng(1).random((40, 5)) < 0.2
    given[:, 2] = False
    sim.run(4.0, {"in": given}, {"out": [0.5, 0.0]})
    recorded = [("rec", "v", [3, 1]), ("rec", "surrogate"), ("in->rec", "weight", slice(2, 6)), ("out", "y", [1])]
    recorded += [("rec", "learning_signal"), ("rec", "refractory")]
    return net, sim.run(4.0, {"in": given}, {"out": [0.5, 0.0]}, record=recorded, spikes=["in", "rec"])


def test_every_node_has_a_spike_train(ran):
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


def test_every_trace_is_a_signal_with_its_values(ran):
    net, recording = ran
    signals = {signal.name: signal for signal in to_neo(recording, net).segments[0].analogsignals}
    wanted = {f"{name}.{variable}": values for (name, variable), values in recording.traces.items()}
    wanted["loss"] = recording.loss[:, None]
    assert set(signals) == set(wanted)
    for name, values in wanted.items():
        np.testing.assert_array_equal(signals[name].magnitude, values)
        np.testing.assert_allclose(signals[name].times.rescale("ms").magnitude, recording.times, rtol=1e-14)
    units = {name: str(signal.units.dimensionality) for name, signal in signals.items()}
    assert units == {
        "out.y": "mV", "loss": "mV**2", "rec.v": "mV", "rec.surrogate": "1/mV", "in->rec.weight": "mV",
        "rec.learning_signal": "mV**2", "rec.refractory": "dimensionless",
    }  # fmt: skip


def units_of(net, targets=None, **given):
    """Units of the signals of a short run."""
    recording = ep.Simulator(net, threads=1).run(3.0, {}, targets, **given)
    return {s.name: str(s.units.dimensionality) for s in to_neo(recording, net).segments[0].analogsignals}


def test_units_follow_loss_and_neurons():
    models = {"readout": ep.Readout(loss=ep.CrossEntropy()), "feedback": ep.Symmetric()}
    net = small_network((0, 2, 2), {"rec->out": None}, **models, rule=ep.EPropPlus())
    assert units_of(net, {"out": [1.0, 0.0]}, record=[("rec", "learning_signal"), ("out", "error")]) == {
        "out.y": "mV", "loss": "dimensionless", "rec.learning_signal": "mV", "out.error": "dimensionless",
    }  # fmt: skip
    other = ep.Network()
    alif, rec = other.add(ep.ALIF(), 2, "alif"), other.add(ep.CurrentLIF(), 2, "rec")
    other.connect(rec, rec)
    other.connect(rec, alif, weight=0.1)
    record = [
        ("alif", "threshold"),
        ("alif", "adaptation"),
        ("rec", "current"),
        ("rec", "current_in"),
        ("rec->rec", "weight"),
    ]
    units = units_of(other, record=record)
    assert [units[".".join(name)] for name in record] == ["mV", "dimensionless", "pA", "pA", "pA"]


def test_columns_say_what_they_are_and_readouts_are_there_without_being_asked_for(ran):
    net, recording = ran
    signals = {signal.name: signal for signal in to_neo(recording, net).segments[0].analogsignals}
    nodes = {name: signals[name].array_annotations["node"].tolist() for name in ("rec.v", "rec.surrogate", "out.y")}
    assert nodes == {"rec.v": [3, 1], "rec.surrogate": [0, 1, 2, 3], "out.y": [1]}
    assert signals["in->rec.weight"].array_annotations["synapse"].tolist() == [2, 3, 4, 5]
    assert np.isin(recording.spikes["rec"][0], recording.times).all()
    plain = ep.engine.Recording(recording.times, recording.y, recording.loss)
    y, loss = to_neo(plain, net).segments[0].analogsignals
    assert (y.name, loss.name, y.array_annotations["node"].tolist()) == ("out.y", "loss", [0, 1])
    np.testing.assert_array_equal(y.magnitude, recording.y["out"])


def test_a_recording_of_another_network(ran):
    other = ep.Network()
    other.add(ep.Readout(), 1, "answer")
    with pytest.raises(ep.errors.InputError, match=r"to_neo: the network has no population 'in'; it has: answer"):
        to_neo(ran[1], other)
    with pytest.raises(ep.errors.InputError, match="to_neo takes a Recording and its Network, got Network, Recording"):
        to_neo(*ran)


def test_a_missing_neo_is_named_with_its_extra(ran, monkeypatch):
    monkeypatch.setitem(sys.modules, "neo", None)
    with pytest.raises(ep.errors.MissingExtraError, match=r'"neo": pip install neo \(or the extra "neo" of eprop\)'):
        to_neo(ran[1], ran[0])
