// Advance the neurons of a population by one step.
#pragma once
#include <cstdint>
#include <span>

#include "network/tables.hpp"
#include "neurons/own.hpp"
#include "neurons/surrogate.hpp"

namespace eprop {

// The loop of a built-in model: as `NeuronLoop`, and psi may be null. `gradient` is the surrogate gradient of a user, or null.
// `active` is null, or has for each group of `kRestGroup` neurons, at its first neuron, whether one of them has spiked lately;
// the loop reads and updates it.
template <class Real> using ModelLoop = void (*)(Index begin, Index neurons, Index columns, Real* state, const double* params,
                                                 const Real* input, Real* psi, std::int32_t* spiked, OwnSurrogate gradient,
                                                 std::uint8_t* active);
inline constexpr Index kRestGroup = 16;

// A built-in model; its code is its index in `models()`.
struct NeuronModel {
  const char* name;
  Index state_rows, params;  // rows of state, rows of parameters
  ModelLoop<float> (*single)(Sharing sharing, Surrogate surrogate);
  ModelLoop<double> (*full)(Sharing sharing, Surrogate surrogate);
};

std::span<const NeuronModel> models();

// Neurons begin:end of one population, for one thread.
template <class Real> struct NeuronRange {
  const Population& population;
  Index begin, end;
  Array2<Real> state;           // (rows of state, neurons)
  Array2<const double> params;  // (rows of parameters, neurons)
  Array2<Real> input;           // (receptors, neurons) synaptic input of this step, mV or pA
  // (neurons,) null, or as for a `ModelLoop`, where groups begin at `begin` and ranges of earlier steps were the same; before
  // the first step all are 1.
  std::uint8_t* active = nullptr;
};

// The function at an address, which Python passes as a number.
template <class Function> Function function_at(Index address) {
  return reinterpret_cast<Function>(address);  // NOLINT(performance-no-int-to-ptr)
}

// Advances neurons begin:end by one step: reads and clears their input, writes state and psi[begin:end], appends the neurons that
// spike to `spikes` from position `count` on, in ascending order, and returns the new count. Null: psi is not needed.
template <class Real> Index advance(const NeuronRange<Real>& neurons, Real* psi, std::int32_t* spikes, Index count);

extern template Index advance(const NeuronRange<float>&, float*, std::int32_t*, Index);
extern template Index advance(const NeuronRange<double>&, double*, std::int32_t*, Index);

}  // namespace eprop
