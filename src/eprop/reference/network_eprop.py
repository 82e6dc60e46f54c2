"""e-prop of any network: the gradient of a sample from the traces of every synapse, see `eprop.reference.eprop`."""

from __future__ import annotations

import numpy as np

from eprop.engine import Samples
from eprop.engine.build.built import Built
from eprop.engine.build.records import Role, Rule
from eprop.network import Network
from eprop.reference.eprop import gather
from eprop.reference.forward import Activity
from eprop.reference.learning_signals import Outside, Received
from eprop.reference.synapses import Synapses
from eprop.rules import EProp


def sample_gradient(
    network: Network,
    built: Built,
    synapses: Synapses,
    feedback: np.ndarray,
    samples: Samples,
    index: int,
    state: Activity,
) -> np.ndarray:
    """Gradient of a sample that ran from rest, (synapses,); 0 where nothing learns by `EProp`."""
    received = Received.of_sample(state.error, Outside.of(network, built, samples, index))
    signals, rates = received.signals(built, feedback), rates_of_steps(built, state.spikes)
    found = gather(
        synapses.eligibilities(state.spikes, state.psi),
        (signal[synapses.target] for signal in np.hstack([signals, state.error])),
        (rate[synapses.target] for rate in rates),
        kappas(network, built, synapses),
    )
    window = samples.window[min(index, len(samples.window) - 1)]
    length = np.abs(window).sum(axis=0).max() or 1.0
    return np.where(synapses.rule == Rule.eprop, found, 0.0) * gradient_scale(network, synapses, length)


def rates_of_steps(built: Built, spikes: np.ndarray) -> np.ndarray:
    """Regularisation of rates in each step, (steps, neurons and readouts).

    Only the steps count in which a spike can still cause an error.
    """
    out = np.zeros((len(spikes), built.n_neurons + built.n_readouts))
    for row in built.topology.populations[built.topology.populations["role"] == Role.neuron]:
        length = max(len(spikes) - int(row["error_latency"]), 0)
        sources = slice(int(row["first_source"]), int(row["first_source"] + row["size"]))
        out[:length, row["target_begin"] : row["target_end"]] = rate_term(
            row, spikes[:length, sources].sum(axis=0), length
        )
    return out


def rate_term(row: np.ndarray, spikes: np.ndarray, length: int) -> np.ndarray:
    """``c_reg (f_mean - f_target) / T`` of the neurons of a population with so many spikes in ``T`` steps."""
    steps = max(length, 1)
    return np.asarray(row["c_reg"] * (spikes / steps - row["f_target"]) / steps)


def kappas(network: Network, built: Built, synapses: Synapses) -> np.ndarray:
    """Filter of the eligibility of each synapse; none at synapses onto readouts."""
    post = np.array([p.post.index for p in network.projections], np.int64)
    kappa = built.topology.populations["kappa"][post[synapses.projection]]
    return np.where(synapses.onto_readout, 0.0, kappa)


def gradient_scale(network: Network, synapses: Synapses, length: float) -> np.ndarray:
    """1 for each synapse, or one divided by the ``length`` of the learning window."""
    averaged = np.array([isinstance(p.rule, EProp) and p.rule.average_gradient for p in network.projections], bool)
    return np.where(averaged[synapses.projection], 1.0 / length, 1.0)
