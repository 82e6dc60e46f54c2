// Optimisers: their constants, one step as a scalar function, and the step of many synapses after a mini-batch (e-prop). The
// steps that a synapse owes at a spike (e-prop+) are in owed_steps.hpp. A new optimiser needs changes in these files only.
#pragma once
#include <algorithm>
#include <cmath>

#include "support/arrays.hpp"

namespace eprop {

// The order is that of the codes in Python (eprop.rules.optimizers).
// own: a method in Python takes the step, after the core has made the gradients.
enum class Optimizer : Index { descent, adam, momentum, rmsprop, own };

struct OptimizerConstants {
  double eta, w_min, w_max;
  double beta_1, beta_2, epsilon;  // beta_1 is also the decay of a single moment
  Optimizer kind;
  Index nesterov;
  double keep;  // decay of a weight in a step without a gradient
};

// base^n by repeated squaring, a few times faster than std::pow for small powers; its rounding errors grow with n.
inline double power(double base, Index n) {
  constexpr Index kLargest = 1 << 16;
  if (n > kLargest) return std::pow(base, static_cast<double>(n));
  if (n < 0) return 1.0 / power(base, -n);
  double result = 1.0;
  for (; n > 0; n >>= 1, base *= base)
    if (n & 1) result *= base;
  return result;
}

// Clips a weight to its bounds; NaN stays NaN, so that divergence is detected.
template <class Real> inline Real clip(Real w, Real w_min, Real w_max) { return w < w_min ? w_min : w > w_max ? w_max : w; }

// Learning rate with both bias corrections after n steps (Kingma and Ba 2015, end of section 2).
inline double adam_factor(double eta, double beta_1, double beta_2, Index n) {
  return eta * std::sqrt(1.0 - power(beta_2, n)) / (1.0 - power(beta_1, n));
}

// First and second moment after a step with gradient g.
template <class Real> inline void adam_moments(Real& m, Real& v, Real g, Real beta_1, Real beta_2) {
  m = beta_1 * m + (Real(1) - beta_1) * g;
  v = beta_2 * v + (Real(1) - beta_2) * g * g;
}

// Gradient descent with momentum, m <- beta m + g (Polyak 1964); returns the weight. The weight moves along m or, one step ahead,
// along g + beta m (Nesterov; in the form of Sutskever et al. 2013 with shifted weights, as is usual).
template <class Real> inline Real momentum_step(Real w, Real& m, Real g, Real eta, Real beta, bool nesterov) {
  m = beta * m + g;
  return w - eta * (nesterov ? g + beta * m : m);
}

// RMSprop (Tieleman and Hinton 2012): a step in units of the gradient's running root mean square; returns the weight.
template <class Real> inline Real rmsprop_step(Real w, Real& v, Real g, Real eta, Real beta, Real epsilon) {
  v = beta * v + (Real(1) - beta) * g * g;
  return w - eta * g / (std::sqrt(v) + epsilon);
}

// Whether a step is w - eta g and nothing else, so that its time does not matter.
inline bool descends(const OptimizerConstants& c) { return c.kind == Optimizer::descent && c.keep >= 1.0; }

// Neighbouring synapses: their weights, pending gradients and moments, and the factor of the gradients.
template <class Real> struct SynapseRange {
  Index begin, end;
  Real *weight, *pending, *moment_1, *moment_2;
  Real scale;
};

// Moves the weights of some synapses by step(weight, gradient, synapse) and clears their gradients.
template <class Real, class Step>
inline void move_weights(const OptimizerConstants& constants, const SynapseRange<Real>& range, const Step& step) {
  const Real w_min(constants.w_min), w_max(constants.w_max), scale = range.scale;
  Real* __restrict weight = range.weight, * __restrict pending = range.pending;
#pragma GCC ivdep
  for (Index synapse = range.begin; synapse < range.end; synapse++) {
    weight[synapse] = clip(step(weight[synapse], scale * pending[synapse], synapse), w_min, w_max);
    pending[synapse] = 0;
  }
}

// Adam with both bias corrections.
template <class Real> void adam_steps(const OptimizerConstants& constants, Index updates, const SynapseRange<Real>& range) {
  const Real factor(adam_factor(constants.eta, constants.beta_1, constants.beta_2, updates));
  const Real beta_1(constants.beta_1), beta_2(constants.beta_2), epsilon(constants.epsilon);
  Real* __restrict moment_1 = range.moment_1, * __restrict moment_2 = range.moment_2;
  move_weights(constants, range, [=](Real weight, Real gradient, Index synapse) {
    Real first = moment_1[synapse], second = moment_2[synapse];
    adam_moments(first, second, gradient, beta_1, beta_2);
    moment_1[synapse] = first;
    moment_2[synapse] = second;
    return weight - factor * first / (std::sqrt(second) + epsilon);
  });
}

// One step of the optimiser of a projection for some of its synapses.
template <class Real> void optimizer_step(const OptimizerConstants& constants, Index updates, const SynapseRange<Real>& range) {
  const Real eta(constants.eta), beta(constants.beta_1), epsilon(constants.epsilon);
  const bool nesterov = constants.nesterov != 0;
  Real* __restrict moment_1 = range.moment_1, * __restrict moment_2 = range.moment_2;
  if (constants.keep < 1.0 && constants.eta != 0.0)
    for (Index synapse = range.begin; synapse < range.end; synapse++)
      range.weight[synapse] = static_cast<Real>(range.weight[synapse] * constants.keep);
  switch (constants.kind) {
    case Optimizer::descent:
      return move_weights(constants, range, [=](Real weight, Real gradient, Index) { return weight - eta * gradient; });
    case Optimizer::adam:
      return adam_steps(constants, updates, range);
    case Optimizer::momentum:
      return move_weights(constants, range, [=](Real weight, Real gradient, Index synapse) {
        return momentum_step(weight, moment_1[synapse], gradient, eta, beta, nesterov);
      });
    case Optimizer::rmsprop:
      return move_weights(constants, range, [=](Real weight, Real gradient, Index synapse) {
        return rmsprop_step(weight, moment_2[synapse], gradient, eta, beta, epsilon);
      });
    case Optimizer::own:
      for (Index synapse = range.begin; synapse < range.end; synapse++) range.pending[synapse] *= range.scale;
  }
}

}  // namespace eprop
