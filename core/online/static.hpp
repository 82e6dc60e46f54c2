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

// All arriving spikes of a delay group in step t, at the targets of a partition.
template <class Real> void deliver_static(OnlineState<Real>& state, const DelayGroup& group, Index partition, Index t) {
  const Index* start = state.topology.branch_start.row(partition);
  const std::uint32_t* targets = state.topology.targets.data;
  const Real* weight = state.synapses.weight.data;
  double* x = state.neurons.input.row(group.receptor);
  const LoggedBranches branches = branches_emitted(state, group, t - group.delay);
  for (Index position = branches.first; position < branches.stop; position++) {
    const Index branch = branches[position];
    if (position + 1 < branches.stop) {
      const Index next = branches[position + 1];
      fetch_branch(start[next], start[next + 1], targets, weight);
    }
    deliver_branch(start[branch], start[branch + 1], targets, weight, x);
  }
}

}  // namespace eprop
