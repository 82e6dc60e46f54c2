"""Description of a network: populations, connection rules, distributions, feedback. No arrays, no simulation."""

from eprop.network.connectivity import (
    AllToAll,
    Bernoulli,
    ConnectionRule,
    Explicit,
    FixedIndegree,
    FixedOutdegree,
    OneToOne,
)
from eprop.network.distributions import Constant, Distribution, Glorot, Normal, Uniform
from eprop.network.feedback import Adaptive, Feedback, RandomFeedback, Symmetric
from eprop.network.network import Network
from eprop.network.parts import FeedbackProjection, Population, Projection

__all__ = [
    "Adaptive", "AllToAll", "Bernoulli", "ConnectionRule", "Constant", "Distribution", "Explicit", "Feedback",
    "FeedbackProjection", "FixedIndegree", "FixedOutdegree", "Glorot", "Network", "Normal", "OneToOne", "Population",
    "Projection", "RandomFeedback", "Symmetric", "Uniform",
]  # fmt: skip
