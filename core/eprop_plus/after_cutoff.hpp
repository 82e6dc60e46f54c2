// Branches of e-prop+ that spike for the first time, or after a silence longer than the cutoff.
//
// These branches learn nothing at the spike: the gradient of the last interval was finalised when the branch expired. What
// remains is to decay the traces and to deliver the weights.
//
// With reward traces, one cutoff after its last spike nothing is added to a synapse's reward trace e_reward any more. The trace
// decays by gamma, and rewards keep turning it into a gradient, g += r e_reward. The factor is one number for all synapses of a
// branch (`reward_factor`); the same holds for synapses onto readouts. This ends with the next spike, or with the reward cutoff;
// until then `pending` has the gradient.
#pragma once
#include <array>
#include <limits>

#include "eprop_plus/block_start.hpp"
#include "online/static_rows.hpp"

namespace eprop {

// ------------------------------------------------------------------------------------------- silent synapses with a reward trace

// The first step whose reward belongs to a silence that began in step `begin`: the product of a readout's error and its spikes is
// one step later than that of a neuron (readout_synapses.hpp).
inline Index first_rewarded(const DelayGroup& group, Index begin) { return begin - (group.onto_readouts ? 1 : 0); }

// Effect of a silence that began one cutoff after the last spike of a branch and ends with a spike.
template <class Real> struct WaitingSilence {
  Real gamma = 1, reward_factor = 0;  // decay of the reward trace; its factor to the gradient, 0 if already counted
};

template <class Real> WaitingSilence<Real> waiting_silence(const GroupStep<Real>& step, Index last) {
  const DelayGroup& group = step.group;
  const Index begin = last + group.cutoff;
  WaitingSilence<Real> out{static_cast<Real>(gamma_power(step.state.topology, group.trace_group, step.t - begin))};
  if (group.per_step_optimizer || step.t - last > group.reward_cutoff) return out;
  out.reward_factor = static_cast<Real>(
      reward_factor(step.state, group.trace_group, first_rewarded(group, begin), first_rewarded(group, step.t)));
  return out;
}

// Ends the silence of N synapses; returns the gradient, which no longer waits.
template <int N, class Real>
EPROP_INLINE Vector<Real, N> end_wait(const SynapsePointers<Real>& s, Index synapse, const WaitingSilence<Real>& silence) {
  const Vector<Real, N> waiting = load<N>(s.trace_reward + synapse);
  const Vector<Real, N> g = load<N>(s.pending + synapse) + waiting * silence.reward_factor;
  store<N, Real>(s.trace_reward + synapse, waiting * silence.gamma);
  store<N, Real>(s.pending + synapse, broadcast<N>(Real(0)));
  return g;
}

// Steps of a per-step optimiser from one cutoff after step `last`, in which the last spike arrived, to this step: g = r e_reward,
// with a decay of gamma per step. The stored reward trace does not change.
template <class Real> void replay_waiting(const GroupStep<Real>& step, Index begin, Index end, Index last) {
  OnlineState<Real>& state = step.state;
  const DelayGroup& group = step.group;
  const double gamma = state.topology.trace_groups[group.trace_group].gamma;
  OwedSteps& owed = state.plus.owed[step.partition];
  SynapseChunk<double> chunk;
  double waiting[chunk.kMost];
  for (Index synapse = begin; synapse < end; synapse += chunk.size) {
    chunk.size = std::min(end - synapse, chunk.kMost);
    read_chunk(state.synapses, synapse, chunk);
    std::copy_n(state.synapses.trace_reward.data + synapse, chunk.size, waiting);
    for (Index now = last + group.cutoff; now < step.t; now++) {
      const double reward = reward_of_step(state.history.rewards, first_rewarded(group, now));
      for (Index i = 0; i < chunk.size; i++) chunk.gradient[i] = reward * (waiting[i] *= gamma);
      owed.prepare(now - 1, now, group.optimizer);
      take_steps(owed, chunk);
    }
    write_chunk(chunk, synapse, state.synapses);
  }
}

// Branches whose last spike arrived one reward cutoff ago: their gradients are final. Gradient descent applies them at once;
// other optimisers apply them at the next spike. The stored reward trace does not change.
template <class Real> void finalise_unrewarded(const GroupStep<Real>& step) {
  const BranchList<ExpiredBranch> branches = step.unrewarded();
  if (branches.count == 0) return;
  const DelayGroup& group = step.group;
  const SynapsePointers<Real> s = pointers_of(step);
  const Real factor = waiting_silence(step, step.t - group.reward_cutoff).reward_factor;
  const Descent<Real> d = descent_of<Real>(group.optimizer);
  const bool now = descends(group);
  for (Index k = 0; k < branches.count; k++) {
    if (group.per_step_optimizer) {
      replay_waiting(step, branches.begin(k), branches.end(k), step.t - group.reward_cutoff);
      continue;
    }
    for (Index synapse = branches.begin(k); synapse < branches.end(k); synapse++) {
      const Real g = s.pending[synapse] + factor * s.trace_reward[synapse];
      s.pending[synapse] = now ? Real(0) : g;
      if (now) s.weight[synapse] = descended<1>(s, synapse, g, d);
    }
  }
}

// ---------------------------------------------------------------------------------------------------------- a silence ends

using OwnMatrix = std::array<double, kMostOwn * kMostOwn>;  // row by row, without gaps if there are fewer components

// Decay of a synapse's own components over n steps without a spike of the target: a matrix and its power. Most neurons of a
// population have the same one, so the last result is cached.
struct OwnPowers {
  OwnMatrix matrix, power;
};

// Product of two matrices of M rows.
template <int M> EPROP_INLINE OwnMatrix product(const OwnMatrix& a, const OwnMatrix& b) {
  OwnMatrix out{};
  unroll<M * M>([&](auto entry) EPROP_INLINED {
    constexpr int row = entry / M, column = entry % M;
    out[entry] = sum_unrolled<M>([&](auto k) EPROP_INLINED { return a[row * M + k] * b[k * M + column]; });
  });
  return out;
}

// Power of a matrix of M rows, by squaring.
template <int M> OwnMatrix matrix_power(OwnMatrix matrix, Index n) {
  OwnMatrix out{};
  for (int i = 0; i < M; i++) out[i * M + i] = 1.0;
  for (; n > 0; n >>= 1, matrix = product<M>(matrix, matrix))
    if (n & 1) out = product<M>(matrix, out);
  return out;
}

// Data shared by all synapses of a branch whose silence ends.
template <Kind K, class Real> struct ResumingBranch {
  Index silent;                    // steps in which the traces decayed
  double kappa, kappa_reg, fresh;  // decay of the traces, 1 - kappa_reg
  const double* z_ahead;           // filtered spikes in the step before
  const Real* psi;                 // surrogate gradient in the step before
  Rows<K.n_constants(), const double> constants;
  OwnPowers own;
  Descent<Real> descent;
  bool takes;  // the optimiser takes the gradient now
  WaitingSilence<Real> waiting;
};

// Powers for the own components of synapses onto one target.
template <Kind K, class Real> void find_powers(ResumingBranch<K, Real>& branch, Index target) {
  OwnMatrix matrix{};
  for (int m = 0; m < K.n_own * K.n_own; m++) matrix[m] = branch.constants[K.a() + m][target];
  if (matrix == branch.own.matrix) return;
  branch.own.matrix = matrix;
  if constexpr (K.n_own == 1) branch.own.power[0] = power(matrix[0], branch.silent);
  if constexpr (K.n_own > 1) branch.own.power = matrix_power<K.n_own>(matrix, branch.silent);
}

// N synapses: their own components decay, and the step before this spike counts again (as in NEST). Computed in double precision;
// stored values are rounded:
//     e = psi (c_z z + c_h h)    e_bar = kappa^n e_bar + e    h = a h + u e + b
template <Kind K, int N, class Real> EPROP_INLINE void resume_synapses(const SynapsePointers<Real>& s, Index synapse,
                                                                       ResumingBranch<K, Real>& branch,
                                                                       const PendingSteps<Real>& pending) {
  using Wide = Vector<double, N>;
  constexpr int D = K.n_filters, M = K.n_own;
  const std::uint32_t* targets = s.targets + synapse;
  const auto& constants = branch.constants;
  const auto rounded = [](const Wide& v) EPROP_INLINED { return convert<double, N>(convert<Real, N>(v)); };
  const auto wide = [&](const Real* values) EPROP_INLINED { return convert<double, N>(load<N>(values + synapse)); };
  const auto keep = [&](Real* values, const Wide& v) EPROP_INLINED { store<N, Real>(values + synapse, convert<Real, N>(v)); };
  Wide e = broadcast<N>(0.0), own[kMostOwn];
  unroll<D>([&](auto d) EPROP_INLINED { e += gather<N>(constants[K.c() + d], targets) * branch.z_ahead[d]; });
  if constexpr (M > 0 && N == 1) find_powers(branch, targets[0]);
  const OwnMatrix& left = branch.own.power;
  unroll<M>([&](auto m) EPROP_INLINED {
    const auto part = [&](auto n) EPROP_INLINED { return wide(s.own + n * s.own_columns) * left[M * m + n]; };
    own[m] = rounded(sum_unrolled<M>(part));
    e += gather<N>(constants[K.c() + D + m], targets) * own[m];
  });
  e = e * convert<double, N>(gather<N>(branch.psi, targets));
  keep(s.trace, branch.kappa * wide(s.trace) + e);
  if constexpr (K.two_kappas) keep(s.trace_reg, branch.kappa_reg * wide(s.trace_reg) + branch.fresh * e);
  unroll<M>([&](auto m) EPROP_INLINED {
    const auto part = [&](auto n) EPROP_INLINED { return own[n] * gather<N>(constants[K.a() + M * m + n], targets); };
    Wide next = rounded(rounded(sum_unrolled<M>(part)) + gather<N>(constants[K.u() + m], targets) * e);
    if constexpr (D == 0) next += gather<N>(constants[K.b() + m], targets);
    keep(s.own + m * s.own_columns, next);
  });
  if constexpr (K.reward) {
    const auto g = end_wait<N>(s, synapse, branch.waiting);
    if (branch.takes) return pending.template note<N>(synapse, g);
    store<N, Real>(s.weight + synapse, descended<N>(s, synapse, g, branch.descent));
  } else if (branch.takes) {
    pending.template note<N>(synapse, load<N>(s.pending + synapse));
    return store<N, Real>(s.pending + synapse, broadcast<N>(Real(0)));
  }
  deliver<N>(s.x, targets, load<N>(s.weight + synapse));
}

// Branch k of a list spikes after a silence longer than the cutoff; its gradient was finalised when it expired.
template <Kind K, class Real>
void resume_branch(const GroupStep<Real>& step, const BranchList<ArrivingBranch>& branches, Index k) {
  OnlineState<Real>& state = step.state;
  const Topology& topology = state.topology;
  const ArrivingBranch& arriving = branches.first[k];
  const TraceGroup& group = topology.trace_groups[step.group.trace_group];
  const Index silent = step.t - arriving.last - step.group.cutoff;
  const auto left = [&](double base, DecayRow row) {
    return silent + 1 < topology.decays.columns ? topology.decays(step.group.trace_group, row, silent + 1)
                                                : power(base, silent + 1);
  };
  PendingSteps<Real> pending(step);
  pending.descent = pending.descent || pending.rounds;  // they have done so at the end of the cutoff
  const bool takes = K.any_optimizer() ? !pending.descent : step.moments && !pending.rounds;
  const double none = std::numeric_limits<double>::quiet_NaN();  // differs from every matrix
  ResumingBranch<K, Real> branch{silent,
                                 left(group.kappa, kKappa),
                                 left(group.kappa_reg, kKappaReg),
                                 1.0 - group.kappa_reg,
                                 arriving.z_ahead,
                                 state.neurons.psi.data,
                                 constants_of<K>(topology),
                                 {{none}, {}},
                                 descent_of<Real>(step.group.optimizer),
                                 takes,
                                 {}};
  if constexpr (K.reward) branch.waiting = waiting_silence(step, arriving.last);
  const bool alike = K.n_own == 0 || (K.n_own == 1 && group.own_decay == group.own_decay);
  if (K.n_own == 1 && alike) branch.own = {{group.own_decay}, {power(group.own_decay, silent)}};
  const Index begin = branches.begin(k), end = branches.end(k);
  if (takes) pending.begin(arriving.branch, begin, arriving.optimizer_steps, step.t - 1);
  const SynapsePointers<Real> s = pointers_of(step);
  const FollowingBranch next = following(branches, k + 1);
  for_synapses<(K.n_own < 2)>(s, begin, end, next, step.moments, alike, [&](auto together, Index synapse) EPROP_INLINED {
    resume_synapses<K, together>(s, synapse, branch, pending);
  });
  if (takes) pending.take_and_deliver(end);
}

// The first spike of a branch changes nothing yet.
template <Kind K, class Real> void deliver_first(const GroupStep<Real>& step, Index begin, Index end) {
  const SynapsePointers<Real> s = pointers_of(step);
  deliver_branch(begin, end, s.targets, s.weight, s.x);
  if constexpr (K.n_filters == 0) {
    const auto constants = constants_of<K>(step.state.topology);
    for (int m = 0; m < K.n_own; m++)
      for (Index synapse = begin; synapse < end; synapse++)
        step.state.synapses.own(m, synapse) = static_cast<Real>(constants[K.b() + m][s.targets[synapse]]);
  }
}

// Branches that spike for the first time, or after a long silence.
template <Kind K, class Real> void start_or_resume(const GroupStep<Real>& step, const BranchList<ArrivingBranch>& branches) {
  const SynapsePointers<Real> s = pointers_of(step);
  for (Index k = 0; k < branches.count; k++) {
    if (step.moments || K.n_own > 1 || branches.first[k].last < 0) fetch_next(s, branches, k);
    if (branches.first[k].last < 0) {
      deliver_first<K>(step, branches.begin(k), branches.end(k));
    } else {
      resume_branch<K>(step, branches, k);
    }
    if constexpr (K.anchored) move_branch_back<K>(step, branches, k);
  }
}

}  // namespace eprop
