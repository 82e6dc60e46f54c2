// Connections whose probability depends on the distance between source and target.
#pragma once
#include "network/connections.hpp"

namespace eprop {

enum class Profile : Index { gaussian, exponential, box };

// Probability of a connection: `most` at distance 0, falling with `width` (the standard deviation, the decay length, the radius),
// and 0 beyond `farthest`.
struct DistanceProfile {
  Profile shape;
  double most, width, farthest;
};

// NodePositions of sources and targets, (nodes, dimensions) with one to three dimensions. `extent` (dimensions) makes space
// periodic: opposite sides of a box of these lengths are neighbours; empty: space has no ends.
struct NodePositions {
  Array2<const double> sources, targets;
  Array1<const double> extent;
};

// Each pair independently. Visits cells of sources in the reach of a target, with geometric skips within a cell, so the cost
// depends on connections and cells in reach, not on all pairs. `targets` is a range of rows of `positions.targets`.
Connections by_distance(Targets targets, const NodePositions& positions, const DistanceProfile& profile, bool autapses,
                        std::uint64_t seed);

}  // namespace eprop
