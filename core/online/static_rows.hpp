// Rows of synapses: which of them spikes reach in a step, and static delivery.
//
// A source has its rows of a bundle of projections one after the other, by delay, in one run of memory per partition. The log
// is the list of the spikes in flight: each reaches the next row of its run when the delay of that row has passed. All rows of
// a step are in one list, so that memory is fetched ahead across delay groups, which often have a spike or two in a step.
//
// Order of the sums: largest delay offset first, equal ones in the order of delay groups, then by source. With one projection,
// this is the order of emission. Samples of e-prop have the same: there, all rows of an axon add their weights when a spike
// reaches the first.
#pragma once
#include <algorithm>

#include "online/deliveries.hpp"
#include "online/weights.hpp"
#include "support/simd.hpp"

namespace eprop {

// Sorts the delay groups in the order of their sums.
template <class Real> void sort_groups(OnlineState<Real>& state) {
  std::vector<const DelayGroup*>& sorted = state.deliveries.groups;
  sorted.clear();
  for (const DelayGroup& group : state.groups) sorted.push_back(&group);
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const DelayGroup* a, const DelayGroup* b) { return a->delay_offset > b->delay_offset; });
}

// Lists the rows that spikes reach in step t in the order of their sums; a delay group of e-prop+, which has its own list, once.
template <class Real> void list_rows(OnlineState<Real>& state, Index t) {
  std::vector<ArrivingRow>& rows = state.deliveries.rows;
  rows.clear();
  for (const DelayGroup* group : state.deliveries.groups) {
    if (group->rule == Rule::eprop_plus) {
      rows.push_back({0, 0, group});
      continue;
    }
    const LoggedBranches branches = branches_emitted(state, *group, t - group->delay);
    for (Index position = branches.first; position < branches.stop; position++)
      rows.push_back({branches[position], position, group});
  }
}

// Fetches memory of the rows that follow number k of the list: first the places of their synapses, then these.
template <class Target, class Stored> EPROP_INLINE void fetch_ahead(const std::vector<ArrivingRow>& rows, std::size_t k,
                                                                    const Index* start, const Target* targets,
                                                                    const Stored* weight) {
  constexpr std::size_t kPlaces = 16, kSynapses = 8;
  if (k + kPlaces < rows.size()) prefetch(start + rows[k + kPlaces].branch);
  if (k + kSynapses >= rows.size()) return;
  const Index branch = rows[k + kSynapses].branch;
  fetch_branch(start[branch], start[branch + 1], targets, weight);
}

// Adds the weights of the synapses begin .. end, or whole numbers of a level, to the inputs of their targets.
template <class Real = double, class Target, class Stored>
inline void deliver_branch(Index begin, Index end, const Target* targets, const Stored* weight, double* x, double level = 1.0) {
#pragma GCC unroll 4
  for (Index synapse = begin; synapse < end; synapse++) {
    if constexpr (std::is_integral_v<Stored>) {
      x[targets[synapse]] += static_cast<double>(static_cast<Real>(level * weight[synapse]));
    } else {
      x[targets[synapse]] += static_cast<double>(weight[synapse]);
    }
  }
}

}  // namespace eprop
