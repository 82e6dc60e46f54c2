// Parallel streams with continuing rollouts: their steps, and their history.
//
// A stream keeps rows of spikes and psi: first its history, the last steps before the rollout, then the steps of the rollout.
// After the end of an episode there are silent rows, as many as the longest delay has steps, so that no spike arrives beyond them
// in either direction. The traces of the synapses, as of `Horizon::latency` steps before the rollout, represent older spikes.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "episodes/batch_state.hpp"

namespace eprop {

// Number of past steps that a network depends on.
struct Horizon {
  Index latency = 1;     // longest time from a spike to an error that it causes, and to outside values one step later
  Index delay = 1;       // longest delay
  Index components = 1;  // most components of an eligibility; a synapse's traces are these and the filtered one
  Index history() const { return latency + delay; }
  Index traces() const { return components + 1; }
};
inline Horizon horizon_of(const Topology& topology) {
  Horizon horizon;
  for (Index b = 0; b < topology.populations.size; b++) {
    horizon.latency = std::max(horizon.latency, topology.populations[b].error_latency);
    horizon.components = std::max(horizon.components, topology.populations[b].n_components);
  }
  const Array2<const Index> pairs = topology.error_latency;
  for (Index k = 0; k < pairs.size(); k++) horizon.latency = std::max(horizon.latency, pairs.data[k]);
  horizon.latency++;
  for (Index r = 0; r < topology.groups.size; r++) horizon.delay = std::max(horizon.delay, topology.groups[r].delay);
  return horizon;
}

// State of neurons and readouts; the spikes determine which spikes are in flight.
struct NetworkState {
  Aligned<double> neurons;  // see `SampleSlot`
  std::vector<double> y;
};

template <class Real> struct RolloutStream {
  SampleSlot<Real> slot;      // rows of `start` and `psi`: see above; `error` is not used
  Index place = 0;            // row of the inputs of its next step
  Index age = 0;              // steps of its episode before the rollout
  bool traced = false;        // whether `traces` are set
  std::vector<Index> cuts;    // steps of the rollout before which an episode ends, ascending
  std::uint64_t seed = 0;     // seed of its random spikes,
  Index clock = 0;            // and the step of the next draws
  std::vector<Index> counts;  // (neurons,) spikes in this rollout
  NetworkState begin;         // state at the start of the rollout
  Owned2<Real> traces;        // (traces, synapses) as of the first step that is processed again
};

// Work space for the backward pass of one stream.
template <class Real> struct RolloutWork {
  Owned2<Real> G;          // (rows, columns)
  Owned2<double> error;    // (rows, readouts)
  Owned2<double> adjoint;  // (rows, neurons), see AdjointRow
  Owned2<double> before;   // (traces, columns) contributions of the initial traces of a rollout to its gradient, by target
  std::vector<double> drift;
  std::vector<Index> first;
  std::vector<std::int32_t> steps;
  Owned2<Real> traces;
};

template <class Real> struct Rollout {
  Batch<Real> batch;  // weights, delivery, sums of gradients; without slots
  Horizon horizon;
  Index steps = 0;  // of this rollout so far
  std::vector<RolloutStream<Real>> streams;
  std::vector<RolloutWork<Real>> works;

  // Number of used rows of a stream.
  Index rows(const RolloutStream<Real>& stream) const {
    return horizon.history() + steps + horizon.delay * static_cast<Index>(stream.cuts.size());
  }
};

// Steps of one episode within a rollout: rows begin .. end - 1; `step` is the step of row begin.
struct Segment {
  Index begin, end, step;
};
template <class Real> std::vector<Segment> segments_of(const Rollout<Real>& rollout, const RolloutStream<Real>& stream) {
  std::vector<Segment> segments;
  Index step = 0, row = rollout.horizon.history();
  for (const Index cut : stream.cuts) {
    segments.push_back({row, row + cut - step, step});
    row += cut - step + rollout.horizon.delay;
    step = cut;
  }
  segments.push_back({row, row + rollout.steps - step, step});
  return segments;
}

// Bytes of a stream with a number of rows, without its spike log; of its traces, if it has some; of the backward pass of one
// stream; and of shared data.
struct RolloutBytes {
  Index stream, traces, work, shared;
};
inline RolloutBytes rollout_bytes(const Topology& topology, Index state_rows, Index rows, bool learns, int threads,
                                  Index real_size) {
  const PlanSizes plan = plan_sizes(topology, rows, learns, threads, real_size);
  const Horizon horizon = horizon_of(topology);
  const Index n = topology.n_neurons(), k = topology.n_readouts(), psi = learns ? rows : 1;
  const Index states = 8 * (2 * (n * state_rows + k) + plan.input_rows() * plan.columns) + 12 * n;
  const Index traces = horizon.traces() * topology.targets.size * real_size;
  const Index work = rows * (plan.columns * real_size + 8 * k) + 8 * n * (adjoint_rows(topology) + 1) +
                     8 * horizon.traces() * plan.columns + 8 * (topology.n_sources() + 1);
  return {states + 8 * rows * (topology.populations.size + 1) + psi * real_size * plan.columns, traces, work,
          batch_bytes(topology, state_rows, rows, learns, threads, real_size).shared};
}

}  // namespace eprop
