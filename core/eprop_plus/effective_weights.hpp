// The effective weight of an e-prop+ synapse: its weight as of the last spike.
//
// A synapse with a block-start state (eprop_plus/block_start.hpp) has a premature gradient subtracted from its weight; this file
// adds the gradient again. With moments, or reward, the gradient is subtracted elsewhere: `History::eta` is then 0.
//
// And synapses that rewiring has made (network/rewiring.hpp): they begin with the last spike of their source.
//
// A new synapse has the state of a synapse whose weight and traces were 0 when that spike arrived. The spikes of a source leave
// the same filters at all of its synapses, so the new one knows them too. Its own components begin with that spike. If the cutoff
// has passed since, all is 0 until the next spike.
//
// Arrays of synapses are 0 at first. That is the state as of the last spike, but for the arrival at own components without
// filters. A block-start state follows from it as in block_start.hpp:
//     own_0 = (own - A z_0) / A_own    e_0 = -E (z_0, own_0) / kappa^n    e_reward_0 = -(SE e_0 + S (z_0, own_0)) / gamma^n
// The weight must be materialised, so that the next spike subtracts the premature gradient. With moments, and with reward, the
// gradient is subtracted from `pending` here.
#pragma once
#include "eprop_plus/block_start.hpp"
#include "eprop_plus/eprop_plus.hpp"
#include "online/spike_log.hpp"

