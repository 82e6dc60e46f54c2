// Which branches of axons have a spike that arrives in a step, and which expire.
//
// Those that learn by e-prop+ are listed in `StreamState::deliveries`: the arriving ones sorted by their last spikes, so that
// branches that want the same propagator follow each other. Delay groups that follow a first one are listed with it: those with
// the same last spike share propagators, whatever their delays. The branches of all other groups come in the order of the log,
// and each partition reads them there: nothing has to be planned.
#pragma once
#include "spike_log.hpp"

namespace eprop {

// Lists what arrives and expires in step t. The order is that of one thread. `premature`: gradients are subtracted from weights
// ahead of time, with learning rates that are noted here.
template <class Real> void plan_deliveries(StreamState<Real>& state, Index t, bool premature, int threads);

// Branches of a delay group whose spikes were emitted in a step, in the order of the log.
struct LoggedBranches {
  Index first, stop;  // positions
  Index stride, shift;
  const std::int32_t* sources;
  Index mask;
  Index size() const { return stop - first; }
  Index operator[](Index position) const { return sources[position & mask] * stride + shift; }
};

template <class Real> LoggedBranches branches_emitted(const StreamState<Real>& state, const DelayGroup& group, Index step) {
  const auto [first, stop] = emitted(state.log, step, group.source_population);
  const Index shift = group.first_branch - group.branch_stride * state.topology.populations[group.source_population].first_source;
  return {first, stop, group.branch_stride, shift, state.log.sources.data(), state.log.mask()};
}

// When a spike arrived `interval` steps before step t; -1 if there was none.
inline Index arrived_before(Index t, Index interval) { return interval > 0 ? t - interval : -1; }

// Whether a spike was followed by another one of its source within the cutoff.
inline bool is_followed(const SpikeTimes& times, Index cutoff) { return 0 < times.next && times.next <= cutoff; }

}  // namespace eprop
