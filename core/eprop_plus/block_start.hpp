// Block-start states: the state of an e-prop+ synapse between spikes, moved back to the start of the block.
//
// When a spike arrives in step t, the block of steps with t has already begun, and the propagator from its start to t is known. A
// synapse applies the propagator backward and stores the state that it would have had at the start of the block: its block-start
// state. The next spike advances this state in two parts. The first part leads to the start of the spike's block: all synapses
// whose last spikes were in the same block share its propagator, which stays valid for the rest of the present block. The second
// part leads to the spike's step: all spikes of the step share its propagator. No propagator starts at the step of a last spike.
// So a step uses as many propagators as the cutoff has blocks, not as many as it has steps, and computes one of them. They stay
// in the cache, for any order of spikes and any delays.
//
// A synapse need not move back from its own step to the start of the block, because it has just been there. The only change is
// the arriving spike, whose effect at the start of the block depends only on the target (corrections.hpp).
//
// From the block start to t, a trace collects a gradient that no spike has caused yet: the premature gradient. It is subtracted
// from the weight (with moments, from `pending`) at once, so that the next gradient can be computed from the start of the block.
// History::eta stores the learning rate of this subtraction; effective_weights.hpp recovers the weight as of the last spike.
// Weights of few bits are between two levels in between.
//
// With reward traces (rewards.hpp), the reward trace is moved back as well, and the premature gradient is subtracted from
// `pending` with every optimiser. The reason: after the cutoff, rewards alone keep adding to the gradient of an interval, until a
// spike or the reward cutoff (eprop_plus/after_cutoff.hpp), and the bounds must apply to the whole gradient at once. So stored
// weights are always effective weights.
//
// A single own component of a synapse (n_own = 1) is moved back by dividing by its decay over the block. The build decides
// whether this decay always stays away from zero. If not, synapses cross the rest of their block instead (crossing.hpp).
#pragma once
#include "eprop_plus/bounds.hpp"

