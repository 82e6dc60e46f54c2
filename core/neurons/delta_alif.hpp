// Adaptive leaky integrate-and-fire neuron with a reset to a fixed voltage (Python: `eprop.models.DeltaALIF`).
#pragma once
#include "neurons/delta_lif.hpp"

namespace eprop {

struct DeltaAlif {
  enum StateRow : Index { ADAPTATION = DeltaLif::kStateRows, THRESHOLD, kStateRows };
  enum Param : Index { PAUSE = DeltaLif::kParams, RHO, BETA, E_L, kParams };
  static constexpr bool kShortcut = false;

  // DeltaLIF with the threshold v_th + beta a_t and a_t = rho a_{t-1} + z_{t-1}, which is constant in the refractory time with
  // `pause`; the row of the threshold is in mV, not relative.
  template <class Params> [[gnu::always_inline]] static Step update(State state, const Params& params, Index neuron, double x) {
    const double before = state(ADAPTATION, neuron);
    const bool moves = params(PAUSE, neuron) == 0.0 || state(DeltaLif::R, neuron) == 0.0;
    const double a = moves ? params(RHO, neuron) * before + state(DeltaLif::Z, neuron) : before;
    const double rise = params(BETA, neuron) * a;
    state(ADAPTATION, neuron) = a;
    state(THRESHOLD, neuron) = params(membrane::V_TH, neuron) + rise + params(E_L, neuron);
    return DeltaLif::reset_at_threshold(state, params, neuron, x, rise);
  }
};

}  // namespace eprop
