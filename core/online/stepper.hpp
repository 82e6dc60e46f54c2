// One step of a network whose inputs become known as it runs: a reusable request, and arrays for the arguments of a step.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "online/run.hpp"
#include "support/finite.hpp"

namespace eprop {

// Arguments of a step besides events; bits of `given`.
enum Given : int { kTarget = 1, kSignal = 2, kError = 4 };
// Reason why a step was refused, which leaves the state unchanged; or `check`: time to check for values that are not finite.
// `form`: an argument needs conversion, or is invalid; `busy`: another thread uses the network.
enum class StepStatus : int {
  done,
  target,
  shares,
  signal,
  modulator,
  error,
  no_step_before,
  check,
  reward,
  no_reward,
  form,
  busy
};

struct Stepper {
  Request request;
  std::vector<Index> event_start;  // (event sources, 2)
  std::vector<std::int32_t> events;
  std::vector<Index> sizes;  // (event sources,)
  Index source = -1;         // the source of channels without a name
  std::vector<double> target, signal, error, window, y, shown, loss;
  const double* signals = nullptr;  // of all neurons, for one step: `signal`, or an array of the caller, which is not copied
  std::vector<Index> first, spikes;
  double modulator = 1.0, reward = 0.0;
  bool rewarded = false;  // whether synapses have reward traces
  Index steps = 0;
};

// Steps between two checks of voltages and weights.
inline constexpr Index kCheckEvery = 256;

inline void prepare_stepper(Stepper& stepper, const Topology& topology, std::uint64_t seed, bool frozen, int threads) {
  const auto neurons = static_cast<std::size_t>(topology.n_neurons()), readouts = static_cast<std::size_t>(topology.n_readouts());
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  for (Index b = 0; b < topology.populations.size; b++) {
    const Population& population = topology.populations[b];
    if (population.role == Role::events) stepper.sizes.push_back(population.size);
    if (population.role == Role::readout) stepper.window.push_back(1.0);
    stepper.first.push_back(population.role == Role::neuron ? population.target_begin : -1);
  }
  if (stepper.window.empty()) stepper.window.push_back(1.0);
  for (Index g = 0; g < topology.groups.size; g++) stepper.rewarded |= topology.groups[g].reward_cutoff > 0;
  stepper.event_start.assign(2 * stepper.sizes.size(), 0);
  Index room = 0;
  for (const Index size : stepper.sizes) room += size;
  stepper.events.reserve(static_cast<std::size_t>(room));
  stepper.target.assign(readouts, kNone);
  stepper.error.assign(readouts, kNone);
  stepper.signal.assign(neurons, 0.0);
  stepper.signals = stepper.signal.data();
  stepper.y.assign(readouts, 0.0);
  stepper.shown.assign(readouts, 0.0);
  stepper.loss.assign(1, 0.0);
  stepper.spikes.assign(1, 0);
  Request& r = stepper.request;
  const auto sources = static_cast<Index>(stepper.sizes.size()), k = static_cast<Index>(readouts);
  r.seed = seed;
  r.n_steps = 1;
  r.learn = !frozen;
  r.threads = threads;
  r.event_start = {stepper.event_start.data(), sources, 2};
  r.target = {stepper.target.data(), 1, 1, k};
  r.window = {stepper.window.data(), 1, 1, static_cast<Index>(stepper.window.size())};
  r.external.first = {stepper.first.data(), topology.populations.size};
  r.y = {stepper.y.data(), 1, 1, k};
  r.loss = {stepper.loss.data(), 1};
  r.spikes = {stepper.spikes.data(), 1};
}

// Appends the events of the next source, in ascending order, each once; returns false if one is out of range, or
// if they are a dense array.
template <class Channel> bool take_events(Stepper& stepper, Index source, const Channel* channels, Index n) {
  std::vector<std::int32_t>& events = stepper.events;
  if (source == stepper.source) events.clear();  // the only source
  const auto begin = static_cast<std::ptrdiff_t>(events.size());
  bool rising = true;
  for (Index k = 0; k < n; k++) {
    const auto channel = static_cast<Index>(channels[k]);
    if (channel < 0 || channel >= stepper.sizes[source]) return false;
    rising &= k == 0 || static_cast<Index>(channels[k - 1]) < channel;
    events.push_back(static_cast<std::int32_t>(channel));
  }
  if (!rising) {
    std::sort(events.begin() + begin, events.end());
    events.erase(std::unique(events.begin() + begin, events.end()), events.end());
    // Zeros and ones of all inputs are no list of channels.
    const Index left = static_cast<Index>(events.size()) - begin;
    if (left < n && n == stepper.sizes[source] && events.back() <= 1) return false;
  }
  stepper.event_start[2 * source] = begin;
  stepper.event_start[2 * source + 1] = static_cast<Index>(events.size());
  return true;
}

// Checks for targets that are NaN where a target was given, or are not class probabilities.
inline StepStatus check_targets(const Stepper& stepper, const Topology& topology) {
  for (Index b = 0; b < topology.populations.size; b++) {
    const Population& population = topology.populations[b];
    if (population.role != Role::readout) continue;
    const double* target = stepper.target.data() + population.target_begin - topology.n_neurons();
    if (std::isnan(target[0]) && std::all_of(target, target + population.size, [](double x) { return std::isnan(x); })) continue;
    if (!all_finite(target, population.size)) return StepStatus::target;
    double total = 0.0;
    for (Index k = 0; k < population.size && population.softmax != 0; k++) {
      if (target[k] < 0.0) return StepStatus::shares;
      total += target[k];
    }
    if (population.softmax != 0 && std::fabs(total - 1.0) > 1e-3) return StepStatus::shares;
  }
  return StepStatus::done;
}

inline StepStatus check_step(const Stepper& stepper, const Topology& topology, Index t, int given) {
  if (!std::isfinite(stepper.modulator)) return StepStatus::modulator;
  if (!std::isfinite(stepper.reward)) return StepStatus::reward;
  if (stepper.reward != 0.0 && !stepper.rewarded) return StepStatus::no_reward;
  if ((given & kSignal) != 0 && !all_finite(stepper.signals, topology.n_neurons())) return StepStatus::signal;
  if ((given & kError) != 0) {
    if (t == 0) return StepStatus::no_step_before;
    for (const double error : stepper.error)
      if (std::isinf(error)) return StepStatus::error;
  }
  return (given & kTarget) != 0 ? check_targets(stepper, topology) : StepStatus::done;
}

// Clears the arguments of the last step.
inline void clear_arguments(Stepper& stepper, int given) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  stepper.events.clear();
  std::fill(stepper.event_start.begin(), stepper.event_start.end(), 0);
  if ((given & kTarget) != 0) std::fill(stepper.target.begin(), stepper.target.end(), kNone);
  if ((given & kSignal) != 0 && stepper.signals == stepper.signal.data())
    std::fill(stepper.signal.begin(), stepper.signal.end(), 0.0);
  stepper.signals = stepper.signal.data();
  if ((given & kError) != 0) std::fill(stepper.error.begin(), stepper.error.end(), kNone);
}

