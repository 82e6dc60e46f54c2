// Weights as they are stored: numbers, or whole numbers of levels (network/few_bits.hpp) in one or two bytes.
//
// Levels are stored in networks without e-prop and e-prop+, whose weights all have few bits. What is computed with them has the
// same bits as with stored numbers.
#pragma once
#include <limits>
#include <type_traits>

#include "network/few_bits.hpp"
#include "online/state.hpp"
#include "support/simd.hpp"

namespace eprop {

// Calls visit(weights) with the array that this network has.
template <class Real, class F> EPROP_INLINE void with_weights(const Synapses<Real>& synapses, const F& visit) {
  if (synapses.levels.size > 0) return visit(synapses.levels.data);
  if (synapses.wide_levels.size > 0) return visit(synapses.wide_levels.data);
  visit(synapses.weight.data);
}

// The weight of a stored number. The lowest level of a type stands for NaN, so that divergence is detected.
template <class Real, class Stored> EPROP_INLINE Real weight_of(const DelayGroup& group, Stored stored) {
  if constexpr (std::is_same_v<Stored, Real>) {
    return stored;
  } else {
    const bool nan = stored == std::numeric_limits<Stored>::min();
    return nan ? std::numeric_limits<Real>::quiet_NaN() : static_cast<Real>(group.level * stored);
  }
}

// Stores a weight, which is a whole number of levels if levels are stored.
template <class Real, class Stored> EPROP_INLINE void store_weight(const DelayGroup& group, Real weight, Stored& stored) {
  if constexpr (std::is_same_v<Stored, Real>) {
    stored = weight;
  } else {
    const double levels = std::rint(static_cast<double>(weight) / group.level);
    stored = levels == levels ? static_cast<Stored>(levels) : std::numeric_limits<Stored>::min();
  }
}

}  // namespace eprop
