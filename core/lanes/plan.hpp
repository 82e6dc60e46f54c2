// How lanes deliver to the branches of axons: by a dense table of all weights, or synapse by synapse. Results are the same.
//
// Weights are constant while lanes run. So a spike that reaches the first branch of an axon adds the weights of all branches at
// once, each to the inputs of the step in which it arrives at that branch.
#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "network/kind.hpp"
#include "network/tables.hpp"
#include "support/aligned.hpp"

namespace eprop {

// A dense table pays off from about this fraction of possible connections on, 0.3 if an axon has several branches; beyond
// `kDenseTo` entries it does not fit into a cache. N-MNIST, with a quarter of its input connections, takes 1.3 times as long
// without.
inline constexpr double kDenseFrom = 0.2, kDenseBranchesFrom = 0.3;
inline constexpr Index kDenseTo = 1 << 22, kDenseTargets = 16;
// Runs of contiguous targets are added several at a time if they have at least this mean length: local connections. N-MNIST with
// receptive fields takes twice as long without.
inline constexpr double kContiguousFrom = 8.0;
// Branches with fewer synapses, on average, are fused into one per axon, at four bytes per synapse: the overhead of 200 branches
// of 5 synapses takes as long as their synapses ("LIF, delays of 1 to 200 steps": twice the time).
inline constexpr double kFusedTo = 256.0;
// From this fraction of connections on, gradients are summed over the spikes for all possible targets of a branch; below, spike
// by spike ("LIF, delays of 1 to 200 steps" would take 3.5 times as long).
inline constexpr double kRowsFrom = 0.125;
// Largest number of synapses of neighbouring axons whose gradients are added together: they stay in a cache from lane to lane.
// Each thread gets several pieces, unless they would become too small.
inline constexpr Index kPiece = 1 << 14, kPiecesPerThread = 8, kLeastPiece = 1 << 9;
// When adding spike by spike, a thread keeps the sums of this many synapses: one for each `kBytesPerSum` bytes of G, which is
// read once for them.
inline constexpr Index kLeastSums = 1 << 19, kMostSums = 1 << 22, kBytesPerSum = 16;

struct GroupPlan {
  Index table = -1;         // start of its dense table; -1: none
  Index table_columns = 0;  // entries of a table row: targets, padded
  bool contiguous = false;  // by series of contiguous targets
  bool fused = false;       // all branches of an axon as one
  bool per_spike = false;   // gradients spike by spike
};

// Neighbouring axons of a projection (by its first delay group) whose gradients one thread adds.
struct GradientPiece {
  Index group, begin, end;
};

// A plan without its arrays: the sizes that Python asks for before anything is allocated.
struct PlanSizes {
  std::vector<GroupPlan> groups;
  Index columns = 0;          // entries of a row of inputs, and of G: all targets, padded
  Index receptors = 1;        // receptors of neurons, each with rows of inputs
  Index longest_offset = 0;   // steps from the first to the last branch of an axon, within a sample
  Index input_steps = 1;      // steps with inputs, before later inputs are moved to the front
  Index dense = 0;            // entries of all dense tables
  Index fused = 0;            // synapses of fused branches
  Index series = 0;           // series of contiguous targets, plus an end for each projection and partition
  Index series_branches = 0;  // branches made of series, in all partitions, plus an end for each projection and partition
  Index sums = 0;             // synapses whose sums a thread keeps spike by spike
  Index input_rows() const { return input_steps + longest_offset; }
};

template <class Real> struct DeliveryPlan : PlanSizes {
  explicit DeliveryPlan(PlanSizes sizes) : PlanSizes(std::move(sizes)) {}
  Aligned<Real> tables;
  std::vector<std::uint32_t> offsets;  // of fused synapses: columns * delay_offset + target
  std::vector<Index> offset_shift;     // (groups * partitions) index of a group's first synapse, minus the start of its offsets
  std::vector<Index> series_synapse;   // first synapse of each series; a series ends at the next one
  std::vector<std::uint32_t> series_target;  // first target of each series
  std::vector<Index> series_start;           // for each branch made of series, see `series_shift`
  std::vector<Index> series_shift;           // (groups * partitions) start of a projection's branches
  std::vector<GradientPiece> pieces;
};

// Whether a series of contiguous targets begins at a synapse of a branch whose first synapse is `first`.
inline bool begins_series(const Topology& topology, Index synapse, Index first) {
  return synapse == first || topology.targets[synapse] != topology.targets[synapse - 1] + 1;
}

// Targets of synapses, or their offsets in the rows of several steps: synapse -> data[synapse - shift].
struct Places {
  const std::uint32_t* data;
  Index shift;
  std::uint32_t operator[](Index synapse) const { return data[synapse - shift]; }
};

// The branches of all axons of a projection, in one partition.
struct BranchRange {
  Index first, end;
};
inline BranchRange branches_of(const DelayGroup& group) {
  return {group.first_branch, group.first_branch + group.n_branches * group.branch_stride};
}

// Synapses of a projection, given by its first delay group, in all partitions.
inline Index count_synapses(const Topology& topology, const DelayGroup& group) {
  Index count = 0;
  const auto [first, end] = branches_of(group);
  for (Index p = 0; p < topology.n_partitions(); p++) count += topology.branch_start(p, end) - topology.branch_start(p, first);
  return count;
}

// Whether some branch of a projection has a target twice: a dense table would round the sum of two weights.
inline bool has_repeats(const Topology& topology, const DelayGroup& group) {
  const auto [first, end] = branches_of(group);
  for (Index p = 0; p < topology.n_partitions(); p++)
    for (Index branch = first; branch < end; branch++)
      for (Index synapse = topology.branch_start(p, branch) + 1; synapse < topology.branch_start(p, branch + 1); synapse++)
        if (topology.targets[synapse] == topology.targets[synapse - 1]) return true;
  return false;
}

// Series of contiguous targets in the branches of a projection.
inline Index count_series(const Topology& topology, const DelayGroup& group) {
  Index series = 0;
  const auto [first, end] = branches_of(group);
  for (Index p = 0; p < topology.n_partitions(); p++)
    for (Index branch = first; branch < end; branch++) {
      const Index begin = topology.branch_start(p, branch);
      for (Index synapse = begin; synapse < topology.branch_start(p, branch + 1); synapse++)
        series += begins_series(topology, synapse, begin);
    }
  return series;
}

// End of a piece that begins with axon `begin`: it has one axon, plus more up to `most` synapses in each partition.
inline Index end_of_piece(const Topology& topology, const DelayGroup& group, Index begin, Index most) {
  const auto branch = [&](Index source) { return group.first_branch + source * group.branch_stride; };
  Index end = begin + 1;
  for (; end < group.n_branches; end++)
    for (Index p = 0; p < topology.n_partitions(); p++)
      if (topology.branch_start(p, branch(end + 1)) - topology.branch_start(p, branch(begin)) > most) return end;
  return end;
}

// Chooses between dense table and synapses for a projection; returns whether it has a table.
inline bool plan_table(const Topology& topology, Index r, PlanSizes& plan) {
  const DelayGroup& group = topology.groups[r];
  const Index stride = group.branch_stride, rows = group.n_branches * stride, n_targets = group.target_end - group.target_begin;
  const Index columns = padded(n_targets), size = rows * columns;
  const double share = stride > 1 ? kDenseBranchesFrom : kDenseFrom;
  if (n_targets < kDenseTargets || static_cast<double>(count_synapses(topology, group)) < share * static_cast<double>(size))
    return false;
  if (plan.dense + size > kDenseTo || has_repeats(topology, group)) return false;
  for (Index d = 0; d < stride; d++) {
    plan.groups[r + d].table = plan.dense + d * group.n_branches * columns;
    plan.groups[r + d].table_columns = columns;
  }
  plan.dense += size;
  return true;
}

// Capacity for sums of projections whose gradients are added spike by spike: a fraction of all synapses, at least one axon.
inline Index room_for_sums(const Topology& topology, const PlanSizes& plan, Index history_bytes, int threads) {
  Index longest = 0, most = 0;
  for (Index r = 0; r < topology.groups.size; r++) {
    const DelayGroup& group = topology.groups[r];
    if (!plan.groups[r].per_spike || group.first_group != r) continue;
    for (Index p = 0; p < topology.n_partitions(); p++) {
      const auto start = [&](Index source) {
        return topology.branch_start(p, group.first_branch + source * group.branch_stride);
      };
      for (Index source = 0; source < group.n_branches; source++) longest = std::max(longest, start(source + 1) - start(source));
      most = std::max(most, start(group.n_branches) - start(0));
    }
  }
  const Index limit = std::min(std::max(kLeastSums, history_bytes / kBytesPerSum), kMostSums);
  return std::max(longest, std::min((most + threads - 1) / threads + longest, limit));
}

// Chooses the delivery of each projection for samples of `n_steps` steps.
inline PlanSizes plan_sizes(const Topology& topology, Index n_steps, bool learns, int threads, Index real_size) {
  PlanSizes plan;
  plan.groups.resize(static_cast<std::size_t>(topology.groups.size));
  // Sums may extend up to one SIMD vector beyond the last target.
  plan.columns = padded(topology.n_neurons() + topology.n_readouts()) + kPadding;
  plan.receptors = topology.n_receptors();
  for (const DelayGroup* group = topology.groups.data; group != topology.groups.data + topology.groups.size; group++)
    plan.longest_offset = std::max(plan.longest_offset, std::min(group->delay_offset, n_steps - 1));
  plan.input_steps = power_of_two(plan.longest_offset + 1);
  for (Index r = 0; r < topology.groups.size; r++) {
    const DelayGroup& group = topology.groups[r];
    if (group.first_group != r) continue;
    const double synapses = static_cast<double>(count_synapses(topology, group));
    const double branches = static_cast<double>(group.n_branches * group.branch_stride);
    const bool small = (plan.longest_offset + 1) * plan.columns <= std::numeric_limits<std::int32_t>::max();
    const bool dense = plan_table(topology, r, plan);
    const Index series = dense ? 0 : count_series(topology, group);
    const bool contiguous = series > 0 && synapses >= kContiguousFrom * static_cast<double>(series);
    const bool fused = !dense && !contiguous && small && group.branch_stride > 1 &&
                       synapses < kFusedTo * branches * static_cast<double>(topology.n_partitions());
    const bool per_spike = learns && group.rule == Rule::eprop && !group.onto_readouts && !contiguous &&
                           synapses < kRowsFrom * branches * static_cast<double>(group.target_end - group.target_begin);
    if (fused) plan.fused += static_cast<Index>(synapses);
    if (contiguous) {
      plan.series += series + topology.n_partitions();
      plan.series_branches += (group.n_branches * group.branch_stride + 1) * topology.n_partitions();
    }
    for (Index d = 0; d < group.branch_stride; d++) {
      GroupPlan& own = plan.groups[r + d];
      own.contiguous = contiguous, own.fused = fused, own.per_spike = per_spike;
    }
  }
  if (learns) plan.sums = room_for_sums(topology, plan, n_steps * plan.columns * real_size, threads);
  return plan;
}

// Offsets of fused synapses.
template <class Real> void fill_offsets(const Topology& topology, DeliveryPlan<Real>& plan) {
  plan.offsets.reserve(static_cast<std::size_t>(plan.fused));
  plan.offset_shift.assign(static_cast<std::size_t>(topology.groups.size * topology.n_partitions()), 0);
  for (Index r = 0; r < topology.groups.size; r++) {
    const DelayGroup& group = topology.groups[r];
    if (!plan.groups[r].fused || group.first_group != r) continue;
    const auto [first, end] = branches_of(group);
    for (Index p = 0; p < topology.n_partitions(); p++) {
      plan.offset_shift[r * topology.n_partitions() + p] =
          topology.branch_start(p, first) - static_cast<Index>(plan.offsets.size());
      for (Index branch = first; branch < end; branch++) {
        const Index late = topology.groups[r + (branch - first) % group.branch_stride].delay_offset * plan.columns;
        for (Index synapse = topology.branch_start(p, branch); synapse < topology.branch_start(p, branch + 1); synapse++)
          plan.offsets.push_back(static_cast<std::uint32_t>(late + topology.targets[synapse]));
      }
    }
  }
}

// Series of contiguous targets.
template <class Real> void fill_series(const Topology& topology, DeliveryPlan<Real>& plan) {
  plan.series_synapse.reserve(static_cast<std::size_t>(plan.series));
  plan.series_target.reserve(static_cast<std::size_t>(plan.series));
  plan.series_start.reserve(static_cast<std::size_t>(plan.series_branches));
  plan.series_shift.assign(static_cast<std::size_t>(topology.groups.size * topology.n_partitions()), 0);
  for (Index r = 0; r < topology.groups.size; r++) {
    if (!plan.groups[r].contiguous || topology.groups[r].first_group != r) continue;
    const auto [first, end] = branches_of(topology.groups[r]);
    for (Index p = 0; p < topology.n_partitions(); p++) {
      plan.series_shift[r * topology.n_partitions() + p] = static_cast<Index>(plan.series_start.size());
      for (Index branch = first; branch < end; branch++) {
        const Index begin = topology.branch_start(p, branch);
        plan.series_start.push_back(static_cast<Index>(plan.series_synapse.size()));
        for (Index synapse = begin; synapse < topology.branch_start(p, branch + 1); synapse++) {
          if (!begins_series(topology, synapse, begin)) continue;
          plan.series_synapse.push_back(synapse);
          plan.series_target.push_back(topology.targets[synapse]);
        }
      }
      plan.series_start.push_back(static_cast<Index>(plan.series_synapse.size()));
      plan.series_synapse.push_back(topology.branch_start(p, end));
      plan.series_target.push_back(0);
    }
  }
}

// Pieces of work for the gradients.
template <class Real> void fill_pieces(const Topology& topology, DeliveryPlan<Real>& plan, int threads) {
  const Index share = topology.targets.size / (kPiecesPerThread * threads);
  const Index piece = std::clamp(share, kLeastPiece, kPiece);
  for (Index r = 0; r < topology.groups.size; r++) {
    const DelayGroup& group = topology.groups[r];
    if (group.rule != Rule::eprop || group.first_group != r) continue;
    const Index most = plan.groups[r].per_spike ? plan.sums : piece;
    for (Index begin = 0; begin < group.n_branches;) {
      const Index end = end_of_piece(topology, group, begin, most);
      plan.pieces.push_back({r, begin, end});
      begin = end;
    }
  }
}

template <class Real> DeliveryPlan<Real> make_plan(const Topology& topology, Index n_steps, bool learns, int threads) {
  DeliveryPlan<Real> plan(plan_sizes(topology, n_steps, learns, threads, sizeof(Real)));
  fill_offsets(topology, plan);
  fill_series(topology, plan);
  if (learns) fill_pieces(topology, plan, threads);
  return plan;
}

// Series of contiguous targets of the branches of a projection, in one partition.
struct ContiguousTargets {
  const Index* synapse;
  const std::uint32_t* target;
  const Index* start;
  Index first_branch;  // first branch in `start`
  // Calls work(first synapse, first target, length) for each series of a branch.
  template <class Work> [[gnu::always_inline]] void each(Index branch, const Work& work) const {
    const Index end = start[branch - first_branch + 1];
    for (Index k = start[branch - first_branch]; k < end; k++) work(synapse[k], Index{target[k]}, synapse[k + 1] - synapse[k]);
  }
};
template <class Real>
ContiguousTargets contiguous_targets(const Topology& topology, const DeliveryPlan<Real>& plan, Index group, Index partition) {
  if (!plan.groups[group].contiguous) return {};
  const DelayGroup& first = topology.groups[group];
  return {plan.series_synapse.data(), plan.series_target.data(),
          plan.series_start.data() + plan.series_shift[group * topology.n_partitions() + partition], first.first_branch};
}

// Target offsets of a projection's synapses.
template <class Real> Places places_of(const Topology& topology, const DeliveryPlan<Real>& plan, Index group, Index partition) {
  if (!plan.groups[group].fused) return {topology.targets.data, 0};
  return {plan.offsets.data(), plan.offset_shift[group * topology.n_partitions() + partition]};
}

// Writes the weights of some axons of one projection to its dense tables; other entries stay zero.
template <class Real>
void fill_table(const Topology& topology, Array1<const Real> weight, DeliveryPlan<Real>& plan, const GradientPiece& axons) {
  const DelayGroup& group = topology.groups[axons.group];
  for (Index source = axons.begin; source < axons.end; source++)
    for (Index d = 0; d < group.branch_stride; d++) {
      const GroupPlan& own = plan.groups[axons.group + d];
      Real* row = plan.tables.data() + own.table + source * own.table_columns;
      const Index branch = group.first_branch + source * group.branch_stride + d;
      for (Index p = 0; p < topology.n_partitions(); p++)
        for (Index synapse = topology.branch_start(p, branch); synapse < topology.branch_start(p, branch + 1); synapse++)
          row[topology.targets[synapse] - group.target_begin] = weight[synapse];
    }
}

}  // namespace eprop
