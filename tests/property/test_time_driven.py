"""The event-driven engine equals the time-driven reference: every voltage and every weight in use, to 1e-10.

Relative to the largest value: both sides add up the same numbers in another order. The engine divides maps by powers of
``alpha`` and ``kappa`` down to 1e-3, which costs three digits of sixteen, and learning carries the difference on from
update to update; 1e-13 is typical. Adam divides by ``sqrt(v) + epsilon`` on top of that: an epsilon of eta's size
(`strategies`) keeps tiny gradients from making much of tiny errors.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given

import eprop as ep
from eprop.checks import time_driven
from eprop.engine.build import built
from eprop.reference import Activity, TimeDriven
from eprop.rules.optimizers import BUILT_IN
from families import pairwise
from networks import Case, case, check_run, check_training, samples_of, stimuli
from strategies import SEEDS, examples, networks, plus_rules, sample_rules, st

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]
EXPLODED = 1e6  # mV, of a weight


@pytest.mark.parametrize("rewarded", [False, True], ids=["at once", "with reward"])
@pytest.mark.parametrize("two_kappas", [False, True], ids=["one kappa", "two kappas"])
@pytest.mark.parametrize("kind", BUILT_IN)
def test_plus_equals_time_driven(kind, two_kappas, rewarded):
    @examples(0.12 if rewarded else 0.2)
    @given(plus_rules(two_kappas, kind, rewarded).flatmap(networks), st.sampled_from([1, 3]))
    def holds(c, partitions):
        stepped, wanted = reference_of(c)
        assume(wanted.spikes[:, c.inputs.shape[1] :].any())
        # One in some thousand of these networks explodes: it makes much of any difference, and the engine refuses to go on.
        assume(np.abs(wanted.weights).max(initial=0.0) < EXPLODED)
        check_run(stepped, wanted, c.stimulus, partitions=partitions)

    holds()


@examples(0.5)
@given(st.data(), sample_rules(), SEEDS, st.integers(1, 3))
def test_samples_equal_time_driven(data, rule, seed, batch_size):
    bounded = np.isfinite(rule.optimizer.w_max)
    c = data.draw(networks(rule, original=st.just(False) if bounded else st.booleans()))
    samples = samples_of(c, ep.Simulator(c.network, threads=1), stimuli(c, 3 * batch_size, seed))
    assume(any(run.spikes[:, c.inputs.shape[1] :].any() for run in check_training(c.network, samples, batch_size)))


LONG_SILENCE = {
    "gd": ep.GradientDescent(1e-3),
    "Adam": ep.Adam(1e-3, epsilon=1e-2),
    "momentum": ep.Momentum(1e-4),
    "Nesterov": ep.Momentum(1e-4, nesterov=True),
    "RMSprop": ep.RMSprop(1e-3, epsilon=1e-2),
}


@pairwise(
    "optimizer powers kappa_reg", LONG_SILENCE, [(5.0, "tabled"), (30.0, "tabled"), (30.0, "computed")], [None, 0.99]
)
def test_long_silence(optimizer, powers, kappa_reg, monkeypatch):
    """Traces that outlive a silence far beyond the cutoff, and beyond the table of powers."""
    cutoff, made = powers
    if made == "computed":
        monkeypatch.setattr(built, "TABLED_POWERS", 0)
    rule = ep.EPropPlus(LONG_SILENCE[optimizer], kappa=0.999, kappa_reg=kappa_reg, c_reg=0.05, cutoff=cutoff)
    c = case(5, rule, steps=700, rate=0.5, tau_m=400.0, density=0.8)
    for span in (slice(40, 350), slice(380, 420), slice(450, 690)):
        c.inputs[span] = 0.0
    check_case(c)
    assert c.inputs[349:379].any()


@pairwise("optimizer waits kappa_reg", LONG_SILENCE, [(60.0, False), (2000.0, False), (200.0, True)], [None, 0.99])
def test_reward_in_a_long_silence(optimizer, waits, kappa_reg):
    """Rewards that come long after the cutoff of the eligibility, before and after that of what waits for them."""
    cutoff, each_step = waits
    rule = ep.EPropPlus(
        LONG_SILENCE[optimizer], kappa=0.99, kappa_reg=kappa_reg, c_reg=0.05, cutoff=20.0, each_step=each_step,
        reward=ep.RewardTrace(tau=150.0, cutoff=cutoff),
    )  # fmt: skip
    c = case(5, rule, steps=500, sizes=(4, 4, 2), rate=0.5, tau_m=30.0, density=0.8)
    c.reward[:] = 0.0
    c.reward[[120, 128, 200, 231, 310, 420]] = [1.0, -0.5, 2.0, 0.7, 1.5, -1.0]
    for span in (slice(40, 170), slice(180, 300), slice(310, 480)):
        c.inputs[span] = 0.0
    weights = check_case(c).weights
    assert np.ptp(weights[[170, 300]], axis=0).any()  # some of these rewards counted


def reference_of(c: Case) -> tuple[TimeDriven, Activity]:
    stepped = time_driven(c.network)
    return stepped, stepped.run(c.stimulus, record_weights=True)


def check_case(c: Case) -> Activity:
    stepped, wanted = reference_of(c)
    check_run(stepped, wanted, c.stimulus)
    return wanted


@pytest.mark.parametrize("partitions", [1, 3])
def test_each_projection_has_its_own_optimizer(partitions):
    """Frozen readouts, whatever froze them: next to Adam, gradient descent is still gradient descent."""
    weights = []
    for frozen in (ep.GradientDescent(0.0), ep.Adam(0.0), ep.Momentum(0.0)):
        rule = ep.EPropPlus(optimizer=ep.GradientDescent(2e-3, w_min=-2.0, w_max=2.0), c_reg=0.05, cutoff=7.0)
        c = case(3, rule, steps=150, rate=0.2)
        readout = c.network.projection("rec->out")
        object.__setattr__(readout, "rule", rule.replace(optimizer=frozen))
        _, found = check_run(*reference_of(c), c.stimulus, partitions=partitions)
        arrived = np.vstack([np.zeros((1, 6)), c.inputs[:-1]]) > 0
        weights.append(found["in->rec", "weight"][arrived[:, np.nonzero(c.masks["input"])[1]]])
    np.testing.assert_array_equal(weights[1], weights[2])
    # With moments about, a gradient waits next to the weight instead of in it, and is rounded elsewhere.
    np.testing.assert_allclose(weights[0], weights[1], rtol=1e-12)
    assert np.unique(weights[0]).size > 50


def test_readouts_learn_without_neurons():
    net, rule = ep.Network(seed=1), ep.EProp(optimizer=ep.GradientDescent(1e-2))
    net.connect(net.add(ep.EventSource(), 3, "in"), net.add(ep.Readout(), 2, "out"), weight=0.3, rule=rule)
    events = {"in": np.random.default_rng(0).random((4, 30, 3)) < 0.3}
    samples = ep.Simulator(net, threads=1).samples(4, 30, inputs=events, targets={"out": np.ones((4, 1, 2))})
    assert np.ptp(np.stack([run.y for run in check_training(net, samples, 2)]), axis=0).any()
