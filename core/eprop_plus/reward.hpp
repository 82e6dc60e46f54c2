// Silent synapses with a reward trace from their last spikes.
//
// One cutoff after its last spike, nothing is added to a synapse's reward trace e_reward any more. The trace decays by gamma, and
// rewards keep turning it into a gradient, g += r e_reward. The factor is one number for all synapses of a branch
// (`reward_factor`); the same holds for synapses onto readouts. This ends with the next spike, or with the reward cutoff; until
// then `pending` has the gradient.
#pragma once
#include "eprop_plus/branches.hpp"
#include "eprop_plus/rewards.hpp"

namespace eprop {

// The first step whose reward belongs to a silence that began in step `begin`: the product of a readout's error and its spikes is
// one step later than that of a neuron (readout_synapses.hpp).
inline Index first_rewarded(const DelayGroup& group, Index begin) { return begin - (group.onto_readouts ? 1 : 0); }

// Effect of a silence that began one cutoff after the last spike of a branch and ends with a spike.
template <class Real> struct WaitingSilence {
  Real gamma = 1, reward_factor = 0;  // decay of the reward trace; its factor to the gradient, 0 if already counted
};

template <class Real> WaitingSilence<Real> waiting_silence(const GroupStep<Real>& step, Index last) {
  const DelayGroup& group = step.group;
  const Index begin = last + group.cutoff;
  WaitingSilence<Real> out{static_cast<Real>(gamma_power(step.state.topology, group.trace_group, step.t - begin))};
  if (group.per_step_optimizer || step.t - last > group.reward_cutoff) return out;
  out.reward_factor = static_cast<Real>(
      reward_factor(step.state, group.trace_group, first_rewarded(group, begin), first_rewarded(group, step.t)));
  return out;
}

// Ends the silence of N synapses; returns the gradient, which no longer waits.
template <int N, class Real>
EPROP_INLINE Vector<Real, N> end_wait(const SynapsePointers<Real>& s, Index synapse, const WaitingSilence<Real>& silence) {
  const Vector<Real, N> waiting = load<N>(s.trace_reward + synapse);
  const Vector<Real, N> g = load<N>(s.pending + synapse) + waiting * silence.reward_factor;
  store<N, Real>(s.trace_reward + synapse, waiting * silence.gamma);
  store<N, Real>(s.pending + synapse, broadcast<N>(Real(0)));
  return g;
}

// Steps of a per-step optimiser from one cutoff after step `last`, in which the last spike arrived, to this step: g = r e_reward,
// with a decay of gamma per step. The stored reward trace does not change.
template <class Real> void replay_waiting(const GroupStep<Real>& step, Index begin, Index end, Index last) {
  OnlineState<Real>& state = step.state;
  const DelayGroup& group = step.group;
  const double gamma = state.topology.trace_groups[group.trace_group].gamma;
  OwedSteps& owed = state.plus.owed[step.partition];
  SynapseChunk<double> chunk;
  double waiting[chunk.kMost];
  for (Index synapse = begin; synapse < end; synapse += chunk.size) {
    chunk.size = std::min(end - synapse, chunk.kMost);
    read_chunk(state.synapses, synapse, chunk);
    std::copy_n(state.synapses.trace_reward.data + synapse, chunk.size, waiting);
    for (Index now = last + group.cutoff; now < step.t; now++) {
      const double reward = reward_of_step(state.history.rewards, first_rewarded(group, now));
      for (Index i = 0; i < chunk.size; i++) chunk.gradient[i] = reward * (waiting[i] *= gamma);
      owed.prepare(now - 1, now, group.optimizer);
      take_steps(owed, chunk);
    }
    write_chunk(chunk, synapse, state.synapses);
  }
}

// Branches whose last spike arrived one reward cutoff ago: their gradients are final. Gradient descent applies them at once;
// other optimisers apply them at the next spike. The stored reward trace does not change.
template <class Real> void finalise_unrewarded(const GroupStep<Real>& step) {
  const BranchList<ExpiredBranch> branches = step.unrewarded();
  if (branches.count == 0) return;
  const DelayGroup& group = step.group;
  const SynapsePointers<Real> s = pointers_of(step);
  const Index begin = step.t - group.reward_cutoff + group.cutoff;
  const Real factor = static_cast<Real>(
      reward_factor(step.state, group.trace_group, first_rewarded(group, begin), first_rewarded(group, step.t)));
  const Descent<Real> d = descent_of<Real>(group.optimizer);
  const bool now = descends(group);
  for (Index k = 0; k < branches.count; k++) {
    if (group.per_step_optimizer) {
      replay_waiting(step, branches.begin(k), branches.end(k), step.t - group.reward_cutoff);
      continue;
    }
    for (Index synapse = branches.begin(k); synapse < branches.end(k); synapse++) {
      const Real g = s.pending[synapse] + factor * s.trace_reward[synapse];
      s.pending[synapse] = now ? Real(0) : g;
      if (now) s.weight[synapse] = clip<1, Real>(s.weight[synapse] - d.eta * g, d.w_min, d.w_max);
    }
  }
}

}  // namespace eprop
