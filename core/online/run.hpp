// The loop over time of a network that learns at every spike (e-prop+, pair rules), or does not learn.
#pragma once
#include <atomic>
#include <chrono>
#include <vector>

#include "eprop_plus/eprop_plus.hpp"
#include "online/exchange.hpp"
#include "online/spike_log.hpp"
#include "step/request.hpp"

namespace eprop {

// Recorded variables: kind, row of the state or branch, index of the node or synapse, delay group.
enum class Probe : Index { state, psi, signal, readout, error, weight, trace };

// Numbers that a run adds up: steps, those with learning, and of these those in which outputs at zero have a loss, the loss and
// that of outputs at zero; and the number of steps that are left until Python looks at them, at which a run returns.
enum class Sum : Index { steps, learned, counted, loss, silent, left };
inline constexpr Index kSums = 6;

// Time of the phases of one thread; without `timed` it does nothing.
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

// Results of one partition in a step, for the loop; each in its own cache line.
struct alignas(64) PartitionNotes {
  Index events = 0;                  // arrivals at synapses
  bool post_full = false;            // the next spike of some neuron might overwrite a postsynaptic spike that is still needed
  bool input_finite = true;          // all inputs of the steps so far were finite
  std::vector<Index> poisson_count;  // (populations,) running counts
  bool silent = false;               // all learning signals of the step before were zero
  PoissonTables drawn;               // numbers of its Poisson drives
  StopWatch watch;
};

template <class Real> struct OnlineRun {
  explicit OnlineRun(Network<Real>& borrowed) : network(borrowed), state(borrowed) {}
  Network<Real>& network;
  OnlineState<Real> state;
  std::vector<Zeros> memory;                   // of the arrays of `state`
  Index t = 0, events = 0;                     // steps and synaptic events since the start
  const std::atomic<bool>* awaited = nullptr;  // whether somebody waits for the end of `run_online`
  bool collect = false;                        // own spikes go to the outbox instead of the log
  Outbox outbox;
  ReceivedSpikes received;
  std::vector<int> kinds;  // number of each row of topology.kinds, see eprop_plus/kinds.hpp
  std::vector<PartitionNotes> notes;
  std::vector<SpikeSegment> segments;
  std::vector<std::uint64_t> poisson_limit;
  StopWatch watch;
  bool has_plus = false, has_pairs = false, sums_errors = false;
  double unchecked_work = 0.0;  // approximate nanoseconds since all weights were checked
};

// Memory for all arrays of the loop, and the network at rest.
template <class Real> void prepare_run(OnlineRun<Real>& run, bool timed);

// Bytes of the vectors of the loop, by what they hold: as they are, and as they will be if each source spikes once in
// `kStepsPerSpike` steps.
inline constexpr Index kStepsPerSpike = 100;
struct VectorBytes {
  const char* name;
  Index bytes;
};
template <class Real> std::vector<VectorBytes> vector_bytes(const OnlineRun<Real>& run);
template <class Real> std::vector<VectorBytes> vector_bytes_before(const Sizes& sizes);

// Returns to rest, before the first step; weights and feedback stay.
template <class Real> void reset_run(OnlineRun<Real>& run);

// Runs steps t .. t + n_steps - 1, which start at step `offset` of all samples. Returns the steps done: all, or fewer once 50 ms
// have passed, 5 ms if somebody waits. Vectors grow as needed. While spikes are collected, the steps must lie within one slice.
template <class Real> Index run_online(OnlineRun<Real>& run, Index n_steps, Index offset, const Request& request);

// Replaces the errors of the step before, which reach the neurons in the next step, by external errors; NaN keeps an error.
// There must have been a step.
template <class Real> void replace_errors(OnlineRun<Real>& run, Array1<const double> error);

// Logs the spikes of all ranks in the last n_steps steps, which start at step `offset` of all samples.
template <class Real>
void receive_spikes(OnlineRun<Real>& run, Index n_steps, Index offset, const Request& request, const Inbox& inbox);

enum class Divergence : int { none = 0, not_finite = 1, weight = 2, voltage = 4 };
// Whether the loss or some state is not finite, a voltage implausibly large, or a weight not finite, as far as that check is
// cheap: all weights are checked once synapses have done enough work that it adds little (some ten steps of a small network, up
// to a minute of a large one). In shorter runs a weight that is not finite is detected when a spike delivers it, because the
// input of its target is then not finite. Without learning there is no check of weights.
template <class Real> Divergence judge(OnlineRun<Real>& run, double loss, int threads);

}  // namespace eprop
