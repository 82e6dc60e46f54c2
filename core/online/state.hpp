// State of a network that runs in continuous time: everything that the online loop reads and writes.
//
// Arrays of fixed size have a row in the table `fields` of their struct (network/fields.hpp). Vectors grow.
#pragma once
#include <cstdint>
#include <vector>

#include "network/network.hpp"
#include "network/owed_steps.hpp"

namespace eprop {

// Step that stands for "no postsynaptic spike yet".
inline constexpr Index kNever = -(Index{1} << 62);
// Saturation value for intervals of 32 bits.
inline constexpr Index kLongestInterval = (Index{1} << 31) - 1;

struct AxonTimes {
  Index last_spike;  // step, -1: none yet
  Index interval;    // steps from the spike before to it, 0: it was the first
  Index position;    // in the spike log, -1: unknown
};
// Spike history of an axon, for all its branches.
struct Axons {
  Array1<Index> processed_until;  // (1,) spikes of earlier steps have been processed
  Array1<AxonTimes> times;        // (sources,), empty unless some synapse learns at spikes
  Array3<double>
      z;  // (sources, slots, 2 n_filters) filtered spikes as of the last spike, and one step before; pair rules: the trace

  static constexpr auto fields() {
    return std::tuple{
        Field{"processed_until", &Axons::processed_until, Axis::same, kWork, [](auto&) { return Shape{1}; }},
        Field{"times", &Axons::times, Axis::source, kWork, [](auto& s) { return Shape{s.listening()}; }},
        Field{"z", &Axons::z, Axis::source, kWork, [](auto& s) { return Shape{s.listening(), s.filter_slots, 2 * s.filters}; }},
    };
  }
};

template <class Real> struct Neurons {
  Array2<Real> state;     // (state rows, neurons)
  Array2<Real> input;     // (receptors, neurons + readouts)
  Array1<Real> psi;       // (neurons,) surrogate gradient
  Array1<double> signal;  // (neurons,) learning signal that arrived in this step
  Array2<double> rate;    // (2, neurons) running rate now, and one step before
  Array1<double> y;       // (readouts,)

  static constexpr auto fields() {
    using S = Neurons;
    constexpr Axis axis = Axis::neuron;
    return std::tuple{
        Field{"state", &S::state, axis, kState, [](auto& s) { return Shape{s.state_rows, s.neurons}; }},
        Field{"input", &S::input, axis, kWork, [](auto& s) { return Shape{s.receptors, s.neurons + s.readouts}; }},
        Field{"psi", &S::psi, axis, kState, [](auto& s) { return Shape{s.neurons}; }},
        Field{"signal", &S::signal, axis, kState, [](auto& s) { return Shape{s.neurons}; }},
        Field{"rate", &S::rate, axis, kState, [](auto& s) { return Shape{2, s.neurons}; }},
        Field{"y", &S::y, Axis::same, kState, [](auto& s) { return Shape{s.readouts}; }},
    };
  }
};

// Reward history; empty unless there are reward traces. See rewards.hpp.
struct Rewards {
  Array1<double> of_step;  // (ring,) reward of each step
  Array2<double> rest;     // (trace groups, ring) sums from the step to the end of its block, or to now
  Array2<double> ahead;    // (trace groups, blocks) sums from the start of the block to that of the current one
  Index now = 0;           // step up to which all rewards are known

