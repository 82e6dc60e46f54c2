#include "online/spike_log.hpp"

#include <cstring>

namespace eprop {
namespace {

// Whether some synapse reads the filtered spikes of a population.
bool is_asked(const Topology& topology, Index population) {
  return topology.trace_consumers(population, 0, 0) >= 0 || topology.trace_consumers(population, 0, 1) >= 0;
}

// Intervals between spikes; if the record of the spike before may still be read, it gets the interval to this spike.
void note_times(SpikeHistory spikes, Index t, Positions part) {
  SpikeLog& log = spikes.log;
  const Index mask = log.mask(), room = log.record_mask();
  for (Index position = part.first; position < part.stop; position++) {
    AxonTimes& axon = spikes.axons.times[log.sources[position & mask]];
    Index interval = axon.last_spike >= 0 ? t - axon.last_spike : 0;
    if (0 < interval && interval < log.record_steps && axon.position >= 0)
      log.times[axon.position & room].next = static_cast<std::int32_t>(interval);
    interval = std::min(interval, kLongestInterval);
    log.times[position & room] = {static_cast<std::int32_t>(interval), static_cast<std::int32_t>(axon.interval), 0, 0};
    axon = {t, interval, position};
  }
}

// Applies a matrix to a filter: z becomes M z.
void move_filter(const double* matrix, Index size, const double* z, double* out) {
  if (size == 1) {
    out[0] = matrix[0] * z[0];
  } else if (size == 2) {
    const double z_0 = z[0], z_1 = z[1];
    out[0] = matrix[0] * z_0 + matrix[1] * z_1;
    out[1] = matrix[2] * z_0 + matrix[3] * z_1;
  }
}

// Advances a filter by `n` steps: with the table of powers, beyond its end with powers of two.
void move_filter_on(const Topology& topology, Index group, Index n, double* z) {
  const Index size = topology.filters.size;
  if (n < topology.filters.powers) {
    move_filter(topology.filters.matrix(group, kForward, n), size, z, z);
    return;
  }
  for (Index bit = 0; n > 0; bit++, n >>= 1)
    if (n & 1) move_filter(topology.doublings.matrix(group, kForward, bit), size, z, z);
}

// Filtered spikes of one slot: as of the spike before, one step before it, and one step before this spike; then with this spike.
void note_filters(SpikeHistory spikes, Index slot, Index group, Positions part) {
  const Topology& topology = spikes.topology;
  SpikeLog& log = spikes.log;
  const Index size = topology.filters.size, stride = filter_size(topology), slots = filter_slots(topology);
  const double* one_step = topology.filters.matrix(group, kForward, std::min<Index>(1, topology.filters.powers - 1));
  const double* arrival = topology.arrivals.row(group);
  for (Index position = part.first; position < part.stop; position++) {
    const Index record = position & log.record_mask();
    double* own = spikes.axons.z.row(log.sources[position & log.mask()], slot);
    double* last = log.z.data() + (record * slots + slot) * kRecordParts * stride;
    double *before = last + kBeforeLast * stride, *ahead = last + kAhead * stride;
    for (Index d = 0; d < size; d++) {
      last[d] = ahead[d] = own[d];
      before[d] = own[stride + d];
    }
    move_filter_on(topology, group, std::max<Index>(Index{log.times[record].interval} - 1, 0), ahead);
    for (Index d = 0; d < size; d++) own[stride + d] = ahead[d];
    move_filter(one_step, size, ahead, own);
    for (Index d = 0; d < size; d++) own[d] += arrival[d];
  }
}

// The presynaptic trace of pair rules: as of the spike before, then with this spike.
void note_traces(SpikeHistory spikes, Index slot, double decay, Positions part) {
  SpikeLog& log = spikes.log;
  const Index stride = filter_size(spikes.topology), slots = filter_slots(spikes.topology);
  for (Index position = part.first; position < part.stop; position++) {
    const Index record = position & log.record_mask();
    double& own = spikes.axons.z(log.sources[position & log.mask()], slot, 0);
    log.z[(record * slots + slot) * kRecordParts * stride] = own;
    own = trace_with_spike(own, log.times[record].interval, decay);
  }
}

// Updates axons and records with spikes of one population in step t. All sources differ, so parts may run in parallel.
void note_spikes(SpikeHistory spikes, Index t, Index population, Positions part) {
  const Topology& topology = spikes.topology;
  if (part.size() <= 0 || !is_asked(topology, population)) return;
  note_times(spikes, t, part);
  for (Index slot = 0; slot < filter_slots(topology); slot++) {
    const Index group = topology.trace_consumers(population, slot, 0), pairs = topology.trace_consumers(population, slot, 1);
    if (group >= 0) {
      note_filters(spikes, slot, group, part);
    } else if (pairs >= 0) {
      note_traces(spikes, slot, topology.groups[pairs].pre_decay, part);
    }
  }
}

}  // namespace

bool log_is_full(const SpikeLog& log, Index t) {
  // The oldest step that may still be read was logged `past - 1` steps ago.
  const Index ring = log.past_mask();
  const Index oldest = t >= ring ? log.start((t + 1) & ring, 0) : 0;
  return end_of_log(log, t) - oldest + log.n_sources > static_cast<Index>(log.sources.size());
}

void grow_log(SpikeLog& log, Index t) {
  const Index before = static_cast<Index>(log.sources.size()), newest = end_of_log(log, t);
  std::vector<std::int32_t> longer(2 * log.sources.size());
  for (Index position = std::max<Index>(newest - before, 0); position < newest; position++)
    longer[position & (2 * before - 1)] = log.sources[position & (before - 1)];
  log.sources = std::move(longer);
}

void make_room_for_records(SpikeHistory spikes, Index t) {
  SpikeLog& log = spikes.log;
  if (log.times.empty()) return;
  const Index ring = log.past_mask(), end = log.start(t & ring, log.start.columns - 1);
  const Index oldest = t + 1 > log.record_steps ? log.start((t + 1 - log.record_steps) & ring, 0) : 0;
  const Index before = static_cast<Index>(log.times.size());
  Index room = before;
  while (end - oldest > room) room *= 2;
  if (room == before) return;
  const Index numbers = filter_slots(spikes.topology) * kRecordParts * filter_size(spikes.topology);
  std::vector<SpikeTimes> times(room);
  std::vector<double> z(room * numbers);
  const Index noted = log.start(t & ring, 0);  // the spikes of this step are not processed yet
  for (Index position = std::max({oldest, noted - before, Index{0}}); position < noted; position++) {
    const Index to = position & (room - 1), from = position & (before - 1);
    times[to] = log.times[from];
    std::copy_n(log.z.begin() + from * numbers, numbers, z.begin() + to * numbers);
  }
  log.times = std::move(times);
  log.z = std::move(z);
}

void restart_records(SpikeHistory spikes, Index first_step, Index room) {
  SpikeLog& log = spikes.log;
  log.times.assign(room, SpikeTimes{});
  log.z.assign(room * filter_slots(spikes.topology) * kRecordParts * filter_size(spikes.topology), 0.0);
  spikes.axons.processed_until[0] = first_step;
}

Positions open_step(SpikeLog& log, Index t, const std::vector<SpikeSegment>& segments) {
  const Index first = end_of_log(log, t), populations = log.start.columns - 1;
  Index* start = log.start.row(t & log.past_mask());
  Index position = first;
  auto segment = segments.begin();
  for (Index population = 0; population < populations; population++) {
    start[population] = position;
    for (; segment != segments.end() && segment->population == population; segment++) position += segment->count;
  }
  start[populations] = position;
  return {first, position};
}

void fill_step(SpikeHistory spikes, Index t, const std::vector<SpikeSegment>& segments, Positions part, bool noted) {
  SpikeLog& log = spikes.log;
  const Index mask = log.mask();
  Index position = log.start(t & log.past_mask(), 0);
  for (const SpikeSegment& segment : segments) {
    const Index first = std::max(position, part.first), stop = std::min(position + segment.count, part.stop);
    for (Index at = first; at < stop; at++)
      log.sources[at & mask] = static_cast<std::int32_t>(segment.numbers[at - position] + segment.shift);
    if (noted && first < stop) note_spikes(spikes, t, segment.population, {first, stop});
    position += segment.count;
  }
}

void note_logged(SpikeHistory spikes, Index logged) {
  if (spikes.log.times.empty()) return;
  for (Index& t = spikes.axons.processed_until[0]; t < logged; t++) {
    make_room_for_records(spikes, t);
    for (Index population = 0; population < spikes.topology.populations.size; population++)
      note_spikes(spikes, t, population, emitted(spikes.log, t, population));
  }
}

void read_spikes(SpikeHistory spikes, Positions sources, Positions steps, std::vector<Index>& found_steps,
                 std::vector<Index>& found_sources) {
  const SpikeLog& log = spikes.log;
  for (Index step = steps.first; step < steps.stop; step++) {
    for (Index k = 0; k < spikes.topology.populations.size; k++) {
      const Population& population = spikes.topology.populations[k];
      const Index last = population.first_source + population.size;
      if (population.role == Role::readout || last <= sources.first || population.first_source >= sources.stop) continue;
      const Positions here = emitted(log, step, k);
      for (Index position = here.first; position < here.stop; position++) {
        const Index source = log.sources[position & log.mask()];
        if (source < sources.first || source >= sources.stop) continue;
        found_steps.push_back(step);
        found_sources.push_back(source);
      }
    }
  }
}

}  // namespace eprop
