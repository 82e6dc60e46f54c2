"""e-prop (Bellec et al. 2020, Nat. Commun. 11:3625), stepped forward in time, sample by sample.

Timing
------
Spikes take one step from one stage to the next, and the clock of every stage of a sample starts when the spikes of
the first step of the stage before can reach it. So step ``t`` means the same everywhere: input spikes ``x[t]`` enter
the voltage of step ``t``, the spikes ``z[t]`` it causes enter the output ``y[t]``, which is compared with
``target[t]``; recurrent spikes enter the voltage one step later. All states and traces start every sample at 0. ::

    z_bar(t) = alpha z_bar(t - 1) + zeta z_in(t)
    e(t)     = psi(t) (z_bar(t) - beta eps(t - 1)),   eps(t) = rho eps(t - 1) + e(t)
    e_bar(t) = kappa e_bar(t - 1) + (1 - kappa) e(t)
    g        = sum_t L(t) e_bar(t) + c_reg (f_mean - f_target) / T sum_t e(t),   L_j = sum_k B_jk E_k

and of a readout ``g = sum_t E_k(t) z_bar(t)`` with its own ``alpha`` and ``zeta``. Rates are in spikes per step.

What is told from outside in step ``t + 1`` goes with the errors of step ``t``: signals ``X`` and a modulator ``m``, which stays
as it was last, make ``L_j(t) = m(t + 1) (sum_k B_jk E_k(t) + X_j(t + 1))``.

NEST drops spikes that arrive at the very first step of a sample, and a hidden synapse at which one arrives at the
second step misses the last error of the sample before. The equations here do neither; to compare, keep the first two
steps of the input silent.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from eprop.reference.losses import error_signal, feedback_matrix, loss, of_readouts
from eprop.reference.neurons import (
    LIF,
    PROJECTIONS,
    Array,
    NeuronState,
    Readout,
    existing,
    initial_state,
    per_neuron,
    start,
    step_neurons,
    step_readouts,
)
from eprop.reference.optimizers import Descent, GradientDescent, Optimizer

Weights = dict[str, Array]


@dataclass(frozen=True)
class SampleRule:
    """Parameters of e-prop.

    Parameters
    ----------
    optimizer
        Its clock counts samples: ``batch_size`` samples make one step with their mean gradient.
    kappa
        Filter of the eligibility trace; ``None``: decay of the readouts.
    c_reg, f_target
        Strength of the rate regularisation and the rate it pulls to (Hz).
    average_gradient
        Divide the gradient, regularisation included, by the number of steps in the learning window: the sum of its absolute
        weights, of the longest one where readouts differ.
    """

    optimizer: Optimizer = field(default_factory=GradientDescent)
    kappa: float | None = None
    c_reg: float = 0.0
    f_target: float = 10.0
    average_gradient: bool = False


@dataclass(frozen=True)
class Sample:
    """Activity of one sample; T steps, n_in inputs, N neurons, K readouts.

    ``inputs`` [T, n_in], ``v`` (mV), ``spikes``, ``psi`` [T, N], ``y`` (mV), ``error`` [T, K], ``window`` [T] or [T, K],
    ``loss`` summed over steps and readouts; ``end`` is the state of neurons and outputs (relative to ``e_l``) after it.
    """

    inputs: Array
    v: Array
    spikes: Array
    psi: Array
    y: Array
    error: Array
    window: Array
    loss: float
    end: tuple[NeuronState, Array]


def run_sample(
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike,
    weights: Mapping[str, npt.ArrayLike],
    neuron: LIF,
    readout: Readout,
    *,
    window: npt.ArrayLike | None = None,
    dt: float = 1.0,
    begin: tuple[NeuronState, Array] | None = None,
    first_step: int = 0,
) -> Sample:
    """Run a network through one sample.

    Parameters
    ----------
    inputs, targets
        [T, n_in] spikes of 0 and 1, and [T, K].
    weights
        ``"input"`` [N, n_in], ``"recurrent"`` [N, N] and ``"readout"`` [K, N] in mV; 0 where there is no synapse.
    neuron, readout
        Parameters.
    window
        [T], or [T, K] for each readout its own: factor of loss and error, of any sign, 0 outside; ``None``: 1.
    dt
        Step in ms.
    begin, first_step
        State to go on from, with the spikes of its last step, and the number of its next step; ``None``: at rest.
    """
    inputs, targets = np.asarray(inputs, dtype=float), np.asarray(targets, dtype=float)
    w_in, w_rec, w_out = (np.asarray(weights[name], dtype=float) for name in PROJECTIONS)
    n_steps, (n_out, n) = inputs.shape[0], w_out.shape
    open_ = np.ones(n_steps) if window is None else np.asarray(window, dtype=float)
    v, psi, z, y = (np.zeros((n_steps, size)) for size in (n, n, n, n_out))
    state, output = begin or (initial_state(neuron, n), np.full(n_out, start(readout)))
    for t in range(n_steps):
        within = t > 0  # as in NEST, spikes between two samples are lost
        x = w_in @ inputs[t] + within * (w_rec @ state.z)
        state, psi[t] = step_neurons(neuron, state, x, first_step + t, dt)
        output = step_readouts(readout, output, w_out @ state.z, first_step + t, dt)
        v[t], z[t], y[t] = state.v + neuron.e_l, state.z, output + readout.e_l
    error = of_readouts(open_) * error_signal(readout.loss, y, targets)
    return Sample(inputs, v, z, psi, y, error, open_, loss(readout.loss, y, targets, open_), (state, output))


def delayed(spikes: Array) -> Array:
    """The same spikes one step later, [T, N]."""
    return np.vstack([np.zeros((1, spikes.shape[1])), spikes[:-1]])


def filtered(spikes: Array, target: LIF | Readout, n: int, dt: float) -> Iterator[Array]:
    """``z_bar`` of one step after the other, [n_post, n_pre], at ``n`` neurons or readouts."""
    alpha, zeta = per_neuron(target.alpha(dt), n), per_neuron(target.zeta(dt), n)
    z_bar = np.zeros((n, spikes.shape[1]))
    for arriving in spikes:
        z_bar = alpha * z_bar + zeta * arriving
        yield z_bar


def eligibility(spikes: Array, psi: Array, neuron: LIF, dt: float) -> Iterator[Array]:
    """Eligibility ``e`` [N, n_pre] of one step after the other, for arriving ``spikes`` [T, n_pre] and ``psi`` [T, N]."""
    n = psi.shape[1]
    beta, rho = per_neuron(neuron.beta, n), per_neuron(neuron.rho(dt), n)
    eps = np.zeros((n, spikes.shape[1]))
    for psi_t, z_bar in zip(psi, filtered(spikes, neuron, n, dt), strict=True):
        e = psi_t[:, None] * (z_bar - beta * eps)
        eps = rho * eps + e
        yield e


def gather(
    eligibilities: Iterable[Array], learning: Iterable[Array], rates: Iterable[Array], kappa: float | Array
) -> Array:
    """The gradient ``sum_t L(t) e_bar(t) + rate e(t)`` of synapses in an array of any shape, step by step."""
    e_bar, g = np.zeros(()), np.zeros(())
    for e, signal, rate in zip(eligibilities, learning, rates, strict=True):
        e_bar = kappa * e_bar + (1.0 - kappa) * e
        g = g + (signal * e_bar + rate * e)
    return np.asarray(g)


def learning_signals(
    error: Array, feedback: npt.ArrayLike, signals: npt.ArrayLike | None, modulator: npt.ArrayLike | None
) -> Array:
    """Learning signals [T, N] that go with the errors [T, K] of each step, and with what is told from outside a step later."""
    learning = error @ np.asarray(feedback, dtype=float).T
    if signals is not None:
        learning[:-1] += np.asarray(signals, dtype=float)[1:]
    if modulator is not None:
        told = np.asarray(modulator, dtype=float)
        learning *= np.append(told[1:], told[-1])[:, None]
    return learning


def gradients(
    sample: Sample,
    feedback: npt.ArrayLike,
    neuron: LIF,
    readout: Readout,
    rule: SampleRule,
    *,
    signals: npt.ArrayLike | None = None,
    modulator: npt.ArrayLike | None = None,
    dt: float = 1.0,
) -> Weights:
    """Gradients of one sample, per projection in the shape of its weights.

    ``feedback`` is [N, K], ``signals`` [T, N], ``modulator`` [T].
    """
    kappa = readout.alpha(dt) if rule.kappa is None else rule.kappa
    learning = learning_signals(sample.error, feedback, signals, modulator)
    n_steps = len(learning)
    f_mean = sample.spikes.sum(axis=0) / n_steps
    rate = rule.c_reg * (f_mean - rule.f_target * dt / 1000.0) / n_steps
    length = np.abs(of_readouts(sample.window)).sum(axis=0).max()
    scale = 1.0 / (length or 1.0) if rule.average_gradient else 1.0
    found = {}
    for name, spikes in (("input", sample.inputs), ("recurrent", delayed(sample.spikes))):
        signals_of_steps = (signal[:, None] for signal in learning)
        rates = itertools.repeat(rate[:, None], n_steps)
        found[name] = scale * gather(eligibility(spikes, sample.psi, neuron, dt), signals_of_steps, rates, kappa)
    z_bars = filtered(sample.spikes, readout, sample.error.shape[1], dt)
    found["readout"] = scale * sum(error[:, None] * z_bar for error, z_bar in zip(sample.error, z_bars, strict=True))
    return found


def train(
    samples: Iterable[tuple[npt.ArrayLike, npt.ArrayLike]],
    weights: Mapping[str, npt.ArrayLike],
    feedback: npt.ArrayLike | str,
    neuron: LIF,
    readout: Readout,
    rule: SampleRule,
    *,
    window: npt.ArrayLike | None = None,
    signals: npt.ArrayLike | None = None,
    modulator: npt.ArrayLike | None = None,
    plastic: Iterable[str] = PROJECTIONS,
    masks: Mapping[str, npt.ArrayLike] | None = None,
    dt: float = 1.0,
    reset: bool = True,
) -> tuple[list[Sample], list[Weights]]:
    """Run and learn sample by sample.

    Parameters
    ----------
    samples
        Pairs of ``inputs`` and ``targets`` as in `run_sample`.
    feedback
        [N, K], or ``"symmetric"`` for the transposed readout weights of the same sample.
    window, signals, modulator
        Of all samples, as in `run_sample` and `gradients`.
    plastic, masks
        The projections that learn, and which of their synapses exist; ``None``: all but those of a neuron to itself.
    reset
        Start each sample from rest; otherwise the activity goes on, and only the traces start anew (NEST:
        ``eprop_reset_neurons_on_update``).

    Returns
    -------
    samples, weights
        Activity of every sample, and the weights it was run with, followed by the weights at the end.
    """
    exists = existing(weights, masks)
    w = {name: np.where(exists[name], np.asarray(weights[name], dtype=float), 0.0) for name in PROJECTIONS}
    descents = {name: Descent(rule.optimizer, w[name].shape) for name in plastic}
    done: list[Sample] = []
    history = [_copy(w)]
    for index, (inputs, targets) in enumerate(samples):
        begin = done[-1].end if done and not reset else None
        first = 0 if reset else index * len(np.asarray(targets))
        sample = run_sample(inputs, targets, w, neuron, readout, window=window, dt=dt, begin=begin, first_step=first)
        told = {"signals": signals, "modulator": modulator}
        g = gradients(sample, feedback_matrix(feedback, w["readout"]), neuron, readout, rule, **told, dt=dt)
        for name, descent in descents.items():
            for i in range(w[name].shape[1]):
                descent.update(w[name], np.where(exists[name][:, i], g[name][:, i], 0.0), i, index + 1)
            w[name][~exists[name]] = 0.0
        done.append(sample)
        history.append(_copy(w))
    return done, history


def _copy(weights: Weights) -> Weights:
    return {name: w.copy() for name, w in weights.items()}
