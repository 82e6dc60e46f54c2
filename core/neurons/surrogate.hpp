// Surrogate gradients: replace the derivative of a spike, as functions of the distance u (mV) of the voltage from the threshold.
// Piecewise linear: Bellec et al. 2020, methods; the others as NEST 3.10 computes them.
#pragma once
#include <cmath>

namespace eprop {

// Codes of `eprop.models.Surrogate.code`: a function of the user, those here, and none, where nothing learns. All neurons of a
// population have the same code.
enum class Surrogate : int { kOwn = -1, kPiecewiseLinear, kExponential, kFastSigmoid, kArctan, kNone };

// Surrogate gradient of one kind with a `height` (1/mV) and a `width` (mV).
template <Surrogate kind> [[gnu::always_inline]] inline double surrogate(double u, double height, double width) {
  if constexpr (kind == Surrogate::kPiecewiseLinear) {
    const double below_tip = 1.0 - std::abs(u) / width;
    return height * (below_tip > 0.0 ? below_tip : 0.0);
  } else if constexpr (kind == Surrogate::kExponential) {
    return height * std::exp(-std::abs(u) / width);
  } else if constexpr (kind == Surrogate::kFastSigmoid) {
    const double d = 1.0 + std::abs(u) / width;
    return height / (d * d);
  } else if constexpr (kind == Surrogate::kNone) {
    return 0.0;
  } else {
    const double d = u / width;
    return height / (1.0 + d * d);
  }
}

}  // namespace eprop
