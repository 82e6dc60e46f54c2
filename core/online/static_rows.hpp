// Rows of synapses: which of them spikes reach in a step, and static delivery.
//
// A source has its rows of a bundle of projections one after the other, by delay. All rows of a step are in one list, so that
// memory is fetched ahead across delay groups, which often have a spike or two in a step.
//
// Order of the sums: largest delay offset first, equal ones in the order of delay groups, then by source. Samples of e-prop have
// the same: there, all rows of an axon add their weights when a spike reaches the first.
#pragma once
#include "online/deliveries.hpp"
#include "online/weights.hpp"
#include "support/simd.hpp"

namespace eprop {

// Lists the rows that spikes reach in step t in the order of their sums; a delay group of e-prop+, which has its own list, once.
template <class Real> void list_rows(OnlineState<Real>& state, Index t) {
  Deliveries& plan = state.deliveries;
  plan.arrivals.clear();
  plan.rows.clear();
  for (const auto& [delay, population, eprop_plus, group] : plan.groups) {
    if (!eprop_plus && emitted(state.log, t - delay, population).size() == 0) continue;
    const Index first = static_cast<Index>(plan.rows.size());
    const LoggedBranches branches = branches_emitted(state, *group, t - delay);
    for (Index k = branches.first; !eprop_plus && k < branches.stop; k++) plan.rows.push_back(branches[k]);
    plan.arrivals.push_back({group, first, static_cast<Index>(plan.rows.size()), branches.first});
  }
}

// Fetches memory of the rows that follow number k of the list: first the places of their synapses, then these.
template <class Target, class Stored> EPROP_INLINE void fetch_ahead(const std::vector<Index>& rows, Index k, const Index* start,
                                                                    const Target* targets, const Stored* weight) {
  constexpr Index kPlaces = 16, kSynapses = 8;
  const Index n = static_cast<Index>(rows.size());
  if (k + kPlaces < n) prefetch(start + rows[k + kPlaces]);
  if (k + kSynapses >= n) return;
  const Index branch = rows[k + kSynapses];
  fetch_branch(start[branch], start[branch + 1], targets, weight);
}

// Adds the weights of the synapses begin .. end, or whole numbers of a level, to the inputs of their targets.
template <class Real, class Target, class Stored>
inline void deliver_branch(Index begin, Index end, const Target* targets, const Stored* weight, Real* x, double level = 1.0) {
#pragma GCC unroll 4
  for (Index synapse = begin; synapse < end; synapse++) {
    if constexpr (std::is_integral_v<Stored>)
      x[targets[synapse]] += static_cast<Real>(level * weight[synapse]);
    else
      x[targets[synapse]] += weight[synapse];
  }
}

// Spikes of a delay group at static synapses of a partition, whose inputs begin at x; returns the number of synapses. In line, x
// is added up anew for each synapse: 4 to 6 % of a step of 100 neurons.
template <class Real, class Target, class Stored>
__attribute__((noinline)) Index deliver_static(const std::vector<Index>& rows, const ArrivingRows& arriving, const Index* start,
                                               const Target* targets, const Stored* weight, Real* x) {
  Index events = 0;
  for (Index k = arriving.first; k < arriving.stop; k++) {
    const Index begin = start[rows[k]], end = start[rows[k] + 1];
    fetch_ahead(rows, k, start, targets, weight);
    deliver_branch(begin, end, targets, weight, x, arriving.group->level);
    events += end - begin;
  }
  return events;
}

}  // namespace eprop
