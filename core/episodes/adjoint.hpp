// The adjoint pass of e-prop: from the errors of a sample, backward in time, to the change of its gradient per additional spike.
//
// The gradient of a sample is linear in the presynaptic spikes. The contribution of a spike depends only on the postsynaptic
// neuron and the step of its arrival. With the eligibility of a neuron (A, b, c, u), see `eprop.models.Eligibility`:
//
//     lambda(t) = L(t) + kappa lambda(t + 1)
//     d(t)      = (1 - kappa) lambda(t) + F + u . mu(t + 1)
//     mu(t)     = A^T mu(t + 1) + psi(t) d(t) c
//     G(t)      = b . mu(t)
//
// and the constant F = c_reg (f_mean - f_target) / T of rate regularisation. For readouts G(t) = E(t) + alpha G(t + 1). The
// equations follow from Bellec et al. 2020 by exchanging the sums. They are exact, and are not backpropagation through time,
// since they follow only a neuron's own recurrence.
#pragma once
#include <algorithm>
#include <utility>

#include "common/signals.hpp"
#include "episodes/batch_state.hpp"

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
  double kappa;
  AdjointConstants constants;
  Array2<double> work;
};

// Source of the learning signals of a sample. Outside values of step t join the errors of step t - 1; the errors of the last step
// use the last value of the modulator. Step t has row t + shift of the errors.
struct SignalSources {
  Array2<const double> feedback;
  const Outside& outside;
  Index sample, n_steps, shift = 0;
  double factor(Index row) const { return outside.factor(sample, std::clamp<Index>(row - shift + 1, 0, n_steps - 1)); }
  const double* told(Index row, Index population) const {
    const Index step = row - shift + 1;
    return 0 <= step && step < n_steps ? outside.row(sample, step, population) : nullptr;
  }
};

// One step back with a single component, b and c of 1, and no u. `alike`: all neurons have the constants of the first one, which
// are then read once.
template <bool alike, class Real> void step_back_leaky(const AdjointNeurons& neurons, Real* __restrict psi) {
  const double* __restrict signal = neurons.work.row(kSignal);
  const double* __restrict drift = neurons.work.row(kDrift);
  const double* __restrict decay = neurons.constants.A(0, 0);
  double* __restrict lambda = neurons.work.row(kLambda);
  double* __restrict mu = neurons.work.row(kMu);
  const double kappa = neurons.kappa, same_decay = decay[neurons.begin];
  for (Index j = neurons.begin; j < neurons.end; j++) {
    const double filtered = signal[j] + kappa * lambda[j];
    const double next =
        static_cast<double>(psi[j]) * ((1.0 - kappa) * filtered + drift[j]) + (alike ? same_decay : decay[j]) * mu[j];
    lambda[j] = filtered;
    mu[j] = next;
    psi[j] = static_cast<Real>(next);
  }
}

