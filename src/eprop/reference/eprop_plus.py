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
from eprop.reference.optimizers import Descent, GradientDescent, Optimizer

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


class Synapses:
    """Weights of one projection, and the traces its synapses carry; all [n_post, n_pre]."""

    def __init__(self, weights: Array, mask: npt.NDArray[np.bool_], rule: PlusRule, cutoff: int):
        self.mask = mask
        self.weights = np.where(mask, weights, 0.0)
        self.rule, self.cutoff = rule, cutoff
        # With `each_step` the optimiser works on these; they become the weights at the next arrival.
        self.coming = self.weights.copy()
        self.descent = Descent(rule.optimizer, weights.shape)
        self.gradient = np.zeros(weights.shape)
        self.e_bar, self.e_bar_reg, self.eps = (np.zeros(weights.shape) for _ in range(3))
        if rule.reward is not None:
            self.e_reward = np.zeros(weights.shape)
        self.z_bar = np.zeros(weights.shape)
        self.last = np.full(weights.shape[1], NEVER)

    def arrive(self, arrivals: Array, step: int, plastic: bool) -> Array:
        """Update the synapses whose presynaptic spikes arrive, and return the input they give, [n_post]."""
        for i in np.flatnonzero(arrivals).tolist():
            if plastic and self.last[i] != NEVER:
                self._update(i, step)
            self.last[i] = step
            self.gradient[:, i] = 0.0
        return np.asarray(self.weights @ arrivals)

    def _update(self, i: int, step: int) -> None:
        if not self.rule.each_step:
            self.descent.update(self.coming, self.gradient[:, i], i, step - 1)
        self.weights[:, i] = np.where(self.mask[:, i], self.coming[:, i], 0.0)

    def active(self, step: int) -> npt.NDArray[np.bool_]:
        """Columns for which entry ``step - 1`` counts, [n_pre]."""
        return (self.last != NEVER) & (step - self.last < self.cutoff)

    def gather(self, learning: Array, regularisation: Array, reward: float, step: int) -> None:
        """Add entry ``step - 1`` of the gradient, before spikes arrive in the step after.

        What learning signals make of traces, and the part of regularisation, both [n_post, n_pre]; the reward that is told then.
        """
        active = self.active(step)
        entry = learning + regularisation
        if self.rule.reward is not None:
            self.e_reward = self.rule.reward.gamma * self.e_reward + np.where(active, learning, 0.0)
            entry = reward * self.e_reward + np.where(active, regularisation, 0.0)
            active = (self.last != NEVER) & (step - self.last < self.rule.reward.cutoff)
        entry = np.where(self.mask & active, entry, 0.0)
        if not self.rule.each_step:
            self.gradient += entry
            return
        for i in np.flatnonzero(active).tolist():
            self.descent.update(self.coming, entry[:, i], i, step)


def hidden_entry(
    s: Synapses, neuron: LIF, psi: Array, learning: Array, rate: Array, step: int, dt: float
) -> tuple[Array, Array]:
    """Step the traces of hidden synapses through entry ``step - 1``; returns the entry's two parts, see `Synapses.gather`."""
    rule = s.rule
    beta, rho = per_neuron(neuron.beta, psi.size), per_neuron(neuron.rho(dt), psi.size)
    e = np.where(s.active(step), psi[:, None] * (s.z_bar - beta * s.eps), 0.0)
    s.eps = rho * s.eps + e
    s.e_bar = rule.kappa * s.e_bar + e
    s.e_bar_reg = rule.kappa_reg * s.e_bar_reg + (1.0 - rule.kappa_reg) * e
    return learning[:, None] * s.e_bar, rate[:, None] * s.e_bar_reg


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
    network = PlusNetwork(weights, feedback, neuron, readout, rule, plastic=plastic, masks=masks, dt=dt)
    told = {"signals": signals, "modulator": modulator, "reward": reward}
    return network.run(inputs, targets, window=window, **told, record_weights=record_weights)


