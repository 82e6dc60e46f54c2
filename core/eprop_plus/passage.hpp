// The state of N synapses, and how it advances: through propagators; or step by step, which a per-step optimiser needs if it is
// not linear in the gradient, or if a bound is in reach.
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
  Real kappa = 1, kappa_reg = 1, gamma = 1, reward_factor = 0, z_0 = 0, z_1 = 0;
  void set_spikes(const double (&z)[2]) {
    z_0 = static_cast<Real>(z[0]);
    z_1 = static_cast<Real>(z[1]);
  }
};

// The passage of a delay group from step `begin` to `end`, with the copies in a row of PlusWork::copies.
template <Kind K, class Real> Passage<Real> passage(const GroupStep<Real>& step, Index row, Index begin, Index end) {
  const Powers<Real> p = powers_between<K, Real>(step.state, step.group.trace_group, begin, end);
  return {copies_of<K.n_entries()>(step.state.plus.copies, row, step.group.target_begin), p.kappa, p.kappa_reg, p.gamma,
          p.reward_factor};
}

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

// Data shared by all synapses of an arriving or expired branch.
template <class Real> struct AdvancingBranch {
  Descent<Real> descent;
  bool waits;    // their premature gradients are in `pending`, not in the weights
  bool at_once;  // of an expired branch: its gradient changes weights now; gradient descent at each step
  bool from_earlier_block;
  Passage<Real> to_block;  // from the start of the block of the last spike to the start of this block, or of the previous step's
  Passage<Real> to_end;    // from there to this step; arriving: the copies are corrections
};

// --------------------------------------------------------------------------------------------------------------- step by step

// The numbers have the precision of the synapses.

// Steps `first` to `stop` of a branch; `ends`: traces do not accumulate in the last step. `z` are filtered spikes in the first
// step, `taken` is the number of optimiser steps so far.
struct Replay {
  Index first, stop, taken;
  const double* z;
  bool ends;
};

// Synapses of a branch in a replay, side by side: their targets with the constants of the eligibility, traces, own components.
template <Kind K, class Real> struct ReplayedChunk {
  static constexpr Index kMost = SynapseChunk<Real>::kMost;
  static constexpr int kConstants = K.b();  // c, u and a of kind.hpp
  SynapseChunk<Real> optimized;
  std::int32_t target[kMost];
  Real constants[kConstants][kMost], e_bar[kMost], e_reg[K.two_kappas ? kMost : 1], waiting[K.reward ? kMost : 1];
  Real own[K.n_own > 0 ? K.n_own : 1][K.n_own > 0 ? kMost : 1];
};

// Looks up the constants of the targets.
template <Kind K, class Real> void find_constants(const Topology& topology, ReplayedChunk<K, Real>& __restrict chunk) {
  const auto constants = constants_of<K>(topology);
  for (int k = 0; k < chunk.kConstants; k++)
    for (Index i = 0; i < chunk.optimized.size; i++) chunk.constants[k][i] = static_cast<Real>(constants[k][chunk.target[i]]);
}

// Reads the state of the synapses from `first` on, or writes it back.
template <Kind K, class Real> void read_replayed(const OnlineState<Real>& state, Index first, ReplayedChunk<K, Real>& chunk) {
  const Synapses<Real>& s = state.synapses;
  const Index n = chunk.optimized.size;
  read_chunk(s, first, chunk.optimized);
  std::copy_n(state.topology.targets.data + first, n, chunk.target);
  std::copy_n(s.trace.data + first, n, chunk.e_bar);
  if constexpr (K.two_kappas) std::copy_n(s.trace_reg.data + first, n, chunk.e_reg);
  if constexpr (K.reward) std::copy_n(s.trace_reward.data + first, n, chunk.waiting);
  for (int m = 0; m < K.n_own; m++) std::copy_n(s.own.row(m) + first, n, chunk.own[m]);
}
template <Kind K, class Real> void write_replayed(const ReplayedChunk<K, Real>& chunk, Index first, Synapses<Real>& s) {
  const Index n = chunk.optimized.size;
  write_chunk(chunk.optimized, first, s);
  std::copy_n(chunk.e_bar, n, s.trace.data + first);
  if constexpr (K.two_kappas) std::copy_n(chunk.e_reg, n, s.trace_reg.data + first);
  if constexpr (K.reward) std::copy_n(chunk.waiting, n, s.trace_reward.data + first);
  for (int m = 0; m < K.n_own; m++) std::copy_n(chunk.own[m], n, s.own.row(m) + first);
}

