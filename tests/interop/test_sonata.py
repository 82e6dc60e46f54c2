"""Files of SONATA hold the network, as another program reads them and as this one does."""

from __future__ import annotations

import json
import pathlib

import h5py
import numpy as np
import pytest

import eprop as ep
from compare import assert_same
from eprop.interop import sonata
from eprop.interop.sonata import from_sonata, spikes_from_sonata, spikes_to_sonata, to_sonata
from fuzzing.circuits import CONFIG, EDGES, TYPES, write

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]

MODELS = {
    "rec": ep.LIF(tau_m=[10.0, 20.0, 15.0, 12.0, 18.0], v_th=0.3),
    "slow": ep.ALIF(t_ref=2.0, v_th=0.3),
    "out": ep.Readout(tau_m=7.0),
}


def network() -> ep.Network:
    net, rule = ep.Network(seed=2), ep.EProp()
    x = net.add(ep.EventSource(), 4, "in")
    rec, slow, out = (net.add(MODELS[name], size, name) for name, size in (("rec", 5), ("slow", 3), ("out", 2)))
    net.connect(x, rec, ep.Bernoulli(0.7), weight=ep.Normal(0.4, 0.2), rule=rule)
    net.connect(rec, slow, ep.FixedIndegree(4, multapses=True), weight=ep.Uniform(0.1, 0.4), delay=ep.Uniform(1.0, 6.0))
    net.connect(slow, rec, weight=0.1, delay=3.0)
    net.connect(rec, out, weight=ep.Normal(0.0, 1.0), rule=rule)
    net.feedback(out, rec)
    return net


def events() -> np.ndarray:
    return np.random.default_rng(3).random((80, 4)) < 0.3


@pytest.fixture
def written(tmp_path: pathlib.Path) -> tuple[ep.Simulator, pathlib.Path]:
    """A network that has learned something, and its files."""
    sim = ep.Simulator(network(), threads=1)
    sim.run(80.0, {"in": events()}, {"out": [0.0, 1.0]})
    return sim, to_sonata(sim, tmp_path / "new" / "circuit")


def test_what_comes_back_runs_as_what_was_written(written):
    sim, config = written
    net = from_sonata(config, MODELS, dt=1.0, rule={"in_to_rec": ep.EProp()})
    assert [(p.name, p.size) for p in net.populations] == [("in", 4), ("rec", 5), ("slow", 3), ("out", 2)]
    assert {p.name: p.rule.plastic for p in net.projections} == {
        "in_to_rec": True, "rec_to_slow": False, "slow_to_rec": False, "rec_to_out": False,
    }  # fmt: skip
    other = ep.Simulator(net, threads=1)
    for ours, theirs in zip(sim.network.projections, net.projections, strict=True):
        np.testing.assert_array_equal(other.weights(theirs.name).toarray(), sim.weights(ours.name).toarray())
        assert sorted(other.delays(theirs.name)) == sorted(sim.delays(ours.name))
    sim.reset()
    runs = [s.run(80.0, {"in": events()}, learn=False, spikes=["rec", "slow"]) for s in (sim, other)]
    assert all(runs[0].spikes[name][0].size > 20 for name in ("rec", "slow"))
    for name in ("rec", "slow"):
        assert_same(runs[1].spikes[name], runs[0].spikes[name])
    np.testing.assert_allclose(runs[1].y["out"], runs[0].y["out"], rtol=1e-12, atol=1e-15)


