"""Promises of every neuron model: what it says of itself, and what its voltage may do."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from conformance.registry import MODELS, receptor_of
from eprop.checks import check_neuron
from eprop.core import lib
from eprop.engine.build.assemble import build
from eprop.engine.build.neurons import neurons_of
from eprop.engine.own_neuron import loop_of
from eprop.models.base import core_model
from eprop.models.membrane import Membrane
from eprop.parameters import varies
from networks import neuron_of, small_network

pytestmark = pytest.mark.tiny
every_model = pytest.mark.parametrize("model", MODELS)
# Of these, more is known than of a user-defined model.
MEMBRANES = [name for name, neuron in MODELS.items() if isinstance(neuron, Membrane) and not varies(neuron)]
# Their equations are in the core; those of others are Python.
OWN = [name for name, neuron in MODELS.items() if core_model(type(neuron)) is None]
every_membrane = pytest.mark.parametrize("model", MEMBRANES)


def member(model: str) -> ep.Neuron:
    """The model, or the first neuron of a population of it, if they differ."""
    net = ep.Network()
    return neurons_of(net, net.add(MODELS[model], 3))[0]


def adapts(neuron: ep.Neuron) -> bool:
    return "threshold" in neuron.state_rows


def has_current(neuron: ep.Neuron) -> bool:
    return "current" in neuron.state_rows


def has_two_receptors(neuron: ep.Neuron) -> bool:
    return neuron.inhibitory_row is not None


def clamps(neuron: ep.Neuron) -> bool:
    return getattr(neuron, "v_reset", None) is not None


def weight_of(neuron: Membrane, dt: float) -> float:
    """A weight that moves the voltage by 1 mV, if the neuron has a current by about so much."""
    return neuron.c_m / 3.0 if has_current(neuron) else 1.0 / neuron.input_scale(dt)


def driven(model: str, steps: int = 200, seed: int = 0, dt: float = 1.0) -> tuple[ep.LIF, ep.engine.Recording]:
    """Five neurons under a random fire of inputs, excitatory and inhibitory."""
    neuron = MODELS[model]
    connections = {"in->rec": ep.Normal(0.2 * weight_of(neuron, dt), 0.3 * weight_of(neuron, dt))}
    net = small_network((10, 5, 0), connections, neuron=neuron, dt=dt, seed=seed)
    inputs = np.random.default_rng(seed).random((steps, 10)) < 0.3
    record = [("rec", variable) for variable in ("v", "refractory", "z", "surrogate")]
    record += [("rec", "threshold"), ("rec", "adaptation")] if adapts(neuron) else []
    return neuron, ep.Simulator(net, threads=1).run(steps * dt, {"in": inputs}, record=record, spikes=["rec"])


@every_model
def test_check_neuron_accepts_the_model(model):
    """What anyone can ask of a model of their own."""
    if model == "delta ALIF, pausing":
        # As NEST does, it forgets the spike before a refractory time, of which its eligibility knows.
        with pytest.raises(ep.errors.NetworkError, match=r"DeltaALIF, own spike: Eligibility\.spike"):
            check_neuron(MODELS[model], steps=60)
        return
    found = check_neuron(MODELS[model], steps=60, receptor=receptor_of(model))
    assert set(found) == {"response to a pulse", "own spike", "e-prop", "e-prop+", "backpropagation"}
    assert max(found.values()) < 1e-9
    assert found["backpropagation"] < 1e-10


def test_check_of_an_adapting_neuron_whose_synapses_cross():
    neuron = neuron_of(kind="ALIF", tau_m=3.0, v_th=0.8, beta=0.2, tau_adapt=8.0)
    net = ep.Network()
    net.connect(net.add(ep.EventSource(), 2), net.add(neuron, 3), rule=ep.EPropPlus())
    assert build(net, 1, np.float64).crosses
    assert max(check_neuron(neuron, steps=60).values()) < 1e-9


@every_membrane
def test_without_input_the_voltage_goes_to_rest_and_stays(model):
    """Without input the voltage goes to where the current holds it, and stays."""
    neuron = MODELS[model]
    net = ep.Network()
    net.add(neuron, 3, "rec")
    run = ep.Simulator(net, threads=1).run(400.0, record=[("rec", "v")], spikes=["rec"])
    held = neuron.e_l + neuron.tau_m / neuron.c_m * neuron.i_e
    assert run.spikes["rec"][0].size == 0
    np.testing.assert_allclose(run["rec", "v"][-1], held, rtol=0, atol=1e-3)
    if neuron.i_e == 0.0:
        assert np.all(run["rec", "v"] == neuron.e_l)


@every_membrane
@pytest.mark.parametrize("dt", [1.0, 0.5])
def test_spikes_follow_threshold_reset_and_refractory_time(model, dt):
    neuron, run = driven(model, dt=dt)
    v, z, psi, left = (run["rec", name] for name in ("v", "z", "surrogate", "refractory"))
    assert 10 < z.sum() < z.size
    times, nodes = run.spikes["rec"]
    found = np.zeros(z.shape)
    found[np.rint(times / dt).astype(int) - 1, nodes] = 1.0
    np.testing.assert_array_equal(found, z)
    # The voltage was at or above the threshold where there is a spike, below it or the neuron refractory elsewhere.
    threshold = run["rec", "threshold"] if adapts(neuron) else np.full(z.shape, neuron.v_th)
    fired = z == 1.0
    if clamps(neuron):
        np.testing.assert_allclose(v[fired], neuron.v_reset, rtol=0, atol=1e-12)
    else:
        late = getattr(neuron, "delayed_reset", False)
        before_reset = v + (0.0 if late else 1.0) * z * (neuron.v_th - neuron.e_l)
        assert np.all(before_reset[fired] >= threshold[fired] - 1e-12)
    # A neuron with a current does not spike in the last step of its refractory time either.
    last = 0.0 if has_current(neuron) else 1.0
    held_back = np.vstack([np.zeros(5), left[:-1] - last]) > 0.0
    assert np.all((v[~fired] < threshold[~fired]) | held_back[~fired])
    assert v.min() >= neuron.v_min
    # Refractory: silent for the steps after a spike, and no surrogate gradient.
    steps = round(neuron.t_ref / dt)
    for k in range(1, steps + has_current(neuron)):
        assert not np.any(z[k:][z[:-k] == 1.0])
        assert not np.any(psi[k:][z[:-k] == 1.0])
    assert np.all(psi >= 0.0)
    assert np.all(psi <= neuron.surrogate.height)
    assert psi.max() > 0.5 * neuron.surrogate.height


@pytest.mark.parametrize("model", [name for name in MEMBRANES if adapts(MODELS[name])])
def test_each_spike_raises_the_threshold_which_comes_back(model):
    """Each spike raises the threshold one step later, and it comes back; in a pause it stands still."""
    neuron, run = driven(model)
    a, z, left = (run["rec", name] for name in ("adaptation", "z", "refractory"))
    np.testing.assert_allclose(run["rec", "threshold"], neuron.v_th + neuron.beta * a, rtol=0, atol=1e-12)
    rho = np.exp(-1.0 / neuron.tau_adapt)
    np.testing.assert_allclose(a[0], rho * neuron.adaptation, rtol=1e-12)
    paused = (left[:-1] > 0.0) & getattr(neuron, "pause_adaptation", False)
    np.testing.assert_allclose(a[1:], np.where(paused, a[:-1], rho * a[:-1] + z[:-1]), rtol=0, atol=1e-12)


@every_membrane
def test_the_eligibility_decays_and_input_reaches_it(model):
    """As many components as it says; where one leads to the spike it decays, and input reaches the voltage or the current."""
    neuron = MODELS[model]
    found = neuron.eligibility(0.5)
    d = found.size
    assert d == 1 + adapts(neuron) + has_current(neuron) + has_two_receptors(neuron)
    assert np.shape(found.decay) == (d, d)
    assert len(found.arrival) == len(found.output) == len(found.spike) == d
    assert np.abs(np.linalg.eigvals(np.array(found.decay, float))).max() < 1.0
    assert found.decay[0][0] == neuron.membrane_decay(0.5)
    assert (found.decay[0][1] if has_current(neuron) else found.arrival[0]) == neuron.input_scale(0.5)


def response_to_input(neuron: Membrane, weight: float, steps: int) -> np.ndarray:
    """What an input does to the voltage from the step of its arrival on, mV: the solution of the differential equations."""
    t, tau_m = np.arange(float(steps)), neuron.tau_m
    if not has_current(neuron):
        return weight * neuron.input_scale(1.0) * np.exp(-t / tau_m)
    if neuron.tau_syn == tau_m:
        return weight / neuron.c_m * t * np.exp(-t / tau_m)
    rate = 1.0 / tau_m - 1.0 / neuron.tau_syn
    return weight / neuron.c_m * (np.exp(-t / neuron.tau_syn) - np.exp(-t / tau_m)) / rate


@every_membrane
def test_between_inputs_the_voltage_decays_to_rest(model):
    """Between inputs a voltage returns to rest by ``alpha`` per step, or as the current lets it."""
    neuron = MODELS[model].replace(i_e=0.0)
    net = small_network((1, 1, 0), neuron=neuron)
    push = 0.9 * min(neuron.v_th - neuron.e_l, neuron.e_l - neuron.v_min)
    weight = push / response_to_input(neuron, 1.0, 100).max()
    net.connect("in", "rec", weight=weight)
    inputs = np.zeros((30, 1))
    inputs[3] = 1.0
    v = ep.Simulator(net, threads=1).run(30.0, {"in": inputs}, record=[("rec", "v")])["rec", "v"][:, 0] - neuron.e_l
    np.testing.assert_allclose(v[:4], 0.0, atol=1e-12)
    np.testing.assert_allclose(v[4:], response_to_input(neuron, weight, 26), atol=1e-12)


@pytest.mark.parametrize("model", OWN)
def test_compiled_update_is_the_function_as_written(model):
    """The function of one step, of a user-defined neuron, gives the same numbers compiled and as Python."""
    neuron = member(model)
    derived = neuron.derived(1.0)
    params = np.array([[derived[name]] for name in neuron.parameter_rows])
    rng = np.random.default_rng(0)
    state, other = (np.zeros((len(neuron.state_rows), 1)) for _ in range(2))
    code, address = loop_of(neuron, shared=False)
    psi, spikes = np.zeros(1), 0
    for _ in range(200):
        x = rng.normal(0.3, 0.5)
        found = lib.advance(code, state, params, 0, 1, np.array([x]), psi, address)
        spike, wanted = neuron.update(other, params, 0, x)
        assert bool(spike) == (found.size > 0)
        assert psi[0] == pytest.approx(wanted, rel=1e-15, abs=1e-300)
        np.testing.assert_allclose(state, other, rtol=1e-15)
        spikes += found.size
    assert spikes > 5
