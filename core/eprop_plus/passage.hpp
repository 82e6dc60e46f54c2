// The state of N synapses, and how it advances through propagators.
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

// Data shared by all synapses of an arriving branch.
template <class Real> struct LearningBranch {
  Descent<Real> descent;
  bool from_earlier_block;
  Passage<Real> to_block;  // from the start of the block of the last spike to the start of this block
  Passage<Real> to_step;   // from there to this step: the copies are corrections
};

// Data shared by all synapses of an expired branch.
template <class Real> struct ExpiringBranch {
  Descent<Real> descent;
  bool at_once;  // the gradient changes weights now: gradient descent at each step
  bool from_earlier_block;
  Passage<Real> to_block;  // from the start of the block of the last spike to the start of the previous step's block
  Passage<Real> to_end;    // from there to the end; entries for values end one step before those of the gradient
};

}  // namespace eprop
