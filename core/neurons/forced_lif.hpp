// Leaky integrate-and-fire neuron with forced spikes (Python: `eprop.models.ForcedLIF`).
#pragma once
#include "neurons/lif.hpp"

namespace eprop {

struct ForcedLif {
  enum StateRow : Index { LEFT = Lif::kStateRows, kStateRows };
  enum Param : Index { INTERVAL = Lif::kParams, kParams };
  static constexpr bool kShortcut = false;

  // Integrates the membrane as LIF does, but spikes when the countdown ends, not at the threshold.
  template <class Params> [[gnu::always_inline]] static Step update(State state, const Params& params, Index neuron, double x) {
    using namespace membrane;
    const double v_th = params(V_TH, neuron), interval = params(INTERVAL, neuron);
    const double v = at_least(integrate(params, neuron, state(Lif::V, neuron), x), params(V_MIN, neuron));
    const double psi = surrogate_gradient(params, neuron, v - v_th);
    const double left = state(LEFT, neuron) - 1.0;
    const bool spike = left <= 0.0;
    state(Lif::V, neuron) = v - (spike ? v_th : 0.0);
    state(LEFT, neuron) = spike ? interval : left;
    return {spike, psi};
  }
};

}  // namespace eprop