namespace eprop {

// Data of a branch of synapses with block-start states, for computing effective weights.
template <class Real> struct BranchAtStart {
  Kind kind;
  bool waits;                 // its last spike arrived within the cutoff, so no gradient has been finalised yet
  Index last;                 // step of that spike
  Array2<const Real> prefix;  // from the start of that step's block to the step
  double z[2];                // filtered spikes at the start of that block
};

// Whether the synapses of a delay group have block-start states.
template <class Real> bool has_block_start(const OnlineState<Real>& state, const DelayGroup& group) {
  if (!state.learns || group.rule != Rule::eprop_plus || group.onto_readouts) return false;
  const Kind kind = kind_of(state.topology, group.kind);
  return kind.anchored && !replays(group, kind);
}

// A branch before step `t`.
template <class Real> BranchAtStart<Real> branch_at_start(const OnlineState<Real>& state, Index branch, Index group, Index t) {
  const DelayGroup& g = state.groups[group];
  BranchAtStart<Real> at_start{{1, 0, true, false}, false, -1, {}, {0.0, 0.0}};
  if (!has_block_start(state, g)) return at_start;
  const LastArrival arrival = last_arrival(state, branch, group, t);
  if (arrival.step < 0 || t - arrival.step > g.cutoff) return at_start;
  const Array3<Real>& history = state.history.prefix_history;
  at_start.kind = kind_of(state.topology, g.kind);
  at_start.waits = true;
  at_start.last = arrival.step;
  at_start.prefix = plane_of(history, arrival.step & (history.planes - 1));
  const Index n = arrival.step & (state.history.block_steps - 1);
  double z[2] = {0.0, 0.0};
  for (Index d = 0; d < at_start.kind.n_filters; d++) z[d] = filtered_spikes(state, d, arrival.source, arrival.position, group);
  for (Index to = 0; to < at_start.kind.n_filters; to++) {
    at_start.z[to] = state.topology.filters(g.trace_group, kInverse, n, to, 0) * z[0];
    if (at_start.kind.n_filters > 1) at_start.z[to] += state.topology.filters(g.trace_group, kInverse, n, to, 1) * z[1];
  }
  return at_start;
}

template <class Real> Values<Real, 1> values_of(const OnlineState<Real>& state, const Kind& kind, Index synapse) {
  return {state.synapses.trace[synapse], kind.two_kappas ? state.synapses.trace_reg[synapse] : Real(0),
          kind.n_own > 0 ? state.synapses.own(0, synapse) : Real(0), Real(0)};
}

// Weight of a synapse of a branch: w - eta g, with the learning rate with which g was subtracted.
template <class Real>
Real effective_weight(const OnlineState<Real>& state, Index synapse, const BranchAtStart<Real>& branch, const DelayGroup& group) {
  const Real weight = state.synapses.weight[synapse];
  if (!branch.waits) return weight;
  const auto seen = [&](Real value) { return rounds_at_once(group) ? nearest_level(group, value) : value; };
  const Array2<double>& etas = state.history.eta;
  const double eta = etas(group.first_group, branch.last & (etas.columns - 1));
  if (eta == 0.0) return seen(weight);
  const Real g =
      premature_gradient(branch.kind, branch.prefix, state.topology.targets[synapse], values_of(state, branch.kind, synapse),
                         static_cast<Real>(branch.z[0]), static_cast<Real>(branch.z[1]));
  const OptimizerConstants& c = group.optimizer;
  return seen(clip<1, Real>(weight - static_cast<Real>(eta) * g, static_cast<Real>(c.w_min), static_cast<Real>(c.w_max)));
}

// Weight of a synapse before step `t`.
template <class Real> Real effective_weight(const OnlineState<Real>& state, Index synapse, Index branch, Index group, Index t) {
  return effective_weight(state, synapse, branch_at_start(state, branch, group, t), state.groups[group]);
}

// Trace of a synapse as of its last spike, or of its cutoff: e_bar = kappa^n e_0 + E (z, own).
template <class Real> Real effective_trace(const OnlineState<Real>& state, Index synapse, Index branch, Index group, Index t) {
  const BranchAtStart<Real> at_start = branch_at_start(state, branch, group, t);
  const Real trace = state.synapses.trace[synapse];
  if (!at_start.waits) return trace;
  const Index target = state.topology.targets[synapse], n = at_start.last & (state.history.block_steps - 1);
  Real e = static_cast<Real>(state.topology.decays(state.groups[group].trace_group, kKappa, n)) * trace;
  for (int d = 0; d < at_start.kind.n_filters; d++) e += at_start.prefix(d, target) * static_cast<Real>(at_start.z[d]);
  if (at_start.kind.n_own > 0) e += at_start.prefix(at_start.kind.n_filters, target) * state.synapses.own(0, synapse);
  return e;
}

// Writes the effective weights of all synapses with block-start states before step `t`. To store the weights in place, `out` is
// the array of weights, and History::eta becomes 0.
template <class Real> void materialise_weights(const OnlineState<Real>& state, Index t, Array1<Real> out) {
  const Topology& topology = state.topology;
  for (Index group = 0; group < static_cast<Index>(state.groups.size()); group++) {
    const DelayGroup& g = state.groups[group];
    if (!has_block_start(state, g)) continue;
    for (Index k = 0; k < g.n_branches; k++) {
      const Index branch = g.first_branch + k * g.branch_stride;
      const BranchAtStart<Real> at_start = branch_at_start(state, branch, group, t);
      if (!at_start.waits) continue;
      for (Index partition = 0; partition < topology.n_partitions(); partition++)
        for (Index synapse = topology.branch_start(partition, branch); synapse < topology.branch_start(partition, branch + 1);
             synapse++)
          out[synapse] = effective_weight(state, synapse, at_start, g);
    }
  }
}

// ------------------------------------------------------------------------------------------------------------ new synapses

// Makes room for the gradients of the longest branches, after synapses have moved.
template <class Real> void follow_connections(OnlineState<Real>& state);

// Turns zeros into the block-start state of a new synapse.
template <class Real>
void begin_at_block_start(OnlineState<Real>& state, Index synapse, const BranchAtStart<Real>& branch, const DelayGroup& group) {
  const Kind kind = branch.kind;
  const Index target = state.topology.targets[synapse], n = branch.last & (state.history.block_steps - 1);
  const Growth<Real> grow(state.topology, group.trace_group, n);
  const Real z[2] = {static_cast<Real>(branch.z[0]), static_cast<Real>(branch.z[1])};
  const auto p = [&](Index entry) { return branch.prefix(entry, target); };
  Values<Real, 1> v{0, 0, 0, 0};
  const auto through = [&](Index entry) {
    Real total = kind.n_own > 0 ? p(entry + kind.n_filters) * v.own : Real(0);
    for (Index d = 0; d < kind.n_filters; d++) total += p(entry + d) * z[d];
    return total;
  };
  if (kind.n_own > 0) {
    const Real arrival = kind.n_filters == 0 ? static_cast<Real>(state.topology.eligibility(kind.b(), target)) : Real(0);
    v.own = (arrival - through(kind.A())) / p(kind.A() + kind.n_filters);
    state.synapses.own(0, synapse) = v.own;
  }
  v.e = -through(kind.E()) * grow.kappa;
  state.synapses.trace[synapse] = v.e;
  if (kind.two_kappas) state.synapses.trace_reg[synapse] = v.rate = -through(kind.R()) * grow.kappa_reg;
  if (kind.reward) state.synapses.trace_reward[synapse] = v.waiting = -(p(kind.SE()) * v.e + through(kind.S())) * grow.gamma;
  if (!kind.reward && (state.synapses.pending.size == 0 || rounds_at_once(group))) return;
  Real premature = premature_gradient(kind, branch.prefix, target, v, z[0], z[1]);
  if (kind.reward)
    premature += static_cast<Real>(reward_factor(state, group.trace_group, branch.last - n, branch.last)) * v.waiting;
  state.synapses.pending[synapse] = -premature;
}

// The last spike enters the own components of a new synapse that has the state as of that spike.
template <class Real> void begin_own(OnlineState<Real>& state, Index synapse, const Kind& kind) {
  for (int m = 0; kind.n_filters == 0 && m < kind.n_own; m++)
    state.synapses.own(m, synapse) = static_cast<Real>(state.topology.eligibility(kind.b() + m, state.topology.targets[synapse]));
}

// Lets all synapses that were made at time `now` begin, before step `t`. Their weights and all arrays of their states are 0.
template <class Real> void begin_synapses(OnlineState<Real>& state, Index t, Index now) {
  const Topology& topology = state.topology;
  for (Index group = 0; group < static_cast<Index>(state.groups.size()); group++) {
    const DelayGroup& g = state.groups[group];
    if (g.rule != Rule::eprop_plus || g.onto_readouts) continue;
    const Kind kind = kind_of(topology, g.kind);
    for (Index k = 0; k < g.n_branches; k++) {
      const Index branch = g.first_branch + k * g.branch_stride, last = last_arrival(state, branch, group, t).step;
      if (last < 0 || t - last > g.cutoff) continue;
      const BranchAtStart<Real> at_start = branch_at_start(state, branch, group, t);
      for (Index part = 0; part < topology.n_partitions(); part++)
        for (Index s = topology.branch_start(part, branch); s < topology.branch_start(part, branch + 1); s++) {
          if (state.moves.born[s] != now) continue;
          if (at_start.waits) {
            begin_at_block_start(state, s, at_start, g);
          } else {
            begin_own(state, s, kind);
          }
        }
    }
  }
}

}  // namespace eprop
