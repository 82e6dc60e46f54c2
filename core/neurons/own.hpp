// Functions of a user, which `engine/own_neuron.py` compiles with these signatures; Python passes their addresses as integers.
#pragma once
#include <cstdint>

#include "support/arrays.hpp"

namespace eprop {

// Advances `neurons` neurons from index `begin` on by one step. Reads input[begin + k], writes column begin + k of state, the
// surrogate gradient psi[k] and the mark spiked[k] (1 or 0), for k = 0 .. neurons - 1. State and parameters are rows of `columns`
// numbers; state, inputs and psi are of the precision of the network, parameters double. A loop for neurons with shared
// parameters reads only the first column of `params`, which then points to the column of one of them.
template <class Real> using NeuronLoop = void (*)(Index begin, Index neurons, Index columns, Real* state, const double* params,
                                                  const Real* input, Real* psi, std::int32_t* spiked);

// Surrogate gradient of neurons with a built-in model, as the functions in `surrogate.hpp`.
using OwnSurrogate = double (*)(double u, double height, double width);

}  // namespace eprop
