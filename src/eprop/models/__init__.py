"""Neuron models, one file each: parameters, state, update. Readouts and sources are here too.

A user's own model needs `Neuron`, `Eligibility`, `inline` (marks the update for the compiler), `param` (declares a
parameter) and `decay`.
"""

from eprop.models.alif import ALIF
from eprop.models.base import (
    Arctan,
    Eligibility,
    Exponential,
    FastSigmoid,
    Model,
    Neuron,
    PiecewiseLinear,
    Surrogate,
    decay,
)
from eprop.models.current import CurrentALIF, CurrentLIF
from eprop.models.delta import DeltaLIF
from eprop.models.delta_adapt import DeltaALIF
from eprop.models.forced import ForcedLIF
from eprop.models.inlining import inline
from eprop.models.learned import Learned
from eprop.models.lif import LIF
from eprop.models.readout import CrossEntropy, Loss, Readout, SquaredError
from eprop.models.sources import EventSource, PoissonSource
from eprop.parameters import param

__all__ = [
    "ALIF", "LIF", "Arctan", "CrossEntropy", "CurrentALIF", "CurrentLIF", "DeltaALIF", "DeltaLIF", "Eligibility",
    "EventSource", "Exponential", "FastSigmoid", "ForcedLIF", "Learned", "Loss", "Model", "Neuron", "PiecewiseLinear",
    "PoissonSource", "Readout", "SquaredError", "Surrogate", "decay", "inline", "param",
]  # fmt: skip
