// The loop over time of a network that learns at every spike (e-prop+, STDP), or not at all.
#pragma once
#include <chrono>
#include <vector>

#include "exchange.hpp"
#include "signals.hpp"
#include "spike_log.hpp"
#include "synapses/eprop_plus.hpp"

namespace eprop {

// What is recorded at each step: kind, row of the state or branch, index of the node or synapse, delay group.
enum class Probe : Index { state, psi, signal, readout, error, weight, trace };

// What a run is given and where its results go. They are samples that follow each other.
struct RunRequest {
  std::uint64_t seed;
  Index clock;  // for random numbers, so many steps later
  bool frozen;  // traces go on, weights stay
  int threads;
  Array2<const Index> event_start;  // (event sources, steps of all samples + 1)
  Array1<const std::int32_t> event_channels;
  Array3<const double> target;  // (samples, steps or 1, readouts)
  Array3<const double> window;  // (samples or 1, steps, readout populations or 1)
  Outside outside;
  Array2<const Index> probes;  // (probes, 4), see Probe
  Array2<double> probed, y;    // (steps of all samples, probes), (.., readouts) without the leak potential
  Array1<double> loss;         // (steps of all samples,)
  Array1<Index> spikes;        // (samples,)
};

// Phases of one thread. Without `timed` it stands still.
struct StopWatch {
  bool timed = false;
  std::chrono::steady_clock::time_point last = std::chrono::steady_clock::now();
  double seconds[kPhases] = {};

  void record(Phase phase) {
    if (!timed) return;
    const auto now = std::chrono::steady_clock::now();
    seconds[phase] += std::chrono::duration<double>(now - last).count();
    last = now;
  }
};

// What one partition notes in a step, for the loop; each in a cache line of its own.
struct alignas(64) PartitionNotes {
  Index events = 0;          // synapses at which spikes arrived
  bool post_full = false;    // the next spike of some neuron might push out a postsynaptic spike that is still needed
  bool input_finite = true;  // all inputs of the steps so far were finite
  std::vector<std::int32_t>
      poisson;                       // Poisson sources of its share that spiked, by number within their populations: room for all
  std::vector<Index> poisson_count;  // (populations,) running counts
  StopWatch watch;
};

template <class Real> struct Stream {
  StreamState<Real> state;
  Index t = 0, events = 0;  // steps and synaptic events since the start
  bool collect = false;     // own spikes go to the outbox instead of the log
  Outbox outbox;
  ReceivedSpikes received;
  std::vector<PlusFunctions<Real>> plus;  // of each row of topology.kinds
  std::vector<PartitionNotes> notes;
  std::vector<SpikeSegment> segments;
  std::vector<std::uint64_t> poisson_limit;
  StopWatch watch;
  bool has_plus = false, has_stdp = false, sums_errors = false;
  double unchecked_work = 0.0;  // nanoseconds, about, since all weights were looked at
};

// Work space of a stream whose state has its arrays, and the sizes of what grows.
template <class Real> void prepare_stream(Stream<Real>& stream, bool timed);

// Runs steps t .. t + n_steps - 1, which are those from `offset` on of all samples; returns the steps done: all, or fewer once 50
// ms have passed. Whatever has no room grows. While spikes are collected the steps must lie within one slice.
template <class Real> Index run_stream(Stream<Real>& stream, Index n_steps, Index offset, const RunRequest& request);

// Puts errors from outside in the place of those of the step before, which reach the neurons in the next step; NaN leaves one as
// it is. There must have been a step.
template <class Real> void replace_errors(Stream<Real>& stream, Array1<const double> error);

// Logs the spikes of all ranks in the n_steps steps that were run last, from step `offset` of all samples on.
template <class Real>
void receive_spikes(Stream<Real>& stream, Index n_steps, Index offset, const RunRequest& request, const Inbox& inbox);

enum class Divergence : int { none = 0, not_finite = 1, voltage = 4 };
// Whether some state is not finite, or a voltage beyond all sense.
template <class Real> Divergence find_divergence(const Stream<Real>& stream);

// Whether all weights are finite, as far as that is worth the time: all are looked at once synapses have done so much that it
// costs little beside that (some steps of a small network, a second of a large one). In shorter runs a weight that is no longer
// finite is found when a spike delivers it, for then the input of its target is not finite. Without learning nothing is looked
// at.
template <class Real> bool weights_finite(Stream<Real>& stream, int threads);

}  // namespace eprop