def test_constants_that_have_learned_are_written_for_each_neuron(tmp_path: pathlib.Path):
    net = ep.Network(seed=2)
    rule, tau = ep.EProp(optimizer=ep.Adam(eta=0.01)), ep.Learned(200.0, low=50.0, high=500.0, eta=0.2)
    x, rec, out = (
        net.add(ep.EventSource(), 5, "in"),
        net.add(ep.ALIF(tau_adapt=tau), 4, "rec"),
        net.add(ep.Readout(), 1, "out"),
    )
    net.connect(x, rec, weight=0.8, rule=rule)
    net.connect(rec, out, weight=ep.Normal(), rule=rule)
    net.feedback(out, rec)
    sim = ep.Simulator(net, threads=1)
    given = np.random.default_rng(1).random((3, 60, 5)) < 0.2
    sim.train(sim.samples(3, 60, {"in": given}, {"out": np.ones((3, 1, 1))}))
    learned = sim.parameters("rec")["tau_adapt"]
    assert np.unique(learned).size > 1
    to_sonata(sim, tmp_path)
    with h5py.File(tmp_path / "rec_nodes.h5") as file:
        np.testing.assert_array_equal(file["nodes/rec/0/dynamics_params/adapt_tau"], learned)


def test_another_reader_finds_the_network(written):
    libsonata = pytest.importorskip("libsonata")
    sim, config = written
    folder = config.parent
    for population in sim.network.populations:
        name = population.name
        storage = libsonata.NodeStorage(str(folder / f"{name}_nodes.h5"))
        assert storage.population_names == {name}
        nodes = storage.open_population(name)
        assert nodes.size == population.size
        assert ("tau_m" in nodes.dynamics_attribute_names) == (name != "in")
        assert ("V_th" in nodes.dynamics_attribute_names) == (name in ("rec", "slow"))
    circuit = libsonata.CircuitConfig.from_file(str(config))
    assert circuit.node_populations == {p.name for p in sim.network.populations}
    assert circuit.edge_populations == {p.name.replace("->", "_to_") for p in sim.network.projections}
    assert circuit.node_population("rec").size == 5
    rec = libsonata.NodeStorage(str(folder / "rec_nodes.h5")).open_population("rec")
    np.testing.assert_array_equal(rec.get_dynamics_attribute("tau_m", rec.select_all()), [10.0, 20.0, 15.0, 12.0, 18.0])
    for projection in sim.network.projections:
        name = projection.name.replace("->", "_to_")
        edges = libsonata.EdgeStorage(str(folder / f"{name}_edges.h5")).open_population(name)
        assert (edges.source, edges.target) == (projection.pre.name, projection.post.name)
        all_of_them = edges.select_all()
        sources, targets, weights = sim.connections(projection.name)
        np.testing.assert_array_equal(edges.source_nodes(all_of_them), sources)
        np.testing.assert_array_equal(edges.target_nodes(all_of_them), targets)
        np.testing.assert_array_equal(edges.get_attribute("syn_weight", all_of_them), weights)
        np.testing.assert_array_equal(edges.get_attribute("delay", all_of_them), sim.delays(projection.name))


def test_spikes_are_read_back_as_they_were_written(written, tmp_path: pathlib.Path):
    libsonata = pytest.importorskip("libsonata")
    run = written[0].run(80.0, {"in": events()}, spikes=["in", "slow"])
    spikes_to_sonata(run, tmp_path / "spikes.h5")
    found = spikes_from_sonata(tmp_path / "spikes.h5")
    assert set(found) == {"in", "slow"}
    reader = libsonata.SpikeReader(str(tmp_path / "spikes.h5"))
    for name in found:
        times, nodes = run.spikes[name]
        assert times.size > 10
        np.testing.assert_array_equal(found[name][0], times)
        np.testing.assert_array_equal(found[name][1], nodes)
        population = reader[name]
        assert population.sorting == "by_time"
        theirs = population.get()
        assert sorted(theirs) == sorted(zip(nodes.tolist(), times.tolist(), strict=True))


def test_spikes_played_back_are_those_that_were_recorded(tmp_path: pathlib.Path):
    """In the same steps, and so is what they cause."""
    runs = [ep.Simulator(network(), threads=1).run(80.0, {"in": events()}, learn=False, spikes=["in", "rec", "slow"])]
    spikes_to_sonata(runs[0], tmp_path / "spikes.h5")
    given = spikes_from_sonata(tmp_path / "spikes.h5", recorded_dt=1.0)["in"]
    runs.append(ep.Simulator(network(), threads=1).run(80.0, {"in": given}, learn=False, spikes=["in", "rec", "slow"]))
    assert runs[0].spikes["slow"][0].size > 10
    for name in runs[0].spikes:
        assert_same(runs[1].spikes[name], runs[0].spikes[name])


