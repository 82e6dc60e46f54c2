// What a state keeps of spikes: those in the log, what axons and neurons remember, and nothing that follows from these.
#pragma once
#include "online/run.hpp"

namespace eprop {

struct SpikeState {
  std::vector<Index> counts, sources;  // spikes of each step that is in the log, and their sources
  // (2, sources) last spike and the interval before it, (slots, parts, sources) filtered spikes: before the oldest spikes that
  // may still be read. Those are processed again.
  std::vector<Index> axon_times;
  std::vector<double> axon_z;
  std::vector<Index> post_times;  // (capacity, neurons) pair rules: the last spikes of each neuron
};

// Steps from which spikes are in the log, and from which they are processed again, before step t.
inline Index first_logged(const SpikeLog& log, Index t) { return std::max<Index>(t - log.past_mask(), 0); }
inline Index first_processed(const SpikeLog& log, Index t) { return std::max<Index>(t - log.record_steps, 0); }

template <class Real> SpikeState spike_state(OnlineRun<Real>& run);

// Sets a state that Python has checked, as of step `run.t`.
template <class Real> void set_spike_state(OnlineRun<Real>& run, const SpikeState& state);

}  // namespace eprop