// One step with the events that were read, and the arrays that `given` names.
template <class Real> StepStatus take_step(OnlineRun<Real>& run, Stepper& stepper, int given) {
  const Topology& topology = run.state.topology;
  if (const StepStatus status = check_step(stepper, topology, run.t, given); status != StepStatus::done) {
    clear_arguments(stepper, given);
    return status;
  }
  Request& request = stepper.request;
  request.event_channels = {stepper.events.data(), static_cast<Index>(stepper.events.size())};
  request.external.signals = {stepper.signals, (given & kSignal) != 0 ? 1 : 0, 1, topology.n_neurons()};
  request.external.modulator = {&stepper.modulator, stepper.modulator != 1.0 ? 1 : 0, 1};
  request.external.reward = {&stepper.reward, 1, 1};
  stepper.loss[0] = 0.0;
  stepper.spikes[0] = 0;
  request.errors_given = (given & kError) != 0;
  if (request.errors_given) replace_errors(run, Array1<const double>{stepper.error.data(), topology.n_readouts()});
  run_online(run, 1, 0, request);
  bool finite = std::isfinite(stepper.loss[0]);
  for (std::size_t k = 0; k < stepper.y.size(); k++) {
    stepper.shown[k] = stepper.y[k] + topology.readouts[static_cast<Index>(k)].leak;
    finite &= std::isfinite(stepper.y[k]);
  }
  clear_arguments(stepper, given);
  return ++stepper.steps % kCheckEvery == 0 || !finite ? StepStatus::check : StepStatus::done;
}

}  // namespace eprop
