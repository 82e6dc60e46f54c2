// Gradient descent at each step, with bounds: synapses that might touch one.
//
// A step with each part of a gradient is one step with their sum, unless a bound acts on the way. So synapses of a per-step
// gradient descent learn as those of gradient descent per spike (block_start.hpp), and only those that might touch a bound
// between two spikes replay their steps: the result is written as the gradient that leads to the same weight. Which synapses
// these are does not depend on their neighbours: it follows from an upper limit of the size of all partial sums. From the start
// of the block of the last spike on, with the filtered spikes z, own component h and traces there,
//
//     |h| <= H = |h_0| + |u| S_psi |c_z| Z    if |a + u c_h psi| <= 1 in all steps
//     |e_bar| <= |e_0| + X    |e_bar_reg| <= |e_reg,0| + (1 - kappa_reg) X    X = S_psi (|c_z| Z + |c_h| H)
//     |sum| <= S_L (|e_0| + X) + S_F (|e_reg,0| + (1 - kappa_reg) X)
//
// where Z is the largest |z| of the interval, and S_psi, S_L and S_F are the sums of psi, |L| and |F| over its blocks.
#pragma once
#include <cmath>
#include <limits>

#include "eprop_plus/passage.hpp"

namespace eprop {

// Factor of limits, for the rounding errors of sums.
inline constexpr double kSumMargin = 1.001;

// Whether some weight can be at a bound.
inline bool is_bounded(const OptimizerConstants& c) { return c.eta != 0.0 && !(std::isinf(c.w_min) && std::isinf(c.w_max)); }

// Adds the steps of a block, before `end`, that its sums do not have yet.
template <Kind K, class Real> void sum_block(const TargetRange<Real>& targets, Index block, Index end) {
  OnlineState<Real>& state = targets.state;
  const Index steps = state.history.block_steps, row = block & (state.plus.sums.planes - 1);
  const Array2<Real> sums = state.plus.sums.plane(row);
  Index& summed = targets.cached->summed[row];
  if (summed <= block * steps || summed > (block + 1) * steps) {
    summed = block * steps;
    for (Index k = 0; k < kSumRows; k++) std::fill(sums.row(k) + targets.begin, sums.row(k) + targets.end, Real(0));
  }
  const auto constants = constants_of<K>(state.topology);
  Real *psi = sums.row(kSumPsi), *learning = sums.row(kSumLearning), *rate = sums.row(kSumRate);
  for (; summed < std::min(end, (block + 1) * steps); summed++) {
    const StoredStep stored = stored_step(state.history, summed);
    EPROP_INDEPENDENT
    for (Index j = targets.begin; j < targets.end; j++) {
      psi[j] += static_cast<Real>(std::fabs(stored.psi(j)));
      learning[j] += static_cast<Real>(std::fabs(stored.learning(j)));
      if constexpr (K.two_kappas) rate[j] += static_cast<Real>(std::fabs(stored.regularisation(j)));
      if constexpr (K.n_own == 1) {
        const double stays = constants[K.a()][j] + constants[K.u()][j] * constants[K.c() + K.n_filters][j] * stored.psi(j);
        psi[j] = std::fabs(stays) <= 1.0 ? psi[j] : std::numeric_limits<Real>::infinity();
      }
    }
  }
}

// Sums from the start of block `first` to step `t`.
template <Kind K, class Real> Array2<const Real> sum_blocks(const TargetRange<Real>& targets, Index first, Index t) {
  PlusWork<Real>& plus = targets.state.plus;
  CachedPropagators& cached = *targets.cached;
  const Array2<Real> total = plus.summed.plane(0);
  if (cached.summed_first == first && cached.summed_step == t) return plane_of(plus.summed, 0);
  cached.summed_first = first;
  cached.summed_step = t;
  constexpr Index rows = K.two_kappas ? kSumRows : kSumRate;
  for (Index k = 0; k < rows; k++) std::fill(total.row(k) + targets.begin, total.row(k) + targets.end, Real(0));
  for (Index block = first; block * targets.state.history.block_steps < t; block++) {
    sum_block<K>(targets, block, t);
    for (Index k = 0; k < rows; k++) {
      const Real* more = plus.sums.row(block & (plus.sums.planes - 1), k);
      Real* out = total.row(k);
      EPROP_INDEPENDENT
      for (Index j = targets.begin; j < targets.end; j++) out[j] += more[j];
    }
  }
  return plane_of(plus.summed, 0);
}

// Largest size of some numbers.
template <class T> double largest(const T* values, Index begin, Index end) {
  double most[kTogether] = {};
  const auto compare = [&](int k, double value) { most[k] = value > most[k] ? value : most[k]; };
  Index j = begin;
  for (; j + kTogether <= end; j += kTogether)
    for (int k = 0; k < kTogether; k++) compare(k, std::fabs(values[j + k]));
  for (; j < end; j++) compare(0, std::fabs(values[j]));
  return *std::max_element(most, most + kTogether);
}

// The largest sums over the steps of a block before `end`.
template <Kind K, class Real> const double* largest_of_block(const TargetRange<Real>& targets, Index block, Index end) {
  const OnlineState<Real>& state = targets.state;
  const Index steps = state.history.block_steps, row = block & (state.plus.sums.planes - 1);
  const Index stop = std::min(end, (block + 1) * steps);
  double* out = targets.cached->largest.data() + row * kSumRows;
  Index& until = targets.cached->largest_until[row];
  if (until == stop) return out;
  until = stop;
  sum_block<K>(targets, block, end);
  for (Index k = 0; k < kSumRows; k++) out[k] = largest(state.plus.sums.row(row, k), targets.begin, targets.end);
  return out;
}

// Limits of all targets: the sum of the largest of each block of a cutoff that ends with this step, and the largest constants.
template <Kind K, class Real> const double* find_limits(const GroupStep<Real>& step) {
  CachedPropagators& cached = *step.targets.cached;
  const Index begin = step.targets.begin, end = step.targets.end;
  if (cached.limits.empty()) {
    cached.limits.assign(kSumRows + K.n_constants(), 0.0);
    const auto constants = constants_of<K>(step.state.topology);
    for (int k = 0; k < K.n_constants(); k++) cached.limits[kSumRows + k] = largest(constants[k], begin, end);
  }
  if (cached.limits_step == step.t) return cached.limits.data();
  cached.limits_step = step.t;
  const Index oldest = std::max<Index>(step.t - step.group.cutoff, 0) / step.state.history.block_steps;
  std::fill_n(cached.limits.begin(), kSumRows, 0.0);
  for (Index block = oldest; block * step.state.history.block_steps < step.t; block++) {
    const double* sums = largest_of_block<K>(step.targets, block, step.t);
    for (Index k = 0; k < kSumRows; k++) cached.limits[k] += kSumMargin * sums[k];
  }
  return cached.limits.data();
}

// An interval of a branch: its steps, and its filtered spikes at the start of its first block.
struct BoundedInterval {
  Replay replay;
  double z[2];
};

// Largest size of the filtered spikes from the start of the first block on.
template <Kind K> void largest_spikes(const Topology& topology, Index trace_group, Index n, const double* z, double (&out)[2]) {
  out[0] = std::fabs(z[0]);
  out[1] = std::fabs(z[1]);
  for (Index k = 1; K.n_filters > 1 && k <= n; k++) {
    double later[2];
    move_spikes<K>(topology, trace_group, kForward, k, z, later);
    for (int d = 0; d < 2; d++) out[d] = std::max(out[d], std::fabs(later[d]));
  }
}

// By how much the limit exceeds the distance from the bounds, for synapses side by side. `rough`: with the limits of all targets,
// which exceed those of a synapse's own; this takes no look-ups.
template <Kind K, bool rough, class Real> void find_excess(const GroupStep<Real>& step, const BoundedInterval& interval,
                                                           Index synapse, Index count, double* __restrict excess) {
  const OnlineState<Real>& state = step.state;
  const OptimizerConstants& optimizer = step.group.optimizer;
  const Index steps = state.history.block_steps, first = interval.replay.first / steps, stop = interval.replay.stop;
  const double* limits = find_limits<K>(step);
  const Array2<const Real> sums = rough ? Array2<const Real>{} : sum_blocks<K>(step.targets, first, stop);
  const auto constants = constants_of<K>(state.topology);
  const auto sum = [&](Index row, Index j)
                       EPROP_INLINED -> double { return rough ? limits[row] : sums.data[row * sums.columns + j]; };
  const auto constant = [&](int k, Index j) EPROP_INLINED { return rough ? limits[kSumRows + k] : std::fabs(constants[k][j]); };
  const double fresh = 1.0 - state.topology.trace_groups[step.group.trace_group].kappa_reg;
  const double eta = kSumMargin * std::fabs(optimizer.eta), w_min = optimizer.w_min, w_max = optimizer.w_max;
  double z[2];
  largest_spikes<K>(state.topology, step.group.trace_group, stop - first * steps, interval.z, z);
  const SynapsePointers<Real> s = pointers_of(step);
  for (Index i = 0; i < count; i++) {
    const Index j = rough ? 0 : s.targets[synapse + i];
    const double psi = sum(kSumPsi, j);
    double driven = 0.0;
    if constexpr (K.n_filters > 0) driven = constant(K.c(), j) * z[0];
    if constexpr (K.n_filters > 1) driven += constant(K.c() + 1, j) * z[1];
    if constexpr (K.n_own == 1) {
      const double own = std::fabs(s.own[synapse + i]) + constant(K.u(), j) * psi * driven;
      driven += constant(K.c() + K.n_filters, j) * own;
    }
    const double added = psi * driven, weight = s.weight[synapse + i];
    double most = sum(kSumLearning, j) * (std::fabs(s.trace[synapse + i]) + added);
    if constexpr (K.two_kappas) most += sum(kSumRate, j) * (std::fabs(s.trace_reg[synapse + i]) + fresh * added);
    const double below = weight - w_min, above = w_max - weight;
    excess[i] = eta * most - (below < above ? below : above);
  }
}

// Whether one of some synapses might touch a bound; writes which.
template <Kind K, class Real> bool are_near(const GroupStep<Real>& step, const BoundedInterval& interval, Index synapse,
                                            Index count, double* __restrict excess) {
  const auto any = [&] {
    std::int64_t near = 0;
    for (Index i = 0; i < count; i++) near |= !(excess[i] < 0.0);
    return near != 0;
  };
  find_excess<K, true>(step, interval, synapse, count, excess);
  if (!any()) return false;
  find_excess<K, false>(step, interval, synapse, count, excess);
  return any();
}

// State of a synapse as of its last spike, from its block-start state: appended to a chunk.
template <Kind K, class Real>
void append_at_spike(const GroupStep<Real>& step, const BoundedInterval& interval, Index synapse, ReplayedChunk<K, Real>& chunk) {
  constexpr Index size = record_size(K.n_entries());
  const OnlineState<Real>& state = step.state;
  const SynapsePointers<Real> s = pointers_of(step);
  const Array3<Real>& history = state.history.prefix_history;
  const Index last = interval.replay.first, n = last & (state.history.block_steps - 1), i = chunk.optimized.size++;
  const std::uint32_t target = s.targets[synapse], here = 0;
  Real entries[size] = {};
  const Array2<const Real> prefix = plane_of(history, last & (history.planes - 1));
  for (int k = 0; k < K.n_entries(); k++) entries[k] = prefix(k, target);
  Passage<Real> to_spike = passage<K>(step, 0, last - n, last);
  to_spike.copies = entries;
  to_spike.set_spikes(interval.z);
  Values<Real, 1> v = read_values<K, 1>(s, synapse);
  const Real premature = go_through<K, 1>(to_spike, &here, v);
  chunk.optimized.weight[i] = s.weight[synapse];
  if (!step.moments) chunk.optimized.weight[i] -= step.group.optimizer.eta * premature;
  chunk.target[i] = target;
  chunk.e_bar[i] = v.e;
  if constexpr (K.two_kappas) chunk.e_reg[i] = v.rate;
  if constexpr (K.n_own > 0) chunk.own[0][i] = v.own;
}

// Takes all steps one by one for those synapses of a branch that might touch a bound: `found` is called with each of them,
// and with its place in a chunk after them.
template <Kind K, class Real, class Found>
void replay_near(const GroupStep<Real>& step, Index begin, Index end, const BoundedInterval& interval, const Found& found) {
  ReplayedChunk<K, Real> chunk;
  Index synapses[ReplayedChunk<K, Real>::kMost];
  double excess[ReplayedChunk<K, Real>::kMost];
  for (Index first = begin; first < end; first += ReplayedChunk<K, Real>::kMost) {
    const Index count = std::min(end - first, ReplayedChunk<K, Real>::kMost);
    if (!are_near<K>(step, interval, first, count, excess)) continue;
    chunk.optimized.size = 0;
    for (Index i = 0; i < count; i++) {
      if (excess[i] < 0.0) continue;
      synapses[chunk.optimized.size] = first + i;
      append_at_spike<K>(step, interval, first + i, chunk);
    }
    replay_chunk<K>(step, interval.replay, chunk);
    for (Index i = 0; i < chunk.optimized.size; i++) found(synapses[i], chunk.optimized, i);
  }
}

// Gradients that lead to the weights of all steps one by one, for those synapses of a branch that might touch a bound; NaN for
// the others. Null if there are none.
template <Kind K, class Real>
const Real* bounded_gradients(const GroupStep<Real>& step, Index begin, Index end, const BoundedInterval& interval) {
  const OptimizerConstants& optimizer = step.group.optimizer;
  if (!step.group.per_step_optimizer || !is_bounded(optimizer)) return nullptr;
  std::vector<Real>& gradients = step.state.plus.bounded[step.partition];
  gradients.clear();
  replay_near<K>(step, begin, end, interval, [&](Index synapse, const SynapseChunk<Real>& after, Index i) {
    if (gradients.empty()) gradients.assign(end - begin, std::numeric_limits<Real>::quiet_NaN());
    gradients[synapse - begin] = static_cast<Real>((step.state.synapses.weight[synapse] - after.weight[i]) / optimizer.eta);
  });
  return gradients.empty() ? nullptr : gradients.data();
}

}  // namespace eprop