// One step back with two components: `step_back` in one loop.
template <bool alike, class Real> void step_back_pair(const AdjointNeurons& neurons, Real* __restrict psi) {
  const double* __restrict signal = neurons.work.row(kSignal);
  const double* __restrict drift = neurons.work.row(kDrift);
  double* __restrict lambda = neurons.work.row(kLambda);
  double* __restrict mu_0 = neurons.work.row(kMu);
  double* __restrict mu_1 = neurons.work.row(kMu + 1);
  const double* __restrict rows = neurons.constants.rows.data;
  const Index columns = neurons.constants.rows.columns;
  const double kappa = neurons.kappa;
  enum { A00, A01, A10, A11, B0, B1, C0, C1, U0, U1, kRows };
  double same[kRows];
  for (Index row = 0; row < kRows; row++) same[row] = rows[row * columns + neurons.begin];
  for (Index j = neurons.begin; j < neurons.end; j++) {
    const auto constant = [&](Index row) { return alike ? same[row] : rows[row * columns + j]; };
    const double filtered = signal[j] + kappa * lambda[j], first = mu_0[j], second = mu_1[j];
    double drive = ((1.0 - kappa) * filtered + drift[j]) + constant(U0) * first;
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
  const auto& [begin, end, kappa, constants, work] = neurons;
  const Index n = constants.n, next = kMu + n;
  const auto add = [&](double* __restrict to, const double* __restrict factor, const double* __restrict from) {
    for (Index j = neurons.begin; j < neurons.end; j++) to[j] += factor[j] * from[j];
  };
  double* __restrict drive = work.row(kDrive), * __restrict lambda = work.row(kLambda);
  const double* __restrict signal = work.row(kSignal), * __restrict drift = work.row(kDrift);
  for (Index j = begin; j < end; j++) {
    lambda[j] = signal[j] + kappa * lambda[j];
    drive[j] = (1.0 - kappa) * lambda[j] + drift[j];
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

// One step back of the neurons of a population; if they are `alike`, the constants of the first one hold for all.
template <class Real>
void step_back_neurons(const Population& population, bool alike, const AdjointNeurons& neurons, Real* __restrict psi) {
  if (population.leaky) {
    alike ? step_back_leaky<true>(neurons, psi) : step_back_leaky<false>(neurons, psi);
  } else if (population.n_components == 2) {
    alike ? step_back_pair<true>(neurons, psi) : step_back_pair<false>(neurons, psi);
  } else {
    step_back(neurons, population.fed_back != 0, psi);
  }
}

// Neurons begin .. end - 1 of population b.
struct NeuronsOf {
  Index b, begin, end;
};

// The constant F of some neurons of a population. Their mean rate counts the first `length` steps, whose spikes can still reach a
// readout within the sample; psi of later steps becomes zero.
template <class Real> void begin_adjoint(const Batch<Real>& batch, SampleSlot<Real>& slot, const NeuronsOf& neurons, Index length,
                                         const Index* counts) {
  const auto [b, begin, end] = neurons;
  const Population& population = batch.topology.populations[b];
  const Index shift = population.first_target - population.first_source;
  for (Index row = 0; row < slot.work.rows; row++) std::fill(slot.work.row(row) + begin, slot.work.row(row) + end, 0.0);
  double* drift = slot.work.row(kDrift);
  for (Index j = begin; j < end; j++) drift[j] = static_cast<double>(counts[j]);
  for (Index t = std::max<Index>(length, 0); t < batch.n_steps; t++) {
    for (Index k = slot.start(t, b); k < slot.start(t, b + 1); k++)
      if (const Index j = slot.log[k] + shift; begin <= j && j < end) drift[j] -= 1.0;  // else another partition or rank has it
    std::fill(slot.psi.row(t) + begin, slot.psi.row(t) + end, Real{0});
  }
  const double steps = static_cast<double>(std::max<Index>(length, 1));
  for (Index j = begin; j < end; j++) drift[j] = population.c_reg * (drift[j] / steps - population.f_target) / steps;
}

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
  if (sources.outside.empty()) return silent;
  const double* told = sources.told(at, b);
  if (told != nullptr) told += begin - population.target_begin;
  const double factor = sources.factor(at);
  if (!of_pairs) {
    add_told(told, factor, end - begin, signal + begin);
  } else {
    for (Index j = begin; told != nullptr && j < end; j++) signal[j] += factor * told[j - begin];
  }
  return silent && told == nullptr;
}

// The adjoint pass of some neurons of a population.
template <class Real> void adjoint_neurons(const Batch<Real>& batch, SampleSlot<Real>& slot, const SignalSources& sources,
                                           const NeuronsOf& some, Watch& watch) {
  const Topology& topology = batch.topology;
  const auto [b, begin, end] = some;
  const Population& population = topology.populations[b];
  const Index length = batch.n_steps - population.error_latency;
  const AdjointNeurons neurons{begin, end, population.kappa, {topology.adjoint, population.n_components}, slot.work.view()};
  const bool alike = topology.params(topology.params.rows - 1, begin) != 0.0;
  bool silent = true;  // whether the learning signals are zero
  for (Index t = length - 1; t >= 0 && !watch.stopped(end - begin); t--) {
    silent = find_signals(topology, some, t, std::as_const(slot.error).view(), sources, silent, slot.work.row(kSignal));
    step_back_neurons(population, alike, neurons, slot.psi.row(t));
  }
}

// The adjoint pass of the neurons of a partition: turns their `psi` into G, in place. Skips populations without plastic inputs.
template <class Real> void adjoint_partition(const Batch<Real>& batch, SampleSlot<Real>& slot, const Index* counts,
                                             const SignalSources& sources, Index partition, Watch& watch) {
  const Topology& topology = batch.topology;
  for (Index b = 0; b < topology.populations.size; b++) {
    const Population& population = topology.populations[b];
    const NeuronsOf neurons{b, std::max(topology.bounds(0, partition), population.target_begin),
                            std::min(topology.bounds(0, partition + 1), population.target_end)};
    if (!batch.learning[b] || neurons.begin >= neurons.end) continue;
    begin_adjoint(batch, slot, neurons, batch.n_steps - population.error_latency, counts);
    adjoint_neurons(batch, slot, sources, neurons, watch);
  }
}

// Writes G of readouts after G of neurons.
template <class Real> void adjoint_readouts(const Batch<Real>& batch, SampleSlot<Real>& slot) {
  const Topology& topology = batch.topology;
  std::fill(slot.readout_work.begin(), slot.readout_work.end(), 0.0);
  for (Index t = batch.n_steps - 1; t >= 0; t--)
    for (Index k = 0; k < topology.n_readouts(); k++) {
      double& later = slot.readout_work[k];
      later = slot.error(t, k) + topology.readouts[k].alpha * later;
      slot.psi(t, topology.n_neurons() + k) = static_cast<Real>(later);
    }
}

}  // namespace eprop
