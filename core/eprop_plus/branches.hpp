// Common parts of all loops over the synapses of an axon branch: pointers, the optimiser, and the loop itself.
#pragma once
#include <utility>

#include "eprop_plus/corrections.hpp"
#include "eprop_plus/propagators.hpp"
#include "network/few_bits.hpp"
#include "network/optimizers.hpp"
#include "online/static_rows.hpp"

namespace eprop {

// A delay group in one step and one partition.
template <class Real> struct GroupStep {
  OnlineState<Real>& state;
  const DelayGroup& group;
  Index number, partition, t;  // index of the group; partition; step
  TargetRange<Real> targets;
  bool moments = false;  // premature gradients wait in `pending`, for an optimiser that takes them at the next spike

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

// Whether a per-step optimiser replays the steps of an interval (delay_group.hpp). Gradient descent of synapses with block-start
// states does not (bounds.hpp).
inline bool replays(const DelayGroup& group, const Kind& kind) {
  return group.per_step_optimizer && !(descends(group.optimizer) && kind.anchored && !kind.reward);
}

// Arrays of synapses, and the inputs of their targets at the receptor of a delay group.
template <class Real> struct SynapsePointers {
  const std::uint32_t* targets;
  Real *weight, *trace, *trace_reg, *trace_reward, *own, *pending, *moment_1, *moment_2;
  Index own_columns;  // from one own component to the next
  Real* x;
};
// Of a branch that begins with synapse `begin`: weights that round at once have no pending gradients, but work space.
template <class Real> SynapsePointers<Real> pointers_of(const GroupStep<Real>& step, Index begin = 0) {
  Synapses<Real>& s = step.state.synapses;
  return {step.state.topology.targets.data,
          s.weight.data,
          s.trace.data,
          s.trace_reg.data,
          s.trace_reward.data,
          s.own.data,
          rounds_at_once(step.group) ? step.state.plus.premature[step.partition].data() - begin : s.pending.data,
          s.moment_1.data,
          s.moment_2.data,
          s.own.columns,
          step.state.neurons.input.row(step.group.receptor)};
}

// Learning rate and bounds in the type of the synapses.
template <class Real> struct Descent {
  Real eta, w_min, w_max;
};
template <class Real> Descent<Real> descent_of(const OptimizerConstants& c) {
  return {static_cast<Real>(c.eta), static_cast<Real>(c.w_min), static_cast<Real>(c.w_max)};
}

// Copies the weights and moments of the synapses from `first` on, as many as the chunk has, into the chunk; or back, rounded.
template <class Real, class T> void read_chunk(const Synapses<Real>& s, Index first, SynapseChunk<T>& chunk) {
  const auto read = [&](const Array1<Real>& from, T* to) {
    if (from.size > 0) std::copy_n(from.data + first, chunk.size, to);
  };
  read(s.weight, chunk.weight);
  read(s.moment_1, chunk.moment_1);
  read(s.moment_2, chunk.moment_2);
}
template <class Real, class T> void write_chunk(const SynapseChunk<T>& chunk, Index first, Synapses<Real>& s) {
  const auto write = [&](const T* from, const Array1<Real>& to) {
    for (Index i = 0; to.size > 0 && i < chunk.size; i++) to.data[first + i] = static_cast<Real>(from[i]);
  };
  write(chunk.weight, s.weight);
  write(chunk.moment_1, s.moment_1);
  write(chunk.moment_2, s.moment_2);
}

// The steps that the synapses of a branch owe to an optimiser. The loop over the synapses notes their gradients; then all of them
// take their steps and deliver.
template <class Real> struct PendingSteps {
  const DelayGroup& group;
  OnlineState<Real>& state;
  bool descent;  // owes nothing: gradient descent, or an optimiser that takes each step at once
  bool rounds;   // at once
  OwedSteps& owed;
  double* gradient;  // of the synapses of a branch
  Real* premature;   // minus their premature gradients, if they round at once; zero between branches
  Real* x;           // inputs of their targets
  Index first = 0;   // synapse of the branch
  Index source = 0;  // its source node

  PendingSteps(const GroupStep<Real>& step)
      : group(step.group),
        state(step.state),
        descent(step.group.per_step_optimizer != 0 || descends(step.group)),
        rounds(rounds_at_once(step.group)),
        owed(step.state.plus.owed[step.partition]),
        gradient(step.state.plus.gradients[step.partition].data()),
        premature(step.state.plus.premature[step.partition].data()),
        x(step.state.neurons.input.row(step.group.receptor)) {}
  // Prepares a branch that begins with synapse `begin`: its optimiser has taken `taken` steps, and must reach `until`.
  void begin(Index branch, Index begin, Index taken, Index until) {
    first = begin;
    if (has_few_bits(group)) source = source_node(state.topology, group, branch);
    owed.prepare(taken, until, group.optimizer);
  }
  template <int N, class V> EPROP_INLINE void note(Index synapse, const V& g) const {
    store<N, double>(gradient + (synapse - first), convert<double, N>(g));
  }
  // The synapses of the branch, up to `end`, take their steps.
  void take(Index end) const {
    const bool moves = has_few_bits(group) && group.optimizer.eta != 0.0;
    const Update update = moves ? update_of(group, source, owed.last) : Update{group};
    SynapseChunk<double> chunk;
    for (Index synapse = first; synapse < end; synapse += chunk.size) {
      chunk.size = std::min(end - synapse, chunk.kMost);
      read_chunk(state.synapses, synapse, chunk);
      std::copy_n(gradient + (synapse - first), chunk.size, chunk.gradient);
      take_steps(owed, chunk);
      if (moves) round_weights(update, state.topology.targets.data + synapse, chunk.size, kSpacing<Real>, chunk.weight);
      for (Index i = 0; rounds && !moves && i < chunk.size; i++) chunk.weight[i] = nearest_level(group, chunk.weight[i]);
      write_chunk(chunk, synapse, state.synapses);
    }
  }
  // The same with the gradients that an expired branch has left in place of pending ones.
  void take_final(Index end) const {
    std::copy_n(premature, end - first, gradient);
    std::fill_n(premature, end - first, Real(0));
    take(end);
  }
  // Weights that round at once carry the premature gradients of their branch until its next update.
  void carry(Index begin, Index end) const {
    const Real eta = static_cast<Real>(group.optimizer.eta);
    Real* weight = state.synapses.weight.data;
    for (Index synapse = begin; rounds && synapse < end; synapse++)
      weight[synapse] -= eta * std::exchange(premature[synapse - begin], Real(0));
  }
  void take_and_deliver(Index end) const {
    take(end);
    deliver_branch(first, end, state.topology.targets.data, state.synapses.weight.data, x);
  }
};

// Gradient descent of N synapses: their new weights.
template <int N, class Real> EPROP_INLINE Vector<Real, N> descended(const SynapsePointers<Real>& s, Index synapse,
                                                                    const Vector<Real, N>& g, const Descent<Real>& d) {
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

template <class Real> EPROP_INLINE void fetch_synapse(const SynapsePointers<Real>& s, Index synapse, bool moments) {
  prefetch(s.targets + synapse);
  prefetch(s.weight + synapse);
  prefetch(s.trace + synapse);
  if (moments) {
    prefetch(s.pending + synapse);
    prefetch(s.moment_1 + synapse);  // nothing is there without a first moment
    prefetch(s.moment_2 + synapse);
  }
}

// Prefetches the beginning of the branch after branch k.
template <class Real, class Listed> void fetch_next(const SynapsePointers<Real>& s, const BranchList<Listed>& branches, Index k) {
  const FollowingBranch next = following(branches, k + 1);
  fetch_branch(next.synapse, next.end, s.targets, s.weight, s.trace);
}

// Calls visit(how many, first synapse) for the synapses of a branch: eight at a time while there are eight, if they may be
// `together`, then one at a time. `moments`: the next branch uses more arrays.
template <bool may_be_together = true, class Real, class F>
EPROP_INLINE void for_synapses(const SynapsePointers<Real>& s, Index begin, Index end, FollowingBranch next, bool moments,
                               bool together, F&& visit) {
  fetch_synapse(s, next.synapse, moments);
  Index synapse = begin;
  if constexpr (may_be_together) {
    for (; together && synapse + kTogether <= end; synapse += kTogether) {
      next.synapse += kTogether;
      if (next.synapse < next.end) fetch_synapse(s, next.synapse, moments);
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
