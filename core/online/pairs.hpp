// Spikes over synapses with a pair rule (`online/pair_rules.hpp`), such as STDP: pair them with the postsynaptic spikes since the
// last one, then deliver the new weight.
//
// A spike that arrives in step t with a delay of d was emitted in step t - d. The delay belongs to the dendrite, so at the
// synapse the spike meets postsynaptic spikes that were emitted up to step t - 2 d; spikes from that very step already change
// the weight but are not yet in the postsynaptic trace (as in NEST, by experiment). All of them are known in step t, so there is
// no queue.
//
// State: for each axon the last spike and the presynaptic trace; for each neuron its last spikes, the newest first, and a ring of
// its trace over the steps of the delays; for each synapse only its weight.
//
// How many postsynaptic spikes a synapse pairs cannot be predicted. So the synapses of a branch pair theirs several at a time:
// all take as many turns as the one with the most spikes, and a turn without a spike leaves a weight as it is.
//
// A silent branch expires after the cutoff: its pairs so far are then applied, and all later ones are negligible. So no
// postsynaptic spike is needed for longer than `PostSpikes::span` steps.
#pragma once
#include <algorithm>

#include "network/few_bits.hpp"
#include "online/deliveries.hpp"
#include "online/pair_rules.hpp"
#include "online/static_rows.hpp"

namespace eprop {

// Data shared by all synapses of a branch when a spike arrives, or when it expires.
struct PairedBranch {
  Index after, until;  // postsynaptic spikes of steps after + 1 .. until
  double trace;        // presynaptic, as of the last spike
  Update update;
};

// Up to eight synapses of a branch; the places of missing ones repeat the first.
struct PairedSynapses {
  std::uint32_t target[kTogether];
  double w[kTogether];

