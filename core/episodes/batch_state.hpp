// Samples in parallel: state of each sample, and shared data.
#pragma once
#include <cstdint>
#include <vector>

#include "common/aligned.hpp"
#include "common/exchange.hpp"
#include "common/interrupt.hpp"
#include "common/signals.hpp"
#include "common/tables.hpp"
#include "episodes/delivery_plan.hpp"
#include "online/stream_state.hpp"

namespace eprop {

// Samples to run, and arrays for their results; `n` is the number of these samples.
struct BatchRequest {
  std::uint64_t seed = 0;
  Array1<const Index> samples;  // (n,) indices among all given samples
  Array1<const Index> clocks;   // (n,) first step of their random spikes
  bool learn = false;
  Array2<const double> feedback;    // (readouts, neurons)
  Array2<const double> scales;      // (n, delay groups) factors of gradients; values of the type of the weights
  Array2<const Index> event_start;  // (channels, all samples * n_steps + 1)
  Array1<const std::int32_t> event_channels;
  Array3<const double> target;  // (all samples, n_steps or 1, readouts) NaN: none
  Array3<const double> window;  // (all samples or 1, n_steps, readout populations or 1)
  Outside outside;              // for all samples
  Array3<double> y;             // (n, n_steps, readouts) output, like all fields below
  Array1<double> loss;          // (n,) not finite if the sample diverged
  Array2<Index> counts;         // (n, neurons) spikes
  Array1<Index> events;         // (n,) synaptic events
};

// One sample: the state of a whole network without plasticity, and the history that the adjoint pass needs.
template <class Real> struct SampleSlot {
  Owned2<double> state;   // (state rows, neurons)
  Owned2<double> input;   // (input_steps + longest_offset, columns) of some steps, see `PlanSizes`
  std::vector<double> y;  // (readouts,)
  std::vector<std::vector<std::int32_t>>
      spikes;                     // (partitions)(its neurons and Poisson sources) sources that spiked in this step
  Owned2<Index> spike_count;      // (partitions, populations) running counts over the populations
  std::vector<std::int32_t> log;  // sources of all spikes, in the order of step and source; grows
  Owned2<Index> start;            // (n_steps, populations + 1) offsets of each step in `log`
  Owned2<Real> psi;      // (n_steps or 1, columns) surrogate gradients, which the adjoint pass replaces by G of all targets
  Owned2<double> error;  // (n_steps or 1, readouts)
  Owned2<double> work;   // (rows, neurons) of the adjoint pass
  std::vector<double> readout_work;  // (readouts,)
  std::vector<Index> first;          // (sources + 1,) offsets of each source in `steps`
  std::vector<std::int32_t> steps;   // steps of the spikes of each source, ascending
  Outbox outbox;                     // with several ranks: own spikes of the slice so far
  Index n_spikes() const { return start(start.rows - 1, start.columns - 1); }
};

template <class Real> struct Batch {
  Topology topology;
  Array2<const double> initial;  // (state rows, neurons)
  Index n_steps;
  bool learns;  // whether there is room for the adjoint pass
  int threads;
  Index n_sources;
  std::vector<std::uint64_t> poisson_limit;
  DeliveryPlan<Real> plan;
  std::vector<std::uint8_t> learning;  // per population: whether synapses onto it learn; otherwise psi is not needed
  Array1<const Real> weight;           // of all synapses, see `set_weights`
  std::vector<SampleSlot<Real>> slots;
  std::vector<Aligned<Real>> row_sums;      // (threads)(columns) work space for gradients of all targets of a branch,
  std::vector<Aligned<Real>> synapse_sums;  // (threads)(plan.sums) and of synapses
};

// Lists of spikes with capacity for one step.
template <class Real> void make_lists(const Topology& topology, SampleSlot<Real>& slot) {
  const Index n = topology.n_partitions();
  for (Index p = 0; p < n; p++) {
    Index room = topology.bounds(0, p + 1) - topology.bounds(0, p);
    for (Index b = 0; b < topology.populations.size; b++)
      if (const Population& population = topology.populations[b]; population.role == Role::poisson)
        room += population.size * (p + 1) / n - population.size * p / n;
    slot.spikes.emplace_back(static_cast<std::size_t>(room));
  }
  slot.spike_count = Owned2<Index>(n, topology.populations.size);
}

// Rows of the work space of the adjoint pass; from kMu on one per component, and one more per component for the next step.
enum AdjointRow : Index { kLambda, kDrift, kSignal, kDrive, kMu };
inline Index adjoint_rows(const Topology& topology) {
  Index n_components = 0;
  for (Index b = 0; b < topology.populations.size; b++)
    n_components = std::max(n_components, topology.populations[b].n_components);
  return kMu + 2 * n_components;
}

// Bytes of a slot without its spike log, and bytes shared by all slots: the allocation of a batch.
struct BatchBytes {
  Index slot, shared;
};
inline BatchBytes batch_bytes(const Topology& topology, Index state_rows, Index n_steps, bool learns, int threads,
                              Index real_size) {
  const PlanSizes plan = plan_sizes(topology, n_steps, learns, threads, real_size);
  const Index n = topology.n_neurons(), k = topology.n_readouts(), history = learns ? n_steps : 1;
  Index spiking = n;  // neurons and Poisson sources
  for (Index b = 0; b < topology.populations.size; b++)
    if (topology.populations[b].role == Role::poisson) spiking += topology.populations[b].size;
  const Index nodes = 8 * n * (state_rows + (learns ? adjoint_rows(topology) : 0)) + 4 * spiking + 16 * k +
                      8 * (topology.n_sources() + 1 + topology.n_partitions() * topology.populations.size);
  const Index steps = 8 * n_steps * (topology.populations.size + 1) + history * (8 * k + real_size * plan.columns);
  const Index shared = plan.dense * real_size + 4 * plan.fused + 12 * plan.series + 8 * plan.series_branches +
                       (learns ? threads * (plan.sums + kPadding + plan.columns) * real_size : 0);
  return {nodes + steps + 8 * plan.input_rows() * plan.columns, shared};
}

}  // namespace eprop