// The gradients of one step:
//     g = L e_bar + F e_bar_reg    with reward e_reward = gamma e_reward + L e_bar    g = r e_reward + F e_bar_reg
template <Kind K, class Real>
void find_gradients(const StoredStep& stored, double decay, ReplayedChunk<K, Real>& __restrict chunk) {
  const Real gamma(decay), reward(stored.reward);
  for (Index i = 0; i < chunk.optimized.size; i++) {
    const Index j = chunk.target[i];
    Real g = static_cast<Real>(stored.learning(j)) * chunk.e_bar[i];
    if constexpr (K.reward) g = reward * (chunk.waiting[i] = gamma * chunk.waiting[i] + g);
    if constexpr (K.two_kappas) g += static_cast<Real>(stored.regularisation(j)) * chunk.e_reg[i];
    chunk.optimized.gradient[i] = g;
  }
}

// The traces of one step, with the filtered spikes z:
//     e = psi (c_z z + c_h h)    h = a h + u e
//     e_bar = kappa e_bar + e    e_bar_reg = kappa_reg e_bar_reg + (1 - kappa_reg) e
template <Kind K, class Real> void advance_traces(const StoredStep& stored, const TraceGroup& group, const double* z,
                                                  ReplayedChunk<K, Real>& __restrict chunk) {
  constexpr int D = K.n_filters, M = K.n_own;
  const Real kappa(group.kappa), kappa_reg(group.kappa_reg), fresh(1.0 - group.kappa_reg), z_0(z[0]), z_1(z[1]);
  for (Index i = 0; i < chunk.optimized.size; i++) {
    Real e = 0;
    if constexpr (D > 0) e += chunk.constants[K.c()][i] * z_0;
    if constexpr (D > 1) e += chunk.constants[K.c() + 1][i] * z_1;
    for (int m = 0; m < M; m++) e += chunk.constants[K.c() + D + m][i] * chunk.own[m][i];
    e *= static_cast<Real>(stored.psi(chunk.target[i]));
    chunk.e_bar[i] = kappa * chunk.e_bar[i] + e;
    if constexpr (K.two_kappas) chunk.e_reg[i] = kappa_reg * chunk.e_reg[i] + fresh * e;
    Real next[M > 0 ? M : 1];
    unroll<M>([&](auto m) EPROP_INLINED {
      const auto part = [&](auto n) EPROP_INLINED { return chunk.constants[K.a() + M * m + n][i] * chunk.own[n][i]; };
      next[m] = sum_unrolled<M>(part) + chunk.constants[K.u() + m][i] * e;
    });
    for (int m = 0; m < M; m++) chunk.own[m][i] = next[m];
  }
}

// Replays the steps for some synapses.
template <Kind K, class Real>
void replay_chunk(const GroupStep<Real>& step, const Replay& replay, ReplayedChunk<K, Real>& chunk) {
  const OnlineState<Real>& state = step.state;
  const TraceGroup& group = state.topology.trace_groups[step.group.trace_group];
  OwedSteps& owed = step.state.plus.owed[step.partition];
  double z[2] = {replay.z[0], replay.z[1]}, next[2];
  find_constants(state.topology, chunk);
  Index taken = replay.taken;
  for (Index now = replay.first; now < replay.stop; now++) {
    const StoredStep stored = stored_step(state.history, now);
    find_gradients(stored, group.gamma, chunk);
    owed.prepare(taken, now, step.group.optimizer);
    take_steps(owed, chunk.optimized);
    taken = now;
    if (replay.ends && now == replay.stop - 1) return;
    advance_traces(stored, group, z, chunk);
    move_spikes<K>(state.topology, step.group.trace_group, kForward, 1, z, next);
    std::copy(next, next + 2, z);
  }
}

}  // namespace eprop
