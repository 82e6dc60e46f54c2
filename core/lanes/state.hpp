// State of the lanes of e-prop: their networks, their rows of history, and the work space of the backward pass.
#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "lanes/fields.hpp"
#include "lanes/plan.hpp"
#include "network/tables.hpp"
#include "neurons/drives.hpp"
#include "step/request.hpp"
#include "support/aligned.hpp"
#include "support/interrupt.hpp"

namespace eprop {

// Number of past steps on which a network depends.
struct Horizon {
  Index latency = 1;       // longest time from a spike to an error that it causes, and to external signals one step later
  Index delay = 1;         // longest delay
  Index components = 1;    // most components of an eligibility; a synapse's traces are these and the filtered one
  bool continues = false;  // whether rollouts continue; otherwise there is no past
  Index history() const { return continues ? latency + delay : 0; }
  Index traces() const { return components + 1; }
};
inline Horizon horizon_of(const Topology& topology, bool continues) {
  Horizon horizon;
  horizon.continues = continues;
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

// The numbers on which the shapes of a lane's arrays depend.
struct LaneSizes {
  Index state_rows, neurons, readouts, populations, partitions, synapses, products;
  Index slots;       // rows of the state that are kept for learned constants
  Index columns;     // of a row with all targets, padded
  Index input_rows;  // of all receptors
  bool continues;
  Index components, sources;
  Index targets() const { return neurons + readouts; }
  Index traces() const { return components + 1; }
};
inline LaneSizes lane_sizes(const Topology& topology, const PlanSizes& plan, const Horizon& horizon) {
  return {topology.initial.rows,
          topology.n_neurons(),
          topology.n_readouts(),
          topology.populations.size,
          topology.n_partitions(),
          topology.targets.size,
          topology.products.size,
          topology.kept_rows.size,
          plan.columns,
          plan.receptors * plan.input_rows(),
          horizon.continues,
          horizon.components,
          topology.n_sources()};
}

// The spikes of a rollout before it is replayed: the spikes of its sources are taken from here.
struct EarlierSpikes {
  bool used = false;
  Aligned<Index> start;
  std::vector<std::int32_t> log;
};

// One sample or environment. A lane has rows of spikes and psi: first its history, the last steps before the rollout, then the
// steps of the rollout. After the end of an episode there are silent rows, as many as the longest delay has steps, so that no
// spike arrives beyond them in either direction. Traces of the synapses, as of `Horizon::latency` steps before the rollout,
// represent older spikes. Spikes and state determine which spikes are in flight.
//
// Its arrays have a row in the table `fields`, see lanes/fields.hpp.
template <class Real> struct Lane {
  Owned2<Real> state;                             // (state rows, neurons)
  Owned2<Real> input;                             // (receptors * input_rows, columns) of some steps, see `PlanSizes`
  Index place = 0;                                // row of the inputs of the next step
  Owned2<double> y;                               // (1, readouts)
  std::uint64_t seed = 0;                         // seed of its random spikes,
  Index clock = 0;                                // and the clock of the first draws of this rollout
  PoissonTables drawn;                            // numbers of its Poisson drives
  std::vector<std::vector<std::int32_t>> spikes;  // (partitions)(neurons and Poisson sources) that spiked in this step
  Owned2<Index> spike_count;                      // (partitions, populations) running counts over the populations

  std::vector<std::int32_t> log;  // sources of all spikes, in the order of step and source; grows
  Owned2<Index> start;            // (rows, populations + 1) offsets of each step in `log`
  Owned2<Real> psi;               // (rows or 1, columns) surrogate gradients
  Owned2<double> error;           // (rows or 1, readouts) of the backward pass
  Owned2<double> kept;            // (rows or 1, kept rows * columns) state before each step, for learned constants

  Index age = 0;                  // steps of its episode before the rollout
  bool traced = false;            // whether `traces` are set
  std::vector<Index> cuts;        // steps of the rollout before which an episode ends, ascending
  Owned2<Real> begin;             // `state` and ...
  Owned2<double> begin_y;         // ... `y` at the start of the rollout
  Owned2<Real> traces;            // (traces, synapses) as of the first step that is processed again
  Owned2<double> product_traces;  // (traces * products, columns) the same of learned constants
  EarlierSpikes earlier;

  static constexpr auto fields() {
    using L = Lane;
    using enum RowsFor;
    return std::tuple{
        LaneField{"neurons", &L::state, Axis::neuron, lane, kState, [](auto& s) { return LaneShape{s.state_rows, s.neurons}; }},
        LaneField{"y", &L::y, Axis::same, lane, kState, [](auto& s) { return LaneShape{1, s.readouts}; }},
        LaneField{"begin_neurons", &L::begin, Axis::neuron, lane, kState,
                  [](auto& s) { return LaneShape{s.continues ? s.state_rows : 0, s.neurons}; }},
        LaneField{"begin_y", &L::begin_y, Axis::same, lane, kState,
                  [](auto& s) { return LaneShape{s.continues ? 1 : 0, s.readouts}; }},
        LaneField{"input", &L::input, Axis::neuron, lane, kWork, [](auto& s) { return LaneShape{s.input_rows, s.columns}; }},
        LaneField{"spike_count", &L::spike_count, Axis::same, lane, kWork,
                  [](auto& s) { return LaneShape{s.partitions, s.populations}; }},
        LaneField{"start", &L::start, Axis::same, step, kWork, [](auto& s) { return LaneShape{1, s.populations + 1}; }},
        LaneField{"psi", &L::psi, Axis::neuron, learning, kState, [](auto& s) { return LaneShape{1, s.columns, 1, s.neurons}; }},
        LaneField{"error", &L::error, Axis::same, learning, kWork, [](auto& s) { return LaneShape{1, s.readouts}; }},
        LaneField{"kept", &L::kept, Axis::same, learning, kState,
                  [](auto& s) { return LaneShape{1, s.slots * s.columns, s.slots, s.targets()}; }},
        LaneField{"traces", &L::traces, Axis::synapse, trace, kState, [](auto& s) { return LaneShape{1, s.synapses}; }},
        LaneField{"product_traces", &L::product_traces, Axis::same, trace, kState,
                  [](auto& s) { return LaneShape{s.products, s.columns, 1, s.targets()}; }},
    };
  }
};

// Inputs of a lane at one receptor (input rows, columns), and at all receptors in its next step (receptors, columns at least).
template <class Real> Array2<Real> inputs_at(const PlanSizes& plan, Lane<Real>& lane, Index receptor) {
  return {lane.input.row(receptor * plan.input_rows()), plan.input_rows(), plan.columns};
}
template <class Real> Array2<Real> inputs_of_step(const PlanSizes& plan, Lane<Real>& lane) {
  return {lane.input.row(lane.place), plan.receptors, plan.input_rows() * plan.columns};
}

// Rows of the work space of the adjoint pass; from kMu on one per component, and one more per component for the next step.
enum AdjointRow : Index { kLambda, kDrift, kSignal, kDrive, kMu };

// Work space for the backward pass of one lane, a table as that of a lane; and `steps`, which grows as the log of a lane.
template <class Real> struct Backward {
  Owned2<Real> G;           // (rows, columns) of lanes that continue; in others, G replaces psi
  Owned2<double> adjoint;   // (rows of AdjointRow, neurons)
  Owned2<double> before;    // (traces, columns) contributions of the initial traces of a rollout to its gradient, by target
  Owned2<double> later;     // (1, readouts) G of the row after
  Owned2<Index> first;      // (1, sources + 1) offsets of each source in `steps`
  Owned2<double> products;  // (products, columns) of this lane, see `Product`
  Owned2<double> drive;     // (1, neurons) adjoint of the distance from the threshold, for products
  Owned2<Real> traces;      // of the next rollout
  Owned2<double> product_traces;
  std::vector<std::int32_t> steps;  // rows of the spikes of each source, ascending

  static constexpr auto fields() {
    using B = Backward;
    using enum RowsFor;
    constexpr auto array = []<class Array>(const char* name, Array B::* member, RowsFor units,
                                           LaneShape (*shape)(const LaneSizes&)) {
      return LaneField{name, member, Axis::same, units, kWork, shape};
    };
    return std::tuple{
        array("G", &B::G, step, [](auto& s) { return LaneShape{s.continues, s.columns}; }),
        array("adjoint", &B::adjoint, lane, [](auto& s) { return LaneShape{kMu + 2 * s.components, s.neurons}; }),
        array("before", &B::before, lane, [](auto& s) { return LaneShape{s.continues ? s.traces() : 0, s.columns}; }),
        array("later", &B::later, lane, [](auto& s) { return LaneShape{1, s.readouts}; }),
        array("first", &B::first, lane, [](auto& s) { return LaneShape{1, s.sources + 1}; }),
        array("products", &B::products, lane, [](auto& s) { return LaneShape{s.products, s.columns}; }),
        array("drive", &B::drive, lane, [](auto& s) { return LaneShape{1, s.products > 0 ? s.neurons : 0}; }),
        array("traces", &B::traces, trace, [](auto& s) { return LaneShape{1, s.synapses}; }),
        array("product_traces", &B::product_traces, trace, [](auto& s) { return LaneShape{s.products, s.columns}; }),
    };
  }
};

// Lanes per thread before gradients are added up: differences in duration between lanes average out, and threads wait for each
// other less often.
inline constexpr Index kLanesPerThread = 4;
// Lanes whose gradients are added up together; a single thread keeps G of one lane in its cache.
inline Index lanes_at_once(Index lanes, int threads) { return threads == 1 ? 1 : std::min(lanes, kLanesPerThread * threads); }

// Connections that the network does not have, by the same branches, and the gradients that they would have.
template <class Real> struct AbsentConnections {
  Topology topology;
  DeliveryPlan<Real> plan;
  Array2<Real> gradients;                     // (sums, connections) the backward pass adds to them
  std::vector<Aligned<Real>> synapse_sums{};  // (threads)(plan.sums)
};

template <class Real> struct Episodes {
  Topology topology;
  Array2<const double> feedback;  // (readouts, neurons)
  Horizon horizon;
  Index rows;   // capacity of each lane
  bool learns;  // whether there is room for the backward pass
  int threads;
  Index n_sources;
  std::vector<std::uint64_t> poisson_limit;
  DeliveryPlan<Real> plan;
  std::vector<std::uint8_t> learning{};       // per population: whether synapses onto it learn; otherwise psi is not needed
  std::vector<Aligned<Real>> row_sums{};      // (threads)(columns) work space for gradients of all targets of a branch,
  std::vector<Aligned<Real>> synapse_sums{};  // (threads)(plan.sums) and of synapses
  Array1<const Real> weight{};                // of all synapses, see `set_weights`
  Index steps = 0;                            // of this rollout so far
  std::vector<Lane<Real>> lanes{};
  std::vector<Backward<Real>> works{};
  std::optional<AbsentConnections<Real>> absent{};

  // Number of used rows of a lane.
  Index used_rows(const Lane<Real>& lane) const {
    return horizon.history() + steps + horizon.delay * static_cast<Index>(lane.cuts.size());
  }
  // Row of a step of the rollout.
  Index row_of(const Lane<Real>& lane, Index step) const {
    const auto ended = std::upper_bound(lane.cuts.begin(), lane.cuts.end(), step) - lane.cuts.begin();
    return horizon.history() + step + horizon.delay * static_cast<Index>(ended);
  }
  // The first row that no spike needs to reach.
  Index end_row() const { return horizon.continues ? std::numeric_limits<Index>::max() : steps; }
};

template <class Real> LaneSizes lane_sizes(const Episodes<Real>& episodes) {
  return lane_sizes(episodes.topology, episodes.plan, episodes.horizon);
}

// Units for which a lane has memory.
template <class Real> Units room_of(const Episodes<Real>& episodes, const Lane<Real>& lane) {
  return {episodes.rows, episodes.learns ? episodes.rows : 1, lane.traced ? episodes.horizon.traces() : 0};
}

// Steps of one episode within a rollout: rows begin .. end - 1; `step` is the step of row begin.
struct Segment {
  Index begin, end, step;
};
template <class Real> std::vector<Segment> segments_of(const Episodes<Real>& episodes, const Lane<Real>& lane) {
  std::vector<Segment> segments;
  Index step = 0;
  for (std::size_t k = 0; k <= lane.cuts.size(); k++) {
    const Index stop = k < lane.cuts.size() ? lane.cuts[k] : episodes.steps;
    const Index row = episodes.horizon.history() + step + episodes.horizon.delay * static_cast<Index>(k);
    segments.push_back({row, row + stop - step, step});
    step = stop;
  }
  return segments;
}

// Some lanes, and their indices in a request: lane + k has index + k.
struct Chunk {
  Index lane, index, width;
};

// Capacity of the list of a partition's spikes in one step.
inline Index list_size(const Topology& topology, Index p) {
  const Index n = topology.n_partitions();
  Index room = topology.bounds(0, p + 1) - topology.bounds(0, p);
  for (Index b = 0; b < topology.populations.size; b++)
    if (const Population& population = topology.populations[b]; population.role == Role::poisson)
      room += population.size * (p + 1) / n - population.size * p / n;
  return room;
}

// Initial capacity for the spikes of a lane; and after some rows, if each source spikes once in `kRowsPerSpike` rows.
inline constexpr Index kFirstLog = 8192, kRowsPerSpike = 100;
inline Index first_log(Index sources) { return std::max(4 * sources, kFirstLog); }
inline Index expected_log(Index sources, Index rows) {
  Index log = first_log(sources);
  while (log < (rows / kRowsPerSpike + 1) * sources) log *= 2;
  return log;
}

// What lanes are made for.
struct EpisodeSizes {
  Index lanes, steps;
  bool continues, learns;
  int threads;
};
// Rows of a lane for its steps; where it continues, also for its history and the end of an episode.
inline Index rows_of(const Horizon& horizon, Index steps) {
  return steps + horizon.history() + (horizon.continues ? horizon.delay : 0);
}

// Bytes of lanes, with the logs that they will probably have, and of all that they share.
template <class Real> Index episode_bytes(const Topology& topology, const EpisodeSizes& sizes) {
  constexpr Index kReal = sizeof(Real), kId = sizeof(std::int32_t), kIndex = sizeof(Index);
  const auto [lanes, steps, continues, learns, threads] = sizes;
  const Horizon horizon = horizon_of(topology, continues);
  const Index rows = rows_of(horizon, steps), partitions = topology.n_partitions();
  const PlanSizes plan = plan_sizes(topology, rows, learns, threads, kReal);
  const LaneSizes shape = lane_sizes(topology, plan, horizon);
  const Units units{rows, learns ? rows : 1, continues && learns ? horizon.traces() : 0};
  const Index log = kId * expected_log(shape.sources, rows);
  Index lane = bytes_of<Lane<Real>>(shape, units) + log;
  for (Index p = 0; p < partitions; p++) lane += kId * list_size(topology, p);
  if (continues && learns) lane += log + kIndex * rows * (shape.populations + 1);  // a replay, see `EarlierSpikes`
  const Index works = !learns ? 0 : continues ? lanes_at_once(lanes, threads) : lanes;
  const Index work = bytes_of<Backward<Real>>(shape, {units.step, units.learning, 0}) + log;
  const Index traces = bytes_of<Backward<Real>>(shape, units) + log - work;  // made by as many lanes as there are threads
  const Index of_thread = learns ? plan.columns + plan.sums + kPadding : 0;
  const Index shared = kReal * (plan.dense + threads * of_thread) + kId * plan.fused + (kIndex + kId) * plan.series +
                       kIndex * (plan.series_branches + 2 * topology.groups.size * partitions);
  return lanes * lane + works * work + std::min<Index>(threads, lanes) * traces + shared;
}

}  // namespace eprop
