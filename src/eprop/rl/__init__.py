"""LEARNING FROM REWARD: environments, encoders of pictures, policies, and actor and critic learned by e-prop.

Encoders of vectors, such as `PopulationCode`, are in `eprop.encoders`.

::

    PixelEvents                                            pictures to events          pixels.py
    SoftmaxPolicy, GaussianPolicy                          readouts to actions         policies.py
    ObservationScale, RewardScale                          running units               scaling.py
    td_errors, generalised_advantages, ...                 rewards to worth            objective.py
    Objective, credit, objective_errors, loss, diagnose    worth to errors             objective.py
    Environments, Episodes                                 parallel environments       environments.py
    GymnasiumEnvironments                                  those of Gymnasium          gym.py
    Agent, RolloutLearner, play                            act, learn, judge           learner.py
    RewardBaseline                                         without a critic, e-prop+   baseline.py
"""

from eprop.rl.baseline import RewardBaseline
from eprop.rl.environments import Environments, EpisodeRestartedWarning, Episodes, Finished, Observation, Outcome
from eprop.rl.gym import GymnasiumEnvironments
from eprop.rl.learner import Agent, ParallelNetwork, Returns, RolloutLearner, check_readouts, play
from eprop.rl.objective import (
    Credit,
    Diagnosis,
    Experience,
    Objective,
    credit,
    diagnose,
    discounted_returns,
    generalised_advantages,
    loss,
    next_values,
    objective_errors,
    td_errors,
)
from eprop.rl.pixels import PixelEvents
from eprop.rl.policies import Actions, ContinuousActions, DiscreteActions, GaussianPolicy, Policy, SoftmaxPolicy
from eprop.rl.scaling import ObservationScale, RewardScale, RunningMoments

__all__ = [
    "Actions", "Agent", "ContinuousActions", "Credit", "Diagnosis", "DiscreteActions", "Environments",
    "EpisodeRestartedWarning", "Episodes", "Experience", "Finished", "GaussianPolicy", "GymnasiumEnvironments",
    "Observation", "Objective", "ObservationScale", "Outcome", "ParallelNetwork",
    "PixelEvents", "Policy", "Returns", "RewardBaseline",
    "RewardScale", "RolloutLearner", "RunningMoments", "SoftmaxPolicy", "check_readouts", "credit", "diagnose",
    "discounted_returns", "generalised_advantages", "loss", "next_values", "objective_errors", "play", "td_errors",
]  # fmt: skip