  static constexpr auto fields() {
    using S = Rewards;
    constexpr Axis axis = Axis::same;
    return std::tuple{
        Field{"reward", &S::of_step, axis, kState, [](auto& s) { return Shape{s.rewarded_steps()}; }},
        Field{"reward_rest", &S::rest, axis, kState, [](auto& s) { return Shape{s.trace_groups, s.rewarded_steps()}; }},
        Field{"reward_ahead", &S::ahead, axis, kState, [](auto& s) { return Shape{s.trace_groups, s.rewarded_blocks()}; }},
    };
  }
};

// Rings of the recent past; `width` is the padded number of neurons. Entries as in kind.hpp.
template <class Real> struct History {
  Array3<double>
      block_prefix;  // (1 or 2, entries, width) from the start of the block to before this step; one if updated in place
  Array3<Real>
      prefix_history;  // (ring, entries, width) from the block's start to the step; crossing: from the step to the block's end
  Array3<Real> block_propagators;     // (blocks, entries, width) whole blocks
  Array3<Real> span_suffixes;         // (blocks or 1, entries or 0, width) from the start of the block to the end of its span
  Array3<double> steps;               // (ring or 1, 4, width) psi, L and F of a step, and work space
  Array2<double> error_prefix;        // (ring, readouts) sums of errors from the block's start; with reward, times rewards
  Array2<double> error_block;         // (blocks, readouts)
  Array2<double> error;               // (past, readouts)
  Array2<double> error_trace_prefix;  // (ring, readouts) with reward: errors in the reward trace, from the block's start
  Array2<double> error_trace_block;   // (blocks, readouts)
  Rewards rewards;
  Array2<double> eta;         // (delay groups, past) learning rates with which premature gradients were subtracted
  Array2<double> post_trace;  // (ring, neurons) pair rules: filtered spikes of earlier steps
  Index block_steps = 1;      // a power of two
  Index span_blocks = 0;      // blocks of a span, 0 without spans

  static constexpr auto fields() {
    using S = History;
    constexpr Axis axis = Axis::neuron, same = Axis::same;
    return std::tuple{
        Field{"block_prefix", &S::block_prefix, axis, kState,
              [](auto& s) { return Shape{s.steps_back() == 1 ? 1 : 2, s.entries, s.width()}; }},
        Field{"prefix_history", &S::prefix_history, axis, kState, [](auto& s) { return Shape{s.ring(), s.entries, s.width()}; }},
        Field{"block_propagators", &S::block_propagators, axis, kState,
              [](auto& s) { return Shape{s.blocks(), s.entries, s.width()}; }},
        Field{"span_suffixes", &S::span_suffixes, axis, kState,
              [](auto& s) { return s.span_blocks ? Shape{s.blocks(), s.entries, s.width()} : Shape{1, 0, s.width()}; }},
        Field{"steps", &S::steps, axis, kState, [](auto& s) { return Shape{s.steps_back(), 4, s.width()}; }},
        Field{"error_prefix", &S::error_prefix, same, kState, [](auto& s) { return Shape{s.ring(), s.readouts}; }},
        Field{"error_block", &S::error_block, same, kState, [](auto& s) { return Shape{s.blocks(), s.readouts}; }},
        Field{"error", &S::error, same, kState, [](auto& s) { return Shape{s.past(), s.readouts}; }},
        Field{"error_trace_prefix", &S::error_trace_prefix, same, kState, [](auto& s) { return Shape{s.ring(), s.waiting()}; }},
        Field{"error_trace_block", &S::error_trace_block, same, kState, [](auto& s) { return Shape{s.blocks(), s.waiting()}; }},
        Field{"eta", &S::eta, same, kState, [](auto& s) { return Shape{s.delay_groups, s.past()}; }},
        Field{"post_trace", &S::post_trace, axis, kState,
              [](auto& s) { return Shape{power_of_two(2 * s.longest_delay + 2), s.pairs ? s.neurons : 0}; }},
    };
  }
};

struct SpikeTimes {              // record of a spike about its source; 0: none
  std::int32_t interval;         // steps since the spike before
  std::int32_t interval_before;  // interval before that spike
  std::int32_t next;             // steps to the next spike
  std::int32_t unused;
};
// All spikes in the order of step and source, a ring; and the record of each spike, as long as it may be read.
struct SpikeLog {
  std::vector<std::int32_t> sources;  // capacity: a power of two
  Array2<Index> start;                // (past, populations + 1) positions, always increasing
  std::vector<SpikeTimes> times;      // spike records, a ring over positions; empty unless some synapse learns at spikes
  std::vector<double>
      z;  // (records, slots, 3 n_filters) filters: as of the spike before, one step before it, one step before this spike
  Index record_steps = 0;  // records of this many steps may be read
  Index n_sources = 0;
  Index past_mask() const { return start.rows - 1; }
  Index mask() const { return static_cast<Index>(sources.size()) - 1; }
  Index record_mask() const { return static_cast<Index>(times.size()) - 1; }

  static constexpr auto fields() {
    return std::tuple{
        Field{"start", &SpikeLog::start, Axis::same, kWork, [](auto& s) { return Shape{s.logged(), s.populations + 1}; }}};
  }
};

// The last spikes of each neuron, the newest first (pair rules).
struct PostSpikes {
  std::vector<Index> times;  // (capacity, neurons)
  Index capacity = 0, neurons = 0;
  Index span = 0;  // spikes of this many steps may still be read
  const Index* row(Index k) const { return times.data() + k * neurons; }
  Index* row(Index k) { return times.data() + k * neurons; }
};

// Of each partition, the nodes that spiked in this step; and which groups of neurons have spiked lately.
struct Lists {
  Array1<std::int32_t> spikes;   // (neurons,) ids of neurons; the list of a partition begins at its first neuron
  Array1<std::int32_t> poisson;  // (Poisson sources,) numbers within their populations, see `poisson_list`
  Array1<std::uint8_t> active;   // (neurons,) see `ModelLoop`

