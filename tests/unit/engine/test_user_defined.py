"""Optimisers and surrogate gradients that users define: the same bits as the built-in ones, and refusals in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import eprop as ep
from compare import assert_same
from eprop.models import Eligibility, Loss, Neuron, Surrogate, inline
from eprop.network import ConnectionRule
from eprop.parameters import param
from eprop.rules import Optimizer, Rule
from networks import check_training, small_network
from own_model import Integrator
from refusals import each_row, refusals

MODELS = (ep.LIF, ep.ALIF, ep.DeltaLIF, ep.DeltaALIF, ep.CurrentALIF)
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


@dataclass(frozen=True)
class Quartic(Loss):
    """The fourth power of the difference."""

    def compare(self, y, target):
        return (y - target) ** 3, 0.25 * ((y - target) ** 4).sum(axis=-1)


@dataclass(frozen=True)
class DerivedSurrogate(ep.PiecewiseLinear):
    """A built-in class with another function."""

    gradient = staticmethod(arctan)


@dataclass(frozen=True)
class DerivedLoss(ep.CrossEntropy):
    """A built-in class with another comparison, that of the squared error."""

    def compare(self, y, target):
        return y - target, 0.5 * ((y - target) ** 2).sum(axis=-1)


@dataclass(frozen=True)
class DerivedOptimizer(ep.Adam):
    """A built-in class with another step, that of gradient descent."""

    def step(self, weights, gradients, moments, n):
        return weights - self.eta * gradients


def network(neuron: ep.LIF, rule: ep.EProp | ep.EPropPlus, feedback: Any = None, loss: Any = None) -> ep.Network:
    models = {"neuron": neuron, "readout": ep.Readout(loss=loss or ep.SquaredError()), "feedback": feedback}
    connections = {"in->rec": ep.Normal(0.1, 0.3), "rec->rec": ep.Normal(0.0, 0.2), "rec->out": ep.Normal(0.0, 0.3)}
    return small_network((20, 12, 2), connections, **models, rule=rule, seed=3)


def trained(net: ep.Network, **options: Any) -> np.ndarray:
    """Weights after three mini-batches, and one step with a third of the learning rate."""
    sim = ep.Simulator(net, **{"threads": 1} | options)
    samples = sim.samples(3, 80, {"in": EVENTS}, {"out": np.full((3, 1, 2), 0.5)})
    for _ in range(3):
        sim.train(samples)
    sim.scale_learning_rates(0.3)
    sim.train(samples)
    return np.concatenate([sim.connections(p.name)[2] for p in net.projections])


OPTIMIZERS = [
    (kind, options) for kind in (ep.Symmetric, ep.Adaptive) for options in ({}, {"decay": 0.01, "w_max": 1.5})
]
#: Networks with a user's part, and with the one of the core that does the same.
TWINS = {
    **{f"Adam {options}, {feedback.__name__}": [
        network(ep.LIF(), ep.EProp(optimizer=kind(eta=1e-2, **options)), feedback()) for kind in (PlainAdam, ep.Adam)]
       for feedback, options in OPTIMIZERS},
    **{f"arctan of {model.__name__}, {type(rule).__name__}": [
        network(model(t_ref=2.0, surrogate=kind(0.3, 0.7)), rule) for kind in (PlainArctan, ep.Arctan)]
       for model in MODELS for rule in (ep.EProp(), ep.EPropPlus())},
    # Methods of derived classes replace those of built-in ones.
    "derived": [
        network(ep.LIF(surrogate=DerivedSurrogate(0.3, 0.7)), ep.EProp(optimizer=DerivedOptimizer(1e-3)), loss=DerivedLoss()),
        network(ep.LIF(surrogate=ep.Arctan(0.3, 0.7)), ep.EProp(optimizer=ep.GradientDescent(1e-3)))],
}  # fmt: skip


@pytest.mark.parametrize("twins", TWINS.values(), ids=TWINS)
def test_a_users_part_gives_what_the_one_of_the_core_gives(twins):
    np.testing.assert_allclose(*map(trained, twins), rtol=0.0, atol=1e-14)


@pytest.mark.parametrize("surrogate", [PlainArctan(0.3, 0.7), DerivedSurrogate(0.3, 0.7)], ids=repr)
def test_user_defined_parts_do_the_same_in_the_reference(surrogate):
    net = network(ep.LIF(surrogate=surrogate), ep.EProp(optimizer=DerivedOptimizer(eta=1e-3)), loss=DerivedLoss())
    samples = ep.Simulator(net, threads=1).samples(3, 80, {"in": EVENTS}, {"out": np.full((3, 1, 2), 0.5)})
    check_training(net, samples, 3, 1e-12)


@dataclass(frozen=True)
class Unmarked(Surrogate):
    """Its function is not marked for the compiler."""

    gradient = staticmethod(lambda u, height, width: height)


@inline
def misspelt(u, height, width):
    return hieght  # noqa: F821


@inline
def pole(u, height, width):
    return height / abs(u)


@inline
def makes_an_array(u, height, width):
    return np.full(3, height)[0]


def with_gradient(function: Any) -> Surrogate:
    return type("Own", (Surrogate,), {"gradient": staticmethod(function)})()


@dataclass(frozen=True)
class Short(Optimizer):
    """Its step returns too few weights."""

    def step(self, weights, gradients, moments, n):
        return weights[1:]


@dataclass(frozen=True)
class Warm(ep.Adam):
    """A parameter that Adam's step in the core does not have."""

    warm_up: float = param(10.0)


