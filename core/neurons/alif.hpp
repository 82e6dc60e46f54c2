// Leaky integrate-and-fire neuron with an adaptive threshold (Python: `eprop.models.ALIF`).
#pragma once
#include "neurons/lif.hpp"

namespace eprop {

struct Alif {
  enum StateRow : Index { ADAPTATION = Lif::kStateRows, THRESHOLD, kStateRows };
  enum Param : Index { RHO = Lif::kParams, BETA, E_L, kParams };
  static constexpr bool kShortcut = true;

  // LIF with the threshold v_th + beta a_t and a_t = rho a_{t-1} + z_{t-1}; the row of the threshold is in mV, not relative.
  template <class Rows, class Params, class Real = NumberOf<Params>>
  [[gnu::always_inline]] static Step<Real> update(const Rows& state, const Params& params, Index neuron, Real x) {
    const Real a = params(RHO, neuron) * state(ADAPTATION, neuron) + state(Lif::Z, neuron);
    const Real rise = params(BETA, neuron) * a;
    state(ADAPTATION, neuron) = a;
    state(THRESHOLD, neuron) = params(membrane::V_TH, neuron) + rise + params(E_L, neuron);
    return Lif::subtract_at_threshold(state, params, neuron, x, rise);
  }
};

}  // namespace eprop
