// Leaky integrate-and-fire neuron whose reset subtracts the threshold (Python: `eprop.models.LIF`).
#pragma once
#include <limits>

#include "neurons/model.hpp"

namespace eprop {

struct Lif {
  enum StateRow : Index { V, R, Z, kStateRows };
  enum Param : Index { LATE = membrane::OWN, kParams };
  static constexpr bool kShortcut = true;

  // v_t = alpha v_{t-1} + zeta x_t + drive. Outside the refractory time the neuron spikes if v >= v_th; the spike lowers v by
  // v_th, at once or (`late`) one step later.
  template <class Rows, class Params, class Real = NumberOf<Params>>
  [[gnu::always_inline]] static Step<Real> update(const Rows& state, const Params& params, Index neuron, Real x) {
    return subtract_at_threshold(state, params, neuron, x, Real{0});
  }

  // One step of a neuron whose threshold is `rise` mV higher now; each spike lowers v by the resting threshold. Load everything
  // before selecting, and give a refractory neuron an infinite threshold: branches and conditional loads prevent vectorisation.
  template <class Rows, class Params, class Real = NumberOf<Params>>
  [[gnu::always_inline]] static Step<Real> subtract_at_threshold(const Rows& state, const Params& params, Index neuron, Real x,
                                                                 Real rise) {
    using namespace membrane;
    const Real v_th = params(V_TH, neuron);
    Real v = integrate(params, neuron, state(V, neuron), x), left = Real{0}, reset = v_th;
    if constexpr (!Params::kShort) {
      const Real late = params(LATE, neuron);
      left = at_least(state(R, neuron) - Real{1}, Real{0});
      v -= late * v_th * state(Z, neuron);
      reset = (Real{1} - late) * v_th;
    }
    v = at_least(v, params(V_MIN, neuron));
    const Real above = v - (v_th + rise);
    Real psi = surrogate_gradient(params, neuron, above), barrier = Real{0};
    if constexpr (!Params::kShort) {
      psi = left == Real{0} ? psi : Real{0};
      barrier = left == Real{0} ? Real{0} : std::numeric_limits<Real>::infinity();
    }
    const bool spike = above >= barrier;
    const Real z = spike ? Real{1} : Real{0};
    state(V, neuron) = v - (spike ? reset : Real{0});
    if constexpr (!Params::kShort) state(R, neuron) = left + z * params(R_STEPS, neuron);
    state(Z, neuron) = z;
    return {spike, psi};
  }
};

}  // namespace eprop
