// Spikes of Poisson sources: each has its own draw in each step, so that they do not depend on who draws.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "network/tables.hpp"
#include "support/rng.hpp"

namespace eprop {

// For each source up to the last Poisson source: it spikes if the upper 53 bits of its draw are below this limit, that is, if the
// uniform draw is below its rate.
inline std::vector<std::uint64_t> poisson_limits(const Topology& topology) {
  std::vector<std::uint64_t> limits(static_cast<std::size_t>(topology.poisson_rates.size));
  for (Index source = 0; source < topology.poisson_rates.size; source++)
    limits[source] = static_cast<std::uint64_t>(std::ceil(topology.poisson_rates[source] / kToUnit));
  return limits;
}

// A population of Poisson sources in a step of the random clock.
struct PoissonStep {
  Index population, clock;
  std::uint64_t seed;
  const std::uint64_t* limits;  // of its sources
};

// Writes the spiking sources among begin .. end of a population, by index within it and ascending, and returns their number.
inline Index poisson_spikes(const PoissonStep& step, Index begin, Index end, std::int32_t* out) {
  constexpr Index kBlock = 64;
  const std::uint64_t counter = (static_cast<std::uint64_t>(step.population) << 48) | static_cast<std::uint64_t>(step.clock);
  Index count = 0;
  for (Index first = begin; first < end; first += kBlock) {
    std::uint64_t spiked[kBlock];
    const Index n = std::min(kBlock, end - first);
    for (Index k = 0; k < n; k++) {
      const auto source = static_cast<std::uint32_t>(first + k);
      spiked[k] = (philox(step.seed, kPoisson, source, counter).first >> 11) < step.limits[source];
    }
    for (Index k = 0; k < n; k++)
      if (spiked[k]) out[count++] = static_cast<std::int32_t>(first + k);
  }
  return count;
}

}  // namespace eprop
