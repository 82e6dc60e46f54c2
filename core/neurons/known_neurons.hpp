// The neurons that a rank knows, among all neurons: a bit set, and the number of set bits before each word.
//
// A rank keeps axons only of its own neurons, and of neurons that reach its own. Their local ids follow the order of all neurons.
// A set takes an eighth of a byte for each neuron of the whole network, and the counts half as much again.
#pragma once
#include <bit>
#include <cstdint>

#include "support/arrays.hpp"

namespace eprop {

struct KnownNeurons {
  Array1<const std::uint64_t> bits;
  Array1<const std::uint32_t> counts;  // known neurons before each word
};

// Whether a neuron is known.
inline bool is_known(Array1<const std::uint64_t> bits, Index neuron) { return (bits[neuron >> 6] >> (neuron & 63)) & 1; }

// Number of known neurons before this one: its local id, if it is known.
inline Index known_before(const KnownNeurons& known, Index neuron) {
  const Index word = neuron >> 6;
  const std::uint64_t below = known.bits[word] & ((std::uint64_t{1} << (neuron & 63)) - 1);
  return static_cast<Index>(known.counts[word]) + std::popcount(below);
}

// Adds neurons `first + neurons` to the set.
template <class Neuron> void mark_known(Array1<std::uint64_t> bits, Index first, Array1<const Neuron> neurons) {
  for (Index k = 0; k < neurons.size; k++) {
    const Index neuron = first + static_cast<Index>(neurons[k]);
    bits[neuron >> 6] |= std::uint64_t{1} << (neuron & 63);
  }
}

// Fills the counts. There is one word more than needed, so that the count after the last neuron has a word, too.
inline void count_known(Array1<const std::uint64_t> bits, Array1<std::uint32_t> counts) {
  std::uint32_t total = 0;
  for (Index word = 0; word < bits.size; word++) {
    counts[word] = total;
    total += static_cast<std::uint32_t>(std::popcount(bits[word]));
  }
}

// Local ids, relative to that of neuron `first`, of the known neurons `first + neurons`.
template <class Neuron> void local_ids(const KnownNeurons& known, Index first, Array1<const Neuron> neurons, std::int32_t* ids) {
  const Index base = known_before(known, first);
  for (Index k = 0; k < neurons.size; k++)
    ids[k] = static_cast<std::int32_t>(known_before(known, first + static_cast<Index>(neurons[k])) - base);
}

}  // namespace eprop
