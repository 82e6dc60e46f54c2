// Readouts: leaky integration, their errors and losses.
#pragma once
#include <cmath>
#include <limits>
#include <vector>

#include "network/tables.hpp"

namespace eprop {

// Leaky integration of readouts begin .. end; reads and clears their inputs `x` (of which the first readout's come first).
template <class Real>
void integrate_readouts(Index begin, Index end, Array1<const ReadoutConstants> readouts, Real* x, double* y) {
  for (Index k = begin; k < end; k++) {
    const ReadoutConstants& readout = readouts[k];
    const double integral = readout.alpha * y[k] + readout.zeta * static_cast<double>(x[k]) + readout.drive;
    y[k] = readout.y_min > integral ? readout.y_min : integral;
    x[k] = Real{0};
  }
}

// Output k of some readouts, mV.
struct Outputs {
  const double* y;
  const ReadoutConstants* constants;  // leak potentials to add to y; null: y includes them
  double operator[](Index k) const { return y[k] + (constants != nullptr ? constants[k].leak : 0.0); }
};

// Errors of the n readouts of one population; returns its loss in this step. Squared error: y - y* and 0.5 sum (y - y*)^2.
// Softmax: softmax(y) - y* and the cross-entropy. Everything is zero outside the learning window, and without a target, which is
// NaN for the whole population.
inline double readout_errors(Index n, const Outputs& y, const double* target, double window, bool softmax, double* error) {
  if (window == 0.0 || std::isnan(target[0])) {
    for (Index k = 0; k < n; k++) error[k] = 0.0;
    return 0.0;
  }
  double loss = 0.0;
  if (!softmax) {
    for (Index k = 0; k < n; k++) {
      const double difference = y[k] - target[k];
      error[k] = window * difference;
      loss += 0.5 * window * (difference * difference);
    }
    return loss;
  }
  Index best = 0;
  for (Index k = 1; k < n; k++) best = y[k] > y[best] ? k : best;
  double total = 0.0, others = 0.0;  // the term of the largest output is 1: without it, small losses keep their digits
  for (Index k = 0; k < n; k++) {
    error[k] = std::exp(y[k] - y[best]);
    total += error[k];
    others += k == best ? 0.0 : error[k];
  }
  const double log_total = std::log1p(others);
  for (Index k = 0; k < n; k++) {
    loss += window * target[k] * (y[best] - y[k] + log_total);
    error[k] = window * (error[k] / total - target[k]);
  }
  return loss;
}

// Errors of all readouts in one step from their outputs; returns the sum of the losses of their populations. `window` has a
// weight for each population of readouts.
inline double compare_readouts(const Topology& topology, const double* y, bool relative, const double* target,
                               const double* window, double* error) {
  double loss = 0.0;
  Index number = 0;
  for (Index b = 0; b < topology.populations.size; b++) {
    const Population& population = topology.populations[b];
    if (population.role != Role::readout) continue;
    const Index first = population.target_begin - topology.n_neurons();
    const Outputs outputs{y + first, relative ? topology.readouts.data + first : nullptr};
    loss += readout_errors(population.size, outputs, target + first, window[number++], population.softmax != 0, error + first);
  }
  return loss;
}

// Loss of outputs at zero in one step; NaN, unknown, if a weight of the window is negative.
inline double silent_loss(const Topology& topology, const double* target, const double* window) {
  double loss = 0.0;
  for (Index b = 0; b < topology.populations.size; b++) {
    const Population& population = topology.populations[b];
    if (population.role != Role::readout) continue;
    const double weight = *window++, *given = target + population.target_begin - topology.n_neurons();
    if (weight < 0.0) return std::numeric_limits<double>::quiet_NaN();
    if (weight == 0.0 || std::isnan(given[0])) continue;
    const double each = population.softmax != 0 ? std::log(static_cast<double>(population.size)) : 0.0;
    for (Index k = 0; k < population.size; k++) loss += weight * given[k] * (population.softmax != 0 ? each : 0.5 * given[k]);
  }
  return loss;
}

// Adds the losses of all steps of one sample to `loss`, from the outputs y (mV, steps by readouts). `target` has one row per
// step, or one for all; `window` has one row per step.
inline void losses_of_steps(Array2<const double> y, Array2<const double> target, Array2<const double> window,
                            const Topology& topology, double* loss) {
  std::vector<double> error(topology.readouts.size);
  for (Index s = 0; s < y.rows; s++)
    loss[s] += compare_readouts(topology, y.row(s), false, target.row(target.rows > 1 ? s : 0), window.row(s), error.data());
}

}  // namespace eprop
