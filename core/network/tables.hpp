// Tables from the build of a network: populations, delay groups, constants. Python fills the same records as structured NumPy
// arrays, whose fields come from `record_fields` (bindings/tables.cpp); each field has eight bytes.
//
// Local ids: *sources* are all nodes that spike (event sources, Poisson sources, neurons). *Targets* are all neurons followed by
// all readouts. *Branches* are the branches of axons: a source has a branch for each projection and each of its delays. With
// several ranks, each rank owns a range of the neurons. Its targets are its own neurons, followed by all readouts, which every
// rank computes. Its sources are its own neurons and the remote ones that reach its targets (ghosts).
#pragma once
#include "network/fields.hpp"
#include "network/optimizers.hpp"

namespace eprop {

enum class Role : Index { events, poisson, neuron, readout };
enum class Rule : Index { fixed, eprop, eprop_plus, pairs };
// How feedback depends on the readout weights of a delay group: not at all, by the weight, or by its changes.
enum class Tied : Index { no, weight, change };

// What the neurons of a population have in common.
enum class Sharing : Index {
  each,     // neurons have different parameters
  same,     // all neurons have the same parameters
  shortcut  // all neurons have the same, and those that the shortcut needs are zero (`eprop.models.Neuron.shortcut`)
};

struct Population {
  Role role;
  Index size;                      // local nodes
  Index first_node;                // index within the population of the first neuron of this rank
  Index first_source;              // id of its first node among the sources
  Index first_target;              // target id of its first source, also if another rank owns it: converts sources to targets
  Index target_begin, target_end;  // its local targets
  Index model;                     // code of its neuron model in the core, see neurons/advance.hpp; -1: a user's own
  Index own_function;              // address: of the loop over neurons of a user's own model, or of a user's surrogate gradient
  Sharing sharing;                 // of its parameters and of the constants of its eligibility
  Index channel;                   // index among event sources
  Index softmax;                   // for readouts: cross-entropy instead of squared error
  Index trace_group;               // of e-prop+ onto it, or -1; for readouts that of the first class
  Index kind;                      // of its eligibility, a row of Topology::kinds
  Index n_components;              // of its eligibility vector
  Index leaky;                     // eligibility has one component, a spike filter
  Index fed_back;                  // the neuron's own spikes act on its eligibility
  Index voltage_row;               // row of the state with the voltage, or -1
  Index inhibitory_row;            // row of the state that takes the input of the inhibitory receptor, or -1: no such receptor
  Index pair_group;                // a delay group with the constants of its postsynaptic traces (pair rules), or -1
  // e-prop per sample:
  double kappa, c_reg, rate_reg, f_target;  // rates in spikes per step
  double kappa_gain;                        // 1 - kappa; if kappa learns, of its first value: gradients keep their scale
  Index error_latency;                      // steps from a spike to the first error that it causes
  double dropout;                           // fraction of its spikes that are lost while the network learns
  Index averages;                           // whether all rules onto it average gradients, see `DelayGroup::averages`
};

// The synapses of a projection with the same delay (and, onto readouts, the same time constant).
struct DelayGroup {
  Index source_population;
  Index first_branch, n_branches;  // branch of source i: first_branch + branch_stride i
  Index branch_stride;             // branches of one axon are adjacent in memory
  Rule rule;
  Index delay;  // steps
  Index onto_readouts;
  Index receptor;                  // row of the inputs: 0, or 1 for the inhibitory receptor
  Index target_begin, target_end;  // range of its local targets
  Index trace_group, kind;         // of its targets
  Index cutoff;                    // steps after which a silent branch expires
  Index reward_cutoff;             // steps after which rewards no longer count, 0: no reward traces
  Tied tied_feedback;
  Index projection;
  Index per_step_optimizer;      // one optimiser step per time step, with that step's part of the gradient
  Index counts_events;           // every rank has all readouts, and one rank counts their events
  Index first_group;             // first delay group of its projection onto neurons; onto readouts the group itself
  Index delay_offset;            // delay minus the delay of first_group, steps
  Index filter_slot;             // slot of the source filter that it reads, see Topology::trace_consumers
  OptimizerConstants optimizer;  // pair rules: rate and bounds
  double input_scale;            // zeta of readouts
  Index pair_rule;               // code of its pair rule, see pair_rules.hpp
  Index pair_powers;             // row of Topology::pair_powers
  double pre_decay, post_decay;  // of the traces of pair rules, per step
  double pair_constants[4];      // meaning: see its pair rule
  double level;                  // few bits (few_bits.hpp): weight of one level; 0: weights may have any value
  double lowest, highest;        // levels
  Index stochastic;              // rounding is stochastic, not to the nearest
  Index rounding_seed;           // seed of the draws of its projection
  Index first_node;              // local target id of node 0 of its targets, also if another rank owns it
  Index averages;                // e-prop: whether its gradient is a mean over the steps of the learning window
  double clip_norm;              // largest norm of the gradient of its projection; 0: any
};

// Number of steps of a per-step optimiser after a spike, if no other spike follows.
inline Index steps_of_optimizer(const DelayGroup& group) { return group.reward_cutoff > 0 ? group.reward_cutoff : group.cutoff; }

// Whether the gradient of an interval may change a weight at any time before the next spike: w <- w - eta g, and nothing else.
inline bool descends(const DelayGroup& group) { return descends(group.optimizer) && group.level == 0.0; }

// Targets with the same trace constants (e-prop+).
struct TraceGroup {
  double kappa, kappa_reg;
  double kappa_rate;   // decay per step of the running rates
  Index joins_signal;  // whether rate regularisation acts only in steps of which there can be learning signals
  double c_reg, f_target;
  double own_decay;  // decay per step of a synapse's only own component without spikes, if the same for all; else NaN
  double gamma;      // decay per step of reward traces; 0 without
};

struct ReadoutConstants {  // voltages relative to the leak potential
  double alpha, zeta, drive, y_min, y_start, leak;
  Index trace_group;
};

enum class DriveKind : Index { poisson, noise, current };

// A stimulus of a population, see drives.hpp.
struct Drive {
  DriveKind kind;
  Index begin, end;              // its local neurons
  Index first_node;              // index of the first of them within the population
  Index stimulus;                // number of the stimulus, part of its draws
  Index row;                     // row of the state that takes a current, -1: the input takes it
  Index receptor;                // row of the inputs that takes Poisson spikes
  Index same_rate, same_weight;  // whether all neurons have the same first value, and the same second one
  Index values;                  // its first column of Topology::drive_values
};
// Rows of Topology::drive_values: Poisson numbers or a current; weight or noise; what remains of a current after a step.
enum DriveRow : Index { kDriveValue, kDriveSpread, kDriveRest, kDriveRows };

// Powers of the spike filters: matrices (to, from) of each trace group, for a direction and a number of steps.
struct Filters {
  const double* data = nullptr;
  Index groups = 0, ways = 0, powers = 0, size = 0;
  const double* matrix(Index group, Index way, Index n) const { return data + ((group * ways + way) * powers + n) * size * size; }
  double operator()(Index group, Index way, Index n, Index to, Index from) const {
    return matrix(group, way, n)[to * size + from];
  }
};
inline Shape shape_of(const Filters& filters) {
  return {filters.groups * filters.ways, filters.powers, filters.size * filters.size};
}
template <> inline constexpr ArrayType kArrayType<Filters> = {
    'f', 5, sizeof(double), {}, [](const void* filters) { return shape_of(*static_cast<const Filters*>(filters)); }, {}};
enum Way : Index { kForward, kInverse, kWays };
// Rows of Topology::decays: kappa^n, kappa_reg^n, gamma^n and their inverses.
enum DecayRow : Index { kKappa, kKappaReg, kGamma, kGrowKappa, kGrowKappaReg, kGrowGamma, kDecayRows };

// An inner product over the steps of a sample, from which gradients of learned constants are made (lanes/constants.hpp): the
// adjoint of a component of the hidden state, times a row of the state before each step.
struct Product {
  Index population;  // of neurons or readouts
  Index component;   // of the eligibility vector; -1: the distance from the threshold
  Index slot;        // index in Topology::kept_rows; -1: the factor is 1
};

// A constant of a population that learns, see optimizer_step.hpp.
struct LearnedConstant {
  Index population;
  Index first, size;                // its numbers among those of all constants: one for each node, or one for all nodes
  Index first_effect, stop_effect;  // rows of Topology::effects
  Index descent;                    // plain gradient descent; else Adam
  double eta, low, high;            // learning rate, bounds of what moves
};

struct Topology {
  Array1<Population> populations;
  Array1<DelayGroup> groups;  // from the build; a run works on a copy (frozen: eta = 0)
  Array1<const TraceGroup> trace_groups;
  Array1<const ReadoutConstants> readouts;
  Array1<const double> poisson_rates;   // (sources up to the last Poisson source,) spikes per step
  Array3<const double> decays;          // (trace groups, 6, n) see DecayRow
  Filters filters, doublings;           // powers 0, 1, 2, ... in both directions; powers 1, 2, 4, ... forward
  Array2<const double> arrivals;        // (trace groups, n_filters) increase of a filter at a spike
  Array3<const Index> trace_consumers;  // (populations, slots, 2) reader of a population's filtered spikes: trace group, or
                                        // delay group of a pair rule; -1 for none
  Array2<const Index> kinds;            // (kinds, 5) n_filters, n_own, anchored, two_kappas, reward
  Array2<const double> eligibility;     // (rows, padded neurons) constants of propagators, see kind.hpp
  Array2<const double> adjoint;  // (rows, neurons) constants of the adjoint pass: decay (d x d, row: to), arrival, output, spike
  Array2<const Index> branch_start;     // (partitions, branches + 1) into the synapse arrays
  Array1<const std::uint32_t> targets;  // (synapses,), or empty
  // (synapses,) of a network that does not learn: targets minus the first neuron of their partition; otherwise empty.
  Array1<const std::uint16_t> near_targets;
  Array2<const double> params;       // (parameter rows, neurons)
  Array2<const Index> bounds;        // (2, partitions + 1) of neurons, of readouts
  Array2<const Index> signal_delay;  // (readouts, neurons) delay of learning signals, steps; (0, 0): all are one
  Array2<const Index>
      error_latency;  // (readouts, neurons) e-prop: steps from a spike to its error; (0, 0): values of the population
  Array2<const std::uint8_t> adaptive;  // (readouts, neurons) pairs whose feedback learns like the readout weights; or (0, 0)
  Array2<const double> pair_powers;     // (decays, n) pair rules: powers of each presynaptic decay
  Array1<const Drive> drives;
  Array2<const double> drive_values;  // (DriveRow, driven neurons)
  Array1<const Index> out_degrees;    // (sources,) synapses of each source on this rank, for counting events
  Array1<const Index> source_nodes;   // (sources,) index of each source within its population; empty if ids tell it, or unused
  Array1<const Product> products;     // e-prop: for the gradients of learned constants
  Array1<const Index> kept_rows;      // rows of the state of neurons that `products` read; slot 0 also keeps outputs
  Array1<const LearnedConstant> constants;
  Array1<const Index> effect_products;  // (effects,) product of each effect of a constant
  Array2<const double> effects;         // (effects, targets) its present factors
  Array1<const double> gains;           // (numbers of all constants,) present value of what moves by its logarithm, else 1
  Array2<const double> initial;         // (state rows, neurons) at rest
  Array1<const double> leak;            // (neurons,) leak potentials, mV, of recorded voltages

