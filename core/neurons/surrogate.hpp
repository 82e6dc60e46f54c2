// Surrogate gradients: replace the derivative of a spike, as functions of the distance u (mV) of the voltage from the threshold.
// Piecewise linear: Bellec et al. 2020, methods; the others as NEST 3.10 computes them.
#pragma once
#include <cmath>

namespace eprop {

// Codes of `eprop.models.Surrogate.code`: a function of the user, those here, and none, where nothing learns. All neurons of a
// population have the same code.
enum class Surrogate : int { kOwn = -1, kPiecewiseLinear, kExponential, kFastSigmoid, kArctan, kNone };

// Surrogate gradient of one kind with a `height` (1/mV) and a `width` (mV).
template <Surrogate kind, class Real> [[gnu::always_inline]] inline Real surrogate(Real u, Real height, Real width) {
  if constexpr (kind == Surrogate::kPiecewiseLinear) {
    const Real below_tip = Real{1} - std::abs(u) / width;
    return height * (below_tip > Real{0} ? below_tip : Real{0});
  } else if constexpr (kind == Surrogate::kExponential) {
    return height * std::exp(-std::abs(u) / width);
  } else if constexpr (kind == Surrogate::kFastSigmoid) {
    const Real d = Real{1} + std::abs(u) / width;
    return height / (d * d);
  } else if constexpr (kind == Surrogate::kNone) {
    return Real{0};
  } else {
    const Real d = u / width;
    return height / (Real{1} + d * d);
  }
}

}  // namespace eprop
