#include "network/few_bits.hpp"

#include <cmath>

#include "support/rng.hpp"

namespace eprop {
namespace {

// A number of 32 bits in which each bit of the node and of the key has changed each other bit with a chance of about one half:
// two rounds of multiply and xor-shift, with the constants of C. Wellons' "lowbias32".
inline std::uint32_t mixed(std::uint32_t node, std::uint32_t key, std::uint32_t second_key) {
  std::uint32_t x = node * 0x9E3779B9u + key;
  x = (x ^ (x >> 16)) * 0x7FEB352Du;
  x = ((x ^ (x >> 15)) + second_key) * 0x846CA68Bu;
  return x ^ (x >> 16);
}

// The middle of one of 2^32 equal parts of (0, 1), by the word as a signed number, whose conversion is faster.
inline double to_unit(std::uint32_t word) {
  return static_cast<double>(static_cast<std::int32_t>(word)) * 0x1p-32 + (0.5 + 0x1p-33);
}

// NaN stays NaN, so that divergence is detected.
template <bool stochastic, class T>
void round_weights(const Update& update, const std::uint32_t* __restrict targets, Index n, double spacing, T* __restrict weight) {
  const DelayGroup& group = update.group;
  const double level = group.level, per_level = 1.0 / level, lowest = group.lowest, highest = group.highest;
  const auto first_node = static_cast<std::uint32_t>(group.first_node);
  const auto key = static_cast<std::uint32_t>(update.key), second_key = static_cast<std::uint32_t>(update.key >> 32);
  for (Index k = 0; k < n; k++) {
    const double levels = static_cast<double>(weight[k]) * per_level, whole = std::rint(levels);
    double rounded = whole;
    if constexpr (stochastic) {
      const double drawn = std::floor(levels + to_unit(mixed(targets[k] - first_node, key, second_key)));
      rounded = std::fabs(levels - whole) > spacing * std::fabs(levels) ? drawn : whole;
    }
    weight[k] = static_cast<T>(clip(rounded, lowest, highest) * level);
  }
}

}  // namespace

Update update_of(const DelayGroup& group, Index source, Index number) {
  if (group.stochastic == 0) return {group, 0};
  return {group, philox(static_cast<std::uint64_t>(group.rounding_seed), kRound, static_cast<std::uint32_t>(source),
                        static_cast<std::uint64_t>(number))
                     .first};
}

template <class T> void round_weights(const Update& update, const std::uint32_t* targets, Index n, double spacing, T* weight) {
  (update.group.stochastic != 0 ? round_weights<true, T> : round_weights<false, T>)(update, targets, n, spacing, weight);
}

template void round_weights(const Update&, const std::uint32_t*, Index, double, float*);
template void round_weights(const Update&, const std::uint32_t*, Index, double, double*);

}  // namespace eprop
