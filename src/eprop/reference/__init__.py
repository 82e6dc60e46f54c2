"""Time-driven e-prop: the executable specification.

Slow and straight from the equations: every trace of every synapse is stepped through every time step, in float64. The
event-driven engine must give the same weights.

===================== ==================================================================================
equations             networks of one hidden layer as dense matrices; NumPy and nothing of this package
===================== ==================================================================================
``neurons``           leaky integrate-and-fire neurons (with or without adaptation), readouts, surrogate gradients
``losses``            error signals and losses of the readouts
``optimizers``        gradient descent, momentum, RMSprop, Adam; with the steps that a silent synapse owes
``eprop``             e-prop: weights change once per mini-batch of samples
``eprop_plus``        e-prop+: weights change at every presynaptic spike
``stdp``              STDP, pair by pair
``bptt``              backpropagation through time, which e-prop approximates
===================== ==================================================================================

===================== ==================================================================================
any `eprop.Network`   delays, parameters that differ from neuron to neuron, anyone's own neuron
===================== ==================================================================================
``time_driven``       `TimeDriven` runs and trains a network step by step, with the methods of `eprop.Simulator`
``streams``           `TimeDrivenStreams`: streams side by side whose rollouts go on
``backpropagation``   gradients of backpropagation through time; ``angles`` to those of e-prop
``neuron_check``      `check_neuron` holds a neuron against what it says of itself; ``spike_check`` measures its spikes
===================== ==================================================================================

NEST 3.10 gives the numbers of the equations; the equations and `TimeDriven` are what the engine is compared with. `TimeDriven`
takes connections, first weights and constants from the engine's build; traces and gradients are its own.
"""

from eprop.reference.angles import GradientAngle, gradient_angles
from eprop.reference.backpropagation import Backpropagated, backpropagate
from eprop.reference.eprop import Sample, SampleRule, gradients, run_sample, train
from eprop.reference.eprop_plus import PlusRule, RewardTrace, Run, simulate
from eprop.reference.losses import error_signal, loss
from eprop.reference.neuron_check import check_neuron
from eprop.reference.neurons import LIF, DeltaLIF, Readout, surrogate_gradient
from eprop.reference.optimizers import Adam, GradientDescent, Momentum, RMSprop
from eprop.reference.stdp import PairRule, pair_weights
from eprop.reference.streams import TimeDrivenStreams
from eprop.reference.time_driven import TimeDriven, TimeDrivenRun

__all__ = [
    "Adam", "Backpropagated", "DeltaLIF", "GradientAngle", "GradientDescent", "LIF", "Momentum", "PairRule", "PlusRule",
    "RMSprop", "Readout", "RewardTrace", "Run", "Sample", "SampleRule", "TimeDriven", "TimeDrivenRun",
    "TimeDrivenStreams", "backpropagate", "check_neuron", "error_signal", "gradient_angles", "gradients", "loss", "pair_weights",
    "run_sample", "simulate", "surrogate_gradient", "train",
]  # fmt: skip