class PlusNetwork:
    """A recurrent network that learns by e-prop+, to be run piece by piece; parameters as of `simulate`."""

    def __init__(
        self,
        weights: Mapping[str, npt.ArrayLike],
        feedback: npt.ArrayLike | str,
        neuron: LIF,
        readout: Readout,
        rule: PlusRule,
        *,
        plastic: Collection[str] = PROJECTIONS,
        masks: Mapping[str, npt.ArrayLike] | None = None,
        dt: float = 1.0,
    ):
        self.feedback, self.neuron, self.readout, self.rule = feedback, neuron, readout, rule
        self.plastic, self.dt = plastic, dt
        self.synapses = _synapses(weights, masks, rule)
        n_in, n = self.synapses["input"].weights.shape[1], self.synapses["recurrent"].weights.shape[0]
        n_out = self.synapses["readout"].weights.shape[0]
        self.step = 0
        self.state, self.output, self.f = initial_state(neuron, n), np.full(n_out, start(readout)), np.zeros(n)
        self.x, self.z, self.psi, self.rate = (np.zeros((PAST, size)) for size in (n_in, n, n, n))
        if rule.reward is not None:
            self.reward_before = np.zeros(1)  # told in the step before
        self.error = np.zeros((PAST, n_out))

    def run(
        self,
        inputs: npt.ArrayLike,
        targets: npt.ArrayLike,
        *,
        window: npt.ArrayLike | None = None,
        signals: npt.ArrayLike | None = None,
        modulator: npt.ArrayLike | None = None,
        reward: npt.ArrayLike | None = None,
        record_weights: bool = False,
    ) -> Run:
        """Go on from where the last run ended."""
        inputs, targets = np.asarray(inputs, dtype=float), np.asarray(targets, dtype=float)
        n_steps, (n, dt) = len(targets), (self.f.size, self.dt)
        open_ = of_readouts(np.ones(n_steps) if window is None else np.asarray(window, dtype=float))
        told = np.zeros((n_steps, n)) if signals is None else np.asarray(signals, dtype=float)
        factor = np.ones(n_steps) if modulator is None else np.asarray(modulator, dtype=float)
        rewards = np.zeros(n_steps) if reward is None else np.asarray(reward, dtype=float)
        into, rec, out = (self.synapses[name] for name in PROJECTIONS)
        v, y = np.zeros((n_steps, n)), np.zeros((n_steps, self.output.size))
        x = np.vstack([self.x, inputs])
        z, psi, rate, error = (
            np.vstack([old, np.zeros((n_steps, old.shape[1]))]) for old in (self.z, self.psi, self.rate, self.error)
        )
        history = {
            name: np.zeros((n_steps, *self.synapses[name].weights.shape)) for name in PROJECTIONS if record_weights
        }
        for i, now in enumerate(range(PAST, n_steps + PAST)):  # the first rows are of the past
            s, before = self.step, now - 1
            if s > 1:
                learning = factor[i] * (feedback_matrix(self.feedback, out.weights) @ error[before] + told[i])
                _filter(into, x[now - 3], self.neuron, dt)
                _filter(rec, z[now - 3], self.neuron, dt)
                _filter(out, z[now - 3], self.readout, dt)
                for hidden in (into, rec):
                    entry = hidden_entry(hidden, self.neuron, psi[now - 2], learning, rate[now - 2], s - 1, dt)
                    hidden.gather(*entry, rewards[i], s - 1)
                # These are the errors of the step before that, and so is the reward.
                before_that = self.reward_before[0] if self.rule.reward else 0.0
                out.gather(error[now - 2][:, None] * out.z_bar, np.zeros_like(out.z_bar), before_that, s - 1)
            if self.rule.reward is not None:
                self.reward_before[0] = rewards[i]
            arriving = into.arrive(x[before], s, "input" in self.plastic)
            arriving = arriving + rec.arrive(z[before], s, "recurrent" in self.plastic)
            self.state, psi[now] = step_neurons(self.neuron, self.state, arriving, s, dt)
            arriving = out.arrive(z[before], s, "readout" in self.plastic)
            self.output = step_readouts(self.readout, self.output, arriving, s, dt)
            v[i], z[now], y[i] = self.state.v + self.neuron.e_l, self.state.z, self.output + self.readout.e_l
            self.f = self.rule.kappa_reg * self.f + (1.0 - self.rule.kappa_reg) * self.state.z
            rate[now] = self.rule.c_reg * (self.f - self.rule.f_target * dt / 1000.0)
            error[now] = open_[i] * error_signal(self.readout.loss, y[i], targets[i])
            for name in history:
                history[name][i] = self.synapses[name].weights
            self.step += 1
        self.x, self.z, self.psi, self.rate, self.error = (part[-PAST:].copy() for part in (x, z, psi, rate, error))
        weights = {name: self.synapses[name].weights for name in PROJECTIONS}
        return Run(v, z[PAST:], psi[PAST:], y, error[PAST:], weights, history)


def _synapses(
    weights: Mapping[str, npt.ArrayLike], masks: Mapping[str, npt.ArrayLike] | None, rule: PlusRule
) -> dict[str, Synapses]:
    made = {}
    for name, mask in existing(weights, masks).items():
        cutoff = rule.cutoff_of_readouts if name == "readout" else rule.cutoff
        made[name] = Synapses(np.asarray(weights[name], dtype=float), mask, rule, cutoff)
    return made


def _filter(s: Synapses, arrivals: Array, target: LIF | Readout, dt: float) -> None:
    alpha, zeta = (per_neuron(value, len(s.z_bar)) for value in (target.alpha(dt), target.zeta(dt)))
    s.z_bar = alpha * s.z_bar + zeta * arrivals
