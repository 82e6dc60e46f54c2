// The optimiser step of all synapses after a mini-batch of e-prop; threads divide them.
#pragma once
#include "common/optimizers.hpp"
#include "common/threads.hpp"
#include "online/state.hpp"

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

}  // namespace eprop
