#include "common/few_bits.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/rng.hpp"

namespace eprop {
namespace {

// Eight weights become whole numbers of levels, side by side; NaN stays NaN, so that divergence is detected.
void round_block(const DelayGroup& group, double epsilon, const double* draws, double* weights) {
  const double level = group.level, lowest = group.lowest, highest = group.highest;
  const double least = group.stochastic ? epsilon : std::numeric_limits<double>::infinity();
  for (Index k = 0; k < kBlockDraws; k++) {
    const double levels = weights[k] / level, whole = std::rint(levels), drawn = std::floor(levels + draws[k]);
    const double rounded = std::fabs(levels - whole) > least * std::fabs(levels) ? drawn : whole;
    weights[k] = clip(rounded, lowest, highest) * level;
  }
}

// The draws of up to eight synapses.
void draw_for(const Update& update, const std::uint32_t* targets, Index n, double* draws) {
  std::uint64_t nodes[kBlockDraws];
  for (Index k = 0; k < kBlockDraws; k++)
    nodes[k] = static_cast<std::uint64_t>(static_cast<Index>(targets[k < n ? k : 0]) - update.group.first_node);
  const std::uint64_t index = static_cast<std::uint64_t>(update.number) << 32 | static_cast<std::uint64_t>(update.source);
  CounterBlock counters{WordBlock{}, WordBlock{} + index};
  std::memcpy(&counters.targets, nodes, sizeof nodes);
  uniform_block(static_cast<std::uint64_t>(update.group.rounding_seed), kRound, counters, draws);
}

}  // namespace

template <class T> void round_weights(const Update& update, const std::uint32_t* targets, Index n, double epsilon, T* weight) {
  double draws[kBlockDraws] = {}, weights[kBlockDraws] = {};
  for (Index first = 0; first < n; first += kBlockDraws) {
    const Index here = std::min(n - first, kBlockDraws);
    if (update.group.stochastic) draw_for(update, targets + first, here, draws);
    std::copy_n(weight + first, here, weights);
    round_block(update.group, epsilon, draws, weights);
    for (Index k = 0; k < here; k++) weight[first + k] = static_cast<T>(weights[k]);
  }
}

template void round_weights(const Update&, const std::uint32_t*, Index, double, float*);
template void round_weights(const Update&, const std::uint32_t*, Index, double, double*);

}  // namespace eprop
