// The optimiser step of all synapses and constants after a mini-batch of e-prop, and what follows from it; threads divide the
// synapses.
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "network/feedback.hpp"
#include "network/few_bits.hpp"
#include "network/optimizers.hpp"
#include "support/finite.hpp"
#include "support/threads.hpp"

namespace eprop {

// A mini-batch whose gradients become means: over its samples, and if a rule says so also over the steps of the learning window,
// of which the first sample has `length`. Without samples they are means already.
struct Batch {
  Index update;  // number of the optimiser step
  double samples, length;
  double factor(Index averages) const {
    if (samples == 0.0) return 1.0;
    return averages ? 1.0 / samples / length : 1.0 / samples;
  }
};

// Sum by halves: its rounding error grows with the logarithm of n.
inline double sum_by_halves(const double* x, Index n) {
  if (n > 128) {
    const Index half = n / 16 * 8;
    return sum_by_halves(x, half) + sum_by_halves(x + half, n - half);
  }
  double part[8] = {};
  const Index whole = n / 8 * 8;
  for (Index i = 0; i < whole; i++) part[i % 8] += x[i];
  double sum = ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
  for (Index i = whole; i < n; i++) sum += x[i];
  return sum;
}

// Calls visit(group, part) for the synapses of all branches of the e-prop projections in each partition: `group` is the first
// one of neighbouring branches.
template <class Visit> void visit_projections(const Topology& topology, const Visit& visit) {
  for (Index r = 0; r < topology.groups.size; r++) {
    const DelayGroup& group = topology.groups[r];
    if (group.rule != Rule::eprop || group.first_group != r) continue;
    for (Index p = 0; p < topology.n_partitions(); p++) {
      const Index* start = topology.branch_start.row(p) + group.first_branch;
      visit(group, Positions{start[0], start[group.n_branches * group.branch_stride]});
    }
  }
}

// Factor that brings the norm of the mean gradient of a projection to its limit, if it is larger. Squares are added target by
// target, in the order of branches, so that it does not depend on partitions.
template <class Real> Real clip_factor(const Network<Real>& network, const DelayGroup& limited, const Batch& batch) {
  const Topology& topology = network.topology;
  std::vector<double> squares(topology.n_neurons() + topology.n_readouts());
  visit_projections(topology, [&](const DelayGroup& group, const Positions& part) {
    if (group.projection != limited.projection) return;
    const Real factor(batch.factor(group.averages));
    for (Index synapse = part.first; synapse < part.stop; synapse++) {
      const double gradient(factor * network.synapses.pending[synapse]);
      squares[topology.targets[synapse]] += gradient * gradient;
    }
  });
  const double norm = std::sqrt(sum_by_halves(squares.data(), static_cast<Index>(squares.size())));
  return norm > limited.clip_norm ? static_cast<Real>(limited.clip_norm / norm) : Real(1);
}

// Mean gradients of all constants that learn, from sums of inner products: the factors of their effects are those of Topology.
inline void mean_constants(const Topology& topology, Array2<double> products, const Batch& batch, double* gradient) {
  for (Index c = 0; c < topology.constants.size; c++) {
    const LearnedConstant& constant = topology.constants[c];
    const Population& population = topology.populations[constant.population];
    const Index begin = population.target_begin, n = population.target_end - begin;
    std::vector<double> found(n);
    for (Index e = constant.first_effect; e < constant.stop_effect; e++) {
      const double *factor = topology.effects.row(e) + begin, *product = products.row(topology.effect_products[e]) + begin;
      for (Index j = 0; j < n; j++) found[j] += factor[j] * product[j];
    }
    const double mean = batch.factor(population.averages), *gain = topology.gains.data + constant.first;
    for (Index j = 0; j < n; j++) found[j] *= mean * gain[constant.size == n ? j : 0];
    if (constant.size == n)
      std::copy(found.begin(), found.end(), gradient + constant.first);
    else
      gradient[constant.first] = sum_by_halves(found.data(), n);
  }
}

// One optimiser step of all constants that learn.
inline void optimize_constants(const Topology& topology, const Constants& constants, Index update) {
  constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEpsilon = 1e-8;
  const double left_1 = 1.0 - std::pow(kBeta1, update), left_2 = 1.0 - std::pow(kBeta2, update);
  for (Index c = 0; c < topology.constants.size; c++) {
    const LearnedConstant& constant = topology.constants[c];
    const double rate = constant.eta * std::sqrt(left_2) / left_1;
    for (Index k = constant.first; k < constant.first + constant.size; k++) {
      const double gradient = constants.gradient[k];
      double &first = constants.first[k], &second = constants.second[k], &moved = constants.moved[k];
      if (constant.descent) {
        moved -= constant.eta * gradient;
      } else {
        first += (1.0 - kBeta1) * (gradient - first);
        second += (1.0 - kBeta2) * (gradient * gradient - second);
        moved -= rate * first / (std::sqrt(second) + kEpsilon);
      }
      moved = clip(moved, constant.low, constant.high);
    }
  }
}

// One optimiser step of all e-prop synapses, whose gradients become means, are clipped and then cleared, and of the constants
// that learn; the offset of adaptive feedback decays like the weights. Each thread has a part of every projection, because
// synapses do not depend on each other.
template <class Real> void optimize(const Network<Real>& network, const Batch& batch, int threads) {
  const Topology& topology = network.topology;
  const Synapses<Real>& synapses = network.synapses;
  std::vector<Real> clips(topology.groups.size, Real(1));  // (delay groups,) of each projection: at its first group
  for (Index r = 0; r < topology.groups.size; r++) {
    const DelayGroup& group = topology.groups[r];
    if (group.rule != Rule::eprop || group.clip_norm == 0.0) continue;
    const bool known = r > 0 && topology.groups[r - 1].projection == group.projection;
    clips[r] = known ? clips[r - 1] : clip_factor(network, group, batch);
  }
  parallel_for(threads, threads, [&](Index share) {
    FlushSubnormals flush;
    visit_projections(topology, [&](const DelayGroup& group, const Positions& part) {
      const Index begin = part.first + share * part.size() / threads, end = part.first + (share + 1) * part.size() / threads;
      const Real clip = clips[&group - topology.groups.data];
      Real factor(batch.factor(group.averages));
      if (clip != Real(1)) {
        std::for_each(synapses.pending.data + begin, synapses.pending.data + end, [=](Real& g) { g = clip * (factor * g); });
        factor = 1;
      }
      optimizer_step(group.optimizer, batch.update,
                     SynapseRange<Real>{begin, end, synapses.weight.data, synapses.pending.data, synapses.moment_1.data,
                                        synapses.moment_2.data, factor});
    });
  });
  const Constants& constants = network.constants;
  if (batch.samples > 0.0) mean_constants(topology, constants.products, batch, constants.gradient.data);
  std::fill_n(constants.products.data, constants.products.size(), 0.0);
  optimize_constants(topology, constants, batch.update);
  fade_offsets(network);
}

// Rounds the weights of few bits after the optimiser step `update`.
template <class Real> void round_all(const Network<Real>& network, Index update, int threads) {
  const Topology& topology = network.topology;
  for (Index r = 0; r < topology.groups.size; r++) {
    const DelayGroup& group = topology.groups[r];
    if (group.rule != Rule::eprop || !has_few_bits(group)) continue;
    parallel_for(threads, threads, [&](Index share) {
      const FlushSubnormals flush;
      for (Index k = group.n_branches * share / threads; k < group.n_branches * (share + 1) / threads; k++) {
        const Index branch = group.first_branch + k * group.branch_stride;
        const Update of_branch = update_of(group, source_node(topology, group, branch), update);
        for (Index p = 0; p < topology.n_partitions(); p++) {
          const Index first = topology.branch_start(p, branch), size = topology.branch_start(p, branch + 1) - first;
          round_weights(of_branch, topology.targets.data + first, size, kSpacing<Real>, network.synapses.weight.data + first);
        }
      }
    });
  }
}

// What follows from new weights: rounding, and feedback that follows them. Returns whether all weights are finite.
template <class Real> bool settle(const Network<Real>& network, Index update, int threads) {
  round_all(network, update, threads);
  tie_feedback(network, [](const DelayGroup&) { return true; });
  return all_finite(network.synapses.weight.data, network.synapses.weight.size);
}

}  // namespace eprop