  static constexpr auto fields() {
    using S = Lists;
    constexpr Axis axis = Axis::same;
    return std::tuple{
        Field{"spikes", &S::spikes, axis, kWork, [](auto& s) { return Shape{s.neurons}; }},
        Field{"poisson", &S::poisson, axis, kWork, [](auto& s) { return Shape{s.poisson_sources}; }},
        Field{"active", &S::active, axis, kWork, [](auto& s) { return Shape{s.neurons}; }},
    };
  }
};

struct ArrivingBranch {  // a branch with a spike that arrives in this step
  Index branch;
  Index last;             // step in which the spike before arrived, -1: none
  Index optimizer_steps;  // steps of the optimiser so far
  double z_last[2];       // filtered spikes at `last`, that spike included; pair rules: the presynaptic trace
  double z_before[2];     // one step before `last`
  double z_ahead[2];      // one step before this spike
};
struct ExpiredBranch {  // a branch whose last spike arrived one cutoff ago, or one reward cutoff ago
  Index branch;
  Index optimizer_steps;
  double z[2];         // filtered spikes as of the last spike
  double z_before[2];  // one step before
};
struct ListedGroup {
  const DelayGroup* group;
  Index next;   // place of the group whose rows a spike reaches one step later, or -1
  Index alike;  // place of the first group whose spikes are delivered as those of this one
};
struct Cursor {    // a spike that travels along the rows of its axon
  Index branch;    // of the row that it reaches
  Index position;  // in the log
  Index place;     // of the delay group of that row
};
// Branches with work in a step, delay group by delay group.
struct Deliveries {
  std::vector<ArrivingBranch> arriving;
  std::vector<Index> arriving_start;  // (delay groups + 1,)
  std::vector<ExpiredBranch> expired;
  std::vector<Index> expired_start;
  std::vector<ExpiredBranch> unrewarded;  // branches whose reward cutoff has passed
  std::vector<Index> unrewarded_start;
  std::vector<Index> order, sorted, counts;  // work space: keys of the arrivals of a family ...
  std::vector<Cursor> logged;                // ... and these as they are in the log
  std::vector<ListedGroup> groups;           // in the order of delivery, see static_rows.hpp
  std::vector<Index> plus, starts;  // places of those of e-prop+; of others that spikes reach from no row of the step before
  std::vector<Cursor> cursors;      // in that order, but none of e-prop+
};

// Propagators of a trace group that are already computed, in one partition.
struct CachedPropagators {
  Index block = -1;                           // block to whose start `to_current_block` leads
  std::vector<std::uint8_t> known;            // (blocks,) rows of to_current_block
  Index within_step = -1, within_first = -1;  // step that `within_block` leads to, and its first row
  Index until_cutoff = -1;                    // step that `until_cutoff` holds for
  Index corrections = -1, corrections_copied = -1;
  std::vector<Index> copied;                  // (blocks + 2,) block or step for which each neuron-major copy holds
  std::vector<Index> summed;                  // (blocks,) step up to which PlusWork::sums has the steps of a block
  Index summed_first = -1, summed_step = -1;  // interval of PlusWork::summed: its first block, and the step after it
  std::vector<Index> largest_until;           // (blocks,) step up to which `largest` has a block ...
  std::vector<double> largest;                // ... (blocks, 3) largest sums of the targets (bounds.hpp)
  std::vector<double> limits;                 // largest sums and constants of the targets (bounds.hpp) ...
  Index limits_step = -1;                     // ... in this step
};

// Rows of `PlusWork::sums`, see bounds.hpp, and copies in `PlusWork::copies` besides those of blocks, see corrections.hpp.
enum SumRow : Index { kSumPsi, kSumLearning, kSumRate, kSumRows };
enum ExtraCopy : Index { kHere, kExpired, kExtraCopies };

// Work space of e-prop+: no content survives a call.
template <class Real> struct PlusWork {
  Array3<Real> identity;             // (1, entries, width) the propagator over zero steps; crossing only
  Array3<Real> interval;             // (1, entries, width) propagator over an interval
  Array3<Real> to_current_block;     // (blocks, entries, width) from the start of a block to the start of the current one
  Array3<Real> within_block;         // (steps of a block or 1, entries, width) from a step of the current block to this step
  Array3<Real> until_cutoff;         // (1, entries, width) over the cutoff that ends with this step
  Array3<Real> until_cutoff_before;  // the same without the last step; crossing only
  Array3<Real> corrections;          // (1, corrections, width)
  Array3<Real> corrections_copy;     // (1, width, record size) neuron-major
  Array3<Real> copies;        // (blocks + 2, width, record size) neuron-major: to_current_block, and two more (kHere, kExpired)
  Array3<Real> sums, summed;  // (blocks, 3, width), (1, 3, width) sums over steps of blocks, and of an interval: bounds.hpp
  std::vector<std::vector<CachedPropagators>> cached;  // (partitions)(trace groups)
  std::vector<std::vector<double>> readout_gradient;   // (partitions)(readouts)
  std::vector<std::vector<double>> readout_waiting;    // (partitions)(readouts) with reward: the reward traces
  std::vector<std::vector<double>> readout_sums;       // (partitions)(readouts) sums of |errors|
  std::vector<std::vector<double>> gradients;          // (partitions)(synapses of the longest branch)
  std::vector<std::vector<Real>> premature;            // the same: what weights of few bits take instead of Synapses::pending
  std::vector<OwedSteps> owed;                         // (partitions)
  std::vector<std::vector<Real>> bounded;              // (partitions)(synapses of a branch) what leads up to a bound

  static constexpr auto fields() {
    using S = PlusWork;
    constexpr Axis axis = Axis::neuron;
    return std::tuple{
        Field{"identity", &S::identity, axis, kWork, [](auto& s) { return Shape{1, s.crossed(), s.width()}; }},
        Field{"interval", &S::interval, axis, kWork, [](auto& s) { return Shape{1, s.entries, s.width()}; }},
        Field{"to_current_block", &S::to_current_block, axis, kWork,
              [](auto& s) { return Shape{s.blocks(), s.entries, s.width()}; }},
        Field{"within_block", &S::within_block, axis, kWork,
              [](auto& s) { return Shape{s.crosses ? s.block_steps : 1, s.crossed(), s.width()}; }},
        Field{"until_cutoff", &S::until_cutoff, axis, kWork, [](auto& s) { return Shape{1, s.entries, s.width()}; }},
        Field{"until_cutoff_before", &S::until_cutoff_before, axis, kWork,
              [](auto& s) { return Shape{1, s.crossed(), s.width()}; }},
        Field{"corrections", &S::corrections, axis, kWork, [](auto& s) { return Shape{1, s.corrections, s.width()}; }},
        Field{"corrections_copy", &S::corrections_copy, axis, kWork,
              [](auto& s) { return Shape{1, s.width(), record_size(s.corrections)}; }},
        Field{"sums", &S::sums, axis, kWork,
              [](auto& s) { return Shape{s.blocks(), kSumRows * s.descends_each_step, s.width()}; }},
        Field{"summed", &S::summed, axis, kWork, [](auto& s) { return Shape{1, kSumRows * s.descends_each_step, s.width()}; }},
        Field{"copies", &S::copies, axis, kWork,
              [](auto& s) { return Shape{s.blocks() + kExtraCopies, s.width(), record_size(s.entries)}; }},
    };
  }
};

// Phases of a step; their times are recorded on request (`StopWatch`).
enum Phase : int { kBetween, kPropagators, kDeliver, kAdvance, kReadout, kExchange, kRegion, kPhases };

template <class Real> struct OnlineState {
  explicit OnlineState(Network<Real>& borrowed)
      : topology(borrowed.topology), synapses(borrowed.synapses), moves(borrowed.moves), feedback(borrowed.feedback) {}
  const Topology& topology;
  std::vector<DelayGroup> groups;  // for this run: topology.groups, frozen or static
  std::vector<Index> trace_group;  // of each population: signal_group, or -1 without learning
  double taught = 1.0;             // 1 in a step of which there can be learning signals, else 0
  bool learns = true;              // false: every rule is static and nothing is traced
  Synapses<Real>& synapses;
  Moves& moves;
  Feedback& feedback;
  Axons axons;
  Neurons<Real> neurons;
  History<Real> history;
  SpikeLog log;
  PostSpikes post;
  Deliveries deliveries;
  PlusWork<Real> plus;
  Lists lists;
  bool keeps_psi = true;                        // whether surrogate gradients of neurons that do not learn are recorded
  std::vector<std::vector<Index>> spike_count;  // (partitions)(populations) running counts over the populations

  const std::int32_t* spikes_of(Index partition) const { return lists.spikes.data + topology.bounds(0, partition); }
};

// All arrays of the loop that have a row in a table; those of the network have theirs.
template <class Real> std::vector<Row> rows_of(OnlineState<Real>& state);

}  // namespace eprop
