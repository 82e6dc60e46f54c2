#include "synapses/eprop_plus.hpp"

#include <algorithm>

#include "corrections.hpp"
#include "synapses/kinds.hpp"

namespace eprop {
namespace {

constexpr std::size_t kAlignment = 64;

// A view of the next part of `storage`; without a storage only its size is counted.
template <class Real> Array3<Real> place(char* storage, std::size_t& used, Index planes, Index rows, Index columns) {
  const Array3<Real> view{storage ? reinterpret_cast<Real*>(storage + used) : nullptr, planes, rows, columns};
  const std::size_t bytes = static_cast<std::size_t>(planes * rows * columns) * sizeof(Real);
  used += (bytes + kAlignment - 1) / kAlignment * kAlignment;
  return view;
}

}  // namespace

template <class Real> PlusFunctions<Real> plus_functions(const StreamState<Real>& state, Index kind) {
  const Kind k = kind_of(state.topology, kind);
  const bool moments = state.synapses.pending.size > 0;
  if (k.n_own == 0) return functions_without_own<Real>(k, moments);
  if (k.n_own == 2) return functions_of_crossing_2<Real>(k, moments);
  if (!k.anchored) return functions_of_crossing<Real>(k, moments);
  return k.n_filters == 2 ? functions_with_own_2<Real>(k, moments) : functions_with_own<Real>(k, moments);
}

template <class Real> void allocate_plus_work(StreamState<Real>& state) {
  const History<Real>& history = state.history;
  const Topology& topology = state.topology;
  PlusWork<Real>& work = state.plus;
  const Index width = history.block_prefix.columns, entries = history.block_prefix.rows, blocks = history.block_propagators.planes;
  Index corrections = 0;
  bool crosses = false;
  for (Index k = 0; k < topology.kinds.rows; k++) {
    const Kind kind = kind_of(topology, k);
    if (kind.anchored) corrections = std::max<Index>(corrections, kind.n_corrections());
    crosses = crosses || !kind.anchored;
  }
  const Index crossed = crosses ? entries : 0;
  const auto lay_out = [&](char* storage) {
    std::size_t used = 0;
    const auto next = [&](Index planes, Index rows, Index columns) { return place<Real>(storage, used, planes, rows, columns); };
    work.interval = next(1, entries, width);
    work.to_current_block = next(blocks, entries, width);
    work.within_block = next(crosses ? history.block_steps : 1, crossed, width);
    work.until_cutoff = next(1, entries, width);
    work.until_cutoff_before = next(1, crossed, width);
    work.corrections = next(1, corrections, width);
    work.corrections_copy = next(1, width, record_size(corrections));
    work.copies = next(blocks + kExtraCopies, width, record_size(entries));
    return used;
  };
  const std::size_t bytes = lay_out(nullptr);
  work.storage.reset(new char[bytes + kAlignment]());
  const std::size_t address = reinterpret_cast<std::size_t>(work.storage.get());
  lay_out(work.storage.get() + (kAlignment - address % kAlignment) % kAlignment);
  const std::size_t partitions = topology.n_partitions();
  work.found.assign(partitions, std::vector<FoundPropagators>(topology.trace_groups.size));
  work.readout_gradient.assign(partitions, std::vector<double>(topology.n_readouts()));
  for (std::vector<FoundPropagators>& groups : work.found)
    for (FoundPropagators& found : groups) {
      found.known.assign(blocks, 0);
      found.copied.assign(blocks + kExtraCopies, -1);
    }
}

template <class Real> void forget_found(StreamState<Real>& state) {
  for (std::vector<FoundPropagators>& groups : state.plus.found)
    for (FoundPropagators& found : groups) {
      found.block = found.within_step = found.until_cutoff = found.corrections = found.corrections_copied = -1;
      std::fill(found.copied.begin(), found.copied.end(), -1);
    }
}

template PlusFunctions<float> plus_functions(const StreamState<float>&, Index);
template PlusFunctions<double> plus_functions(const StreamState<double>&, Index);
template void allocate_plus_work(StreamState<float>&);
template void allocate_plus_work(StreamState<double>&);
template void forget_found(StreamState<float>&);
template void forget_found(StreamState<double>&);

}  // namespace eprop
