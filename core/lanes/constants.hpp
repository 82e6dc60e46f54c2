// Gradients of learned constants, such as the time constant of a neuron's adaptation.
//
// A constant p changes the hidden state h and the distance from the threshold by factors times rows of the state before the
// step: with alpha = exp(-dt / tau_m), dv(t) / dtau_m = (dalpha / dtau_m) v(t - 1) + .... With mu and d of the adjoint pass
// (adjoint.hpp), which see the neuron's own recurrence and a detached reset,
//
//     dE/dp = sum_t (sum_i mu_i(t) dh_i(t)/dp + psi(t) d(t) d(distance)(t)/dp)
//
// The factors are constant in a sample. So a lane computes inner products of mu, or psi d, with rows of the state that it keeps;
// `mean_constants` (network/optimizer_step.hpp) multiplies by the factors. Nothing is per synapse.
#pragma once
#include <algorithm>

#include "lanes/adjoint.hpp"
#include "support/threads.hpp"

namespace eprop {

// Keeps rows of the state of some neurons before a step.
template <class Real> void keep_state(const Episodes<Real>& episodes, Lane<Real>& lane, Index row, Index begin, Index end) {
  const Array1<const Index> rows = episodes.topology.kept_rows;
  for (Index slot = 0; slot < rows.size; slot++) {
    const Real* from = lane.state.row(rows[slot]);
    std::copy(from + begin, from + end, lane.kept.row(row) + slot * episodes.plan.columns + begin);
  }
}

// Keeps the outputs before a step, next to the first kept row of the neurons.
template <class Real> void keep_outputs(const Episodes<Real>& episodes, Lane<Real>& lane, Index row) {
  if (episodes.topology.kept_rows.size > 0)
    std::copy(lane.y.values.begin(), lane.y.values.end(), lane.kept.row(row) + episodes.topology.n_neurons());
}

// The kept row of a product in a step, by target; null: the factor is 1.
template <class Real> const double* kept_row(const Lane<Real>& lane, const Product& product, Index t, Index columns) {
  return product.slot < 0 ? nullptr : lane.kept.values.data() + t * lane.kept.columns + product.slot * columns;
}

// Adds adjoint times state, of some targets, to the sums of a product.
inline void add_product(const double* __restrict adjoint, const double* __restrict state, Index begin, Index end,
                        double* __restrict sum) {
  if (state == nullptr) {
    for (Index j = begin; j < end; j++) sum[j] += adjoint[j];
  } else {
    for (Index j = begin; j < end; j++) sum[j] += adjoint[j] * state[j];
  }
}

// The adjoint psi d of the distance from the threshold in a step, before the step back.
template <class Real>
void find_drive(const Population& population, const AdjointNeurons& neurons, const Real* psi, double* __restrict drive) {
  const auto& [begin, end, kappa, gain, constants, work] = neurons;
  const double* __restrict signal = work.row(kSignal), * __restrict drift = work.row(kDrift), * __restrict lambda = work.row(kLambda);
  for (Index j = begin; j < end; j++) drive[j] = gain * (signal[j] + kappa * lambda[j]) + drift[j];
  for (Index i = 0; population.fed_back && i < constants.n; i++) {
    const double* __restrict u = constants.u(i), * __restrict mu = work.row(kMu + i);
    for (Index j = begin; j < end; j++) drive[j] += u[j] * mu[j];
  }
  for (Index j = begin; j < end; j++) drive[j] *= static_cast<double>(psi[j]);
}

// Adds step t of some neurons to their products, after the step back.
template <class Real>
void add_products(const Topology& topology, const NeuronsOf& some, const Lane<Real>& lane, Index t, Backward<Real>& work) {
  for (Index p = 0; p < topology.products.size; p++) {
    const Product& product = topology.products[p];
    if (product.population != some.b) continue;
    const double* adjoint = product.component < 0 ? work.drive.row(0) : work.adjoint.row(kMu + product.component);
    add_product(adjoint, kept_row(lane, product, t, work.products.columns), some.begin, some.end, work.products.row(p));
  }
}

// The same of all readouts, whose adjoint is `later`.
template <class Real>
void add_products_of_readouts(const Topology& topology, const Lane<Real>& lane, Index t, Backward<Real>& work) {
  for (Index p = 0; p < topology.products.size; p++) {
    const Product& product = topology.products[p];
    const Population& population = topology.populations[product.population];
    if (population.role != Role::readout) continue;
    const double* adjoint = work.later.row(0) - topology.n_neurons();
    add_product(adjoint, kept_row(lane, product, t, work.products.columns), population.target_begin, population.target_end,
                work.products.row(p));
  }
}

// Adds what constants did before the rollout: their traces times the contributions of traces (`before`).
template <class Real> void add_product_traces(const Owned2<double>& traces, Backward<Real>& work) {
  const Index n = work.products.rows, columns = work.products.columns;
  for (Index row = 0; row < traces.rows; row++) {
    const double *trace = traces.values.data() + row * columns, *before = work.before.row(row / n);
    double* sum = work.products.row(row % n);
    for (Index j = 0; j < columns; j++) sum[j] += trace[j] * before[j];
  }
}

// Adds the products of a lane to a sum of a request.
template <class Real>
void add_scaled_products(const Topology& topology, Backward<Real>& work, const Request& request, Index index) {
  const FlushSubnormals flush;
  const Array2<double> sums = request.products.plane(index % request.products.planes);
  for (Index p = 0; p < topology.products.size; p++) {
    const double scale = topology.populations[topology.products[p].population].averages ? request.shares[index] : 1.0;
    for (Index j = 0; j < sums.columns; j++) sums(p, j) += scale * work.products(p, j);
  }
}

}  // namespace eprop
