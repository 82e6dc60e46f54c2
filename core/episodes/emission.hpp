// A step of a sample: neurons advance with their inputs, and sources spike.
#pragma once
#include <algorithm>

#include "common/neurons/advance.hpp"
#include "common/sources.hpp"
#include "episodes/batch_delivery.hpp"

namespace eprop {

// Initial capacity for the spikes of a sample.
inline constexpr Index kFirstLog = 8192;

// Capacity in the log for a step in which all sources spike.
template <class Real> void make_room(const Batch<Real>& batch, SampleSlot<Real>& slot, Index position) {
  const auto needed = static_cast<std::size_t>(position + batch.n_sources);
  if (slot.log.size() < needed) slot.log.resize(std::max(needed, 2 * slot.log.size()));
}

// Events of a step: event source c has `channels[start(c, at)]` up to `start(c, at + 1)`.
struct Events {
  Array2<const Index> start;
  Array1<const std::int32_t> channels;
  Index at;
};

// Source of the random numbers of a step.
struct RandomStep {
  std::uint64_t seed;
  Index clock;
};

// Spikes of a partition's part of Poisson population b in a step; `out` has room for all.
template <class Real>
Index draw_poisson(const Batch<Real>& batch, Index b, const RandomStep& random, const Partitions& share, std::int32_t* out) {
  const Population& population = batch.topology.populations[b];
  const auto first = static_cast<std::int32_t>(population.first_source);
  const Index n = batch.topology.n_partitions();
  const Index count = poisson_spikes({b, random.clock, random.seed, batch.poisson_limit.data() + first},
                                     population.size * share.begin / n, population.size * share.end / n, out);
  for (Index k = 0; k < count; k++) out[k] += first;
  return count;
}

// Spikes of event population b in a step; `out` has room for all.
template <class Real> Index copy_events(const Batch<Real>& batch, Index b, const Events& events, std::int32_t* out) {
  const Population& population = batch.topology.populations[b];
  const Index* start = events.start.row(population.channel) + events.at;
  const std::int32_t* channels = events.channels.data + start[0];
  for (Index k = 0; k < start[1] - start[0]; k++) out[k] = channels[k] + static_cast<std::int32_t>(population.first_source);
  return start[1] - start[0];
}

// Spikes of population b, which has no input, in a step; `out` has room for all.
template <class Real>
Index spikes_of_sources(const Batch<Real>& batch, Index b, const RandomStep& random, const Events& events, std::int32_t* out) {
  return batch.topology.populations[b].role == Role::poisson ? draw_poisson(batch, b, random, all_partitions(batch.topology), out)
                                                             : copy_events(batch, b, events, out);
}

// One step of the neurons of a slot.
struct Emission {
  Index t;        // row of `start` and `psi`
  bool keeps;     // whether psi of this step is needed later
  double* input;  // synaptic inputs
  Index* counts;  // spike counts by neuron
};

// Advances the neurons of one partition by a step with their inputs. Lists spikes as sources, or if `by_target` as target ids.
// draw(b, out) writes spikes of a population without input and returns their number.
template <class Real, class Draw> void advance_partition(const Batch<Real>& batch, SampleSlot<Real>& slot,
                                                         const Emission& emission, Index partition, bool by_target,
                                                         const Draw& draw) {
  const Topology& topology = batch.topology;
  std::int32_t* spikes = slot.spikes[partition].data();
  Index count = 0;
  for (Index b = 0; b < topology.populations.size; b++) {
    const Population& population = topology.populations[b];
    const Index begin = std::max(topology.bounds(0, partition), population.target_begin);
    const Index end = std::min(topology.bounds(0, partition + 1), population.target_end);
    if (population.role == Role::neuron && begin < end) {
      // If nothing learns, psi is overwritten in every step: a history of psi would push weights out of the cache.
      Real* psi = slot.psi.row(emission.keeps && batch.learning[b] ? emission.t : 0);
      const Index before = count;
      count = advance(range_of(population, begin, end, slot.state.view(), topology.params, emission.input), psi, spikes, count);
      const auto shift = by_target ? 0 : static_cast<std::int32_t>(population.first_source - population.first_target);
      for (Index k = before; k < count; k++) {
        emission.counts[spikes[k]]++;
        spikes[k] += shift;
      }
    } else if (population.role == Role::poisson) {
      count += draw(b, spikes + count);
    }
    slot.spike_count(partition, b) = count;
  }
}

// Writes the spikes of a step to the log: the lists of the partitions, and the output of sources(b, out) for populations without
// input.
template <class Real, class Sources>
void log_step(const Batch<Real>& batch, SampleSlot<Real>& slot, Index t, const Sources& sources) {
  const Topology& topology = batch.topology;
  Index position = t > 0 ? slot.start(t - 1, topology.populations.size) : 0;
  make_room(batch, slot, position);
  for (Index b = 0; b < topology.populations.size; b++) {
    slot.start(t, b) = position;
    for (Index p = 0; p < topology.n_partitions(); p++) {
      const Index first = b > 0 ? slot.spike_count(p, b - 1) : 0, count = slot.spike_count(p, b) - first;
      std::copy_n(slot.spikes[p].data() + first, count, slot.log.data() + position);
      position += count;
    }
    const Role role = topology.populations[b].role;
    if (role == Role::events || role == Role::poisson) position += sources(b, slot.log.data() + position);
  }
  slot.start(t, topology.populations.size) = position;
}

// Advances neurons and sources by a step and logs their spikes. sources(b, out) writes the spikes of population b, which has no
// input, and returns their number.
template <class Real, class Sources>
void emit_step(const Batch<Real>& batch, SampleSlot<Real>& slot, const Emission& emission, const Sources& sources) {
  for (Index p = 0; p < batch.topology.n_partitions(); p++)
    advance_partition(batch, slot, emission, p, false, [](Index, std::int32_t*) { return Index{0}; });
  log_step(batch, slot, emission.t, sources);
}

}  // namespace eprop
