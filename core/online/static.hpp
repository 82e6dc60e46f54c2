// Spikes over synapses with constant weights.
#pragma once
#include "online/deliveries.hpp"
#include "online/weights.hpp"
#include "support/simd.hpp"

namespace eprop {

// Adds the weights of the synapses begin .. end to the inputs of their targets.
template <class Real, class Target>
inline void deliver_branch(Index begin, Index end, const Target* targets, const Real* weight, Real* x) {
#pragma GCC unroll 4
  for (Index synapse = begin; synapse < end; synapse++) x[targets[synapse]] += weight[synapse];
}

// The same with levels.
template <class Real, class Level, class Target>
inline void deliver_levels(Index begin, Index end, const Target* targets, const Level* levels, double level, Real* x) {
#pragma GCC unroll 4
  for (Index synapse = begin; synapse < end; synapse++) x[targets[synapse]] += static_cast<Real>(level * levels[synapse]);
}

// All arriving spikes of a delay group in step t, at the targets of a partition, whose inputs begin at x; returns their number of
// synapses.
template <class Real, class Stored, class Target> Index deliver_static(OnlineState<Real>& state, Index number, Index partition,
                                                                       Index t, const Stored* weight, const Target* targets,
                                                                       Real* x) {
  const DelayGroup& group = state.groups[number];
  const Index* start = state.topology.branch_start.row(partition);
  const Index* logged = state.deliveries.logged.data();
  const Index first = state.deliveries.logged_first[number];
  const Index stop = first + branches_emitted(state, group, t - group.delay).size();
  Index events = 0;
  for (Index k = first; k < stop; k++) {
    const Index begin = start[logged[k]], end = start[logged[k] + 1];
    fetch_ahead(state, start, targets, weight, k);
    if constexpr (std::is_same_v<Stored, Real>) {
      deliver_branch(begin, end, targets, weight, x);
    } else {
      deliver_levels<Real>(begin, end, targets, weight, group.level, x);
    }
    events += end - begin;
  }
  return events;
}

// The same with the weights and targets that the network has.
template <class Real> Index deliver_static(OnlineState<Real>& state, Index number, Index partition, Index t) {
  const Topology& topology = state.topology;
  Real* x = state.neurons.input.row(state.groups[number].receptor);
  Index events = 0;
  with_weights(state.synapses, [&](const auto* weight) {
    events = topology.near_targets.size == 0 ? deliver_static(state, number, partition, t, weight, topology.targets.data, x)
                                             : deliver_static(state, number, partition, t, weight, topology.near_targets.data,
                                                              x + topology.bounds(0, partition));
  });
  return events;
}

}  // namespace eprop