def test_spikes_of_others_are_read_in_their_units(tmp_path: pathlib.Path):
    """In seconds, or in units that are not known, or without the names of populations."""
    with h5py.File(tmp_path / "spikes.h5", "w") as file:
        file["spikes/a/timestamps"], file["spikes/a/node_ids"] = np.array([0.25]), np.array([3])
        file["spikes/a/timestamps"].attrs["units"] = "s"
    assert spikes_from_sonata(tmp_path / "spikes.h5")["a"][0] == [250.0]
    with h5py.File(tmp_path / "spikes.h5", "a") as file:
        file["spikes/a/timestamps"].attrs["units"] = "steps"
    with pytest.raises(ep.DataError, match="times of 'a' are in 'steps'; supported are ms, s, us"):
        spikes_from_sonata(tmp_path / "spikes.h5")
    with h5py.File(tmp_path / "spikes.h5", "w") as file:
        file["spikes/timestamps"], file["spikes/gids"] = np.array([0.25]), np.array([3])
    with pytest.raises(ep.DataError, match="without the name of their population"):
        spikes_from_sonata(tmp_path / "spikes.h5")


def test_spikes_that_were_not_recorded(written, tmp_path: pathlib.Path):
    for given in (written[0].run(5.0), None):
        with pytest.raises(ep.InputError, match=r"^spikes_to_sonata takes a Recording with spikes"):
            spikes_to_sonata(given, tmp_path / "spikes.h5")
    assert not (tmp_path / "spikes.h5").exists()


@pytest.fixture
def published(tmp_path: pathlib.Path) -> pathlib.Path:
    """Files as others write them: two populations in one file, two types and groups, weights and delays of types, variables."""
    folder = tmp_path / "net"
    folder.mkdir()
    write(
        folder / "nodes.h5", {"nodes/lgn/node_type_id": np.array([1, 1]), "nodes/v1/node_type_id": np.array([2, 3, 2])}
    )
    groups = {name: array for name, array in EDGES.items() if "/0/" not in name}
    with h5py.File(write(folder / "edges.h5", groups), "a") as file:
        group = file["edges/lgn_to_v1"]
        for end, population in (("source", "lgn"), ("target", b"v1")):
            group[f"{end}_node_id"].attrs["node_population"] = population
        group.create_group("0")
    (folder / "node_types.csv").write_text(TYPES["node_types.csv"] + "3 point_neuron nest:glif\n")
    (folder / "edge_types.csv").write_text(TYPES["edge_types.csv"])
    config = CONFIG | {"manifest": {"$BASE": ".", "$NET": "${BASE}/net"}}
    (tmp_path / "circuit_config.json").write_text(json.dumps(config))
    return tmp_path / "circuit_config.json"


def test_published_files_become_a_network(published: pathlib.Path):
    net = from_sonata(published, {"v1": ep.LIF()}, dt=1.0, weight_scale=0.5, rule=ep.EProp(), seed=6)
    assert (net.seed, net.population("lgn").model) == (6, ep.EventSource())
    assert net.projection("lgn_to_v1").rule == ep.EProp()
    net.add(ep.Readout(), 1, "out")
    net.connect("v1", "out")
    net.feedback("out", "v1")
    sim = ep.Simulator(net, threads=1)
    np.testing.assert_array_equal(
        sim.weights("lgn_to_v1").toarray(), 0.5 * np.array([[0.25, 0.0], [0.0, 6.0], [-3.0, 5.0]])
    )
    found = dict(zip(zip(*sim.connections("lgn_to_v1")[:2], strict=True), sim.delays("lgn_to_v1"), strict=True))
    assert found == {(0, 0): 2.0, (1, 1): 1.0, (0, 2): 1.0, (1, 2): 2.0}


