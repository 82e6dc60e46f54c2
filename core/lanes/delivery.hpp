// Deliver the spikes of a lane: add the constant weights to the inputs of this step and of later steps.
#pragma once
#include <type_traits>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include "lanes/state.hpp"
#include "support/simd.hpp"

namespace eprop {

// Spikes of one step and population, and their axon branches: source i has branch `stride` i + `shift`.
struct AxonSpikes {
  const std::int32_t* sources;
  Index count, stride, shift;
  Index branch(Index k) const { return sources[k] * stride + shift; }
};

// Prefetches the beginning of a row of synapses, and of their target offsets.
template <class Value> inline void prefetch_row(Index first, Index end, const Places& places, const Value* values) {
  fetch_branch(first - places.shift, end - places.shift, places.data);
  fetch_branch(first, end, values);
}

// Eight numbers of one type, or a mask for eight numbers.
template <class T> struct Eight {
  typedef T Vector __attribute__((vector_size(8 * sizeof(T)), aligned(sizeof(T)), may_alias));
  typedef std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t> Lane;
  typedef Lane Lanes __attribute__((vector_size(8 * sizeof(T))));
};
template <class T> inline typename Eight<T>::Vector load_eight(const T* from) {
  return *reinterpret_cast<const typename Eight<T>::Vector*>(from);
}
template <class To, class From> inline typename Eight<To>::Vector convert_eight(typename Eight<From>::Vector values) {
#if defined(__AVX512F__)  // one instruction, where GCC 12 would use four
  if constexpr (sizeof(From) < sizeof(To)) return _mm512_cvtps_pd(values);
#endif
  return __builtin_convertvector(values, typename Eight<To>::Vector);
}

// Adds some rows of `columns` entries, a multiple of eight, to the inputs x, one after the other.
template <int rows, class Real> inline void add_rows(const Real* const (&row)[rows], Index columns, Real* x) {
  using Vector = typename Eight<Real>::Vector;
  for (Index j = 0; j < columns; j += 8) {
    Vector& to = *reinterpret_cast<Vector*>(x + j);
    Vector sum = to;
    for (int k = 0; k < rows; k++) sum += load_eight(row[k] + j);
    to = sum;
  }
}

// Adds whole rows of a dense table to the inputs `x` of a projection's targets. The zeros of the table change no sum. Four rows
// at once save loads and stores of x; each entry is still added in the order of the spikes.
template <class Real>
void deliver_dense(const AxonSpikes& spikes, Index first_source, const Real* table, Index columns, Real* x) {
  constexpr Index kLine = static_cast<Index>(kCacheLine / sizeof(Real));
  const auto row = [&](Index k) { return table + (spikes.sources[k] - first_source) * columns; };
  Index k = 0;
  for (; k + 4 <= spikes.count; k += 4) {
    for (Index next = k + 4; next < std::min(k + 8, spikes.count); next++)
      for (Index j = 0; j < columns; j += kLine) __builtin_prefetch(row(next) + j);
    add_rows<4>({row(k), row(k + 1), row(k + 2), row(k + 3)}, columns, x);
  }
  for (; k < spikes.count; k++) add_rows<1>({row(k)}, columns, x);
}

// Adds `count` contiguous numbers to others. If reading and writing beyond the end is allowed (`room`), the remainder is padded
// with zeros, because a loop over one to seven numbers takes longer. Written with vectors: compilers unroll short loops badly.
template <class To, class From> inline void add_series(To* to, const From* from, Index count, Index room) {
  using Vector = typename Eight<From>::Vector;
  const auto add = [&](Index k, Vector terms) {
    *reinterpret_cast<typename Eight<To>::Vector*>(to + k) += convert_eight<To, From>(terms);
  };
  Index k = 0;
  for (; k + 8 <= count; k += 8) add(k, load_eight(from + k));
  if (k == count) return;
  if (k + 8 > room) {
    for (; k < count; k++) to[k] += static_cast<To>(from[k]);
    return;
  }
  const typename Eight<From>::Lanes lanes = {0, 1, 2, 3, 4, 5, 6, 7};
  add(k, lanes < static_cast<typename Eight<From>::Lane>(count - k) ? load_eight(from + k) : Vector{});
}

// Adds the weights of some synapses to inputs.
template <class Real> void deliver_synapses(Index begin, Index end, const Places& places, const Real* weight, Real* x) {
  for (Index synapse = begin; synapse < end; synapse++) x[places[synapse]] += weight[synapse];
}

inline Positions all_partitions(const Topology& topology) { return {0, topology.n_partitions()}; }

// Adds the weights of the first `reached` branches of each axon of a projection (given by its first delay group r), each to the
// row of `input` for its step of arrival; row `place` is for the first branches. Targets are those of some partitions.
template <class Real> void deliver_branches(const Episodes<Real>& episodes, Index r, Index reached, const AxonSpikes& spikes,
                                            Index place, const Positions& partitions, Array2<Real> input) {
  const Topology& topology = episodes.topology;
  const GroupPlan own = episodes.plan.groups[r];
  const Array1<const Real> weight = episodes.weight;
  const Index at_once = own.fused ? reached : 1;
  for (Index p = partitions.first; p < partitions.stop; p++) {
    const Index* start = topology.branch_start.row(p);
    const Places places = places_of(topology, episodes.plan, r, p);
    const ContiguousTargets contiguous = contiguous_targets(topology, episodes.plan, r, p);
    for (Index k = 0; k < spikes.count; k++) {
      if (k + 1 < spikes.count) {
        const Index next = spikes.branch(k + 1);
        if (own.contiguous) {
          fetch_branch(start[next], start[next + reached], weight.data);
        } else {
          prefetch_row(start[next], start[next + reached], places, weight.data);
        }
      }
      const Index branch = spikes.branch(k);
      for (Index d = 0; d < reached; d += at_once) {
        Real* x = input.row(place + topology.groups[r + d].delay_offset);
        if (own.contiguous) {
          contiguous.each(branch + d, [&](Index synapse, Index target, Index count) {
            add_series(x + target, weight.data + synapse, count, weight.size - synapse);
          });
        } else {
          deliver_synapses(start[branch + d], start[branch + d + at_once], places, weight.data, x);
        }
      }
    }
  }
}

// Adds the weights of all axons whose first branches are reached in the next step of a lane, its row `row`, for all branches that
// are reached before the lane ends. Targets are those of some partitions, or of all if there are dense tables. Returns the number
// of spikes.
template <class Real>
Index deliver_step(const Episodes<Real>& episodes, Lane<Real>& lane, Index row, const Positions& partitions) {
  const Topology& topology = episodes.topology;
  Index delivered = 0;
  for (Index r = 0; r < topology.groups.size; r++) {
    const DelayGroup& group = topology.groups[r];
    const Index emitted = row - group.delay, stride = group.branch_stride;
    if (emitted < 0 || group.first_group != r) continue;
    const Index* start = lane.start.row(emitted) + group.source_population;
    const Index first_source = topology.populations[group.source_population].first_source;
    const AxonSpikes spikes{lane.log.data() + start[0], start[1] - start[0], stride, group.first_branch - stride * first_source};
    if (spikes.count == 0) continue;
    delivered += spikes.count;
    Index reached = 1;
    const Array2<Real> input = inputs_at(episodes.plan, lane, group.receptor);
    while (reached < stride && row + topology.groups[r + reached].delay_offset < episodes.end_row()) reached++;
    if (episodes.plan.groups[r].table < 0) {
      deliver_branches(episodes, r, reached, spikes, lane.place, partitions, input);
      continue;
    }
    for (Index d = 0; d < reached; d++) {
      const GroupPlan& own = episodes.plan.groups[r + d];
      deliver_dense(spikes, first_source, episodes.plan.tables.data() + own.table, own.table_columns,
                    input.row(lane.place + topology.groups[r + d].delay_offset) + group.target_begin);
    }
  }
  return delivered;
}

// Moves the inputs of the steps from `input_steps` on to the front; the inputs before have been used, and are zero.
template <class Real> void move_to_front(Index input_steps, Array2<Real> input) {
  for (Index row = input_steps; row < input.rows; row++) {
    std::copy(input.row(row), input.row(row) + input.columns, input.row(row - input_steps));
    std::fill(input.row(row), input.row(row) + input.columns, Real{0});
  }
}

}  // namespace eprop
