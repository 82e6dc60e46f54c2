"""Plasticity: rules and optimisers as descriptions."""

from eprop.rules import optimizers, pairs
from eprop.rules.base import EProp, EPropPlus, Rule, Static
from eprop.rules.optimizers import *  # noqa: F403  a new optimiser or pair rule is in its `__all__` only
from eprop.rules.pairs import *  # noqa: F403
from eprop.rules.reward import RewardTrace

__all__ = [
    "EProp",
    "EPropPlus",
    "RewardTrace",
    "Rule",
    "Static",
]
__all__ += optimizers.__all__ + pairs.__all__
