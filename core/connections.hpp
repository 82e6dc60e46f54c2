// Connections and weights drawn at random, counted, and placed on axon branches.
//
// Every draw is a function of (seed, purpose, target, index). Rules take a range of targets and return the sources of its
// k-th target as sources[indptr[k]] .. sources[indptr[k + 1] - 1], in ascending order. So any part of a network can be made
// alone.
#pragma once
#include <cstdint>
#include <vector>

#include "arrays.hpp"

namespace eprop {

struct Connections {
  std::vector<Index> indptr;
  std::vector<std::int32_t> sources;
};

// Targets `first` .. `stop - 1`.
struct Targets {
  Index first, stop;
  Index size() const { return stop - first; }
};

// Whether a neuron may reach itself, and whether a pair may be connected more than once.
struct AllowedPairs {
  bool autapses, multapses;
};

// Each pair with its own chance; skips from one connection to the next by geometric steps.
Connections bernoulli(Targets targets, Index n_pre, double probability, bool autapses, std::uint64_t seed);

// `degree` sources for each target.
Connections fixed_indegree(Targets targets, Index n_pre, Index degree, AllowedPairs allowed, std::uint64_t seed);

// `degree` targets for each source: all sources are drawn, connections of other targets are dropped.
Connections fixed_outdegree(Targets targets, Index n_pre, Index n_post, Index degree, AllowedPairs allowed, std::uint64_t seed);

// Every pair.
Connections all_to_all(Targets targets, Index n_pre, bool autapses);

// Neuron k to neuron k.
Connections one_to_one(Targets targets);

// Normal and uniform draws, in the order of the connections.
std::vector<double> normal_weights(Targets targets, Array1<const Index> indptr, double mean, double sd, std::uint64_t seed);
std::vector<double> uniform_weights(Targets targets, Array1<const Index> indptr, double low, double high, std::uint64_t seed);

// Add the connections of each axon branch to `counts` (branches).
template <class Branch> void count_synapses(Array1<const Branch> branches, Array1<Index> counts) {
  for (Index k = 0; k < branches.size; k++) counts[static_cast<Index>(branches[k])] += 1;
}

// From counts to places: branch by branch, and within a branch share by share, so that its targets ascend.
// `counts` (shares, branches) becomes the place of each share's first synapse; `indptr` (branches + 1) says where each
// branch begins, the first at `first`.
void synapse_places(Array2<Index> counts, Array1<Index> indptr, Index first);

// Connections of some targets in the order of the targets: those of the k-th are indptr[k] .. indptr[k + 1] - 1.
template <class Branch, class Value> struct DrawnSynapses {
  Array1<const Index> indptr;
  Array1<const Branch> branches;
  Array1<const Value> values;
};

// Where synapses lie: by branch, and within a branch by ascending target.
template <class Weight> struct PlacedSynapses {
  Array1<Index> next;  // for each branch, the place of its next synapse; moves on
  Array1<std::uint32_t> target;
  Array1<Weight> weight;
};

// Write the connections of targets first_target ... to their places.
// Where branches ascend within a target, `tile` of them may be filled at a time, from all targets: the ends of so few branches
// stay in the cache, while those of all branches lie on as many pages (2.6e8 synapses on 128,000 branches: 25 ns each
// instead of 55). Else `tile` must be the number of branches.
template <class Branch, class Value, class Weight> void place_synapses(const DrawnSynapses<Branch, Value>& drawn,
                                                                       Index first_target, const PlacedSynapses<Weight>& placed,
                                                                       Index tile) {
  std::vector<Index> reached(drawn.indptr.data, drawn.indptr.data + drawn.indptr.size);
  const Index n_targets = drawn.indptr.size - 1, n_branches = placed.next.size;
  for (Index stop = tile; stop < n_branches + tile; stop += tile) {
    for (Index j = 0; j < n_targets; j++) {
      Index k = reached[static_cast<std::size_t>(j)];
      const Index end = drawn.indptr[j + 1];
      for (; k < end && static_cast<Index>(drawn.branches[k]) < stop; k++) {
        const Index synapse = placed.next[static_cast<Index>(drawn.branches[k])]++;
        placed.target[synapse] = static_cast<std::uint32_t>(first_target + j);
        placed.weight[synapse] = static_cast<Weight>(drawn.values[k]);
      }
      reached[static_cast<std::size_t>(j)] = k;
    }
  }
}

}  // namespace eprop
