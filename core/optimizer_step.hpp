// The optimiser step after a mini-batch of e-prop.
#pragma once
#include <cmath>

#include "stream_state.hpp"
#include "threads.hpp"

namespace eprop {

// Keeps a weight within its bounds; NaN stays NaN, so that divergence is seen.
template <class Real> inline Real clip_weight(Real weight, Real w_min, Real w_max) {
  return weight < w_min ? w_min : weight > w_max ? w_max : weight;
}

// Some neighbouring synapses, and what their gradients are multiplied with; gradients are cleared.
template <class Real> struct SynapseRange {
  Index begin, end;
  const Synapses<Real>& synapses;
  Real scale;
};

// Gradient descent.
template <class Real> void descent_step(const OptimizerConstants& constants, const SynapseRange<Real>& range) {
  const Real eta(constants.eta), w_min(constants.w_min), w_max(constants.w_max), scale = range.scale;
  Real *__restrict weight = range.synapses.weight.data, *__restrict pending = range.synapses.pending.data;
  for (Index synapse = range.begin; synapse < range.end; synapse++) {
    weight[synapse] = clip_weight(weight[synapse] - eta * (scale * pending[synapse]), w_min, w_max);
    pending[synapse] = 0;
  }
}

// Adam, after so many `updates`, with both bias corrections (Kingma and Ba 2015, end of section 2).
template <class Real> void adam_step(const OptimizerConstants& constants, Index updates, const SynapseRange<Real>& range) {
  const double n = static_cast<double>(updates);
  const Real factor(constants.eta * std::sqrt(1.0 - std::pow(constants.beta_2, n)) / (1.0 - std::pow(constants.beta_1, n)));
  const Real beta_1(constants.beta_1), beta_2(constants.beta_2), epsilon(constants.epsilon), one = 1, scale = range.scale;
  const Real w_min(constants.w_min), w_max(constants.w_max);
  Real *__restrict weight = range.synapses.weight.data, *__restrict pending = range.synapses.pending.data;
  Real *__restrict moment_1 = range.synapses.moment_1.data, *__restrict moment_2 = range.synapses.moment_2.data;
  for (Index synapse = range.begin; synapse < range.end; synapse++) {
    const Real gradient = scale * pending[synapse];
    const Real first = beta_1 * moment_1[synapse] + (one - beta_1) * gradient;
    const Real second = beta_2 * moment_2[synapse] + (one - beta_2) * gradient * gradient;
    moment_1[synapse] = first;
    moment_2[synapse] = second;
    weight[synapse] = clip_weight(weight[synapse] - factor * first / (std::sqrt(second) + epsilon), w_min, w_max);
    pending[synapse] = 0;
  }
}

// Gradient descent with momentum (Polyak 1964), or Nesterov's in the form of Sutskever et al. 2013.
template <class Real> void momentum_step(const OptimizerConstants& constants, const SynapseRange<Real>& range) {
  const Real eta(constants.eta), beta(constants.beta_1), w_min(constants.w_min), w_max(constants.w_max), scale = range.scale;
  const bool nesterov = constants.nesterov != 0;
  Real *__restrict weight = range.synapses.weight.data, *__restrict pending = range.synapses.pending.data;
  Real* __restrict moment = range.synapses.moment_1.data;
  for (Index synapse = range.begin; synapse < range.end; synapse++) {
    const Real gradient = scale * pending[synapse], next = beta * moment[synapse] + gradient;
    moment[synapse] = next;
    weight[synapse] = clip_weight(weight[synapse] - eta * (nesterov ? gradient + beta * next : next), w_min, w_max);
    pending[synapse] = 0;
  }
}

// RMSprop (Tieleman and Hinton 2012).
template <class Real> void rmsprop_step(const OptimizerConstants& constants, const SynapseRange<Real>& range) {
  const Real eta(constants.eta), beta(constants.beta_1), epsilon(constants.epsilon), one = 1, scale = range.scale;
  const Real w_min(constants.w_min), w_max(constants.w_max);
  Real *__restrict weight = range.synapses.weight.data, *__restrict pending = range.synapses.pending.data;
  Real* __restrict moment = range.synapses.moment_2.data;
  for (Index synapse = range.begin; synapse < range.end; synapse++) {
    const Real gradient = scale * pending[synapse], next = beta * moment[synapse] + (one - beta) * gradient * gradient;
    moment[synapse] = next;
    weight[synapse] = clip_weight(weight[synapse] - eta * gradient / (std::sqrt(next) + epsilon), w_min, w_max);
    pending[synapse] = 0;
  }
}

// One step of the optimiser of a projection for some of its synapses.
template <class Real> void optimizer_step(const OptimizerConstants& constants, Index updates, const SynapseRange<Real>& range) {
  if (constants.keep < 1.0 && constants.eta != 0.0)
    for (Index synapse = range.begin; synapse < range.end; synapse++)
      range.synapses.weight[synapse] = static_cast<Real>(range.synapses.weight[synapse] * constants.keep);
  switch (constants.kind) {
    case Optimizer::descent: return descent_step(constants, range);
    case Optimizer::adam: return adam_step(constants, updates, range);
    case Optimizer::momentum: return momentum_step(constants, range);
    case Optimizer::rmsprop: return rmsprop_step(constants, range);
  }
}

// One optimiser step of all e-prop synapses with gradient scale * pending, which is cleared. Each thread takes a share of every
// projection: no synapse asks for another.
template <class Real>
void optimize(const Topology& topology, const Synapses<Real>& synapses, Index updates, Array1<const double> scale, int threads) {
  parallel_for(threads, threads, [&](Index share) {
    FlushSubnormals flush;
    for (Index r = 0; r < topology.groups.size; r++) {
      const DelayGroup& group = topology.groups[r];
      if (group.rule != Rule::eprop || group.first_group != r) continue;
      for (Index p = 0; p < topology.n_partitions(); p++) {
        const Index first = topology.branch_start(p, group.first_branch);
        const Index size = topology.branch_start(p, group.first_branch + group.n_branches * group.branch_stride) - first;
        optimizer_step(group.optimizer, updates,
                       SynapseRange<Real>{first + share * size / threads, first + (share + 1) * size / threads, synapses,
                                          static_cast<Real>(scale[r])});
      }
    }
  });
}

}  // namespace eprop
