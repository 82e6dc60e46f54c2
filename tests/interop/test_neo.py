"""A recording as a block of Neo holds the same numbers, with units and names."""

from __future__ import annotations

import sys

import numpy as np
import pytest

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


def test_units_follow_the_loss_of_the_readouts():
    models = {"readout": ep.Readout(loss=ep.CrossEntropy()), "feedback": ep.Symmetric()}
    net = small_network((0, 2, 2), {"rec->out": None}, **models, rule=ep.EPropPlus())
    recorded = [("rec", "learning_signal"), ("out", "error")]
    recording = ep.Simulator(net, threads=1).run(3.0, {}, {"out": [1.0, 0.0]}, record=recorded)
    signals = to_neo(recording, net).segments[0].analogsignals
    units = {signal.name: str(signal.units.dimensionality) for signal in signals}
    wanted = {"out.y": "mV", "loss": "dimensionless", "rec.learning_signal": "mV", "out.error": "dimensionless"}
    assert units == wanted


def test_a_threshold_is_a_voltage():
    net = ep.Network()
    net.add(ep.ALIF(), 2, "rec")
    recording = ep.Simulator(net, threads=1).run(3.0, record=[("rec", "threshold"), ("rec", "adaptation")])
    signals = to_neo(recording, net).segments[0].analogsignals
    units = {signal.name: str(signal.units.dimensionality) for signal in signals}
    assert (units["rec.threshold"], units["rec.adaptation"]) == ("mV", "dimensionless")


def test_currents_and_weights_onto_their_neurons_are_in_pa():
    net = ep.Network()
    rec = net.add(ep.CurrentLIF(), 2, "rec")
    net.connect(rec, rec)
    record = [("rec", "current"), ("rec", "current_in"), ("rec->rec", "weight")]
    recording = ep.Simulator(net, threads=1).run(3.0, record=record)
    signals = to_neo(recording, net).segments[0].analogsignals
    units = {signal.name: str(signal.units.dimensionality) for signal in signals}
    assert {units[f"rec{name}"] for name in (".current", ".current_in", "->rec.weight")} == {"pA"}


def test_columns_say_what_they_are(ran):
    net, recording = ran
    signals = {signal.name: signal for signal in to_neo(recording, net).segments[0].analogsignals}
    assert signals["rec.v"].array_annotations["node"].tolist() == [3, 1]
    assert signals["rec.surrogate"].array_annotations["node"].tolist() == [0, 1, 2, 3]
    assert signals["out.y"].array_annotations["node"].tolist() == [1]
    assert signals["in->rec.weight"].array_annotations["synapse"].tolist() == [2, 3, 4, 5]


def test_readouts_are_there_without_being_asked_for(ran):
    net, recording = ran
    signals = to_neo(ep.engine.Recording(recording.times, recording.y, recording.loss), net).segments[0].analogsignals
    assert [signal.name for signal in signals] == ["out.y", "loss"]
    np.testing.assert_array_equal(signals[0].magnitude, recording.y["out"])
    assert signals[0].array_annotations["node"].tolist() == [0, 1]


def test_spikes_and_values_of_a_step_have_the_same_time(ran):
    _, recording = ran
    assert np.isin(recording.spikes["rec"][0], recording.times).all()


def test_a_recording_of_another_network(ran):
    other = ep.Network()
    other.add(ep.Readout(), 1, "answer")
    with pytest.raises(ep.errors.InputError, match=r"to_neo: the network has no population 'in'; it has: answer"):
        to_neo(ran[1], other)
    with pytest.raises(ep.errors.InputError, match="to_neo takes a Recording and its Network, got Network, Recording"):
        to_neo(*ran)


def test_a_missing_neo_is_named_with_its_extra(ran, monkeypatch):
    monkeypatch.setitem(sys.modules, "neo", None)
    with pytest.raises(
        ep.errors.MissingExtraError, match=r'needs the package "neo": pip install neo \(or the extra "neo" of eprop\)'
    ):
        to_neo(ran[1], ran[0])
