"""Runs that go wrong stop, or warn, with advice."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import eprop as ep
from eprop.errors import Status, check_status
from networks import case, samples_of, small_network, stimuli

pytestmark = pytest.mark.tiny

ADVICE = r"Lower the learning rates \(eta\), bound the weights \(w_min, w_max of an optimiser\), or scale down"


def repeat(work) -> None:
    for _ in range(20):
        work()


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("eta", [1e12, 1e100, 1e300])
@pytest.mark.parametrize("rule", [ep.EPropPlus, ep.EProp])
def test_learning_too_fast(rule, eta):
    c = case(3, rule(optimizer=ep.GradientDescent(eta)), steps=60, rate=0.3)
    sim, run = (ep.Simulator(c.network, threads=1) for _ in range(2))
    samples = samples_of(c, sim, stimuli(c, 2))
    for work in (lambda: sim.train(samples), lambda: run.run(60.0, {"in": c.inputs}, {"out": c.targets})):
        with pytest.raises(ep.errors.DivergenceError, match=ADVICE):
            repeat(work)
        # An ordinary except clause does it, too, and what is broken stays broken.
        with pytest.raises(RuntimeError, match=r"became infinite or NaN|exploded"):
            repeat(work)


@pytest.mark.parametrize("where", ["run", "train", "evaluate", "evaluate from rest"])
def test_voltages_explode(where):
    """Finite, but of no neuron: noticed in a network that learns nothing, too."""
    connections = {"in->rec": {"weight": 1e200, "rule": ep.EPropPlus()}, "rec->out": 1e200}
    net = small_network((1, 2, 1), connections)
    sim = ep.Simulator(net, threads=1)
    inputs = np.ones((20, 1))
    samples = sim.samples(1, 20, {"in": inputs[None]}, {"out": np.zeros((1, 1, 1))})
    work = {
        "run": lambda: sim.run(20.0, {"in": inputs}, window=np.zeros(20)),
        "train": lambda: sim.train(samples),
        "evaluate": lambda: sim.evaluate(samples),
        "evaluate from rest": lambda: sim.evaluate(samples, reset=True),
    }[where]
    # Where losses are added up, their squares overflow first.
    words = r"exploded, beyond 1e9 mV" if where == "run" else r"exploded, beyond 1e9 mV|became infinite or NaN"
    with np.errstate(over="ignore"), pytest.raises(ep.errors.DivergenceError, match=words):
        work()


def test_weights_that_are_no_numbers():
    """A weight that nobody uses shows at the end of the run."""
    c = case(3, ep.EPropPlus(), steps=20)
    sim = ep.Simulator(c.network, threads=1)
    sim._arrays.synapses.weight[0] = np.nan
    with pytest.raises(ep.errors.DivergenceError, match="a weight became infinite or NaN"):
        sim.run(20.0)


@pytest.mark.parametrize("spike", [False, True])
@pytest.mark.parametrize("c_reg", [0.0, 0.1])
@pytest.mark.parametrize("rule", [ep.EPropPlus, ep.EProp])
def test_silence(rule, c_reg, spike):
    """A training without a spike warns, unless regularisation may end the silence; an evaluation does not, nor a run.

    Without a spike of the inputs, nothing ends it.
    """
    c = case(3, rule(c_reg=c_reg), steps=200)
    c.inputs[:] = 0.0
    c.inputs[0, 0] = float(spike)
    sim = ep.Simulator(c.network, threads=1)
    samples = samples_of(c, sim, stimuli(c, 2))
    words = (
        "every recurrent neuron stayed silent.*Raise the input weights, lower v_th" if spike else "Look at the inputs"
    )
    warns = (
        pytest.warns(ep.errors.SilenceWarning, match=words)
        if c_reg == 0.0 or not spike
        else warnings.catch_warnings(action="error")
    )
    with warns:
        sim.train(samples)
    with warnings.catch_warnings(action="error"):
        sim.evaluate(samples)
        sim.run(20.0, learn=rule is ep.EPropPlus)


def test_diverged_simulators_can_be_mended():
    """Weights from before, and a reset: as if nothing had happened."""
    c = case(3, ep.EPropPlus(optimizer=ep.GradientDescent(1e3)), steps=100, rate=0.3)
    sim = ep.Simulator(c.network, threads=1)
    state = sim.state()
    with np.errstate(all="ignore"), pytest.raises(ep.errors.DivergenceError):
        repeat(lambda: sim.run(100.0, {"in": c.inputs}, {"out": c.targets}))
    sim.set_state(state)
    sim.scale_learning_rates(1e-6)
    again = sim.run(100.0, {"in": c.inputs}, {"out": c.targets})
    fresh = ep.Simulator(c.network, threads=1)
    fresh.scale_learning_rates(1e-6)
    np.testing.assert_array_equal(again.loss, fresh.run(100.0, {"in": c.inputs}, {"out": c.targets}).loss)


def test_codes_have_words():
    for status in Status:
        if status is Status.OK:
            check_status(status, "here")
        elif status in (Status.SILENT, Status.NO_INPUT):
            with pytest.warns(ep.errors.SilenceWarning, match="^here: "):
                check_status(status, "here")
        else:
            with pytest.raises(ep.errors.DivergenceError, match=r"^here: "):
                check_status(status, "here")


@pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning", "ignore::RuntimeWarning")
@pytest.mark.parametrize("bad", [0, 1])
def test_a_sample_without_finite_voltages_is_named_and_forgotten(bad):
    """Whatever shared its lanes, and whatever sample comes next."""
    connections = {"in->rec": ep.Normal(0.5, 0.2), "rec->out": 0.1}
    net = small_network((3, 4, 1), connections, rule=ep.EProp(), feedback=ep.Symmetric(), seed=1)
    sim, fresh = (ep.Simulator(net, threads=1) for _ in range(2))
    events = np.random.default_rng(0).random((2, 20, 3)) < 0.3
    events[1 - bad] = False
    samples, good = sim.samples(2, 20, {"in": events}, {"out": np.ones((2, 1, 1))}), sim.weights("in->rec")
    sim.set_weights("in->rec", -1e308)
    with pytest.raises(ep.errors.DivergenceError, match=f"sample {bad}"):
        sim.evaluate(samples)
    sim.set_weights("in->rec", good)
    assert sim.evaluate(samples[bad]) == fresh.evaluate(samples[bad])
