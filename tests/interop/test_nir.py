"""A graph of NIR says the same as the network: its equations, solved by a program of the test's own, give the same spikes."""

from __future__ import annotations

import itertools
import pathlib
import sys
from typing import Any

import h5py
import numpy as np
import pytest

pytest.importorskip("nir", reason="needs the extra nir")

import nir

import eprop as ep
from compare import assert_same
from eprop.engine.build import check
from eprop.errors import DataError, InputError, MemoryLimitError, MissingExtraError, NetworkError, ParameterError
from eprop.interop.nir import NearestWarning, from_nir, to_nir
from networks import small_network
from refusals import refusals

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]

STEPS = 60


def solve(graph: nir.NIRGraph, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Voltages of ``LI`` and spikes of neurons, (steps, nodes): the exact solution for currents that are constant in a step.

    The current of a ``CubaLIF`` rises at the end of the step in which a spike arrives.
    A signal takes a step from one population to the next, and no time through the nodes between. Voltages start where the
    metadata say, or at the leak.
    """
    dt = graph.metadata["dt"]
    populations = {n: v for n, v in graph.nodes.items() if isinstance(v, (nir.Input, nir.LIF, nir.CubaLIF, nir.LI))}
    # What each node gave out, with zeros before the beginning.
    out = {name: np.zeros((STEPS, int(node.output_type["output"][0]))) for name, node in populations.items()}
    for name, spikes in given.items():
        out[name][:] = spikes

    def signal(name: str, step: float) -> np.ndarray:
        node = graph.nodes[name]
        if name in populations:
            size = out[name].shape[1]
            return out[name][int(step) - 1] if step >= 1 else np.zeros(size)
        if isinstance(node, nir.Delay):
            late = np.rint(node.delay / dt)
            return np.array([signals(name, step - d)[i] for i, d in enumerate(late)])
        came = signals(name, step)
        if isinstance(node, nir.Scale):
            return node.scale * came
        return node.weight @ came + getattr(node, "bias", 0.0)

    def signals(name: str, step: float) -> np.ndarray:
        return sum(signal(pre, step) for pre, post in graph.edges if post == name) + 0.0

    v = {
        name: np.array(node.metadata.get("v_init", node.v_leak), float)
        for name, node in populations.items()
        if not isinstance(node, nir.Input)
    }
    i = {name: np.zeros_like(values) for name, values in v.items()}
    for step in range(STEPS):
        for name in v:
            node = graph.nodes[name]
            if isinstance(node, nir.CubaLIF):
                # Exact propagators of tau_mem dv/dt = v_leak - v + r i and tau_syn di/dt = -i.
                mem, syn = np.exp(-dt / node.tau_mem), np.exp(-dt / node.tau_syn)
                push = node.r * node.tau_syn / (node.tau_syn - node.tau_mem) * (syn - mem) * i[name]
                v[name] = node.v_leak + (v[name] - node.v_leak) * mem + push
                i[name] = syn * i[name] + node.w_in * (1.0 - syn) * signals(name, step)
                continue
            rest = node.v_leak + node.r * signals(name, step)
            v[name] = rest + (v[name] - rest) * np.exp(-dt / node.tau)
        for name, node in populations.items():
            if isinstance(node, (nir.LIF, nir.CubaLIF)):
                out[name][step] = v[name] >= node.v_threshold
                v[name] = np.where(out[name][step] > 0, node.v_reset, v[name])
            elif isinstance(node, nir.LI):
                out[name][step] = v[name]
    return out


def network(dt: float = 0.5, **options) -> ep.Network:
    """Neurons and readouts that all differ, and all kinds of delays."""
    net, rule = ep.Network(dt=dt, seed=4), ep.EProp(kappa=0.9)  # readouts have time constants of their own
    model = ep.DeltaLIF(
        tau_m=ep.Uniform(5.0, 30.0), v_th=ep.Uniform(-49.0, -47.0), v_reset=-55.0, e_l=-50.0, i_e=3.0,
        c_m=[100.0, 200.0, 150.0, 80.0, 90.0],
    )  # fmt: skip
    x, rec = net.add(ep.EventSource(), 6, "in"), net.add(options.get("neuron", model), 5, "rec")
    out = net.add(ep.Readout(tau_m=ep.Uniform(10.0, 20.0), e_l=1.0, scale_input=True), 2, "out")
    net.connect(x, rec, ep.Bernoulli(0.8), weight=ep.Normal(1.0, 0.5), rule=rule, delay=3 * dt)
    net.connect(rec, rec, ep.FixedIndegree(4, multapses=True), weight=ep.Normal(0.0, 1.0), delay=ep.Uniform(dt, 4 * dt))
    net.connect(rec, out, weight=ep.Normal(0.0, 1.0), rule=rule)
    net.feedback(out, rec)
    return net


def events(n: int = 6) -> np.ndarray:
    return np.random.default_rng(2).random((STEPS, n)) < 0.2


CURRENT = ep.CurrentLIF(
    tau_m=ep.Uniform(5.0, 30.0), tau_syn=ep.Uniform(2.0, 4.5), v_th=ep.Uniform(-49.0, -47.0), v_reset=-55.0, e_l=-50.0, i_e=3.0,
    c_m=[5.0, 6.0, 4.0, 3.0, 7.0],
)  # fmt: skip


@pytest.mark.parametrize("given", [{}, {"neuron": CURRENT}], ids=["DeltaLIF", "CurrentLIF"])
def test_equations_of_the_graph_give_the_same_spikes_also_through_a_file(given: dict, tmp_path: pathlib.Path):
    sim = ep.Simulator(network(**given), threads=1)
    sim.run(STEPS * 0.5, {"in": events()}, {"out": [0.0, 2.0]})  # to have learned something
    graph = to_nir(sim)
    assert isinstance(graph.nodes["rec"], nir.CubaLIF if given else nir.LIF)
    sim.reset()
    ran = sim.run(STEPS * 0.5, {"in": events()}, learn=False, record=[("rec", "z")])
    assert ran["rec", "z"].sum() > 20
    nir.write(tmp_path / "network.nir", graph)
    surrogate = ep.Arctan(0.2, 2.0)
    net = from_nir(
        tmp_path / "network.nir", dt=0.5, rule=ep.EPropPlus(), seed=9, neuron=ep.DeltaLIF(surrogate=surrogate)
    )
    model = net.population("rec").model
    assert (net.seed, type(model), model.surrogate) == (9, ep.CurrentLIF if given else ep.DeltaLIF, surrogate)
    assert all(p.rule == ep.EPropPlus() for p in net.projections)
    for told in (graph, to_nir(ep.Simulator(net, threads=1))):
        found = solve(told, {"in": events()})
        np.testing.assert_array_equal(found["rec"], ran["rec", "z"])
        np.testing.assert_allclose(found["out"], ran.y["out"], rtol=1e-12)


def test_constants_that_have_learned_are_written_for_each_neuron():
    tau, rule = ep.Learned(15.0, low=5.0, high=50.0, eta=0.2), ep.EProp(optimizer=ep.Adam(eta=0.01))
    weights = {"in->rec": 0.8, "rec->out": ep.Normal()}
    net = small_network((5, 4, 1), weights, neuron=ep.DeltaLIF(tau_m=tau), rule=rule, feedback=ep.Symmetric(), seed=2)
    sim, given = ep.Simulator(net, threads=1), np.random.default_rng(1).random((3, 40, 5)) < 0.2
    sim.train(sim.samples(3, 40, {"in": given}, {"out": np.ones((3, 1, 1))}))
    learned = sim.parameters("rec")["tau_m"]
    assert np.unique(learned).size > 1
    np.testing.assert_allclose(to_nir(sim).nodes["rec"].tau, learned / 1000.0)


def test_a_cuba_lif_of_others():
    """One number for all neurons, a bias, a scale of the input, and a step of its own."""
    one = {"tau_syn": 0.004, "tau_mem": 0.02, "r": 3.0, "v_leak": 0.5, "v_threshold": 2.0, "v_reset": 0.1}
    cuba = nir.CubaLIF(**{key: np.array(value) for key, value in one.items()}, w_in=2.0)
    nodes = vectors(a=nir.Affine(weight=np.diag([4.0, 5.0]), bias=np.array([0.3, 0.0])), cuba=cuba)
    net = from_nir(nir.NIRGraph(nodes, path("in", "a", "cuba"), metadata={"dt": 0.001}, type_check=False), dt=0.5)
    model = net.population("cuba").model
    assert (model.tau_m, model.tau_syn, model.v_th, model.v_reset, model.e_l) == (20.0, 4.0, 2.0, 0.1, 0.5)
    assert model.c_m == pytest.approx(20.0 / 3.0)
    np.testing.assert_allclose(model.i_e.values, [0.6, 0.0])
    # The same charge in a shorter step.
    rise = 2.0 * 2.0 * (1.0 - np.exp(-0.5 / 4.0))
    np.testing.assert_allclose(ep.Simulator(net, threads=1).weights("in->cuba").toarray(), rise * np.diag([4.0, 5.0]))


def test_a_graph_names_what_it_was_made_of():
    graph = to_nir(ep.Simulator(network(), threads=1))
    assert graph.metadata == {"dt": 0.0005, "inputs": "in"}
    assert [type(graph.nodes[name]) for name in ("in", "rec", "out")] == [nir.Input, nir.LIF, nir.LI]
    assert {n for n in graph.nodes if n.startswith("rec->rec")} >= {"rec->rec after 0.5 ms", "rec->rec after 1 ms"}
    assert "rec->rec after 0.5 ms delay" not in graph.nodes  # one step is what it takes anyway
    np.testing.assert_allclose(graph.nodes["in->rec delay"].delay, 0.001)
    assert ("out", "out output") in graph.edges
    spikes = to_nir(ep.Simulator(network(), threads=1), readouts=False)
    assert set(graph.nodes) - set(spikes.nodes) == {"out", "rec->out", "out output"}
    assert ("rec", "rec output") in spikes.edges
    deep = network()
    deep.connect("rec", deep.add(ep.DeltaLIF(), 3, "unread"))
    graph = to_nir(ep.Simulator(deep, threads=1), readouts=False)
    assert [name for name in graph.nodes if name.endswith("output")] == ["rec output"]
    spiking = ep.Network()
    spiking.add(ep.DeltaLIF(), 3, "only")
    assert ("only", "only output") in to_nir(ep.Simulator(spiking, threads=1)).edges


def lone(neuron: ep.Neuron) -> ep.Simulator:
    """Three neurons with one source."""
    return ep.Simulator(small_network((1, 3, 0), {"in->rec": 1.0}, neuron=neuron), threads=1)


@pytest.mark.parametrize(
    ("neuron", "words"),
    [
        (ep.LIF(), "a reset that subtracts the threshold"),
        (ep.CurrentLIF(v_reset=None), "a reset that subtracts the threshold"),
        (ep.CurrentLIF(t_ref=2.0), r"a refractory time \(t_ref\)"),
        (ep.DeltaLIF(t_ref=2.0), r"a refractory time \(t_ref\)"),
        (ep.DeltaLIF(t_ref=[0.0, 0.0, 2.0]), r"a refractory time \(t_ref\)"),
        (ep.DeltaLIF(v_min=-1.0), r"a lower bound of the voltage \(v_min\)"),
        (ep.DeltaLIF(v_min=[-np.inf, -1.0, -np.inf]), r"a lower bound of the voltage \(v_min\)"),
    ],
)
def test_features_that_nir_lacks_need_consent(neuron: ep.Neuron, words: str):
    with pytest.raises(NetworkError, match=f"^rec: NIR cannot express {words}; train without"):
        to_nir(lone(neuron))
    with pytest.warns(NearestWarning, match=f"^rec: NIR cannot express {words}: it will behave differently there"):
        assert to_nir(lone(neuron), nearest=True).nodes["rec"].v_reset[0] == 0.0


@pytest.mark.parametrize("given", [{"t_ref": [0.0] * 3}, {"v_min": [-np.inf] * 3}, {"t_ref": ep.Uniform(0.0, 0.3)}])
def test_lists_without_an_effect_are_expressed(given: dict):
    assert to_nir(lone(ep.DeltaLIF(**given))).nodes["rec"].v_threshold.size == 3


@pytest.mark.parametrize(
    "given",
    [{"i_e": 20.0}, {"i_e": 20.0, "v_init": -46.0}, {"i_e": 60.0, "v_init": [-46.0, -48.0, -50.0]}],
    ids=str,
)
def test_neurons_on_their_own_start_where_they_did(given: dict, tmp_path: pathlib.Path):
    """Without inputs; driven from below their threshold, or beyond it, or started elsewhere; through a file and back."""
    net = ep.Network(dt=1.0)
    net.add(ep.DeltaLIF(tau_m=20.0, c_m=100.0, e_l=-50.0, v_reset=-55.0, v_th=-45.0).replace(**given), 3, "pace")
    net.connect("pace", "pace", weight=2.0)
    sim = ep.Simulator(net, threads=1)
    nir.write(tmp_path / "network.nir", to_nir(sim))
    graph = nir.read(tmp_path / "network.nir", type_check=False)
    assert [type(node).__name__ for node in graph.nodes.values()].count("Input") == 0
    both = sim, ep.Simulator(from_nir(graph), threads=1)
    runs = [each.run(float(STEPS), record=[("pace", "z"), ("pace", "v")]) for each in both]
    np.testing.assert_array_equal(runs[1]["pace", "z"], runs[0]["pace", "z"])
    np.testing.assert_allclose(runs[1]["pace", "v"], runs[0]["pace", "v"], rtol=1e-12)
    np.testing.assert_array_equal(solve(graph, {})["pace"], runs[0]["pace", "z"])
    assert (runs[0]["pace", "z"].sum() > 0) == (given["i_e"] == 60.0)


def test_a_spike_brings_the_same_charge_in_another_step():
    """The step is that of the graph; in a tenth of it a spike is a current ten times as large."""
    net = small_network((1, 1, 0), {"in->rec": 1.0}, neuron=ep.DeltaLIF(tau_m=20.0, v_th=5.0), dt=1.0)
    graph, peaks = to_nir(ep.Simulator(net, threads=1)), []
    for dt in (None, 0.1):
        made = from_nir(graph, dt)
        assert made.dt == (dt or 1.0)
        run = ep.Simulator(made, threads=1).run(3.0, {"in": ([0.0], [0])}, record=[("rec", "v")])
        peaks.append(run["rec", "v"].max())
    assert peaks[0] == pytest.approx(1.0, rel=1e-12)
    assert peaks[1] == pytest.approx(1.0, abs=0.03)  # a current that lasts 1 ms decays meanwhile
    graph.metadata.clear()
    with pytest.raises(InputError, match=r"^from_nir: the graph does not give its time step; give it"):
        from_nir(graph)


def test_what_the_graph_does_not_tell():
    """Surrogate, loss and rules are given; weights of 0 are connections if they shall be."""
    graph = to_nir(ep.Simulator(network(), threads=1))
    graph.nodes["rec->out"].weight[0, 0] = 0.0
    neuron, readout = ep.DeltaLIF(c_m=7.0), ep.Readout(loss=ep.CrossEntropy(), scale_input=True)
    net = from_nir(graph, rule={"rec->out": ep.EProp()}, neuron=neuron, readout=readout)
    assert net.population("out").model.loss == readout.loss
    assert not net.population("out").model.scale_input
    assert [p.rule.plastic for p in net.projections] == [False, False, True]
    assert ep.Simulator(net, threads=1).n_synapses("rec->out") == 9
    assert ep.Simulator(from_nir(graph, zeros=True), threads=1).n_synapses("rec->out") == 10
    with pytest.raises(NetworkError, match=r"^from_nir: rule names 'out'; the projections are: in->rec, rec->rec, "):
        from_nir(graph, rule={"out": ep.EProp()})


def test_matrices_that_will_not_fit(monkeypatch: pytest.MonkeyPatch):
    sim = ep.Simulator(network(), threads=1)
    monkeypatch.setattr(check, "NOTICEABLE", 0)
    monkeypatch.setattr(check, "available_memory", lambda: 1000)
    with pytest.raises(MemoryLimitError, match=r"a graph of NIR would take .* a matrix for each delay"):
        to_nir(sim)


def vectors(**nodes) -> dict:
    shape = np.array([2])
    return {"in": nir.Input(input_type={"input": shape}), "out": nir.Output(output_type={"output": shape}), **nodes}


def path(*names: str) -> list[tuple[str, str]]:
    """Edges from each node to the next."""
    return list(itertools.pairwise(names))


def lif(n: int = 2, **given) -> nir.LIF:
    values = {"tau": 0.02, "r": 20.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0} | given
    return nir.LIF(**{key: np.full(n, value) for key, value in values.items()})


def test_transforms_between_neurons_are_one_connection():
    """Scales, matrices, delays and biases, graphs within the graph, and what leads nowhere."""
    ends, cells = vectors(), {"lif": lif(v_reset=-0.5), "w": nir.Linear(weight=np.array([[0.0, 0.3], [-0.2, 0.0]]))}
    inner = nir.NIRGraph(
        {"input": ends["in"], "output": ends["out"], **cells}, [*path("input", "lif", "w", "lif"), ("lif", "output")]
    )
    ways = {
        "wait": nir.Delay(delay=np.array([0.0, 0.003])),
        "a": nir.Affine(weight=np.diag([2.0, 3.0]), bias=np.array([0.02, 0.0])),
        "scale": nir.Scale(scale=np.array([0.5, 1.0])),
        "b": nir.Linear(weight=np.array([[1.0, 1.0], [1.0, -1.0]])),
        "li": nir.LI(tau=np.full(2, 0.01), r=np.full(2, 10.0), v_leak=np.zeros(2)),
    }
    edges = [*path("in", "wait", "a", "scale", "rec"), *path("in", "rec", "b", "li", "out")]
    graph = nir.NIRGraph(vectors(**ways, rec=inner), edges, metadata={"dt": 0.001})
    net = from_nir(graph, dt=1.0)
    assert [p.name for p in net.populations] == ["in", "rec.lif", "li"]
    assert [p.name for p in net.projections] == ["in->rec.lif", "rec.lif->rec.lif", "rec.lif->li"]
    assert net.population("rec.lif").model.i_e.values == pytest.approx((0.01, 0.0))  # r b / tau, after the scale
    sim = ep.Simulator(net, threads=1)
    rise = 20.0 * (1.0 - np.exp(-1.0 / 20.0))
    assert sorted(sim.delays("in->rec.lif")) == [1.0, 1.0, 4.0]
    np.testing.assert_allclose(sim.weights("in->rec.lif").toarray(), rise * (np.eye(2) + np.diag([1.0, 3.0])))
    given = events(2)
    ran = sim.run(float(STEPS), {"in": given}, record=[("rec.lif", "z")])
    assert ran["rec.lif", "z"].sum() > 10
    edges = [(a.replace("rec", "lif"), b.replace("rec", "lif")) for a, b in edges] + [("lif", "w"), ("w", "lif")]
    flat = nir.NIRGraph(vectors(**ways, **cells), edges, metadata={"dt": 0.001})
    found = solve(flat, {"in": given})
    np.testing.assert_array_equal(found["lif"], ran["rec.lif", "z"])
    np.testing.assert_allclose(found["li"], ran.y["li"], rtol=1e-12, atol=1e-15)


W, ONES, BOX = np.eye(2), np.ones(2), np.array([2, 2])
TO_LIF = [("in", "a"), ("a", "lif")]
SINGLE = nir.LIF(*(np.array(float(k)) for k in range(1, 6)))
WRONG_START = nir.LIF(*(np.full(2, float(k)) for k in (1, 1, 0, 2, 1)), metadata={"v_init": np.zeros(3)})
REFUSED = [
    (vectors(cuba=nir.CubaLIF(ONES, ONES, -ONES, ONES, ONES)), [("in", "cuba")], "cuba: the resistance r of a CubaLIF"),
    ({"odd": nir.IF(ONES, ONES), **vectors(lif=lif())}, [("odd", "lif")], "odd: is a IF; supported .* Output, LIF, CubaLIF"),
    (vectors(li=nir.LI(ONES, ONES, ONES), lif=lif()), [("in", "li"), ("li", "lif")], "li: the voltage of an LI leads to lif"),
    (
        vectors(a=nir.Linear(W), b=nir.Linear(W)), [("in", "a"), ("a", "b"), ("b", "a"), ("b", "out")],
        "a signal runs in a circle without a neuron",
    ),
    (
        {"in": nir.Input({"input": BOX}), "out": nir.Output({"output": BOX})}, [("in", "out")],
        r"in: its signal has the shape \(2, 2\); only vectors are supported",
    ),
    ({"in": nir.Input({"input": BOX}), "lif": SINGLE}, [("in", "lif")], r"in: its signal has the shape \(2, 2\)"),
    (vectors(a=nir.Linear(np.ones((2, 3))), lif=lif()), TO_LIF, "a: takes 3 signals, but 2 lead to it"),
    (vectors(lif=lif(3)), [("in", "lif")], "lif: takes 3 signals, but 2 lead to it"),
    (vectors(a=nir.Scale(np.ones(3)), lif=lif()), TO_LIF, "a: takes 3 signals"),
    (vectors(lif=lif()), [("in", "lif"), ("lif", "b")], "b: an edge leads to or from this node"),
    (vectors(a=nir.Delay(np.full(2, -0.001)), lif=lif()), TO_LIF, "in: a Delay on the path to lif is negative"),
    (vectors(a=nir.Linear(np.ones((2, 2, 2))), lif=lif()), TO_LIF, "a: its weights must be a matrix"),
    (vectors(lif=WRONG_START), [("in", "lif")], r"lif: v_init has the shape \(3,\), but there are 2 neurons"),
    (
        vectors(lif=SINGLE), [("lif", "out")],
        "lif: its parameters are single numbers, and no incoming node gives its number of neurons",
    ),
    (vectors(lif=lif(v_reset=2.0)), [("in", "lif")], "lif: DeltaLIF.v_reset must be below v_th"),
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "edges", "words"), REFUSED, ids=[words for *_, words in REFUSED])
def test_graphs_without_an_equivalent_are_refused(nodes: dict, edges: list, words: str):
    with pytest.raises(NetworkError, match=words):
        from_nir(nir.NIRGraph(nodes, edges, type_check=False), dt=1.0)


def test_what_leads_nowhere_is_told():
    """A matrix between neurons and an output has no readout that it could belong to."""
    nodes = vectors(a=nir.Linear(W), lif=lif(), b=nir.Linear(W))
    graph = nir.NIRGraph(nodes, path("in", "a", "lif", "b", "out"))
    with pytest.warns(NearestWarning, match=r"^from_nir leaves out nodes that lead to no neuron or readout: b$"):
        net = from_nir(graph, dt=1.0)
    assert [p.name for p in net.projections] == ["in->lif"]


def synapses(nodes: dict, edges: list) -> list[tuple]:
    """Source, target, weight (in units of a matrix) and delay (ms) of each synapse onto ``lif``."""
    graph = nir.NIRGraph(vectors(**nodes, lif=lif()), edges, type_check=False)
    sim = ep.Simulator(from_nir(graph, dt=1.0), threads=1)
    sources, targets, weights = sim.connections("in->lif")
    weights = (weights / (20.0 * (1.0 - np.exp(-1.0 / 20.0)))).round(9)
    return sorted(
        zip(sources.tolist(), targets.tolist(), weights.tolist(), sim.delays("in->lif").tolist(), strict=True)
    )


def test_sums_of_signals_with_different_delays_are_several_synapses():
    """Also after a scale and a delay that hold for all signals."""
    wait, two = nir.Delay(np.array([0.0, 0.002])), nir.Linear(np.ones((2, 2)))
    nodes: dict[str, Any] = {
        "a": nir.Linear(W),
        "d": wait,
        "scale": nir.Scale(np.array(0.5)),
        "e": nir.Delay(np.array(0.001)),
    }
    nodes["b"] = nir.Linear(np.array([[1.0, 2.0], [0.0, 4.0]]))
    found = synapses(nodes, path("in", "a", "d", "scale", "e", "b", "lif", "out"))
    assert found == [(0, 0, 0.5, 2.0), (1, 0, 1.0, 4.0), (1, 1, 2.0, 4.0)]
    nodes, edges = {"a": two, "d": wait, "b": two}, path("in", "a", "d", "b", "lif")
    for k in range(30):  # 2^30 paths, and a chain
        nodes |= {f"{name}{k}": nir.Scale(0.5 * ONES) for name in "pq"} | {f"r{k}": nir.Scale(ONES)}
        edges += [*path(f"p{k}", f"r{k}"), *path(f"q{k}", f"r{k}")]
        edges += [(f"r{k - 1}" if k else "in", f"{name}{k}") for name in "pq"]
    pairs = list(itertools.product(range(2), range(2)))
    wanted = [(s, t, 1.0 + (s == t), 1.0) for s, t in pairs] + [(s, t, 1.0, 3.0) for s, t in pairs]
    assert synapses(nodes, [*edges, ("r29", "lif")]) == sorted(wanted)


def test_parameters_that_are_single_numbers():
    """They hold for as many neurons as signals lead there, through nodes of single numbers as well."""
    edges = [("back", "lif"), ("lif", "back"), ("wait", "lif"), ("in", "wait"), ("lif", "li"), ("li", "out")]
    nodes, runs = vectors(wait=nir.Delay(np.array(0.001)), back=nir.Scale(np.array(-0.1))), []
    for shape in ((), 2):
        li = {key: np.full(shape, value) for key, value in {"tau": 0.02, "r": 20.0, "v_leak": 0.0}.items()}
        ends = {
            "v_threshold": np.full(shape, 1.0),
            "v_reset": np.full(shape, 0.0),
            "metadata": {"v_init": np.full(shape, 0.5)},
        }
        nodes |= {"lif": nir.LIF(**li, **ends), "li": nir.LI(**li)}
        sim = ep.Simulator(from_nir(nir.NIRGraph(dict(nodes), edges, type_check=False), dt=1.0), threads=1)
        runs.append(sim.run(float(STEPS), {"in": events(2)}, record=[("lif", "v")]))
    assert runs[0]["lif", "v"].shape == (STEPS, 2)
    assert_same(runs[0]["lif", "v"], runs[1]["lif", "v"])
    assert_same(runs[0].y["li"], runs[1].y["li"])


def same_names() -> ep.Simulator:
    net = ep.Network()
    net.connect(net.add(ep.DeltaLIF(), 2, "rec"), net.add(ep.DeltaLIF(), 2, "rec output"))
    return ep.Simulator(net, threads=1)


def too_large() -> ep.Network:
    nodes = {"in": nir.Input({"input": np.array([10**12])}), "rec": lif()}
    return from_nir(nir.NIRGraph(nodes, [("in", "rec")], type_check=False), dt=1.0)


def too_deep() -> ep.Network:
    inner: Any = nir.NIRGraph({"rec": lif()}, [], type_check=False)
    for _ in range(100):
        inner = nir.NIRGraph({"inner": inner}, [], type_check=False)
    return from_nir(inner, dt=1.0)


ONE_TAU = "^rec: NIR's CubaLIF has one tau_syn; train without tau_syn_in"


@refusals(
    (lambda: to_nir(same_names()), NetworkError, "^to_nir: two nodes would be called 'rec output'; give the population"),
    (lambda: from_nir(3, dt=1.0), InputError, "^from_nir takes a graph of NIR, got int; to read a file, give its path"),
    (lambda: to_nir(network()), InputError, "^to_nir takes a Simulator, got Network"),
    (lambda: to_nir(lone(ep.CurrentLIF(tau_syn_in=3.0)), nearest=True), NetworkError, ONE_TAU),
    (lambda: to_nir(lone(ep.ALIF())), NetworkError, "^rec: NIR has no ALIF; it has leaky neurons"),
    (lambda: to_nir(lone(ep.DeltaALIF()), nearest=True), NetworkError, "^rec: NIR has no DeltaALIF; it has leaky neurons"),
    (lambda: to_nir(lone(ep.DeltaLIF()), step="heun"), ParameterError, r'to_nir: step must be "exact" or "euler"'),
    (lambda: to_nir(lone(ep.DeltaLIF()), dt=0.1), ParameterError, 'dt is the step of a program with step="euler"'),
    (lambda: to_nir(lone(ep.DeltaLIF()), step="euler", dt=0.0), ParameterError, "dt must be a number of ms > 0, got 0.0"),
    (too_large, MemoryLimitError, "in: 1,000,000,000,000 signals: needs"),
    (too_deep, NetworkError, "graphs are nested more than 50 deep"),
)  # fmt: skip
def test_bad_arguments_are_refused(refusal):
    refusal.check()


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "nir", None)
    with pytest.raises(MissingExtraError, match=r"pip install nir "):
        from_nir(None, dt=1.0)


def test_connections_that_weigh_nothing_keep_their_delays_and_are_one_each():
    for delay, weight in ((4.0, 0.5), (ep.Uniform(1.0, 5.0), ep.Normal(0.0, 1.0))):
        net = ep.Network(seed=3)
        net.connect(net.add(ep.EventSource(), 3, "x"), net.add(ep.DeltaLIF(), 2, "a"), weight=weight, delay=delay)
        sim = ep.Simulator(net, threads=1)
        weights = sim.connections("x->a")[2]
        if delay == 4.0:
            weights = np.array([0.0, 1.0, 2.0, 3.0, 0.0, 1.0])
            sim.set_weights("x->a", weights)
        back = ep.Simulator(from_nir(to_nir(sim), zeros=True), threads=1)
        for ours, theirs in zip(sim.connections("x->a"), back.connections("x->a"), strict=True):
            np.testing.assert_allclose(theirs, ours)
        np.testing.assert_array_equal(back.delays("x->a"), sim.delays("x->a"))


def test_reading_a_file_adds_no_inputs(tmp_path: pathlib.Path):
    """`nir.read` adds one where nothing leads to a population."""
    net = ep.Network(seed=1)
    net.connect(net.add(ep.DeltaLIF(i_e=0.1), 2, "driven"), net.add(ep.Readout(), 1, "out"))
    nir.write(str(tmp_path / "net.nir"), to_nir(ep.Simulator(net, threads=1)))
    graph = nir.read(str(tmp_path / "net.nir"))
    assert any(isinstance(node, nir.Input) for node in graph.nodes.values())
    back = from_nir(graph)
    assert [p.name for p in back.populations] == ["driven", "out"]
    assert [p.name for p in back.projections] == ["driven->out"]


def test_weights_of_a_graph_keep_their_signs():
    """A network under Dale's law comes back with its weights, which keep their signs when they learn."""
    net = ep.Network(seed=1)
    x, out = net.add(ep.EventSource(), 20, "in", excitatory=0.5), net.add(ep.Readout(tau_m=5.0), 3, "out")
    net.connect(x, out, weight=ep.Normal(0.0, 0.1), sign="source")
    written = ep.Simulator(net, threads=1)
    rule = ep.EProp(optimizer=ep.GradientDescent(0.1))
    sim = ep.Simulator(from_nir(to_nir(written), rule=rule, sign="fixed"), threads=1)
    np.testing.assert_allclose(sim.connections("in->out")[2], written.connections("in->out")[2], rtol=1e-12)
    sim.train(sim.samples(1, 50, {"in": np.ones((1, 50, 20))}, {"out": np.full((1, 50, 3), 5.0)}))
    sources, _, weights = sim.connections("in->out")
    assert (weights * x.signs[sources] >= 0.0).all()
    assert (weights == 0.0).any()


def test_weights_of_few_bits_come_back(tmp_path: pathlib.Path):
    """Through a file, and with whole numbers for a chip: the matrix divided by the scale in its metadata."""
    net = ep.Network(seed=1)
    x, rec = net.add(ep.EventSource(), 20, "in"), net.add(ep.DeltaLIF(tau_m=9.0, v_reset=0.0), 5, "rec")
    out = net.add(ep.Readout(tau_m=ep.Uniform(4.0, 9.0)), 3, "out")
    net.connect(x, rec, weight=ep.Normal(0.0, 0.1), delay=3.0, precision=ep.FixedPoint(6, rounding="nearest"))
    net.connect(rec, out, weight=ep.Normal(0.0, 0.1), precision=ep.FixedPoint(6))
    sim = ep.Simulator(net, threads=1)
    graph = to_nir(sim)
    own = graph.nodes["in->rec"]
    levels = own.weight / own.metadata["scale"]
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-12)
    assert "bits" not in graph.nodes["rec->out"].metadata  # each readout has a scale of its own
    nir.write(tmp_path / "graph.nir", graph)
    for given in (graph, tmp_path / "graph.nir"):
        again = ep.Simulator(from_nir(given, zeros=True), threads=1)
        (one,) = again.formats.values()
        assert (one.bits, one.rounding) == (6, "nearest")
        assert one.scale == pytest.approx(sim.formats["in->rec"].scale, rel=1e-12)
        assert_same(
            one.levels(again.connections("in->rec")[2]), sim.formats["in->rec"].levels(sim.connections("in->rec")[2])
        )
    own.metadata["bits"] = 40
    with pytest.raises(NetworkError, match="bits must be <= 16"):
        from_nir(graph)


