// Learning signals: errors of readouts times the feedback weights of each neuron, plus external signals.
#pragma once
#include <algorithm>

#include "support/arrays.hpp"

namespace eprop {

// External learning signals, factors of all learning signals, and rewards. Row t arrives in step t, together with
// the errors of step t - 1.
struct External {
  Array3<const double> signals;    // (samples or 0, steps, columns) of own neurons
  Array1<const Index> first;       // (populations,) column of its first own neuron, or -1
  Array2<const double> modulator;  // (samples, 1 or 0; steps)
  Array2<const double> reward;     // (samples, 1 or 0; steps)

  bool empty() const { return signals.planes == 0 && modulator.rows == 0; }
  double factor(Index sample, Index step) const {
    return modulator.rows == 0 ? 1.0 : modulator(modulator.rows > 1 ? sample : 0, step);
  }
  double reward_of(Index sample, Index step) const { return reward.rows == 0 ? 0.0 : reward(reward.rows > 1 ? sample : 0, step); }
  // Row of the own neurons of a population, or null.
  const double* row(Index sample, Index step, Index population) const {
    return signals.planes == 0 || first[population] < 0 ? nullptr : signals.row(sample, step) + first[population];
  }
};

// Adds `external` (none: nullptr) to the learning signals of some neurons and multiplies the sums.
inline void add_external(const double* external, double factor, Index n, double* __restrict signal) {
  for (Index j = 0; external != nullptr && j < n; j++) signal[j] += external[j];
  for (Index j = 0; factor != 1.0 && j < n; j++) signal[j] *= factor;
}

// Learning signals of neurons begin:end from the errors of one step. Five readouts at once save loads and stores of the sums;
// each is still added in order. Returns whether all errors are zero (then `signal` is zero, too); `silent`: `signal` is zero
// already.
inline bool learning_signals(const double* error, Array2<const double> feedback, Index begin, Index end, bool silent,
                             double* __restrict signal) {
  const bool none = std::all_of(error, error + feedback.rows, [](double e) { return e == 0.0; });
  if (!none || !silent) std::fill(signal + begin, signal + end, 0.0);
  if (none) return true;
  Index k = 0;
  for (; k + 5 <= feedback.rows; k += 5) {
    const double *__restrict f0 = feedback.row(k), *__restrict f1 = feedback.row(k + 1), *__restrict f2 = feedback.row(k + 2),
                 *__restrict f3 = feedback.row(k + 3), *__restrict f4 = feedback.row(k + 4);
    const double e0 = error[k], e1 = error[k + 1], e2 = error[k + 2], e3 = error[k + 3], e4 = error[k + 4];
    for (Index j = begin; j < end; j++)
      signal[j] = ((((signal[j] + e0 * f0[j]) + e1 * f1[j]) + e2 * f2[j]) + e3 * f3[j]) + e4 * f4[j];
  }
  for (; k < feedback.rows; k++) {
    const double* __restrict f = feedback.row(k);
    const double e = error[k];
    for (Index j = begin; j < end; j++) signal[j] += e * f[j];
  }
  return false;
}

// The same if each pair of readout and neuron has its own error latency; factor(step) multiplies the errors of a step.
template <class Factor> void learning_signals_of_pairs(Index t, Array2<const double> error, Array2<const double> feedback,
                                                       Array2<const Index> latency, Index begin, Index end, const Factor& factor,
                                                       double* signal) {
  std::fill(signal + begin, signal + end, 0.0);
  for (Index k = 0; k < feedback.rows; k++)
    for (Index j = begin; j < end; j++)
      if (const Index at = t + latency(k, j); at < error.rows) signal[j] += factor(at) * error(at, k) * feedback(k, j);
}

}  // namespace eprop
