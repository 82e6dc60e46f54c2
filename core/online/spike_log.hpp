// The spike log, the spike history of axons, and the record of each spike about the spike before.
//
// All branches of an axon carry the same spikes, each with its own delay. A synapse needs the interval since the spike before,
// and the decayed filters of that spike. Both are the same for all branches, and are known when a spike is emitted. So they are
// stored once, in the spike records, and each branch reads them when the spike arrives (deliveries.cpp).
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "network/optimizers.hpp"
#include "online/state.hpp"

namespace eprop {

// The log and the axons, with the topology.
struct SpikeHistory {
  const Topology& topology;
  SpikeLog& log;
  Axons& axons;
};

// Spikes of one population in one step, contiguous in memory: indices that differ from the sources by `shift`.
struct SpikeSegment {
  Index population;
  const std::int32_t* numbers;
  Index shift, count;
};

// Position of the next spike.
inline Index end_of_log(const SpikeLog& log, Index t) {
  return t > 0 ? log.start((t - 1) & log.past_mask(), log.start.columns - 1) : 0;
}

// Spikes that a population emitted in a step; none before step 0.
inline Positions emitted(const SpikeLog& log, Index step, Index population) {
  if (step < 0) return {0, 0};
  const Index* start = log.start.row(step & log.past_mask());
  return {start[population], start[population + 1]};
}

// Components of a spike filter, at least one (for pair rules).
inline Index filter_size(const Topology& topology) { return std::max<Index>(topology.filters.size, 1); }
inline Index filter_slots(const Topology& topology) { return topology.trace_consumers.rows; }
// Filters of a record, slot by slot: as of the spike before, a step before that, a step before this spike.
enum RecordPart : Index { kAtLast, kBeforeLast, kAhead, kRecordParts };
inline const double* record_filters(const Topology& topology, const SpikeLog& log, Index position, Index slot) {
  const Index size = filter_size(topology);
  return log.z.data() + ((position & log.record_mask()) * filter_slots(topology) + slot) * kRecordParts * size;
}

// Whether the log might overflow in step t: it keeps the spikes of recent steps, and a step adds up to `n_sources` spikes.
bool log_is_full(const SpikeLog& log, Index t);
// Doubles the capacity of the log before step t; positions in it stay valid.
void grow_log(SpikeLog& log, Index t);
// Makes room for the records of step t besides those that may still be read.
void make_room_for_records(SpikeHistory spikes, Index t);
// Restarts the records, with room for `room` spikes (a power of two), from step `first_step` on.
void restart_records(SpikeHistory spikes, Index first_step, Index room);

// Writes the positions of the spikes of step t, population by population, and returns them. `segments` have the same order.
Positions open_step(SpikeLog& log, Index t, const std::vector<SpikeSegment>& segments);
// Copies the spikes at positions first .. stop of step t, and processes them with their axons if `noted`.
void fill_step(SpikeHistory spikes, Index t, const std::vector<SpikeSegment>& segments, Positions part, bool noted);
// Processes the spikes of all steps before `logged` with their axons.
void note_logged(SpikeHistory spikes, Index logged);

// The spikes of sources first_source .. stop_source in steps first_step .. stop_step that are still in the log.
void read_spikes(SpikeHistory spikes, Positions sources, Positions steps, std::vector<Index>& found_steps,
                 std::vector<Index>& found_sources);

// Number of optimiser steps that a synapse had taken when a spike arrived in step `last`, `interval` steps after the one before.
// The first spike, with interval 0, takes none. `cutoff` is that of a per-step optimiser, otherwise -1.
inline Index optimizer_steps_taken(Index last, Index interval, Index cutoff) {
  if (interval == 0) return 0;
  return cutoff < 0 ? last - 1 : last - 1 - std::max<Index>(interval - cutoff, 0);
}

// The presynaptic trace of pair rules with a spike `interval` steps after the one before; 0 for the first spike.
inline double trace_with_spike(double trace, Index interval, double decay) {
  return interval > 0 ? trace * power(decay, interval) + 1.0 : 1.0;
}

// Position of a source's spike among those of its population in a step; sources of a step are in ascending order.
inline Index find_spike(const SpikeLog& log, Index source, Index step, Index population) {
  auto [first, stop] = emitted(log, step, population);
  while (stop - first > 1) {
    const Index middle = (first + stop) / 2;
    (log.sources[middle & log.mask()] <= source ? first : stop) = middle;
  }
  return first;
}

// The last spike that arrived at a branch; `step` is -1 if there was none. If another spike followed, its record at `position` of
// the log has the filters; -1 if none followed.
struct LastArrival {
  Index source, step, position;
};

// The last spike that arrived at a branch before step t: go back over the spikes in flight.
template <class Real> LastArrival last_arrival(const OnlineState<Real>& state, Index branch, Index group, Index t) {
  const DelayGroup& found = state.groups[group];
  const Index source =
      (branch - found.first_branch) / found.branch_stride + state.topology.populations[found.source_population].first_source;
  Index step = state.axons.times[source].last_spike, position = -1;
  while (step >= 0 && step + found.delay >= t) {
    position = find_spike(state.log, source, step, found.source_population);
    const Index interval = state.log.times[position & state.log.record_mask()].interval;
    step = interval > 0 ? step - interval : -1;
  }
  return {source, step >= 0 ? step + found.delay : -1, position};
}

// Filter d of a source for a delay group, as of the spike from `last_arrival`.
template <class Real> double filtered_spikes(const OnlineState<Real>& state, Index d, Index source, Index position, Index group) {
  const Index slot = state.groups[group].filter_slot;
  if (position < 0) return state.axons.z(source, slot, d);
  return record_filters(state.topology, state.log, position, slot)[kAtLast * filter_size(state.topology) + d];
}

}  // namespace eprop