def eulers_steps(graph: Any, events: np.ndarray, dt: float) -> np.ndarray:
    """Spikes of a graph in steps of ``dt`` (s) by Euler's rule, (steps, neurons); a spike arrives one step after its emission."""
    rec, w_in, w_rec = graph.nodes["rec"], graph.nodes["in->rec"].weight, graph.nodes["rec->rec"].weight
    v, i, z, spikes = rec.v_leak.copy(), np.zeros(rec.v_leak.size), np.zeros(rec.v_leak.size), []
    for x in np.vstack([np.zeros(events.shape[1]), events[:-1]]):
        current = w_in @ x + w_rec @ z
        if hasattr(rec, "tau_syn"):
            v = v + dt / rec.tau_mem * (rec.v_leak - v + rec.r * i)
            i = i + dt / rec.tau_syn * (rec.w_in * current - i)
        else:
            v = v + dt / rec.tau * (rec.v_leak - v + rec.r * current)
        z = (v >= rec.v_threshold).astype(float)
        v = np.where(z > 0.0, rec.v_reset, v)
        spikes.append(z)
    return np.array(spikes)


@pytest.mark.parametrize(
    "neuron", [ep.DeltaLIF(tau_m=10.0, e_l=-0.2, v_reset=-0.3), ep.CurrentLIF(tau_m=10.0, tau_syn=5.0, v_reset=0.0)]
)
@pytest.mark.parametrize(("dt", "reader"), [(1.0, 0.1), (0.5, None)])
def test_a_graph_for_eulers_steps_has_all_spikes(neuron: Any, dt: float, reader: float | None) -> None:
    net = ep.Network(dt=dt, seed=1)
    scale = 1.0 if isinstance(neuron, ep.DeltaLIF) else 4.0
    x, rec = net.add(ep.EventSource(), 30, "in"), net.add(neuron, 20, "rec")
    net.connect(x, rec, weight=ep.Normal(0.05, 0.3 * scale))
    net.connect(rec, rec, weight=ep.Normal(0.0, 0.2 * scale))
    sim, steps = ep.Simulator(net, threads=1), 300
    events = (np.random.default_rng(0).random((steps, 30)) < 0.1).astype(float)
    times, nodes = sim.run(steps * dt, {"in": events}, spikes=["rec"]).spikes["rec"]
    wanted = np.zeros((steps, 20))
    wanted[np.rint(times / dt).astype(int) - 1, nodes] = 1.0
    graph = to_nir(sim, step="euler", dt=reader)
    np.testing.assert_array_equal(eulers_steps(graph, events, (reader or dt) / 1000.0), wanted)
    assert wanted.sum() > 100
    exact = eulers_steps(to_nir(sim), events, dt / 1000.0)
    assert (exact != wanted).any()
    with pytest.raises(NetworkError, match="for programs that step by Euler's rule"):
        from_nir(graph)


def test_files_of_graphs_are_read_within_the_memory(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "graph.nir"
    nir.write(path, to_nir(lone(ep.DeltaLIF())))
    assert [p.size for p in from_nir(str(path)).populations] == [1, 3]
    with pytest.raises(DataError, match=r"graph.nir: .*needs"):
        from_nir(path, memory=100)
    with h5py.File(path, "a") as file:
        del file["node/nodes/rec/tau"]
    with pytest.raises(DataError, match=r"graph.nir: is not a graph of NIR"):
        from_nir(path)
    with h5py.File(path, "a") as file:
        file.create_dataset("node/nodes/rec/tau", (1 << 42,), float, chunks=(1024,))
    with pytest.raises(DataError, match=r"graph.nir: /node/nodes/rec/tau: needs"):
        from_nir(path)
