// The spikes of one slice as bytes: serialisation of a rank's own spikes, and deserialisation of all ranks' spikes.
//
// A slice has as many steps as the shortest delay: no spike reaches a target within its slice, so ranks exchange spikes only at
// its end. For each step a message holds the number of spikes and then the neurons in ascending order, each as the difference
// from the one before, in bytes of seven bits (the eighth bit: more follow). At 5 Hz and steps of 1 ms most spikes take two
// bytes.
//
// Ranks own ascending ranges of neurons, so their concatenated spikes are in the order of the neurons. So the log of every rank
// has the same order as in a single process, and so has every sum.
#pragma once
#include <cstdint>
#include <vector>

#include "neurons/known_neurons.hpp"

namespace eprop {

// Own spikes of the slice so far: local neuron indices, step by step.
struct Outbox {
  std::vector<std::int32_t> spikes;
  std::vector<Index> start{0};  // offset of each step in `spikes`, and the end

  void clear() {
    spikes.clear();
    start.assign(1, 0);
  }
  Index steps() const { return static_cast<Index>(start.size()) - 1; }
  // Appends spikes to the current step.
  void post(const std::int32_t* neurons, Index count) { spikes.insert(spikes.end(), neurons, neurons + count); }
  // Ends the current step.
  void end_step() { start.push_back(static_cast<Index>(spikes.size())); }
};

// Appends the bytes of all steps of an outbox.
void serialise_spikes(const Outbox& outbox, std::vector<std::uint8_t>& message);

// Concatenated messages of all ranks: start of each, and the first neuron that its rank owns.
struct Inbox {
  Array1<const std::uint8_t> messages;
  Array1<const Index> begin;
  Array1<const Index> first;
  KnownNeurons known;
};

// Local ids of the known neurons that spiked, in ascending order, step by step.
struct ReceivedSpikes {
  std::vector<std::int32_t> neurons;
  std::vector<Index> start;  // (steps + 1,)
};

// Reads the steps of all ranks. Large messages are read by several threads, one rank each.
void deserialise_spikes(const Inbox& inbox, Index steps, int threads, ReceivedSpikes& received);

}  // namespace eprop
