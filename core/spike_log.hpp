// The log of spikes, what axons remember of theirs, and what each spike knows of the one before.
//
// All branches of an axon carry the same spikes, each with its own delay. What a synapse has to know of them, how long ago the
// spike before was and what is left of it in a filter, is the same for all branches and is known when a spike sets out. It is
// written down once, in the spike records, and each branch reads it there when the spike arrives (deliveries.cpp).
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "optimizers.hpp"
#include "stream_state.hpp"

namespace eprop {

// The log and the axons, with what the build made of the network.
struct SpikeHistory {
  const Topology& topology;
  SpikeLog& log;
  Axons& axons;
};

// Spikes of one population in one step, from one place in memory: numbers from which the sources differ by `shift`.
struct SpikeSegment {
  Index population;
  const std::int32_t* numbers;
  Index shift, count;
};

// Positions in the log.
struct Positions {
  Index first, stop;
  Index size() const { return stop - first; }
};

// Where the next spike goes.
inline Index end_of_log(const SpikeLog& log, Index t) {
  return t > 0 ? log.start((t - 1) & log.past_mask(), log.start.columns - 1) : 0;
}

// Spikes that a population emitted in a step; none before the start.
inline Positions emitted(const SpikeLog& log, Index step, Index population) {
  if (step < 0) return {0, 0};
  const Index* start = log.start.row(step & log.past_mask());
  return {start[population], start[population + 1]};
}

// Numbers of a filter of spikes: one at least, that of STDP.
inline Index filter_size(const Topology& topology) { return std::max<Index>(topology.filters.size, 1); }
inline Index filter_slots(const Topology& topology) { return topology.trace_consumers.rows; }
// Filters of a record, slot by slot: as of the spike before, a step before that, a step before this spike.
enum RecordPart : Index { kAtLast, kBeforeLast, kAhead, kRecordParts };
inline const double* record_filters(const Topology& topology, const SpikeLog& log, Index position, Index slot) {
  const Index size = filter_size(topology);
  return log.z.data() + ((position & log.record_mask()) * filter_slots(topology) + slot) * kRecordParts * size;
}

// A spike whose records have not been taken yet remembers all of the `n_sources` that may spike in a step.
bool log_is_full(const SpikeLog& log, Index t);
// Twice the room in the log before step t; positions in it stay valid.
void grow_log(SpikeLog& log, Index t);
// Room for the records of step t beside those that may still be asked.
void make_room_for_records(SpikeHistory spikes, Index t);
// Records anew, with room for so many spikes (a power of two), of steps from `first_step` on.
void restart_records(SpikeHistory spikes, Index first_step, Index room);

// Writes where the spikes of step t stand, population by population, and returns their positions. `segments` are in that order.
Positions open_step(SpikeLog& log, Index t, const std::vector<SpikeSegment>& segments);
// Copies the spikes at positions first .. stop of step t, and notes them with their axons if `noted`.
void fill_step(SpikeHistory spikes, Index t, const std::vector<SpikeSegment>& segments, Positions part, bool noted);
// Notes the spikes of all steps before `logged` with their axons.
void note_logged(SpikeHistory spikes, Index logged);

// The spikes of sources first_source .. stop_source in steps first_step .. stop_step that are still in the log.
void read_spikes(SpikeHistory spikes, Positions sources, Positions steps, std::vector<Index>& found_steps,
                 std::vector<Index>& found_sources);

// How many synapses a step of the optimiser was taken for when a spike arrived in step `last`, `interval` steps after the one
// before; the first spike, of which the interval is 0, takes none. `cutoff` is that of a per-step optimizer, otherwise -1.
inline Index optimizer_steps_taken(Index last, Index interval, Index cutoff) {
  if (interval == 0) return 0;
  return cutoff < 0 ? last - 1 : last - 1 - std::max<Index>(interval - cutoff, 0);
}

// The presynaptic trace of STDP with a spike `interval` steps after the one before; 0: it is the first.
inline double trace_with_spike(double trace, Index interval, double decay) {
  return interval > 0 ? trace * power(decay, interval) + 1.0 : 1.0;
}

// Where a spike of a source stands among those of its population in a step: sources of a step are in ascending order.
inline Index find_spike(const SpikeLog& log, Index source, Index step, Index population) {
  auto [first, stop] = emitted(log, step, population);
  while (stop - first > 1) {
    const Index middle = (first + stop) / 2;
    (log.sources[middle & log.mask()] <= source ? first : stop) = middle;
  }
  return first;
}

// The last spike that arrived at a branch; `step` is -1 if none has. Of the spike that followed it is known what its filters
// were, at `position` of the log; -1: none did.
struct LastArrival {
  Index source, step, position;
};

// The last spike that arrived at a branch before step t: back along the spikes that are still on their way.
template <class Real> LastArrival last_arrival(const StreamState<Real>& state, Index branch, Index group, Index t) {
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

// Filter d of a source for a delay group, as of the spike that `last_arrival` has found.
template <class Real> double filtered_spikes(const StreamState<Real>& state, Index d, Index source, Index position, Index group) {
  const Index slot = state.groups[group].filter_slot;
  if (position < 0) return state.axons.z(source, slot, d);
  return record_filters(state.topology, state.log, position, slot)[kAtLast * filter_size(state.topology) + d];
}

}  // namespace eprop