  template <class Real> PairedSynapses(const OnlineState<Real>& state, const DelayGroup& group, Index first, Index count) {
    with_weights(state.synapses, [&](const auto* stored) {
      for (int i = 0; i < kTogether; i++) {
        const Index synapse = first + (i < count ? i : 0);
        target[i] = state.topology.targets[synapse];
        w[i] = static_cast<double>(weight_of<Real>(group, stored[synapse]));
      }
    });
  }
  // Stores the first `count` weights, and calls visit(i, weight) for each.
  template <class Real, class F>
  void store(const OnlineState<Real>& state, const DelayGroup& group, Index first, Index count, const F& visit) const {
    with_weights(state.synapses, [&](auto* stored) {
      for (int i = 0; i < count; i++) {
        const Real weight = static_cast<Real>(w[i]);
        store_weight(group, weight, stored[first + i]);
        visit(i, weight);
      }
    });
  }
};

// Rounds the weights of some synapses after an update, if they have few bits.
template <class Real> void round_pairs(PairedSynapses& synapses, const Update& update) {
  if (has_few_bits(update.group)) round_weights(update, synapses.target, kTogether, kSpacing<Real>, synapses.w);
}

// The weights after the spikes of the neurons, in their order. The oldest stored spikes are older than any needed one, so the
// search needs no other end.
template <class PairRule> inline void pair_spikes(PairedSynapses& synapses, const PostSpikes& post, const PairedBranch& branch,
                                                  const PairRule& rule, const double* powers) {
  const double step = rule.post_rate * branch.trace;
  const Index after = branch.after, until = branch.until;
  const auto is_due = [&](const Index* times) {
    bool due = false;
    for (int i = 0; i < kTogether; i++) due |= times[synapses.target[i]] > after;
    return due;
  };
  Index turns = 0;
  while (is_due(post.row(turns))) turns++;
  while (turns > 0) {
    const Index* times = post.row(--turns);
    for (int i = 0; i < kTogether; i++) {
      const Index time = times[synapses.target[i]];
      const bool paired = (time > after) & (time <= until);
      const double changed = rule.at_post(synapses.w[i], step * powers[paired ? time - after : 0]);
      synapses.w[i] = paired ? changed : synapses.w[i];
    }
  }
}

// A branch with an arriving spike: the postsynaptic spikes since the last one, this spike, delivery to the inputs x.
template <class Real, class PairRule> void pair_branch(OnlineState<Real>& state, Index begin, Index end,
                                                       const PairedBranch& branch, const PairRule& rule, const double* powers,
                                                       Real* x) {
  const Array2<double>& post_trace = state.history.post_trace;
  const double* trace = post_trace.row(branch.until & (post_trace.rows - 1));
  for (Index first = begin; first < end; first += kTogether) {
    const Index count = std::min<Index>(end - first, kTogether);
    PairedSynapses synapses(state, branch.update.group, first, count);
    double step[kTogether];  // read first, since nobody knows how long the pairs will take
    for (int i = 0; i < kTogether; i++) step[i] = rule.pre_rate * trace[synapses.target[i]];
    if (branch.trace > 0.0) pair_spikes(synapses, state.post, branch, rule, powers);
    for (int i = 0; i < kTogether; i++) synapses.w[i] = rule.at_pre(synapses.w[i], step[i]);
    round_pairs<Real>(synapses, branch.update);
    synapses.store(state, branch.update.group, first, count,
                   [&](int i, Real weight) { x[synapses.target[i]] += static_cast<double>(weight); });
  }
}

// An expired branch: postsynaptic spikes only.
template <class Real, class PairRule> void finalise_pairs(OnlineState<Real>& state, Index begin, Index end,
                                                          const PairedBranch& branch, const PairRule& rule,
                                                          const double* powers) {
  for (Index first = begin; first < end; first += kTogether) {
    const Index count = std::min<Index>(end - first, kTogether);
    PairedSynapses synapses(state, branch.update.group, first, count);
    pair_spikes(synapses, state.post, branch, rule, powers);
    round_pairs<Real>(synapses, branch.update);
    synapses.store(state, branch.update.group, first, count, [](int, Real) {});
  }
}

// Whether a pair rule changes weights; a rate of 0 makes its synapses static.
inline bool learns_pairs(const DelayGroup& group) { return group.rule == Rule::pairs && group.optimizer.eta != 0.0; }

// Step up to which postsynaptic spikes have reached a synapse whose spike arrives in step t.
inline Index known_until(const DelayGroup& group, Index t) { return t - 2 * group.delay; }

// Fetches the traces of a row's targets: a row of the ring has left the cache since it was written.
inline void fetch_traces(const std::uint32_t* targets, Index begin, Index end, const double* trace) {
  for (Index synapse = begin; synapse < end; synapse++) prefetch(trace + targets[synapse]);
}

// The presynaptic trace in the record of a spike.
template <class Real> double trace_at(const OnlineState<Real>& state, const DelayGroup& group, Index position) {
  return record_filters(state.topology, state.log, position, group.filter_slot)[kAtLast * filter_size(state.topology)];
}

template <class Real> Update pair_update(const OnlineState<Real>& state, const DelayGroup& group, Index branch, Index t) {
  return has_few_bits(group) ? update_of(group, source_node(state.topology, group, branch), t) : Update{group};
}

// Spikes of a delay group, whose cursors are some of those of step t, at the targets of a partition; returns the number of
// synapses.
template <class Real, class Stored> Index deliver_pairs(OnlineState<Real>& state, Positions some, const DelayGroup& group,
                                                        const Index* start, const Stored* weight, Index t) {
  const std::vector<Cursor>& cursors = state.deliveries.cursors;
  const double* powers = state.topology.pair_powers.row(group.pair_powers);
  const Index until = known_until(group, t);
  const double* traces = state.history.post_trace.row(until & (state.history.post_trace.rows - 1));
  const std::uint32_t* targets = state.topology.targets.data;
  Real* x = state.neurons.input.row(group.receptor);
  Index events = 0;
  const auto fetch = [&](const Cursor& cursor) { fetch_traces(targets, start[cursor.branch], start[cursor.branch + 1], traces); };
  fetch(cursors[some.first]);
  with_pair_rule(group, [&](const auto& rule) {
    for (Index k = some.first; k < some.stop; k++) {
      const auto [branch, position, place] = cursors[k];
      const Index begin = start[branch], end = start[branch + 1];
      fetch_ahead(cursors, k, start, targets, weight);
      if (k + 1 < some.stop) fetch(cursors[k + 1]);
      const Index last = arrived_before(t, state.log.times[position & state.log.record_mask()].interval);
      const double trace = last >= 0 && t - last <= group.cutoff ? trace_at(state, group, position) : 0.0;
      pair_branch(state, begin, end, {last - 2 * group.delay, until, trace, pair_update(state, group, branch, t)}, rule, powers,
                  x);
      events += end - begin;
    }
  });
  return events;
}

// Branches of a delay group that expire in step t, at the targets of a partition.
template <class Real> void expire_pairs(OnlineState<Real>& state, const DelayGroup& group, const Index* start, Index t) {
  const Index until = known_until(group, t);
  const LoggedBranches expiring = branches_emitted(state, group, t - group.cutoff - group.delay);
  for (Index position = expiring.first; position < expiring.stop; position++) {
    const SpikeTimes& times = state.log.times[position & state.log.record_mask()];
    if (is_followed(times, group.cutoff)) continue;
    const Index branch = expiring[position];
    const double trace = trace_with_spike(trace_at(state, group, position), times.interval, group.pre_decay);
    with_pair_rule(group, [&](const auto& rule) {
      finalise_pairs(state, start[branch], start[branch + 1],
                     {until - group.cutoff, until, trace, pair_update(state, group, branch, t)}, rule,
                     state.topology.pair_powers.row(group.pair_powers));
    });
  }
}

// Traces of the neurons begin .. end of a partition for step t + 1, and their spikes of step t. Returns whether some neuron's
// next spike might overwrite one that is still needed.
template <class Real> bool follow_post_spikes(OnlineState<Real>& state, Index partition, Index t) {
  const Topology& topology = state.topology;
  const Array2<double>& trace = state.history.post_trace;
  const double* now = trace.row(t & (trace.rows - 1));
  double* next = trace.row((t + 1) & (trace.rows - 1));
  const std::int32_t* spikes = state.spikes_of(partition);
  const std::vector<Index>& count = state.spike_count[partition];
  bool full = false;
  for (Index b = 0; b < topology.populations.size; b++) {
    const Population& population = topology.populations[b];
    if (population.role != Role::neuron || population.pair_group < 0) continue;
    const double decay = state.groups[population.pair_group].post_decay;
    const Index first = std::max(topology.bounds(0, partition), population.target_begin);
    const Index stop = std::min(topology.bounds(0, partition + 1), population.target_end);
    for (Index neuron = first; neuron < stop; neuron++) next[neuron] = decay * now[neuron];
    for (Index k = b > 0 ? count[b - 1] : 0; k < count[b]; k++) {
      next[spikes[k]] += decay;
      const Index neuron = spikes[k], oldest = state.post.capacity - 1;
      for (Index row = oldest; row > 0; row--) state.post.row(row)[neuron] = state.post.row(row - 1)[neuron];
      state.post.row(0)[neuron] = t;
      full |= state.post.row(oldest)[neuron] > t + 1 - state.post.span;
    }
  }
  return full;
}

// Doubles the capacity for postsynaptic spikes of each neuron.
inline void grow_post_spikes(PostSpikes& post) {
  post.capacity *= 2;
  post.times.resize(2 * post.times.size(), kNever);
}

}  // namespace eprop
