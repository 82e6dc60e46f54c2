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
struct Step {
  std::int32_t spike;
  double psi;
};

// State of all neurons: one row for each variable, one column for each neuron.
struct State {
  double* __restrict data;
  Index columns;
  double& operator()(Index row, Index neuron) const { return (data + row * columns)[neuron]; }
};

// State of one neuron that has not spiked lately: rows `Model::is_after_spike` are zero, and memory does not have to be read.
// What is written there is lost: after a spike, `Model::note_spike` writes these rows.
template <class Model> struct RestingState {
  State all;
  double (&zero)[Model::kStateRows];
  [[gnu::always_inline]] double& operator()(Index row, Index neuron) const {
    return Model::is_after_spike(row) ? zero[row] : all(row, neuron);
  }
};

// Parameters of a population whose neurons differ; rows and columns as in `State`.
template <Surrogate kind> struct OwnParams {
  static constexpr Surrogate kSurrogate = kind;
  static constexpr bool kShort = false;
  const double* __restrict data;
  Index columns;
  OwnSurrogate gradient;  // of a `kOwn`
  double operator()(Index row, Index neuron) const { return (data + row * columns)[neuron]; }
};

// Parameters that all neurons of a population share; they stay in registers. With `shortcut`, the parameters that a model names
// in `eprop.models.Neuron.shortcut` are zero, and so is the state that depends on them.
template <Surrogate kind, Index rows, bool shortcut> struct SharedParams {
  static constexpr Surrogate kSurrogate = kind;
  static constexpr bool kShort = shortcut;
  double values[rows];
  OwnSurrogate gradient;
  double operator()(Index row, Index) const { return values[row]; }
};

// First parameter rows of every built-in model; voltages are relative to the leak potential.
namespace membrane {

enum Param : Index { ALPHA, ZETA, DRIVE, V_TH, V_MIN, R_STEPS, KIND, HEIGHT, WIDTH, OWN };

// The voltage v after one step, with the synaptic input x (mV) and the constant current, at least `v_min`; `late` is subtracted
// first. NaN stays NaN, so that divergence is detected.
template <class Params> [[gnu::always_inline]] inline double integrate(const Params& params, Index neuron, double v, double x) {
  return params(ALPHA, neuron) * v + params(ZETA, neuron) * x + params(DRIVE, neuron);
}

// The larger of two values; the first one if it is NaN.
[[gnu::always_inline]] inline double at_least(double value, double bound) { return bound > value ? bound : value; }

// Surrogate gradient at the distance u (mV) of the voltage from the threshold.
template <class Params> [[gnu::always_inline]] inline double surrogate_gradient(const Params& params, Index neuron, double u) {
  const double height = params(HEIGHT, neuron), width = params(WIDTH, neuron);
  if constexpr (Params::kSurrogate == Surrogate::kOwn) {
    return params.gradient(u, height, width);
  } else {
    return surrogate<Params::kSurrogate>(u, height, width);
  }
}

}  // namespace membrane
}  // namespace eprop
