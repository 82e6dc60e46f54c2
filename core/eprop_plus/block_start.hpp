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
//
// With reward traces (rewards.hpp), the reward trace is moved back as well, and the premature gradient is subtracted from
// `pending` with every optimiser. The reason: after the cutoff, rewards alone keep adding to the gradient of an interval, until a
// spike or the reward cutoff (eprop_plus/reward.hpp), and the bounds must apply to the whole gradient at once. So stored weights
// are always effective weights.
//
// A single own component of a synapse (n_own = 1) is moved back by dividing by its decay over the block. The build decides
// whether this decay always stays away from zero. If not, synapses cross the rest of their block instead (crossing.hpp).
#pragma once
#include "eprop_plus/branches.hpp"

namespace eprop {

// Values of N synapses: traces, own component, reward trace.
template <class Real, int N> struct Values {
  Vector<Real, N> e, rate, own, waiting;
};
template <Kind K, int N, class Real> EPROP_INLINE Values<Real, N> read_values(const SynapsePointers<Real>& s, Index synapse) {
  Values<Real, N> v;
  v.e = load<N>(s.trace + synapse);
  if constexpr (K.two_kappas) v.rate = load<N>(s.trace_reg + synapse);
  if constexpr (K.n_own > 0) v.own = load<N>(s.own + synapse);
  if constexpr (K.reward) v.waiting = load<N>(s.trace_reward + synapse);
  return v;
}
template <Kind K, int N, class Real>
EPROP_INLINE void write_values(const SynapsePointers<Real>& s, Index synapse, const Values<Real, N>& v) {
  store<N, Real>(s.trace + synapse, v.e);
  if constexpr (K.two_kappas) store<N, Real>(s.trace_reg + synapse, v.rate);
  if constexpr (K.n_own > 0) store<N, Real>(s.own + synapse, v.own);
  if constexpr (K.reward) store<N, Real>(s.trace_reward + synapse, v.waiting);
}

// Adds the contribution of filtered spikes and the own component to `total` through entries of propagators from `entry` on.
template <Kind K, int entry, class V, class Real>
EPROP_INLINE V add_through(V total, const V* m, Real z_0, Real z_1, const V& own) {
  if constexpr (K.n_filters > 0) total += m[entry] * z_0;
  if constexpr (K.n_filters > 1) total += m[entry + 1] * z_1;
  if constexpr (K.n_own > 0) total += m[entry + K.n_filters] * own;
  return total;
}

// Data for advancing the synapses of a branch: neuron-major copies of propagators, the decay of traces, filtered spikes at the
// start; the decay of the reward trace, and its factor to the gradient by the rewards of the interval.
template <class Real> struct Passage {
  const Real* copies;
  Real kappa, kappa_reg, z_0, z_1, gamma = 1, reward_factor = 0;
};

// The gradient of the interval: GE e + G (z, own) + GR e_reg + reward_factor e_reward; the entries begin at these positions.
template <Kind K, int GE, int GR, int G, int N, class Real>
EPROP_INLINE Vector<Real, N> collect(const Vector<Real, N>* m, const Values<Real, N>& v, const Passage<Real>& way) {
  Vector<Real, N> g = add_through<K, G>(m[GE] * v.e, m, way.z_0, way.z_1, v.own);
  if constexpr (K.two_kappas) g += m[GR] * v.rate;
  if constexpr (K.reward) g += v.waiting * way.reward_factor;
  return g;
}

// Advances values through propagators; returns the gradient of the interval:
//     e_bar = kappa^n e_bar + E (z, own)    own = A (z, own)    g = GE e_bar + GR e_bar_reg + G (z, own)
// and with reward also
//     e_reward = gamma^n e_reward + SE e_bar + S (z, own)    g += reward_factor e_reward
template <Kind K, int N, class Real>
EPROP_INLINE Vector<Real, N> go_through(const Passage<Real>& way, const std::uint32_t* targets, Values<Real, N>& v) {
  constexpr int size = static_cast<int>(record_size(K.n_entries()));
  Vector<Real, N> m[size];
  load_records<N, K.n_entries(), size>(way.copies, targets, m);
  const Vector<Real, N> g = collect<K, K.GE(), K.GR(), K.G(), N>(m, v, way);
  if constexpr (K.reward) v.waiting = add_through<K, K.S()>(way.gamma * v.waiting + m[K.SE()] * v.e, m, way.z_0, way.z_1, v.own);
  v.e = add_through<K, K.E()>(way.kappa * v.e, m, way.z_0, way.z_1, v.own);
  if constexpr (K.two_kappas) v.rate = add_through<K, K.R()>(way.kappa_reg * v.rate, m, way.z_0, way.z_1, v.own);
  if constexpr (K.n_own > 0) v.own = add_through<K, K.A()>(broadcast<N>(Real(0)), m, way.z_0, way.z_1, v.own);
  return g;
}

// ------------------------------------------------------------------------------------------------------- arriving spikes

// Data shared by all synapses of an arriving branch.
template <class Real> struct LearningBranch {
  Descent<Real> descent;
  bool from_earlier_block;
  Passage<Real> to_block;  // from the start of the block of the last spike to the start of this block
  Passage<Real> to_step;   // from there to this step: the copies are corrections
};

// N synapses advance from their block-start state to the start of this block and to this step, update, deliver, and store the
// state at the start of this block with the corrections (C) of the arriving spike:
//     g_s = GE e_s + G (z_s, own_s)    w <- clip(w - eta (g + g_s))    x += w
//     e_0 = e_s + C_E    own_0 = own_s + C_A    w_0 = w + eta (g_s + C_Q)
// With moments, and with reward, the premature gradient goes into `pending`, which is part of the next gradient.
template <Kind K, bool moments, int N, class Real> EPROP_INLINE void learn_synapses(const SynapsePointers<Real>& s, Index synapse,
                                                                                    const LearningBranch<Real>& branch,
                                                                                    const PendingSteps<Real>& pending) {
  constexpr int size = static_cast<int>(record_size(K.n_corrections()));
  const std::uint32_t* targets = s.targets + synapse;
  Values<Real, N> v = read_values<K, N>(s, synapse);
  Vector<Real, N> g = broadcast<N>(Real(0));
  if (branch.from_earlier_block) g = go_through<K, N>(branch.to_block, targets, v);
  Vector<Real, N> m[size];
  load_records<N, K.n_corrections(), size>(branch.to_step.copies, targets, m);
  Vector<Real, N> premature = collect<K, K.C_GE(), K.C_GR(), K.C_G(), N>(m, v, branch.to_step);
  g += premature;
  premature += m[K.C_Q()];
  v.e += m[K.C_E()];
  if constexpr (K.two_kappas) v.rate += m[K.C_R()];
  if constexpr (K.n_own > 0) v.own += m[K.C_A()];
  if constexpr (K.reward) v.waiting += m[K.C_S()];
  write_values<K, N>(s, synapse, v);
  if constexpr (moments || K.reward) {
    g += load<N>(s.pending + synapse);
    store<N, Real>(s.pending + synapse, -premature);
  }
  if (moments || (K.reward && !pending.descent)) return pending.template note<N>(synapse, g);
  const Vector<Real, N> w = descended<N>(s, synapse, g, branch.descent);
  deliver<N>(s.x, targets, w);
  if constexpr (moments || K.reward) {
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
template <Kind K, class Real> __attribute__((noinline)) void rescale_weights(OnlineState<Real>& state, Index begin, Index end,
                                                                             Index last, double change, Real z_0, Real z_1) {
  const SynapsePointers<Real> s = pointers_of(state);
  const Array3<Real>& history = state.history.prefix_history;
  const Array2<const Real> prefix = plane_of(history, last & (history.planes - 1));
  for (Index synapse = begin; synapse < end; synapse++) {
    const Values<Real, 1> v = read_values<K, 1>(s, synapse);
    s.weight[synapse] += static_cast<Real>(change) * premature_gradient(K, prefix, s.targets[synapse], v, z_0, z_1);
  }
}

// Arriving branches with a last spike within the cutoff: their synapses advance, update and deliver. Branches with last spikes in
// the same block are adjacent.
template <Kind K, bool moments, class Real>
void learn_branches(const GroupStep<Real>& step, const BranchList<ArrivingBranch>& branches) {
  OnlineState<Real>& state = step.state;
  const Topology& topology = state.topology;
  const SynapsePointers<Real> s = pointers_of(state);
  const Index trace_group = step.group.trace_group, block_steps = state.history.block_steps, t = step.t;
  const Index n = t & (block_steps - 1), start = t - n, mask = state.plus.to_current_block.planes - 1;
  const Index far = branches_ahead(branches);
  PendingSteps<Real> pending(step);
  const bool takes = moments || (K.reward && !pending.descent);
  LearningBranch<Real> branch{descent_of<Real>(step.group.optimizer), false, {nullptr, 1, 1, 0, 0}, {nullptr, 1, 1, 0, 0}};
  branch.to_step.copies = copies_of<K.n_corrections()>(state.plus.corrections_copy, 0, step.group.target_begin);
  if constexpr (K.reward) branch.to_step.reward_factor = static_cast<Real>(reward_factor(state, trace_group, start, t));
  Index block_start = start;
  for (Index k = 0; k < branches.count; k++) {
    const ArrivingBranch& arriving = branches.first[k];
    const Index before = arriving.last & (block_steps - 1);
    if (arriving.last - before != block_start) {
      block_start = arriving.last - before;
      branch.from_earlier_block = block_start < start;
      branch.to_block.copies =
          copies_of<K.n_entries()>(state.plus.copies, block_start / block_steps & mask, step.group.target_begin);
      branch.to_block.kappa = static_cast<Real>(topology.decays(trace_group, kKappa, start - block_start));
      branch.to_block.kappa_reg = static_cast<Real>(topology.decays(trace_group, kKappaReg, start - block_start));
      if constexpr (K.reward) {
        branch.to_block.gamma = static_cast<Real>(topology.decays(trace_group, kGamma, start - block_start));
        branch.to_block.reward_factor = static_cast<Real>(reward_factor(state, trace_group, block_start, start));
      }
    }
    double back[2], here[2];
    move_spikes<K>(topology, trace_group, kInverse, before, arriving.z_last, back);
    move_ahead_back<K>(topology, trace_group, n, arriving.z_ahead, here);
    branch.to_block.z_0 = static_cast<Real>(back[0]);
    branch.to_block.z_1 = static_cast<Real>(back[1]);
    branch.to_step.z_0 = static_cast<Real>(here[0]);
    branch.to_step.z_1 = static_cast<Real>(here[1]);
    const Index begin = branches.begin(k), end = branches.end(k);
    if constexpr (moments || K.reward) {
      if (takes) pending.begin(begin, arriving.optimizer_steps, t - 1);
    } else {
      const double change = step.change_of_eta(arriving.last);
      if (change != 0.0) rescale_weights<K>(state, begin, end, arriving.last, change, branch.to_block.z_0, branch.to_block.z_1);
    }
    const LearningBranch<Real> b = branch;
    for_synapses<true, moments>(s, begin, end, following(branches, k + far), [&](auto together, Index synapse) EPROP_INLINED {
      learn_synapses<K, moments, together>(s, synapse, b, pending);
    });
    if (takes) pending.take_and_deliver(end);
  }
}

// -------------------------------------------------------------------------------------------- the first spike, or a late one

// Propagators from the start of this block to this step, for moving a branch back.
template <class Real> struct BackPassage {
  Passage<Real> way;
  Real grow, grow_reg, grow_gamma;  // 1 / kappa^n, 1 / kappa_reg^n, 1 / gamma^n
};

// Moves N synapses with present traces back to the start of the block:
//     own_0 = (own - A z_0) / A_own    e_0 = (e_bar - E (z_0, own_0)) / kappa^n    w_0 = w + eta g_0
//     with reward e_reward_0 = (e_reward - SE e_0 - S (z_0, own_0)) / gamma^n
template <Kind K, bool moments, int N, class Real>
EPROP_INLINE void move_synapses_back(const SynapsePointers<Real>& s, Index synapse, const BackPassage<Real>& back, Real eta) {
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
  v.e = add_through<K, K.E()>(v.e, m, -z_0, -z_1, minus_own) * back.grow;
  if constexpr (K.two_kappas) v.rate = add_through<K, K.R()>(v.rate, m, -z_0, -z_1, minus_own) * back.grow_reg;
  if constexpr (K.reward)
    v.waiting = add_through<K, K.S()>(v.waiting - m[K.SE()] * v.e, m, -z_0, -z_1, minus_own) * back.grow_gamma;
  write_values<K, N>(s, synapse, v);
  const Vector<Real, N> premature = collect<K, K.GE(), K.GR(), K.G(), N>(m, v, back.way);
  if constexpr (moments || K.reward) {
    store<N, Real>(s.pending + synapse, -premature);
  } else {
    store<N, Real>(s.weight + synapse, load<N>(s.weight + synapse) + eta * premature);
  }
}

// Moves a branch back to the start of the block after its first spike, or after a long silence, spike included.
template <Kind K, bool moments, class Real>
void move_branch_back(const GroupStep<Real>& step, const BranchList<ArrivingBranch>& branches, Index k) {
  OnlineState<Real>& state = step.state;
  const Topology& topology = state.topology;
  const Index trace_group = step.group.trace_group, n = step.t & (state.history.block_steps - 1);
  double here[2], arrived[2];
  move_ahead_back<K>(topology, trace_group, n, branches.first[k].z_ahead, here);
  arrival_moved_back<K>(topology, trace_group, n, arrived);
  const auto grow = [&](DecayRow row) { return static_cast<Real>(topology.decays(trace_group, row, n)); };
  BackPassage<Real> back{
      {copies_of<K.n_entries()>(state.plus.copies, state.plus.to_current_block.planes + kHere, step.group.target_begin), 1, 1,
       static_cast<Real>(here[0] + arrived[0]), static_cast<Real>(here[1] + arrived[1])},
      grow(kGrowKappa),
      grow(kGrowKappaReg),
      grow(kGrowGamma)};
  if constexpr (K.reward) back.way.reward_factor = static_cast<Real>(reward_factor(state, trace_group, step.t - n, step.t));
  const Real eta = static_cast<Real>(step.group.optimizer.eta);
  const SynapsePointers<Real> s = pointers_of(state);
  for_synapses<true, moments>(s, branches.begin(k), branches.end(k), {}, [&](auto together, Index synapse) EPROP_INLINED {
    move_synapses_back<K, moments, together>(s, synapse, back, eta);
  });
}

// ------------------------------------------------------------------------------------------------------ expired branches

// Data shared by all synapses of an expired branch.
template <class Real> struct ExpiringBranch {
  Descent<Real> descent;
  bool from_earlier_block;
  Passage<Real> to_block;  // from the start of the block of the last spike to the start of the previous step's block
  Passage<Real> to_end;    // from there to the end; entries for values end one step before those of the gradient
};

// N synapses collect the rest of their gradient.
template <Kind K, bool moments, int N, class Real>
EPROP_INLINE void finalise_synapses(const SynapsePointers<Real>& s, Index synapse, const ExpiringBranch<Real>& branch) {
  const std::uint32_t* targets = s.targets + synapse;
  Values<Real, N> v = read_values<K, N>(s, synapse);
  Vector<Real, N> g = broadcast<N>(Real(0));
  if (branch.from_earlier_block) g = go_through<K, N>(branch.to_block, targets, v);
  g += go_through<K, N>(branch.to_end, targets, v);
  write_values<K, N>(s, synapse, v);
  if constexpr (moments || K.reward) {
    store<N, Real>(s.pending + synapse, load<N>(s.pending + synapse) + g);
  } else {
    const Descent<Real> d = branch.descent;
    store<N, Real>(s.weight + synapse, clip<N, Real>(load<N>(s.weight + synapse) - d.eta * g, d.w_min, d.w_max));
  }
}

// Expired branches, whose last spikes arrived in step t - cutoff, collect the rest of their gradient up to step t.
template <Kind K, bool moments, class Real>
void finalise_branches(const GroupStep<Real>& step, const BranchList<ExpiredBranch>& branches) {
  OnlineState<Real>& state = step.state;
  const Topology& topology = state.topology;
  const SynapsePointers<Real> s = pointers_of(state);
  const Index trace_group = step.group.trace_group, block_steps = state.history.block_steps, t = step.t;
  const Index last = t - step.group.cutoff, before = last & (block_steps - 1), start = (t - 1) / block_steps * block_steps;
  const Index n = std::max<Index>(start - last + before, 0), rest = t - 1 - start, blocks = state.plus.to_current_block.planes;
  const auto decay = [&](DecayRow row, Index steps) { return static_cast<Real>(topology.decays(trace_group, row, steps)); };
  ExpiringBranch<Real> branch{
      descent_of<Real>(step.group.optimizer),
      last < start,
      {copies_of<K.n_entries()>(state.plus.copies, last / block_steps & (blocks - 1), step.group.target_begin), decay(kKappa, n),
       decay(kKappaReg, n), 0, 0},
      {copies_of<K.n_entries()>(state.plus.copies, blocks + kExpired, step.group.target_begin), decay(kKappa, rest),
       decay(kKappaReg, rest), 0, 0}};
  if constexpr (K.reward) {  // the reward trace advances to step t, as the gradient does
    branch.to_block.gamma = decay(kGamma, n);
    branch.to_block.reward_factor = static_cast<Real>(reward_factor(state, trace_group, last - before, start));
    branch.to_end.gamma = decay(kGamma, t - start);
    branch.to_end.reward_factor = static_cast<Real>(reward_factor(state, trace_group, start, t));
  }
  const Index far = branches_ahead(branches);
  const double change = moments || K.reward ? 0.0 : step.change_of_eta(last);
  for (Index k = 0; k < branches.count; k++) {
    double back[2], there[2];
    move_spikes<K>(topology, trace_group, kInverse, before, branches.first[k].z, back);
    std::copy(back, back + 2, there);
    if (branch.from_earlier_block) move_spikes<K>(topology, trace_group, kForward, start - last, branches.first[k].z, there);
    branch.to_block.z_0 = static_cast<Real>(back[0]);
    branch.to_block.z_1 = static_cast<Real>(back[1]);
    branch.to_end.z_0 = static_cast<Real>(there[0]);
    branch.to_end.z_1 = static_cast<Real>(there[1]);
    const Index begin = branches.begin(k), end = branches.end(k);
    if (change != 0.0) rescale_weights<K>(state, begin, end, last, change, branch.to_block.z_0, branch.to_block.z_1);
    const ExpiringBranch<Real> b = branch;
    for_synapses<true, moments>(s, begin, end, following(branches, k + far), [&](auto together, Index synapse) EPROP_INLINED {
      finalise_synapses<K, moments, together>(s, synapse, b);
    });
  }
}

}  // namespace eprop
