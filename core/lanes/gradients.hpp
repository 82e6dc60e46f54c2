// Gradients of e-prop: every synapse sums G of its target over its spikes, from all lanes in order.
//
// The sum over the spikes of each lane is computed first, then added, so that every method gives the same bits.
#pragma once
#include "lanes/delivery.hpp"

namespace eprop {

// Numbers in the widest register.
template <class Real> struct WidestRegister {
  static constexpr Index kSize = static_cast<Index>(kCacheLine / sizeof(Real));
  typedef Real Vector __attribute__((vector_size(kCacheLine), aligned(sizeof(Real)), may_alias));
};

// Rows of G of the steps in which some spikes arrive, and the factor of their sum.
template <class Real> struct SummedRows {
  const Real* first;  // row for a spike in step 0
  Index columns;
  const std::int32_t* steps;
  Index count;
  Real scale;
};

// Sums of `blocks` vectors from column j on: one per register, because each sum waits for the one before.
template <int blocks, class Real> [[gnu::always_inline]] inline void sum_blocks(const SummedRows<Real>& rows, Index j, Real* to) {
  using Vector = typename WidestRegister<Real>::Vector;
  const auto row = [&](Index spike) {
    return reinterpret_cast<const Vector*>(rows.first + rows.steps[spike] * rows.columns + j);
  };
  Vector sums[blocks];
#pragma GCC unroll 8
  for (int i = 0; i < blocks; i++) sums[i] = row(0)[i];
  for (Index spike = 1; spike < rows.count; spike++) {
#pragma GCC unroll 8
    for (int i = 0; i < blocks; i++) sums[i] += row(spike)[i];
  }
#pragma GCC unroll 8
  for (int i = 0; i < blocks; i++) reinterpret_cast<Vector*>(to)[i] = rows.scale * sums[i];
}

// Sums of `size` columns from `begin` on, and of up to one vector more.
template <class Real> void sum_rows(const SummedRows<Real>& rows, Index begin, Index size, Real* to) {
  constexpr Index kSize = WidestRegister<Real>::kSize;
  Index j = 0;
  for (; j + 7 * kSize < size; j += 8 * kSize) sum_blocks<8>(rows, begin + j, to + j);
  for (; j + kSize < size; j += 2 * kSize) sum_blocks<2>(rows, begin + j, to + j);
  for (; j < size; j += kSize) sum_blocks<1>(rows, begin + j, to + j);
}

// Data of a lane's gradient: its spikes, by steps and by sources, and G of all targets in each of its steps.
template <class Real> struct GradientTerms {
  Index n_steps;
  Array2<const Real> G;       // (steps, columns)
  Array2<const Index> start;  // (steps, populations + 1) offsets of each step in `log`
  const std::int32_t* log;    // sources of the spikes
  const Index* first;         // (sources + 1,) offsets of each source in `steps`
  const std::int32_t* steps;  // ascending
};

// Sorts spikes by source: source i spiked in `steps[first[i]:first[i + 1]]`, ascending. `start` has the offsets of each step in
// `log`.
inline void sort_by_source(Array2<const Index> start, const std::vector<std::int32_t>& log, Array1<Index> first,
                           std::vector<std::int32_t>& steps) {
  const Index end = start.columns - 1, n_spikes = start(start.rows - 1, end);
  if (static_cast<Index>(steps.size()) < n_spikes) steps.resize(log.size());
  // Count one entry further on: each entry advances as its spikes are written, and ends at the start of the next source.
  std::fill_n(first.data, first.size, 0);
  for (Index k = 0; k < n_spikes; k++)
    if (log[k] + 2 < first.size) first[log[k] + 2]++;
  for (Index i = 1; i < first.size; i++) first[i] += first[i - 1];
  for (Index t = 0; t < start.rows; t++)
    for (Index k = start(t, 0); k < start(t, end); k++) steps[first[log[k] + 1]++] = static_cast<std::int32_t>(t);
}

// Spikes of a source that arrive within the lane's rows after a delay: their steps.
struct SourceSpikes {
  const std::int32_t* steps;
  Index count;
};
template <class Real> SourceSpikes spikes_in_time(const GradientTerms<Real>& terms, Index source, Index last_step) {
  const Index begin = terms.first[source];
  Index end = terms.first[source + 1];
  while (end > begin && terms.steps[end - 1] > last_step) end--;
  return {terms.steps + begin, end - begin};
}

// Synapses whose gradients are summed, or absent connections in their place, with the work space of a thread.
template <class Real> struct GradientTables {
  const Topology& topology;
  const DeliveryPlan<Real>& plan;
  Real* row_sums;      // (columns,)
  Real* synapse_sums;  // (plan.sums,)
};
template <class Real> GradientTables<Real> tables_of(Episodes<Real>& episodes, Index thread) {
  return {episodes.topology, episodes.plan, episodes.row_sums[thread].data(), episodes.synapse_sums[thread].data()};
}
template <class Real> GradientTables<Real> absent_tables_of(Episodes<Real>& episodes, Index thread) {
  AbsentConnections<Real>& absent = *episodes.absent;
  return {absent.topology, absent.plan, episodes.row_sums[thread].data(), absent.synapse_sums[thread].data()};
}

// Adds the gradients of a piece whose branches have many targets: G of all targets is summed, then gathered; or, for contiguous
// targets, series by series.
template <class Real> void accumulate_rows(const GradientTables<Real>& tables, const GradientPiece& piece,
                                           const GradientTerms<Real>& terms, Real scale, Array1<Real> pending) {
  const Topology& topology = tables.topology;
  Real* sums = tables.row_sums;
  const DelayGroup& first = topology.groups[piece.group];
  const Index source = topology.populations[first.source_population].first_source, first_target = first.target_begin;
  const bool contiguous = tables.plan.groups[piece.group].contiguous;
  for (Index branch = first.first_branch + piece.begin * first.branch_stride, i = piece.begin; i < piece.end; i++)
    for (Index d = 0; d < first.branch_stride; d++, branch++) {
      const Index delay = topology.groups[piece.group + d].delay;
      const SourceSpikes spikes = spikes_in_time(terms, source + i, terms.n_steps - 1 - delay);
      if (spikes.count == 0) continue;
      const SummedRows<Real> rows{terms.G.row(delay), terms.G.columns, spikes.steps, spikes.count, scale};
      if (!contiguous) sum_rows(rows, first_target, first.target_end - first_target, sums);
      for (Index p = 0; p < topology.n_partitions(); p++) {
        const ContiguousTargets neighbours = contiguous_targets(topology, tables.plan, piece.group, p);
        if (neighbours.start != nullptr) {
          // Nothing beyond the piece is touched: it may belong to another thread.
          const Index end = topology.branch_start(p, first.first_branch + piece.end * first.branch_stride);
          neighbours.each(branch, [&](Index synapse, Index target, Index count) {
            sum_rows(rows, target, count, sums);
            add_series(pending.data + synapse, sums, count, end - synapse);
          });
          continue;
        }
        const Index end = topology.branch_start(p, branch + 1);
        const std::uint32_t* __restrict targets = topology.targets.data;
        const Real* __restrict of_target = sums - first_target;
        Real* __restrict to = pending.data;
        for (Index synapse = topology.branch_start(p, branch); synapse < end; synapse++)
          to[synapse] += of_target[targets[synapse]];
      }
    }
}

// Adds G of the targets of some synapses to their sums.
template <class Real>
void add_synapses(Index begin, Index end, const Places& places, const Real* __restrict row, Real* __restrict sums) {
  for (Index synapse = begin; synapse < end; synapse++) sums[synapse] += row[places[synapse]];
}

// Adds the gradients of a piece whose branches have few targets, spike by spike: the spikes of a step read the same rows of G.
template <class Real> void accumulate_spikes(const GradientTables<Real>& tables, const GradientPiece& piece,
                                             const GradientTerms<Real>& terms, Real scale, Index p, Real* __restrict pending) {
  const Topology& topology = tables.topology;
  Real* sums = tables.synapse_sums;
  const DelayGroup& group = topology.groups[piece.group];
  const GroupPlan& own = tables.plan.groups[piece.group];
  const Places places = places_of(topology, tables.plan, piece.group, p);
  const Index stride = group.branch_stride, first_source = topology.populations[group.source_population].first_source;
  const Index begin = first_source + piece.begin, end = first_source + piece.end,
              shift = group.first_branch - stride * first_source;
  const Index* start = topology.branch_start.row(p);
  const Index origin = start[begin * stride + shift];
  const auto each_axon = [&](auto&& work) {  // each axon that has spiked: the range of its synapses
    for (Index source = begin; source < end; source++)
      if (terms.first[source] < terms.first[source + 1])
        work(start[source * stride + shift], start[(source + 1) * stride + shift]);
  };
  each_axon([&](Index first, Index last) { std::fill(sums + (first - origin), sums + (last - origin), Real{0}); });
  Index reached = stride;
  for (Index t = 0; t + group.delay < terms.n_steps; t++) {
    while (t + topology.groups[piece.group + reached - 1].delay >= terms.n_steps) reached--;
    const Index stop = terms.start(t, group.source_population + 1);
    for (Index k = terms.start(t, group.source_population); k < stop; k++) {
      const Index source = terms.log[k], branch = source * stride + shift;
      if (source < begin || source >= end) continue;
      if (k + 1 < stop) {
        const Index next = terms.log[k + 1] * stride + shift;
        prefetch_row(start[next], start[next + reached], places, sums - origin);
      }
      if (own.fused) {
        add_synapses(start[branch], start[branch + reached], places, terms.G.row(t + group.delay), sums - origin);
        continue;
      }
      for (Index d = 0; d < reached; d++)
        add_synapses(start[branch + d], start[branch + d + 1], places, terms.G.row(t + topology.groups[piece.group + d].delay),
                     sums - origin);
    }
  }
  each_axon([&](Index first, Index last) {
    for (Index synapse = first; synapse < last; synapse++) pending[synapse] += scale * sums[synapse - origin];
  });
}

// Adds the gradient of a lane for the synapses of a piece of axons.
template <class Real> void accumulate_terms(const GradientTables<Real>& tables, const GradientPiece& piece,
                                            const GradientTerms<Real>& terms, Real scale, Array1<Real> pending) {
  if (!tables.plan.groups[piece.group].per_spike) return accumulate_rows(tables, piece, terms, scale, pending);
  for (Index p = 0; p < tables.topology.n_partitions(); p++) accumulate_spikes(tables, piece, terms, scale, p, pending.data);
}

}  // namespace eprop
