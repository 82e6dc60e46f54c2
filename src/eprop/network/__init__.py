"""Description of a network: populations, connection rules, distributions, feedback. No arrays, no simulation."""

from eprop.network.connectivity import (
    AllToAll,
    Bernoulli,
    ConnectionRule,
    DistanceDependent,
    Explicit,
    FixedIndegree,
    FixedOutdegree,
    FixedTotalNumber,
    OneToOne,
)
from eprop.network.distributions import (
    ByPair,
    Clipped,
    Constant,
    Distribution,
    Glorot,
    LogNormal,
    Normal,
    Pairs,
    Uniform,
)
from eprop.network.drives import Current, Drive, GaussianNoise, PoissonDrive, Pulse, Steps
from eprop.network.feedback import Adaptive, Feedback, RandomFeedback, Symmetric
from eprop.network.network import Network
from eprop.network.parts import FeedbackProjection, Population, Projection, Stimulation
from eprop.network.positions import Positions
from eprop.network.precision import FixedPoint
from eprop.network.rewiring import Rewiring
from eprop.network.signs import Balanced

__all__ = [
    "Adaptive", "AllToAll", "Balanced", "Bernoulli", "ByPair", "Clipped", "ConnectionRule", "Constant", "Current",
    "DistanceDependent", "Distribution", "Drive", "Explicit", "Feedback", "FeedbackProjection", "FixedIndegree",
    "FixedOutdegree", "FixedPoint", "FixedTotalNumber", "GaussianNoise", "Glorot", "LogNormal", "Network", "Normal", "OneToOne",
    "Pairs", "PoissonDrive", "Population", "Positions", "Projection", "Pulse", "RandomFeedback", "Rewiring", "Steps",
    "Stimulation", "Symmetric", "Uniform",
]  # fmt: skip
