// Momentum at each step, of synapses with block-start states: all steps of an interval at once.
//
// Without bounds and decay the steps m <- beta m + g, w <- w - eta m (with Nesterov w - eta (g + beta m)) keep
//
//     w - rate lag m + rate (sum of all g),    rate = eta / (1 - beta),  lag = beta, with Nesterov beta^2,
//
// constant. So after n steps with the gradient G and the discounted gradient S (discounts.hpp) of the interval
//
//     m_n = beta^n m_0 + S    w_n = w_0 - rate (G + lag (m_0 - m_n)).
//
// G and S begin at the start of the block of the last spike, and contain a premature part, G_p and S_p. A synapse stores its
// weight, m' = m - S_p and, in `pending`, lag S_p - G_p: what m' and `pending` change in the two lines takes the parts back.
//
// After a silence, the first step takes its gradient, and `free` steps without one follow (owed_steps.hpp). They are steps of m_0
// that the synapse takes when the silence ends: m' = beta^free m - S_p, and `pending` has lag (1 - beta^free) m more. The
// gradient of the first step, the late gradient, fades in them as well: (beta^free - 1) beta^(n-1) of it are added to m_n.
// With G_p known, m = m' + (pending + G_p) / lag in any case.
//
// A learning rate of 0 freezes weights and m. These synapses, and those that might touch a bound between two spikes, are given
// their weight and m (bounds.hpp).
#pragma once
#include "eprop_plus/bounds.hpp"
#include "eprop_plus/discounts.hpp"

