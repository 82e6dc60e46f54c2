// A neuron model: a struct with the names of its rows and a function `update` that advances one neuron by one step, as in
// `lif.hpp`. `advance.cpp` makes the loops over neurons from it.
#pragma once
#include <cmath>
#include <cstdint>

#include "neurons/own.hpp"
#include "neurons/surrogate.hpp"
#include "support/arrays.hpp"

namespace eprop {

// Result of `update`: whether the neuron spikes, 1 or 0 (a bool in a struct keeps GCC 12 from vectorising), and its surrogate
// gradient, taken before the reset.
template <class Real> struct Step {
  std::int32_t spike;
  Real psi;
};

// State of all neurons: one row for each variable, one column for each neuron.
template <class Real> struct State {
  Real* __restrict data;
  Index columns;
  Real& operator()(Index row, Index neuron) const { return (data + row * columns)[neuron]; }
};

// State of one neuron that has not spiked lately: rows `Model::is_after_spike` are zero, and memory does not have to be read.
// What is written there is lost: after a spike, `Model::note_spike` writes these rows.
template <class Model, class Real> struct RestingState {
  State<Real> all;
  Real (&zero)[Model::kStateRows];
  [[gnu::always_inline]] Real& operator()(Index row, Index neuron) const {
    return Model::is_after_spike(row) ? zero[row] : all(row, neuron);
  }
};

// Parameters of a population whose neurons differ; rows and columns as in `State`. Tables are double; a step computes in `Real`.
template <Surrogate kind, class Real> struct OwnParams {
  using Number = Real;
  static constexpr Surrogate kSurrogate = kind;
  static constexpr bool kShort = false;
  const double* __restrict data;
  Index columns;
  OwnSurrogate gradient;  // of a `kOwn`
  Real operator()(Index row, Index neuron) const { return static_cast<Real>((data + row * columns)[neuron]); }
};

// Parameters that all neurons of a population share; they stay in registers. With `shortcut`, the parameters that a model names
// in `eprop.models.Neuron.shortcut` are zero, and so is the state that depends on them.
template <Surrogate kind, Index rows, bool shortcut, class Real> struct SharedParams {
  using Number = Real;
  static constexpr Surrogate kSurrogate = kind;
  static constexpr bool kShort = shortcut;
  Real values[rows];
  OwnSurrogate gradient;
  Real operator()(Index row, Index) const { return values[row]; }
};

// The numbers in which a step with some parameters computes.
template <class Params> using NumberOf = typename Params::Number;

// First parameter rows of every built-in model; voltages are relative to the leak potential.
namespace membrane {

enum Param : Index { ALPHA, ZETA, DRIVE, V_TH, V_MIN, R_STEPS, KIND, HEIGHT, WIDTH, OWN };

// The voltage v after one step, with the synaptic input x (mV) and the constant current.
template <class Params, class Real = NumberOf<Params>>
[[gnu::always_inline]] inline Real integrate(const Params& params, Index neuron, Real v, Real x) {
  return params(ALPHA, neuron) * v + params(ZETA, neuron) * x + params(DRIVE, neuron);
}

// The larger of a value and its bound. NaN stays NaN, so that divergence is detected.
template <class Real> [[gnu::always_inline]] inline Real at_least(Real value, Real bound) {
  return bound > value ? bound : value;
}

// Surrogate gradient at the distance u (mV) of the voltage from the threshold.
template <class Params, class Real = NumberOf<Params>>
[[gnu::always_inline]] inline Real surrogate_gradient(const Params& params, Index neuron, Real u) {
  const Real height = params(HEIGHT, neuron), width = params(WIDTH, neuron);
  if constexpr (Params::kSurrogate == Surrogate::kOwn) {
    return static_cast<Real>(params.gradient(u, height, width));
  } else {
    return surrogate<Params::kSurrogate, Real>(u, height, width);
  }
}

}  // namespace membrane
}  // namespace eprop
