"""e-prop+ (Korcsak-Gorzo et al. 2025, arXiv 2511.21674), stepped through time.

Timing
------
All delays are one step: a spike emitted at step ``s`` *arrives* at ``s + 1`` and enters the voltage of that step. The
learning signal needs one step as well, so *entry* ``tau`` of the gradient of a hidden neuron pairs the eligibility
of step ``tau`` with the errors of step ``tau + 1``::

    z_bar(tau) = alpha z_bar(tau - 1) + (spike arrives at tau)
    e(tau)     = psi(tau) (z_bar(tau) - beta eps(tau - 1)),   eps(tau) = rho eps(tau - 1) + e(tau)
    e_bar      = kappa e_bar + e(tau),   e_bar_reg = kappa_reg e_bar_reg + (1 - kappa_reg) e(tau)
    g         += sum_k B_jk E_k(tau + 1) e_bar + c_reg (f_j(tau) - f_target) e_bar_reg
    f_j(tau)   = kappa_reg f_j(tau - 1) + (1 - kappa_reg) z_j(tau)

and of a readout ``g += E_k(tau) z_bar(tau)`` with the readout's ``alpha``. At an arrival ``p`` whose predecessor was
``q`` the weight changes by the entries ``q - 1 .. p - 2``, of which only the first ``cutoff`` count: after
these the traces decay and nothing is accumulated. The new weight is the one that arrives. The first arrival at a
synapse changes nothing. The entries after the last arrival of a run are never applied.

Rates are in spikes per step. (NEST 3.10 divides the spike by ``dt`` but not the target: at ``dt`` other than 1 ms its
parameters must be ``c_reg dt`` and ``f_target / dt`` to mean the same.)

With a ``RewardTrace`` learning waits for reward (Bellec et al. 2020, reward-based e-prop)::

    e_reward(tau) = gamma e_reward(tau - 1) + L(tau) e_bar(tau)
    g            += reward e_reward(tau) + c_reg (f_j(tau) - f_target) e_bar_reg

and of a readout with ``E_k(tau) z_bar(tau)`` in place of ``L e_bar``. What is told at step ``t`` belongs to the step before, as
errors do: it is multiplied with what the errors of step ``t - 1`` have added. Nothing is added to ``e_reward`` beyond ``cutoff``,
but reward counts up to a cutoff of its own.

With ``feedback="symmetric"`` the learning signal uses the readout weights as they are when the errors are computed,
that is, after the updates of the readout synapses in that step.

The errors of step ``tau + 1`` reach the neurons in step ``tau + 2``. What is told from outside then goes with them, signals
``X`` and a modulator ``m``: entry ``tau`` has ``m(tau + 2) (sum_k B_jk E_k(tau + 1) + X_j(tau + 2))`` for a learning signal.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from eprop.reference.losses import error_signal, feedback_matrix, of_readouts
from eprop.reference.neurons import (
    LIF,
    PROJECTIONS,
    Array,
    Readout,
    existing,
    initial_state,
    per_neuron,
    start,
    step_neurons,
    step_readouts,
)
from eprop.reference.optimizers import Descent, GradientDescent, Integers, Optimizer

Booleans = npt.NDArray[np.bool_]

NEVER = 0  # no spike can arrive at step 0
PAST = 3  # spikes of so many steps are still on their way through the traces


@dataclass(frozen=True)
class RewardTrace:
    """Parameters of what waits for reward.

    Parameters
    ----------
    gamma
        What a step leaves of it.
    cutoff
        Entries per interval in which reward counts, in steps; not below `PlusRule.cutoff`.
    """

    gamma: float
    cutoff: int


@dataclass(frozen=True)
class PlusRule:
    """Parameters of e-prop+.

    Parameters
    ----------
    optimizer
        Its clock counts time steps.
    kappa, kappa_reg
        Filters of the eligibility trace, and of the rate and the trace it multiplies, per step.
    c_reg, f_target
        Strength of the rate regularisation and the rate it pulls to (Hz).
    cutoff
        Entries per interval that count, in steps; at least 2, since the spike itself enters with the second.
    readout_cutoff
        The same at readouts; ``None``: ``cutoff``.
    each_step
        Let the optimiser act on every entry and not on their sum (NEST: ``optimize_each_step``). Not for Adam alone:
        the clipping happens per entry, too.
    reward
        Let learning wait for reward; ``None``: it does not.
    """

    optimizer: Optimizer = field(default_factory=GradientDescent)
    kappa: float = 0.97
    kappa_reg: float = 0.97
    c_reg: float = 0.0
    f_target: float = 10.0
    cutoff: int = 100
    readout_cutoff: int | None = None
    each_step: bool = False
    reward: RewardTrace | None = None

    def __post_init__(self) -> None:
        if min(self.cutoff, self.cutoff_of_readouts) < 2:
            raise ValueError(f"cutoff must be >= 2 steps, got {self.cutoff} and {self.cutoff_of_readouts}")
        if self.reward is not None and self.reward.cutoff < max(self.cutoff, self.cutoff_of_readouts):
            raise ValueError(f"reward.cutoff must not be below cutoff, got {self.reward.cutoff}")

    @property
    def cutoff_of_readouts(self) -> int:
        """Cutoff at readout synapses in steps."""
        return self.cutoff if self.readout_cutoff is None else self.readout_cutoff

    def trace_constants(self, cutoff: int) -> TraceConstants:
        """What synapses with this cutoff need of the rule."""
        waits = (self.reward.gamma, self.reward.cutoff) if self.reward is not None else (0.0, 0)
        return TraceConstants(self.kappa, self.kappa_reg, cutoff, *waits)


@dataclass(frozen=True)
class Run:
    """What `simulate` returns; T steps, N neurons, K readouts.

    ``v`` [T, N] and ``y`` [T, K] in mV as NEST records them (after the reset, with the leak potential), ``spikes``
    [T, N] by emission step, ``psi`` [T, N], ``error`` [T, K]; ``weights`` after the run, and if asked for
    ``history``: the weights in use in every step, [T, n_post, n_pre] per projection.
    """

    v: Array
    spikes: Array
    psi: Array
    y: Array
    error: Array
    weights: dict[str, Array]
    history: dict[str, Array]


class TraceConstants(NamedTuple):
    """Numbers of `PlusRule`, or arrays with one for each synapse; ``gamma`` is 0 where nothing waits for reward."""

    kappa: float | Array
    kappa_reg: float | Array
    cutoff: int | Array
    gamma: float | Array = 0.0
    reward_cutoff: int | Array = 0


class PlusTraces:
    """Traces of synapses, and their gradient since the last arrival, in arrays of one shape; the last axis is that of arrivals.

    Parameters
    ----------
    shape
        [n_post, n_pre], or [n] of any list of synapses.
    constants
        They broadcast to this shape.
    """

    def __init__(self, shape: tuple[int, ...], constants: TraceConstants):
        self.constants = constants
        self.e_bar, self.e_bar_reg, self.gradient = (np.zeros(shape) for _ in range(3))
        self.e_reward = np.zeros(shape if np.any(constants.gamma) else (0,))
        self.last = np.full(shape[-1], NEVER)

    def arrive(self, arriving: Booleans, step: int) -> None:
        """Spikes arrive, and the gradient begins anew."""
        self.last[arriving] = step
        self.gradient[..., arriving] = 0.0

    def within(self, cutoff: int | Array, step: int) -> Booleans:
        """Where entry ``step - 1`` lies within a cutoff of the last arrival."""
        return np.asarray((self.last != NEVER) & (step - self.last < cutoff))

    def active(self, step: int) -> Booleans:
        """Where entry ``step - 1`` counts."""
        return self.within(self.constants.cutoff, step)

    def filter(self, e: Array) -> tuple[Array, Array]:
        """Filter eligibilities; returns what learning signals multiply, and what the regularisation of rates multiplies."""
        c = self.constants
        self.e_bar = c.kappa * self.e_bar + e
        self.e_bar_reg = c.kappa_reg * self.e_bar_reg + (1.0 - c.kappa_reg) * e
        return self.e_bar, self.e_bar_reg

    def entry(self, learning: Array, regularisation: Array, reward: float | Array, step: int) -> tuple[Array, Booleans]:
        """Entry ``step - 1`` of the gradient, and where it counts.

        Parameters
        ----------
        learning, regularisation
            What learning signals make of the traces, and the part of regularisation; in the shape of the traces.
        reward
            What is told with this entry.
        step
            The step in which the errors of this entry are computed.
        """
        c, active = self.constants, self.active(step)
        entry = np.where(active, learning + regularisation, 0.0)
        if not self.e_reward.size:
            return entry, active
        self.e_reward = c.gamma * self.e_reward + np.where(active, learning, 0.0)
        waiting = self.within(c.reward_cutoff, step)
        rewarded = np.where(waiting, reward * self.e_reward, 0.0) + np.where(active, regularisation, 0.0)
        waits = np.greater(c.gamma, 0.0)
        return np.where(waits, rewarded, entry), np.where(waits, waiting, active)


class Projection:
    """Weights of one projection, its traces, and the optimiser at work; all [n_post, n_pre]."""

    def __init__(self, weights: Array, mask: Booleans, rule: PlusRule, cutoff: int):
        self.mask, self.each_step = mask, rule.each_step
        self.weights = np.where(mask, weights, 0.0)
        # With `each_step` the optimiser works on these; they become the weights at the next arrival.
        self.coming = self.weights.copy()
        self.descent = Descent(rule.optimizer, weights.shape)
        self.traces = PlusTraces(weights.shape, rule.trace_constants(cutoff))
        self.z_bar, self.eps = np.zeros(weights.shape), np.zeros(weights.shape)

    def arrive(self, arrivals: Array, step: int, plastic: bool) -> Array:
        """Update the synapses whose presynaptic spikes arrive, and return the input they give, [n_post]."""
        if plastic:
            self._update(np.flatnonzero((arrivals > 0.0) & (self.traces.last != NEVER)), step)
        self.traces.arrive(arrivals > 0.0, step)
        return np.asarray(self.weights @ arrivals)

    def _update(self, columns: Integers, step: int) -> None:
        if not self.each_step:
            self.descent.update(self.coming, self.traces.gradient[:, columns], columns, step - 1)
        self.weights[:, columns] = np.where(self.mask[:, columns], self.coming[:, columns], 0.0)

    def filter(self, arrivals: Array, target: LIF | Readout, dt: float) -> None:
        """Filter the spikes that arrive."""
        alpha, zeta = (per_neuron(value, len(self.z_bar)) for value in (target.alpha(dt), target.zeta(dt)))
        self.z_bar = alpha * self.z_bar + zeta * arrivals

    def eligibility(self, neuron: LIF, psi: Array, step: int, dt: float) -> Array:
        """Eligibility of entry ``step - 1`` at synapses onto neurons."""
        beta, rho = per_neuron(neuron.beta, psi.size), per_neuron(neuron.rho(dt), psi.size)
        e = np.where(self.traces.active(step), psi[:, None] * (self.z_bar - beta * self.eps), 0.0)
        self.eps = rho * self.eps + e
        return e

    def gather(self, learning: Array, regularisation: Array, reward: float, step: int) -> None:
        """Add entry ``step - 1`` of the gradient, before spikes arrive in the step after; see `PlusTraces.entry`."""
        entry, counts = self.traces.entry(learning, regularisation, reward, step)
        if self.each_step:
            columns = np.flatnonzero(counts)
            self.descent.update(self.coming, entry[:, columns], columns, step)
        else:
            self.traces.gradient += entry


def simulate(
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike,
    weights: Mapping[str, npt.ArrayLike],
    feedback: npt.ArrayLike | str,
    neuron: LIF,
    readout: Readout,
    rule: PlusRule,
    *,
    window: npt.ArrayLike | None = None,
    signals: npt.ArrayLike | None = None,
    modulator: npt.ArrayLike | None = None,
    reward: npt.ArrayLike | None = None,
    plastic: Collection[str] = PROJECTIONS,
    masks: Mapping[str, npt.ArrayLike] | None = None,
    dt: float = 1.0,
    record_weights: bool = False,
) -> Run:
    """Run a recurrent network that learns by e-prop+.

    Parameters
    ----------
    inputs
        [T, n_in], 1 where an input neuron emits a spike.
    targets
        [T, K], what the outputs are compared with in the same step.
    weights
        ``"input"`` [N, n_in], ``"recurrent"`` [N, N] and ``"readout"`` [K, N] in mV.
    feedback
        [N, K], or ``"symmetric"`` for the transposed readout weights.
    neuron, readout, rule
        Parameters.
    window
        [T], or [T, K] for each readout its own: factor of the error signals, of any sign, 0 outside; ``None``: 1.
    signals, modulator, reward
        [T, N], [T] and [T], what is told from outside in each step; ``None``: nothing.
    plastic
        The projections that learn.
    masks
        Which synapses exist, per projection; ``None``: all, but a neuron has none to itself unless a mask says so.
    dt
        Step in ms.
    record_weights
        Keep the weights of every step.

    Returns
    -------
    Run
        Activity, errors and weights.
    """
    network = _Network(weights, feedback, neuron, readout, rule, masks, dt)
    n_steps = len(np.asarray(targets))
    happened = network.rows(inputs, targets, window=window, signals=signals, modulator=modulator, reward=reward)
    history: dict[str, list[Array]] = {name: [] for name in PROJECTIONS if record_weights}
    for s in range(n_steps):
        network.learn(happened, s)
        network.advance(happened, s, plastic)
        for name, of_steps in history.items():
            of_steps.append(network.projections[name].weights.copy())
    ran = _Rows(*(part[PAST:] for part in happened))
    final = {name: p.weights for name, p in network.projections.items()}
    return Run(ran.v, ran.spikes, ran.psi, ran.y, ran.error, final, {name: np.array(h) for name, h in history.items()})


class _Rows(NamedTuple):
    """What is given and what happens in each step, [steps, ...]; the first `PAST` rows are those of a silence before."""

    inputs: Array
    targets: Array
    window: Array
    signals: Array
    modulator: Array
    reward: Array
    v: Array
    spikes: Array
    psi: Array
    rate: Array
    y: Array
    error: Array


class _Network:
    """A network at work; parameters as of `simulate`."""

    def __init__(
        self,
        weights: Mapping[str, npt.ArrayLike],
        feedback: npt.ArrayLike | str,
        neuron: LIF,
        readout: Readout,
        rule: PlusRule,
        masks: Mapping[str, npt.ArrayLike] | None,
        dt: float,
    ):
        self.feedback, self.neuron, self.readout, self.rule, self.dt = feedback, neuron, readout, rule, dt
        self.projections = {}
        for name, mask in existing(weights, masks).items():
            cutoff = rule.cutoff_of_readouts if name == "readout" else rule.cutoff
            self.projections[name] = Projection(np.asarray(weights[name], dtype=float), mask, rule, cutoff)
        n_out, n = self.projections["readout"].weights.shape
        self.state, self.output, self.f = initial_state(neuron, n), np.full(n_out, start(readout)), np.zeros(n)

    def rows(self, inputs: npt.ArrayLike, targets: npt.ArrayLike, **given: npt.ArrayLike | None) -> _Rows:
        """What is given, and room for what happens."""
        targets = np.asarray(targets, dtype=float)
        (n_steps, n_out), n = targets.shape, self.f.size
        silent = {"window": np.ones(n_steps), "signals": np.zeros((n_steps, n)), "modulator": np.ones(n_steps)}
        silent["reward"] = np.zeros(n_steps)
        told = {name: none if given[name] is None else np.asarray(given[name], float) for name, none in silent.items()}
        told["window"] = of_readouts(told["window"])
        room = {name: np.zeros((n_steps, n)) for name in ("v", "spikes", "psi", "rate")}
        room |= {name: np.zeros((n_steps, n_out)) for name in ("y", "error")}
        parts = {"inputs": np.asarray(inputs, dtype=float), "targets": targets} | told | room
        return _Rows(
            **{name: np.concatenate([np.zeros((PAST, *part.shape[1:])), part]) for name, part in parts.items()}
        )

    def learn(self, happened: _Rows, s: int) -> None:
        """Add entry ``s - 2`` of the gradient, in step ``s``."""
        into, rec, out = (self.projections[name] for name in PROJECTIONS)
        now = s + PAST
        errors = feedback_matrix(self.feedback, out.weights) @ happened.error[now - 1]
        learning = happened.modulator[now] * (errors + happened.signals[now])
        into.filter(happened.inputs[now - 3], self.neuron, self.dt)
        rec.filter(happened.spikes[now - 3], self.neuron, self.dt)
        out.filter(happened.spikes[now - 3], self.readout, self.dt)
        for hidden in (into, rec):
            e_bar, e_bar_reg = hidden.traces.filter(
                hidden.eligibility(self.neuron, happened.psi[now - 2], s - 1, self.dt)
            )
            regularisation = happened.rate[now - 2][:, None] * e_bar_reg
            hidden.gather(learning[:, None] * e_bar, regularisation, happened.reward[now], s - 1)
        # These are the errors of the step before that, and so is the reward.
        out.gather(
            happened.error[now - 2][:, None] * out.z_bar, np.zeros_like(out.z_bar), happened.reward[now - 1], s - 1
        )

    def advance(self, happened: _Rows, s: int, plastic: Collection[str]) -> None:
        """Step ``s``: spikes arrive, neurons and readouts step, errors follow."""
        into, rec, out = (self.projections[name] for name in PROJECTIONS)
        now, rule, neuron, readout = s + PAST, self.rule, self.neuron, self.readout
        x = into.arrive(happened.inputs[now - 1], s, "input" in plastic)
        x = x + rec.arrive(happened.spikes[now - 1], s, "recurrent" in plastic)
        self.state, happened.psi[now] = step_neurons(neuron, self.state, x, s, self.dt)
        x = out.arrive(happened.spikes[now - 1], s, "readout" in plastic)
        self.output = step_readouts(readout, self.output, x, s, self.dt)
        happened.v[now], happened.spikes[now] = self.state.v + neuron.e_l, self.state.z
        happened.y[now] = self.output + readout.e_l
        self.f = rule.kappa_reg * self.f + (1.0 - rule.kappa_reg) * self.state.z
        happened.rate[now] = rule.c_reg * (self.f - rule.f_target * self.dt / 1000.0)
        error = error_signal(readout.loss, happened.y[now], happened.targets[now])
        happened.error[now] = happened.window[now] * error
