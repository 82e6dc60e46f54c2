// Spikes over synapses with constant weights.
#pragma once
#include "common/simd.hpp"
#include "online/deliveries.hpp"

namespace eprop {

// Adds the weights of the synapses begin .. end to the inputs of their targets.
template <class Real>
inline void deliver_branch(Index begin, Index end, const std::uint32_t* targets, const Real* weight, double* x) {
  for (Index synapse = begin; synapse < end; synapse++) x[targets[synapse]] += static_cast<double>(weight[synapse]);
}

// Branches between fetching one from memory and its turn: first the place of its synapses, then they themselves.
constexpr Index kFetchStart = 16, kFetchBranch = 6;

// All arriving spikes of a delay group in step t, at the targets of a partition; returns their number of synapses.
template <class Real> Index deliver_static(OnlineState<Real>& state, const DelayGroup& group, Index partition, Index t) {
  const Index* start = state.topology.branch_start.row(partition);
  const std::uint32_t* targets = state.topology.targets.data;
  const Real* weight = state.synapses.weight.data;
  double* x = state.neurons.input.row(group.receptor);
  const LoggedBranches branches = branches_emitted(state, group, t - group.delay);
  Index events = 0;
  for (Index position = branches.first; position < branches.stop; position++) {
    const Index branch = branches[position];
    if (position + kFetchStart < branches.stop) prefetch(start + branches[position + kFetchStart]);
    if (position + kFetchBranch < branches.stop) {
      const Index next = branches[position + kFetchBranch];
      fetch_branch(start[next], start[next + 1], targets, weight);
    }
    deliver_branch(start[branch], start[branch + 1], targets, weight, x);
    events += start[branch + 1] - start[branch];
  }
  return events;
}

}  // namespace eprop
