// Random connections and weights; counting them, and placing them on axon branches.
//
// Every draw is a function of (seed, purpose, target, index). Rules take a range of targets and return the sources of its
// k-th target as sources[indptr[k]] .. sources[indptr[k + 1] - 1], in ascending order. So any part of a network can be built
// alone.
#pragma once
#include <cstdint>
#include <vector>

#include "support/arrays.hpp"

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

// Whether autapses and multapses are allowed.
struct AllowedPairs {
  bool autapses, multapses;
};

// Each pair independently; geometric skips from one connection to the next.
Connections bernoulli(Targets targets, Index n_pre, double probability, bool autapses, std::uint64_t seed);

// `degree` sources for each target.
Connections fixed_indegree(Targets targets, Index n_pre, Index degree, AllowedPairs allowed, std::uint64_t seed);

// `total` connections between all sources and all `n_post` targets, drawn with replacement.
Connections fixed_total_number(Targets targets, Index n_pre, Index n_post, Index total, bool autapses, std::uint64_t seed);

// `degree` targets for each source: draws for all sources, and drops connections of other targets.
Connections fixed_outdegree(Targets targets, Index n_pre, Index n_post, Index degree, AllowedPairs allowed, std::uint64_t seed);

// Every pair.
Connections all_to_all(Targets targets, Index n_pre, bool autapses);

// Neuron k to neuron k.
Connections one_to_one(Targets targets);

// Normal and uniform draws, in the order of the connections.
std::vector<double> normal_weights(Targets targets, Array1<const Index> indptr, double mean, double sd, std::uint64_t seed);
std::vector<double> lognormal_weights(Targets targets, Array1<const Index> indptr, double mu, double sigma, std::uint64_t seed);
std::vector<double> uniform_weights(Targets targets, Array1<const Index> indptr, double low, double high, std::uint64_t seed);

// Normal draws within low .. high: those outside are drawn again, with counters of their own.
struct Truncated {
  double mean, sd, low, high;
};
std::vector<double> truncated_weights(Targets targets, Array1<const Index> indptr, const Truncated& normal, std::uint64_t seed);

// Adds the connections of each axon branch to `counts` (branches).
template <class Branch> void count_synapses(Array1<const Branch> branches, Array1<Index> counts) {
  for (Index k = 0; k < branches.size; k++) counts[static_cast<Index>(branches[k])] += 1;
}

// Turns counts into positions: branch by branch, and within a branch part by part, so that its targets ascend.
// `counts` (parts, branches) becomes the position of each part's first synapse; `indptr` (branches + 1) gets the start of each
// branch, the first at `first`.
void synapse_places(Array2<Index> counts, Array1<Index> indptr, Index first);

// Connections of some targets in the order of the targets: the k-th target has indptr[k] .. indptr[k + 1] - 1.
template <class Branch, class Value> struct DrawnSynapses {
  Array1<const Index> indptr;
  Array1<const Branch> branches;
  Array1<const Value> values;
};

// Synapse arrays: by branch, and within a branch by ascending target.
template <class Target, class Weight> struct PlacedSynapses {
  Array1<Index> next;  // for each branch, the position of its next synapse; advances
  Array1<Target> target;
  Array1<Weight> weight;
};

// Writes the connections of targets first_target ... to their positions.
// `tile` branches are filled at a time, from all targets: the write positions of a few branches stay in the cache, while those of
// all branches lie on as many pages (2.6e8 synapses on 128,000 branches: 25 ns each instead of 55). For each target, connections
// of one tile must come before those of the next one; otherwise `tile` must be the number of branches.
template <class Branch, class Value, class Target, class Weight>
void place_synapses(const DrawnSynapses<Branch, Value>& drawn, Index first_target, const PlacedSynapses<Target, Weight>& placed,
                    Index tile) {
  std::vector<Index> reached(drawn.indptr.data, drawn.indptr.data + drawn.indptr.size);
  const Index n_targets = drawn.indptr.size - 1, n_branches = placed.next.size;
  for (Index stop = tile; stop < n_branches + tile; stop += tile) {
    for (Index j = 0; j < n_targets; j++) {
      Index k = reached[static_cast<std::size_t>(j)];
      const Index end = drawn.indptr[j + 1];
      for (; k < end && static_cast<Index>(drawn.branches[k]) < stop; k++) {
        const Index synapse = placed.next[static_cast<Index>(drawn.branches[k])]++;
        placed.target[synapse] = static_cast<Target>(first_target + j);
        placed.weight[synapse] = static_cast<Weight>(drawn.values[k]);
      }
      reached[static_cast<std::size_t>(j)] = k;
    }
  }
}

}  // namespace eprop
