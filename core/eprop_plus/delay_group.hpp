// A delay group of e-prop+ in one step: finalise expired branches, deliver arriving spikes. For one kind of eligibility.
// CMake makes the files that instantiate `extend` and `learn`.
#pragma once
#include "eprop_plus/after_cutoff.hpp"
#include "eprop_plus/crossing.hpp"
#include "eprop_plus/eprop_plus.hpp"

namespace eprop {

// Copies the propagator from one block to the current one for the targets of some branches, or for all neurons, for the `rest`
// steps of the block.
template <Kind K, class Real, class Listed>
void copy_to_current_block(const GroupStep<Real>& step, const BranchList<Listed>& branches, Index block, Index current) {
  const PlusWork<Real>& plus = step.state.plus;
  const Index row = block & (plus.to_current_block.planes - 1), steps = step.state.history.block_steps;
  copy_for_targets(step.targets, branches, entries_of<K>(plane_of(plus.to_current_block, row)),
                   copies_of<K.n_entries()>(plus.copies, row, step.group.target_begin), current, step.targets.cached->copied[row],
                   std::max<Index>((current + 1) * steps - step.t, 1));
}

// Finds the propagators from the blocks of some branches' last spikes to the current block.
template <Kind K, class Real> void find_for_branches(const GroupStep<Real>& step, const BranchList<ArrivingBranch>& branches) {
  const Index steps = step.state.history.block_steps, current = step.t / steps,
              mask = step.state.plus.to_current_block.planes - 1;
  for (Index k = 0; k < branches.count;) {
    const Index block = branches.first[k].last / steps, first = k;
    if (block == current) return;
    while (k < branches.count && branches.first[k].last < (block + 1) * steps) k++;  // branches with the same one are adjacent
    if (!step.targets.cached->known[block & mask]) find_to_current_block<K>(step.targets, block, current);
    copy_to_current_block<K>(step, branches.part(first, k), block, current);
  }
}

// The second part of the propagator over the cutoff that ends with this step; the first leads from the block of the first step to
// the start of the previous step's block. The traces take part in all steps but the last: entries for values end one step early.
template <Kind K, class Real> Rows<K.n_entries(), const Real> rest_until_cutoff(const GroupStep<Real>& step) {
  const History<Real>& history = step.state.history;
  const Index t = step.t, steps = history.block_steps, block = (t - 1) / steps & (history.block_propagators.planes - 1);
  const auto at = [&](Index s) { return plane_of(history.prefix_history, s & (history.prefix_history.planes - 1)); };
  auto rows = entries_of<K>((t & (steps - 1)) != 0 ? at(t) : plane_of(history.block_propagators, block));
  const auto values = entries_of<K>(at(t - 1));
  for (int k = 0; k < K.n_entries(); k++)
    if (k < K.GE() || k >= K.A()) rows.row[k] = values[k];
  return rows;
}

// Finds the propagators over the cutoff that ends with this step, for synapses without block-start states. All delay groups onto
// a population share them.
template <Kind K, class Real> void find_until_cutoff(const GroupStep<Real>& step) {
  OnlineState<Real>& state = step.state;
  const TargetRange<Real>& targets = step.targets;
  const Index t = step.t, n = step.group.cutoff;
  if (targets.cached->until_cutoff == t) return;
  targets.cached->until_cutoff = t;
  const Array2<Real> before = state.plus.until_cutoff_before.plane(0);
  turn_to_block(*targets.cached, (t - 1) / state.history.block_steps);
  turn_to_step(*targets.cached, t - 1);
  find_interval<K>(targets, t - n, t - 1, before);
  const Extended<K, Real, void> write{entries_of<K>(state.plus.until_cutoff.plane(0)), {}};
  extend_entries<K>(targets.begin, targets.end, stored_step(state.history, t - 1),
                    state.topology.trace_groups[targets.trace_group],
                    powers<K, double>(state.topology, targets.trace_group, n - 1), constants_of<K>(state.topology),
                    entries_of<K>(before), write);
}

// ------------------------------------------------------------------------------------------------------- per-step optimisers

// Such an optimiser takes a step at every time step with that step's part of the gradient, and is not linear in the gradient of
// an interval. So an arriving spike replays the steps one by one (NEST: `optimize_each_step`), and the cost of an event is
// proportional to the length of the interval.

// Replays the steps for the synapses of a branch.
template <Kind K, class Real> void replay_branch(const GroupStep<Real>& step, const Replay& replay, Index begin, Index end) {
  ReplayedChunk<K, Real> chunk;
  for (Index synapse = begin; synapse < end; synapse += chunk.optimized.size) {
    chunk.optimized.size = std::min(end - synapse, chunk.kMost);
    read_replayed(step.state, synapse, chunk);
    replay_chunk<K>(step, replay, chunk);
    write_replayed(chunk, synapse, step.state.synapses);
  }
}

// All arriving spikes of a delay group in this step.
template <Kind K, class Real> void deliver_per_step(const GroupStep<Real>& step) {
  Synapses<Real>& synapses = step.state.synapses;
  const SynapsePointers<Real> s = pointers_of(step);
  const auto constants = constants_of<K>(step.state.topology);
  const BranchList<ArrivingBranch> branches = step.arriving();
  for (Index k = 0; k < branches.count; k++) {
    const ArrivingBranch& branch = branches.first[k];
    const Index begin = branches.begin(k), end = branches.end(k);
    if (branch.last < 0) {
      deliver_first<K>(step, begin, end);
      continue;
    }
    if (step.t - branch.last > step.group.cutoff) {
      if (step.t - branch.last <= step.group.reward_cutoff) replay_waiting(step, begin, end, branch.last);
      resume_branch<K>(step, branches, k);
      continue;
    }
    // In a full interval the last step adds nothing to the traces, but the step before an arrival does.
    const Replay replay{branch.last, step.t, branch.optimizer_steps, branch.z_last, false};
    replay_branch<K>(step, replay, begin, end);
    for (int m = 0; K.n_filters == 0 && m < K.n_own; m++)
      for (Index synapse = begin; synapse < end; synapse++)
        synapses.own(m, synapse) = static_cast<Real>(synapses.own(m, synapse) + constants[K.b() + m][s.targets[synapse]]);
    deliver_branch(begin, end, s.targets, s.weight, s.x);
  }
}

// Replays the steps of branches whose last spike arrived one cutoff ago; no steps follow.
template <Kind K, class Real> void finalise_per_step(const GroupStep<Real>& step) {
  const BranchList<ExpiredBranch> branches = step.expired();
  for (Index k = 0; k < branches.count; k++) {
    const ExpiredBranch& branch = branches.first[k];
    const Replay replay{step.t - step.group.cutoff, step.t, branch.optimizer_steps, branch.z, true};
    replay_branch<K>(step, replay, branches.begin(k), branches.end(k));
  }
}

// ----------------------------------------------------------------------------------------------------------- a delay group

// Finalises the gradients of branches whose last spike arrived exactly one cutoff ago.
//
// Gradient descent applies the gradients at once, because nobody reads the weight before the next spike; to weights of few bits
// as well. Optimisers with moments,
// whose steps depend on the time, keep them in `pending`; so does every optimiser while rewards may follow. Traces are those of
// one step ago, when the cutoff ended their accumulation.
template <Kind K, class Real> void finalise_group(const GroupStep<Real>& step) {
  const BranchList<ExpiredBranch> branches = step.expired();
  if (branches.count == 0) return;
  if (replays(step.group, K)) return finalise_per_step<K>(step);
  if constexpr (K.anchored) {
    const PlusWork<Real>& plus = step.state.plus;
    const Index steps = step.state.history.block_steps, expired = plus.to_current_block.planes + kExpired;
    const Index current = (step.t - 1) / steps, block = (step.t - step.group.cutoff) / steps;
    turn_to_block(*step.targets.cached, current);
    find_to_current_block<K>(step.targets, block, current);
    if (block < current) copy_to_current_block<K>(step, branches, block, current);
    copy_for_targets(step.targets, branches, rest_until_cutoff<K>(step),
                     copies_of<K.n_entries()>(plus.copies, expired, step.group.target_begin), step.t,
                     step.targets.cached->copied[expired]);
    finalise_branches<K>(step, branches);
  } else {
    find_until_cutoff<K>(step);
    finalise_crossing<K>(step, branches);
  }
}

// Delivers all arriving spikes; branches that never spiked, or not within the cutoff, come first.
template <Kind K, class Real> void deliver_group(const GroupStep<Real>& step) {
  const BranchList<ArrivingBranch> branches = step.arriving();
  if (branches.count == 0) return;
  if (replays(step.group, K)) return deliver_per_step<K>(step);
  const PlusWork<Real>& plus = step.state.plus;
  const History<Real>& history = step.state.history;
  const Index t = step.t, oldest = std::max<Index>(t - step.group.cutoff, 0);
  Index silent = 0;
  while (silent < branches.count && branches.first[silent].last < oldest) silent++;
  if (silent > 0) {
    const auto first = branches.part(0, silent);
    const Index here = plus.to_current_block.planes + kHere;
    if constexpr (K.anchored)
      copy_for_targets(
          step.targets, first, entries_of<K>(plane_of(history.prefix_history, t & (history.prefix_history.planes - 1))),
          copies_of<K.n_entries()>(plus.copies, here, step.group.target_begin), t, step.targets.cached->copied[here]);
    start_or_resume<K>(step, first);
  }
  if (silent == branches.count) return;
  const auto learning = branches.part(silent, branches.count);
  turn_to_block(*step.targets.cached, t / history.block_steps);
  if constexpr (K.anchored) {
    find_for_branches<K>(step, learning);
    copy_corrections<K>(step.targets, learning, copies_of<K.n_corrections()>(plus.corrections_copy, 0, step.group.target_begin),
                        t);
    learn_branches<K>(step, learning);
  } else {
    learn_crossing<K>(step, learning);
  }
}

// Compose step `t - 1` onto the propagators of neurons `begin` to `end` of a population.
//
// Reads psi of step t - 1, the learning signal that belongs to step t - 2, and the running rate of step t - 2. With block-start
// states it works in place, with a rounded copy in `prefix_history`. Other synapses also need the prefix of the step before and
// single steps: so there are two prefixes, and steps are stored.
template <Kind K, class Real> void extend(OnlineState<Real>& state, Index population, Index begin, Index end, Index t) {
  if (t == 0 || begin >= end) return;
  History<Real>& history = state.history;
  const Index trace_group = state.trace_group[population], block_steps = history.block_steps;
  const TargetRange<Real> targets{state, nullptr, trace_group, begin, padded_end(state, end)};
  const TraceGroup& group = state.topology.trace_groups[trace_group];
  const Powers<double> before = powers<K, double>(state.topology, trace_group, (t - 1) & (block_steps - 1));
  const Index rows = K.anchored ? 1 : history.block_prefix.planes;
  const Array2<double> prefix = history.block_prefix.plane(t & (rows - 1));
  const Array2<const double> old = plane_of(history.block_prefix, (t - 1) & (rows - 1));
  const Array2<Real> part = history.prefix_history.plane(t & (history.prefix_history.planes - 1));
  const auto constants = constants_of<K>(state.topology);
  const NewStep<K, Real> step = new_step<K>(state, trace_group, t - 1);
  if (!K.anchored || history.steps.planes > 1) note_step(step, begin, end, t - 1, history);
  if constexpr (K.anchored) {
    const Extended<K, double, Real> write{entries_of<K>(prefix), entries_of<K>(part)};
    extend_entries<K>(begin, end, step, group, before, constants, entries_of<K>(prefix), write);
    fetch_history(targets, K.n_entries(), t + 1);
  } else {
    const Extended<K, double, void> write{entries_of<K>(prefix), {}};
    extend_entries<K>(begin, targets.end, stored_step(history, t - 1), group, before, constants, entries_of<K>(old), write);
  }
  if ((t & (block_steps - 1)) != 0) return;
  const Array2<const double> whole{prefix.data, prefix.rows, prefix.columns};
  copy<K>(begin, targets.end, whole,
          history.block_propagators.plane((t / block_steps - 1) & (history.block_propagators.planes - 1)));
  identity(K, begin, targets.end, prefix);
  if constexpr (K.anchored) {
    copy<K>(begin, targets.end, whole, part);
  } else {
    end_block<K>(targets, t);
  }
  if (history.span_blocks > 0 && t % (history.span_blocks * block_steps) == 0) end_span<K>(targets, t);
}

// Finalises first, because that needs the propagators of the step before, which still exist then.
template <Kind K, class Real> void learn(OnlineState<Real>& state, Index group, Index partition, Index t) {
  const DelayGroup& g = state.groups[group];
  const Array2<const Index>& bounds = state.topology.bounds;
  if (bounds(0, partition) >= g.target_end || bounds(0, partition + 1) <= g.target_begin) return;
  const auto nothing = [group](const std::vector<Index>& start) { return start[group] == start[group + 1]; };
  const Deliveries& plan = state.deliveries;
  if (nothing(plan.arriving_start) && nothing(plan.expired_start) && (!K.reward || nothing(plan.unrewarded_start))) return;
  const bool moments = !K.any_optimizer() && !replays(g, K) && (state.synapses.pending.size > 0 || rounds_at_once(g));
  const GroupStep<Real> step{state, g, group, partition, t, target_range(state, group, partition), moments};
  finalise_group<K>(step);
  if constexpr (K.reward) finalise_unrewarded(step);
  deliver_group<K>(step);
}

}  // namespace eprop
