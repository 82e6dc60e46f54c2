"""e-prop+ of any network: entries of the gradient while it runs on, see `eprop.reference.eprop_plus`."""

from __future__ import annotations

import numpy as np

from eprop.engine import Samples
from eprop.engine.build.built import Built
from eprop.engine.build.records import Rule
from eprop.network import Network
from eprop.reference.eprop_plus import NEVER, PlusTraces, TraceConstants
from eprop.reference.forward import Activity, Forward
from eprop.reference.learning_signals import Outside, arriving_errors, signal_delays
from eprop.reference.synapses import Synapses
from eprop.reference.weight_updates import WeightUpdates
from eprop.rules import EPropPlus


class Streaming:
    """Lets a network run on from where it is, learning at every spike.

    Parameters
    ----------
    network : Network
    built : Built
    synapses : Synapses
    forward : Forward
    updates : WeightUpdates
    weight : (synapses,)
        mV; changes.

    Attributes
    ----------
    step : int
        Steps since rest.
    activity : Activity
        The last steps, as many as are still on their way, and the present state.
    traces : PlusTraces
    eps, e, coming : (d, synapses), (synapses,), (synapses,)
        Eligibility vectors, eligibilities, and the weights that an optimiser with a step in every time step works on.
    f : (neurons,)
        Filtered rates, spikes per step.
    reward : (1,)
        What was told in the step before.
    """

    def __init__(
        self,
        network: Network,
        built: Built,
        synapses: Synapses,
        forward: Forward,
        updates: WeightUpdates,
        weight: np.ndarray,
    ):
        self._network, self._built, self._synapses, self._forward, self._updates = (
            network,
            built,
            synapses,
            forward,
            updates,
        )
        self._weight, self._each, self._delays = weight, updates.each_step(), signal_delays(built)
        self._plastic = synapses.rule == Rule.eprop_plus
        self._constants, c_reg, f_target = self._constants_of_synapses()
        # Of neurons; those that none of these synapses reach have no regularisation.
        self._kappa_reg, self._c_reg, self._f_target = (
            self._of_neurons(np.asarray(values)) for values in (self._constants.kappa_reg, c_reg, f_target)
        )
        self.restart()

    def restart(self) -> None:
        """To rest."""
        s = self._synapses
        # Errors and spikes take so many steps, and learning looks at the activity of the step before the last one.
        past = 2 + int(max(s.branch_delay.max(initial=0), self._delays.max(initial=0)))
        self.step, self.activity = 0, self._forward.rest(0, past)
        self.traces = PlusTraces((s.source.size,), self._constants)
        self.eps, self.e = np.zeros((s.size, s.source.size)), np.zeros(s.source.size)
        self.coming, self.f, self.reward = self._weight.copy(), np.zeros(self._built.n_neurons), np.zeros(1)
        self._updates.restart()

    def run(self, samples: Samples, index: int, weights: np.ndarray | None = None) -> Activity:
        """Learn from a sample; ``weights`` (steps, synapses) takes those in use after the arrivals of each step."""
        state = self._forward.after(self.activity, samples.n_steps)
        outside = Outside.of(self._network, self._built, samples, index)
        self._forward.emit(samples, index, state, self.step)
        for t in range(samples.n_steps):
            now = state.past + t
            self._learn(state, now, outside.modulator[t], outside.signals[t], float(outside.reward[t]))
            arriving = self._synapses.arriving(state.spikes, now)
            self._arrive(arriving)
            self._forward.step(t, arriving, state, samples, index)
            z = self._forward.spikes_of_neurons(state.spikes[now : now + 1])[0].astype(float)
            self.f = self._kappa_reg * self.f + (1.0 - self._kappa_reg) * z
            state.rate[now] = self._c_reg * (self.f - self._f_target)
            if weights is not None:
                weights[t] = self._weight
            self.step += 1
        self.activity = self._forward.after(state, 0)
        return state

    def _learn(self, state: Activity, now: int, modulator: float, signals: np.ndarray, reward: float) -> None:
        """Add entry ``now - 2`` of the gradient, before the spikes of step ``now`` arrive."""
        s, traces = self._synapses, self.traces
        arriving_then = s.arriving(state.spikes, now - 2)
        self.eps = s.filtered(self.eps, self.e, arriving_then)
        none = np.zeros(s.n_readouts)
        psi = np.append(state.psi[now - 2], np.ones(s.n_readouts))[s.target]
        self.e = np.where(self._plastic & traces.active(self.step - 1), psi * s.reached(self.eps), 0.0)
        e_bar, e_bar_reg = traces.filter(self.e)
        learning = modulator * (arriving_errors(state.error, now, self._delays, self._updates.feedback()) + signals)
        # Errors of a readout are those of the step before, and so is the reward.
        learning = np.append(learning, state.error[now - 2])[s.target]
        rewards = np.where(s.onto_readout, self.reward[0], reward)
        rate = np.append(state.rate[now - 2], none)[s.target]
        entry, counts = traces.entry(learning * e_bar, rate * e_bar_reg, rewards, self.step - 1)
        traces.gradient += entry
        self._updates.update(counts & self._each, entry, self.step - 1, self.coming)
        self.reward[0] = reward

    def _arrive(self, arriving: np.ndarray) -> None:
        """Spikes arrive at synapses, whose weights change first."""
        each, learned = self._each, arriving & self._plastic & (self.traces.last != NEVER)
        self._updates.update(learned & ~each, self.traces.gradient, self.step - 1, self._weight)
        self._weight[arriving & each] = self.coming[arriving & each]
        self._updates.fade_offsets(arriving)
        self.traces.arrive(arriving, self.step)

    def _constants_of_synapses(self) -> tuple[TraceConstants, np.ndarray, np.ndarray]:
        """Constants of the traces of each synapse, its regularisation, and the rate that this pulls to (spikes per step)."""
        out, dt = np.zeros((7, self._synapses.source.size)), self._network.dt
        for p in self._updates.plastic:
            if isinstance(p.rule, EPropPlus):
                cutoff, reward = round(p.rule.cutoff / dt), p.rule.reward
                out[:, self._updates.parts[p.index]] = np.array([
                    p.rule.kappa, p.rule.kappa_regularisation, cutoff, reward.decay(dt) if reward else 0.0,
                    reward.cutoff_steps(dt, cutoff) if reward else 0, p.rule.c_reg, p.rule.f_target * dt / 1000.0,
                ])[:, None]  # fmt: skip
        kappa, kappa_reg, cutoff_steps, gamma, reward_cutoff, c_reg, f_target = out
        kappa = np.where(self._synapses.onto_readout, 0.0, kappa)
        return TraceConstants(kappa, kappa_reg, cutoff_steps, gamma, reward_cutoff), c_reg, f_target

    def _of_neurons(self, of_synapses: np.ndarray) -> np.ndarray:
        """Constants of synapses as constants of the neurons that they reach."""
        own = self._plastic & ~self._synapses.onto_readout
        out = np.zeros(self._built.n_neurons)
        out[self._synapses.target[own]] = of_synapses[own]
        return out
