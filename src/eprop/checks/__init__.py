"""Checks that need both the engine and the reference.

================ ===========================================================================================
``given``        `time_driven` builds the reference of a network; `stimuli_of` gives it the samples of the engine
``neuron_check`` `check_neuron` checks a neuron model, in the engine and in the reference
``spike_check``  what a spike does to its own neuron, and the surrogate gradient near the threshold, measured
================ ===========================================================================================
"""

from eprop.checks.given import poisson_spikes, stimuli_of, time_driven
from eprop.checks.neuron_check import NeuronCheck, check_neuron
from eprop.checks.spike_check import Surrogacy

__all__ = ["NeuronCheck", "Surrogacy", "check_neuron", "poisson_spikes", "stimuli_of", "time_driven"]
