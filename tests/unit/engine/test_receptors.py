"""Neurons with an excitatory and an inhibitory time constant: static inhibition beside learning excitation, and the reverse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

import eprop as ep
from compare import assert_same
from conformance.registry import PAIR_RULES
from eprop.checks import check_neuron, time_driven
from eprop.models import Eligibility, Neuron, decay, inline
from eprop.reference import Stimulus, backpropagate
from refusals import refusals

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]

TWO = ep.CurrentLIF(tau_m=12.0, tau_syn=3.0, tau_syn_in=8.0, c_m=2.0, v_th=0.8, t_ref=2.0)
NEURONS: dict[str, Any] = {
    "alike": TWO,
    "subtracting, adapting": ep.CurrentALIF(
        tau_m=12.0, tau_syn=8.0, tau_syn_in=3.0, c_m=2.0, v_th=0.8, v_reset=None, beta=0.2, tau_adapt=60.0
    ),
    "each its own": TWO.replace(tau_m=ep.Uniform(8.0, 20.0), tau_syn=ep.Uniform(2.0, 6.0), tau_syn_in=ep.Uniform(4.0, 9.0)),
}  # fmt: skip
INPUTS, STEPS = (8, 5), 80
RECEPTORS = ("excitatory", "inhibitory")


def network(neuron: Any) -> ep.Network:
    """Inputs, neurons with two receptors, of which one learns, and neurons with one."""
    net, learns, drawn = ep.Network(seed=4), {"rule": ep.EProp()}, {"delay": ep.Uniform(0.6, 4.4)}
    x, y = (net.add(ep.EventSource(), size, name) for name, size in zip(("x", "y"), INPUTS, strict=True))
    rec, other = net.add(neuron, 9, "rec"), net.add(ep.LIF(tau_m=12.0, v_th=0.8), 6, "other")
    out = net.add(ep.Readout(tau_m=15.0), 2, "out")
    net.connect(x, rec, ep.Bernoulli(0.8), weight=ep.Uniform(0.3, 0.9), **learns, **drawn)
    net.connect(y, rec, ep.Bernoulli(0.8), weight=ep.Uniform(-0.6, -0.1), **drawn)
    net.connect(x, other, weight=ep.Uniform(0.0, 0.5), **learns, **drawn)
    net.connect(rec, rec, ep.FixedIndegree(3), weight=ep.Uniform(0.1, 0.4), **learns, **drawn)
    net.connect(other, rec, ep.FixedIndegree(3), weight=ep.LogNormal(scale=-0.1), **drawn)
    net.connect(rec, other, ep.FixedIndegree(4), weight=ep.Uniform(0.0, 0.3), **learns, **drawn)
    for pre in (rec, other):
        net.connect(pre, out, weight=ep.Uniform(-0.8, 0.8), **learns)
        net.feedback(out, pre, ep.Symmetric())
    return net


def inputs_of() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {name: rng.random((STEPS, size)) < 0.15 for name, size in zip(("x", "y"), INPUTS, strict=True)}


@pytest.mark.parametrize("neuron", NEURONS)
def test_backpropagation_passes_through_both_receptors(neuron):
    net = network(NEURONS[neuron])
    given = Stimulus(STEPS, inputs_of(), {"out": np.random.default_rng(2).normal(size=(STEPS, 2))})
    stepped = time_driven(net)
    found = backpropagate(stepped, given)
    inhibits = stepped.synapses.parts["y->rec"]
    assert np.abs(found.gradient[inhibits]).max() > 1e-3
    np.testing.assert_allclose(found.factorised, found.gradient, rtol=1e-9, atol=1e-11)


def test_the_voltage_is_a_sum_of_two_differences_of_exponentials():
    """Below the threshold the response to each spike is known in closed form."""
    net = ep.Network()
    x, rec = net.add(ep.EventSource(), 2, "x"), net.add(TWO.replace(v_th=1e3), 1, "rec")
    net.connect(x, rec, ep.Explicit(sources=[0], targets=[0]), weight=0.5, name="up")
    net.connect(x, rec, ep.Explicit(sources=[1], targets=[0]), weight=-0.7, name="down")
    spikes = np.random.default_rng(0).random((40, 2)) < 0.2
    v = ep.Simulator(net, threads=1).run(40.0, {"x": spikes}, record=[("rec", "v")])["rec", "v"][:, 0]

    def kernel(tau: float) -> np.ndarray:
        """Voltage ``k`` steps after a spike of weight 1: the difference of two exponentials."""
        k = np.arange(40.0)
        return 12.0 * tau / (12.0 - tau) / 2.0 * (np.exp(-k / 12.0) - np.exp(-k / tau))

    wanted = sum(
        weight * np.convolve(np.append(0.0, spikes[:-1, source]), kernel(tau))[:40]
        for source, weight, tau in ((0, 0.5, 3.0), (1, -0.7, 8.0))
    )
    np.testing.assert_allclose(v, wanted, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("delay", [1.0, ep.Uniform(0.6, 4.4)], ids=["one", "drawn"])
@pytest.mark.parametrize("rule", [None, PAIR_RULES["STDP, additive"]], ids=["static", "STDP"])
def test_a_source_at_both_receptors_is_two_sources(rule, delay):
    """Projections of one source with one delay and one rule go to their own receptors, of one population or several."""
    spikes, results = np.random.default_rng(0).random((80, 6)) < 0.15, []
    for second in "xy":
        net = ep.Network(seed=3)
        sources = [net.add(ep.EventSource(), 6, name) for name in "xy"]
        a, b, c = net.add(TWO, 5, "a"), net.add(ep.LIF(tau_m=12.0, v_th=0.8), 4, "b"), net.add(TWO, 3, "c")
        for k, (post, receptor) in enumerate([(a, "inhibitory"), (a, "excitatory"), (b, None), (c, "excitatory")]):
            pre = net.population(second) if k % 2 else sources[0]
            weight = np.random.default_rng(k).uniform(0.1, 0.6, (post.size, 6))
            net.connect(pre, post, weight=weight, delay=delay, rule=rule, receptor=receptor, name=f"p{k}")
        sim = ep.Simulator(net, threads=1, partitions=2)
        samples = sim.samples(1, 80, dict.fromkeys("xy", spikes[None]))
        run = sim.run(80.0, dict.fromkeys("xy", spikes), record=[(p.name, "v") for p in (a, b, c)])
        results.append((run.traces, sim.evaluate(samples).spikes))
    assert_same(results[0], results[1])


@pytest.mark.parametrize("rule", PAIR_RULES)
@pytest.mark.parametrize("learns", RECEPTORS)
def test_stdp_delivers_to_its_receptor(rule, learns):
    """Learning weights that do not change are static ones, at either receptor."""
    still = PAIR_RULES[rule].replace(rate=0.0)
    runs = []
    for own in (None, still):
        net = ep.Network(seed=2)
        x, rec = net.add(ep.EventSource(), 8, "x"), net.add(TWO, 5, "rec")
        drawn = {"weight": ep.Uniform(0.2, 0.8), "delay": ep.Uniform(0.6, 4.4)}
        net.connect(x, rec, **drawn, receptor=learns, rule=own)
        runs.append(
            ep.Simulator(net, threads=1).run(
                80.0, {"x": inputs_of()["x"]}, record=[("rec", "v"), ("rec", "current_in")]
            )
        )
    assert_same(runs[0].traces, runs[1].traces)
    assert runs[0]["rec", "current_in"].any() == (learns == "inhibitory")


def test_the_sign_of_a_background_chooses_its_receptor():
    runs = []
    for tau_in, weight in ((7.0, -0.4), (None, -0.4)):
        net = ep.Network(seed=1)
        cell = net.add(
            ep.CurrentLIF(tau_m=12.0, tau_syn=3.0 if tau_in else 7.0, tau_syn_in=tau_in, c_m=3.0, v_th=0.8), 40, "cell"
        )
        net.stimulate(cell, ep.PoissonDrive(rate=300.0, weight=weight))
        runs.append(
            ep.Simulator(net, threads=1).run(60.0, record=[("cell", "v"), ("cell", "current"), ("cell", "current_in")])
        )
    np.testing.assert_allclose(runs[0]["cell", "v"], runs[1]["cell", "v"], rtol=1e-12)
    np.testing.assert_array_equal(runs[0]["cell", "current_in"], runs[1]["cell", "current"])
    assert not runs[0]["cell", "current"].any()
    assert not runs[1]["cell", "current_in"].any()


@inline
def step_two_currents(state, params, j, x):
    """Two currents drive a voltage; the loop adds the input of the second one after the step."""
    v = params[0, j] * state[0, j] + state[1, j] + state[2, j]
    spike = v >= 0.8
    psi = 0.4 * max(0.0, 1.0 - abs(v - 0.8) / 0.7)
    state[0, j] = v - 0.8 if spike else v
    state[1, j] = params[1, j] * state[1, j] + x
    state[2, j] = params[2, j] * state[2, j]
    return spike, psi


@dataclass(frozen=True)
class TwoCurrents(Neuron):
    """A user's own model with an inhibitory receptor."""

    taus: tuple[float, float, float] = (12.0, 3.0, 8.0)
    row: str = "inhibition"
    declares: bool = True

    state_rows: ClassVar[tuple[str, ...]] = ("v", "excitation", "inhibition")
    parameter_rows: ClassVar[tuple[str, ...]] = ("alpha", "alpha_ex", "alpha_in")
    update: ClassVar[Any] = staticmethod(step_two_currents)

    @property
    def inhibitory_row(self) -> str:
        return self.row

    def derived(self, dt: float) -> dict[str, Any]:
        return {name: decay(tau, dt) for name, tau in zip(self.parameter_rows, self.taus, strict=True)}

    def eligibility(self, dt: float) -> Eligibility:
        a, b, c = self.derived(dt).values()
        arrival_in = (0.0, 0.0, 1.0) if self.declares else None
        return Eligibility(
            ((a, 1.0, 1.0), (0.0, b, 0.0), (0.0, 0.0, c)), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.0,) * 3, arrival_in
        )