def mixed() -> ep.Network:
    """e-prop+, next to a rule that derives from e-prop."""
    net = network(ep.LIF(), ep.EPropPlus())
    net.connect("in", "rec", rule=dataclass(frozen=True)(type("Derived", (ep.EProp,), {}))(), name="second")
    return net


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


# -------------------------------------------------------------------------------------------------------------- losses


@dataclass(frozen=True)
class Wrong(Loss):
    """Its method returns whatever it is made with."""

    result: Any = None

    def compare(self, y, target):
        return self.result


@refusals(
    (lambda: ep.Simulator(mixed()), ep.errors.NetworkError, "a network can have only one of them"),
    (lambda: type("Nothing", (Optimizer,), {}), ep.errors.ParameterError, "needs a method step"),
    (lambda: type("Nothing", (Surrogate,), {}), ep.errors.ParameterError, "needs gradient = staticmethod"),
    (lambda: type("Nothing", (Loss,), {}), ep.errors.ParameterError, "needs a method compare"),
    (lambda: type("Nothing", (Rule,), {}), ep.errors.ParameterError, "rules run in the core"),
    (lambda: ep.EPropPlus(optimizer=PlainAdam()), ep.errors.ParameterError, "EPropPlus changes weights at every spike"),
    (lambda: trained(network(ep.LIF(surrogate=Unmarked()), ep.EProp())), ep.errors.NetworkError,
     "Unmarked.gradient is not compiled"),
    *each_row([
        (misspelt, "Own.gradient fails: NameError: name 'hieght'"),
        (pole, "Own.gradient must return a finite number; 0 mV from the threshold it returned .*inf"),
        (makes_an_array, r"Own.gradient \(.*, line .*\) cannot be compiled.* it makes an array"),
    ], lambda function: trained(network(ep.LIF(surrogate=with_gradient(function)), ep.EProp())), ep.errors.NetworkError),
    (lambda: ep.Simulator(network(ep.LIF(), ep.EProp(optimizer=Warm()))), ep.errors.ParameterError,
     r"Warm.warm_up has no effect: the core knows eta, .*; write a method step"),
    (lambda: trained(network(ep.LIF(), ep.EProp(optimizer=Short()))), ep.errors.ParameterError, "Short.step must return"),
    (lambda: trained(network(ep.LIF(), ep.EPropPlus(), loss=Quartic())), ep.errors.NetworkError, "out: the loss Quartic is"),
    (lambda: ep.Simulator(small_network((0, 2, 1), {"rec->out": {"connectivity": Twice()}}, rule=ep.EPropPlus(),
                                        feedback=ep.Symmetric())), ep.errors.NetworkError,
     "Symmetric feedback to 'rec' follows rec->out, which must have no multapses"),
    (lambda: trained(network(ep.LIF(), ep.EProp(), loss=Wrong())), ep.errors.InputError, "Wrong.compare must return a pair"),
    (lambda: trained(network(ep.LIF(), ep.EProp(), loss=Wrong((1.0, 2.0)))), ep.errors.InputError,
     r"finite errors of shape \(3, 80, 2\), got shape"),
)  # fmt: skip
def test_what_cannot_run_is_refused(refusal):
    refusal.check()


