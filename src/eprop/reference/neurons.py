"""Neurons and readouts, one step at a time.

Sources: Bellec et al. 2020, Nat. Commun. 11:3625 (original rule); Korcsak-Gorzo et al. 2025, arXiv 2511.21674
(e-prop+). The order of operations within a step is that of NEST 3.10, found by experiment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

PROJECTIONS = ("input", "recurrent", "readout")
SURROGATES = ("piecewise_linear", "exponential", "fast_sigmoid", "arctan")


@dataclass(frozen=True)
class LIF:
    """Leaky integrate-and-fire neuron; with ``beta`` an adaptive threshold (ALIF).

    Parameters
    ----------
    tau_m, t_ref, tau_a
        Membrane time constant, refractory time and time constant of the adaptation in ms.
    v_th, e_l, v_min, v_0
        Threshold, leak potential, lower bound and initial voltage (``None``: ``e_l``) in mV.
    c_m, i_e
        Capacitance in pF and constant current in pA; spikes add their weight in mV whatever ``c_m`` is.
    beta
        Strength of the adaptation in mV, one number or one per neuron; 0 is no adaptation.
    surrogate, height, width
        One of `SURROGATES`, its height (1/mV) and its width (mV).
    delayed_reset
        Subtract the threshold one step after the spike (original rule) and not at once (e-prop+).
    scale_input
        Multiply the synaptic input by ``1 - alpha`` (NEST: ``regular_spike_arrival = False``).
    current_from
        First step with ``i_e``. NEST buffers the current for one step: 1.
    """

    tau_m: float = 20.0
    v_th: float = 1.0
    t_ref: float = 0.0
    e_l: float = 0.0
    v_min: float = -np.inf
    v_0: float | None = None
    c_m: float = 1.0
    i_e: float = 0.0
    beta: float | Array = 0.0
    tau_a: float = 2000.0
    surrogate: str = "piecewise_linear"
    height: float = 0.3
    width: float = 1.0
    delayed_reset: bool = False
    scale_input: bool = False
    current_from: int = 0

    def alpha(self, dt: float) -> float:
        """Decay of the voltage in one step."""
        return float(np.exp(-dt / self.tau_m))

    def rho(self, dt: float) -> float:
        """Decay of the adaptation in one step."""
        return float(np.exp(-dt / self.tau_a))

    def zeta(self, dt: float) -> float:
        """Factor of the synaptic input."""
        return 1.0 - self.alpha(dt) if self.scale_input else 1.0


@dataclass(frozen=True)
class Readout:
    """Leaky integrator without spikes; parameters as in `LIF`.

    ``loss`` is ``"squared_error"`` or ``"cross_entropy"`` (softmax over all readouts).
    """

    tau_m: float = 20.0
    e_l: float = 0.0
    v_min: float = -np.inf
    v_0: float | None = None
    c_m: float = 1.0
    i_e: float = 0.0
    scale_input: bool = False
    current_from: int = 0
    loss: str = "squared_error"

    def alpha(self, dt: float) -> float:
        """Decay of the output in one step."""
        return float(np.exp(-dt / self.tau_m))

    def zeta(self, dt: float) -> float:
        """Factor of the synaptic input."""
        return 1.0 - self.alpha(dt) if self.scale_input else 1.0


def surrogate_gradient(kind: str, u: Array, height: float, width: float) -> Array:
    """What stands for the derivative of a spike, ``u`` being the distance to the threshold in mV."""
    s = np.abs(u) / width
    if kind == "piecewise_linear":
        return height * np.maximum(0.0, 1.0 - s)
    if kind == "exponential":
        return height * np.exp(-s)
    if kind == "fast_sigmoid":
        return height / (1.0 + s) ** 2
    if kind == "arctan":
        return height / (1.0 + s**2)
    raise ValueError(f"surrogate must be one of {SURROGATES}, got {kind!r}")


def existing(
    weights: Mapping[str, npt.ArrayLike], masks: Mapping[str, npt.ArrayLike] | None
) -> dict[str, npt.NDArray[np.bool_]]:
    """Which synapses exist, per projection: those of ``masks``, else all but the ones of a neuron to itself."""
    found = {}
    for name in PROJECTIONS:
        mask = np.ones(np.shape(weights[name]), dtype=np.bool_)
        if name == "recurrent":
            np.fill_diagonal(mask, False)
        if masks is not None and name in masks:
            mask = np.asarray(masks[name], dtype=np.bool_)
        found[name] = mask
    return found


@dataclass
class NeuronState:
    """Voltage relative to ``e_l`` (mV), adaptation, refractory steps left, spike of the last step; shape [N] each."""

    v: Array
    a: Array
    r: npt.NDArray[np.int64]
    z: Array


def initial_state(neuron: LIF, n: int) -> NeuronState:
    """State before step 0."""
    v = np.full(n, start(neuron))
    return NeuronState(v, np.zeros(n), np.zeros(n, dtype=np.int64), np.zeros(n))


def start(cell: LIF | Readout) -> float:
    """Initial voltage relative to the leak potential."""
    return 0.0 if cell.v_0 is None else cell.v_0 - cell.e_l


def drive(cell: LIF | Readout, step: int, dt: float) -> float:
    """What the constant current adds to the voltage in a step, in mV."""
    if step < cell.current_from:
        return 0.0
    return cell.tau_m / cell.c_m * (1.0 - cell.alpha(dt)) * cell.i_e


def step_neurons(neuron: LIF, state: NeuronState, x: Array, step: int, dt: float) -> tuple[NeuronState, Array]:
    """Advance by one step with synaptic input ``x``; returns the new state and the surrogate gradient, both [N].

    The surrogate gradient is taken before the spike resets the voltage, and is 0 while the neuron is refractory.
    """
    v_th = neuron.v_th - neuron.e_l
    r = np.maximum(state.r - 1, 0)
    a = neuron.rho(dt) * state.a + state.z
    v = neuron.alpha(dt) * state.v + neuron.zeta(dt) * x + drive(neuron, step, dt)
    if neuron.delayed_reset:
        v = v - v_th * state.z
    v = np.maximum(v, neuron.v_min - neuron.e_l)
    u = v - (v_th + neuron.beta * a)
    psi = np.where(r > 0, 0.0, surrogate_gradient(neuron.surrogate, u, neuron.height, neuron.width))
    z = ((u >= 0.0) & (r == 0)).astype(float)
    r = np.where(z > 0.0, round(neuron.t_ref / dt), r)
    if not neuron.delayed_reset:
        v = v - v_th * z
    return NeuronState(v, a, r, z), psi


def step_readouts(readout: Readout, y: Array, x: Array, step: int, dt: float) -> Array:
    """Advance the outputs (relative to ``e_l``) by one step with synaptic input ``x``; shape [K]."""
    y = readout.alpha(dt) * y + readout.zeta(dt) * x + drive(readout, step, dt)
    return np.maximum(y, readout.v_min - readout.e_l)
