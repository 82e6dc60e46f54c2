#include "online/spike_state.hpp"

#include "online/pairs.hpp"

namespace eprop {
namespace {

// Spikes are read in the order of their steps, so the first one of a source tells what its axon was before.
void rewind_axons(SpikeHistory spikes, Index t, SpikeState& state) {
  const Topology& topology = spikes.topology;
  const SpikeLog& log = spikes.log;
  const Index sources = spikes.axons.times.size, parts = spikes.axons.z.columns;
  std::vector<bool> seen(sources);
  for (Index step = first_processed(log, t); step < t; step++)
    for (Index b = 0; b < topology.populations.size; b++) {
      const Array2<const Index> consumers = topology.trace_consumers.plane(b);
      const auto reads = [&](Index slot) { return consumers(slot, 0) >= 0 || consumers(slot, 1) >= 0; };
      const Positions here = reads(0) ? emitted(log, step, b) : Positions{0, 0};  // slots are taken from the first one on
      for (Index position = here.first; position < here.stop; position++) {
        const Index source = log.sources[position & log.mask()];
        if (seen[source]) continue;
        seen[source] = true;
        const SpikeTimes& record = log.times[position & log.record_mask()];
        state.axon_times[source] = record.interval > 0 ? step - record.interval : -1;
        state.axon_times[sources + source] = record.interval_before;
        for (Index slot = 0; slot < consumers.rows; slot++) {
          const double* z = record_filters(topology, log, position, slot);
          const Index kept = consumers(slot, 0) >= 0 ? parts : reads(slot);  // a pair rule has a single trace per slot
          for (Index part = 0; part < kept; part++) state.axon_z[(slot * parts + part) * sources + source] = z[part];
        }
      }
    }
}

template <class Real> SpikeHistory spikes_of(OnlineRun<Real>& run) {
  return {run.state.topology, run.state.log, run.state.axons};
}

}  // namespace

template <class Real> SpikeState spike_state(OnlineRun<Real>& run) {
  const SpikeHistory spikes = spikes_of(run);
  const Array1<AxonTimes>& times = spikes.axons.times;
  const Array3<double>& z = spikes.axons.z;
  const Index t = run.t, first = first_logged(spikes.log, t);
  note_logged(spikes, t - run.outbox.steps());
  SpikeState state;
  std::vector<Index> steps;
  read_spikes(spikes, {0, spikes.log.n_sources}, {first, t}, steps, state.sources);
  state.counts.assign(t - first, 0);
  for (const Index step : steps) state.counts[step - first]++;
  state.axon_times.resize(2 * times.size);
  state.axon_z.resize(z.planes * z.rows * z.columns);
  for (Index source = 0; source < times.size; source++) {
    state.axon_times[source] = times[source].last_spike;
    state.axon_times[times.size + source] = times[source].interval;
    for (Index k = 0; k < z.rows * z.columns; k++)
      state.axon_z[k * times.size + source] = z.data[source * z.rows * z.columns + k];
  }
  if (times.size > 0) rewind_axons(spikes, t, state);
  state.post_times = run.state.post.times;
  return state;
}

template <class Real> void set_spike_state(OnlineRun<Real>& run, const SpikeState& state) {
  const SpikeHistory spikes = spikes_of(run);
  SpikeLog& log = spikes.log;
  log.sources.assign(power_of_two(std::max(log.sources.size(), state.sources.size())), 0);
  std::copy(state.sources.begin(), state.sources.end(), log.sources.begin());
  std::fill_n(log.start.data, log.start.size(), Index{0});
  const Index t = run.t, first = t - static_cast<Index>(state.counts.size()), processed = first_processed(log, t);
  Index position = 0, records = 0;
  for (Index step = first; step < t; step++) {
    Index* start = log.start.row(step & log.past_mask());
    const Index stop = position + state.counts[step - first];
    for (Index b = 0; b + 1 < log.start.columns; b++) {
      const Population& population = spikes.topology.populations[b];
      start[b] = position;
      const Index end = population.role == Role::readout ? 0 : population.first_source + population.size;
      while (position < stop && state.sources[position] < end) position++;
    }
    start[log.start.columns - 1] = position;
    if (step >= processed) records += state.counts[step - first];
  }
  Axons& axons = spikes.axons;
  const Index n = axons.times.size, size = axons.z.rows * axons.z.columns;
  for (Index source = 0; source < n; source++) {
    axons.times[source] = {state.axon_times[source], state.axon_times[n + source], -1};
    for (Index k = 0; k < size; k++) axons.z.data[source * size + k] = state.axon_z[k * n + source];
  }
  axons.processed_until[0] = processed;
  // Room for all records at once: the log may no longer hold steps before the first one that is processed again.
  if (n > 0) restart_records(spikes, processed, power_of_two(std::max<Index>(records, log.times.size())));
  if (run.has_plus) clear_cached(run.state);
  note_logged(spikes, t);
  run.state.deliveries.cursors.clear();
  for (Index step = first; step < t; step++) move_cursors(run.state, step);
  PostSpikes& post = run.state.post;
  if (!run.has_pairs) return;
  post.capacity = static_cast<Index>(state.post_times.size()) / post.neurons;
  post.times = state.post_times;
  // The search for a spike ends at the oldest one.
  const Index* oldest = post.row(post.capacity - 1);
  if (std::any_of(oldest, oldest + post.neurons, [&](Index time) { return time > t - post.span; })) grow_post_spikes(post);
}

template SpikeState spike_state(OnlineRun<float>&);
template SpikeState spike_state(OnlineRun<double>&);
template void set_spike_state(OnlineRun<float>&, const SpikeState&);
template void set_spike_state(OnlineRun<double>&, const SpikeState&);

}  // namespace eprop