@dataclass(frozen=True)
class OwnTrace(ep.LIF):
    """LIF whose synapses filter spikes with a time constant that `update` does not know."""

    tau_e: float = param(20.0, unit="ms", above=0.0, doc="of the eligibility")

    def eligibility(self, dt: float) -> Eligibility:
        """Filtered spikes."""
        return Eligibility.leaky(float(np.exp(-dt / self.tau_e)))


def test_eligibilities_may_differ_where_nothing_else_does():
    net = network(OwnTrace(tau_e=ep.Uniform(3.0, 100.0)), ep.EProp(optimizer=ep.GradientDescent(1e-3)))
    check_training(net, ep.Simulator(net, threads=1).samples(3, 80, {"in": EVENTS}, {"out": np.ones((3, 1, 2))}), 3)


class Unlearned(Integrator):
    """As someone who lets nothing learn writes it."""

    eligibility = Neuron.eligibility


class TwoReceptors(Unlearned):
    """No eligibility at the inhibitory receptor either."""

    inhibitory_row = "v"


@pytest.mark.parametrize("rule", [ep.Static(), ep.STDP(w_max=2.0)])
def test_neurons_that_do_not_learn_need_no_eligibility(rule):
    pytest.importorskip("numba")
    found = []
    for model in (Integrator, Unlearned):
        net = small_network((20, 5, 0), {"in->rec": 0.2, "rec->rec": 0.1}, neuron=model(), rule=rule)
        sim = ep.Simulator(net, threads=1)
        found.append([*sim.run(80.0, {"in": EVENTS[0]}, spikes=["rec"]).spikes["rec"], *sim.connections("in->rec")])
    assert found[0][0].size > 20
    assert_same(found[1], found[0])
    net = small_network((20, 5, 0), {"in->rec": 0.2}, neuron=TwoReceptors(), rule=rule, receptor="inhibitory")
    ep.Simulator(net, threads=1).run(80.0, {"in": EVENTS[0]})


@pytest.mark.parametrize("rule", [ep.EProp(), ep.EPropPlus()])
def test_neurons_beside_those_that_learn_need_no_eligibility(rule):
    pytest.importorskip("numba")
    found = []
    for model in (Integrator, Unlearned):
        net = network(ep.LIF(), rule)
        net.connect("rec", net.add(model(), 5, "other"), weight=0.3)
        net.connect("other", "rec", weight=0.1)
        found.append(trained(net))
    assert_same(found[1], found[0])


@pytest.mark.parametrize("rule", [ep.EProp(), ep.EPropPlus()])
def test_neurons_without_an_eligibility_do_not_learn_by_e_prop(rule):
    words = (
        rf"in->rec: {type(rule).__name__} needs the eligibility of the neurons 'rec', and Unlearned does not define one; define "
        r"Unlearned.eligibility\(dt\), how spikes act on its hidden state \(docs/howto/extending.md\), or let"
    )
    with pytest.raises(ep.errors.NetworkError, match=words):
        small_network((20, 5, 0), {"in->rec": 0.2}, neuron=Unlearned(), rule=rule)
    with pytest.raises(ep.errors.NetworkError, match=r"Unlearned does not define eligibility\(dt\)"):
        ep.checks.check_neuron(Unlearned())


@dataclass(frozen=True)
class Twice(ConnectionRule):
    """Each source reaches each target twice."""

    def expected(self, n_pre: int, n_post: int) -> float:
        """Number of connections."""
        return 2.0 * n_pre * n_post

    def make(self, lo: int, hi: int, n_pre: int, n_post: int, same: bool, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """All sources, twice."""
        sources = np.tile(np.repeat(np.arange(n_pre, dtype=np.int32), 2), hi - lo)
        return np.arange(hi - lo + 1) * 2 * n_pre, sources
