// The optimiser step after a mini-batch of e-prop.
#pragma once
#include <cmath>

#include "common/optimizers.hpp"
#include "common/threads.hpp"
#include "online/state.hpp"

namespace eprop {

// Some neighbouring synapses, and the factor of their gradients.
template <class Real> struct SynapseRange {
  Index begin, end;
  const Synapses<Real>& synapses;
  Real scale;
};

// Moves the weights of some synapses by step(weight, gradient, synapse) and clears their gradients.
template <class Real, class Step>
inline void move_weights(const OptimizerConstants& constants, const SynapseRange<Real>& range, const Step& step) {
  const Real w_min(constants.w_min), w_max(constants.w_max), scale = range.scale;
  Real* __restrict weight = range.synapses.weight.data, * __restrict pending = range.synapses.pending.data;
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
  Real* __restrict moment_1 = range.synapses.moment_1.data, * __restrict moment_2 = range.synapses.moment_2.data;
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
  Real* __restrict moment_1 = range.synapses.moment_1.data, * __restrict moment_2 = range.synapses.moment_2.data;
  if (constants.keep < 1.0 && constants.eta != 0.0)
    for (Index synapse = range.begin; synapse < range.end; synapse++)
      range.synapses.weight[synapse] = static_cast<Real>(range.synapses.weight[synapse] * constants.keep);
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

// One optimiser step of all e-prop synapses with gradient scale * pending, which is cleared. Each thread has a part of every
// projection, because synapses do not depend on each other.
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
