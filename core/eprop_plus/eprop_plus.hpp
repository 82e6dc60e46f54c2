// e-prop+ at every spike: the interface of the streaming loop. The implementation is in block_start.hpp (synapses with
// block-start states), crossing.hpp (other synapses), after_cutoff.hpp (new and silent branches), per_step.hpp (per-step
// optimisers), reward.hpp (silence with reward traces) and readout_synapses.hpp.
//
// Everything is local to a partition: it writes the partition's own targets and synapses, its columns of shared work arrays, and
// its own `PlusWork::found`.
#pragma once
#include "online/stream_state.hpp"

namespace eprop {

template <class Real> struct PlusFunctions {
  // Compose step t - 1 onto the propagators of neurons `begin` to `end` of a population.
  void (*extend)(StreamState<Real>&, Index population, Index begin, Index end, Index t);
  // A delay group (the first of its projection; the others have no lists): finalise expired branches, then deliver.
  void (*learn)(StreamState<Real>&, Index group, Index partition, Index t);
};

// The loops for a kind of eligibility, a row of Topology::kinds.
template <class Real> PlusFunctions<Real> plus_functions(const StreamState<Real>& state, Index kind);

inline Kind kind_of(const Topology& topology, Index kind) {
  const Index* row = topology.kinds.row(kind);
  return {static_cast<int>(row[0]), static_cast<int>(row[1]), row[2] != 0, row[3] != 0, row[4] != 0};
}

// Allocates work space for a state at rest with topology and history; starts the propagator of the first block.
template <class Real> void allocate_plus_work(StreamState<Real>& state);

// Clears cached propagators after another state has replaced the history.
template <class Real> void forget_found(StreamState<Real>& state);

}  // namespace eprop
