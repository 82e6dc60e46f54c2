// What the neurons of a sample take and leave in a step, and what the sources spike.
#pragma once
#include <algorithm>

#include "batch_state.hpp"
#include "neurons/advance.hpp"
#include "sources.hpp"

namespace eprop {

// Room for the spikes of a sample to begin with.
inline constexpr Index kFirstLog = 8192;

// Room in the log for a step in which all sources spike.
template <class Real> void make_room(const Batch<Real>& batch, SampleSlot<Real>& slot, Index position) {
  const auto needed = static_cast<std::size_t>(position + batch.n_sources);
  if (slot.log.size() < needed) slot.log.resize(std::max(needed, 2 * slot.log.size()));
}

// Events of a step: of event source c, `channels[start(c, at)]` up to `start(c, at + 1)`.
struct Events {
  Array2<const Index> start;
  Array1<const std::int32_t> channels;
  Index at;
};

// Where random numbers of a step come from.
struct RandomStep {
  std::uint64_t seed;
  Index clock;
};

// Spikes of population b, which takes no input, in a step; `out` has room for all.
template <class Real>
Index spikes_of_sources(const Batch<Real>& batch, Index b, const RandomStep& random, const Events& events, std::int32_t* out) {
  const Population& population = batch.topology.populations[b];
  const auto first = static_cast<std::int32_t>(population.first_source);
  Index count = 0;
  if (population.role == Role::poisson) {
    count = poisson_spikes({b, random.clock, random.seed, batch.poisson_limit.data() + first}, 0, population.size, out);
  } else if (population.role == Role::events) {
    const Index* start = events.start.row(population.channel) + events.at;
    count = start[1] - start[0];
    std::copy_n(events.channels.data + start[0], count, out);
  }
  for (Index k = 0; k < count; k++) out[k] += first;
  return count;
}

// One step of the neurons of a slot.
struct Emission {
  Index t;         // row of `start` and `psi`
  bool keeps;      // whether psi of this step is wanted later
  double* input;   // what has arrived
  Index* counts;   // of spikes, by neurons
  Outbox* outbox;  // with several ranks
};

// Neurons and sources of a step, with the inputs that have arrived: their spikes to the log or, with several ranks, to the
// outbox. sources(b, out) writes the spikes of population b, which takes no input, and returns how many there are.
template <class Real, class Sources>
void emit_step(Batch<Real>& batch, SampleSlot<Real>& slot, const Emission& emission, const Sources& sources) {
  const Topology& topology = batch.topology;
  const auto& [t, keeps, input, counts, outbox] = emission;
  Index position = t > 0 && outbox == nullptr ? slot.start(t - 1, topology.populations.size) : 0;
  if (outbox == nullptr) make_room(batch, slot, position);
  for (Index b = 0; b < topology.populations.size; b++) {
    const Population& population = topology.populations[b];
    if (outbox == nullptr) slot.start(t, b) = position;
    if (population.role == Role::neuron) {
      // Where nobody learns, psi is written over and over: a history of it would push weights out of the cache.
      Real* psi = slot.psi.row(keeps && batch.learning[b] ? t : 0);
      const NeuronRange neurons =
          range_of(population, population.target_begin, population.target_end, slot.state.view(), topology.params, input);
      const Index count = advance(neurons, psi, slot.spikes.data(), 0);
      const Index shift = population.first_source - population.first_target;
      for (Index k = 0; k < count; k++) counts[slot.spikes[k]]++;
      if (outbox != nullptr) {
        outbox->post(slot.spikes.data(), count);
      } else {
        for (Index k = 0; k < count; k++) slot.log[position + k] = static_cast<std::int32_t>(slot.spikes[k] + shift);
        position += count;
      }
    } else if (outbox == nullptr) {
      position += sources(b, slot.log.data() + position);
    }
  }
  if (outbox != nullptr) return outbox->end_step();
  slot.start(t, topology.populations.size) = position;
}

}  // namespace eprop
