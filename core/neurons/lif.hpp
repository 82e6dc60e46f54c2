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
  template <class Params> [[gnu::always_inline]] static Step update(State state, const Params& params, Index neuron, double x) {
    return subtract_at_threshold(state, params, neuron, x, 0.0);
  }

  // One step of a neuron whose threshold is `rise` mV higher now; each spike lowers v by the resting threshold. Load everything
  // before selecting, and give a refractory neuron an infinite threshold: branches and conditional loads prevent vectorisation.
  template <class Params> [[gnu::always_inline]] static Step subtract_at_threshold(State state, const Params& params,
                                                                                   Index neuron, double x, double rise) {
    using namespace membrane;
    const double v_th = params(V_TH, neuron);
    double v = integrate(params, neuron, state(V, neuron), x), left = 0.0, reset = v_th;
    if constexpr (!Params::kShort) {
      const double late = params(LATE, neuron);
      left = at_least(state(R, neuron) - 1.0, 0.0);
      v -= late * v_th * state(Z, neuron);
      reset = (1.0 - late) * v_th;
    }
    v = at_least(v, params(V_MIN, neuron));
    const double above = v - (v_th + rise);
    double psi = surrogate_gradient(params, neuron, above), barrier = 0.0;
    if constexpr (!Params::kShort) {
      psi = left == 0.0 ? psi : 0.0;
      barrier = left == 0.0 ? 0.0 : std::numeric_limits<double>::infinity();
    }
    const bool spike = above >= barrier;
    const double z = spike ? 1.0 : 0.0;
    state(V, neuron) = v - (spike ? reset : 0.0);
    if constexpr (!Params::kShort) state(R, neuron) = left + z * params(R_STEPS, neuron);
    state(Z, neuron) = z;
    return {spike, psi};
  }
};

}  // namespace eprop
