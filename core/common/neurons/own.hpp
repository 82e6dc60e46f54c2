// The loop over neurons of one model, compiled here for built-in models and by Numba for a user's own.
#pragma once
#include <cstdint>

#include "common/arrays.hpp"

namespace eprop {

// Advances `neurons` neurons from index `begin` on by one step. Reads input[begin + k], writes column begin + k of state, the
// surrogate gradient psi[k] and the mark spiked[k] (1 or 0), for k = 0 .. neurons - 1. State and parameters are rows of `columns`
// numbers. A loop for neurons with shared parameters reads only the first column of `params`, which then points to the column of
// one of them.
//
// `engine/own_neuron.py` compiles functions with this signature; Python passes their addresses as integers.
using NeuronLoop = void (*)(Index begin, Index neurons, Index columns, double* state, const double* params, const double* input,
                            double* psi, std::int32_t* spiked);

}  // namespace eprop