CURRENT = ep.CurrentLIF(
    tau_m=[10.0, 20.0, 15.0], tau_syn=2.0, c_m=250.0, i_e=300.0, e_l=-65.0, v_th=-50.0, v_reset=-66.0, t_ref=1.0,
    v_init=[-65.0, -60.0, -55.0],
)  # fmt: skip


TWO = CURRENT.replace(tau_syn_in=6.0)


def test_neurons_with_a_current_come_back_without_their_model(tmp_path: pathlib.Path):
    net = ep.Network(dt=0.5, seed=3)
    x, rec = net.add(ep.EventSource(), 4, "in"), net.add(CURRENT, 3, "rec")
    net.connect(x, rec, weight=ep.Normal(300.0, 100.0))
    net.connect(rec, rec, weight=-80.0, delay=2.0)
    sim = ep.Simulator(net, threads=1)
    config = to_sonata(sim, tmp_path)
    assert "nest:iaf_psc_exp" in (tmp_path / "rec_node_types.csv").read_text()
    with h5py.File(tmp_path / "rec_nodes.h5") as file:
        assert set(file["nodes/rec/0/dynamics_params"]) == set(sonata.PSC_EXP)
    again = from_sonata(config, {}, dt=0.5)
    assert again.population("rec").model == CURRENT
    runs = [
        s.run(60.0, {"in": np.tile(events(), (2, 1))[:120]}, spikes=["rec"])
        for s in (sim, ep.Simulator(again, threads=1))
    ]
    assert runs[0].spikes["rec"][0].size > 10
    assert_same(runs[1].spikes["rec"], runs[0].spikes["rec"])


def test_two_time_constants_come_back(tmp_path: pathlib.Path):
    net = ep.Network(dt=0.5, seed=3)
    x, y, rec = net.add(ep.EventSource(), 4, "in"), net.add(ep.EventSource(), 4, "y"), net.add(TWO, 3, "rec")
    net.connect(x, rec, weight=ep.Uniform(200.0, 400.0))
    net.connect(y, rec, weight=-80.0, delay=2.0)
    sim = ep.Simulator(net, threads=1)
    again = from_sonata(to_sonata(sim, tmp_path), {}, dt=0.5)
    assert again.population("rec").model == TWO
    assert [p.receptor for p in again.projections] == ["excitatory", "inhibitory"]
    given = {name: np.tile(events(), (2, 1))[:120] for name in ("in", "y")}
    runs = [s.run(60.0, given, spikes=["rec"]) for s in (sim, ep.Simulator(again, threads=1))]
    assert runs[0].spikes["rec"][0].size > 10
    assert_same(runs[1].spikes["rec"], runs[0].spikes["rec"])


def test_edges_of_both_signs_become_a_projection_for_each_receptor(tmp_path: pathlib.Path):
    net = ep.Network(dt=0.5)
    x, rec = net.add(ep.EventSource(), 4, "in"), net.add(TWO.replace(tau_syn_in=None), 3, "rec")
    weights = np.array([[300.0, -80.0, 0.0, 5.0], [-1.0, 300.0, 2.0, -3.0], [1.0, 1.0, 1.0, -200.0]])
    net.connect(x, rec, weight=weights, delay=ep.Uniform(0.5, 3.0))
    sim = ep.Simulator(net, threads=1)
    config = to_sonata(sim, tmp_path)
    with h5py.File(tmp_path / "rec_nodes.h5", "a") as file:
        file["nodes/rec/0/dynamics_params/tau_syn_in"][:] = 6.0
    again = from_sonata(config, {}, dt=0.5, rule={"in_to_rec": ep.Static()})
    assert again.population("rec").model == TWO
    both = ep.Simulator(again, threads=1)
    parts = [both.weights(f"in_to_rec_{receptor}").toarray() for receptor in ("excitatory", "inhibitory")]
    np.testing.assert_array_equal(parts, [np.maximum(weights, 0.0), np.minimum(weights, 0.0)])
    # Equal to NEST's rule with the present weights, so that the way back writes both.
    to_sonata(both, tmp_path / "again")
    both.set_weights("in_to_rec_inhibitory", 1.0)
    with pytest.raises(
        ep.NetworkError, match="in_to_rec_inhibitory acts on the inhibitory receptor of 'rec', with weights of 1 pA"
    ):
        to_sonata(both, tmp_path / "wrong")


