// Rewiring: the weakest synapses of each target make room for as many new ones.
//
// The number of synapses of a target never changes, so the tables are rebuilt in place. In one partition of a projection:
//
// 1. Candidates that are present already, or occur twice, get the target kNoTarget.
// 2. Each target decides which of its weakest synapses it drops, and which candidates with the highest score it takes, as many.
// 3. What remains moves to the end of the table, so that the gap before it has as many entries as there are new synapses.
// 4. From the front, remaining and new synapses are merged branch by branch, by ascending target: the place that is written never
//    overtakes the one that is read.
//
// Weights and scores are compared in single precision; ties are decided by the order of branches, which is that of sources. So
// results do not depend on partitions and ranks.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include "network/tables.hpp"

namespace eprop {

inline constexpr std::uint32_t kNoTarget = 0xFFFFFFFF;
// mV. The weight of an e-prop+ synapse as of its last spike has a rounding error, so that 0 is not always met.
inline constexpr double kZero = 1e-9;

// Which synapses a target drops.
enum class Drop : Index {
  weight,  // a share of its synapses: those with the smallest absolute weight
  zero     // all synapses with a weight of at most kZero: with signs, learning has driven it to its bound
};

// The branches of a projection onto neurons: branch `first + ((sign class * sources) + source) * delays + delay`.
struct RewiredBranches {
  Index first, sources, delays, classes;
  Index target_begin, target_end;  // its local targets
  const Index* signs;              // of the classes: 1, -1, or 0 for any sign
  Index count() const { return classes * sources * delays; }
  Index sign(Index branch) const { return signs[branch / (sources * delays)]; }
};

struct RewiringStep {
  Drop drop;
  double share;      // of the synapses of a target
  bool by_gradient;  // scores are gradients: the best candidate is the one that gains most; else the one with the largest score
};

// An array with an entry of any type for each synapse.
struct MovedRow {
  std::byte* data;
  Index bytes;  // of an entry

  void copy(Index from, Index to) const {
    visit_bytes([&](auto n) { std::memcpy(data + to * n, data + from * n, static_cast<std::size_t>(n)); });
  }
  void clear(Index at) const {
    visit_bytes([&](auto n) { std::memset(data + at * n, 0, static_cast<std::size_t>(n)); });
  }

 private:
  // Calls visit(bytes), with the usual numbers as constants: a copy of any number of bytes is a call of a function.
  template <class Visit> void visit_bytes(const Visit& visit) const {
    if (bytes == 8) return visit(std::integral_constant<Index, 8>());
    if (bytes == 4) return visit(std::integral_constant<Index, 4>());
    visit(bytes);
  }
};

// Synapses of a partition.
template <class Real> struct MovedSynapses {
  Index* start;  // of the projection's branches
  std::uint32_t* targets;
  Real* weight;
  Index* born;                   // time at which a synapse was made: optimiser steps, or steps in which a network has learned
  std::vector<MovedRow> others;  // all other arrays that move, 0 in new synapses: `born` and what learning keeps
};

// Candidates of the same branches, and their scores.
template <class Real> struct Candidates {
  const Index* start;
  std::uint32_t* targets;
  const Real* score;
};

// Moves the synapses of a projection in one partition, whose targets of it are begin .. end - 1; returns how many have moved.
template <class Real> Index rewire(const RewiredBranches& branches, Index begin, Index end, const RewiringStep& step, Index now,
                                   const MovedSynapses<Real>& synapses, const Candidates<Real>& candidates);

// What acts on the weights of a projection after each mini-batch: shrinkage by `l1`, and normal noise.
struct Perturbation {
  double l1, noise;
  std::uint64_t seed;
  Index first_node;          // node of the first target
  const Index* nodes;        // of the sources
  const double *low, *high;  // bounds of the weights, by sign class and delay
};

// Changes the weights of a projection in one partition. Draws depend on target, source, sign class and delay only.
template <class Real>
void perturb(const RewiredBranches& branches, const Perturbation& perturbation, const MovedSynapses<Real>& synapses);

}  // namespace eprop