@pytest.mark.parametrize("receptor", RECEPTORS)
def test_a_model_of_ones_own_may_have_two_receptors(receptor):
    assert max(check_neuron(TwoCurrents(), steps=60, receptor=receptor).values()) < 1e-9


def own(**changes: Any) -> ep.Simulator:
    net = ep.Network()
    net.add(TwoCurrents(**changes), 2)
    return ep.Simulator(net, threads=1)


@refusals(
    (
        lambda: own(row="i"), ep.errors.NetworkError, r"TwoCurrents\.inhibitory_row is 'i', which state_rows = .* does not name",
    ),
    (lambda: own(declares=False), ep.errors.NetworkError, r"eligibility\(dt\) needs arrival_in as well"),
    (
        lambda: ep.Simulator(_both(ep.EPropPlus()), threads=1), ep.errors.NetworkError,
        r"a->rec \(excitatory\) and b->rec \(inhibitory\) learn at both receptors of 'rec'; let the projections of one",
    ),
    (
        lambda: ep.Simulator(_driven([1.0, -1.0]), threads=1), ep.errors.NetworkError,
        r"drive0: weights of both signs, -1\.\.1 pA, but one drive acts on one receptor of 'rec'; make a drive for each",
    ),
    (
        lambda: check_neuron(ep.LIF(), receptor="inhibitory"), ep.errors.ParameterError, "LIF has no receptor 'inhibitory'",
    ),
)  # fmt: skip
def test_what_does_not_fit_is_refused(refusal):
    refusal.check()


def _both(rule: ep.Rule) -> ep.Network:
    net = ep.Network()
    a, b = (net.add(ep.EventSource(), 2, name) for name in "ab")
    rec = net.add(TWO, 2, "rec")
    net.connect(a, rec, rule=rule)
    net.connect(b, rec, weight=-1.0, rule=rule)
    return net


def _driven(weight: Any) -> ep.Network:
    net = ep.Network()
    net.stimulate(net.add(TWO, 2, "rec"), ep.PoissonDrive(weight=weight))
    return net
