"""Populations of several kinds, long intervals and gradients by backpropagation: equal to the network stepped through time.

To 1e-10, relative to the largest value. Learning rates are small: a network that diverges makes much of rounding.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import eprop as ep
from compare import assert_close, assert_same
from conformance.features import LEARNING
from eprop.checks import time_driven
from eprop.reference import Stimulus, TimeDriven, backpropagate, gradient_angles
from families import in_turn, pairwise
from networks import check_run, small_network

pytestmark = pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")
TOLERANCE = 1e-10

DELAYS = {"one step": (1.0, 1.0), "several": (4.0, 3.0), "drawn": (ep.Uniform(0.6, 7.0), ep.Uniform(0.6, 5.0))}
PLUS = {
    "gradient descent": ep.EPropPlus(optimizer=ep.GradientDescent(3e-4), rate_reg=3e-5, cutoff=20.0),
    "two kappas, Adam": ep.EPropPlus(
        optimizer=ep.Adam(3e-4, epsilon=1e-2), kappa=0.9, kappa_reg=0.98, c_reg=0.02, cutoff=70.0
    ),
}
REWARD = PLUS["gradient descent"].replace(kappa=0.97, rate_reg=1e-4, reward=ep.RewardTrace(tau=40.0, cutoff=35.0))


def network(
    seed: int, neuron: ep.Neuron, rule: Any, delays: tuple[Any, Any], feedback: ep.network.Feedback, mixed: bool = False
):  # fmt: skip
    """Inputs, one population of neurons or two, readouts; everything learns."""
    net = ep.Network(seed=seed)
    x, rec = net.add(ep.EventSource(), 5, "in"), [net.add(neuron, 7, "rec")]
    if mixed:
        rec.append(net.add(ep.LIF(tau_m=9.0, v_th=0.8), 4, "other"))
    out = net.add(ep.Readout(tau_m=18.0), 2, "out")
    forward, back = delays
    for post in rec:
        net.connect(x, post, ep.Bernoulli(0.7), weight=ep.Uniform(0.0, 0.8), rule=rule, delay=forward)
        receptor = "excitatory" if post.model.inhibitory_row else None
        for pre in rec:
            options = {"weight": ep.Uniform(-0.5, 0.5), "rule": rule, "delay": forward, "receptor": receptor}
            net.connect(pre, post, ep.Bernoulli(0.5), **options)
        net.connect(post, out, ep.Bernoulli(0.8), weight=ep.Uniform(-0.8, 0.8), rule=rule, delay=forward)
        net.feedback(out, post, feedback, delay=back)
    return net


def stimulus(net: ep.Network, seed: int, steps: int, n: int = 1) -> list[Stimulus]:
    """Samples with input spikes and a long silence, targets as the readouts take them, and a learning window each."""
    rng = np.random.default_rng(seed)
    x = rng.random((n, steps, 5)) < rng.choice([0.03, 0.15, 0.3])
    x[:, steps // 3 : steps // 3 + 45, :3] = False
    target = rng.normal(0.0, 0.4, (n, steps, 2))
    windows = [(np.arange(steps) >= steps // 5 + k * steps // 4).astype(float) for k in range(n)]
    return [Stimulus(steps, {"in": x[k]}, {"out": target[k]}, windows[k]) for k in range(n)]


@pytest.mark.tiny
@pytest.mark.parametrize("rewarded", ["rec", "other"])
def test_reward_may_act_on_some_populations(rewarded):
    """Learning signals act at once onto one population, and wait for reward onto another, and onto readouts."""
    for seed, delays in enumerate(DELAYS.values()):
        net = network(seed, LEARNING["ALIF"], REWARD, delays, ep.Symmetric(), mixed=True)
        for p in net.projections:
            if p.post.name not in (rewarded, "out"):
                object.__setattr__(p, "rule", REWARD.replace(reward=None))
        check_plus(net, seed, 2)


def check_plus(net: ep.Network, seed: int, partitions: int) -> None:
    """Voltages, outputs and the weights in use."""
    (given_,) = stimulus(net, seed, 180)
    if any(getattr(p.rule, "reward", None) for p in net.projections):
        rng = np.random.default_rng(seed)
        given_ = dataclasses.replace(given_, reward=rng.normal(0.3, 1.0, 180) * (rng.random(180) < 0.3))
    stepped = time_driven(net)
    check_run(stepped, stepped.run(given_, record_weights=True), given_, partitions=partitions)


@pytest.mark.parametrize(
    ("name", "rule", "delays"),
    [
        *(("ALIF", "gradient descent", delays) for delays in DELAYS),
        *((name, "two kappas, Adam", "drawn") for name in ("ALIF, forgetful", "own neuron", "own neuron that rings")),
    ],
)
def test_neurons_with_maps_of_several_sizes_equal_the_reference(name, rule, delays):
    """Neurons whose maps differ in size, with rows that are long enough for packs."""
    net = small_network((5, 0, 2), readout=ep.Readout(tau_m=18.0), seed=5)
    rec = [net.add(neuron, 20, f"rec{k}") for k, neuron in enumerate((ep.LIF(tau_m=9.0, v_th=0.8), LEARNING[name]))]
    (forward, back), optimizer = DELAYS[delays], PLUS[rule].optimizer
    learns = PLUS[rule].replace(optimizer=optimizer.replace(eta=0.1 * optimizer.eta))  # more would be chaos
    for post in rec:
        net.connect("in", post, ep.Bernoulli(0.9), weight=ep.Uniform(0.0, 0.8), rule=learns, delay=forward)
        for pre in rec:
            net.connect(pre, post, ep.Bernoulli(0.9), weight=ep.Uniform(-0.2, 0.2), rule=learns, delay=forward)
        net.connect(post, "out", weight=ep.Uniform(-0.1, 0.1), rule=learns, delay=forward)
        net.feedback("out", post, ep.RandomFeedback(ep.Normal(0.0, 0.1)), delay=back)
    steps = 250
    stepped, (given_,) = time_driven(net), stimulus(net, 3, steps)
    run = stepped.run(given_, record_weights=True)
    assert run.spikes[:, 5:].sum(axis=0).reshape(2, -1).sum(axis=1).min() > 10
    states = []
    for partitions in (1, 5):
        sim, _ = check_run(stepped, run, given_, partitions=partitions)
        states.append(sim.state())
    assert_same(states[-1], states[0])


def check_partitions(net: ep.Network, given_: Stimulus) -> list[ep.Simulator]:
    """In 1, 2 and 5 partitions the numbers of the reference, and the same bits."""
    stepped = time_driven(net)
    wanted = stepped.run(given_, record_weights=True)
    sims, found = zip(*(check_run(stepped, wanted, given_, partitions=n) for n in (1, 2, 5)), strict=True)
    assert_same(found[1:], (found[0], found[0]))
    return list(sims)


QUIET = {
    "ALIF": ep.ALIF(tau_m=6.0, v_th=0.5, beta=0.3, tau_adapt=40.0),
    "ALIF, forgetful": LEARNING["ALIF, forgetful"],
    "LIF": ep.LIF(tau_m=3.0, v_th=0.5),
}


@pytest.mark.tiny
@pairwise("name delays indegree", QUIET, DELAYS, ["all", "few"])
def test_long_intervals_equal_the_reference(name, delays, indegree):
    """Some cross many blocks of maps, and spans of blocks; rows of few synapses do so alone."""
    neuron, cutoff = QUIET[name], 300
    rule = ep.EPropPlus(optimizer=ep.GradientDescent(3e-4), c_reg=0.02, cutoff=float(cutoff))
    both = isinstance(neuron, ep.ALIF)  # two kinds of eligibility in one network
    net = network(7, neuron, rule, DELAYS[delays], ep.Symmetric(), mixed=both)
    if indegree == "few":
        x, out = net.populations[0], net.populations[-1]
        rec = net.add(neuron, 40, "many")
        net.connect(x, rec, ep.FixedIndegree(1), weight=0.9, rule=rule, delay=DELAYS[delays][0])
        net.feedback(out, rec, ep.RandomFeedback())
    steps = 2 * cutoff + 300
    rng = np.random.default_rng(7)
    x = rng.random((steps, 5)) < np.array([1.2, 3.0, 6.0, 18.0, 60.0]) / cutoff
    given_ = Stimulus(steps, {"in": x}, {"out": rng.normal(0.0, 0.4, (steps, 2))})
    for sim in check_partitions(net, given_):
        assert sim._arrays.built.span_blocks > 1


@in_turn("name delays", LEARNING, DELAYS)
def test_factorisation(name, delays):
    """The total derivative times the eligibility is the gradient of backpropagation through time."""
    net = network(5, LEARNING[name], ep.EProp(), DELAYS[delays], ep.Symmetric(), mixed=True)
    stepped, (given_,) = time_driven(net), stimulus(net, 5, 100)
    found = backpropagate(stepped, given_)
    assert_close(found.factorised, found.gradient, 1e-12)
    assert_close(forward_gradient(stepped, given_), found.gradient, TOLERANCE)
    assert 0.0 < angle(found.eprop, found.gradient) < 90.0


def angle(a: np.ndarray, b: np.ndarray) -> float:
    """In degrees."""
    return float(np.degrees(np.arccos(np.clip(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), -1.0, 1.0))))


def test_angles_by_kind_of_weights():
    """Of a mini-batch by its sum; nothing is left out where neurons do not reach each other."""
    net = network(5, LEARNING["ALIF"], ep.EProp(), DELAYS["several"], ep.Symmetric())
    stepped, given_ = time_driven(net), stimulus(net, 5, 100, 3)
    found = gradient_angles(stepped, given_)
    assert list(found) == ["input", "recurrent", "readout"]
    assert found["readout"].cosine == pytest.approx(1.0)
    recurrent = stepped.synapses.parts["rec->rec"]
    each = [backpropagate(stepped, sample) for sample in given_]
    np.testing.assert_allclose(
        found["recurrent"].each, [angle(f.eprop[recurrent], f.gradient[recurrent]) for f in each]
    )
    ours, theirs = (sum(getattr(f, kind) for f in each)[recurrent] for kind in ("eprop", "gradient"))
    size = np.linalg.norm(ours) / np.linalg.norm(theirs)
    assert found["recurrent"].size == pytest.approx(size)
    assert found["recurrent"].cosine == pytest.approx(ours @ theirs / np.linalg.norm(theirs) ** 2 / size)
    assert 1.0 < found["recurrent"].degrees < 90.0
    for p in net.projections:
        if p.pre is p.post:
            stepped.set_weights(p.name, 0.0)
    assert gradient_angles(stepped, given_)["input"].cosine == pytest.approx(1.0)


def forward_gradient(stepped: TimeDriven, given_: Stimulus) -> np.ndarray:
    """The same gradient by carrying the derivative by every weight forward through the whole network."""
    run, s, c = stepped.predict(given_), stepped.synapses, stepped.forward.eligibility
    (n_steps, n), total, own = run.v.shape, len(s), stepped.forward.layout.source_of_neuron
    dz, dx = np.zeros((n_steps, run.spikes.shape[1], total)), np.zeros((len(c.arrival), total))
    dh, out = np.zeros((*c.arrival.shape, total)), np.zeros(total)
    for t in range(n_steps):
        dx[:] = 0.0
        dx[s.target, np.arange(total)] = s.arriving(run.spikes, t)
        for q in range(total):
            if t >= s.delay[q]:
                dx[s.target[q]] += stepped.weight[q] * dz[t - s.delay[q], s.source[q]]
        back = np.zeros((len(c.arrival), total))
        if t > 0:
            back[:n] = dz[t - 1, own]
        dh = np.einsum("jab,jbq->jaq", c.decay, dh) + c.spike[:, :, None] * back[:, None]
        dh += c.arrival[:, :, None] * dx[:, None]
        moved = np.einsum("ja,jaq->jq", c.output, dh)
        dz[t, own] = run.psi[t][:, None] * moved[:n]
        out += run.error[t] @ moved[n:]
    return out
