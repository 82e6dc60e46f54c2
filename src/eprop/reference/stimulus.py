"""External input of a network: spikes, targets and signals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from eprop.network import Network
from eprop.reference.neurons import Array
from eprop.reference.synapses import Booleans, Layout


@dataclass(frozen=True)
class Stimulus:
    """External input and signals of one run or sample.

    Parameters
    ----------
    steps : int
    spikes : dict of (steps, size)
        Spikes of all sources, Poisson sources included, by name; a source that is missing is silent.
    targets : dict of (steps, size), (1, size) or (size,)
        By readout population; without a target, or where the target is NaN, there is no error.
    window : (steps,), or a dict of (steps,) by readout population
        Factor of loss and error, of any sign; None: 1.
    signals : dict of (steps, size)
        By population of neurons: added to the learning signals that arrive in a step.
    modulator : (steps,)
        Factor of the learning signals; None: 1.
    reward : (steps,)
        Reward of each step; None: 0.
    inputs, currents : dict of (steps, size)
        By population of neurons: added to the synaptic input, in its unit; constant current in a step, pA.
    inhibition : dict of (steps, size)
        By population of neurons: added to the input of their inhibitory receptor, pA.
    lost : dict of (steps, size) bool
        By population of neurons: where a spike resets its neuron, but is lost for everything else.
    """

    steps: int
    spikes: Mapping[str, ArrayLike] = field(default_factory=dict)
    targets: Mapping[str, ArrayLike] = field(default_factory=dict)
    window: ArrayLike | Mapping[str, ArrayLike] | None = None
    signals: Mapping[str, ArrayLike] = field(default_factory=dict)
    modulator: ArrayLike | None = None
    reward: ArrayLike | None = None
    inputs: Mapping[str, ArrayLike] = field(default_factory=dict)
    currents: Mapping[str, ArrayLike] = field(default_factory=dict)
    inhibition: Mapping[str, ArrayLike] = field(default_factory=dict)
    lost: Mapping[str, ArrayLike] = field(default_factory=dict)


@dataclass(frozen=True)
class External:
    """A `Stimulus` in arrays of all nodes.

    Attributes
    ----------
    spikes : (steps, sources) bool
    target, window : (steps, readouts)
    inputs : (steps, receptors, neurons)
    signals, currents : (steps, neurons)
    modulator, reward : (steps,)
    lost : (steps, neurons) bool
    taught : (steps,) bool
        Whether there can be learning signals of a step: a readout population has a target in its window, or signals are given, or
        there are no readouts.
    """

    spikes: Booleans
    target: Array
    window: Array
    signals: Array
    modulator: Array
    reward: Array
    inputs: Array
    currents: Array
    lost: Booleans
    taught: Booleans

    @classmethod
    def of(cls, network: Network, layout: Layout, stimulus: Stimulus) -> External:
        """A stimulus of a network."""
        steps, k = stimulus.steps, layout.n_readouts
        out = cls(
            np.zeros((steps, layout.n_sources), bool),
            np.full((steps, k), np.nan),
            np.ones((steps, k)),
            np.zeros((steps, layout.n_neurons)),
            _of_steps(stimulus.modulator, steps, 1.0),
            _of_steps(stimulus.reward, steps, 0.0),
            np.zeros((steps, 2, layout.n_neurons)),
            np.zeros((steps, layout.n_neurons)),
            np.zeros((steps, layout.n_neurons), bool),
            np.full(steps, k == 0 or bool(stimulus.signals)),
        )
        for name, values in stimulus.spikes.items():
            out.spikes[:, layout.sources[name]] = np.asarray(values) != 0
        for name, values in stimulus.targets.items():
            out.target[:, layout.readouts(name)] = values
        for receptor, inputs in enumerate((stimulus.inputs, stimulus.inhibition)):
            for name, values in inputs.items():
                out.inputs[:, receptor, layout.targets[name]] = values
        for what in ("signals", "currents", "lost"):
            for name, values in getattr(stimulus, what).items():
                getattr(out, what)[:, layout.targets[name]] = values
        windows = stimulus.window
        for p in network.populations:
            if p.model.role == "readout" and windows is not None:
                window = windows.get(p.name, 1.0) if isinstance(windows, Mapping) else windows
                out.window[:, layout.readouts(p.name)] = np.broadcast_to(window, steps)[:, None]
            if p.model.role == "readout":
                own = layout.readouts(p.name)
                out.taught[:] |= ((out.window[:, own] != 0.0) & ~np.isnan(out.target[:, own]))[:, 0]
        return out


def _of_steps(values: ArrayLike | None, steps: int, default: float) -> Array:
    return np.full(steps, default) if values is None else np.asarray(values, float)
