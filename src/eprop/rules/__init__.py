"""Plasticity: rules and optimisers as descriptions."""

from eprop.rules.base import EProp, EPropPlus, Rule, Static
from eprop.rules.optimizers import Adam, GradientDescent, Momentum, Optimizer, RMSprop
from eprop.rules.reward import RewardTrace
from eprop.rules.stdp import STDP

__all__ = [
    "STDP",
    "Adam",
    "EProp",
    "EPropPlus",
    "GradientDescent",
    "Momentum",
    "Optimizer",
    "RMSprop",
    "RewardTrace",
    "Rule",
    "Static",
]
