// e-prop+ at every spike: what the streaming loop calls. Behind it stand block_start.hpp (synapses that are kept at the start of
// a block), crossing.hpp (those that cannot be), after_cutoff.hpp (new and silent branches), per_step.hpp (optimisers that take a
// step at every time step), reward.hpp (silence in which traces wait for reward) and readout_synapses.hpp.
//
// All of it is local to a partition: it writes the partition's own targets and synapses, its columns of shared work arrays, and
// its own `PlusWork::found`.
#pragma once
#include "stream_state.hpp"

namespace eprop {

template <class Real> struct PlusFunctions {
  // Compose step t - 1 onto the propagators of neurons `begin` to `end` of a population.
  void (*extend)(StreamState<Real>&, Index population, Index begin, Index end, Index t);
  // A delay group (the first of its projection; the others have nothing listed): finalise what expired, then deliver.
  void (*learn)(StreamState<Real>&, Index group, Index partition, Index t);
};

// The loops for a kind of eligibility, a row of Topology::kinds.
template <class Real> PlusFunctions<Real> plus_functions(const StreamState<Real>& state, Index kind);

inline Kind kind_of(const Topology& topology, Index kind) {
  const Index* row = topology.kinds.row(kind);
  return {static_cast<int>(row[0]), static_cast<int>(row[1]), row[2] != 0, row[3] != 0, row[4] != 0};
}

// Work space for a state from rest whose topology and history are there; starts the propagator of the first block.
template <class Real> void allocate_plus_work(StreamState<Real>& state);

// After the history has been replaced by that of another state: what was found belongs to the one before.
template <class Real> void forget_found(StreamState<Real>& state);

}  // namespace eprop
