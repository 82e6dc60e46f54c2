// Leaky integrate-and-fire neuron with forced spikes (Python: `eprop.models.ForcedLIF`).
#pragma once
#include "neurons/lif.hpp"

namespace eprop {

struct ForcedLif {
  enum StateRow : Index { LEFT = Lif::kStateRows, kStateRows };
  enum Param : Index { INTERVAL = Lif::kParams, kParams };
  static constexpr bool kShortcut = false;

  // Integrates the membrane as LIF does, but spikes when the countdown ends, not at the threshold.
  template <class Rows, class Params, class Real = NumberOf<Params>>
  [[gnu::always_inline]] static Step<Real> update(const Rows& state, const Params& params, Index neuron, Real x) {
    using namespace membrane;
    const Real v_th = params(V_TH, neuron), interval = params(INTERVAL, neuron);
    const Real v = at_least(integrate(params, neuron, state(Lif::V, neuron), x), params(V_MIN, neuron));
    const Real psi = surrogate_gradient(params, neuron, v - v_th);
    const Real left = state(LEFT, neuron) - Real{1};
    const bool spike = left <= Real{0};
    state(Lif::V, neuron) = v - (spike ? v_th : Real{0});
    state(LEFT, neuron) = spike ? interval : left;
    return {spike, psi};
  }
};

}  // namespace eprop
