// Leaky integrate-and-fire neuron with a reset to a fixed voltage (Python: `eprop.models.DeltaLIF`).
#pragma once
#include "neurons/model.hpp"

namespace eprop {

struct DeltaLif {
  enum StateRow : Index { V, R, Z, HELD, kStateRows };
  enum Param : Index { V_RESET = membrane::OWN, KEEP, kParams };
  static constexpr bool kShortcut = false;

  // v_t = alpha v_{t-1} + zeta x_t + drive; a spike where v >= v_th sets v to v_reset and clamps it there for the refractory
  // time.
  template <class Params> [[gnu::always_inline]] static Step update(State state, const Params& params, Index neuron, double x) {
    return reset_at_threshold(state, params, neuron, x, 0.0);
  }

  // One step of a neuron whose threshold is `rise` mV higher now; a spike sets v and clamps it for a while.
  template <class Params>
  [[gnu::always_inline]] static Step reset_at_threshold(State state, const Params& params, Index neuron, double x, double rise) {
    using namespace membrane;
    double v = state(V, neuron), left = state(R, neuron);
    if (left == 0.0) {
      v = at_least(integrate(params, neuron, v, x) + state(HELD, neuron), params(V_MIN, neuron));
      state(HELD, neuron) = 0.0;
    } else {
      // Held input decays like the voltage until the end of the clamp, `left` steps later.
      if (const double keep = params(KEEP, neuron); keep != 0.0)
        state(HELD, neuron) += keep * std::pow(params(ALPHA, neuron), left) * x;
      left -= 1.0;
    }
    const double above = v - (params(V_TH, neuron) + rise);
    const bool free = left == 0.0, spike = free && above >= 0.0;
    const double psi = free ? surrogate_gradient(params, neuron, above) : 0.0;
    state(V, neuron) = spike ? params(V_RESET, neuron) : v;
    state(R, neuron) = spike ? params(R_STEPS, neuron) : left;
    state(Z, neuron) = spike ? 1.0 : 0.0;
    return {spike, psi};
  }
};

}  // namespace eprop
