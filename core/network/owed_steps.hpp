// The optimiser steps that a synapse owes at a spike: all of them at once, at a cost that does not depend on their number.
//
// In e-prop+ an optimiser takes a step in every time step. Nobody reads a weight between two spikes, so the steps since the last
// one wait for the next: the first takes the gradient, the others have none. All synapses of an axon branch owe the same steps.
// What depends only on these steps is computed once for the branch (`OwedSteps`); a synapse then needs a few operations.
//
// Gradient descent, momentum and RMSprop: powers and geometric sums. Adam: let m and v be the moments after the first step, which
// is number n, s = sqrt(v), and keep the fraction of a weight that decay leaves in a step. The steps move the weight by
//
//     -eta keep^(K-1) m sum_k a_k / (s x_k + epsilon),   k = 0 .. K - 1,
//     a_k = c(n + k) (beta_1 / keep)^k,   c(n) = sqrt(1 - beta_2^n) / (1 - beta_1^n),   x_k = beta_2^(k/2).
//
// Only s belongs to the synapse. The x_k leave 1 slowly, while a_k fades. With q = 1 / (s x_0 + epsilon) and
// u = q s x_0 = 1 - epsilon q, which lies between 0 and 1,
//
//     1 / (s x_k + epsilon) = q / (1 - u d_k) = q sum_j (u d_k)^j,   d_k = 1 - x_k / x_0,
//
// so the sum over steps is q sum_j u^j T_j with T_j = sum_k a_k d_k^j: the T_j belong to the branch. All terms are positive.
// Where x_k moves too far from x_0 for the terms that are kept, another range of steps begins with an x_0 of its own.
#pragma once
#include <vector>

#include "network/optimizers.hpp"

namespace eprop {

// Numbers of some synapses side by side.
template <class T> struct SynapseChunk {
  static constexpr Index kMost = 512;
  Index size;
  T weight[kMost], moment_1[kMost], moment_2[kMost], gradient[kMost];
};

// A range of Adam's steps: x_0, and the terms T_j.
struct AdamRange {
  static constexpr int kTerms = 12;
  double x, terms[kTerms];
};

// The steps first + 1 .. last of an optimiser, and what they have in common.
struct OwedSteps {
  const OptimizerConstants* optimizer = nullptr;
  Index first = -1, last = -1;
  double kept = 1, left_1 = 1, left_2 = 1;  // decay of weights and moments in the steps after the first
  double travel = 0;                        // momentum: distance over the m of the first step, in the steps after it
  Index moving = 1;                         // Adam: steps that can move a weight, the first ones
  std::vector<AdamRange> ranges;            // Adam: empty if the steps are taken one by one

  // Prepares these steps, unless they are the last ones that were prepared.
  void prepare(Index first_step, Index last_step, const OptimizerConstants& constants);
};

// Takes the steps for the synapses of a chunk, the first with their gradients; bounds apply after the last. A learning rate of
// zero freezes synapses.
template <class T> void take_steps(const OwedSteps& owed, SynapseChunk<T>& chunk);

}  // namespace eprop
