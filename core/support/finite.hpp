// Whether numbers are finite, in loops that vectorise.
#pragma once
#include <cmath>
#include <limits>

#include "support/arrays.hpp"

namespace eprop {

// A larger voltage (mV) means that the run has diverged, though its numbers are still finite.
inline constexpr double kLargestVoltage = 1e9;

template <class T> inline bool all_finite(const T* numbers, Index n) {
  std::int64_t bad = 0;
#pragma GCC ivdep
  for (Index k = 0; k < n; k++) bad |= !(std::fabs(numbers[k]) <= std::numeric_limits<T>::max());
  return bad == 0;
}

}  // namespace eprop
