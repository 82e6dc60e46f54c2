"""e-prop+ (Korcsak-Gorzo et al. 2025, arXiv 2511.21674), stepped through time: the traces of synapses.

Timing
------
A spike emitted at step ``s`` *arrives* after its delay and enters the voltage of that step. The learning signal
needs at least one step as well, so *entry* ``tau`` of the gradient of a synapse onto a neuron pairs the
eligibility of step ``tau`` with the errors that arrive in step ``tau + 2``, those of step ``tau + 1`` with a delay of
one step. With the eligibility ``e``::

    e_bar     = kappa e_bar + e(tau),   e_bar_reg = kappa_reg e_bar_reg + (1 - kappa_reg) e(tau)
    g        += L_j(tau + 2) e_bar + c_reg (f_j(tau) - f_target) e_bar_reg
    f_j(tau)  = kappa_reg f_j(tau - 1) + (1 - kappa_reg) z_j(tau)

With ``rate_reg``, regularisation is part of the learning signal: it acts in the steps of which there can be
learning signals, ``w = 1``, and only the rate has a filter of its own::

    g        += (L_j(tau + 2) + w(tau + 2) rate_reg (f_j(tau) - f_target)) e_bar
    f_j(tau)  = kappa_rate f_j(tau - 1) + (1 - kappa_rate) z_j(tau),   kappa_rate = exp(-dt / tau_reg)

and of a readout ``g += E_k(tau) z_bar(tau)``. ``L_j(t) = m(t) (X_j(t) + sum_k B_jk E_k(t - d_jk))`` with external
signals ``X`` and a modulator ``m``. At an arrival ``p`` whose predecessor was ``q`` the weight changes by the entries
``q - 1 .. p - 2``, of which only the first ``cutoff`` count: after these the traces decay and nothing is accumulated.
The new weight is the one that arrives. The first arrival at a synapse changes nothing. The entries after the last
arrival of a run are never applied.

Rates are in spikes per step. (NEST 3.10 divides the spike by ``dt`` but not the target: at ``dt`` other than 1 ms its
parameters must be ``c_reg dt`` and ``f_target / dt`` to mean the same.)

With an `eprop.RewardTrace` learning waits for reward (Bellec et al. 2020, reward-based e-prop)::

    e_reward(tau) = gamma e_reward(tau - 1) + L e_bar(tau)
    g            += reward e_reward(tau) + c_reg (f_j(tau) - f_target) e_bar_reg

and of a readout with ``E_k(tau) z_bar(tau)`` in place of ``L e_bar``. The reward of step ``t`` belongs to the step
before, as errors do: it is multiplied with what the errors of step ``t - 1`` have added. Nothing is added to
``e_reward`` beyond ``cutoff``, but reward counts up to a cutoff of its own.

A synapse that rewiring makes begins with the last arrival ``p``: its traces of entry ``p - 1`` are 0, and so is its eligibility
but for what the source's spikes alone leave in it, where the neurons of the population are alike. If the cutoff has passed since
then, the gradient is 0 until the next arrival.

With symmetric feedback the learning signal uses the readout weights after the updates of the readout synapses in that step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from eprop.network import Network, Population
from eprop.reference.neurons import Array
from eprop.reference.synapses import Booleans, Integers, Synapses
from eprop.rules import EPropPlus

#: Last arrival of a synapse without one: no spike can arrive at step 0.
NEVER = 0


@dataclass(frozen=True)
class PlusConstants:
    """Constants of e-prop+, (synapses,) each; 0 where nothing learns by it.

    Attributes
    ----------
    learns, each_step : bool
        Whether the synapse learns by e-prop+, and its optimiser takes a step in every time step.
    kappa, kappa_reg, kappa_rate, c_reg, rate_reg
    f_target : spikes per step
    cutoff, reward_cutoff : steps
    gamma : 0 without a reward trace
    """

    learns: Booleans
    each_step: Booleans
    kappa: Array
    kappa_reg: Array
    kappa_rate: Array
    c_reg: Array
    rate_reg: Array
    f_target: Array
    cutoff: Integers
    gamma: Array
    reward_cutoff: Integers

    @classmethod
    def of(cls, network: Network, synapses: Synapses, decays: Mapping[str, Array]) -> PlusConstants:
        """The constants of a network; ``decays`` are those of its readouts, by population."""
        learns, each_step = np.zeros((2, len(synapses)), bool)
        kappa, kappa_reg, kappa_rate, c_reg, rate_reg, f_target, gamma = np.zeros((7, len(synapses)))
        cutoff, reward_cutoff = np.zeros((2, len(synapses)), np.int64)
        for p in network.projections:
            if not isinstance(p.rule, EPropPlus):
                continue
            part, rule, dt = synapses.parts[p.name], p.rule, network.dt
            learns[part], each_step[part], cutoff[part] = True, rule.each_step, round(rule.cutoff / dt)
            if rule.reward is not None:
                gamma[part] = np.exp(-dt / rule.reward.tau)
                reward_cutoff[part] = rule.reward.cutoff_steps(dt, round(rule.cutoff / dt))
            if p.post.model.role == "neuron":
                own = _slowest_readout(network, decays, p.post) if rule.kappa is None else rule.kappa
                kappa[part], kappa_reg[part] = own, own if rule.kappa_reg is None else rule.kappa_reg
                if rule.c_reg is None:
                    rate_reg[part], kappa_rate[part] = rule.rate_reg * 1000.0 / dt, np.exp(-dt / rule.tau_reg)
                else:
                    c_reg[part], kappa_rate[part] = rule.c_reg, kappa_reg[part]
                f_target[part] = rule.f_target * dt / 1000.0
        return cls(
            learns, each_step, kappa, kappa_reg, kappa_rate, c_reg, rate_reg, f_target, cutoff, gamma, reward_cutoff
        )


def _slowest_readout(network: Network, decays: Mapping[str, Array], post: Population) -> float:
    """Largest decay of the outputs that send feedback to a population, or else of the first readouts; 0.97 without any."""
    senders = [f.pre.name for f in network.feedback_projections if f.post is post] or list(decays)[:1]
    return max((float(np.max(decays[name])) for name in senders), default=0.97)


class PlusTraces:
    """Traces of synapses, and their gradient since the last arrival; ``moves``: some synapses are made later.

    Attributes
    ----------
    eps : (d, synapses)
        Eligibility vectors.
    e, e_bar, e_bar_reg, e_reward, gradient : (synapses,)
    f : (synapses,)
        Filtered rate of the target of each synapse, spikes per step.
    last : (synapses,) int
        Step of the last arrival, or `NEVER`.
    begins : (synapses,) bool
        Which synapses begin with the last arrival.
    of_source : (d, synapses)
        What the spikes of the source alone leave in the eligibility vectors of neurons that are alike.
    """

    def __init__(self, synapses: Synapses, constants: PlusConstants, *, moves: bool = False):
        self._synapses, self._constants, self._moves = synapses, constants, moves
        self._alike = synapses.onto_neurons_alike()
        self.begins = np.zeros(len(synapses), bool)
        self.eps, self.of_source = np.zeros((2, synapses.n_components, len(synapses)))
        self.e, self.e_bar, self.e_bar_reg, self.e_reward, self.gradient, self.f = np.zeros((6, len(synapses)))
        self.last = np.full(len(synapses), NEVER)

    def arrive(self, arriving: Booleans, step: int) -> None:
        """Spikes arrive, and the gradient starts again."""
        self.last[arriving] = step
        self.gradient[arriving] = 0.0

    def clear(self, where: Booleans) -> None:
        """Traces of some synapses begin."""
        for trace in (self.e, self.e_bar, self.e_bar_reg, self.e_reward):
            trace[where] = 0.0
        self.eps[:, where] = np.where(self._alike, self.of_source, 0.0)[:, where]

    def make(self, where: Booleans, fresh: PlusTraces, now: int) -> None:
        """Synapses that are made before step ``now`` take the traces of those that begin with each arrival."""
        for name in ("e", "e_bar", "e_bar_reg", "e_reward", "gradient", "eps"):
            getattr(self, name)[..., where] = getattr(fresh, name)[..., where]
        self.begins[where] = self.last[where] == now - 1  # not yet in the traces
        late = where & (now - self.last > self._constants.cutoff)
        self.clear(late)
        self.gradient[late] = 0.0

    def within(self, cutoff: Integers, tau: int) -> Booleans:
        """Where entry ``tau`` lies within a cutoff of the last arrival."""
        return np.asarray((self.last != NEVER) & (tau + 1 - self.last < cutoff))

    def filter(self, arriving: Booleans, psi: Array, tau: int) -> None:
        """Traces of entry ``tau``, with the arrivals and the surrogate gradients (synapses,) of that step."""
        c, s = self._constants, self._synapses
        self.eps = s.filtered(self.eps, self.e, arriving)
        if self._moves:
            self.of_source = s.filtered(self.of_source, 0.0, arriving)
        self.e = np.where(c.learns & self.within(c.cutoff, tau), psi * s.reached(self.eps), 0.0)
        self.e_bar = c.kappa * self.e_bar + self.e
        self.e_bar_reg = c.kappa_reg * self.e_bar_reg + (1.0 - c.kappa_reg) * self.e
        if self._moves:
            self.clear(self.begins & (self.last == tau + 1))

    def entry(self, learning: Array, reward: Array, taught: float, tau: int) -> tuple[Array, Booleans]:
        """Entry ``tau`` of the gradient, and where it counts, for the learning signals and the rewards of the synapses.

        The rate is that of step ``tau``; ``taught`` is that of step ``tau + 2``, see `External`.
        """
        c = self._constants
        active = self.within(c.cutoff, tau)
        learned = np.where(active, learning * self.e_bar, 0.0)
        excess = self.f - c.f_target
        regularisation = np.where(active, excess * (c.c_reg * self.e_bar_reg + taught * c.rate_reg * self.e_bar), 0.0)
        waits = c.gamma > 0.0
        if not waits.any():
            return learned + regularisation, active
        self.e_reward = c.gamma * self.e_reward + np.where(waits, learned, 0.0)
        rewarded = self.within(c.reward_cutoff, tau)
        entry = np.where(waits, np.where(rewarded, reward * self.e_reward, 0.0), learned) + regularisation
        return entry, np.where(waits, rewarded, active)

    def filter_rates(self, z: Array) -> None:
        """Rates of a step, with the spikes ``z`` (synapses,) of the targets in this step."""
        kappa = self._constants.kappa_rate
        self.f = kappa * self.f + (1.0 - kappa) * z