def test_signs_come_back(tmp_path: pathlib.Path):
    """Weights that have stopped at 0 keep their sides."""
    net = ep.Network(seed=1)
    x, out = net.add(ep.EventSource(), 20, "in", excitatory=0.5), net.add(ep.Readout(tau_m=5.0), 3, "out")
    rule = ep.EProp(optimizer=ep.GradientDescent(0.1))
    net.connect(x, out, weight=ep.Normal(0.0, 0.05), rule=rule, sign="source")
    sim = ep.Simulator(net, threads=1)
    samples = sim.samples(1, 50, {"in": np.ones((1, 50, 20))}, {"out": np.full((1, 50, 3), 5.0)})
    sim.train(samples)
    sources, _, weights = sim.connections("in->out")
    stopped = weights == 0.0
    assert stopped.any()
    made = from_sonata(to_sonata(sim, tmp_path), {"out": ep.Readout(tau_m=5.0)}, dt=1.0, rule=rule, sign="fixed")
    again = ep.Simulator(made, threads=1)
    assert_same(np.copysign(1.0, again.connections("in_to_out")[2]), x.signs[sources].astype(float))
    again.train(again.samples(1, 50, {"in": np.ones((1, 50, 20))}, {"out": np.full((1, 50, 3), -5.0)}))
    back = again.connections("in_to_out")[2]
    assert (back * x.signs[sources] >= 0.0).all()
    assert (back[stopped] < 0.0).all()


def test_weights_of_few_bits_come_back(tmp_path: pathlib.Path):
    net = ep.Network(seed=1)
    x, out = net.add(ep.EventSource(), 20, "in"), net.add(ep.Readout(tau_m=5.0), 3, "out")
    net.connect(x, out, weight=ep.Normal(0.0, 0.05), precision=ep.FixedPoint(6, rounding="nearest"))
    sim = ep.Simulator(net, threads=1)
    config = to_sonata(sim, tmp_path)
    again = ep.Simulator(from_sonata(config, {"out": ep.Readout(tau_m=5.0)}, dt=1.0), threads=1)
    assert again.formats == {"in_to_out": sim.formats["in->out"]}
    assert_same(again.connections("in_to_out")[2], sim.connections("in->out")[2])
    types = tmp_path / "in_to_out_edge_types.csv"
    types.write_text(types.read_text().replace("nearest", "somehow"))
    with pytest.raises(ep.DataError, match="bits, scale and rounding must be those of weights of few bits"):
        from_sonata(config, {"out": ep.Readout(tau_m=5.0)}, dt=1.0)


@pytest.mark.parametrize("changes", [{"v_reset": None}, {"v_min": -70.0}])
def test_neurons_that_nest_does_not_have_get_no_template_of_nest(tmp_path: pathlib.Path, changes):
    net = ep.Network()
    net.add(CURRENT.replace(**changes), 3, "rec")
    config = to_sonata(ep.Simulator(net, threads=1), tmp_path)
    assert "eprop:CurrentLIF" in (tmp_path / "rec_node_types.csv").read_text()
    with pytest.raises(ep.NetworkError, match="the population 'rec' needs a model"):
        from_sonata(config, {}, dt=1.0)


