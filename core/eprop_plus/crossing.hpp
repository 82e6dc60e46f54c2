// e-prop+ synapses with components of the eligibility that cannot be moved back.
//
// The neuron's own spikes act on such components, and a decayed value cannot be recovered: these synapses have no block-start
// state (block_start.hpp). They cross the rest of the block of their last spike, then the interval from there to now; or, within
// one block, the whole interval at once.
#pragma once
#include "eprop_plus/branches.hpp"

namespace eprop {

// Values that cross an interval: traces, reward trace, own components.
template <class Real> struct Crossing {
  Real e, rate, waiting, own[kMostOwn];
};
// An interval for the synapses of a branch: propagators of the gradient and of reward traces; propagators of values (which may
// end earlier); the decay of traces; the factor from reward trace to gradient; filtered spikes at its start.
template <class Real> struct Interval {
  Array2<const Real> gradient, values;
  Real kappa, kappa_reg, gamma, reward_factor, z[kMostFilters];
};

template <Kind K, class Real> Crossing<Real> read_crossing(const Synapses<Real>& s, Index synapse) {
  Crossing<Real> v{s.trace.data[synapse], 0, 0, {}};
  if constexpr (K.two_kappas) v.rate = s.trace_reg.data[synapse];
  if constexpr (K.reward) v.waiting = s.trace_reward.data[synapse];
  for (int m = 0; m < K.n_own; m++) v.own[m] = s.own.data[m * s.own.columns + synapse];
  return v;
}

// Stores the values; `arrives`: a spike enters the synapse's own components.
template <Kind K, class Real>
void write_crossing(const Topology& topology, Synapses<Real>& s, Index synapse, const Crossing<Real>& v, bool arrives) {
  s.trace.data[synapse] = v.e;
  if constexpr (K.two_kappas) s.trace_reg.data[synapse] = v.rate;
  if constexpr (K.reward) s.trace_reward.data[synapse] = v.waiting;
  for (int m = 0; m < K.n_own; m++) {
    Real& own = s.own.data[m * s.own.columns + synapse];
    own = v.own[m];
    if (K.n_filters == 0 && arrives)
      own = static_cast<Real>(v.own[m] + topology.eligibility.row(K.b() + m)[topology.targets.data[synapse]]);
  }
}

// Contribution of components x (filtered spikes, then own ones) through the entries of a propagator from `entry` on.
template <Kind K, class Real>
EPROP_INLINE Real through(const Array2<const Real>& p, int entry, Index target, const Real (&x)[kMostFilters + kMostOwn]) {
  const auto at = [&](int k) EPROP_INLINED { return p.data[(entry + k) * p.columns + target] * x[k]; };
  Real total = at(0);
  for (int k = 1; k < K.n_components(); k++) total += at(k);
  return total;
}

// Advances the values of one synapse over an interval; returns the gradient.
template <Kind K, class Real> Real cross(const Interval<Real>& interval, Index target, Crossing<Real>& v) {
  Real x[kMostFilters + kMostOwn] = {};
  for (int d = 0; d < K.n_filters; d++) x[d] = interval.z[d];
  for (int m = 0; m < K.n_own; m++) x[K.n_filters + m] = v.own[m];
  const auto entry = [&](int k) EPROP_INLINED { return interval.gradient.data[k * interval.gradient.columns + target]; };
  Real g = entry(K.GE()) * v.e;
  if constexpr (K.two_kappas) {
    g += entry(K.GR()) * v.rate;
    v.rate = interval.kappa_reg * v.rate + through<K>(interval.values, K.R(), target, x);
  }
  g += through<K>(interval.gradient, K.G(), target, x);
  if constexpr (K.reward) {
    g += interval.reward_factor * v.waiting;
    v.waiting = interval.gamma * v.waiting + entry(K.SE()) * v.e + through<K>(interval.gradient, K.S(), target, x);
  }
  v.e = interval.kappa * v.e + through<K>(interval.values, K.E(), target, x);
  for (int m = 0; m < K.n_own; m++) v.own[m] = through<K>(interval.values, K.A() + m * K.n_components(), target, x);
  return g;
}

// Steps `begin` to `end` through one propagator.
template <Kind K, class Real> Interval<Real> interval_of(const GroupStep<Real>& step, Index begin, Index end,
                                                         Array2<const Real> gradient, Array2<const Real> values) {
  const Index trace_group = step.group.trace_group;
  const Powers<Real> p = powers_between<K, Real>(step.state, trace_group, begin, end);
  return {gradient, values, p.kappa, p.kappa_reg, p.gamma, p.reward_factor, {0, 0}};
}
template <Kind K, class Real> void set_spikes(Interval<Real>& interval, const double* z) {
  for (int d = 0; d < K.n_filters; d++) interval.z[d] = static_cast<Real>(z[d]);
}

// Branches update and deliver after the propagators to this step were found for their targets, in `interval`: from the step of
// their last spike in this block; or, if that was in an `earlier` block, from the end of that block, whose rest they cross first.
template <Kind K, class Real>
void learn_through(const GroupStep<Real>& step, const BranchList<ArrivingBranch>& branches, bool earlier) {
  OnlineState<Real>& state = step.state;
  const Topology& topology = state.topology;
  const SynapsePointers<Real> s = pointers_of(step);
  const Index block_steps = state.history.block_steps, ring = state.history.prefix_history.planes - 1;
  const Descent<Real> descent = descent_of<Real>(step.group.optimizer);
  const auto found = plane_of(state.plus.interval, 0);
  PendingSteps<Real> pending(step);
  for (Index k = 0; k < branches.count; k++) {
    const ArrivingBranch& branch = branches.first[k];
    fetch_next(s, branches, k);
    const Index rest = earlier ? (branch.last / block_steps + 1) * block_steps - branch.last : 0;
    const auto history = plane_of(state.history.prefix_history, branch.last & ring);
    Interval<Real> to_end = interval_of<K>(step, branch.last, branch.last + rest, history, history);
    Interval<Real> to_step = interval_of<K>(step, branch.last + rest, step.t, found, found);
    double z[2];
    move_spikes<K>(topology, step.group.trace_group, kForward, rest, branch.z_last, z);
    set_spikes<K>(to_end, branch.z_last);
    set_spikes<K>(to_step, earlier ? z : branch.z_last);
    const Index begin = branches.begin(k), end = branches.end(k);
    if (!pending.descent) pending.begin(branch.branch, begin, branch.optimizer_steps, step.t - 1);
    for (Index synapse = begin; synapse < end; synapse++) {
      const Index target = s.targets[synapse];
      Crossing<Real> v = read_crossing<K>(state.synapses, synapse);
      Real g = 0;
      if (earlier) g = cross<K>(to_end, target, v);
      g += cross<K>(to_step, target, v);
      write_crossing<K>(topology, state.synapses, synapse, v, true);
      if (pending.descent) {
        s.weight[synapse] = descended<1>(s, synapse, g, descent);
      } else {
        pending.template note<1>(synapse, g);
      }
    }
    if (!pending.descent) pending.take(end);
    deliver_branch(begin, end, s.targets, s.weight, s.x);
  }
}

// A propagator for one target costs about as much as this many in the loop over all targets.
inline constexpr double kCostOfOne = 5.5;

// Arriving branches with a last spike within the cutoff, in the order of their last spikes: block by block, and within this block
// step by step.
template <Kind K, class Real> void learn_crossing(const GroupStep<Real>& step, const BranchList<ArrivingBranch>& branches) {
  OnlineState<Real>& state = step.state;
  const TargetRange<Real>& targets = step.targets;
  const Index block_steps = state.history.block_steps, t = step.t, start = t / block_steps * block_steps;
  const Array2<Real> interval = state.plus.interval.plane(0);
  turn_to_step(*targets.cached, t);
  for (Index k = 0; k < branches.count;) {
    const Index last = branches.first[k].last, first = k;
    const Index until = last >= start ? last + 1 : (last / block_steps + 1) * block_steps;
    Index synapses = 0;
    for (; k < branches.count && branches.first[k].last < until; k++) synapses += branches.end(k) - branches.begin(k);
    const auto together = branches.part(first, k);
    if (synapses == 0) continue;
    // With few synapses, propagators for all targets do not pay off.
    const bool many = static_cast<double>(synapses) * kCostOfOne > static_cast<double>(targets.end - targets.begin);
    const bool earlier = last < start;
    if (earlier) find_to_current_block<K>(targets, until / block_steps, t / block_steps);
    const auto find = [&](const TargetRange<Real>& neurons) {
      if (earlier) return find_to_step<K>(neurons, until / block_steps, t);
      find_within_block<K>(neurons, last, t, many, interval);
    };
    if (many) {
      find(targets);
    } else {
      TargetRange<Real> one = targets;
      together.for_targets(state.topology, [&](Index target) {
        one.begin = target;
        one.end = target + 1;
        find(one);
      });
    }
    learn_through<K>(step, together, earlier);
  }
}

// Expired branches cross the cutoff; the traces take part in all steps but the last.
template <Kind K, class Real> void finalise_crossing(const GroupStep<Real>& step, const BranchList<ExpiredBranch>& branches) {
  OnlineState<Real>& state = step.state;
  const SynapsePointers<Real> s = pointers_of(step);
  const Descent<Real> d = descent_of<Real>(step.group.optimizer);
  const bool waits = K.reward || !descends(step.group);
  PendingSteps<Real> pending(step);
  Interval<Real> interval = interval_of<K>(step, step.t - step.group.cutoff, step.t, plane_of(state.plus.until_cutoff, 0),
                                           plane_of(state.plus.until_cutoff_before, 0));
  interval.kappa = static_cast<Real>(state.topology.decays(step.group.trace_group, kKappa, step.group.cutoff - 1));
  interval.kappa_reg = static_cast<Real>(state.topology.decays(step.group.trace_group, kKappaReg, step.group.cutoff - 1));
  for (Index k = 0; k < branches.count; k++) {
    fetch_next(s, branches, k);
    set_spikes<K>(interval, branches.first[k].z);
    if (pending.rounds) pending.begin(branches.first[k].branch, branches.begin(k), branches.first[k].optimizer_steps, step.t - 1);
    for (Index synapse = branches.begin(k); synapse < branches.end(k); synapse++) {
      Crossing<Real> v = read_crossing<K>(state.synapses, synapse);
      const Real g = cross<K>(interval, s.targets[synapse], v);
      write_crossing<K>(state.topology, state.synapses, synapse, v, false);
      if (pending.rounds) {
        pending.template note<1>(synapse, g);
      } else if (waits) {
        s.pending[synapse] = g;
      } else {
        s.weight[synapse] = descended<1>(s, synapse, g, d);
      }
    }
    if (pending.rounds) pending.take(branches.end(k));
  }
}

}  // namespace eprop
