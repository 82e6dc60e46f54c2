"""Time-driven e-prop: the executable specification.

Slow and straight from the equations: every trace of every synapse is stepped through every time step, in float64. The
event-driven engine must give the same weights. The reference shares with it the description of a network, and nothing else: the
connections, and all else that is drawn, are handed in. `eprop.checks.time_driven` takes them from a simulator.

=================== ====================================================================================
equations
=================== ====================================================================================
``neurons``         neurons with and without adaptation, readouts and their losses, surrogate gradients
``optimizers``      all optimisers of `eprop.rules`, with the steps that a silent synapse owes
``few_bits``        rounding of weights of few bits after each update
``eprop``           e-prop: weights change once per mini-batch of samples
``eprop_plus``      e-prop+: weights change at every presynaptic spike
``feedback``        feedback weights; when errors and external signals reach a neuron
``pairs``           STDP and other pair rules, pair by pair
=================== ====================================================================================

=================== ====================================================================================
networks
=================== ====================================================================================
``stimulus``        external input of a network: spikes, targets, signals
``synapses``        nodes and synapses in flat arrays
``forward``         a network stepped through time with frozen weights
``time_driven``     `TimeDriven` runs and trains a network
``lanes``           `TimeDrivenLanes`: parallel states whose rollouts continue
``backpropagation`` gradients of backpropagation through time, and their angles to those of e-prop
=================== ====================================================================================

NEST 3.10 gives the numbers of `TimeDriven`, and `TimeDriven` those of the engine.
"""

from eprop.reference.backpropagation import Backpropagated, GradientAngle, backpropagate, gradient_angles
from eprop.reference.feedback import FeedbackConnections
from eprop.reference.forward import Activity
from eprop.reference.lanes import TimeDrivenLanes
from eprop.reference.neurons import compare, surrogate_gradient
from eprop.reference.pairs import pair_weights
from eprop.reference.stimulus import Stimulus
from eprop.reference.synapses import Connections
from eprop.reference.time_driven import TimeDriven

__all__ = [
    "Activity", "Backpropagated", "Connections", "FeedbackConnections", "GradientAngle", "Stimulus", "TimeDriven",
    "TimeDrivenLanes", "backpropagate", "compare", "gradient_angles", "pair_weights", "surrogate_gradient",
]  # fmt: skip