def test_neurons_with_a_current_as_others_write_them(published: pathlib.Path):
    """Parameters of nodes, of their types, or those of NEST; in the order of the numbers of nodes."""
    folder = published.parent / "net"
    table = "node_type_id model_type model_template C_m\n1 virtual NULL NULL\n2 point_neuron nest:iaf_psc_exp 200\n"
    (folder / "node_types.csv").write_text(table + "3 point_neuron nest:iaf_psc_exp NULL\n")
    with h5py.File(folder / "nodes.h5", "a") as file:
        file["nodes/v1/node_id"] = np.array([2, 0, 1])
        file["nodes/v1/0/dynamics_params/tau_m"] = np.array([8.0, 9.0, 7.0])
        for end in ("id", "index"):
            file[f"nodes/v1/node_group_{end}"] = np.array([0, 0, 0] if end == "id" else [0, 1, 2])
    model = from_sonata(published, {}, dt=0.1).population("v1").model
    assert model == ep.CurrentLIF(
        tau_m=[9.0, 7.0, 8.0], c_m=[250.0, 200.0, 200.0], tau_syn=2.0, e_l=-70.0, v_th=-55.0, v_reset=-70.0, t_ref=2.0,
        v_init=-70.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"tau_syn_in": "-3"}, "'v1': CurrentLIF.tau_syn_in must be > 0 ms, got -3"),
        ({"tau_m": "-3"}, "'v1': CurrentLIF.tau_m must be > 0 ms, got -3"),
        ({"tau_m": "much"}, "tau_m must be a number"),
        (
            {"dynamics_params": "cell.json"},
            "the parameters of 'v1' are in 'cell.json', which is not read: give its model",
        ),
    ],
)
def test_neurons_with_a_current_that_cannot_be_read(published: pathlib.Path, columns, words):
    (name, value), *_ = columns.items()
    table = (
        f"node_type_id model_type model_template {name}\n1 virtual NULL NULL\n2 point_neuron nest:iaf_psc_exp {value}\n"
    )
    text = table + f"3 point_neuron nest:iaf_psc_exp {value}\n"
    (published.parent / "net" / "node_types.csv").write_text(text)
    with pytest.raises((ep.NetworkError, ep.DataError), match=words):
        from_sonata(published, {}, dt=1.0)


def test_nodes_have_numbers_of_their_own(published: pathlib.Path):
    """In any order, with gaps; parameters are in the order of the numbers."""
    with h5py.File(published.parent / "net" / "nodes.h5", "a") as file:
        file["nodes/v1/node_id"] = np.array([30, 10, 20])
    with pytest.raises(ep.DataError, match="'lgn_to_v1' connects node 0 of 'v1', which does not exist"):
        from_sonata(published, {"v1": ep.LIF()}, dt=1.0)
    with h5py.File(published.parent / "net" / "edges.h5", "a") as file:
        file["edges/lgn_to_v1/target_node_id"][:] = [10, 20, 30, 30]
    sim = ep.Simulator(from_sonata(published, {"v1": ep.LIF(tau_m=[10.0, 20.0, 30.0])}, dt=1.0), threads=1)
    np.testing.assert_array_equal(sim.weights("lgn_to_v1").toarray(), np.array([[0.25, 0.0], [0.0, 6.0], [-3.0, 5.0]]))


def test_tables_with_aligned_columns_and_types_of_several_populations(published: pathlib.Path):
    table = "edge_type_id  population  syn_weight   delay\n7  other       9          9\n"
    table += "7             lgn_to_v1   0.25         1.9\n8  lgn_to_v1   -3         NULL\n"
    (published.parent / "net" / "edge_types.csv").write_text(table)
    sim = ep.Simulator(from_sonata(published, {"v1": ep.LIF()}, dt=1.0), threads=1)
    np.testing.assert_array_equal(sim.weights("lgn_to_v1").toarray(), np.array([[0.25, 0.0], [0.0, 6.0], [-3.0, 5.0]]))
    assert sorted(sim.delays("lgn_to_v1")) == [1.0, 1.0, 2.0, 2.0]