namespace eprop {

// ------------------------------------------------------------------------------------------------------- arriving spikes

// N synapses advance from their block-start state to the start of this block and to this step, update, deliver, and store the
// state at the start of this block with the corrections (C) of the arriving spike:
//     g_s = GE e_s + G (z_s, own_s)    w <- clip(w - eta (g + g_s))    x += w
//     e_0 = e_s + C_E    own_0 = own_s + C_A    w_0 = w + eta (g_s + C_Q)
// With moments, and with reward, the premature gradient goes into `pending`, which is part of the next gradient. `given` is null,
// or has gradients for one synapse after the other, which take the place of their own unless they are NaN (bounds.hpp).
template <Kind K, int N, class Real> EPROP_INLINE void learn_synapses(const SynapsePointers<Real>& s, Index synapse,
                                                                      const AdvancingBranch<Real>& branch,
                                                                      const PendingSteps<Real>& pending, const Real* given) {
  constexpr int size = static_cast<int>(record_size(K.n_corrections()));
  const std::uint32_t* targets = s.targets + synapse;
  Values<Real, N> v = read_values<K, N>(s, synapse);
  Vector<Real, N> g = broadcast<N>(Real(0));
  if (branch.from_earlier_block) g = go_through<K, N>(branch.to_block, targets, v);
  Vector<Real, N> m[size];
  load_records<N, K.n_corrections(), size>(branch.to_end.copies, targets, m);
  Vector<Real, N> premature = collect<K, K.C_GE(), K.C_GR(), K.C_G(), N>(m, v, branch.to_end);
  g += premature;
  premature += m[K.C_Q()];
  v.e += m[K.C_E()];
  if constexpr (K.two_kappas) v.rate += m[K.C_R()];
  if constexpr (K.n_own > 0) v.own += m[K.C_A()];
  if constexpr (K.reward) v.waiting += m[K.C_S()];
  write_values<K, N>(s, synapse, v);
  if (K.reward || branch.waits) {
    g += load<N>(s.pending + synapse);
    store<N, Real>(s.pending + synapse, -premature);
  }
  if constexpr (N == 1)
    if (given != nullptr && *given == *given) g = *given;
  if (K.reward ? !pending.descent : branch.waits) return pending.template note<N>(synapse, g);
  const Vector<Real, N> w = descended<N>(s, synapse, g, branch.descent);
  deliver<N>(s.x, targets, w);
  if constexpr (K.reward) {
    store<N, Real>(s.weight + synapse, w);
  } else {
    store<N, Real>(s.weight + synapse, w + branch.descent.eta * premature);
  }
}

// The gradient of a synapse from its block-start state to a step, through the block prefix of that step: see `collect`.
template <class Real> EPROP_INLINE Real premature_gradient(const Kind& kind, Array2<const Real> prefix, Index target,
                                                           const Values<Real, 1>& v, Real z_0, Real z_1) {
  const auto p = [&](Index entry) EPROP_INLINED { return prefix.data[entry * prefix.columns + target]; };
  Real g = p(kind.GE()) * v.e;
  if (kind.n_filters > 0) g += p(kind.G()) * z_0;
  if (kind.n_filters > 1) g += p(kind.G() + 1) * z_1;
  if (kind.n_own > 0) g += p(kind.G() + kind.n_filters) * v.own;
  if (kind.two_kappas) g += p(kind.GR()) * v.rate;
  return g;
}

// Changes the learning rate with which premature gradients were subtracted in step `last` by `change`; z are the filtered spikes
// at the start of that step's block.
template <Kind K, class Real> __attribute__((noinline)) void rescale_weights(const GroupStep<Real>& step, Index begin, Index end,
                                                                             Index last, double change, Real z_0, Real z_1) {
  const SynapsePointers<Real> s = pointers_of(step);
  const Array3<Real>& history = step.state.history.prefix_history;
  const Array2<const Real> prefix = plane_of(history, last & (history.planes - 1));
  for (Index synapse = begin; synapse < end; synapse++) {
    const Values<Real, 1> v = read_values<K, 1>(s, synapse);
    s.weight[synapse] += static_cast<Real>(change) * premature_gradient(K, prefix, s.targets[synapse], v, z_0, z_1);
  }
}

// The synapses of an arriving branch.
template <Kind K, class Real> void learn_branch(const GroupStep<Real>& step, Index begin, Index end,
                                                const BoundedInterval& interval, const AdvancingBranch<Real>& branch,
                                                FollowingBranch next, const PendingSteps<Real>& pending) {
  const Real* given = bounded_gradients<K>(step, begin, end, interval);
  const AdvancingBranch<Real> b = branch;
  const SynapsePointers<Real> s = pointers_of(step, begin);
  for_synapses(s, begin, end, next, b.waits, given == nullptr, [&](auto together, Index synapse) EPROP_INLINED {
    learn_synapses<K, together>(s, synapse, b, pending, given == nullptr ? nullptr : given + (synapse - begin));
  });
}

// Arriving branches with a last spike within the cutoff: their synapses advance, update and deliver. Branches with last spikes in
// the same block are adjacent.
template <Kind K, class Real> void learn_branches(const GroupStep<Real>& step, const BranchList<ArrivingBranch>& branches) {
  OnlineState<Real>& state = step.state;
  const Topology& topology = state.topology;
  const Index trace_group = step.group.trace_group, block_steps = state.history.block_steps, t = step.t;
  const Index n = t & (block_steps - 1), start = t - n, mask = state.plus.to_current_block.planes - 1;
  const Index far = branches_ahead(branches);
  PendingSteps<Real> pending(step);
  const bool takes = step.moments || (K.reward && !pending.descent);
  const bool in_weights = !K.reward && (!step.moments || pending.rounds);  // premature gradients
  AdvancingBranch<Real> branch{descent_of<Real>(step.group.optimizer), step.moments, false, false, {}, {}};
  branch.to_end.copies = copies_of<K.n_corrections()>(state.plus.corrections_copy, 0, step.group.target_begin);
  if constexpr (K.reward) branch.to_end.reward_factor = static_cast<Real>(reward_factor(state, trace_group, start, t));
  Index block_start = start;
  for (Index k = 0; k < branches.count; k++) {
    const ArrivingBranch& arriving = branches.first[k];
    const Index before = arriving.last & (block_steps - 1);
    if (arriving.last - before != block_start) {
      block_start = arriving.last - before;
      branch.from_earlier_block = block_start < start;
      branch.to_block = passage<K>(step, block_start / block_steps & mask, block_start, start);
    }
    double back[2], here[2];
    move_spikes<K>(topology, trace_group, kInverse, before, arriving.z_last, back);
    move_ahead_back<K>(topology, trace_group, n, arriving.z_ahead, here);
    branch.to_block.set_spikes(back);
    branch.to_end.set_spikes(here);
    const Index begin = branches.begin(k), end = branches.end(k);
    if (takes) pending.begin(arriving.branch, begin, arriving.optimizer_steps, t - 1);
    const double change = in_weights ? step.change_of_eta(arriving.last) : 0.0;
    if (change != 0.0) rescale_weights<K>(step, begin, end, arriving.last, change, branch.to_block.z_0, branch.to_block.z_1);
    const BoundedInterval interval{{arriving.last, t, arriving.optimizer_steps, arriving.z_last, false}, {back[0], back[1]}};
    learn_branch<K>(step, begin, end, interval, branch, following(branches, k + far), pending);
    if (takes) pending.take_and_deliver(end);
    pending.carry(begin, end);
  }
}

// -------------------------------------------------------------------------------------------- the first spike, or a late one

// Propagators from the start of this block to this step, for moving a branch back.
template <class Real> struct BackPassage {
  Passage<Real> way;
  Growth<Real> grow;
};

// Moves N synapses with present traces back to the start of the block:
//     own_0 = (own - A z_0) / A_own    e_0 = (e_bar - E (z_0, own_0)) / kappa^n    w_0 = w + eta g_0
//     with reward e_reward_0 = (e_reward - SE e_0 - S (z_0, own_0)) / gamma^n
template <Kind K, int N, class Real> EPROP_INLINE void move_synapses_back(const SynapsePointers<Real>& s, Index synapse,
                                                                          const BackPassage<Real>& back, bool moments, Real eta) {
  constexpr int size = static_cast<int>(record_size(K.n_entries())), A = K.A(), D = K.n_filters;
  const Real z_0 = back.way.z_0, z_1 = back.way.z_1;
  Values<Real, N> v = read_values<K, N>(s, synapse);
  Vector<Real, N> m[size];
  load_records<N, K.n_entries(), size>(back.way.copies, s.targets + synapse, m);
  Vector<Real, N> minus_own;
  if constexpr (K.n_own > 0) {
    if constexpr (D > 0) v.own -= m[A] * z_0;
    if constexpr (D > 1) v.own -= m[A + 1] * z_1;
    v.own = v.own / m[A + D];
    minus_own = -v.own;
  }
  v.e = add_through<K, K.E()>(v.e, m, -z_0, -z_1, minus_own) * back.grow.kappa;
  if constexpr (K.two_kappas) v.rate = add_through<K, K.R()>(v.rate, m, -z_0, -z_1, minus_own) * back.grow.kappa_reg;
  if constexpr (K.reward)
    v.waiting = add_through<K, K.S()>(v.waiting - m[K.SE()] * v.e, m, -z_0, -z_1, minus_own) * back.grow.gamma;
  write_values<K, N>(s, synapse, v);
  const Vector<Real, N> premature = collect<K, K.GE(), K.GR(), K.G(), N>(m, v, back.way);
  if (moments || K.reward) {
    store<N, Real>(s.pending + synapse, -premature);
  } else {
    store<N, Real>(s.weight + synapse, load<N>(s.weight + synapse) + eta * premature);
  }
}

// Moves a branch back to the start of the block after its first spike, or after a long silence, spike included.
template <Kind K, class Real>
void move_branch_back(const GroupStep<Real>& step, const BranchList<ArrivingBranch>& branches, Index k) {
  OnlineState<Real>& state = step.state;
  const Topology& topology = state.topology;
  const Index trace_group = step.group.trace_group, n = step.t & (state.history.block_steps - 1);
  double here[2], arrived[2];
  move_ahead_back<K>(topology, trace_group, n, branches.first[k].z_ahead, here);
  arrival_moved_back<K>(topology, trace_group, n, arrived);
  for (int d = 0; d < 2; d++) here[d] += arrived[d];
  BackPassage<Real> back{passage<K>(step, state.plus.to_current_block.planes + kHere, step.t - n, step.t),
                         {topology, trace_group, n}};
  back.way.set_spikes(here);
  const Real eta = static_cast<Real>(step.group.optimizer.eta);
  const SynapsePointers<Real> s = pointers_of(step, branches.begin(k));
  for_synapses(s, branches.begin(k), branches.end(k), {}, step.moments, true, [&](auto together, Index synapse) EPROP_INLINED {
    move_synapses_back<K, together>(s, synapse, back, step.moments, eta);
  });
  PendingSteps<Real>(step).carry(branches.begin(k), branches.end(k));
}

// ------------------------------------------------------------------------------------------------------ expired branches

// N synapses collect the rest of their gradient; `given` as in `learn_synapses`. A per-step optimiser has no steps left.
template <Kind K, int N, class Real> EPROP_INLINE void finalise_synapses(const SynapsePointers<Real>& s, Index synapse,
                                                                         const AdvancingBranch<Real>& branch, const Real* given) {
  const std::uint32_t* targets = s.targets + synapse;
  Values<Real, N> v = read_values<K, N>(s, synapse);
  Vector<Real, N> g = broadcast<N>(Real(0));
  if (branch.from_earlier_block) g = go_through<K, N>(branch.to_block, targets, v);
  g += go_through<K, N>(branch.to_end, targets, v);
  write_values<K, N>(s, synapse, v);
  const bool waits = K.reward || branch.waits;
  if (waits) g += load<N>(s.pending + synapse);
  if constexpr (N == 1)
    if (given != nullptr && *given == *given) g = *given;
  if (waits) store<N, Real>(s.pending + synapse, branch.at_once ? broadcast<N>(Real(0)) : g);
  if (!waits || branch.at_once) store<N, Real>(s.weight + synapse, descended<N>(s, synapse, g, branch.descent));
}

// The synapses of an expired branch.
template <Kind K, class Real> void finalise_branch(const GroupStep<Real>& step, Index begin, Index end,
                                                   const BoundedInterval& interval, const AdvancingBranch<Real>& branch,
                                                   FollowingBranch next) {
  const Real* given = bounded_gradients<K>(step, begin, end, interval);
  const AdvancingBranch<Real> b = branch;
  const SynapsePointers<Real> s = pointers_of(step, begin);
  for_synapses(s, begin, end, next, b.waits, given == nullptr, [&](auto together, Index synapse) EPROP_INLINED {
    finalise_synapses<K, together>(s, synapse, b, given == nullptr ? nullptr : given + (synapse - begin));
  });
}

// Expired branches, whose last spikes arrived in step t - cutoff, collect the rest of their gradient up to step t.
template <Kind K, class Real> void finalise_branches(const GroupStep<Real>& step, const BranchList<ExpiredBranch>& branches) {
  OnlineState<Real>& state = step.state;
  const Topology& topology = state.topology;
  const Index trace_group = step.group.trace_group, block_steps = state.history.block_steps, t = step.t;
  const Index last = t - step.group.cutoff, before = last & (block_steps - 1), start = (t - 1) / block_steps * block_steps;
  const Index blocks = state.plus.to_current_block.planes;
  AdvancingBranch<Real> branch{descent_of<Real>(step.group.optimizer),
                               step.moments,
                               step.group.per_step_optimizer != 0,
                               last < start,
                               passage<K>(step, last / block_steps & (blocks - 1), last - before, start),
                               passage<K>(step, blocks + kExpired, start, t)};
  // Gradients and reward traces advance to step t, other values to the step before.
  branch.to_end.kappa = static_cast<Real>(topology.decays(trace_group, kKappa, t - 1 - start));
  branch.to_end.kappa_reg = static_cast<Real>(topology.decays(trace_group, kKappaReg, t - 1 - start));
  const Index far = branches_ahead(branches);
  PendingSteps<Real> pending(step);
  const double change = (step.moments || K.reward) && !pending.rounds ? 0.0 : step.change_of_eta(last);
  for (Index k = 0; k < branches.count; k++) {
    double back[2], there[2];
    move_spikes<K>(topology, trace_group, kInverse, before, branches.first[k].z, back);
    std::copy(back, back + 2, there);
    if (branch.from_earlier_block) move_spikes<K>(topology, trace_group, kForward, start - last, branches.first[k].z, there);
    branch.to_block.set_spikes(back);
    branch.to_end.set_spikes(there);
    const Index begin = branches.begin(k), end = branches.end(k);
    if (change != 0.0) rescale_weights<K>(step, begin, end, last, change, branch.to_block.z_0, branch.to_block.z_1);
    const ExpiredBranch& expired = branches.first[k];
    const BoundedInterval interval{{last, t, expired.optimizer_steps, expired.z, true}, {back[0], back[1]}};
    if (pending.rounds) pending.begin(expired.branch, begin, expired.optimizer_steps, t - 1);
    finalise_branch<K>(step, begin, end, interval, branch, following(branches, k + far));
    if (pending.rounds) pending.take_final(end);
  }
}

}  // namespace eprop
