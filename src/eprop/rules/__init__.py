"""Plasticity: rules and optimisers as descriptions."""

from eprop.rules import optimizers
from eprop.rules.base import EProp, EPropPlus, Rule, Static
from eprop.rules.optimizers import *  # noqa: F403  a new optimiser is in its `__all__` only
from eprop.rules.reward import RewardTrace
from eprop.rules.stdp import STDP

__all__ = [
    "STDP",
    "EProp",
    "EPropPlus",
    "RewardTrace",
    "Rule",
    "Static",
]
__all__ += optimizers.__all__
