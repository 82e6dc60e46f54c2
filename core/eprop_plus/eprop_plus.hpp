// e-prop+ at every spike: the interface of the online loop. The implementation is in block_start.hpp (synapses with block-start
// states), crossing.hpp (other synapses), after_cutoff.hpp (new and silent branches), delay_group.hpp (per-step optimisers) and
// readout_synapses.hpp.
//
// Everything is local to a partition: it writes the partition's own targets and synapses, its columns of shared work arrays, and
// its own `PlusWork::cached`.
#pragma once
#include <utility>

#include "eprop_plus/kinds.hpp"
#include "online/state.hpp"
#include "support/simd.hpp"

namespace eprop {

// Composes step t - 1 onto the propagators of neurons `begin` to `end` of a population. Defined in delay_group.hpp.
template <Kind K, class Real> void extend(OnlineState<Real>& state, Index population, Index begin, Index end, Index t);

// A delay group (the first of its projection; the others have no lists) in step t: finalises expired branches, then delivers. It
// changes weights. Defined in delay_group.hpp.
template <Kind K, class Real> void learn(OnlineState<Real>& state, Index group, Index partition, Index t);

inline Kind kind_of(const Topology& topology, Index kind) {
  const Index* row = topology.kinds.row(kind);
  return {static_cast<int>(row[0]), static_cast<int>(row[1]), row[2] != 0, row[3] != 0, row[4] != 0};
}

// Calls visit<K>() with the kind K of this number. CMake makes files that define `extend` and `learn` for the
// kinds in kinds.hpp; so they compile in parallel.
template <class Real, class Visit> EPROP_INLINE void with_kind(int number, const Visit& visit) {
  const auto is = [&]<int candidate>() EPROP_INLINED {
    if constexpr (is_compiled<Real>(kKinds[candidate].compiled)) {
      if (number != candidate) return false;
      visit.template operator()<kKinds[candidate].kind>();
      return true;
    }
    return false;
  };
  [&]<int... candidates>(std::integer_sequence<int, candidates...>)
      EPROP_INLINED { (is.template operator()<candidates>() || ...); }(std::make_integer_sequence<int, kNumberOfKinds>());
}

// Starts the propagator of the first block, and the vectors of the work space, for a state at rest.
template <class Real> void start_plus_work(OnlineState<Real>& state);

// Clears cached propagators after another state has replaced the history.
template <class Real> void clear_cached(OnlineState<Real>& state);

}  // namespace eprop
