// Leaky integrate-and-fire neurons whose input is an exponentially decaying current (Python: `eprop.models.CurrentLIF`,
// `eprop.models.CurrentALIF`).
#pragma once
#include <limits>

#include "neurons/model.hpp"

namespace eprop {

struct CurrentLif {
  enum StateRow : Index { V, R, Z, CURRENT, CURRENT_IN, kStateRows };
  enum Param : Index { ALPHA_SYN = membrane::OWN, KEEP, RESET, ZETA_IN, ALPHA_IN, kParams };
  static constexpr bool kShortcut = true;  // one receptor: zeta_in is 0, and so is the inhibitory current
  // Rows that are zero but for some time after a spike.
  static constexpr bool is_after_spike(Index row) { return row == R || row == Z; }
  template <class Rows, class Params> static void note_spike(const Rows& state, const Params& params, Index neuron) {
    state(R, neuron) = params(membrane::R_STEPS, neuron);
    state(Z, neuron) = NumberOf<Params>{1};
  }

  // v_t = alpha v_{t-1} + zeta i_{t-1} + drive and i_t = alpha_syn i_{t-1} + x_t: input reaches the voltage one step later. A
  // spike where v >= v_th turns v into `keep` v + `reset`: keep is 0 for a reset to a voltage, which clamps v for the refractory
  // time, and 1 for a subtraction, after which v continues to integrate. The inhibitory current, of another time constant, is
  // the same in v and decays here; `advance` adds its input.
  template <class Rows, class Params, class Real = NumberOf<Params>>
  [[gnu::always_inline]] static Step<Real> update(const Rows& state, const Params& params, Index neuron, Real x) {
    return spike_at_threshold(state, params, neuron, x, Real{0});
  }

  // One step of a neuron whose threshold is `rise` mV higher now. No branches, as in `Lif::subtract_at_threshold`.
  template <class Rows, class Params, class Real = NumberOf<Params>>
  [[gnu::always_inline]] static Step<Real> spike_at_threshold(const Rows& state, const Params& params, Index neuron, Real x,
                                                              Real rise) {
    using namespace membrane;
    const Real before = state(V, neuron), left = state(R, neuron), current = state(CURRENT, neuron);
    const Real keep = params(KEEP, neuron), after = at_least(left - Real{1}, Real{0}), r_steps = params(R_STEPS, neuron);
    Real integrated = integrate(params, neuron, before, current);
    if constexpr (!Params::kShort) {
      const Real inhibition = state(CURRENT_IN, neuron);
      integrated += params(ZETA_IN, neuron) * inhibition;
      state(CURRENT_IN, neuron) = params(ALPHA_IN, neuron) * inhibition;
    }
    integrated = at_least(integrated, params(V_MIN, neuron));
    const Real clamped = keep == Real{0} ? before : integrated;
    const Real v = left == Real{0} ? integrated : clamped;
    const Real above = v - (params(V_TH, neuron) + rise), gradient = surrogate_gradient(params, neuron, above);
    const Real barrier = left == Real{0} ? Real{0} : std::numeric_limits<Real>::infinity();
    const bool spike = above >= barrier;
    const Real reset = keep * v + params(RESET, neuron);
    state(V, neuron) = spike ? reset : v;
    state(R, neuron) = spike ? r_steps : after;
    state(Z, neuron) = spike ? Real{1} : Real{0};
    state(CURRENT, neuron) = params(ALPHA_SYN, neuron) * current + x;
    return {spike, left == Real{0} ? gradient : Real{0}};
  }
};

struct CurrentAlif {
  enum StateRow : Index { ADAPTATION = CurrentLif::kStateRows, THRESHOLD, kStateRows };
  enum Param : Index { RHO = CurrentLif::kParams, BETA, E_L, kParams };
  static constexpr bool kShortcut = true;

  // CurrentLIF with the threshold v_th + beta a_t and a_t = rho a_{t-1} + z_{t-1}; the row of the threshold is in mV, not
  // relative.
  template <class Rows, class Params, class Real = NumberOf<Params>>
  [[gnu::always_inline]] static Step<Real> update(const Rows& state, const Params& params, Index neuron, Real x) {
    const Real a = params(RHO, neuron) * state(ADAPTATION, neuron) + state(CurrentLif::Z, neuron);
    const Real rise = params(BETA, neuron) * a;
    state(ADAPTATION, neuron) = a;
    state(THRESHOLD, neuron) = params(membrane::V_TH, neuron) + rise + params(E_L, neuron);
    return CurrentLif::spike_at_threshold(state, params, neuron, x, rise);
  }
};

}  // namespace eprop
