"""Time-driven e-prop in dense NumPy: the executable specification.

Short, slow and straight from the equations: every trace of every synapse is stepped through every time step in
float64. The event-driven engine must give the same weights; so does NEST 3.10, against which these functions are
tested.

==================== ============================================================================
`eprop.reference`
==================== ============================================================================
``neurons``          leaky integrate-and-fire neurons (with or without adaptation), readout, surrogates
``losses``           error signals and losses of the readouts
``optimizers``       gradient descent, momentum, RMSprop, Adam; with the steps a silent synapse owes
``eprop_plus``       e-prop+: weights change at every presynaptic spike
``eprop``            e-prop: weights change once per mini-batch of samples
``stdp``             STDP, pair by pair
``bptt``             backpropagation through time, which e-prop approximates
==================== ============================================================================
"""

from eprop.reference.bptt import BPTT, backpropagate, eligibility_sum
from eprop.reference.eprop import Sample, SampleRule, gradients, run_sample, train
from eprop.reference.eprop_plus import PlusNetwork, PlusRule, RewardTrace, Run, simulate
from eprop.reference.losses import error_signal, loss
from eprop.reference.neurons import LIF, DeltaLIF, Readout, surrogate_gradient
from eprop.reference.optimizers import Adam, GradientDescent, Momentum, RMSprop
from eprop.reference.stdp import PairRule, pair_weights

__all__ = [
    "BPTT",
    "LIF",
    "Adam",
    "DeltaLIF",
    "GradientDescent",
    "Momentum",
    "PairRule",
    "PlusNetwork",
    "PlusRule",
    "RMSprop",
    "Readout",
    "RewardTrace",
    "Run",
    "Sample",
    "SampleRule",
    "backpropagate",
    "eligibility_sum",
    "error_signal",
    "gradients",
    "loss",
    "pair_weights",
    "run_sample",
    "simulate",
    "surrogate_gradient",
    "train",
]
