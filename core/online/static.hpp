// Spikes over synapses with constant weights.
#pragma once
#include "common/simd.hpp"
#include "online/deliveries.hpp"

namespace eprop {

// Adds the weights of the synapses begin .. end to the inputs of their targets.
template <class Real>
inline void deliver_branch(Index begin, Index end, const std::uint32_t* targets, const Real* weight, double* x) {
#pragma GCC unroll 4
  for (Index synapse = begin; synapse < end; synapse++) x[targets[synapse]] += static_cast<double>(weight[synapse]);
}

// All arriving spikes of a delay group in step t, at the targets of a partition; returns their number of synapses.
template <class Real> Index deliver_static(OnlineState<Real>& state, Index number, Index partition, Index t) {
  const DelayGroup& group = state.groups[number];
  const Index* start = state.topology.branch_start.row(partition);
  const std::uint32_t* targets = state.topology.targets.data;
  const Real* weight = state.synapses.weight.data;
  double* x = state.neurons.input.row(group.receptor);
  const Index* logged = state.deliveries.logged.data();
  const Index first = state.deliveries.logged_first[number];
  const Index stop = first + branches_emitted(state, group, t - group.delay).size();
  Index events = 0;
  for (Index k = first; k < stop; k++) {
    const Index begin = start[logged[k]], end = start[logged[k] + 1];
    fetch_ahead(state, start, k);
    deliver_branch(begin, end, targets, weight, x);
    events += end - begin;
  }
  return events;
}

}  // namespace eprop
