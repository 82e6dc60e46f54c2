// Branches of axons with a spike that arrives in a step, and branches that expire.
//
// `OnlineState::deliveries` lists the e-prop+ branches. Arriving branches are sorted by their last spikes, so that branches with
// the same propagator are adjacent. Delay groups that follow a first one are listed with it: branches with the same last spike
// share propagators, whatever their delays. The branches of all other groups are listed in the order in which they will be
// delivered, so that memory is fetched ahead across delay groups, which often have a spike or two in a step.
#pragma once
#include "online/spike_log.hpp"
#include "support/simd.hpp"

namespace eprop {

// Lists the branches that arrive and expire in step t; the order does not depend on the number of threads. `premature`: gradients
// are subtracted from all weights in advance, not only from those that round at once; the learning rates are recorded here.
template <class Real> void plan_deliveries(OnlineState<Real>& state, Index t, bool premature, int threads);

// Lists the arriving branches of all rules but e-prop+ in step t.
template <class Real> void list_logged(OnlineState<Real>& state, Index t);

// Fetches memory of branches that follow number k of the list: first the places of their synapses, then these.
template <class Real, class Target, class Stored>
void fetch_ahead(const OnlineState<Real>& state, const Index* start, const Target* targets, const Stored* weight, Index k) {
  constexpr Index kPlaces = 16, kSynapses = 8;
  const std::vector<Index>& logged = state.deliveries.logged;
  const Index n = static_cast<Index>(logged.size());
  if (k + kPlaces < n) prefetch(start + logged[k + kPlaces]);
  if (k + kSynapses >= n) return;
  const Index branch = logged[k + kSynapses];
  fetch_branch(start[branch], start[branch + 1], targets, weight);
}

// Branches of a delay group whose spikes were emitted in a step, in the order of the log.
struct LoggedBranches {
  Index first, stop;  // positions
  Index stride, shift;
  const std::int32_t* sources;
  Index mask;
  Index size() const { return stop - first; }
  Index operator[](Index position) const { return sources[position & mask] * stride + shift; }
};

template <class Real> LoggedBranches branches_emitted(const OnlineState<Real>& state, const DelayGroup& group, Index step) {
  const auto [first, stop] = emitted(state.log, step, group.source_population);
  const Index shift = group.first_branch - group.branch_stride * state.topology.populations[group.source_population].first_source;
  return {first, stop, group.branch_stride, shift, state.log.sources.data(), state.log.mask()};
}

// Step in which a spike arrived `interval` steps before step t; -1 if there was none.
inline Index arrived_before(Index t, Index interval) { return interval > 0 ? t - interval : -1; }

// Whether another spike of the same source followed within the cutoff.
inline bool is_followed(const SpikeTimes& times, Index cutoff) { return 0 < times.next && times.next <= cutoff; }

}  // namespace eprop
