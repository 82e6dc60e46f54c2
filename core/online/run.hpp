// The loop over time of a network that learns at every spike (e-prop+, pair rules), or does not learn.
#pragma once
#include <chrono>
#include <vector>

#include "eprop_plus/eprop_plus.hpp"
#include "network/inputs.hpp"
#include "online/spike_log.hpp"
#include "support/exchange.hpp"

namespace eprop {

// Recorded variables: kind, row of the state or branch, index of the node or synapse, delay group.
enum class Probe : Index { state, psi, signal, readout, error, weight, trace };

// Numbers that a run adds up: steps, those with learning, and of these the loss and that of outputs at zero.
enum class Sum : Index { steps, learned, loss, silent };
inline constexpr Index kSums = 4;

// Inputs of a run and arrays for its results; a run consists of consecutive samples.
struct RunRequest : Inputs {
  Index clock = 0;      // first step of the random numbers
  bool frozen = false;  // traces continue, weights are constant
  int threads = 1;
  bool errors_given = false;   // whether the errors of the step before were given (stepper)
  Array2<const Index> probes;  // (probes, 4), see Probe
  Array2<double> probed, y;    // (steps of all samples, probes), (.., readouts) without the leak potential
  Array1<double> loss;         // (steps of all samples,)
  Array1<Index> spikes;        // (samples or 0,)
  Array1<Index> of_neurons;    // (neurons or 0,) spikes of each neuron in all samples
  Array1<double> sums;         // (kSums or 0,), see `Sum`
};

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
  Index events = 0;                   // arrivals at synapses
  bool post_full = false;             // the next spike of some neuron might overwrite a postsynaptic spike that is still needed
  bool input_finite = true;           // all inputs of the steps so far were finite
  std::vector<std::int32_t> poisson;  // its Poisson sources that spiked, by index within their populations; full capacity
  std::vector<Index> poisson_count;   // (populations,) running counts
  bool silent = false;                // all learning signals of the step before were zero
  PoissonTables drawn;                // numbers of its Poisson drives
  StopWatch watch;
};

template <class Real> struct OnlineRun {
  explicit OnlineRun(Network<Real>& borrowed) : network(borrowed), state(borrowed) {}
  Network<Real>& network;
  OnlineState<Real> state;
  std::vector<Zeros> memory;  // of the arrays of `state`
  Index t = 0, events = 0;    // steps and synaptic events since the start
  bool collect = false;       // own spikes go to the outbox instead of the log
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

// Returns to rest, before the first step; weights and feedback stay.
template <class Real> void reset_run(OnlineRun<Real>& run);

// Runs steps t .. t + n_steps - 1, which start at step `offset` of all samples. Returns the steps done: all, or fewer once 50 ms
// have passed. Vectors grow as needed. While spikes are collected, the steps must lie within one slice.
template <class Real> Index run_online(OnlineRun<Real>& run, Index n_steps, Index offset, const RunRequest& request);

// Replaces the errors of the step before, which reach the neurons in the next step, by external errors; NaN keeps an error.
// There must have been a step.
template <class Real> void replace_errors(OnlineRun<Real>& run, Array1<const double> error);

// Logs the spikes of all ranks in the last n_steps steps, which start at step `offset` of all samples.
template <class Real>
void receive_spikes(OnlineRun<Real>& run, Index n_steps, Index offset, const RunRequest& request, const Inbox& inbox);

enum class Divergence : int { none = 0, not_finite = 1, voltage = 4 };
// Whether some state is not finite, or a voltage implausibly large.
template <class Real> Divergence find_divergence(const OnlineRun<Real>& run);

// Whether all weights are finite, as far as the check is cheap: all weights are checked once synapses have done enough work that
// the check adds little (some ten steps of a small network, up to a minute of a large one). In shorter runs a weight that is not
// finite is detected when a spike delivers it, because the input of its target is then not finite. Without learning there is no
// check.
template <class Real> bool weights_finite(OnlineRun<Real>& run, int threads);

}  // namespace eprop
