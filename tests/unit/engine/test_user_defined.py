"""Optimisers and surrogate gradients that users define: the same bits as the built-in ones, and refusals in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import eprop as ep
from compare import assert_close
from eprop.checks import stimuli_of, time_driven
from eprop.models import ForcedLIF, Loss, Surrogate, inline
from eprop.parameters import param
from eprop.rules import Optimizer, Rule

MODELS = (ep.LIF, ep.ALIF, ep.DeltaLIF, ep.DeltaALIF)
EVENTS = np.random.default_rng(1).random((3, 80, 20)) < 0.1


@dataclass(frozen=True)
class PlainAdam(Optimizer):
    """Adam, as `ep.Adam` is in the core."""

    beta_1: float = param(0.9)
    beta_2: float = param(0.999)
    epsilon: float = param(1e-8)
    moments = (True, True)

    def step(self, weights, gradients, moments, n):
        m, v = moments
        m[:] = self.beta_1 * m + (1.0 - self.beta_1) * gradients
        v[:] = self.beta_2 * v + (1.0 - self.beta_2) * gradients * gradients
        factor = self.eta * math.sqrt(1.0 - self.beta_2**n) / (1.0 - self.beta_1**n)
        return weights - factor * m / (np.sqrt(v) + self.epsilon)


@inline
def arctan(u, height, width):
    d = u / width
    return height / (1.0 + d * d)


@dataclass(frozen=True)
class PlainArctan(Surrogate):
    """`ep.Arctan`, for the compiler."""

    gradient = staticmethod(arctan)


@inline
def bell(u, height, width):
    return height * math.exp(-0.5 * (u / width) ** 2)


@dataclass(frozen=True)
class Bell(Surrogate):
    """A function that the core does not have."""

    gradient = staticmethod(bell)


def network(neuron: ep.LIF, rule: ep.EProp | ep.EPropPlus, feedback: Any = None) -> ep.Network:
    net = ep.Network(seed=3)
    x, rec, out = net.add(ep.EventSource(), 20, "in"), net.add(neuron, 12, "rec"), net.add(ep.Readout(), 2, "out")
    net.connect(x, rec, weight=ep.Normal(0.1, 0.3), rule=rule)
    net.connect(rec, rec, weight=ep.Normal(0.0, 0.2), rule=rule)
    net.connect(rec, out, weight=ep.Normal(0.0, 0.3), rule=rule)
    net.feedback(out, rec, feedback)
    return net


def trained(net: ep.Network, kind: type = ep.Simulator, **options: Any) -> np.ndarray:
    """Weights after three mini-batches, and one step with a third of the learning rate."""
    sim = kind(net, **options)
    samples = sim.samples(3, 80, {"in": EVENTS}, {"out": np.ones((3, 1, 2))})
    for _ in range(3):
        sim.train(samples)
    if kind is ep.Simulator:
        sim.scale_learning_rates(0.3)
        sim.train(samples)
    return np.concatenate([sim.connections(p.name)[2] for p in net.projections])


@pytest.mark.parametrize("feedback", [ep.Symmetric(), ep.Adaptive()], ids=["symmetric", "adaptive"])
@pytest.mark.parametrize("options", [{}, {"decay": 0.01, "w_max": 1.5}], ids=["plain", "decay and bounds"])
def test_optimizer_in_numpy_equals_the_one_of_the_core(options, feedback):
    ours, core = (
        trained(network(ep.LIF(), ep.EProp(optimizer=kind(eta=1e-2, **options)), feedback), threads=1)
        for kind in (PlainAdam, ep.Adam)
    )
    np.testing.assert_allclose(ours, core, rtol=0.0, atol=1e-14)


def test_number_of_threads_and_partitions_does_not_change_weights_of_a_users_optimizer():
    net = network(ep.LIF(), ep.EProp(optimizer=PlainAdam(eta=1e-2)))
    np.testing.assert_array_equal(trained(net, threads=1), trained(net, threads=2, partitions=3))


def test_state_holds_the_moments_of_a_users_optimizer():
    net = network(ep.LIF(), ep.EProp(optimizer=PlainAdam(eta=1e-2)))
    first, second = ep.Simulator(net, threads=1), ep.Simulator(net, threads=1)
    samples = first.samples(3, 80, {"in": EVENTS}, {"out": np.ones((3, 1, 2))})
    first.train(samples)
    second.set_state(first.state())
    for sim in (first, second):
        sim.train(samples)
    np.testing.assert_array_equal(first.connections("in->rec")[2], second.connections("in->rec")[2])


@pytest.mark.parametrize("rule", [ep.EProp(), ep.EPropPlus()], ids=["eprop", "eprop+"])
@pytest.mark.parametrize("model", MODELS)
def test_compiled_surrogate_equals_the_one_of_the_core(model, rule):
    pytest.importorskip("numba")
    ours, core = (
        trained(network(model(t_ref=2.0, surrogate=kind(0.3, 0.7)), rule), threads=1)
        for kind in (PlainArctan, ep.Arctan)
    )
    np.testing.assert_allclose(ours, core, rtol=0.0, atol=1e-14)


@pytest.mark.parametrize("model", MODELS)
def test_surrogate_in_the_engine_equals_numpy_in_the_reference(model):
    pytest.importorskip("numba")
    net = network(model(t_ref=2.0, surrogate=Bell(0.3, 0.7)), ep.EProp(optimizer=ep.GradientDescent(1e-3)))
    sim, reference = ep.Simulator(net, threads=1), time_driven(net)
    samples = sim.samples(3, 80, {"in": EVENTS}, {"out": np.ones((3, 1, 2))})
    sim.train(samples)
    reference.train(stimuli_of(net, samples))
    for p in net.projections:
        assert_close(sim.connections(p.name)[2], reference.weights_of(p.name), 0.0, p.name, to_rounding=1e-14)


@dataclass(frozen=True)
class Unmarked(Surrogate):
    """Its function is not marked for the compiler."""

    gradient = staticmethod(lambda u, height, width: height)


@dataclass(frozen=True)
class Short(Optimizer):
    """Its step returns too few weights."""

    def step(self, weights, gradients, moments, n):
        return weights[1:]


REFUSED = [
    (lambda: type("Nothing", (Optimizer,), {}), ep.ParameterError, "needs a method step"),
    (lambda: type("Nothing", (Surrogate,), {}), ep.ParameterError, "needs gradient = staticmethod"),
    (lambda: type("Nothing", (Loss,), {}), ep.ParameterError, "needs a method compare"),
    (lambda: type("Nothing", (Rule,), {}), ep.ParameterError, "rules run in the core"),
    (lambda: ep.EPropPlus(optimizer=PlainAdam()), ep.ParameterError, "EPropPlus changes weights at every spike"),
    (lambda: ForcedLIF(surrogate=Bell()), ep.ParameterError, "ForcedLIF runs in the core only"),
    (
        lambda: trained(network(ep.LIF(surrogate=Unmarked()), ep.EProp())),
        ep.NetworkError,
        "Unmarked.gradient is not compiled",
    ),
    (lambda: trained(network(ep.LIF(), ep.EProp(optimizer=Short()))), ep.ParameterError, "Short.step must return"),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED)
def test_what_cannot_run_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_derived_classes_run_as_their_bases():
    def derived(base):
        return dataclass(frozen=True)(type("Derived", (base,), {}))

    outputs = []
    for of in (lambda base: base, derived):
        net, rule = ep.Network(seed=1), of(ep.EProp)(optimizer=of(ep.Adam)(eta=0.1))
        x, noise = net.add(of(ep.EventSource)(), 3, "in"), net.add(of(ep.PoissonSource)(rate=200.0), 3, "noise")
        rec = net.add(of(ep.LIF)(surrogate=of(ep.Arctan)()), 4, "rec")
        out = net.add(of(ep.Readout)(loss=of(ep.SquaredError)()), 2, "out")
        for pre, post in ((x, rec), (noise, rec), (rec, out)):
            net.connect(pre, post, weight=0.4, rule=rule)
        net.feedback(out, rec, of(ep.RandomFeedback)())
        sim = ep.Simulator(net, threads=1)
        for _ in range(2):
            y = sim.run(20.0, {"in": np.ones((20, 3))}, {"out": [1.0, 0.0]}).y["out"]
        outputs.append(y)
    np.testing.assert_array_equal(*outputs)
