"""Learning that waits for reward: what is refused, what a state holds, and that a rewarded choice is learned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import eprop as ep
from eprop.errors import InputError, NetworkError, ParameterError
from eprop.training import RewardBaseline
from networks import small_network
from refusals import each_of, each_row, refusals

pytestmark = pytest.mark.tiny
WAITS = ep.RewardTrace(tau=50.0, cutoff=200.0)
PLUS = ep.EPropPlus(optimizer=ep.GradientDescent(1e-3), cutoff=20.0)


def network(*rules: Any, readouts: Any = PLUS, loss: Any = None) -> ep.Network:
    """An input for each rule onto the same neurons, and two readouts."""
    net = ep.Network(seed=2)
    rec = net.add(ep.LIF(tau_m=20.0, v_th=0.5), 20, "rec")
    for k, rule in enumerate(rules):
        net.connect(net.add(ep.EventSource(), 4, f"in{k}"), rec, weight=ep.Uniform(0.0, 0.6), rule=rule)
    out = net.add(ep.Readout(tau_m=20.0, loss=loss or ep.SquaredError()), 2, "out")
    net.connect(rec, out, weight=ep.Normal(0.0, 0.1), rule=readouts)
    net.feedback(out, rec, ep.Symmetric())
    return net


def built(*rules: Any) -> ep.Simulator:
    return ep.Simulator(network(*rules), threads=1)


def waiting() -> ep.Simulator:
    return built(PLUS.replace(reward=WAITS))


ONES = np.ones(10)
NOBODY = "no projection of this network uses it; give projections EPropPlus"


@refusals(
    *each_row([
        (lambda: built(PLUS).run(10.0, reward=ONES), NOBODY),
        (lambda: built(PLUS).samples(2, 10, reward=ONES), NOBODY),
        (lambda: built(PLUS).stepper().step(reward=1.0), NOBODY),
        (lambda: ep.Simulator(network(ep.EProp(), readouts=ep.EProp()), threads=1).run(10.0, reward=ONES), NOBODY),
        (lambda: built(PLUS).train(waiting().samples(1, 10, reward=ONES)), "no projection of this network uses it"),
        (lambda: waiting().run(10.0, reward=np.ones(9)), r"reward must have shape \(10,\) or \(1, 10\), got \(9,\)"),
        (lambda: waiting().samples(3, 10, reward=np.full((3, 10), np.nan)), "reward must hold finite numbers"),
        *((lambda wrong=wrong: waiting().stepper().step(reward=wrong), "reward must be a finite number")
          for wrong in (np.inf, "much", None)),
    ], lambda call: call(), InputError),
    *each_of([1.0, -0.1, "slow"], lambda decay: RewardBaseline(decay=decay), ParameterError,
             r"RewardBaseline\.decay must be >= 0 and < 1"),
    *each_of([np.nan, None], lambda reward: RewardBaseline(decay=0.5).surprise(reward), ParameterError,
             "a reward must be a finite number"),
    (lambda: built(PLUS.replace(reward=ep.RewardTrace(cutoff=10.0))), NetworkError,
     r"cutoff must be at least EPropPlus.cutoff \(20 ms\), got 10 ms"),
    (lambda: built(PLUS.replace(reward=ep.RewardTrace(cutoff=50.5))), ParameterError,
     "RewardTrace.cutoff must be a multiple of dt = 1 ms, got 50.5 ms"),
    (lambda: built(PLUS.replace(reward=ep.RewardTrace(tau=1e6))), NetworkError,
     "at most 1000000 steps of 1 ms, got 5000000 steps; choose a shorter cutoff"),
    (lambda: built(PLUS.replace(reward=WAITS), PLUS), NetworkError,
     "onto 'rec' must share reward, got .*cutoff=200.* and None"),
    (lambda: PLUS.replace(reward=50.0), ParameterError, r"EPropPlus\.reward must be a RewardTrace"),
)  # fmt: skip
def test_rewards_and_traces_that_cannot_be_are_refused(refusal):
    refusal.check()


def test_a_cutoff_that_is_left_open_is_five_taus_at_least_that_of_the_eligibility():
    assert ep.RewardTrace(tau=100.0).cutoff_steps(0.5, 40) == 1000
    assert ep.RewardTrace(tau=2.0).cutoff_steps(1.0, 40) == 40


def test_a_rewarded_choice_is_learned():
    """Reward-modulated e-prop+ with a running mean as baseline: only whether a choice was right is told, 10 ms later."""
    rule = ep.EPropPlus(optimizer=ep.GradientDescent(0.003), cutoff=40.0, reward=ep.RewardTrace(tau=30.0, cutoff=80.0))
    sim = ep.Simulator(network(rule, readouts=rule, loss=ep.CrossEntropy()), threads=1)
    sim.set_weights("in0->rec", 0.4 * sim.connections("in0->rec")[2])
    rng, baseline, right = np.random.default_rng(3), RewardBaseline(decay=0.95, mean=0.5), []
    stepper, silence = sim.stepper(), np.zeros(0, np.int64)
    for _ in range(300):
        cue = int(rng.integers(2))
        for _ in range(10):
            y = stepper.step(np.array([2 * cue, 2 * cue + 1]))
        share = np.exp(y - y.max())
        share /= share.sum()
        choice = int(rng.random() > share[0])
        stepper.step(silence, error=share - np.eye(2)[choice])  # minus the gradient of the choice's log-probability
        for _ in range(9):
            stepper.step(silence)
        right.append(choice == cue)
        stepper.step(silence, reward=baseline.surprise(float(right[-1])))
        for _ in range(70):
            stepper.step(silence)
    assert np.mean(right[:40]) < 0.75
    assert np.mean(right[-100:]) > 0.9


def test_a_baseline_is_a_running_mean():
    baseline = RewardBaseline(decay=0.5)
    assert [baseline.surprise(reward) for reward in (1.0, 1.0, 0)] == [1.0, 0.5, -0.75]
    assert baseline.mean == 0.375


def test_chosen_samples_keep_their_rewards():
    samples = waiting().samples(3, 10, reward=np.arange(30.0).reshape(3, 10))
    np.testing.assert_array_equal(samples[[2, 0]].reward, samples.reward[[2, 0]])
    assert "reward" in repr(samples)


@pytest.mark.parametrize(
    ("optimizer", "each_step", "late"),
    [
        (ep.GradientDescent(1e-2), False, [67]), (ep.Adam(1e-3), False, []), (ep.GradientDescent(1e-2), True, [27, 67]),
        (ep.Adam(1e-3), True, [27, 67]),
    ],
)  # fmt: skip
def test_weights_are_shown_as_of_the_last_spike_and_at_the_cutoffs(optimizer, each_step, late):
    """As the page of reward traces says. The last spike arrives in step 7."""
    rule = ep.EPropPlus(
        optimizer=optimizer, cutoff=20.0, each_step=each_step, reward=ep.RewardTrace(tau=20.0, cutoff=60.0)
    )
    net = small_network(
        (1, 1, 1), {"in->rec": 0.4, "rec->out": 0.3}, neuron=ep.LIF(v_th=0.5), rule=rule, feedback=ep.RandomFeedback()
    )
    sim, events, shown = ep.Simulator(net, threads=1), np.zeros((100, 1)), []
    events[2:7] = 1.0
    for t in range(100):
        sim.run(1.0, {"in": events[t : t + 1]}, {"out": [1.0]}, reward=[1.0])
        shown.append(sim.connections("in->rec")[2][0])
    changed = np.flatnonzero(np.diff(shown)) + 1
    assert changed[changed > 7].tolist() == late
