// The loop over neurons of one model, compiled here for the built-in ones and by Numba for a user's own.
#pragma once
#include <cstdint>

#include "../arrays.hpp"

namespace eprop {

// Advances `neurons` neurons from number `begin` on by one step. Reads input[begin + k], writes the column begin + k of state
// and, for k = 0 .. neurons - 1, the surrogate gradient psi[k] and whether the neuron spikes, 1 or 0, spiked[k]. State and
// parameters are rows of `columns` numbers. A loop for neurons that share their parameters reads only the first column of
// `params`, which then points to the column of one of them.
//
// `engine/own_neuron.py` compiles functions with this signature; Python hands over their addresses as integers.
using NeuronLoop = void (*)(Index begin, Index neurons, Index columns, double* state, const double* params, const double* input,
                            double* psi, std::int32_t* spiked);

}  // namespace eprop
