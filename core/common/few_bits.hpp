// Weights of few bits: a weight is a whole number of levels, and is rounded after each update.
//
// Stochastic rounding draws u from [0, 1), and q levels become floor(q + u): the mean is q. The draw of an update belongs to
// source node, target node and number of the update, so neither threads, ranks nor the order of synapses changes it. Synapses
// between the same two nodes share their draws. A whole number of levels stays what it is: a weight without a gradient does not
// move.
#pragma once
#include "common/tables.hpp"

namespace eprop {

// An update of synapses of one source. Its number is that of the optimiser's last step, with pair rules the step.
struct Update {
  const DelayGroup& group;
  Index source, number;
};

inline bool has_few_bits(const DelayGroup& group) { return group.level > 0.0; }

// Node of the source of a branch, by index within its population.
inline Index source_node(const Topology& topology, const DelayGroup& group, Index branch) {
  const Index local = (branch - group.first_branch) / group.branch_stride;
  if (topology.source_nodes.size == 0) return local;
  return topology.source_nodes[topology.populations[group.source_population].first_source + local];
}

// Rounds the weights of `n` synapses with these targets. `epsilon` is the relative spacing of stored weights.
template <class T> void round_weights(const Update& update, const std::uint32_t* targets, Index n, double epsilon, T* weight);

}  // namespace eprop