namespace eprop {

// Late gradients of a branch: rows of the step of its last spike, and the decay of traces since the start of its block.
template <class Real> struct LateGradient {
  Real factor = 0;  // of the gradient in m_n; 0 if there is none
  StoredStep step{};
  Array2<const Real> prefix{};
  Real kappa = 1, kappa_reg = 1;
};

// Data shared by all synapses of a branch, besides those of its kind of branch.
template <class Real> struct Gliding {
  const Real *to_block, *to_step;  // neuron-major copies of discounts
  Real since_block, since_spike;   // powers of beta: steps since the start of the block, since the last spike
  Real rate, lag, arrived[2];      // arrived: filtered spikes at the start of this block, with this spike
  LateGradient<Real> late;
};

template <Kind K, class Real> LateGradient<Real> late_gradient(const GroupStep<Real>& step, Index last, Index optimizer_steps) {
  const History<Real>& history = step.state.history;
  const Index free = last - optimizer_steps - 1, n = last & (history.block_steps - 1);
  if (free == 0) return {};
  const double beta = step.group.optimizer.beta_1;
  const auto decay = [&](DecayRow row) { return static_cast<Real>(step.state.topology.decays(step.group.trace_group, row, n)); };
  return {static_cast<Real>((power(beta, free) - 1.0) * power(beta, step.t - last - 1)), stored_step(history, last),
          plane_of(history.prefix_history, last & (history.prefix_history.planes - 1)), decay(kKappa), decay(kKappaReg)};
}

// For a branch with a last spike in step `last`; the passages lead to the block that starts in step `start`, and to this step.
template <Kind K, class Real>
Gliding<Real> gliding_of(const GroupStep<Real>& step, Index last, Index start, Index optimizer_steps, ExtraCopy here) {
  const PlusWork<Real>& plus = step.state.plus;
  const OptimizerConstants& c = step.group.optimizer;
  const Index momentum = momentum_of(plus, step.group), blocks = plus.to_current_block.planes;
  const auto copies = [&](Index row) {
    return copies_of<K.n_discounted()>(plus.discount_copies, discount_copy(plus, momentum, row), step.group.target_begin);
  };
  const auto faded = [&](Index steps) { return static_cast<Real>(power(c.beta_1, steps)); };
  return {copies(last / step.state.history.block_steps & (blocks - 1)),
          copies(blocks + here),
          faded(step.t - start),
          faded(step.t - last),
          static_cast<Real>(gliding_rate(c)),
          static_cast<Real>(gliding_lag(c)),
          {},
          late_gradient<K>(step, last, optimizer_steps)};
}

// Late gradients of N synapses, from their block-start states.
template <Kind K, int N, class Real> EPROP_INLINE Vector<Real, N> find_late(const LateGradient<Real>& late,
                                                                            const std::uint32_t* targets,
                                                                            const Values<Real, N>& v, const Passage<Real>& way) {
  constexpr int size = K.GE();
  if (late.factor == 0) return broadcast<N>(Real(0));
  Vector<Real, N> m[size];
  unroll<size>([&](auto k) EPROP_INLINED { m[k] = gather<N>(late.prefix.data + k * late.prefix.columns, targets); });
  const auto learning = convert<Real, N>(gather<N>(late.step.learning_, targets));
  Vector<Real, N> g = learning * add_through<K, K.E()>(late.kappa * v.e, m, way.z_0, way.z_1, v.own);
  if constexpr (K.two_kappas)
    g += convert<Real, N>(gather<N>(late.step.rate, targets)) *
         add_through<K, K.R()>(late.kappa_reg * v.rate, m, way.z_0, way.z_1, v.own);
  return late.factor * g;
}

// Discounted gradients of N synapses through neuron-major copies.
template <Kind K, int N, class Real>
EPROP_INLINE void load_discounts(const Real* copies, const std::uint32_t* targets, Vector<Real, N>* d) {
  load_records<N, K.n_discounted(), static_cast<int>(record_size(K.n_discounted()))>(copies, targets, d);
}
template <Kind K, int N, class Real>
EPROP_INLINE Vector<Real, N> discounted(const Vector<Real, N>* d, const Values<Real, N>& v, const Passage<Real>& way) {
  return collect<K, K.D_GE(), K.D_GR(), K.D_G(), N>(d, v, way);
}

// N synapses take their steps, with the gradient of the interval and the discounted gradient: stores their weights, returns m_n.
template <int N, class Real, class Given>
EPROP_INLINE Vector<Real, N> glide(const SynapsePointers<Real>& s, Index synapse, const Gliding<Real>& gliding,
                                   const Descent<Real>& bounds, Vector<Real, N> g, const Vector<Real, N>& sum, Given given) {
  const Vector<Real, N> before = load<N>(s.moment_1 + synapse);
  Vector<Real, N> m = gliding.since_spike * before + sum;
  g += load<N>(s.pending + synapse) + gliding.lag * (before - m);
  Vector<Real, N> w = clip<N, Real>(load<N>(s.weight + synapse) - gliding.rate * g, bounds.w_min, bounds.w_max);
  if constexpr (!std::is_null_pointer_v<Given>) {
    if (*given.weight == *given.weight) {
      w = *given.weight;
      m = *given.moment;
    }
  }
  store<N, Real>(s.weight + synapse, w);
  return m;
}

// `learn_synapses` (block_start.hpp) with momentum.
template <Kind K, int N, class Real, class Given> EPROP_INLINE void learn_gliding(const SynapsePointers<Real>& s, Index synapse,
                                                                                  const LearningBranch<Real>& branch,
                                                                                  const Gliding<Real>& gliding, Given given) {
  constexpr int size = static_cast<int>(record_size(K.n_corrections()));
  constexpr int discounts = static_cast<int>(record_size(K.n_discounted()));
  const std::uint32_t* targets = s.targets + synapse;
  Values<Real, N> v = read_values<K, N>(s, synapse);
  Vector<Real, N> m[size], d[discounts], g = broadcast<N>(Real(0)),
                                         sum = find_late<K, N>(gliding.late, targets, v, branch.to_block);
  if (branch.from_earlier_block) {
    load_discounts<K, N>(gliding.to_block, targets, d);
    sum += gliding.since_block * discounted<K, N>(d, v, branch.to_block);
    g = go_through<K, N>(branch.to_block, targets, v);
  }
  load_records<N, K.n_corrections(), size>(branch.to_step.copies, targets, m);
  load_discounts<K, N>(gliding.to_step, targets, d);
  Vector<Real, N> premature = collect<K, K.C_GE(), K.C_GR(), K.C_G(), N>(m, v, branch.to_step);
  sum += discounted<K, N>(d, v, branch.to_step);
  const Vector<Real, N> moment = glide<N>(s, synapse, gliding, branch.descent, g + premature, sum, given);
  deliver<N>(s.x, targets, load<N>(s.weight + synapse));
  v.e += m[K.C_E()];
  if constexpr (K.two_kappas) v.rate += m[K.C_R()];
  if constexpr (K.n_own > 0) v.own += m[K.C_A()];
  write_values<K, N>(s, synapse, v);
  Passage<Real> way = branch.to_step;
  way.z_0 = gliding.arrived[0];
  way.z_1 = gliding.arrived[1];
  const Vector<Real, N> sum_premature = discounted<K, N>(d, v, way);
  store<N, Real>(s.moment_1 + synapse, moment - sum_premature);
  store<N, Real>(s.pending + synapse, gliding.lag * sum_premature - (premature + m[K.C_Q()]));
}

// The synapses of an arriving branch.
template <Kind K, class Real> void learn_gliding_branch(const GroupStep<Real>& step, Index begin, Index end,
                                                        const BoundedInterval& interval, const LearningBranch<Real>& branch,
                                                        FollowingBranch next, const Gliding<Real>& gliding) {
  const GivenStates<Real> given = bounded_states<K>(step, begin, end, interval);
  const LearningBranch<Real> b = branch;
  const Gliding<Real> way = gliding;
  const SynapsePointers<Real> s = pointers_of(step);
  if (given.weight == nullptr) {
    for_synapses<true, true>(s, begin, end, next, [&](auto together, Index synapse) EPROP_INLINED {
      learn_gliding<K, together>(s, synapse, b, way, nullptr);
    });
  } else {
    for_synapses<false, true>(s, begin, end, next, [&](auto together, Index synapse) EPROP_INLINED {
      learn_gliding<K, together>(s, synapse, b, way, given.from(synapse - begin));
    });
  }
}

// `finalise_synapses` with momentum.
template <Kind K, int N, class Real, class Given>
EPROP_INLINE void finalise_gliding(const SynapsePointers<Real>& s, Index synapse, const ExpiringBranch<Real>& branch,
                                   const Gliding<Real>& gliding, Given given) {
  constexpr int discounts = static_cast<int>(record_size(K.n_discounted()));
  const std::uint32_t* targets = s.targets + synapse;
  Values<Real, N> v = read_values<K, N>(s, synapse);
  Vector<Real, N> d[discounts], g = broadcast<N>(Real(0)), sum = find_late<K, N>(gliding.late, targets, v, branch.to_block);
  if (branch.from_earlier_block) {
    load_discounts<K, N>(gliding.to_block, targets, d);
    sum += gliding.since_block * discounted<K, N>(d, v, branch.to_block);
    g = go_through<K, N>(branch.to_block, targets, v);
  }
  load_discounts<K, N>(gliding.to_step, targets, d);
  sum += discounted<K, N>(d, v, branch.to_end);
  g += go_through<K, N>(branch.to_end, targets, v);
  write_values<K, N>(s, synapse, v);
  store<N, Real>(s.moment_1 + synapse, glide<N>(s, synapse, gliding, branch.descent, g, sum, given));
  store<N, Real>(s.pending + synapse, broadcast<N>(Real(0)));
}

// The synapses of an expired branch.
template <Kind K, class Real> void finalise_gliding_branch(const GroupStep<Real>& step, Index begin, Index end,
                                                           const BoundedInterval& interval, const ExpiringBranch<Real>& branch,
                                                           FollowingBranch next, const Gliding<Real>& gliding) {
  const GivenStates<Real> given = bounded_states<K>(step, begin, end, interval);
  const ExpiringBranch<Real> b = branch;
  const Gliding<Real> way = gliding;
  const SynapsePointers<Real> s = pointers_of(step);
  if (given.weight == nullptr) {
    for_synapses<true, true>(s, begin, end, next, [&](auto together, Index synapse) EPROP_INLINED {
      finalise_gliding<K, together>(s, synapse, b, way, nullptr);
    });
  } else {
    for_synapses<false, true>(s, begin, end, next, [&](auto together, Index synapse) EPROP_INLINED {
      finalise_gliding<K, together>(s, synapse, b, way, given.from(synapse - begin));
    });
  }
}

// After a first spike or a silence, and when the traces of a branch have moved back to the start of the block by `way`: their
// momentum does as well.
template <Kind K, class Real>
void start_gliding(const GroupStep<Real>& step, Index begin, Index end, Index last, Passage<Real> way) {
  const OptimizerConstants& c = step.group.optimizer;
  const PlusWork<Real>& plus = step.state.plus;
  const Index free = last < 0 ? 0 : step.t - last - step.group.cutoff;
  const Real left = static_cast<Real>(power(c.beta_1, free)), lag = static_cast<Real>(gliding_lag(c));
  way.copies = copies_of<K.n_discounted()>(
      plus.discount_copies, discount_copy(plus, momentum_of(plus, step.group), plus.to_current_block.planes + kHere),
      step.group.target_begin);
  const SynapsePointers<Real> s = pointers_of(step);
  for_synapses<true, false>(s, begin, end, {}, [&](auto together, Index synapse) EPROP_INLINED {
    constexpr int N = together;
    Vector<Real, N> d[record_size(K.n_discounted())];
    load_discounts<K, N>(way.copies, s.targets + synapse, d);
    const Vector<Real, N> premature = discounted<K, N>(d, read_values<K, N>(s, synapse), way), m = load<N>(s.moment_1 + synapse);
    store<N, Real>(s.moment_1 + synapse, left * m - premature);
    store<N, Real>(s.pending + synapse, load<N>(s.pending + synapse) + lag * (premature + (Real(1) - left) * m));
  });
}

}  // namespace eprop
