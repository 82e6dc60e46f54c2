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
  template <class Rows, class Params, class Real = NumberOf<Params>>
  [[gnu::always_inline]] static Step<Real> update(const Rows& state, const Params& params, Index neuron, Real x) {
    return reset_at_threshold(state, params, neuron, x, Real{0});
  }

  // One step of a neuron whose threshold is `rise` mV higher now; a spike sets v and clamps it for a while.
  template <class Rows, class Params, class Real = NumberOf<Params>>
  [[gnu::always_inline]] static Step<Real> reset_at_threshold(const Rows& state, const Params& params, Index neuron, Real x,
                                                              Real rise) {
    using namespace membrane;
    Real v = state(V, neuron), left = state(R, neuron);
    if (left == Real{0}) {
      v = at_least(integrate(params, neuron, v, x) + state(HELD, neuron), params(V_MIN, neuron));
      state(HELD, neuron) = Real{0};
    } else {
      // Held input decays like the voltage until the end of the clamp, `left` steps later.
      if (const Real keep = params(KEEP, neuron); keep != Real{0})
        state(HELD, neuron) += keep * std::pow(params(ALPHA, neuron), left) * x;
      left -= Real{1};
    }
    const Real above = v - (params(V_TH, neuron) + rise);
    const bool free = left == Real{0}, spike = free && above >= Real{0};
    const Real psi = free ? surrogate_gradient(params, neuron, above) : Real{0};
    state(V, neuron) = spike ? params(V_RESET, neuron) : v;
    state(R, neuron) = spike ? params(R_STEPS, neuron) : left;
    state(Z, neuron) = spike ? Real{1} : Real{0};
    return {spike, psi};
  }
};

}  // namespace eprop
