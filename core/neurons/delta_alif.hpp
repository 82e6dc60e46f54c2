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
  template <class Rows, class Params, class Real = NumberOf<Params>>
  [[gnu::always_inline]] static Step<Real> update(const Rows& state, const Params& params, Index neuron, Real x) {
    const Real before = state(ADAPTATION, neuron);
    const bool moves = params(PAUSE, neuron) == Real{0} || state(DeltaLif::R, neuron) == Real{0};
    const Real a = moves ? params(RHO, neuron) * before + state(DeltaLif::Z, neuron) : before;
    const Real rise = params(BETA, neuron) * a;
    state(ADAPTATION, neuron) = a;
    state(THRESHOLD, neuron) = params(membrane::V_TH, neuron) + rise + params(E_L, neuron);
    return DeltaLif::reset_at_threshold(state, params, neuron, x, rise);
  }
};

}  // namespace eprop
