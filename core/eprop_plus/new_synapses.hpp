// e-prop+ synapses that rewiring has made (network/rewiring.hpp): they begin with the last spike of their source.
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
#include "eprop_plus/effective_weights.hpp"
#include "eprop_plus/rewards.hpp"

namespace eprop {

// Makes room for the gradients of the longest branches, after synapses have moved.
template <class Real> void follow_connections(OnlineState<Real>& state);

// The last arrival at a branch, of a kind of synapses.
template <class Real> struct LastSpike {
  Kind kind;
  BranchAtStart<Real> at_start;
  Real grow, grow_reg, grow_gamma;  // 1 / kappa^n, 1 / kappa_reg^n, 1 / gamma^n
  Real reward_factor;               // gradient per reward trace at the start of the block, by the rewards until the spike
  bool moments;                     // whether `pending` has the premature gradient
};

template <class Real>
LastSpike<Real> last_spike_of(const OnlineState<Real>& state, const BranchAtStart<Real>& branch, const DelayGroup& group) {
  const Index n = branch.last & (state.history.block_steps - 1), start = branch.last - n;
  const auto grow = [&](DecayRow row) { return static_cast<Real>(state.topology.decays(group.trace_group, row, n)); };
  const Kind kind = branch.kind;
  return {kind,
          branch,
          grow(kGrowKappa),
          grow(kGrowKappaReg),
          grow(kGrowGamma),
          kind.reward ? static_cast<Real>(reward_factor(state, group.trace_group, start, branch.last)) : Real(0),
          kind.reward || (state.synapses.pending.size > 0 && !rounds_at_once(group))};
}

// Turns zeros into the block-start state of a new synapse.
template <class Real> void begin_at_block_start(OnlineState<Real>& state, Index synapse, const LastSpike<Real>& spike) {
  const Kind kind = spike.kind;
  const Index target = state.topology.targets[synapse];
  const Real z[2] = {static_cast<Real>(spike.at_start.z[0]), static_cast<Real>(spike.at_start.z[1])};
  const auto p = [&](Index entry) { return spike.at_start.prefix(entry, target); };
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
  v.e = -through(kind.E()) * spike.grow;
  state.synapses.trace[synapse] = v.e;
  if (kind.two_kappas) state.synapses.trace_reg[synapse] = v.rate = -through(kind.R()) * spike.grow_reg;
  if (kind.reward)
    state.synapses.trace_reward[synapse] = v.waiting = -(p(kind.SE()) * v.e + through(kind.S())) * spike.grow_gamma;
  if (!spike.moments) return;
  const Real premature = premature_gradient(kind, spike.at_start.prefix, target, v, z[0], z[1]);
  state.synapses.pending[synapse] = -(premature + spike.reward_factor * v.waiting);
}

// The last spike enters the own components of a new synapse that has the state as of that spike.
template <class Real> void begin_own(OnlineState<Real>& state, Index synapse, const Kind& kind) {
  for (int m = 0; kind.n_filters == 0 && m < kind.n_own; m++)
    state.synapses.own(m, synapse) = static_cast<Real>(state.topology.eligibility(kind.b() + m, state.topology.targets[synapse]));
}

// Lets all synapses that were made at time `now` begin, before step `t`. Their weights and all arrays of their states are 0.
template <class Real> void begin_synapses(OnlineState<Real>& state, Index t, std::uint32_t now) {
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
            begin_at_block_start(state, s, last_spike_of(state, at_start, g));
          } else {
            begin_own(state, s, kind);
          }
        }
    }
  }
}

}  // namespace eprop
