// The synapses of some axon branches onto some targets, by target: the order in which connections are read and set.
//
// Synapses lie by branch, and within a branch by ascending target. A counting sort by target keeps the order of the branches.
// Each partition counts and lists its own targets. What is listed goes to as many places as there are targets, which have to stay
// in the cache: so each number of a synapse is listed alone.
#pragma once
#include <algorithm>
#include <numeric>
#include <vector>

#include "network/tables.hpp"
#include "support/threads.hpp"

namespace eprop {

// Branches `first + order[0]`, `first + order[1]`, ..., and their synapses onto the targets `begin` .. `end - 1`.
struct BranchesOnto {
  Index first;
  std::vector<Index> order;
  Index begin, end;
};

// Calls visit(branch, synapse, target) for the synapses of a partition in the order of the branches; `branch` counts from
// `first`, `target` from `begin`. `targets` plus `shift` are the ids of the targets.
template <class Target, class Visit>
void each_synapse_onto(const Target* targets, Index shift, const Index* start, const BranchesOnto& some, const Visit& visit) {
  for (const Index branch : some.order) {
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

// Writes value(branch, synapse) of the synapses, arguments as in `each_synapse_onto`; `starts` are those of `starts_of_targets`.
template <class T, class Value> void list_synapses(const Topology& topology, const BranchesOnto& some,
                                                   const std::vector<Index>& starts, int threads, T* out, const Value& value) {
  std::vector<Index> next(starts.begin(), starts.end() - 1);
  each_synapse_onto(topology, some, threads,
                    [&](Index branch, Index synapse, Index target) { out[next[target]++] = value(branch, synapse); });
}

// Writes the targets of the synapses, the first one as number `first`.
inline void list_targets(const std::vector<Index>& starts, Index first, int threads, Index* out) {
  const Index n = static_cast<Index>(starts.size()) - 1;
  parallel_for(threads, threads, [&](Index part) {
    for (Index target = n * part / threads; target < n * (part + 1) / threads; target++)
      std::fill(out + starts[target], out + starts[target + 1], first + target);
  });
}

}  // namespace eprop
