// The optimiser step of all synapses after a mini-batch of e-prop, and what follows from it; threads divide the synapses.
#pragma once
#include <algorithm>

#include "network/feedback.hpp"
#include "network/few_bits.hpp"
#include "network/optimizers.hpp"
#include "support/finite.hpp"
#include "support/threads.hpp"

namespace eprop {

// Factors of the pending gradients of each delay group: those that clip them, and those of their mean. Both are rounded to the
// type of a synapse, one after the other.
struct GradientFactors {
  Array1<const double> clip, scale;
};

// One optimiser step of all e-prop synapses, whose gradients are cleared; the offset of adaptive feedback decays like the
// weights. Each thread has a part of every projection, because synapses do not depend on each other.
template <class Real> void optimize(const Network<Real>& network, Index update, const GradientFactors& factors, int threads) {
  const Topology& topology = network.topology;
  const Synapses<Real>& synapses = network.synapses;
  parallel_for(threads, threads, [&](Index share) {
    FlushSubnormals flush;
    for (Index r = 0; r < topology.groups.size; r++) {
      const DelayGroup& group = topology.groups[r];
      if (group.rule != Rule::eprop || group.first_group != r) continue;
      for (Index p = 0; p < topology.n_partitions(); p++) {
        const Index first = topology.branch_start(p, group.first_branch);
        const Index size = topology.branch_start(p, group.first_branch + group.n_branches * group.branch_stride) - first;
        const Index begin = first + share * size / threads, end = first + (share + 1) * size / threads;
        if (const Real clip = static_cast<Real>(factors.clip[r]); clip != Real(1))
          std::for_each(synapses.pending.data + begin, synapses.pending.data + end, [clip](Real& g) { g *= clip; });
        optimizer_step(group.optimizer, update,
                       SynapseRange<Real>{begin, end, synapses.weight.data, synapses.pending.data, synapses.moment_1.data,
                                          synapses.moment_2.data, static_cast<Real>(factors.scale[r])});
      }
    }
  });
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
