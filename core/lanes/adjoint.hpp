// The adjoint pass of e-prop: from the errors of a lane, backward in time, to the change of its gradient per additional spike.
//
// The gradient of a lane is linear in the presynaptic spikes. The contribution of a spike depends only on the postsynaptic
// neuron and the step of its arrival. With the eligibility of a neuron (A, b, c, u), see `eprop.models.Eligibility`:
//
//     lambda(t) = L(t) + kappa lambda(t + 1)
//     d(t)      = gain lambda(t) + F + u . mu(t + 1),   gain = 1 - kappa
//     mu(t)     = A^T mu(t + 1) + psi(t) d(t) c
//     G(t)      = b . mu(t)
//
// and the constant F = (c_reg / T + rate_reg) (f_mean - f_target) of rate regularisation. For readouts G(t) = E(t) + alpha G(t +
// 1). The equations follow from Bellec et al. 2020 by exchanging the sums. They are exact, and are not backpropagation through
// time, since they follow only a neuron's own recurrence.
#pragma once
#include <algorithm>
#include <utility>

#include "lanes/state.hpp"
#include "neurons/signals.hpp"

namespace eprop {

// Rows of Topology::adjoint for neurons with n components: A (row: to, column: from), b, c, u.
struct AdjointConstants {
  Array2<const double> rows;
  Index n;
  const double* A(Index to, Index from) const { return rows.row(to * n + from); }
  const double* b(Index i) const { return rows.row(n * n + i); }
  const double* c(Index i) const { return rows.row(n * n + n + i); }
  const double* u(Index i) const { return rows.row(n * n + 2 * n + i); }
};

// Neurons begin:end of one population in a backward step, with rows of their work space.
struct AdjointNeurons {
  Index begin, end;
  double kappa, gain;  // of the eligibility's filter
  AdjointConstants constants;
  Array2<double> work;
};

// Sources of the learning signals of a lane. External values of step t join the errors of step t - 1; the errors of the last step
// use the last value of the modulator. Step t has row t + shift of the errors.
struct SignalSources {
  Array2<const double> feedback;
  const External& external;
  Index sample, n_steps, shift;
  double factor(Index row) const { return external.factor(sample, std::clamp<Index>(row - shift + 1, 0, n_steps - 1)); }
  const double* signals(Index row, Index population) const {
    const Index step = row - shift + 1;
    return 0 <= step && step < n_steps ? external.row(sample, step, population) : nullptr;
  }
};

// One step back with a single component, b and c of 1, and no u. `same`: all neurons have the constants of the first one, which
// are then read once.
template <bool same, class Real> void step_back_leaky(const AdjointNeurons& neurons, Real* __restrict psi) {
  const double* __restrict signal = neurons.work.row(kSignal);
  const double* __restrict drift = neurons.work.row(kDrift);
  const double* __restrict decay = neurons.constants.A(0, 0);
  double* __restrict lambda = neurons.work.row(kLambda);
  double* __restrict mu = neurons.work.row(kMu);
  const double kappa = neurons.kappa, gain = neurons.gain, first_decay = decay[neurons.begin];
  for (Index j = neurons.begin; j < neurons.end; j++) {
    const double filtered = signal[j] + kappa * lambda[j];
    const double next = static_cast<double>(psi[j]) * (gain * filtered + drift[j]) + (same ? first_decay : decay[j]) * mu[j];
    lambda[j] = filtered;
    mu[j] = next;
    psi[j] = static_cast<Real>(next);
  }
}

// One step back with two components: `step_back` in one loop.
template <bool same, class Real> void step_back_pair(const AdjointNeurons& neurons, Real* __restrict psi) {
  const double* __restrict signal = neurons.work.row(kSignal);
  const double* __restrict drift = neurons.work.row(kDrift);
  double* __restrict lambda = neurons.work.row(kLambda);
  double* __restrict mu_0 = neurons.work.row(kMu);
  double* __restrict mu_1 = neurons.work.row(kMu + 1);
  const double* __restrict rows = neurons.constants.rows.data;
  const Index columns = neurons.constants.rows.columns;
  const double kappa = neurons.kappa, gain = neurons.gain;
  enum { A00, A01, A10, A11, B0, B1, C0, C1, U0, U1, kRows };
  double of_first[kRows];
  for (Index row = 0; row < kRows; row++) of_first[row] = rows[row * columns + neurons.begin];
  for (Index j = neurons.begin; j < neurons.end; j++) {
    const auto constant = [&](Index row) { return same ? of_first[row] : rows[row * columns + j]; };
    const double filtered = signal[j] + kappa * lambda[j], first = mu_0[j], second = mu_1[j];
    double drive = (gain * filtered + drift[j]) + constant(U0) * first;
    drive = (drive + constant(U1) * second) * static_cast<double>(psi[j]);
    const double next_0 = (constant(C0) * drive + constant(A00) * first) + constant(A10) * second;
    const double next_1 = (constant(C1) * drive + constant(A01) * first) + constant(A11) * second;
    lambda[j] = filtered;
    mu_0[j] = next_0;
    mu_1[j] = next_1;
    psi[j] = static_cast<Real>(constant(B0) * next_0 + constant(B1) * next_1);
  }
}

// One step back with any number of components.
template <class Real> void step_back(const AdjointNeurons& neurons, bool fed_back, Real* __restrict psi) {
  const auto& [begin, end, kappa, gain, constants, work] = neurons;
  const Index n = constants.n, next = kMu + n;
  const auto add = [&](double* __restrict to, const double* __restrict factor, const double* __restrict from) {
    for (Index j = neurons.begin; j < neurons.end; j++) to[j] += factor[j] * from[j];
  };
  double* __restrict drive = work.row(kDrive), * __restrict lambda = work.row(kLambda);
  const double* __restrict signal = work.row(kSignal), * __restrict drift = work.row(kDrift);
  for (Index j = begin; j < end; j++) {
    lambda[j] = signal[j] + kappa * lambda[j];
    drive[j] = gain * lambda[j] + drift[j];
  }
  for (Index i = 0; fed_back && i < n; i++) add(drive, constants.u(i), work.row(kMu + i));
  for (Index j = begin; j < end; j++) drive[j] *= static_cast<double>(psi[j]);
  for (Index i = 0; i < n; i++) {
    double* __restrict to = work.row(next + i);
    const double* __restrict c = constants.c(i);
    for (Index j = begin; j < end; j++) to[j] = c[j] * drive[j];
    for (Index k = 0; k < n; k++) add(to, constants.A(k, i), work.row(kMu + k));
  }
  std::fill(drive + begin, drive + end, 0.0);
  for (Index i = 0; i < n; i++) {
    std::copy(work.row(next + i) + begin, work.row(next + i) + end, work.row(kMu + i) + begin);
    add(drive, constants.b(i), work.row(kMu + i));
  }
  for (Index j = begin; j < end; j++) psi[j] = static_cast<Real>(drive[j]);
}

// One step back of some neurons of a population.
template <class Real> void step_back_neurons(const Population& population, const AdjointNeurons& neurons, Real* __restrict psi) {
  const bool same = population.sharing != Sharing::each;
  if (population.leaky) {
    same ? step_back_leaky<true>(neurons, psi) : step_back_leaky<false>(neurons, psi);
  } else if (population.n_components == 2) {
    same ? step_back_pair<true>(neurons, psi) : step_back_pair<false>(neurons, psi);
  } else {
    step_back(neurons, population.fed_back != 0, psi);
  }
}

// Neurons begin .. end - 1 of population b.
struct NeuronsOf {
  Index b, begin, end;
};

// Learning signals of some neurons for the spikes of row t. `silent`: the signals are zero already; returns whether they are zero
// afterwards.
inline bool find_signals(const Topology& topology, const NeuronsOf& some, Index t, Array2<const double> error,
                         const SignalSources& sources, bool silent, double* signal) {
  const auto& [b, begin, end] = some;
  const Population& population = topology.populations[b];
  const Index at = t + population.error_latency;
  const bool of_pairs = topology.error_latency.size() > 0;
  if (of_pairs) {
    const auto factor = [&](Index row) { return sources.factor(row); };
    learning_signals_of_pairs(t, error, sources.feedback, topology.error_latency, begin, end, factor, signal);
    silent = false;
  } else {
    silent = learning_signals(error.row(at), sources.feedback, begin, end, silent, signal);
  }
  if (sources.external.empty()) return silent;
  const double* given = sources.signals(at, b);
  if (given != nullptr) given += begin - population.target_begin;
  const double factor = sources.factor(at);
  if (!of_pairs) {
    add_external(given, factor, end - begin, signal + begin);
  } else {
    for (Index j = begin; given != nullptr && j < end; j++) signal[j] += factor * given[j - begin];
  }
  return silent && given == nullptr;
}

}  // namespace eprop
