// Weights of few bits: a weight is a whole number of levels, and is rounded after each update.
//
// Stochastic rounding draws u from (0, 1), and q levels become floor(q + u): the mean is q. The draw of an update belongs to
// source node, target node and number of the update, so neither threads, ranks nor the order of synapses changes it. Synapses
// between the same two nodes share their draws. A whole number of levels stays what it is: a weight without a gradient does not
// move.
//
// Philox gives a key of 64 bits for each source and update, and an integer hash of key and target the draws of 32 bits. A Philox
// draw for each target would take most of the time of an update.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>

#include "network/tables.hpp"

namespace eprop {

// An update of synapses of one source, and the key of its draws.
struct Update {
  const DelayGroup& group;
  std::uint64_t key = 0;
};

// The number of an update is that of the optimiser's last step, with pair rules the step.
Update update_of(const DelayGroup& group, Index source, Index number);

// How much a stored weight, divided by the level, may differ from a whole number that it stands for, relative.
template <class Real> constexpr double kSpacing =
    std::max<double>(std::numeric_limits<Real>::epsilon(), 2.0 * std::numeric_limits<double>::epsilon());

inline bool has_few_bits(const DelayGroup& group) { return group.level > 0.0; }

// Whether e-prop+ rounds weights at each spike and at the end of the cutoff, so that no gradient waits in between. As gradient
// descent of weights of any value does, a weight carries the premature gradient (eprop_plus/block_start.hpp) until the next
// update.
inline bool rounds_at_once(const DelayGroup& group) {
  return group.rule == Rule::eprop_plus && has_few_bits(group) && descends(group.optimizer) && group.reward_cutoff == 0;
}

// The nearest level.
template <class Real> Real nearest_level(const DelayGroup& group, Real weight) {
  return static_cast<Real>(std::rint(static_cast<double>(weight) / group.level) * group.level);
}

// Node of the source of a branch, by index within its population.
inline Index source_node(const Topology& topology, const DelayGroup& group, Index branch) {
  const Index local = (branch - group.first_branch) / group.branch_stride;
  if (topology.source_nodes.size == 0) return local;
  return topology.source_nodes[topology.populations[group.source_population].first_source + local];
}

// Rounds the weights of `n` synapses with these targets. Whole numbers of levels may have a relative error of `spacing`.
template <class T> void round_weights(const Update& update, const std::uint32_t* targets, Index n, double spacing, T* weight);

}  // namespace eprop