  static constexpr auto fields() {
    using T = Topology;
    constexpr auto array = []<class View>(const char* name, View T::* member, Shape (*shape)(const Sizes&)) {
      return Field{name, member, Axis::same, kWork, shape};
    };
    return std::tuple{
        array("populations", &T::populations, [](auto& s) { return Shape{s.populations}; }),
        array("groups", &T::groups, [](auto& s) { return Shape{s.delay_groups}; }),
        array("trace_groups", &T::trace_groups, [](auto& s) { return Shape{s.trace_groups}; }),
        array("readouts", &T::readouts, [](auto& s) { return Shape{s.readouts}; }),
        array("poisson_rates", &T::poisson_rates, [](auto& s) { return Shape{s.poisson_sources}; }),
        array("decays", &T::decays, [](auto& s) { return Shape{s.trace_groups, kDecayRows, s.powers}; }),
        array("filters", &T::filters, [](auto& s) { return Shape{s.trace_groups * kWays, s.powers, s.filters * s.filters}; }),
        array("doublings", &T::doublings, [](auto& s) { return Shape{s.trace_groups, kDoublings, s.filters * s.filters}; }),
        array("arrivals", &T::arrivals, [](auto& s) { return Shape{s.trace_groups, s.filters}; }),
        array("trace_consumers", &T::trace_consumers, [](auto& s) { return Shape{s.populations, s.filter_slots, 2}; }),
        array("kinds", &T::kinds, [](auto& s) { return Shape{s.kinds, 5}; }),
        array("eligibility", &T::eligibility, [](auto& s) { return Shape{s.eligibility_rows, padded(s.neurons)}; }),
        array("adjoint", &T::adjoint, [](auto& s) { return Shape{s.adjoint_rows, s.neurons}; }),
        array("branch_start", &T::branch_start, [](auto& s) { return Shape{s.partitions, s.branches + 1}; }),
        array("targets", &T::targets, [](auto& s) { return Shape{s.synapses_if(!s.near)}; }),
        array("near_targets", &T::near_targets, [](auto& s) { return Shape{s.synapses_if(s.near)}; }),
        array("params", &T::params, [](auto& s) { return Shape{s.parameter_rows, s.neurons}; }),
        array("bounds", &T::bounds, [](auto& s) { return Shape{2, s.partitions + 1}; }),
        array("signal_delay", &T::signal_delay, [](auto& s) { return s.pairs_if(s.delayed_signals); }),
        array("error_latency", &T::error_latency, [](auto& s) { return s.pairs_if(s.error_latencies); }),
        array("adaptive", &T::adaptive, [](auto& s) { return s.pairs_if(s.adaptive_feedback); }),
        array("pair_powers", &T::pair_powers, [](auto& s) { return Shape{s.pair_decays, s.pair_cutoff + 1}; }),
        array("drives", &T::drives, [](auto& s) { return Shape{s.drives}; }),
        array("drive_values", &T::drive_values, [](auto& s) { return Shape{kDriveRows, s.driven}; }),
        array("out_degrees", &T::out_degrees, [](auto& s) { return Shape{s.sources}; }),
        array("source_nodes", &T::source_nodes, [](auto& s) { return Shape{s.named_sources ? s.sources : 0}; }),
        array("products", &T::products, [](auto& s) { return Shape{s.products}; }),
        array("kept_rows", &T::kept_rows, [](auto& s) { return Shape{s.kept_rows}; }),
        array("constants", &T::constants, [](auto& s) { return Shape{s.learned}; }),
        array("effect_products", &T::effect_products, [](auto& s) { return Shape{s.effects}; }),
        array("effects", &T::effects, [](auto& s) { return Shape{s.effects, s.targets()}; }),
        array("gains", &T::gains, [](auto& s) { return Shape{s.constants}; }),
        array("initial", &T::initial, [](auto& s) { return Shape{s.state_rows, s.neurons}; }),
        array("leak", &T::leak, [](auto& s) { return Shape{s.neurons}; }),
    };
  }

  Index n_neurons() const { return params.columns; }
  Index n_readouts() const { return readouts.size; }
  // Rows of the inputs: a second one if some neurons have an inhibitory receptor.
  Index n_receptors() const {
    Index n = 1;
    for (Index b = 0; b < populations.size; b++) n = populations[b].inhibitory_row >= 0 ? 2 : n;
    return n;
  }
  Index n_partitions() const { return branch_start.rows; }
  Index n_sources() const {
    Index n = 0;
    for (Index b = 0; b < populations.size; b++)
      if (populations[b].role != Role::readout) n += populations[b].size;
    return n;
  }
};

// Trace group whose learning signals a population receives, or -1.
inline Index signal_group(const Population& population) { return population.role == Role::neuron ? population.trace_group : -1; }

}  // namespace eprop
