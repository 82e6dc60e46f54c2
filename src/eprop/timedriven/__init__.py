"""Any network, stepped through time: every trace of every synapse, at every step, in float64.

`TimeDriven` runs the same descriptions as `eprop.Simulator` and must find the same weights. It is the baseline that the
event-driven engine is compared with, and what holds the engine for delays, for parameters that differ from neuron to
neuron and for anyone's own model, where `eprop.reference` (which knows the built-in neurons in a network of three
layers) ends. It shares the description of the network with the engine: connections, first weights, constants. The traces
and gradients are its own.
"""

from eprop.timedriven.angles import GradientAngle, gradient_angles
from eprop.timedriven.bptt import Backpropagated, backpropagate
from eprop.timedriven.check import check_neuron
from eprop.timedriven.engine import TimeDriven, TimeDrivenRun
from eprop.timedriven.streams import TimeDrivenStreams

__all__ = [
    "Backpropagated", "GradientAngle", "TimeDriven", "TimeDrivenRun", "TimeDrivenStreams", "backpropagate", "check_neuron",
    "gradient_angles",
]  # fmt: skip
