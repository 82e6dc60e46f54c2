#include "eprop_plus/eprop_plus.hpp"

#include <algorithm>

#include "eprop_plus/effective_weights.hpp"

namespace eprop {
namespace {

template <class Real, class T> void start_propagators(const OnlineState<Real>& state, const Array2<T>& out) {
  for (Index b = 0; b < state.topology.populations.size; b++) {
    const Population& population = state.topology.populations[b];
    if (signal_group(population) >= 0)
      identity(kind_of(state.topology, population.kind), population.target_begin, population.target_end, out);
  }
}

// Synapses of the longest branch of a partition.
Index longest_branch(const Topology& topology, Index partition) {
  const Index* start = topology.branch_start.row(partition);
  Index longest = 0;
  for (Index branch = 0; branch + 1 < topology.branch_start.columns; branch++)
    longest = std::max(longest, start[branch + 1] - start[branch]);
  return longest;
}

}  // namespace

template <class Real> void start_plus_work(OnlineState<Real>& state) {
  const History<Real>& history = state.history;
  const Topology& topology = state.topology;
  PlusWork<Real>& work = state.plus;
  start_propagators(state, history.block_prefix.plane(0));
  if (work.identity.rows > 0) start_propagators(state, work.identity.plane(0));
  const std::size_t partitions = topology.n_partitions();
  work.readout_gradient.assign(partitions, std::vector<double>(topology.n_readouts()));
  work.readout_waiting.assign(partitions, std::vector<double>(history.error_trace_prefix.columns));
  work.readout_sums = work.readout_gradient;
  work.owed.assign(partitions, OwedSteps{});
  work.bounded.assign(partitions, {});
  follow_connections(state);
  clear_cached(state);
}

template <class Real> void follow_connections(OnlineState<Real>& state) {
  state.plus.gradients.clear();
  state.plus.premature.clear();
  for (Index partition = 0; partition < state.topology.n_partitions(); partition++) {
    const Index longest = longest_branch(state.topology, partition);
    state.plus.gradients.emplace_back(longest);
    state.plus.premature.emplace_back(longest);
  }
}

template <class Real> void clear_cached(OnlineState<Real>& state) {
  const Index blocks = state.history.block_propagators.planes;
  CachedPropagators none;
  none.known.assign(blocks, 0);
  none.summed.assign(blocks, 0);
  none.largest_until.assign(blocks, 0);
  none.largest.assign(blocks * kSumRows, 0.0);
  none.copied.assign(blocks + kExtraCopies, -1);
  state.plus.cached.assign(state.topology.n_partitions(), std::vector(state.topology.trace_groups.size, none));
}

template void start_plus_work(OnlineState<float>&);
template void start_plus_work(OnlineState<double>&);
template void follow_connections(OnlineState<float>&);
template void follow_connections(OnlineState<double>&);
template void clear_cached(OnlineState<float>&);
template void clear_cached(OnlineState<double>&);

}  // namespace eprop
