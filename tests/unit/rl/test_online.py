"""A three-factor rule without a critic: e-prop+ and a running mean of the reward."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from eprop.encoders import PopulationCode
from eprop.errors import InputError, ParameterError
from eprop.rl import OnlineActor, PixelEvents, SoftmaxPolicy


def actor(eta: float = 2e-3, value: bool = False, **rule_options) -> OnlineActor:
    net = ep.Network(dt=1.0, seed=2)
    rule = ep.EPropPlus(optimizer=ep.GradientDescent(eta=eta), kappa=0.8, **rule_options)
    encoder = PopulationCode(fields=6)
    x, rec = net.add(ep.EventSource(), encoder.channels((1,)), name="in"), net.add(ep.LIF(tau_m=5.0), 20, name="rec")
    out = net.add(ep.Readout(tau_m=5.0), 2, name="policy")
    net.connect(x, rec, weight=ep.Normal(0.3, 0.4), rule=rule)
    net.connect(rec, out, weight=ep.Normal(0.0, 0.1), rule=rule)
    net.feedback(out, rec, ep.Symmetric())
    if value:
        net.add(ep.Readout(), 1, name="value")
    return OnlineActor(ep.Simulator(net, threads=1).stepper(), encoder, SoftmaxPolicy(), (1,), substeps=8, seed=3)


def play(one: OnlineActor, episodes: int, *, greedy: bool = False) -> float:
    """Two pictures, two actions, a reward for the one that belongs to the picture."""
    rng, total = np.random.default_rng(4), 0.0
    for _ in range(episodes):
        side = int(rng.integers(2))
        reward = float(one.act(np.array([1.5 * side - 0.75]), greedy=greedy) == side)
        if not greedy:
            one.reward(reward)
        total += reward
    return total / episodes


def test_it_learns_which_action_belongs_to_which_picture():
    one = actor()
    before = play(one, 50, greedy=True)
    play(one, 400)
    assert before < 0.8
    assert play(one, 100, greedy=True) > 0.9
    assert one.baseline.mean > 0.8


def test_without_a_surprise_nothing_is_learned():
    one = actor()
    one.baseline.mean = 1.0
    one.act(np.array([0.5]))
    one.reward(1.0)
    assert one.baseline.mean == 1.0
    assert not one._error.any()


def test_a_reward_follows_an_action():
    one = actor()
    with pytest.raises(ParameterError, match="follows an action"):
        one.reward(1.0)
    with pytest.raises(ParameterError, match="substeps must be a whole number >= 1"):
        OnlineActor(None, PopulationCode(), SoftmaxPolicy(), (1,), substeps=0, seed=1)


def test_networks_from_which_it_cannot_learn_are_refused():
    with pytest.raises(InputError, match="has reward traces, which wait"):
        actor(reward=ep.RewardTrace())
    with pytest.raises(InputError, match="this stepper shows 'policy', 'value'"):
        actor(value=True).act(np.array([0.5]))


def test_after_an_episode_the_encoder_begins_anew():
    net = ep.Network(seed=1)
    net.connect(net.add(ep.EventSource(), 4), net.add(ep.Readout(), 2, name="policy"), weight=0.5, rule=ep.EPropPlus())
    sim = ep.Simulator(net, threads=1)
    one = OnlineActor(sim.stepper(), PixelEvents(), SoftmaxPolicy(), (2, 1), substeps=3, seed=1)
    dark, bright = (np.full((2, 1), light, np.uint8) for light in (0, 255))
    one.act(dark)
    one.reward(1.0)
    one.reset()
    one.act(bright)  # no event: it is the first picture
    assert sim.events == 0
    assert one._error is None  # the last reward has been learned from
    one.act(dark)
    assert sim.events > 0
