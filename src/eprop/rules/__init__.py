"""PLASTICITY: rules and optimisers as descriptions."""

from eprop.rules.base import EProp, EPropPlus, Rule, Static
from eprop.rules.optimizers import Adam, GradientDescent, Momentum, Optimizer, RMSprop

__all__ = ["Adam", "EProp", "EPropPlus", "GradientDescent", "Momentum", "Optimizer", "RMSprop", "Rule", "Static"]
