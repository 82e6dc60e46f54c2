// The spikes of one slice as bytes: how a rank serialises its own, and how those of all ranks get into the log.
//
// A slice is as many steps as the shortest delay: within it no spike can reach anybody, so ranks need each other's spikes only at
// its end. For each step a message holds the number of spikes and then the neurons in ascending order, each as the distance from
// the one before, in bytes of seven bits (the eighth: more follow). At 5 Hz and steps of 1 ms that is two bytes for most spikes.
//
// Ranks own ascending ranges of neurons, so that their spikes side by side are in the order of the neurons: the log of every rank
// has the order that a single process would give it, and every sum the same order.
#pragma once
#include <cstdint>
#include <vector>

#include "known_neurons.hpp"

namespace eprop {

// Own spikes of the slice so far, of one network or sample: numbers among this rank's neurons, step by step.
struct Outbox {
  std::vector<std::int32_t> spikes;
  std::vector<Index> start{0};  // of each step in `spikes`, and where the last one ends

  void clear() {
    spikes.clear();
    start.assign(1, 0);
  }
  Index steps() const { return static_cast<Index>(start.size()) - 1; }
  // Appends spikes to the step that is being filled.
  void post(const std::int32_t* neurons, Index count) { spikes.insert(spikes.end(), neurons, neurons + count); }
  // The step has all its spikes.
  void end_step() { start.push_back(static_cast<Index>(spikes.size())); }
};

// Appends the bytes of all steps of an outbox.
void serialise_spikes(const Outbox& outbox, std::vector<std::uint8_t>& message);

// Messages of all ranks, one after the other: where each begins, and the first neuron that its rank owns.
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
