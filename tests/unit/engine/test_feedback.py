"""Feedback: sparse, fixed, and adaptive, which learns what the readout weights learn."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from compare import assert_same
from eprop.checks import time_driven
from eprop.reference import Stimulus
from networks import small_network

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]

RULES = {
    "e-prop": ep.EProp(optimizer=ep.GradientDescent(2e-2, decay=0.1)),
    "e-prop+": ep.EPropPlus(optimizer=ep.GradientDescent(3e-4, decay=5e-4), kappa_reg=0.5, c_reg=0.0, cutoff=20.0),
}
each_rule = pytest.mark.parametrize("rule", RULES)


def network(rule, feedback=None, density: float = 1.0) -> ep.Network:
    readouts = {"connectivity": ep.Bernoulli(density), "weight": ep.Normal(0.0, 0.5)}
    connections = {"in->rec": ep.Uniform(0.1, 0.5), "rec->out": readouts}
    feedback = feedback or ep.Adaptive(ep.Normal(0.0, 1.0), ep.Bernoulli(0.6))
    return small_network((6, 9, 3), connections, neuron=ep.LIF(v_th=0.6), rule=rule, feedback=feedback, seed=4)


def stimulus(seed: int = 0):
    rng = np.random.default_rng(seed)
    return {"in": rng.random((200, 6)) < 0.2}, {"out": rng.normal(size=(200, 3))}


def weights(sim) -> tuple[np.ndarray, np.ndarray]:
    return sim.feedback_weights("out", "rec"), sim.weights("rec->out").toarray().T


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_the_difference_from_the_readout_weights_decays_by_e_prop(decay):
    """Without decay it learns the same updates; where no readout weight is, there is nothing to learn from."""
    sim = ep.Simulator(network(ep.EProp(optimizer=ep.Adam(1e-2, decay=decay)), density=0.7), threads=1)
    b_0, w_0 = weights(sim)
    sim.run(200.0, *stimulus())
    b, w = weights(sim)
    both = (b_0 != 0.0) & (w_0 != 0.0)
    assert np.abs((w - w_0)[both]).max() > 1e-3
    np.testing.assert_allclose((b - w)[both], ((1.0 - decay) * (b_0 - w_0))[both], rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(b[~both], b_0[~both])


def test_the_difference_from_the_readout_weights_decays_in_time_by_e_prop_plus():
    """Until a neuron's last spike has arrived."""
    rule = RULES["e-prop+"]
    sim = ep.Simulator(network(rule), threads=1)
    b_0, w_0 = weights(sim)
    run = sim.run(200.0, *stimulus(), spikes=["rec"])
    (b, w), (times, neurons) = weights(sim), run.spikes["rec"]
    assert np.abs(w - w_0).max() > 1e-3
    assert 0.3 < np.mean(b_0 != 0.0) < 0.9
    arrived = [times[(neurons == j) & (times < 200.0)] for j in range(9)]
    steps = np.array([[t[-1] - 1.0 if t.size > 1 else 0.0] for t in arrived])
    assert (steps > 100.0).sum() > 4
    wanted = np.where(b_0 != 0.0, w + (1.0 - rule.optimizer.decay) ** steps * (b_0 - w_0), 0.0)
    np.testing.assert_allclose(b, wanted, rtol=1e-12, atol=1e-14)


@each_rule
def test_it_survives_a_reset(rule):
    sim = ep.Simulator(network(RULES[rule]), threads=1)
    first = weights(sim)[0]
    sim.run(200.0, *stimulus())
    before = weights(sim)[0]
    sim.reset()
    np.testing.assert_array_equal(weights(sim)[0], before)
    assert np.abs(before - first).max() > 1e-6


@each_rule
def test_it_stays_where_weights_are_set(rule):
    net = network(RULES[rule])
    sim, stepped = ep.Simulator(net, threads=1), time_driven(net)
    before = weights(sim)[0]
    for network_ in (sim, stepped):
        network_.set_weights("rec->out", 0.3)
    np.testing.assert_allclose(weights(sim)[0], before, rtol=0, atol=1e-15)
    found = stepped.feedback.now(stepped.weight)
    np.testing.assert_allclose(found, sim.feedback_weights("out", "rec").T, rtol=0, atol=1e-15)


