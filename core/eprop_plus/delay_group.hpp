// A delay group of e-prop+ in one step: finalise expired branches, deliver arriving spikes. For one kind of eligibility; the
// files eprop_plus_*.cpp instantiate it.
#pragma once
#include "eprop_plus/after_cutoff.hpp"
#include "eprop_plus/crossing.hpp"
#include "eprop_plus/eprop_plus.hpp"
#include "eprop_plus/per_step.hpp"

namespace eprop {

// Copies the propagator from one block to the current one for all neurons, for the rest of the block.
template <Kind K, class Real> void copy_to_current_block(const GroupStep<Real>& step, Index block, Index current) {
  const PlusWork<Real>& plus = step.state.plus;
  const Index row = block & (plus.to_current_block.planes - 1);
  Index& copied = step.targets.found->copied[row];
  if (copied == current) return;
  copied = current;
  copy_neurons<K.n_entries()>(step.targets.begin, step.targets.end, plane_of(plus.to_current_block, row),
                              copies_of<K.n_entries()>(plus.copies, row, step.group.target_begin));
}

// Finds the propagators from the blocks of some branches' last spikes to the current block.
template <Kind K, class Real> void find_for_branches(const GroupStep<Real>& step, const BranchList<ArrivingBranch>& branches) {
  const Index steps = step.state.history.block_steps, current = step.t / steps,
              mask = step.state.plus.to_current_block.planes - 1;
  for (Index k = 0; k < branches.count;) {
    const Index block = branches.first[k].last / steps;
    if (block == current) return;
    while (k < branches.count && branches.first[k].last < (block + 1) * steps) k++;  // branches with the same one are adjacent
    if (!step.targets.found->known[block & mask]) find_to_current_block<K>(step.targets, block, current);
    copy_to_current_block<K>(step, block, current);
  }
}

// Finds the propagators over the cutoff that ends with this step; the traces take part in all steps but the last. With
// block-start states these are the propagator from the block of the first step to the start of the previous step's block, and the
// rest, whose entries for values end one step early. All delay groups onto a population share them.
template <Kind K, class Real> void find_until_cutoff(const GroupStep<Real>& step) {
  StreamState<Real>& state = step.state;
  const History<Real>& history = state.history;
  const TargetRange<Real>& targets = step.targets;
  const Index t = step.t, n = step.group.cutoff, steps = history.block_steps, current = (t - 1) / steps;
  const Index ring = history.prefix_history.planes - 1, begin = targets.begin, end = targets.end;
  const Array2<Real> out = state.plus.until_cutoff.plane(0);
  turn_to_block(*targets.found, current);
  if constexpr (K.anchored) find_to_current_block<K>(targets, (t - n) / steps, current);
  if (targets.found->until_cutoff == t) return;
  targets.found->until_cutoff = t;
  if constexpr (K.anchored) {
    if ((t & (steps - 1)) != 0) {
      copy<K>(begin, end, plane_of(history.prefix_history, t & ring), out);
    } else {
      copy<K>(begin, end, plane_of(history.block_propagators, current & (history.block_propagators.planes - 1)), out);
    }
    copy_values<K>(begin, end, plane_of(history.prefix_history, (t - 1) & ring), out);
  } else {
    const Array2<Real> before = state.plus.until_cutoff_before.plane(0);
    turn_to_step(*targets.found, t - 1);
    find_interval<K>(targets, t - n, t - 1, before);
    const Extended<K, Real, void> write{entries_of<K>(out), {}};
    extend_entries<K>(begin, end, kept_step(history, t - 1), state.topology.trace_groups[targets.trace_group],
                      powers<K, double>(state.topology, targets.trace_group, n - 1), constants_of<K>(state.topology),
                      entries_of<K>(before), write);
  }
}

// Finalises the gradients of branches whose last spike arrived exactly one cutoff ago.
//
// Gradient descent applies the gradients at once, because nobody reads the weight before the next spike. Optimisers with moments,
// whose steps depend on the time, keep them in `pending`; so does every optimiser while rewards may follow. Traces are those of
// one step ago, when the cutoff ended their accumulation.
template <Kind K, bool moments, class Real> void finalise_group(const GroupStep<Real>& step) {
  const BranchList<ExpiredBranch> branches = step.expired();
  if (branches.count == 0) return;
  if (step.group.per_step_optimizer) return finalise_per_step<K>(step);
  find_until_cutoff<K>(step);
  if constexpr (K.anchored) {
    const PlusWork<Real>& plus = step.state.plus;
    const Index steps = step.state.history.block_steps, blocks = plus.to_current_block.planes;
    const Index current = (step.t - 1) / steps, block = (step.t - step.group.cutoff) / steps;
    if (block < current) copy_to_current_block<K>(step, block, current);
    copy_for_targets<K>(step.targets, branches, plane_of(plus.until_cutoff, 0),
                        copies_of<K.n_entries()>(plus.copies, blocks + kExpired, step.group.target_begin), step.t,
                        step.targets.found->copied[blocks + kExpired]);
    finalise_branches<K, moments>(step, branches);
  } else {
    finalise_crossing<K>(step, branches);
  }
}

// Delivers all arriving spikes; branches that never spiked, or not within the cutoff, come first.
template <Kind K, bool moments, class Real> void deliver_group(const GroupStep<Real>& step) {
  const BranchList<ArrivingBranch> branches = step.arriving();
  if (branches.count == 0) return;
  if (step.group.per_step_optimizer) return deliver_per_step<K>(step);
  const PlusWork<Real>& plus = step.state.plus;
  const History<Real>& history = step.state.history;
  const Index t = step.t, oldest = std::max<Index>(t - step.group.cutoff, 0);
  Index silent = 0;
  while (silent < branches.count && branches.first[silent].last < oldest) silent++;
  if (silent > 0) {
    const auto first = branches.part(0, silent);
    const Index here = plus.to_current_block.planes + kHere;
    if constexpr (K.anchored)
      copy_for_targets<K>(step.targets, first, plane_of(history.prefix_history, t & (history.prefix_history.planes - 1)),
                          copies_of<K.n_entries()>(plus.copies, here, step.group.target_begin), t,
                          step.targets.found->copied[here]);
    start_or_resume<K, moments>(step, first);
  }
  if (silent == branches.count) return;
  const auto learning = branches.part(silent, branches.count);
  turn_to_block(*step.targets.found, t / history.block_steps);
  if constexpr (K.anchored) {
    find_for_branches<K>(step, learning);
    copy_corrections<K>(step.targets, learning, copies_of<K.n_corrections()>(plus.corrections_copy, 0, step.group.target_begin),
                        t);
    learn_branches<K, moments>(step, learning);
  } else {
    learn_crossing<K>(step, learning);
  }
}

// `PlusFunctions::learn`. Finalise first, because it needs the propagators of the step before, which still exist then.
template <Kind K, bool moments, class Real> void learn(StreamState<Real>& state, Index group, Index partition, Index t) {
  const DelayGroup& g = state.groups[group];
  const Array2<const Index>& bounds = state.topology.bounds;
  if (bounds(0, partition) >= g.target_end || bounds(0, partition + 1) <= g.target_begin) return;
  const auto nothing = [group](const std::vector<Index>& start) { return start[group] == start[group + 1]; };
  const Deliveries& plan = state.deliveries;
  if (nothing(plan.arriving_start) && nothing(plan.expired_start) && (!K.reward || nothing(plan.unrewarded_start))) return;
  const GroupStep<Real> step{state, g, group, partition, t, target_range(state, group, partition)};
  finalise_group<K, moments>(step);
  if constexpr (K.reward) finalise_unrewarded(step);
  deliver_group<K, moments>(step);
}

template <Kind K, class Real> PlusFunctions<Real> functions_of(bool moments) {
  if constexpr (K.any_optimizer()) {
    return {&extend<K, Real>, &learn<K, false, Real>};
  } else {
    return {&extend<K, Real>, moments ? &learn<K, true, Real> : &learn<K, false, Real>};
  }
}

// For one set of components, anchored or not, with or without reward, with one or two kappas (`kNeedsTwoKappas`).
template <int n_filters, int n_own, bool anchored, bool reward, class Real>
PlusFunctions<Real> functions_of_kind(bool two_kappas, bool moments) {
  if constexpr (!kNeedsTwoKappas(n_own, anchored, reward))
    if (!two_kappas) return functions_of<Kind{n_filters, n_own, anchored, false, reward}, Real>(moments);
  return functions_of<Kind{n_filters, n_own, anchored, true, reward}, Real>(moments);
}

}  // namespace eprop
