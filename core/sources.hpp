// Spikes of populations that take no input: events that are given, and Poisson processes.
#pragma once
#include <algorithm>
#include <cstdint>

#include "rng.hpp"
#include "tables.hpp"

namespace eprop {

// Counter of a Poisson draw: the population in the high bits, the step in the low ones.
inline std::uint64_t poisson_counter(Index population, Index clock) {
  return (static_cast<std::uint64_t>(population) << 48) | static_cast<std::uint64_t>(clock);
}

// Writes the Poisson sources that spike in a step, in ascending order, and returns how many: at most all of the population.
inline Index poisson_spikes(const Topology& topology, Index population, Index clock, std::uint64_t seed, std::int32_t* out) {
  constexpr Index kBlock = 64;
  const Index first = topology.populations[population].first_source, size = topology.populations[population].size;
  const double* rates = topology.poisson_rates.data + first;
  const std::uint64_t counter = poisson_counter(population, clock);
  Index count = 0;
  for (Index begin = 0; begin < size; begin += kBlock) {
    const Index n = std::min(kBlock, size - begin);
    std::uint8_t spiked[kBlock];
    for (Index k = 0; k < n; k++)
      spiked[k] = uniform(seed, kPoisson, static_cast<std::uint32_t>(begin + k), counter) < rates[begin + k];
    for (Index k = 0; k < n; k++)
      if (spiked[k]) out[count++] = static_cast<std::int32_t>(first + begin + k);
  }
  return count;
}

// Writes the sources of a population that takes no input that spike in a step, and returns how many; `column` is the step among
// its events, `clock` that of random numbers.
inline Index source_spikes(const Topology& topology, Index population, Index column, Index clock, std::uint64_t seed,
                           Array2<const Index> event_start, const std::int32_t* event_channels, std::int32_t* out) {
  const Population& own = topology.populations[population];
  if (own.role == Role::poisson) return poisson_spikes(topology, population, clock, seed, out);
  if (own.role != Role::events) return 0;
  const Index begin = event_start(own.channel, column), end = event_start(own.channel, column + 1);
  for (Index k = begin; k < end; k++) out[k - begin] = static_cast<std::int32_t>(own.first_source + event_channels[k]);
  return end - begin;
}

}  // namespace eprop
