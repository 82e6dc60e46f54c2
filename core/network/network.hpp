// A network: its topology, what it keeps for each synapse, feedback, and constants that learn. The loops over time borrow it.
//
// Arrays of fixed size have a row in the table `fields` of their struct (network/fields.hpp).
#pragma once
#include <cstdint>
#include <vector>

#include "network/fields.hpp"
#include "network/tables.hpp"

namespace eprop {

// One entry per synapse; arrays that no rule needs have length 0.
template <class Real> struct Synapses {
  Array1<Real> weight;
  Array1<Real> trace;                // e_bar
  Array1<Real> trace_reg;            // e_bar_reg, two kappas only
  Array1<Real> trace_reward;         // reward trace, reward only
  Array2<Real> own;                  // (n_own, synapses) own components of the eligibility vector
  Array1<Real> pending;              // gradient until the end of the batch, or the next spike (with moments)
  Array1<Real> moment_1, moment_2;   // of gradients, of squared gradients
  Array1<std::int8_t> levels;        // in place of weights: whole numbers of levels of up to 8 bits (online/weights.hpp) ...
  Array1<std::int16_t> wide_levels;  // ... or of up to 16

  static constexpr auto fields() {
    using S = Synapses;
    constexpr Axis axis = Axis::synapse;
    constexpr int lasting = kState | kLasting;
    return std::tuple{
        Field{"weight", &S::weight, axis, lasting, [](auto& s) { return Shape{s.synapses_if(s.level_bytes == 0)}; }},
        Field{"trace", &S::trace, axis, kState, [](auto& s) { return Shape{s.synapses_if(s.eprop_plus)}; }},
        Field{"trace_reg", &S::trace_reg, axis, kState, [](auto& s) { return Shape{s.synapses_if(s.two_kappas)}; }},
        Field{"trace_reward", &S::trace_reward, axis, kState, [](auto& s) { return Shape{s.synapses_if(s.reward_cutoff)}; }},
        Field{"own", &S::own, axis, kState, [](auto& s) { return Shape{s.own, s.synapses}; }},
        Field{"pending", &S::pending, axis, kState, [](auto& s) { return Shape{s.synapses_if(s.gradients)}; }},
        Field{"moment_1", &S::moment_1, axis, lasting, [](auto& s) { return Shape{s.synapses_if(s.moment_1)}; }},
        Field{"moment_2", &S::moment_2, axis, lasting, [](auto& s) { return Shape{s.synapses_if(s.moment_2)}; }},
        Field{"levels", &S::levels, axis, kLasting, [](auto& s) { return Shape{s.synapses_if(s.level_bytes == 1)}; }},
        Field{"wide_levels", &S::wide_levels, axis, kLasting, [](auto& s) { return Shape{s.synapses_if(s.level_bytes == 2)}; }},
    };
  }
};

// Synapses that move (network/rewiring.hpp); otherwise empty.
struct Moves {
  Array1<Index> born;         // (synapses,) when each was made, in mini-batches or steps of learning; 0 for those of the build
  Array1<Index> moved, last;  // (projections,) synapses that have moved, on all ranks; those of the last rewiring

  static constexpr auto fields() {
    constexpr int lasting = kState | kLasting;
    return std::tuple{
        Field{"born", &Moves::born, Axis::synapse, lasting, [](auto& s) { return Shape{s.synapses_if(s.rewired)}; }},
        Field{"moved", &Moves::moved, Axis::same, lasting, [](auto& s) { return Shape{s.rewired}; }},
        Field{"last", &Moves::last, Axis::same, lasting, [](auto& s) { return Shape{s.rewired}; }},
    };
  }
};

struct Feedback {
  Array2<double> weight;  // (readouts, neurons)
  Array2<double> offset;  // (readouts, neurons) adaptive feedback minus the weight it follows; otherwise (0, 0)

  static constexpr auto fields() {
    constexpr Axis axis = Axis::neuron;
    constexpr int lasting = kState | kLasting;
    return std::tuple{
        Field{"feedback", &Feedback::weight, axis, lasting, [](auto& s) { return Shape{s.readouts, s.neurons}; }},
        Field{"feedback_offset", &Feedback::offset, axis, lasting,
              [](auto& s) { return s.adaptive_feedback ? Shape{s.readouts, s.neurons} : Shape{0, 0}; }},
    };
  }
};

// Constants that learn, side by side as in Topology::constants; otherwise empty.
struct Constants {
  Array1<double> moved;          // what their optimiser moves: values, or logarithms of values
  Array1<double> first, second;  // Adam's means of the gradient and of its square
  Array1<double> gradient;       // of a mini-batch
  Array2<double> products;       // (products, targets) sums of a mini-batch, see `Product`

  static constexpr auto fields() {
    using S = Constants;
    constexpr Axis axis = Axis::same;
    constexpr int lasting = kState | kLasting;
    return std::tuple{
        Field{"moved", &S::moved, axis, lasting, [](auto& s) { return Shape{s.constants}; }},
        Field{"first", &S::first, axis, lasting, [](auto& s) { return Shape{s.constants}; }},
        Field{"second", &S::second, axis, lasting, [](auto& s) { return Shape{s.constants}; }},
        Field{"gradient", &S::gradient, axis, kWork, [](auto& s) { return Shape{s.constants}; }},
        Field{"products", &S::products, axis, kWork, [](auto& s) { return Shape{s.products, s.targets()}; }},
    };
  }
};

template <class Real> struct Network {
  Sizes sizes;
  Topology topology;
  Synapses<Real> synapses;
  Moves moves;
  Feedback feedback;
  Constants constants;
  std::vector<Zeros> memory;               // of the arrays that were not given
  std::vector<std::uint32_t> all_targets;  // see `with_targets`
};

template <class Real> std::vector<Row> rows_of(Network<Real>& network) {
  std::vector<Row> rows;
  add_rows("synapses", network.synapses, rows);
  add_rows("wiring", network.moves, rows);
  add_rows("neurons", network.feedback, rows);
  add_rows("constants", network.constants, rows);
  return rows;
}

// The topology with ids of all targets, also where the online loop counts them from the first neuron of their partition.
template <class Real> Topology with_targets(Network<Real>& network) {
  Topology topology = network.topology;
  if (topology.near_targets.size == 0) return topology;
  network.all_targets.resize(static_cast<std::size_t>(topology.near_targets.size));
  for (Index p = 0; p < topology.n_partitions(); p++) {
    const Index* start = topology.branch_start.row(p);
    for (Index synapse = start[0]; synapse < start[topology.branch_start.columns - 1]; synapse++)
      network.all_targets[synapse] = static_cast<std::uint32_t>(topology.bounds(0, p)) + topology.near_targets[synapse];
  }
  topology.targets = {network.all_targets.data(), topology.near_targets.size};
  topology.near_targets = {};
  return topology;
}

// The same network with other weights, which does not learn; `network` must outlive it.
template <class Real> Network<Real> at_rest(const Network<Real>& network, Array1<Real> weight) {
  Network<Real> copy{network.sizes.at_rest(), network.topology, network.synapses, network.moves, network.feedback, {}, {}, {}};
  copy.synapses.weight = weight;
  copy.synapses.levels.size = copy.synapses.wide_levels.size = 0;
  return copy;
}

}  // namespace eprop