def test_several_synapses_as_one_edge_and_the_places_of_others(published: pathlib.Path):
    with h5py.File(published.parent / "net" / "edges.h5", "a") as file:
        group = file["edges/lgn_to_v1"]
        group["0/nsyns"], group["1/nsyns"] = np.array([2, 1]), np.array([3, 1])
        group["0/dynamics_params/weight"], group["0/dynamics_params/delay"] = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    sim = ep.Simulator(from_sonata(published, {"v1": ep.LIF()}, dt=1.0), threads=1)
    np.testing.assert_array_equal(sim.weights("lgn_to_v1").toarray(), np.array([[2.0, 0.0], [0.0, 6.0], [2.0, 15.0]]))
    assert sorted(sim.delays("lgn_to_v1")) == [1.0, 2.0, 3.0, 4.0]


def test_edges_without_groups_and_without_edges(published: pathlib.Path):
    """Both of which is allowed where all is said by types; the configuration may be that of a simulation."""
    (published.parent / "simulation_config.json").write_text('{"network": "circuit_config.json"}')
    with h5py.File(published.parent / "net" / "edges.h5", "a") as file:
        group = file["edges/lgn_to_v1"]
        del group["edge_group_id"], group["edge_group_index"]
        empty = file.create_group("edges/none")
        for end in ("source", "target"):
            empty[f"{end}_node_id"] = np.zeros(0, int)
            empty[f"{end}_node_id"].attrs["node_population"] = "v1"
        empty["edge_type_id"] = np.zeros(0, int)
    net = from_sonata(published.parent / "simulation_config.json", {"v1": ep.LIF()}, dt=1.0, rule={"none": ep.EProp()})
    assert [p.name for p in net.projections] == ["lgn_to_v1", "none"]
    sim = ep.Simulator(net, threads=1)
    np.testing.assert_array_equal(
        sim.weights("lgn_to_v1").toarray(), np.array([[0.25, 0.0], [0.0, -3.0], [-3.0, 0.25]])
    )
    assert sim.connection_count("none") == 0


def test_names_that_make_no_files(tmp_path: pathlib.Path):
    for first, second, words in (
        ("a->b", "a_to_b", "two files would be called 'a_to_b_edges'"),
        ("x", "X", "two files would be called 'X_edges'"),
        ("a$b", "x", r"'a\$b_edges' is not a valid file name"),
        (".", "x", r"'\._edges' is not a valid file name"),
    ):
        net = ep.Network()
        net.add(ep.LIF(), 2, "rec")
        for name in (first, second):
            net.connect("rec", "rec", name=name)
        with pytest.raises(ep.NetworkError, match=f"^to_sonata: {words}"):
            to_sonata(ep.Simulator(net, threads=1), tmp_path)
    assert not list(tmp_path.iterdir())


def test_models_and_rules_that_do_not_fit(published: pathlib.Path):
    with pytest.raises(
        ep.NetworkError, match=r"nodes\.h5: the population 'v1' needs a model: from_sonata\(\.\.\., models={'v1'"
    ):
        from_sonata(published, {}, dt=1.0)
    with pytest.raises(ep.InputError, match=r"^from_sonata: models must be a dictionary"):
        from_sonata(published, None, dt=1.0)
    with pytest.raises(ep.NetworkError, match=r"^from_sonata: models names 'V1'; there are: lgn, v1$"):
        from_sonata(published, {"v1": ep.LIF(), "V1": ep.LIF()}, dt=1.0)
    with pytest.raises(ep.NetworkError, match=r"^from_sonata: rule names 'lgn'; there are: lgn_to_v1$"):
        from_sonata(published, {"v1": ep.LIF()}, dt=1.0, rule={"lgn": ep.EProp()})
    with pytest.raises(ep.NetworkError, match="'v1' is a source and takes no connections"):
        from_sonata(published, {"v1": ep.PoissonSource()}, dt=1.0)


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("circuit_config.json", None, r"circuit_config\.json: cannot be read: No such file"),
        ("circuit_config.json", "{", "is not a SONATA circuit configuration"),
        ("circuit_config.json", '{"networks": {"nodes": []}}', "is not a SONATA circuit configuration"),
        ("circuit_config.json", '{"networks": {"nodes": [{}], "edges": []}}', "networks.nodes names no nodes_file"),
        ("net/nodes.h5", None, r"nodes\.h5: the file does not exist"),
        ("net/nodes.h5", "text", r"nodes\.h5: is not a SONATA file with nodes"),
        ("net/node_types.csv", None, r"node_types\.csv: cannot be read: No such file"),
        ("net/node_types.csv", "node_type_id,model_type\n1,virtual\n", "is not a table of types with a column node_type_id"),
        ("net/edge_types.csv", "edge_type_id\n7\n8\n", r"edges\.h5: . of . edges of 'lgn_to_v1' have no numeric syn_weight"),
        ("net/edge_types.csv", "edge_type_id syn_weight\n7 much\n8 1\n", r"edges\.h5: syn_weight must be a number .*'much'"),
        ("net/edges.h5", "", r"edges\.h5: is not a SONATA file with edges"),
    ],
)  # fmt: skip
def test_damaged_files_are_refused_by_name(published: pathlib.Path, file: str, text: str | None, words: str):
    path = published.parent / file
    if text is None:
        path.unlink()
    else:
        path.write_text(text)
    with pytest.raises(ep.DataError, match=words):
        from_sonata(published, {"v1": ep.LIF()}, dt=1.0)


