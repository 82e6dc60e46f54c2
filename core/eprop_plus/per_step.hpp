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

// Replays the steps for one synapse, all in double precision:
//     g = L e_bar + F e_bar_reg    w <- optimiser(w, g)    e = psi (c_z z + c_h h)
//     with reward e_reward = gamma e_reward + L e_bar    g = r e_reward + F e_bar_reg
//     e_bar = kappa e_bar + e    e_bar_reg = kappa_reg e_bar_reg + (1 - kappa_reg) e    z = f z    h = a h + u e
template <Kind K, class Real> void replay_synapse(const GroupStep<Real>& step, const Replay& replay, Index synapse) {
  constexpr int D = K.n_filters, M = K.n_own;
  OnlineState<Real>& state = step.state;
  Synapses<Real>& s = state.synapses;
  const TraceGroup& group = state.topology.trace_groups[step.group.trace_group];
  const OptimizerConstants& optimizer = step.group.optimizer;
  const auto constants = constants_of<K>(state.topology);
  const double* f = D > 0 ? state.topology.filters.matrix(step.group.trace_group, kForward, 1) : nullptr;
  const Index size = state.topology.filters.size, j = state.topology.targets.data[synapse];
  double e_bar = s.trace.data[synapse], e_reg = 0.0, waiting = 0.0, h[kMostOwn] = {}, z[2] = {0.0, 0.0};
  if constexpr (K.two_kappas) e_reg = s.trace_reg.data[synapse];
  if constexpr (K.reward) waiting = s.trace_reward.data[synapse];
  for (int m = 0; m < M; m++) h[m] = s.own.data[m * s.own.columns + synapse];
  for (int d = 0; d < D; d++) z[d] = replay.z[d];
  Index taken = replay.taken;
  for (Index now = replay.first; now < replay.stop; now++) {
    const StoredStep stored = stored_step(state.history, now);
    double g = stored.learning(j) * e_bar;
    if constexpr (K.reward) g = stored.reward * (waiting = group.gamma * waiting + g);
    if constexpr (kHasRegularisation<K>) g += stored.regularisation(j) * (K.two_kappas ? e_reg : e_bar);
    s.weight.data[synapse] = optimize_synapse(synapse, g, taken, now, decay_of_pending(optimizer, taken, now), optimizer, s);
    taken = now;
    if (replay.ends && now == replay.stop - 1) break;
    double e = 0.0;
    for (int d = 0; d < D; d++) e += constants[K.c() + d][j] * z[d];
    for (int m = 0; m < M; m++) e += constants[K.c() + D + m][j] * h[m];
    e *= stored.psi(j);
    e_bar = group.kappa * e_bar + e;
    if constexpr (K.two_kappas) e_reg = group.kappa_reg * e_reg + (1.0 - group.kappa_reg) * e;
    if constexpr (D == 1) z[0] *= f[0];
    if constexpr (D == 2) {
      const double z_0 = f[0] * z[0] + f[1] * z[1];
      z[1] = f[size] * z[0] + f[size + 1] * z[1];
      z[0] = z_0;
    }
    double next[kMostOwn];
    unroll<M>([&](auto m) EPROP_INLINED {
      const auto part = [&](auto n) EPROP_INLINED { return constants[K.a() + M * m + n][j] * h[n]; };
      next[m] = sum_unrolled<M>(part) + constants[K.u() + m][j] * e;
    });
    std::copy(next, next + M, h);
  }
  s.trace.data[synapse] = static_cast<Real>(e_bar);
  if constexpr (K.two_kappas) s.trace_reg.data[synapse] = static_cast<Real>(e_reg);
  if constexpr (K.reward) s.trace_reward.data[synapse] = static_cast<Real>(waiting);
  for (int m = 0; m < M; m++) s.own.data[m * s.own.columns + synapse] = static_cast<Real>(h[m]);
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
    for (Index synapse = begin; synapse < end; synapse++) replay_synapse<K>(step, replay, synapse);
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
    for (Index synapse = branches.begin(k); synapse < branches.end(k); synapse++) replay_synapse<K>(step, replay, synapse);
  }
}

}  // namespace eprop
