// e-prop+ synapses with a per-step optimiser, which takes a step at every time step with that step's part of the gradient.
//
// Such an optimiser is not linear in the gradient of an interval, so an arriving spike replays the steps one by one (NEST:
// `optimize_each_step`). The cost of an event is therefore proportional to the length of the interval.
#pragma once
#include "eprop_plus/after_cutoff.hpp"
#include "eprop_plus/replay.hpp"

namespace eprop {

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
  OnlineState<Real>& state = step.state;
  const SynapsePointers<Real> s = pointers_of(step);
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
      resume_branch<K, false>(step, branches, k);
      continue;
    }
    // In a full interval the last step adds nothing to the traces, but the step before an arrival does.
    const Replay replay{branch.last, step.t, branch.optimizer_steps, branch.z_last, false};
    replay_branch<K>(step, replay, begin, end);
    for (Index synapse = begin; synapse < end; synapse++) {
      const Index target = s.targets[synapse];
      if constexpr (K.n_filters == 0) {
        for (int m = 0; m < K.n_own; m++) {
          Real& own = state.synapses.own.data[m * state.synapses.own.columns + synapse];
          own = static_cast<Real>(own + state.topology.eligibility.row(K.b() + m)[target]);
        }
      }
      s.x[target] += static_cast<double>(s.weight[synapse]);
    }
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

}  // namespace eprop
