// The synapses of some axon branches onto some targets, by target: the order in which connections are read and set.
//
// Synapses lie by branch, and within a branch by ascending target. A counting sort by target keeps the order of the branches.
// Each partition counts and lists its own targets.
#pragma once
#include <algorithm>
#include <numeric>
#include <span>
#include <vector>

#include "network/tables.hpp"
#include "support/threads.hpp"

namespace eprop {

// Branches `first + order[0]`, `first + order[1]`, ..., and their synapses onto the targets `begin` .. `end - 1`.
struct BranchesOnto {
  Index first;
  Array1<const Index> order;
  Index begin, end;
};

// Calls visit(branch, synapse, target) for the synapses of a partition in the order of the branches; `branch` counts from
// `first`, `target` from `begin`. `targets` plus `shift` are the ids of the targets.
template <class Target, class Visit>
void each_synapse_onto(const Target* targets, Index shift, const Index* start, const BranchesOnto& some, const Visit& visit) {
  for (const Index branch : std::span(some.order.data, static_cast<std::size_t>(some.order.size))) {
    const Target *stop = targets + start[some.first + branch + 1],
                 *at = std::partition_point(targets + start[some.first + branch], stop,
                                            [&](Target target) { return shift + Index{target} < some.begin; });
    for (; at < stop && shift + Index{*at} < some.end; at++) visit(branch, at - targets, shift + Index{*at} - some.begin);
  }
}

// The same in all partitions, in parallel.
template <class Visit>
void each_synapse_onto(const Topology& topology, const BranchesOnto& some, int threads, const Visit& visit) {
  parallel_for(topology.n_partitions(), threads, [&](Index p) {
    const Index* start = topology.branch_start.row(p);
    if (topology.near_targets.size > 0) {
      each_synapse_onto(topology.near_targets.data, topology.bounds(0, p), start, some, visit);
    } else {
      each_synapse_onto(topology.targets.data, 0, start, some, visit);
    }
  });
}

// Start of each target's synapses in a list (targets + 1).
inline std::vector<Index> starts_of_targets(const Topology& topology, const BranchesOnto& some, int threads) {
  std::vector<Index> starts(static_cast<std::size_t>(some.end - some.begin + 1));
  each_synapse_onto(topology, some, threads, [&](Index, Index, Index target) { starts[target + 1]++; });
  std::partial_sum(starts.begin(), starts.end(), starts.begin());
  return starts;
}

// Positions, branches and targets of synapses; numbers as in `each_synapse_onto`.
struct ListedSynapses {
  Index *where, *branches, *targets;
};

// Lists the synapses; `starts` are those of `starts_of_targets`.
inline void list_synapses(const Topology& topology, const BranchesOnto& some, const std::vector<Index>& starts, int threads,
                          const ListedSynapses& listed) {
  std::vector<Index> next(starts.begin(), starts.end() - 1);
  each_synapse_onto(topology, some, threads, [&](Index branch, Index synapse, Index target) {
    const Index at = next[target]++;
    listed.where[at] = synapse;
    listed.branches[at] = branch;
  });
  parallel_for(threads, threads, [&](Index part) {
    const Index n = some.end - some.begin;
    for (Index target = n * part / threads; target < n * (part + 1) / threads; target++)
      std::fill(listed.targets + starts[target], listed.targets + starts[target + 1], target);
  });
}

}  // namespace eprop
