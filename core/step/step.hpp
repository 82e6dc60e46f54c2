// What both loops over time do in a step between the delivery of spikes and their log: drive, advance, drop, draw, compare.
#pragma once
#include <algorithm>

#include "neurons/advance.hpp"
#include "neurons/sources.hpp"
#include "step/readouts.hpp"
#include "step/request.hpp"

namespace eprop {

// A step of one of the samples of a request.
struct SampleStep {
  Index sample, step;
};

inline DriveStep drive_of(const Inputs& inputs, const SampleStep& at, std::uint64_t seed, Index clock) {
  return {seed, clock, inputs.drive.rows > 0 ? inputs.drive.row(at.step) : nullptr, inputs.currents, at.sample, at.step};
}

// Targets of all readouts, and weights of the window for their populations.
inline const double* target_of(const Inputs& inputs, const SampleStep& at) {
  return inputs.target.row(at.sample, inputs.target.rows > 1 ? at.step : 0);
}
inline const double* window_of(const Inputs& inputs, const SampleStep& at) {
  return inputs.window.row(inputs.window.planes > 1 ? at.sample : 0, inputs.window.rows > 1 ? at.step : 0);
}

// Neurons of a population that belong to a partition.
inline Positions own_neurons(const Topology& topology, const Population& population, Index partition) {
  return {std::max(topology.bounds(0, partition), population.target_begin),
          std::min(topology.bounds(0, partition + 1), population.target_end)};
}

// All neurons in a step, with an input row for each receptor; `active` as in `NeuronRange`.
template <class Real> struct NeuronStep {
  const Topology& topology;
  const DriveStep& drive;
  const PoissonTables& tables;
  bool drops;
  Array2<Real> state, input;
  std::uint8_t* active = nullptr;
};

// Neurons that are driven and advanced together: their inputs stay in the first-level cache.
inline constexpr Index kDrivenTogether = 1024;

// Drives neurons of population b, calls driven(begin, end), advances them, and appends their spikes, but for those that are
// dropped, to a list of `count`. Returns the new count.
template <class Real, class Driven> Index step_neurons(const NeuronStep<Real>& step, Index b, const Positions& range, Real* psi,
                                                       std::int32_t* spikes, Index count, const Driven& driven) {
  const Population& population = step.topology.populations[b];
  const Index listed = count, odd = (range.first - population.first_target) % kDrawn;  // nodes drawn with the first one
  for (Index first = range.first, stop = 0; first < range.stop; first = stop) {
    stop = std::min(first + kDrivenTogether - (first == range.first ? odd : 0), range.stop);
    apply_drives(step.topology, b, first, stop, step.drive, step.tables, step.state, step.input);
    driven(first, stop);
    const NeuronRange<Real> neurons{population, first, stop, step.state, step.topology.params, step.input, step.active};
    count = advance(neurons, psi, spikes, count);
  }
  return step.drops && population.dropout > 0.0 ? drop_spikes(population, b, step.drive, listed, count, spikes) : count;
}

// Errors of all readouts; returns their loss.
inline double compare_outputs(const Topology& topology, const Inputs& inputs, const SampleStep& at, const double* y,
                              double* error) {
  return compare_readouts(topology, y, true, target_of(inputs, at), window_of(inputs, at), error);
}

}  // namespace eprop
