"""Agent and learner on a corridor: what is learned, and from which errors."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import eprop as ep
from eprop.encoders import PopulationCode
from eprop.errors import InputError, ParameterError
from eprop.rl import (
    Agent,
    Episodes,
    GaussianPolicy,
    Objective,
    PixelEvents,
    RolloutLearner,
    SoftmaxPolicy,
    check_readouts,
    credit,
    objective_errors,
    play,
)
from refusals import refusals
from worlds import Corridor, Dial

ENCODER, SUBSTEPS = PopulationCode(fields=4), 6


def network(policy: int = 2, seed: int = 1) -> ep.Network:
    net = ep.Network(dt=1.0, seed=seed)
    rule = ep.EProp(optimizer=ep.Adam(eta=1e-2))
    x, rec = net.add(ep.EventSource(), 4, name="in"), net.add(ep.LIF(tau_m=4.0), 12, name="rec")
    readout = ep.Readout(tau_m=4.0, scale_input=True)
    outs = [net.add(readout, policy, name="policy"), net.add(readout, 1, name="value")]
    net.connect(x, rec, weight=ep.Normal(0.3, 0.5), rule=rule)
    net.connect(rec, rec, ep.Bernoulli(0.3), weight=ep.Normal(0.0, 0.2), rule=rule)
    for out in outs:
        net.connect(rec, out, weight=ep.Normal(0.0, 0.1), rule=rule)
        net.feedback(out, rec, ep.Symmetric())
    return net


def learner(environments, policy=None, objective=None, readouts=None, **options) -> RolloutLearner:
    policy = policy or SoftmaxPolicy()
    sim = ep.Simulator(network(readouts or policy.readouts(environments.actions)), threads=1)
    agent = Agent(sim.lanes(environments.n), ENCODER, policy, environments.shape, SUBSTEPS, seed=5)
    return RolloutLearner(sim, agent, Episodes(environments, 7), objective or Objective(value_scale=1.0), **options)


def judged(trained: RolloutLearner, environments) -> float:
    lanes = trained.simulator.lanes(environments.n, learn=False)
    agent = Agent(lanes, ENCODER, trained.agent.policy, environments.shape, SUBSTEPS, seed=9)
    return play(agent, environments, list(range(environments.n))).mean


def test_it_learns_to_walk_to_the_right():
    trained = learner(Corridor(8), rollout=12)
    before = judged(trained, Corridor(40))
    for _ in range(30):
        trained.update()
    assert before < 0.8
    assert judged(trained, Corridor(40)) > 0.9


def test_it_learns_to_set_a_dial_with_several_passes():
    policy = GaussianPolicy(gain=2.0, sd=0.4)
    trained = learner(Dial(8), policy, Objective(value_scale=1.0, clip=0.2), rollout=12, passes=3)
    projection = "rec->policy"
    weights = trained.simulator.connections(projection)[2]
    trained.simulator.set_weights(projection, weights + 2.0)
    before = judged(trained, Dial(40))
    for _ in range(40):
        trained.update()
    assert before < -0.7
    assert judged(trained, Dial(40)) > before + 0.2


def test_the_gradient_is_that_of_the_errors_at_decisions():
    one, other = (learner(Corridor(4), rollout=5) for _ in range(2))
    experience, _ = one.collect()
    wanted = objective_errors(experience, credit(experience, one.objective), one.objective, one.agent.policy)
    at_steps = np.zeros((4, 5 * SUBSTEPS, 3))
    at_steps[:, SUBSTEPS - 1 :: SUBSTEPS] = wanted.transpose(1, 0, 2)
    one.agent.lanes.learn(one.agent.lanes.backward(at_steps))
    again, _ = other.update()
    assert np.array_equal(experience.y, again.y)
    for projection in one.simulator.network.projections:
        a, b = (each.simulator.connections(projection.name)[2] for each in (one, other))
        assert np.array_equal(a, b)


def test_a_later_pass_sees_the_rollout_with_the_present_weights():
    trained = learner(Corridor(4), rollout=5)
    experience, _ = trained.collect()
    trained.agent.lanes.backward(np.zeros((4, 5 * SUBSTEPS, 3)))
    np.testing.assert_array_equal(trained._at_decisions(trained.agent.lanes.replay()), experience.y)


def test_the_same_seed_acts_alike_and_the_state_of_an_agent_goes_on():
    first, other = (learner(Corridor(4), rollout=6) for _ in range(2))
    seen = first.collect()[0]
    assert all(np.array_equal(x, y) for x, y in zip(seen, other.collect()[0], strict=True) if x is not None)
    state = first.agent.state()
    draws = [rng.random(3) for rng in first.agent._draws]
    other = learner(Corridor(4))
    other.agent.set_state(state)
    assert all(np.array_equal(a, rng.random(3)) for a, rng in zip(draws, other.agent._draws, strict=True))


def test_the_state_of_an_agent_whose_encoder_has_not_seen_a_picture_goes_on():
    encoder = PixelEvents()
    sim = ep.Simulator(network(), threads=1)
    first, other = (Agent(sim.lanes(2), encoder, SoftmaxPolicy(), (2, 1), SUBSTEPS, seed=5) for _ in range(2))
    encoder.spikes(np.full((2, 2, 1), 99, np.uint8), SUBSTEPS, first._draws[0], first.memory)
    first.reset(np.array([1]))  # an episode ended just before the state was saved
    state = first.state()
    assert np.isnan(state["memory"]).any(axis=(1, 2)).tolist() == [False, True]
    other.set_state(state)
    np.testing.assert_array_equal(other.memory, first.memory)
    with pytest.raises(InputError, match=r"has the shape \(2, 2, 1\), got \(2, 1\)"):
        other.set_state(state | {"memory": np.zeros((2, 1))})


def three_lanes() -> RolloutLearner:
    sim = ep.Simulator(network(), threads=1)
    agent = Agent(sim.lanes(3), ENCODER, SoftmaxPolicy(), (1,), SUBSTEPS, seed=5)
    return RolloutLearner(sim, agent, Episodes(Corridor(4), 7), Objective())


@refusals(
    (three_lanes, InputError, "3 lanes for 4 environments"),
    (lambda: check_readouts(network(), 3), InputError, "need 3 readouts for the policy"),
    (lambda: learner(Dial(4), GaussianPolicy(), readouts=2), InputError, "need 1 readouts.*has 2 in 'policy', 1 in 'value'"),
    (lambda: learner(Corridor(4), GaussianPolicy(), readouts=2), InputError, "for continuous actions"),
    *((functools.partial(learner, Corridor(4), **{name: value}), ParameterError,
       rf"RolloutLearner\.{name} must be a whole number >= 1, got {value}")
      for name in ("rollout", "passes") for value in (0, 1.5, True)),
)  # fmt: skip
def test_what_does_not_fit_is_refused(refusal):
    check_readouts(network(), 2)
    refusal.check()


@pytest.mark.parametrize("reward", [float("nan"), float("inf"), np.ones(1), None])
def test_a_reward_that_is_no_number_is_told(reward):
    class Broken(Corridor):
        def step(self, number, action):
            return super().step(number, action)._replace(reward=reward if number == 2 else 0.0)

    trained = learner(Broken(4))
    for act in (trained.update, lambda: judged(trained, Broken(4))):
        with pytest.raises(InputError, match="environment 2 gave a reward that is not a finite number"):
            act()
