// Optimisers: their constants, one step as a scalar function, the pending steps of a synapse since its last spike (e-prop+), and
// the step of many synapses after a mini-batch (e-prop). A new optimiser needs changes here only.
//
// With per-step e-prop+ the optimiser takes one step per time step. A silent synapse takes its pending steps at its next spike:
// the first with the gradient of its last interval, the others without a gradient.
#pragma once
#include <algorithm>
#include <cmath>

#include "common/arrays.hpp"

namespace eprop {

// The order is that of the codes in Python (eprop.rules.optimizers).
enum class Optimizer : Index { descent, adam, momentum, rmsprop };

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

// Adam steps first_step + 1 .. last_step, the first with gradient g; returns the weight. Steps without a gradient shrink by about
// beta_1 / sqrt(beta_2): once a step is too small to move the weight, no later one can, and only the moments decay.
inline double adam_catch_up(double w, double& m, double& v, double g, Index first_step, Index last_step,
                            const OptimizerConstants& c) {
  double left_1 = power(c.beta_1, first_step), left_2 = power(c.beta_2, first_step);
  for (Index n = first_step + 1; n <= last_step; n++) {
    left_1 *= c.beta_1;
    left_2 *= c.beta_2;
    adam_moments(m, v, g, c.beta_1, c.beta_2);
    const double w_next = w - c.eta * std::sqrt(1.0 - left_2) / (1.0 - left_1) * m / (std::sqrt(v) + c.epsilon);
    // The bias correction of the second moment lets a step grow by at most sqrt(1 + 1 / n).
    if (w_next == w && g == 0.0 && c.beta_1 * c.beta_1 * static_cast<double>(n + 1) < c.beta_2 * static_cast<double>(n)) {
      m *= power(c.beta_1, last_step - n);
      v *= power(c.beta_2, last_step - n);
      return w;
    }
    w = w_next;
    g = 0.0;
  }
  return w;
}

// Gradient descent with momentum, m <- beta m + g (Polyak 1964); returns the weight. The weight moves along m or, one step ahead,
// along g + beta m (Nesterov; in the form of Sutskever et al. 2013 with shifted weights, as is usual).
template <class Real> inline Real momentum_step(Real w, Real& m, Real g, Real eta, Real beta, bool nesterov) {
  m = beta * m + g;
  return w - eta * (nesterov ? g + beta * m : m);
}

// n steps of momentum, the first with g, the others without; returns the weight. Without a gradient m shrinks by beta at each
// step, so the distance is a geometric sum; `left` is beta^(n - 1), which many synapses share.
inline double momentum_catch_up(double w, double& m, double g, double left, const OptimizerConstants& c) {
  w = momentum_step(w, m, g, c.eta, c.beta_1, c.nesterov != 0);
  const double distance = m * c.beta_1 * (1.0 - left) / (1.0 - c.beta_1);
  m *= left;
  return w - c.eta * (c.nesterov != 0 ? c.beta_1 * distance : distance);
}

// RMSprop (Tieleman and Hinton 2012): a step in units of the gradient's running root mean square; returns the weight.
template <class Real> inline Real rmsprop_step(Real w, Real& v, Real g, Real eta, Real beta, Real epsilon) {
  v = beta * v + (Real(1) - beta) * g * g;
  return w - eta * g / (std::sqrt(v) + epsilon);
}

// n steps of RMSprop, the first with g; the others only decay v; `left` as in `momentum_catch_up`.
inline double rmsprop_catch_up(double w, double& v, double g, double left, const OptimizerConstants& c) {
  w = rmsprop_step(w, v, g, c.eta, c.beta_1, c.epsilon);
  v *= left;
  return w;
}

// Decay of the only moment of momentum or RMSprop over the pending steps after the first; the same for all synapses of a branch.
// A branch without a spike so far has no pending steps.
inline double decay_of_pending(const OptimizerConstants& c, Index first_step, Index last_step) {
  return power(c.beta_1, std::max<Index>(last_step - first_step - 1, 0));
}

// Pending steps of an optimiser with weight decay: each first keeps the fraction `keep` of the weight, then moves it.
inline double decaying_steps(double w, double& m, double& v, double g, Index first_step, Index last_step, double left,
                             const OptimizerConstants& c) {
  const auto kind = c.kind;
  const Index n = last_step - first_step;
  if (kind == Optimizer::rmsprop) return rmsprop_catch_up(c.keep * w, v, g, left, c) * power(c.keep, n - 1);
  if (kind == Optimizer::descent) return (c.keep * w - c.eta * g) * power(c.keep, n - 1);
  for (Index step = first_step; step < last_step; step++) {
    w = kind == Optimizer::adam ? adam_catch_up(c.keep * w, m, v, g, step, step + 1, c)
                                : momentum_catch_up(c.keep * w, m, g, 1.0, c);
    g = 0.0;
  }
  return w;
}

// Whether a step is w - eta g and nothing else, so that its time does not matter.
inline bool descends(const OptimizerConstants& c) { return c.kind == Optimizer::descent && c.keep >= 1.0; }

// The pending optimiser steps of a synapse, first_step + 1 .. last_step, the first with gradient g; bounds apply after all of
// them. `left` is `decay_of_pending`. Returns the new weight and writes the moments, in double precision for any type of the
// weights: the caller rounds. A learning rate of zero freezes the synapse.
inline double optimize_synapse(double w, double& m, double& v, double g, Index first_step, Index last_step, double left,
                               const OptimizerConstants& c) {
  if (c.eta == 0.0) return w;
  const auto kind = c.kind;
  if (c.keep < 1.0)
    w = decaying_steps(w, m, v, g, first_step, last_step, left, c);
  else if (kind == Optimizer::adam)
    w = adam_catch_up(w, m, v, g, first_step, last_step, c);
  else if (kind == Optimizer::momentum)
    w = momentum_catch_up(w, m, g, left, c);
  else if (kind == Optimizer::rmsprop)
    w = rmsprop_catch_up(w, v, g, left, c);
  else
    w -= c.eta * g;
  return clip(w, c.w_min, c.w_max);
}

// The same for one of many synapses; writes its moments and returns its new weight.
template <class Real, template <class> class Synapses>
Real optimize_synapse(Index synapse, double g, Index first_step, Index last_step, double left, const OptimizerConstants& c,
                      Synapses<Real>& synapses) {
  double m = synapses.moment_1.size > 0 ? static_cast<double>(synapses.moment_1[synapse]) : 0.0;
  double v = synapses.moment_2.size > 0 ? static_cast<double>(synapses.moment_2[synapse]) : 0.0;
  const double w = optimize_synapse(static_cast<double>(synapses.weight[synapse]), m, v, g, first_step, last_step, left, c);
  if (synapses.moment_1.size > 0) synapses.moment_1[synapse] = static_cast<Real>(m);
  if (synapses.moment_2.size > 0) synapses.moment_2[synapse] = static_cast<Real>(v);
  return static_cast<Real>(w);
}

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
  }
}

}  // namespace eprop
