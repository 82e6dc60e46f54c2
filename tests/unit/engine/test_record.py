"""What a recording holds: the values of the reference, for the nodes and synapses that were asked for."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from compare import assert_close, assert_same, differ
from eprop.checks import time_driven
from eprop.training import Evaluation
from networks import PROJECTIONS, case, small_network

pytestmark = pytest.mark.tiny

RULE = ep.EPropPlus(optimizer=ep.GradientDescent(1e-3), c_reg=0.05, cutoff=20.0)


@pytest.fixture(scope="module")
def setting():
    c = case(3, RULE, steps=80, rate=0.2, e_l=-0.5)
    sim = ep.Simulator(c.network, threads=1)
    record = [
        *(("rec", name) for name in ("v", "refractory", "z", "surrogate", "learning_signal")),
        *(("out", name) for name in ("y", "error")),
        *((p, name) for p in PROJECTIONS.values() for name in ("weight", "trace")),
    ]
    return c, sim.run(80.0, {"in": c.inputs}, {"out": c.targets}, c.window, record=record, spikes=["in", "rec"]), sim


def test_values_are_those_of_the_reference(setting):
    c, run, _ = setting
    ref = time_driven(c.network).run(c.stimulus)
    for key, wanted in (
        (("rec", "v"), ref.v),
        (("rec", "z"), ref.spikes[:, c.inputs.shape[1] :]),
        (("rec", "surrogate"), ref.psi),
        (("out", "y"), ref.y),
        (("out", "error"), ref.error),
    ):
        assert_close(run[key], wanted, 1e-12)
    np.testing.assert_array_equal(run["out", "y"], run.y["out"])
    # Learning signals arrive one step after the errors.
    assert_close(run["rec", "learning_signal"][1:], (ref.error @ c.feedback.T)[:-1], 1e-12)
    wanted = 0.5 * c.window * np.sum((ref.y - c.targets) ** 2, axis=1)
    assert_close(run.loss, wanted, 1e-12)


def test_spikes_are_events_of_the_end_of_their_step(setting):
    c, run, _ = setting
    for name, dense in (("in", c.inputs), ("rec", run["rec", "z"])):
        times, nodes = run.spikes[name]
        steps, wanted = np.nonzero(dense)
        np.testing.assert_array_equal(times, steps + 1.0)
        np.testing.assert_array_equal(nodes, wanted)


NODES = [[4, 1], 2, slice(1, None, 2), slice(-2, None), np.arange(8) % 2 == 1, [False, True] * 4]


@pytest.mark.parametrize("nodes", NODES, ids=str)
def test_chosen_ones(setting, nodes):
    c, run, _ = setting
    record = [ep.Record("rec", "v", nodes), ("out", "y", 2), ("in->rec", "weight", np.array([0, 7], np.uint8)),
              ("rec->out", "weight", slice(3))]  # fmt: skip
    sim = ep.Simulator(c.network, threads=1)
    part = sim.run(80.0, {"in": c.inputs}, {"out": c.targets}, c.window, record=record)
    np.testing.assert_array_equal(part["rec", "v"], run["rec", "v"][:, np.atleast_1d(np.arange(8)[nodes])])
    np.testing.assert_array_equal(part["out", "y"], run["out", "y"][:, [2]])
    np.testing.assert_array_equal(part["in->rec", "weight"], run["in->rec", "weight"][:, [0, 7]])
    np.testing.assert_array_equal(part["rec->out", "weight"], run["rec->out", "weight"][:, :3])
    assert part.spikes == {}


def test_parts_of_the_network_stand_for_their_names(setting):
    network = setting[0].network
    rec, out, projection = network.population("rec"), network.population("out"), network.projections[0]
    for asked in ([(rec, "v"), (projection, "weight")], [ep.Record(rec, "v"), ep.Record(projection, "weight")]):
        run = ep.Simulator(network, threads=1).run(20.0, record=asked, spikes=[rec])
        assert set(run.traces) == {("rec", "v"), (projection.name, "weight")}
    np.testing.assert_array_equal(run[rec, "v"], run["rec", "v"])
    assert run.spikes[rec] is run.spikes["rec"]
    assert run.y[out] is run.y["out"]


def test_an_array_of_names_names_populations():
    net = ep.Network(dt=1.0, seed=1)
    net.connect(net.add(ep.PoissonSource(50.0), 5, "in"), net.add(ep.LIF(), 5, "rec"), weight=1.0)
    assert set(ep.Simulator(net, threads=1).run(5.0, spikes=np.array(["rec", "in"])).spikes) == {"rec", "in"}


@pytest.mark.parametrize("loss", [ep.SquaredError(), ep.CrossEntropy()], ids=["squares", "classes"])
def test_a_run_that_is_learned_from_is_the_same_whether_it_is_recorded_or_not(loss):
    """Simulated twice where voltages are recorded, else once: outputs, spikes, what is learned, the state are the same."""
    rule, weight = ep.EProp(optimizer=ep.Adam(1e-2)), ep.Normal(0.4, 0.4)
    readout = ep.Readout(e_l=0.3, loss=loss)
    net = small_network((4, 6, 3), {"in->rec": weight, "rec->out": weight}, readout=readout, rule=rule, seed=3)
    net.connect(net.add(ep.PoissonSource(50.0), 3, "noise"), "rec", weight=weight, rule=rule)
    net.connect("rec", net.add(ep.Readout(), 1, "other"), weight=weight, rule=rule)
    net.feedback("out", "rec", ep.Symmetric())
    given = {"in": np.random.default_rng(0).random((60, 4)) < 0.3}, {"out": [0.2, 0.5, 0.3]}, np.linspace(0.0, 1.0, 60)

    def ran(record, names):
        sim = ep.Simulator(net, threads=1)
        runs = [sim.run(60.0, *given, record=record, spikes=names, learn=learn) for learn in (True, True, False, True)]
        assert sim.time == 60.0
        assert all(list(run.spikes) == names for run in runs)
        results = [[run.loss, run.y["out"], run.y["other"]] for run in runs]
        return [results, sim.events, sim.state()], [run.spikes[name] for run in runs for name in names]

    plain, _ = ran([], [])
    once, spikes = ran([], ["in", "noise", "rec"])
    twice, same_spikes = ran([("rec", "v")], ["in", "noise", "rec"])
    for found in (once, twice):
        assert_same(found, plain)
    assert_same(same_spikes, spikes)
    assert differ(plain[0][0], plain[0][1])
    assert all(times.size > 0 for times, _ in spikes)


def test_spikes_are_given_once():
    net = small_network((4, 1, 0), source=ep.PoissonSource(50.0), seed=1)
    p = net.population("in")
    asked = (["in"], ["in", "in"], ("in",), [p, "in", p])
    runs = [ep.Simulator(net, threads=1).run(100.0, spikes=names).spikes["in"] for names in asked]
    assert runs[0][0].size > 10
    assert_same(runs[1:], runs[:1] * 3)


# ------------------------------------------------------------------------------------- what a prompt and a notebook show
@pytest.fixture
def simulator() -> ep.Simulator:
    return ep.Simulator(small_network((3, 4, 2), {"in->rec": 2.0, "rec->out": None}, seed=1), threads=1)


def test_a_simulator_and_a_recording_show_their_parts(simulator: ep.Simulator) -> None:
    recording = simulator.run(10.0, {"in": np.ones((10, 3))}, record=[("rec", "v")], spikes=["rec"])
    count = recording.spikes["rec"][0].size
    assert count > 0
    assert repr(recording) == (
        f"Recording(10 steps to 10 ms; y['out'] (10, 2); {count} spikes of 'rec'; ('rec', 'v') (10, 4))"
    )
    assert repr(simulator) == "Simulator(3 in, 4 rec, 2 out; 20 synapses, double precision, at 10 ms)"
    for shown, parts in (
        (simulator._repr_html_(), ("20 synapses", ">rec<", ">LIF<", ">in-&gt;rec<")),
        (
            recording._repr_html_(),
            ("10 steps, to 10 ms", "y[&#x27;out&#x27;]", f"{count} spikes", "of 4 nodes", "10 x 4"),
        ),
    ):
        assert all(part in shown for part in parts)


def test_a_recording_is_a_table(simulator: ep.Simulator) -> None:
    pytest.importorskip("pandas", reason="needs the extra pandas")
    record = [("rec", "v"), ("in->rec", "weight", [2, 0])]
    recording = simulator.run(10.0, {"in": np.ones((10, 3))}, record=record, spikes=["rec", "in"])
    steps, spikes = recording.to_pandas(), recording.to_pandas("spikes")
    assert steps.index.name == "time"
    np.testing.assert_array_equal(steps.index, recording.times)
    np.testing.assert_array_equal(steps["out"]["y"], recording.y["out"])
    np.testing.assert_array_equal(steps["rec"]["v"], recording["rec", "v"])
    assert steps["in->rec"]["weight"].columns.tolist() == recording.index["in->rec", "weight"].tolist()
    np.testing.assert_array_equal(steps["", "loss", 0], recording.loss)
    assert spikes["time"].is_monotonic_increasing
    for name, (times, nodes) in recording.spikes.items():
        own = spikes[spikes["population"] == name]
        assert sorted(zip(own["time"], own["node"], strict=True)) == sorted(zip(times, nodes, strict=True))
    assert simulator.run(5.0).to_pandas("spikes").empty
    with pytest.raises(ep.errors.InputError, match='to_pandas takes "steps" or "spikes"'):
        recording.to_pandas("weights")


def test_a_recording_is_labelled_arrays(simulator: ep.Simulator) -> None:
    pytest.importorskip("xarray", reason="needs the extra xarray")
    recording = simulator.run(10.0, {"in": np.ones((10, 3))}, record=[("rec", "v", [3, 1])], spikes=["rec"])
    found = recording.to_xarray()
    np.testing.assert_array_equal(found["time"], recording.times)
    np.testing.assert_array_equal(found["out_y"], recording.y["out"])
    nodes = recording.index["rec", "v"].tolist()
    np.testing.assert_array_equal(found["rec_v"].sel(rec_v_node=1), recording["rec", "v"][:, nodes.index(1)])
    times, spiking = recording.spikes["rec"]
    np.testing.assert_array_equal(found["rec_spike_time"], times)
    np.testing.assert_array_equal(found["rec_spike_node"], spiking)
    assert (found["time"].attrs["units"], found["out_y"].attrs["units"]) == ("ms", "mV")


def test_samples_and_what_comes_of_them_take_one_line(simulator: ep.Simulator) -> None:
    samples = simulator.samples(2, 5, {"in": np.ones((2, 5, 3))}, labels=[0, 1], window=np.arange(5) >= 3)
    assert repr(samples) == "Samples(2 samples of 5 steps; 30 events; target (2, 1, 2); 2 steps in the window; labels)"
    result = simulator.evaluate(samples)
    assert f"{result.loss.mean():.4g}" in result._repr_html_()
    assert repr(result).startswith("BatchResult(2 samples; loss ")
    learner = ep.Simulator(
        small_network((3, 4, 2), {"in->rec": 2.0, "rec->out": None}, rule=ep.EProp(), feedback=ep.RandomFeedback())
    )
    lanes, stepper = learner.lanes(2), simulator.stepper()
    lanes.step([[0], [1, 2]])
    assert repr(lanes) == "Lanes(2 in parallel, 1 steps of this rollout)"
    assert repr(learner.lanes(learner.samples(2, 5))) == "Lanes(2 in parallel, 5 steps of this rollout)"
    assert repr(stepper) == "Stepper(at 0 ms)"
    labels, predictions = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    evaluation = Evaluation((labels != predictions).astype(float), np.full(4, 0.5), labels, predictions, 2)
    assert repr(evaluation) == "Evaluation(4 samples: error 25.0 ± 20.0 %, loss 0.5)"
    assert "true class" in evaluation._repr_html_()
