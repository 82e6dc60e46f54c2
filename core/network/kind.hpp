// A kind of eligibility of e-prop+, and the positions of the entries of their propagators.
#pragma once
#include "support/arrays.hpp"

namespace eprop {

// n_filters: components of the eligibility vector that filter spikes and are the same for all targets of an axon. n_own: own
// components of a synapse. `anchored`: synapses keep block-start states, else the state at their last spike. `two_kappas`: errors
// and rates have different filters. `reward`: products of learning signal and trace wait for reward (rewards.hpp). All loops of
// e-prop+ are templates of one Kind.
struct Kind {
  int n_filters, n_own;
  bool anchored, two_kappas, reward = false;
  constexpr bool operator==(const Kind&) const = default;

  constexpr int n_components() const { return n_filters + n_own; }
  // Whether gradients wait in `pending` for an optimiser with moments only after the cutoff, or with rewards, not from the start
  // of a block on.
  constexpr bool any_optimizer() const { return reward || !anchored; }

  // Entries of a propagator, row by row: component -> e_bar (E), component -> e_bar_reg (R, two kappas), e_bar -> gradient (GE),
  // e_bar_reg -> gradient (GR, two kappas), component -> gradient (G), component -> e_reward (S, reward), e_bar -> e_reward (SE,
  // reward), component -> own component (A, n_own rows).
  constexpr int E() const { return 0; }
  constexpr int R() const { return n_components(); }
  constexpr int GE() const { return n_components() * (1 + two_kappas); }
  constexpr int GR() const { return GE() + two_kappas; }
  constexpr int G() const { return GE() + 1 + two_kappas; }
  constexpr int S() const { return G() + n_components(); }
  constexpr int SE() const { return S() + n_components(); }
  constexpr int A() const { return reward ? SE() + 1 : S(); }
  constexpr int n_entries() const { return A() + n_own * n_components(); }

  // Rows of Topology::eligibility: output c, spike u, decay among own components, arrival b (without filters).
  constexpr int c() const { return 0; }
  constexpr int u() const { return n_components(); }
  constexpr int a() const { return u() + n_own; }
  constexpr int b() const { return a() + n_own * n_own; }
  constexpr int n_constants() const { return b() + n_own; }

  // Spike corrections: changes of the block-start state by an arriving spike (trace, regularising trace, own component, premature
  // gradient), then the entries of the block prefix that lead to the gradient, then the reward trace.
  constexpr int C_E() const { return 0; }
  constexpr int C_R() const { return 1; }
  constexpr int C_A() const { return 1 + two_kappas; }
  constexpr int C_Q() const { return C_A() + n_own; }
  constexpr int C_GE() const { return C_Q() + 1; }
  constexpr int C_GR() const { return C_GE() + two_kappas; }
  constexpr int C_G() const { return C_GE() + 1 + two_kappas; }
  constexpr int C_S() const { return C_G() + n_components(); }
  constexpr int n_corrections() const { return C_S() + reward; }
};

// Most components of each sort; there are `kMostOwn` only if no component is a filter.
inline constexpr int kMostFilters = 2, kMostOwnBesideFilters = 2, kMostOwn = 3;
// Neuron-major copies: padded number of entries of one neuron.
constexpr Index record_size(Index entries) { return (entries + 3) / 4 * 4; }
// Rows of propagators are padded to a multiple of this number of neurons, so that loops have no remainder.
inline constexpr Index kPadding = 16;
constexpr Index padded(Index neurons) { return (neurons + kPadding - 1) / kPadding * kPadding; }

}  // namespace eprop