@pytest.mark.parametrize("kind", [ep.Symmetric(), ep.Adaptive()], ids=["symmetric", "adaptive"])
def test_it_stays_where_other_weights_are_set(kind):
    """What a silent neuron has learned is applied when it is due, but feedback follows at its next spike."""
    net = network(ep.EPropPlus(optimizer=ep.GradientDescent(1e-3), cutoff=20.0), kind)
    inputs, targets = {"in": stimulus()[0]["in"].copy()}, {"out": [1.0, -1.0, 1.0]}
    inputs["in"][60:120] = False
    wanted = time_driven(net).run(Stimulus(200, inputs, targets)).y
    sim = ep.Simulator(net, threads=1)
    first = sim.run(110.0, {"in": inputs["in"][:110]}, targets).y["out"]
    before = sim.feedback_weights("out", "rec")
    assert (before != sim.weights("rec->out").toarray().T).any()
    present = sim.connections("in->rec")[2]
    for given in (0.5 * present, present):
        sim.set_weights("in->rec", given)
    np.testing.assert_array_equal(sim.feedback_weights("out", "rec"), before)
    second = sim.run(90.0, {"in": inputs["in"][110:]}, targets).y["out"]
    np.testing.assert_allclose(np.concatenate([first, second]), wanted, rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("kind", [ep.Symmetric(), ep.Adaptive()], ids=["symmetric", "adaptive"])
def test_weights_that_are_set_as_they_are_change_nothing(kind):
    inputs, targets = {"in": stimulus()[0]["in"].copy()}, {"out": [1.0, -1.0, 1.0]}
    inputs["in"][60:120] = False  # the feedback of silent neurons waits for their next spikes
    net = network(ep.EPropPlus(optimizer=ep.GradientDescent(1e-3), cutoff=20.0), kind)
    whole, pieces = (ep.Simulator(net, threads=1) for _ in range(2))
    for begin, stop in ((0, 110), (110, 200)):
        piece = {"in": inputs["in"][begin:stop]}
        wanted, found = (sim.run(stop - begin, piece, targets) for sim in (whole, pieces))
        np.testing.assert_array_equal(found.y["out"], wanted.y["out"])
        for name in ("in->rec", "rec->out"):
            pieces.set_weights(name, pieces.connections(name)[2])
    assert_same(pieces.state(), whole.state())


def test_random_feedback_is_as_given():
    """A matrix reaches connected pairs only; distributions are drawn for these."""
    given = np.arange(27.0).reshape(9, 3) + 1.0
    for weight, connectivity in (
        (given, None),
        (given, ep.FixedIndegree(2)),
        (ep.Normal(0.0, 2.0), ep.FixedIndegree(2)),
    ):
        feedback = ep.RandomFeedback(weight, *(() if connectivity is None else (connectivity,)))
        found = ep.Simulator(network(RULES["e-prop+"], feedback), threads=1).feedback_weights("out", "rec")
        assert np.all((found != 0.0).sum(axis=1) == (3 if connectivity is None else 2))
        if weight is given:
            np.testing.assert_array_equal(found[found != 0.0], given[found != 0.0])
        else:
            assert 1.0 < found[found != 0.0].std() < 3.0


def test_what_cannot_be_followed_is_refused():
    net = small_network((0, 4, 2))
    with pytest.raises(ep.errors.NetworkError, match="Adaptive feedback needs a projection rec->out"):
        net.feedback("out", "rec", ep.Adaptive())
    net.connect("rec", "out", ep.FixedIndegree(3, multapses=True), rule=ep.EPropPlus())
    net.feedback("out", "rec", ep.Adaptive())
    with pytest.raises(
        ep.errors.NetworkError, match=r"Adaptive feedback to .* follows .*, which must have no multapses"
    ):
        ep.Simulator(net, threads=1)
