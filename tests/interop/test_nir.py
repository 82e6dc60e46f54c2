"""A graph of NIR says the same as the network: its equations, solved by a program of the test's own, give the same spikes."""

from __future__ import annotations

import pathlib
import sys

import nir
import numpy as np
import pytest

import eprop as ep
from eprop.interop.nir import NearestWarning, from_nir, to_nir

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]

STEPS = 60


def solve(graph: nir.NIRGraph, given: dict[str, np.ndarray], start: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Voltages of ``LI`` and spikes of ``LIF``, (steps, nodes): the exact solution for currents that are constant in a step.

    A signal takes a step from one population to the next, and no time through the nodes between.
    """
    dt = graph.metadata["dt"]
    populations = {n: v for n, v in graph.nodes.items() if isinstance(v, (nir.Input, nir.LIF, nir.LI))}
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
        return sum(signal(pre, step) for pre, post in graph.edges if post == name)

    v = {name: np.array(voltage, float) for name, voltage in start.items()}
    for step in range(STEPS):
        for name in v:
            node = graph.nodes[name]
            rest = node.v_leak + node.r * signals(name, step)
            v[name] = rest + (v[name] - rest) * np.exp(-dt / node.tau)
        for name, node in populations.items():
            if isinstance(node, nir.LIF):
                out[name][step] = v[name] >= node.v_threshold
                v[name] = np.where(out[name][step] > 0, node.v_reset, v[name])
            elif isinstance(node, nir.LI):
                out[name][step] = v[name]
    return out


def network(dt: float = 0.5, **options) -> ep.Network:
    """Neurons and readouts that all differ, and all kinds of delays."""
    net = ep.Network(dt=dt, seed=4)
    model = ep.DeltaLIF(
        tau_m=ep.Uniform(5.0, 30.0), v_th=ep.Uniform(-49.0, -47.0), v_reset=-55.0, e_l=-50.0, i_e=3.0,
        c_m=[100.0, 200.0, 150.0, 80.0, 90.0],
    )  # fmt: skip
    x, rec = net.add(ep.EventSource(), 6, "in"), net.add(options.get("neuron", model), 5, "rec")
    out = net.add(ep.Readout(tau_m=ep.Uniform(10.0, 20.0), e_l=1.0, scale_input=True), 2, "out")
    net.connect(x, rec, ep.Bernoulli(0.8), weight=ep.Normal(1.0, 0.5), rule=ep.EPropPlus(), delay=3 * dt)
    net.connect(rec, rec, ep.FixedIndegree(4, multapses=True), weight=ep.Normal(0.0, 1.0), delay=ep.Uniform(dt, 4 * dt))
    net.connect(rec, out, weight=ep.Normal(0.0, 1.0), rule=ep.EPropPlus())
    net.feedback(out, rec)
    return net


def events(n: int = 6) -> np.ndarray:
    return np.random.default_rng(2).random((STEPS, n)) < 0.2


def test_equations_of_the_graph_give_the_same_spikes():
    sim = ep.Simulator(network(), threads=1)
    sim.run(STEPS * 0.5, {"in": events()}, {"out": [0.0, 2.0]})  # to have learned something
    learned = to_nir(sim)
    sim.reset()
    ran = sim.run(STEPS * 0.5, {"in": events()}, learn=False, record=[("rec", "z")])
    found = solve(learned, {"in": events()}, {"rec": np.full(5, -50.0), "out": np.ones(2)})
    assert ran["rec", "z"].sum() > 20
    np.testing.assert_array_equal(found["rec"], ran["rec", "z"])
    np.testing.assert_allclose(found["out"], ran.y["out"], rtol=1e-12)


def test_a_graph_names_what_it_was_made_of():
    graph = to_nir(ep.Simulator(network(), threads=1))
    assert graph.metadata == {"dt": 0.0005}
    assert {n: type(graph.nodes[n]).__name__ for n in ("in", "rec", "out")} == {
        "in": "Input",
        "rec": "LIF",
        "out": "LI",
    }
    assert {n for n in graph.nodes if n.startswith("rec->rec")} >= {"rec->rec after 0.5 ms", "rec->rec after 1 ms"}
    assert "rec->rec after 0.5 ms delay" not in graph.nodes  # one step is what it takes anyway
    np.testing.assert_allclose(graph.nodes["in->rec delay"].delay, 0.001)
    assert ("out", "out output") in graph.edges
    spikes = to_nir(ep.Simulator(network(), threads=1), readouts=False)
    assert set(graph.nodes) - set(spikes.nodes) == {"out", "rec->out", "out output"}
    assert ("rec", "rec output") in spikes.edges
    spiking = ep.Network()
    spiking.add(ep.DeltaLIF(), 3, "only")
    assert ("only", "only output") in to_nir(ep.Simulator(spiking, threads=1)).edges


def test_files_and_back(tmp_path: pathlib.Path):
    """What comes back from a file spikes as what was written, and says the same when it is written again."""
    sim = ep.Simulator(network(), threads=1)
    graph = to_nir(sim)
    nir.write(tmp_path / "network.nir", graph)
    net = from_nir(nir.read(tmp_path / "network.nir"), dt=0.5, rule=ep.EPropPlus(), seed=9)
    assert net.seed == 9
    assert all(p.rule == ep.EPropPlus() for p in net.projections)
    ours, start = to_nir(ep.Simulator(net, threads=1)), {"rec": np.full(5, -50.0), "out": np.ones(2)}
    for value in ("tau", "r", "v_leak", "v_threshold", "v_reset"):
        np.testing.assert_allclose(getattr(ours.nodes["rec"], value), getattr(graph.nodes["rec"], value), rtol=1e-12)
    found, wanted = (solve(g, {"in": events()}, start) for g in (ours, graph))
    assert wanted["rec"].sum() > 20
    np.testing.assert_array_equal(found["rec"], wanted["rec"])
    np.testing.assert_allclose(found["out"], wanted["out"], rtol=1e-12)


@pytest.mark.parametrize("neuron", [ep.LIF(), ep.ALIF(), ep.DeltaALIF(), ep.DeltaLIF(t_ref=2.0), ep.DeltaLIF(v_min=-1.0),
                                    ep.DeltaLIF(v_init=0.5)])  # fmt: skip
def test_what_nir_has_no_words_for(neuron: ep.Neuron):
    sim = ep.Simulator(network(neuron=neuron), threads=1)
    with pytest.raises(ep.NetworkError, match=r"^rec: NIR has no"):
        to_nir(sim)
    if isinstance(neuron, (ep.ALIF, ep.DeltaALIF)):
        with pytest.raises(ep.NetworkError, match=r"^rec: NIR has no D?e?l?t?a?ALIF; it has leaky neurons"):
            to_nir(sim, nearest=True)
    else:
        with pytest.warns(NearestWarning, match="it will not behave as here"):
            assert to_nir(sim, nearest=True).nodes["rec"].v_reset[0] == 0.0


def vectors(**nodes) -> dict:
    shape = np.array([2])
    return {"in": nir.Input(input_type={"input": shape}), "out": nir.Output(output_type={"output": shape}), **nodes}


def lif(n: int = 2, **given) -> nir.LIF:
    values = {"tau": 0.02, "r": 20.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0} | given
    return nir.LIF(**{key: np.full(n, value) for key, value in values.items()})


def test_transforms_between_neurons_are_one_connection():
    """Scales, matrices, delays and biases, graphs within the graph, and what leads nowhere."""
    inner = nir.NIRGraph(
        {
            "input": nir.Input(input_type={"input": np.array([2])}),
            "lif": lif(v_reset=-0.5),
            "w": nir.Linear(weight=np.array([[0.0, 0.3], [-0.2, 0.0]])),
            "output": nir.Output(output_type={"output": np.array([2])}),
        },
        [("input", "lif"), ("lif", "w"), ("w", "lif"), ("lif", "output")],
    )
    graph = nir.NIRGraph(
        vectors(
            wait=nir.Delay(delay=np.array([0.0, 0.003])),
            a=nir.Affine(weight=np.array([[2.0, 0.0], [0.0, 3.0]]), bias=np.array([0.02, 0.0])),
            scale=nir.Scale(scale=np.array([0.5, 1.0])),
            rec=inner,
            b=nir.Linear(weight=np.array([[1.0, 1.0], [1.0, -1.0]])),
            li=nir.LI(tau=np.full(2, 0.01), r=np.full(2, 10.0), v_leak=np.zeros(2)),
        ),
        [
            ("in", "wait"),
            ("wait", "a"),
            ("a", "scale"),
            ("scale", "rec"),
            ("in", "rec"),
            ("rec", "b"),
            ("b", "li"),
            ("li", "out"),
        ],
        metadata={"dt": 0.001},
    )
    net = from_nir(graph, dt=1.0)
    assert [p.name for p in net.populations] == ["in", "rec.lif", "li"]
    assert {p.name for p in net.projections} == {"in->rec.lif", "in->rec.lif 1", "rec.lif->rec.lif", "rec.lif->li"}
    assert net.population("rec.lif").model.i_e.values == pytest.approx((0.01, 0.0))  # r b / tau, after the scale
    sim = ep.Simulator(net, threads=1)
    rise = 20.0 * (1.0 - np.exp(-1.0 / 20.0))
    ways = {tuple(sorted(sim.delays(name))): sim.weights(name).toarray() for name in ("in->rec.lif", "in->rec.lif 1")}
    np.testing.assert_allclose(ways[1.0, 4.0], rise * np.diag([1.0, 3.0]))
    np.testing.assert_allclose(ways[1.0, 1.0], rise * np.eye(2))
    given = events(2)
    ran = sim.run(float(STEPS), {"in": given}, record=[("rec.lif", "z")])
    assert ran["rec.lif", "z"].sum() > 10
    flat = nir.NIRGraph(
        vectors(
            **{k: v for k, v in graph.nodes.items() if k not in ("in", "out", "rec")},
            lif=inner.nodes["lif"],
            w=inner.nodes["w"],
        ),
        [(a.replace("rec", "lif"), b.replace("rec", "lif")) for a, b in graph.edges] + [("lif", "w"), ("w", "lif")],
        metadata={"dt": 0.001},
    )
    found = solve(flat, {"in": given}, {"lif": np.zeros(2), "li": np.zeros(2)})
    np.testing.assert_array_equal(found["lif"], ran["rec.lif", "z"])
    np.testing.assert_allclose(found["li"], ran.y["li"], rtol=1e-12, atol=1e-15)


def test_neurons_that_spike_without_input():
    graph = nir.NIRGraph(vectors(lif=lif(v_leak=1.5)), [("in", "lif"), ("lif", "out")], metadata={"dt": 0.001})
    sim = ep.Simulator(from_nir(graph, dt=1.0), threads=1)
    ran = sim.run(float(STEPS), record=[("lif", "z")])
    found = solve(graph, {}, {"lif": np.zeros(2)})
    assert found["lif"].sum() == 4
    np.testing.assert_array_equal(found["lif"], ran["lif", "z"])


W = np.eye(2)
REFUSED = {
    "a kind that is not known": (
        vectors(cuba=nir.CubaLIF(*(np.ones(2) for _ in range(5)))), [("in", "cuba"), ("cuba", "out")],
        "cuba: is a CubaLIF; known are Input, Output, LIF",
    ),
    "voltages that lead on": (
        vectors(li=nir.LI(*(np.ones(2) for _ in range(3))), lif=lif()), [("in", "li"), ("li", "lif"), ("lif", "out")],
        "li: the voltage of an LI leads to lif",
    ),
    "a signal that goes round": (
        vectors(a=nir.Linear(W), b=nir.Linear(W)), [("in", "a"), ("a", "b"), ("b", "a"), ("b", "out")],
        "a signal goes round without a neuron",
    ),
    "no vector": (
        {"in": nir.Input(input_type={"input": np.array([2, 2])}), "out": nir.Output(output_type={"output": np.array([2, 2])})},
        [("in", "out")], r"in: its signal has the shape \(2, 2\); known are vectors",
    ),
    "sums of delays": (
        vectors(a=nir.Linear(np.ones((2, 2))), d=nir.Delay(np.array([0.0, 0.002])), b=nir.Linear(np.ones((2, 2))), lif=lif()),
        [("in", "a"), ("a", "d"), ("d", "b"), ("b", "lif"), ("lif", "out")],
        "b: adds signals of one source that come at different times",
    ),
    "a threshold below the reset": (
        vectors(lif=lif(v_reset=2.0)), [("in", "lif"), ("lif", "out")], "lif: DeltaLIF.v_reset must be below v_th",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_graphs_that_are_no_network_here(case: str):
    nodes, edges, words = REFUSED[case]
    with pytest.raises(ep.NetworkError, match=words):
        from_nir(nir.NIRGraph(nodes, edges, type_check=False), dt=1.0)


def test_names_that_meet():
    net = ep.Network()
    rec = net.add(ep.DeltaLIF(), 2, "rec")
    net.add(ep.DeltaLIF(), 2, "rec output")
    net.connect(rec, rec)
    with pytest.raises(ep.NetworkError, match=r"^to_nir: two nodes would be called 'rec output'; give the population"):
        to_nir(ep.Simulator(net, threads=1))


def test_what_is_no_graph_and_no_simulator():
    with pytest.raises(ep.InputError, match=r"^from_nir takes a graph of NIR, got str; read a file by nir\.read"):
        from_nir("network.nir", dt=1.0)
    with pytest.raises(ep.InputError, match=r"^to_nir takes a Simulator, got Network"):
        to_nir(network())


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "nir", None)
    with pytest.raises(ep.MissingExtraError, match=r'pip install "eprop\[nir\]"'):
        from_nir(None, dt=1.0)