def test_edges_between_unknown_populations(published: pathlib.Path):
    with h5py.File(published.parent / "net" / "edges.h5", "a") as file:
        file["edges/lgn_to_v1/source_node_id"].attrs["node_population"] = "lost"
    with pytest.raises(ep.NetworkError, match=r"edges\.h5: 'lgn_to_v1' connects 'lost'; the populations are: lgn, v1"):
        from_sonata(published, {"v1": ep.LIF()}, dt=1.0)


def test_a_folder_that_cannot_be_written(written, tmp_path: pathlib.Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ep.OutputError, match="file"):
        to_sonata(written[0], tmp_path / "file")
    with pytest.raises(ep.InputError, match=r"^to_sonata takes a Simulator, got Network"):
        to_sonata(network(), tmp_path)


@pytest.mark.parametrize("scale", ["x", None, np.inf, [1.0, 2.0], True])
def test_a_scale_of_weights_is_a_number(published: pathlib.Path, scale: object):
    with pytest.raises(ep.InputError, match=r"weight_scale must be a finite number .mV or pA for each unit., got"):
        from_sonata(published, {"v1": ep.LIF()}, dt=1.0, weight_scale=scale)


def interrupted_third(real):
    """A function that is interrupted when it is called for the third time."""
    calls = []

    def function(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    return function


def test_an_export_interrupted_while_it_writes_leaves_the_old_one(written, monkeypatch: pytest.MonkeyPatch):
    """There was a mixture of two networks, which could be read."""
    folder = written[1].parent
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(sonata, "_write_edges", interrupted_third(sonata._write_edges))
    with pytest.raises(KeyboardInterrupt):
        to_sonata(ep.Simulator(network(), threads=1), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_an_export_interrupted_later_is_no_network(written, monkeypatch: pytest.MonkeyPatch):
    config, other = written[1], ep.Simulator(network(), threads=1)
    names, move = {path.name for path in config.parent.iterdir()}, interrupted_third(pathlib.Path.replace)

    def replace(path: pathlib.Path, target: pathlib.Path) -> None:
        (move if target.parent == config.parent else rename)(path, target)

    rename = pathlib.Path.replace
    monkeypatch.setattr(pathlib.Path, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        to_sonata(other, config.parent)
    monkeypatch.undo()
    with pytest.raises(ep.DataError, match=r"circuit_config.json: cannot be read"):
        from_sonata(config, MODELS, dt=1.0)
    to_sonata(other, config.parent)
    weights = ep.Simulator(from_sonata(config, MODELS, dt=1.0), threads=1).weights("in_to_rec").toarray()
    np.testing.assert_array_equal(weights, other.weights("in->rec").toarray())
    assert {path.name for path in config.parent.iterdir()} == names
