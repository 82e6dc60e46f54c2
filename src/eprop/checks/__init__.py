"""Checks that need both the engine and the reference.

=================== ================================================================================================
``reference_input`` `time_driven` builds the reference of a network; `stimuli_of` gives it samples of the engine
``neuron_check``    `check_neuron` checks a neuron model, in the engine and in the reference
``spike_check``     the effect of a spike on its own neuron, and the surrogate gradient near the threshold
=================== ================================================================================================
"""

from eprop.checks.neuron_check import NeuronCheck, check_neuron
from eprop.checks.reference_input import driven, poisson_spikes, stimuli_of, time_driven
from eprop.checks.spike_check import Surrogacy

__all__ = ["NeuronCheck", "Surrogacy", "check_neuron", "driven", "poisson_spikes", "stimuli_of", "time_driven"]
