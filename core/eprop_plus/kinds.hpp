// The kinds of e-prop+ that are compiled: one list for CMake, which reads its lines, for the core, and for the build of a network
// (`lib.kinds`), which gives each population the first kind that contains its eligibility, with zero constants for what it lacks.
#pragma once
#include <stdexcept>
#include <type_traits>

#include "network/kind.hpp"

namespace eprop {

enum class Compiled {
  always,     // also with -DEPROP_KINDS=generic: these kinds contain all others
  both,       // in single and in double precision
  in_single,  // only there: Adam and RMSprop, which need exact zeros in single precision
  in_double   // only there, in the precision that most networks have
};
struct CompiledKind {
  Kind kind;
  Compiled compiled;
};

// Smaller ones first; those with block-start states before the others. Fields as in `Kind`: n_filters, n_own, anchored,
// two_kappas, reward.
inline constexpr CompiledKind kKinds[] = {
    {{1, 0, true, false, false}, Compiled::both},        // LIF
    {{1, 0, true, true, false}, Compiled::both},         // with two kappas
    {{0, 1, true, true, false}, Compiled::both},         // LIF with a time constant for each neuron
    {{1, 1, true, false, false}, Compiled::both},        // ALIF
    {{1, 1, true, true, false}, Compiled::both},         // with two kappas
    {{2, 0, true, false, false}, Compiled::both},        // CurrentLIF
    {{2, 0, true, true, false}, Compiled::both},         // with two kappas
    {{2, 1, true, true, false}, Compiled::in_double},    // CurrentALIF, which cannot be moved back in single precision
    {{1, 0, false, false, false}, Compiled::in_single},  // LIF with Adam or RMSprop
    {{1, 1, false, false, false}, Compiled::both},       // ALIF with them, or whose spikes may erase the adaptation
    {{1, 1, false, true, false}, Compiled::in_single},   // with two kappas
    {{0, 3, false, true, false}, Compiled::always},      // what differs between neurons
    {{2, 2, false, true, false}, Compiled::always},      // the rest
    {{1, 0, true, true, true}, Compiled::both},          // reward: LIF
    {{1, 1, true, true, true}, Compiled::both},          // ALIF
    {{2, 0, true, true, true}, Compiled::in_double},     // CurrentLIF
    {{0, 1, true, true, true}, Compiled::in_double},     // LIF with a time constant for each neuron
    {{0, 3, false, true, true}, Compiled::always},       // what differs between neurons
    {{2, 2, false, true, true}, Compiled::always},       // the rest
};
inline constexpr int kNumberOfKinds = sizeof(kKinds) / sizeof(kKinds[0]);

#ifdef EPROP_GENERIC_KINDS
inline constexpr bool kOnlyGeneric = true;
#else
inline constexpr bool kOnlyGeneric = false;
#endif

template <class Real> constexpr bool is_compiled(Compiled compiled) {
  constexpr Compiled here = std::is_same_v<Real, float> ? Compiled::in_single : Compiled::in_double;
  return compiled == Compiled::always || (!kOnlyGeneric && (compiled == Compiled::both || compiled == here));
}

// Position of a kind in the list.
constexpr int number_of(const Kind& kind) {
  for (int number = 0; number < kNumberOfKinds; number++)
    if (kKinds[number].kind == kind) return number;
  throw std::logic_error("this kind of e-prop+ is not compiled");
}

}  // namespace eprop
