// Branches of axons with a spike that arrives in a step, and branches that expire.
//
// `OnlineState::deliveries` lists the e-prop+ branches. Arriving branches are sorted by their last spikes, so that branches with
// the same propagator are adjacent. Delay groups that follow a first one are listed with it: branches with the same last spike
// share propagators, whatever their delays.
#pragma once
#include "online/spike_log.hpp"

namespace eprop {

// Lists the branches that arrive and expire in step t; the order does not depend on the number of threads. `premature`: gradients
// are subtracted from all weights in advance, not only from those that round at once; the learning rates are recorded here.
template <class Real> void plan_deliveries(OnlineState<Real>& state, Index t, bool premature, int threads);

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
