// Common parts of all loops over the synapses of an axon branch: pointers, the optimiser, and the loop itself.
#pragma once
#include "common/optimizers.hpp"
#include "eprop_plus/corrections.hpp"
#include "eprop_plus/propagators.hpp"

namespace eprop {

// A delay group in one step and one partition.
template <class Real> struct GroupStep {
  OnlineState<Real>& state;
  const DelayGroup& group;
  Index number, partition, t;  // index of the group; partition; step
  TargetRange<Real> targets;

  template <class Listed> BranchList<Listed> listed(const std::vector<Listed>& branches, const std::vector<Index>& start) const {
    return {branches.data() + start[number], start[number + 1] - start[number], state.topology.branch_start.row(partition)};
  }
  BranchList<ArrivingBranch> arriving() const { return listed(state.deliveries.arriving, state.deliveries.arriving_start); }
  BranchList<ExpiredBranch> expired() const { return listed(state.deliveries.expired, state.deliveries.expired_start); }
  BranchList<ExpiredBranch> unrewarded() const { return listed(state.deliveries.unrewarded, state.deliveries.unrewarded_start); }
  // Change of the learning rate since premature gradients were subtracted from weights in step `last`.
  double change_of_eta(Index last) const {
    const Array2<double>& eta = state.history.eta;
    return group.optimizer.eta - eta(number, last & (eta.columns - 1));
  }
};

// Arrays of synapses, and the inputs of their targets.
template <class Real> struct SynapsePointers {
  const std::uint32_t* targets;
  Real *weight, *trace, *trace_reg, *trace_reward, *own, *pending;
  Index own_columns;  // from one own component to the next
  double* x;
};
template <class Real> SynapsePointers<Real> pointers_of(OnlineState<Real>& state) {
  Synapses<Real>& s = state.synapses;
  return {state.topology.targets.data,
          s.weight.data,
          s.trace.data,
          s.trace_reg.data,
          s.trace_reward.data,
          s.own.data,
          s.pending.data,
          s.own.columns,
          state.neurons.input.data};
}

// Learning rate and bounds in the type of the synapses.
template <class Real> struct Descent {
  Real eta, w_min, w_max;
};
template <class Real> Descent<Real> descent_of(const OptimizerConstants& c) {
  return {static_cast<Real>(c.eta), static_cast<Real>(c.w_min), static_cast<Real>(c.w_max)};
}

// Pending steps of an optimiser with moments for the synapses of a branch, the first with a gradient; `left` is the decay of a
// single moment over the other steps.
template <class Real> struct PendingSteps {
  const OptimizerConstants& constants;
  Synapses<Real>& synapses;
  bool descent;  // no pending steps: gradient descent, or an optimiser that takes each step at once (per_step.hpp)
  Index first = 0, last = 0;
  double left = 1.0;

  PendingSteps(OnlineState<Real>& state, const DelayGroup& group)
      : constants(group.optimizer),
        synapses(state.synapses),
        descent(group.per_step_optimizer != 0 || descends(group.optimizer)) {}
  // Prepares the next branch: its optimiser has taken `taken` steps, and must reach `until`.
  void begin(Index taken, Index until) {
    first = taken;
    last = until;
    left = decay_of_pending(constants, taken, until);
  }
  // Takes the pending steps; returns the new weight.
  __attribute__((noinline)) Real take(Index synapse, double gradient) const {
    return optimize_synapse(synapse, gradient, first, last, left, constants, synapses);
  }
};

// New weights of N synapses from their gradients. With `moments` an optimiser takes its pending steps. In a loop for any
// optimiser either it does, or it is gradient descent: only then are synapses processed several at a time.
template <Kind K, bool moments, int N, class Real>
EPROP_INLINE Vector<Real, N> changed_weights(const SynapsePointers<Real>& s, Index synapse, const Vector<Real, N>& g,
                                             const Descent<Real>& d, const PendingSteps<Real>& pending) {
  static_assert(!moments || N == 1);
  if constexpr (moments || (K.any_optimizer() && N == 1))
    if (moments || !pending.descent) return pending.take(synapse, static_cast<double>(g));
  return clip<N, Real>(load<N>(s.weight + synapse) - d.eta * g, d.w_min, d.w_max);
}

// --------------------------------------------------------------------------------------------------------------- walking

// Branches are scattered in memory, and a short one ends before the hardware prefetcher recognises it. So each branch prefetches
// a later one bit by bit: all at once, the cache lines would compete.
struct FollowingBranch {
  Index synapse = 0, end = 0;
};

// Number of branches to prefetch ahead, if all are about as long as the first of a list.
template <class Listed> Index branches_ahead(const BranchList<Listed>& branches) {
  if (branches.count == 0) return 1;
  return 1 + std::min<Index>(100 / (branches.end(0) - branches.begin(0) + 1), 15);
}
template <class Listed> FollowingBranch following(const BranchList<Listed>& branches, Index k) {
  if (k >= branches.count) return {};
  return {branches.begin(k), branches.end(k)};
}

template <class Real> EPROP_INLINE void fetch_synapse(const SynapsePointers<Real>& s, Index synapse) {
  prefetch(s.targets + synapse);
  prefetch(s.weight + synapse);
  prefetch(s.trace + synapse);
}

// Prefetches the beginning of the branch after branch k.
template <class Real, class Listed> void fetch_next(const SynapsePointers<Real>& s, const BranchList<Listed>& branches, Index k) {
  const FollowingBranch next = following(branches, k + 1);
  fetch_branch(next.synapse, next.end, s.targets, s.weight, s.trace);
}

// Calls visit(how many, first synapse) for the synapses of a branch: eight at a time while there are eight (`together`, unless
// `alone`), then one at a time.
template <bool together, class Real, class F> EPROP_INLINE void for_synapses(const SynapsePointers<Real>& s, Index begin,
                                                                             Index end, FollowingBranch next, F&& visit,
                                                                             bool alone = false) {
  fetch_synapse(s, next.synapse);
  Index synapse = begin;
  if constexpr (together) {
    for (const Index stop = alone ? begin : end; synapse + kTogether <= stop; synapse += kTogether) {
      next.synapse += kTogether;
      if (next.synapse < next.end) fetch_synapse(s, next.synapse);
      visit(std::integral_constant<int, kTogether>{}, synapse);
    }
  }
  for (; synapse < end; synapse++) visit(std::integral_constant<int, 1>{}, synapse);
}

// -------------------------------------------------------------------------------------------------------- filtered spikes

// Filtered spikes z, n steps later (`kForward`) or before (`kInverse`).
template <Kind K>
void move_spikes(const Topology& topology, Index trace_group, Way way, Index n, const double* z, double (&out)[2]) {
  out[0] = out[1] = 0.0;
  if constexpr (K.n_filters == 1) out[0] = topology.filters(trace_group, way, n, 0, 0) * z[0];
  if constexpr (K.n_filters == 2) {
    const double* f = topology.filters.matrix(trace_group, way, n);
    const Index row = topology.filters.size;
    const double first = f[0] * z[0] + f[1] * z[1];
    out[1] = f[row] * z[0] + f[row + 1] * z[1];
    out[0] = first;
  }
}

// Filtered spikes at the start of the block, n steps before, without the arriving spike; `z_ahead` is from the step before.
template <Kind K>
void move_ahead_back(const Topology& topology, Index trace_group, Index n, const double* z_ahead, double (&out)[2]) {
  double now[2];
  move_spikes<K>(topology, trace_group, kForward, 1, z_ahead, now);
  move_spikes<K>(topology, trace_group, kInverse, n, now, out);
}

}  // namespace eprop
