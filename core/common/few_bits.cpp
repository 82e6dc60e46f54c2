#include "common/few_bits.hpp"

#include <algorithm>
#include <cmath>

#include "common/rng.hpp"

namespace eprop {
namespace {

// A whole number of levels; NaN stays NaN, so that divergence is detected.
double rounded(const DelayGroup& group, double levels, double epsilon, double draw) {
  double whole = std::rint(levels);
  if (group.stochastic && std::fabs(levels - whole) > epsilon * std::fabs(levels)) whole = std::floor(levels + draw);
  return clip(whole, group.lowest, group.highest);
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
  const DelayGroup& group = update.group;
  double draws[kBlockDraws] = {};
  for (Index first = 0; first < n; first += kBlockDraws) {
    const Index here = std::min(n - first, kBlockDraws);
    if (group.stochastic) draw_for(update, targets + first, here, draws);
    for (Index k = 0; k < here; k++) {
      T& w = weight[first + k];
      w = static_cast<T>(rounded(group, static_cast<double>(w) / group.level, epsilon, draws[k]) * group.level);
    }
  }
}

template void round_weights(const Update&, const std::uint32_t*, Index, double, float*);
template void round_weights(const Update&, const std::uint32_t*, Index, double, double*);

}  // namespace eprop
