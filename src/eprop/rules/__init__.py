"""PLASTICITY: rules and optimisers as descriptions."""

from eprop.rules.base import EProp, EPropPlus, Rule, Static
from eprop.rules.optimizers import Adam, GradientDescent, Optimizer

__all__ = ["Adam", "EProp", "EPropPlus", "GradientDescent", "Optimizer", "Rule", "Static"]
