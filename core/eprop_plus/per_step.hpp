// e-prop+ synapses with a per-step optimiser, which takes a step at every time step with that step's part of the gradient.
//
// Such an optimiser is not linear in the gradient of an interval, so an arriving spike replays the steps one by one (NEST:
// `optimize_each_step`). The cost of an event is therefore proportional to the length of the interval.
#pragma once
#include "eprop_plus/after_cutoff.hpp"

namespace eprop {

// Steps `first` to `stop` of a branch; `ends`: traces do not accumulate in the last step. `z` are filtered spikes in the first
// step, `taken` is the number of optimiser steps so far.
struct Replay {
  Index first, stop, taken;
  const double* z;
  bool ends;
};

// Synapses of a branch in a replay, side by side in double precision: their targets, output constants, traces, own components.
template <Kind K> struct ReplayedChunk {
  static constexpr Index kMost = SynapseChunk::kMost;
  static constexpr int kOwn = K.n_own > 0 ? K.n_own : 1;
  SynapseChunk optimized;
  Index target[kMost];
  double e_bar[kMost], e_reg[K.two_kappas ? kMost : 1], waiting[K.reward ? kMost : 1], own[kOwn][K.n_own > 0 ? kMost : 1];
};

// Reads the state of the synapses from `first` on, or writes it back, rounded.
template <Kind K, class Real>
void read_replayed(const OnlineState<Real>& state, Index first, ReplayedChunk<K>& __restrict chunk) {
  const Synapses<Real>& s = state.synapses;
  const Index n = chunk.optimized.size;
  read_chunk(s, first, chunk.optimized);
  std::copy_n(state.topology.targets.data + first, n, chunk.target);
  std::copy_n(s.trace.data + first, n, chunk.e_bar);
  if constexpr (K.two_kappas) std::copy_n(s.trace_reg.data + first, n, chunk.e_reg);
  if constexpr (K.reward) std::copy_n(s.trace_reward.data + first, n, chunk.waiting);
  for (int m = 0; m < K.n_own; m++) std::copy_n(s.own.row(m) + first, n, chunk.own[m]);
}
template <Kind K, class Real> void write_replayed(const ReplayedChunk<K>& chunk, Index first, Synapses<Real>& s) {
  const Index n = chunk.optimized.size;
  const auto write = [&](const double* from, Real* to) {
    for (Index i = 0; i < n; i++) to[first + i] = static_cast<Real>(from[i]);
  };
  write_chunk(chunk.optimized, first, s);
  write(chunk.e_bar, s.trace.data);
  if constexpr (K.two_kappas) write(chunk.e_reg, s.trace_reg.data);
  if constexpr (K.reward) write(chunk.waiting, s.trace_reward.data);
  for (int m = 0; m < K.n_own; m++) write(chunk.own[m], s.own.row(m));
}

// The gradients of one step:
//     g = L e_bar + F e_bar_reg    with reward e_reward = gamma e_reward + L e_bar    g = r e_reward + F e_bar_reg
template <Kind K> void find_gradients(const StoredStep& stored, double gamma, ReplayedChunk<K>& __restrict chunk) {
  for (Index i = 0; i < chunk.optimized.size; i++) {
    const Index j = chunk.target[i];
    double g = stored.learning(j) * chunk.e_bar[i];
    if constexpr (K.reward) g = stored.reward * (chunk.waiting[i] = gamma * chunk.waiting[i] + g);
    if constexpr (kHasRegularisation<K>) g += stored.regularisation(j) * (K.two_kappas ? chunk.e_reg[i] : chunk.e_bar[i]);
    chunk.optimized.gradient[i] = g;
  }
}

// The traces of one step, with the filtered spikes z:
//     e = psi (c_z z + c_h h)    h = a h + u e
//     e_bar = kappa e_bar + e    e_bar_reg = kappa_reg e_bar_reg + (1 - kappa_reg) e
template <Kind K> void advance_traces(const StoredStep& stored, const TraceGroup& group, const double* z,
                                      const Rows<K.n_constants(), const double> constants, ReplayedChunk<K>& __restrict chunk) {
  constexpr int D = K.n_filters, M = K.n_own;
  const double kappa = group.kappa, kappa_reg = group.kappa_reg, z_0 = z[0], z_1 = z[1];
  for (Index i = 0; i < chunk.optimized.size; i++) {
    const Index j = chunk.target[i];
    double e = 0.0;
    if constexpr (D > 0) e += constants[K.c()][j] * z_0;
    if constexpr (D > 1) e += constants[K.c() + 1][j] * z_1;
    for (int m = 0; m < M; m++) e += constants[K.c() + D + m][j] * chunk.own[m][i];
    e *= stored.psi(j);
    chunk.e_bar[i] = kappa * chunk.e_bar[i] + e;
    if constexpr (K.two_kappas) chunk.e_reg[i] = kappa_reg * chunk.e_reg[i] + (1.0 - kappa_reg) * e;
    double next[K.n_own > 0 ? K.n_own : 1];
    unroll<M>([&](auto m) EPROP_INLINED {
      const auto part = [&](auto n) EPROP_INLINED { return constants[K.a() + M * m + n][j] * chunk.own[n][i]; };
      next[m] = sum_unrolled<M>(part) + constants[K.u() + m][j] * e;
    });
    for (int m = 0; m < M; m++) chunk.own[m][i] = next[m];
  }
}

// Replays the steps for some synapses.
template <Kind K, class Real>
void replay_chunk(const GroupStep<Real>& step, const Replay& replay, ReplayedChunk<K>& __restrict chunk) {
  const OnlineState<Real>& state = step.state;
  const TraceGroup& group = state.topology.trace_groups[step.group.trace_group];
  const auto constants = constants_of<K>(state.topology);
  OwedSteps& owed = step.state.plus.owed[step.partition];
  double z[2] = {replay.z[0], replay.z[1]}, next[2];
  Index taken = replay.taken;
  for (Index now = replay.first; now < replay.stop; now++) {
    const StoredStep stored = stored_step(state.history, now);
    find_gradients<K>(stored, group.gamma, chunk);
    owed.prepare(taken, now, step.group.optimizer);
    take_steps(owed, chunk.optimized);
    taken = now;
    if (replay.ends && now == replay.stop - 1) return;
    advance_traces<K>(stored, group, z, constants, chunk);
    move_spikes<K>(state.topology, step.group.trace_group, kForward, 1, z, next);
    std::copy(next, next + 2, z);
  }
}

// Replays the steps for the synapses of a branch.
template <Kind K, class Real> void replay_branch(const GroupStep<Real>& step, const Replay& replay, Index begin, Index end) {
  ReplayedChunk<K> chunk;
  for (Index synapse = begin; synapse < end; synapse += chunk.optimized.size) {
    chunk.optimized.size = std::min(end - synapse, chunk.kMost);
    read_replayed<K>(step.state, synapse, chunk);
    replay_chunk<K>(step, replay, chunk);
    write_replayed<K>(chunk, synapse, step.state.synapses);
  }
}

// All arriving spikes of a delay group in this step.
template <Kind K, class Real> void deliver_per_step(const GroupStep<Real>& step) {
  OnlineState<Real>& state = step.state;
  const SynapsePointers<Real> s = pointers_of(state);
  const BranchList<ArrivingBranch> branches = step.arriving();
  for (Index k = 0; k < branches.count; k++) {
    const ArrivingBranch& branch = branches.first[k];
    const Index begin = branches.begin(k), end = branches.end(k);
    if (branch.last < 0) {
      deliver_first<K>(state, begin, end);
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
