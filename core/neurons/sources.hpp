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

// The draws of Poisson sources in a step of the random clock, with the limits of all sources.
struct PoissonStep {
  std::uint64_t seed;
  Index clock;
  const std::vector<std::uint64_t>& limits;
};

// Writes the sources of Poisson population b that spike, in some partitions, as numbers within the population plus `shift` and
// ascending; returns how many.
inline Index poisson_spikes(const Topology& topology, Index b, const PoissonStep& step, const Positions& partitions, Index shift,
                            std::int32_t* out) {
  constexpr Index kBlock = 64;
  const Index size = topology.populations[b].size, n = topology.n_partitions(), end = size * partitions.stop / n;
  const std::uint64_t* limits = step.limits.data() + topology.populations[b].first_source;
  const std::uint64_t counter = (static_cast<std::uint64_t>(b) << 48) | static_cast<std::uint64_t>(step.clock);
  Index count = 0;
  for (Index first = size * partitions.first / n; first < end; first += kBlock) {
    std::uint64_t spiked[kBlock];
    const Index drawn = std::min(kBlock, end - first);
    for (Index k = 0; k < drawn; k++) {
      const auto source = static_cast<std::uint32_t>(first + k);
      spiked[k] = (philox(step.seed, kPoisson, source, counter).first >> 11) < limits[source];
    }
    for (Index k = 0; k < drawn; k++)
      if (spiked[k]) out[count++] = static_cast<std::int32_t>(shift + first + k);
  }
  return count;
}

}  // namespace eprop
