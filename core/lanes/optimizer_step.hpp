// The optimiser step of all synapses after a mini-batch of e-prop; threads divide them.
#pragma once
#include "network/few_bits.hpp"
#include "network/optimizers.hpp"
#include "online/state.hpp"
#include "support/threads.hpp"

namespace eprop {

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
                       SynapseRange<Real>{first + share * size / threads, first + (share + 1) * size / threads,
                                          synapses.weight.data, synapses.pending.data, synapses.moment_1.data,
                                          synapses.moment_2.data, static_cast<Real>(scale[r])});
      }
    }
  });
}

// Rounds the weights of few bits after the optimiser step `update`.
template <class Real> void round_all(const Topology& topology, const Synapses<Real>& synapses, Index update, int threads) {
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
          round_weights(of_branch, topology.targets.data + first, size, kSpacing<Real>, synapses.weight.data + first);
        }
      }
    });
  }
}

}  // namespace eprop
