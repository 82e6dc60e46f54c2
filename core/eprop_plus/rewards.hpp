// Rewards: one number for each step, the same for all synapses, which turns reward traces into a gradient.
//
// With reward, a learning signal enters a trace s that decays by gamma, not the gradient g. A step does
//
//     s = gamma s + L e_bar      g = g + r s
//
// with the reward r (such as a temporal-difference error) given together with L (Bellec et al. 2020, reward-based e-prop). So the
// gradient that the steps `begin` .. `end` - 1 make from a trace s at their start is s times a number, which is the same for all
// synapses with the same gamma:
//
//     reward_factor(begin, end) = sum_u r(u + 1) gamma^(u - begin + 1)
//
// because the reward of step u + 1 belongs to step u of the propagators (propagators.hpp). These sums are stored from each step
// to the end of its block, or to now (`rest`), and from each block to the current one (`ahead`): every interval that ends now is
// a sum of three stored terms. There is no division and no subtraction.
#pragma once
#include <algorithm>

#include "network/optimizers.hpp"
#include "online/state.hpp"

namespace eprop {

// gamma^n, the decay of a reward trace over n steps.
inline double gamma_power(const Topology& topology, Index trace_group, Index n) {
  return n < topology.decays.columns ? topology.decays(trace_group, kGamma, n)
                                     : power(topology.trace_groups[trace_group].gamma, n);
}

// Whether some projection has reward traces.
template <class Real> bool waits_for_reward(const OnlineState<Real>& state) { return state.history.rewards.of_step.size > 0; }

// Begins step `t` with its `reward`.
template <class Real> void store_reward(OnlineState<Real>& state, Index t, double reward) {
  Rewards& rewards = state.history.rewards;
  if (rewards.of_step.size == 0) return;
  const Topology& topology = state.topology;
  const Index ring = rewards.of_step.size - 1, steps = state.history.block_steps, blocks = rewards.ahead.columns;
  rewards.now = t;
  rewards.of_step[t & ring] = reward;
  for (Index group = 0; group < topology.trace_groups.size; group++) {
    if (topology.trace_groups[group].gamma == 0.0) continue;
    double* rest = rewards.rest.row(group);
    rest[t & ring] = 0.0;
    if (t == 0) continue;
    const Index start = (t - 1) / steps * steps;
    if (reward != 0.0)
      for (Index step = start; step < t; step++) rest[step & ring] += reward * topology.decays(group, kGamma, t - step);
    if ((t & (steps - 1)) != 0) continue;
    double* ahead = rewards.ahead.row(group);
    const Index current = t / steps, oldest = std::max<Index>(current - blocks + 1, 0);
    const double decay = topology.decays(group, kGamma, steps);
    ahead[current & (blocks - 1)] = 0.0;
    for (Index block = current - 1; block >= oldest; block--)
      ahead[block & (blocks - 1)] = rest[(block * steps) & ring] + decay * ahead[(block + 1) & (blocks - 1)];
  }
}

// reward_factor(begin, end) within a block; `end` may be the end of the block.
template <class Real> double reward_factor_in_block(const OnlineState<Real>& state, Index trace_group, Index begin, Index end) {
  const Rewards& rewards = state.history.rewards;
  const Index ring = rewards.of_step.size - 1;
  if (end == rewards.now || (end & (state.history.block_steps - 1)) == 0) return rewards.rest(trace_group, begin & ring);
  double sum = 0.0;
  for (Index step = begin; step < end; step++)
    sum += rewards.of_step[(step + 1) & ring] * state.topology.decays(trace_group, kGamma, step - begin + 1);
  return sum;
}

// reward_factor(begin, end) for steps whose rewards are all known.
template <class Real> double reward_factor(const OnlineState<Real>& state, Index trace_group, Index begin, Index end) {
  if (begin >= end) return 0.0;
  const Rewards& rewards = state.history.rewards;
  const Index steps = state.history.block_steps;
  if (begin / steps == (end - 1) / steps) return reward_factor_in_block(state, trace_group, begin, end);
  const auto left = [&](Index step) { return gamma_power(state.topology, trace_group, step - begin); };
  Index block = begin / steps + 1;
  double sum = reward_factor_in_block(state, trace_group, begin, block * steps);
  const Index last = end / steps;
  double whole = 0.0;  // of blocks `block` .. last - 1, with the bits of `ahead`: a propagator is kept while `now` goes on
  if (last == rewards.now / steps) {
    whole = rewards.ahead(trace_group, block & (rewards.ahead.columns - 1));
  } else {
    const double decay = state.topology.decays(trace_group, kGamma, steps);
    for (Index k = last - 1; k >= block; k--)
      whole = reward_factor_in_block(state, trace_group, k * steps, (k + 1) * steps) + decay * whole;
  }
  if (block < last) sum += left(block * steps) * whole;
  if (last * steps == end) return sum;
  return sum + left(last * steps) * reward_factor_in_block(state, trace_group, last * steps, end);
}

}  // namespace eprop
