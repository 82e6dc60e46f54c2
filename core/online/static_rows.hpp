// Rows of synapses: which of them spikes reach in a step, and static delivery.
//
// A source has its rows of a bundle of projections one after the other, by delay. A spike in flight is a cursor, which moves to
// the next row in each step. All cursors are in one list, so that memory is fetched ahead across delay groups, which often have a
// spike or two in a step.
//
// Order of the sums: largest delay offset first, equal ones in the order of delay groups, then by source. Samples of e-prop have
// the same: there, all rows of an axon add their weights when a spike reaches the first.
#pragma once
#include <algorithm>
#include <functional>
#include <numeric>

#include "online/deliveries.hpp"
#include "online/weights.hpp"
#include "support/simd.hpp"

namespace eprop {

// Lists the delay groups of a run in the order of the sums.
template <class Real> void list_groups(OnlineState<Real>& state) {
  Deliveries& plan = state.deliveries;
  const std::vector<DelayGroup>& groups = state.groups;
  std::vector<Index> order(groups.size()), places(groups.size());
  std::iota(order.begin(), order.end(), Index{0});
  std::ranges::stable_sort(order, std::greater{}, [&](Index number) { return groups[number].delay_offset; });
  for (std::size_t place = 0; place < order.size(); place++) places[order[place]] = static_cast<Index>(place);
  const auto follows = [&](std::size_t number) {  // the group before it, by one step
    return number > 0 && number < groups.size() && groups[number].first_group == groups[number - 1].first_group &&
           groups[number].delay == groups[number - 1].delay + 1;
  };
  const auto are_alike = [](const DelayGroup& a, const DelayGroup& b) {
    return a.rule != Rule::pairs && a.rule == b.rule && a.receptor == b.receptor && a.level == b.level &&
           a.counts_events == b.counts_events;
  };
  plan.groups.clear();
  plan.plus.clear();
  plan.starts.clear();
  plan.cursors.clear();
  std::vector<Index> ways;  // places of groups that differ
  for (const Index number : order) {
    const DelayGroup& group = groups[number];
    const bool plus = group.rule == Rule::eprop_plus;
    if (plus || !follows(number)) (plus ? plan.plus : plan.starts).push_back(places[number]);
    const auto way = std::ranges::find_if(ways, [&](Index place) { return are_alike(*plan.groups[place].group, group); });
    const Index alike = way == ways.end() ? places[number] : *way;
    if (way == ways.end() && group.rule != Rule::pairs) ways.push_back(alike);
    plan.groups.push_back({&group, follows(number + 1) ? places[number + 1] : -1, alike});
  }
}

// Adds the cursors of the spikes that reach a delay group in step t.
template <class Real> void add_cursors(OnlineState<Real>& state, Index place, Index t) {
  const DelayGroup& group = *state.deliveries.groups[place].group;
  const LoggedBranches branches = branches_emitted(state, group, t - group.delay);
  for (Index k = branches.first; k < branches.stop; k++) state.deliveries.cursors.push_back({branches[k], k, place});
}

// Cursors of step t - 1 move on to step t, and spikes reach their first row, or one after a gap between delays.
template <class Real> void move_cursors(OnlineState<Real>& state, Index t) {
  Deliveries& plan = state.deliveries;
  std::size_t kept = 0;
  for (const auto [branch, position, place] : plan.cursors)
    if (const Index next = plan.groups[place].next; next >= 0) plan.cursors[kept++] = {branch + 1, position, next};
  plan.cursors.resize(kept);
  for (const Index place : plan.starts) {
    const auto before = static_cast<std::ptrdiff_t>(plan.cursors.size());
    add_cursors(state, place, t);
    const auto added = plan.cursors.begin() + before;
    std::rotate(std::ranges::upper_bound(plan.cursors.begin(), added, place, {}, &Cursor::place), added, plan.cursors.end());
  }
}

// Fetches memory of the rows that follow number k of a list: first the places of their synapses, then these.
template <class Target, class Stored> EPROP_INLINE void fetch_ahead(const std::vector<Cursor>& cursors, Index k,
                                                                    const Index* start, const Target* targets,
                                                                    const Stored* weight) {
  constexpr Index kPlaces = 16, kSynapses = 8;
  const Index n = static_cast<Index>(cursors.size());
  if (k + kPlaces < n) prefetch(start + cursors[k + kPlaces].branch);
  if (k + kSynapses >= n) return;
  const Index branch = cursors[k + kSynapses].branch;
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

// Some of the cursors of a step, of delay groups that are alike, at static synapses of a partition, whose inputs begin at x;
// returns the number of synapses. In line, x is added up anew for each synapse: 4 to 6 % of a step of 100 neurons.
template <class Real, class Target, class Stored>
__attribute__((noinline)) Index deliver_static(const std::vector<Cursor>& cursors, Positions some, const DelayGroup& group,
                                               const Index* start, const Target* targets, const Stored* weight, Real* x) {
  Index events = 0;
  for (Index k = some.first; k < some.stop; k++) {
    const Index begin = start[cursors[k].branch], end = start[cursors[k].branch + 1];
    fetch_ahead(cursors, k, start, targets, weight);
    deliver_branch(begin, end, targets, weight, x, group.level);
    events += end - begin;
  }
  return events;
}

}  // namespace eprop
