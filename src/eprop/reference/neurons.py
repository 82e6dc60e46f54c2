"""Neurons and readouts, one step at a time.

Sources: Bellec et al. 2020, Nat. Commun. 11:3625 (original rule); Korcsak-Gorzo et al. 2025, arXiv 2511.21674
(e-prop+). The order of operations within a step is that of NEST 3.10, found by experiment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

PROJECTIONS = ("input", "recurrent", "readout")
SURROGATES = ("piecewise_linear", "exponential", "fast_sigmoid", "arctan")


@dataclass(frozen=True)
class LIF:
    """Leaky integrate-and-fire neuron; with ``beta`` an adaptive threshold (ALIF).

    A number may be an array [N] with one for each neuron.

    Parameters
    ----------
    tau_m, t_ref, tau_a
        Membrane time constant, refractory time and time constant of the adaptation in ms.
    v_th, e_l, v_min, v_0
        Threshold, leak potential, lower bound and initial voltage (``None``: ``e_l``) in mV.
    c_m, i_e
        Capacitance in pF and constant current in pA; spikes add their weight in mV whatever ``c_m`` is.
    beta, a_0
        Strength of the adaptation in mV, 0 is no adaptation; the adaptation at the start.
    surrogate, height, width
        One of `SURROGATES`, its height (1/mV) and its width (mV).
    delayed_reset
        Subtract the threshold one step after the spike (original rule) and not at once (e-prop+).
    scale_input
        Multiply the synaptic input by ``1 - alpha`` (NEST: ``regular_spike_arrival = False``).
    current_from
        First step with ``i_e``. NEST buffers the current for one step: 1.
    """

    tau_m: float | Array = 20.0
    v_th: float | Array = 1.0
    t_ref: float | Array = 0.0
    e_l: float | Array = 0.0
    v_min: float | Array = -np.inf
    v_0: float | Array | None = None
    c_m: float | Array = 1.0
    i_e: float | Array = 0.0
    beta: float | Array = 0.0
    a_0: float | Array = 0.0
    tau_a: float | Array = 2000.0
    surrogate: str = "piecewise_linear"
    height: float | Array = 0.3
    width: float | Array = 1.0
    delayed_reset: bool = False
    scale_input: bool = False
    current_from: int = 0

    def alpha(self, dt: float) -> float | Array:
        """Decay of the voltage in one step."""
        return np.exp(-dt / self.tau_m)

    def rho(self, dt: float) -> float | Array:
        """Decay of the adaptation in one step."""
        return np.exp(-dt / self.tau_a)

    def zeta(self, dt: float) -> float | Array:
        """Factor of the synaptic input."""
        return 1.0 - self.alpha(dt) if self.scale_input else 1.0


@dataclass(frozen=True)
class DeltaLIF(LIF):
    """Leaky integrate-and-fire neuron that a spike sets to ``v_reset`` and clamps there; with ``beta`` it adapts.

    Parameters
    ----------
    v_reset
        Voltage after a spike and in the refractory time, in mV.
    ref_input
        Keep what arrives in the refractory time and let it in, decayed, when that is over; else it is lost.
    pause_adaptation
        Let the adaptation stand still in the refractory time and miss the spike before it, as NEST does.
    """

    v_reset: float | Array = 0.0
    ref_input: bool = False
    pause_adaptation: bool = False


@dataclass(frozen=True)
class Readout:
    """Leaky integrator without spikes; parameters as in `LIF`.

    ``loss`` is ``"squared_error"`` or ``"cross_entropy"`` (softmax over all readouts).
    """

    tau_m: float | Array = 20.0
    e_l: float | Array = 0.0
    v_min: float | Array = -np.inf
    v_0: float | Array | None = None
    c_m: float | Array = 1.0
    i_e: float | Array = 0.0
    scale_input: bool = False
    current_from: int = 0
    loss: str = "squared_error"

    def alpha(self, dt: float) -> float | Array:
        """Decay of the output in one step."""
        return np.exp(-dt / self.tau_m)

    def zeta(self, dt: float) -> float | Array:
        """Factor of the synaptic input."""
        return 1.0 - self.alpha(dt) if self.scale_input else 1.0


def surrogate_gradient(kind: Any, u: Array, height: float | Array, width: float | Array) -> Array:
    """What stands for the derivative of a spike, ``u`` being the distance to the threshold in mV."""
    if callable(kind):  # a user's function, for arrays
        return np.asarray(kind(u, height, width))
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


def per_neuron(value: float | Array, n: int) -> Array:
    """A parameter as a column, [n, 1], to multiply what synapses carry."""
    return np.broadcast_to(value, (n,))[:, None]


@dataclass
class NeuronState:
    """Voltage relative to ``e_l`` (mV), adaptation, refractory steps left, spike of the last step, input held back.

    All of shape [N]; only `DeltaLIF` holds back input (mV).
    """

    v: Array
    a: Array
    r: npt.NDArray[np.int64]
    z: Array
    held: Array


def initial_state(neuron: LIF, n: int) -> NeuronState:
    """State before step 0."""
    v, a = (np.array(np.broadcast_to(value, (n,)), dtype=float) for value in (start(neuron), neuron.a_0))
    return NeuronState(v, a, np.zeros(n, dtype=np.int64), np.zeros(n), np.zeros(n))


def start(cell: LIF | Readout) -> float | Array:
    """Initial voltage relative to the leak potential."""
    return 0.0 if cell.v_0 is None else cell.v_0 - cell.e_l


def drive(cell: LIF | Readout, step: int, dt: float) -> float | Array:
    """What the constant current adds to the voltage in a step, in mV."""
    if step < cell.current_from:
        return 0.0
    return cell.tau_m / cell.c_m * (1.0 - cell.alpha(dt)) * cell.i_e


def step_neurons(neuron: LIF, state: NeuronState, x: Array, step: int, dt: float) -> tuple[NeuronState, Array]:
    """Advance by one step with synaptic input ``x``; returns the new state and the surrogate gradient, both [N].

    The surrogate gradient is taken before the spike resets the voltage, and is 0 while the neuron is refractory.
    """
    if isinstance(neuron, DeltaLIF):
        return step_delta_neurons(neuron, state, x, step, dt)
    v_th = neuron.v_th - neuron.e_l
    r = np.maximum(state.r - 1, 0)
    a = neuron.rho(dt) * state.a + state.z
    v = neuron.alpha(dt) * state.v + neuron.zeta(dt) * x + drive(neuron, step, dt)
    if neuron.delayed_reset:
        v = v - v_th * state.z
    v = np.maximum(v, neuron.v_min - neuron.e_l)
    psi, z = threshold(neuron, v, a, r == 0)
    r = np.where(z > 0.0, steps_of(neuron.t_ref, dt), r)
    if not neuron.delayed_reset:
        v = v - v_th * z
    return NeuronState(v, a, r, z, state.held), psi


def step_delta_neurons(
    neuron: DeltaLIF, state: NeuronState, x: Array, step: int, dt: float
) -> tuple[NeuronState, Array]:
    """As `step_neurons`, for neurons that are clamped after a spike.

    The step in which the counter reaches 0 is still clamped, but has a surrogate gradient.
    """
    clamped = state.r > 0
    kept = neuron.zeta(dt) * x * np.exp(-state.r * dt / neuron.tau_m) if neuron.ref_input else 0.0
    held = np.where(clamped, state.held + kept, 0.0)
    v = neuron.alpha(dt) * state.v + neuron.zeta(dt) * x + drive(neuron, step, dt) + state.held
    v = np.where(clamped, state.v, np.maximum(v, neuron.v_min - neuron.e_l))
    a = neuron.rho(dt) * state.a + state.z
    if neuron.pause_adaptation:
        a = np.where(clamped, state.a, a)
    r = np.maximum(state.r - 1, 0)
    psi, z = threshold(neuron, v, a, r == 0)
    v = np.where(z > 0.0, neuron.v_reset - neuron.e_l, v)
    return NeuronState(v, a, np.where(z > 0.0, steps_of(neuron.t_ref, dt), r), z, held), psi


def threshold(neuron: LIF, v: Array, a: Array, free: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
    """Surrogate gradient and spikes at the voltage ``v`` and the adaptation ``a``; 0 where neurons are not ``free``."""
    u = v - (neuron.v_th - neuron.e_l + neuron.beta * a)
    psi = np.where(free, surrogate_gradient(neuron.surrogate, u, neuron.height, neuron.width), 0.0)
    return psi, ((u >= 0.0) & free).astype(float)


def steps_of(duration: float | Array, dt: float) -> npt.NDArray[np.int64]:
    """Number of steps in a duration (ms)."""
    return np.rint(np.asarray(duration) / dt).astype(np.int64)


def step_readouts(readout: Readout, y: Array, x: Array, step: int, dt: float) -> Array:
    """Advance the outputs (relative to ``e_l``) by one step with synaptic input ``x``; shape [K]."""
    y = readout.alpha(dt) * y + readout.zeta(dt) * x + drive(readout, step, dt)
    return np.maximum(y, readout.v_min - readout.e_l)
