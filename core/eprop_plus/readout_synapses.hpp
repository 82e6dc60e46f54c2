// e-prop+ synapses onto readouts: their gradient is the readout's error times the filtered spikes. They need no propagators: the
// sum of errors times powers over an interval follows from the sums since the starts of blocks. With reward traces there are two
// sums: the reward trace, and its gradient by rewards so far.
#pragma once
#include <algorithm>

#include "eprop_plus/after_cutoff.hpp"

namespace eprop {

// Filtered spikes of a branch: as of its last spike, that spike included, and one step before.
struct LastSpike {
  Index step;
  double z, z_before;
};

// Gradients of a branch with arrivals in steps `last.step` and `t`, for all readouts of a partition:
//     g_k = E_k(last - 1) z_before + z sum_{s = last}^{t - 2} alpha^(s - last) E_k(s)
template <class Real> double* find_readout_gradients(const GroupStep<Real>& step, const LastSpike& last) {
  OnlineState<Real>& state = step.state;
  const History<Real>& history = state.history;
  const Filters& filters = state.topology.filters;
  const Index group = step.group.trace_group, block_steps = history.block_steps, begin = last.step, end = step.t - 1;
  const Index first = state.topology.bounds(1, step.partition), stop = state.topology.bounds(1, step.partition + 1);
  double* out = state.plus.readout_gradient[step.partition].data();
  if (begin > 0) {
    const double* error = history.error.row((begin - 1) & (history.error.rows - 1));
    for (Index k = first; k < stop; k++) out[k] = error[k] * last.z_before;
  } else {
    std::fill(out + first, out + stop, 0.0);
  }
  if (end <= begin) return out;
  const auto prefix = [&](Index s) { return history.error_prefix.row(s & (history.error_prefix.rows - 1)); };
  const auto block = [&](Index s) { return history.error_block.row((s / block_steps) & (history.error_block.rows - 1)); };
  const Index before = begin & (block_steps - 1);
  const double* skipped = prefix(begin);
  const double* sum = before + end - begin < block_steps ? prefix(end) : block(begin);
  double scale = last.z * filters(group, kInverse, before, 0, 0);
  for (Index k = first; k < stop; k++) out[k] += scale * (sum[k] - skipped[k]);
  for (Index at = begin + std::min(block_steps - before, end - begin); at < end; at += block_steps) {
    sum = end - at >= block_steps ? block(at) : prefix(end);
    scale = last.z * filters(group, kForward, at - begin, 0, 0);
    for (Index k = first; k < stop; k++) out[k] += scale * sum[k];
  }
  return out;
}

// Effect of an interval on synapses with reward traces, for all readouts of a partition: g += gradient_k + reward_factor
// e_reward, e_reward = gamma e_reward + waiting_k.
struct WaitingReadouts {
  double *gradient, *waiting;
  double gamma, reward_factor;
};

// Errors of steps `begin` to `stop` of one block times filtered spikes, z at `begin`, enter reward traces of the readouts
// `range`. With S and G the sums from the block's start, of the reward trace and of its gradient,
//     S_b = gamma^n S_a + S alpha^a    G_b = G_a + reward_factor S_a + G alpha^a
template <class Real>
void wait_within_block(const GroupStep<Real>& step, Index begin, Index stop, double z, Positions range, WaitingReadouts out) {
  const OnlineState<Real>& state = step.state;
  const History<Real>& history = state.history;
  const Index group = step.group.trace_group, steps = history.block_steps, before = begin & (steps - 1);
  const bool whole = (stop & (steps - 1)) == 0;
  const Index row = whole ? (begin / steps) & (history.error_block.rows - 1) : stop & (history.error_prefix.rows - 1);
  const Index first = begin & (history.error_prefix.rows - 1);
  const double* waiting = whole ? history.error_trace_block.row(row) : history.error_trace_prefix.row(row);
  const double* gradient = whole ? history.error_block.row(row) : history.error_prefix.row(row);
  const double *waiting_before = history.error_trace_prefix.row(first), *gradient_before = history.error_prefix.row(first);
  const double left = gamma_power(state.topology, group, stop - begin), now = reward_factor(state, group, begin, stop);
  const double scale = z * state.topology.filters(group, kInverse, before, 0, 0);
  for (Index k = range.first; k < range.stop; k++) {
    out.gradient[k] += now * out.waiting[k] + scale * (gradient[k] - gradient_before[k] - now * waiting_before[k]);
    out.waiting[k] = left * out.waiting[k] + scale * (waiting[k] - left * waiting_before[k]);
  }
}

// For a branch with arrivals in steps `last.step` and `t`: with reward r, s(u) = gamma s(u - 1) + E_k(u) z(u) and
// g += r(u + 1) s(u).
template <class Real> WaitingReadouts find_waiting_readouts(const GroupStep<Real>& step, const LastSpike& last) {
  OnlineState<Real>& state = step.state;
  const History<Real>& history = state.history;
  const Index group = step.group.trace_group, steps = history.block_steps, begin = last.step, end = step.t - 1;
  const Positions range{state.topology.bounds(1, step.partition), state.topology.bounds(1, step.partition + 1)};
  WaitingReadouts out{state.plus.readout_gradient[step.partition].data(), state.plus.readout_waiting[step.partition].data(),
                      gamma_power(state.topology, group, step.t - begin),
                      reward_factor(state, group, std::max<Index>(begin - 1, 0), std::max<Index>(end, 0))};
  std::fill(out.gradient + range.first, out.gradient + range.stop, 0.0);
  std::fill(out.waiting + range.first, out.waiting + range.stop, 0.0);
  if (begin > 0) {
    const double* error = history.error.row((begin - 1) & (history.error.rows - 1));
    const double reward = reward_of_step(history.rewards, begin - 1);
    for (Index k = range.first; k < range.stop; k++) {
      out.waiting[k] = error[k] * last.z_before;
      out.gradient[k] = reward * out.waiting[k];
    }
  }
  for (Index at = begin; at < end;) {
    const Index stop = std::min(at / steps * steps + steps, end);
    wait_within_block(step, at, stop, last.z * state.topology.filters(group, kForward, at - begin, 0, 0), range, out);
    at = stop;
  }
  return out;
}

// Gradient descent of one synapse, in double precision.
template <class Real> Real descend(Real weight, double gradient, const OptimizerConstants& c) {
  return static_cast<Real>(clip<1, double>(weight - c.eta * gradient, c.w_min, c.w_max));
}

// Steps `last.step` to `t` of a branch with a per-step optimiser: step u takes the error of u - 1.
template <class Real>
void replay_onto_readouts(const GroupStep<Real>& step, Index begin, Index end, const LastSpike& last, Index optimizer_steps) {
  OnlineState<Real>& state = step.state;
  const OptimizerConstants& optimizer = step.group.optimizer;
  const double alpha = state.topology.filters(step.group.trace_group, kForward, 1, 0, 0);
  const double gamma = state.topology.trace_groups[step.group.trace_group].gamma;
  const Array2<double>& error = state.history.error;
  const bool waits = step.group.reward_cutoff > 0;
  OwedSteps& owed = state.plus.owed[step.partition];
  SynapseChunk<double> chunk;
  double waiting[chunk.kMost];
  for (Index synapse = begin; synapse < end; synapse += chunk.size) {
    chunk.size = std::min(end - synapse, chunk.kMost);
    read_chunk(state.synapses, synapse, chunk);
    const std::uint32_t* targets = state.topology.targets.data + synapse;
    Real* stored = state.synapses.trace_reward.data + synapse;
    if (waits) std::copy_n(stored, chunk.size, waiting);
    double z = last.z_before;
    Index taken = optimizer_steps;
    for (Index now = last.step; now < step.t; now++) {
      const double* errors = error.row((now + error.rows - 1) & (error.rows - 1));  // of the step before, zero before the first
      const double reward = waits ? reward_of_step(state.history.rewards, now - 1) : 1.0;
      for (Index i = 0; i < chunk.size; i++) {
        double g = now > 0 ? errors[targets[i] - state.topology.n_neurons()] * z : 0.0;
        if (waits) g = reward * (waiting[i] = gamma * waiting[i] + g);
        chunk.gradient[i] = g;
      }
      owed.prepare(taken, now, optimizer);
      take_steps(owed, chunk);
      taken = now;
      z = now == last.step ? last.z : alpha * z;
    }
    write_chunk(chunk, synapse, state.synapses);
    for (Index i = 0; waits && i < chunk.size; i++) stored[i] = static_cast<Real>(waiting[i]);
  }
}

// The sum of all errors of a branch's interval by their sizes, for all readouts of a partition.
template <class Real> const double* sum_errors(const GroupStep<Real>& step, const LastSpike& last) {
  const Array2<double>& error = step.state.history.error;
  const Index first = step.state.topology.bounds(1, step.partition), stop = step.state.topology.bounds(1, step.partition + 1);
  double* out = step.state.plus.readout_sums[step.partition].data();
  std::fill(out + first, out + stop, 0.0);
  for (Index now = std::max<Index>(last.step - 1, 0); now < step.t - 1; now++) {
    const double* errors = error.row(now & (error.rows - 1));
    for (Index k = first; k < stop; k++) out[k] += std::fabs(errors[k]);
  }
  return out;
}

// Gradient descent of a branch at each step: with the sum of its gradients, except for synapses that might touch a bound on the
// way. No partial sum exceeds the sum of all errors times the larger filtered spike.
template <class Real>
void descend_each_step(const GroupStep<Real>& step, Index begin, Index end, const LastSpike& last, Index optimizer_steps) {
  const SynapsePointers<Real> s = pointers_of(step);
  const Index n_neurons = step.state.topology.n_neurons();
  const OptimizerConstants& c = step.group.optimizer;
  const double* gradient = find_readout_gradients(step, last);
  const double* errors = is_bounded(c) ? sum_errors(step, last) : nullptr;
  const double far = kSumMargin * std::fabs(c.eta) * std::max(std::fabs(last.z), std::fabs(last.z_before));
  for (Index synapse = begin; synapse < end; synapse++) {
    const Index k = s.targets[synapse] - n_neurons;
    const double weight = s.weight[synapse];
    if (errors != nullptr && !(far * errors[k] < std::min(weight - c.w_min, c.w_max - weight))) {
      replay_onto_readouts(step, synapse, synapse + 1, last, optimizer_steps);
    } else {
      s.weight[synapse] = descend(s.weight[synapse], gradient[k], c);
    }
  }
}

// The steps of a per-step optimiser in an interval.
template <class Real>
void learn_each_step(const GroupStep<Real>& step, Index begin, Index end, const LastSpike& last, Index optimizer_steps) {
  const bool at_once = descends(step.group.optimizer) && step.group.reward_cutoff == 0;
  at_once ? descend_each_step(step, begin, end, last, optimizer_steps)
          : replay_onto_readouts(step, begin, end, last, optimizer_steps);
}

// Advances a synapse onto readout k over such an interval; returns the gradient.
template <class Real>
double cross_interval(const WaitingReadouts& interval, const SynapsePointers<Real>& s, Index synapse, Index k) {
  const double waiting = static_cast<double>(s.trace_reward[synapse]);
  s.trace_reward[synapse] = static_cast<Real>(interval.gamma * waiting + interval.waiting[k]);
  return interval.gradient[k] + interval.reward_factor * waiting;
}

// Notes the gradients of a branch with reward traces whose last spike was within the cutoff, or earlier: then its silence ends.
template <class Real> void note_waiting_readouts(const GroupStep<Real>& step, Index begin, Index end, const LastSpike& last,
                                                 const PendingSteps<Real>& pending) {
  const SynapsePointers<Real> s = pointers_of(step);
  const Index n_neurons = step.state.topology.n_neurons();
  if (step.t - last.step > step.group.cutoff) {
    const WaitingSilence<Real> silence = waiting_silence(step, last.step);
    for (Index synapse = begin; synapse < end; synapse++) pending.template note<1>(synapse, end_wait<1>(s, synapse, silence));
    return;
  }
  const WaitingReadouts interval = find_waiting_readouts(step, last);
  for (Index synapse = begin; synapse < end; synapse++)
    pending.template note<1>(synapse, cross_interval(interval, s, synapse, s.targets[synapse] - n_neurons));
}

// Notes the gradients of a branch, which wait in `pending` if they are final.
template <class Real> void note_readouts(const GroupStep<Real>& step, Index begin, Index end, const LastSpike& last,
                                         const PendingSteps<Real>& pending) {
  const SynapsePointers<Real> s = pointers_of(step, begin);
  const Index n_neurons = step.state.topology.n_neurons();
  const bool finalised = step.t - last.step > step.group.cutoff;
  const double* gradient = finalised ? nullptr : find_readout_gradients(step, last);
  for (Index synapse = begin; synapse < end; synapse++) {
    const double g = finalised ? static_cast<double>(s.pending[synapse]) : gradient[s.targets[synapse] - n_neurons];
    pending.template note<1>(synapse, g);
    s.pending[synapse] = 0;
  }
}

// Gradient descent of a branch.
template <class Real> void descend_readouts(const GroupStep<Real>& step, Index begin, Index end, const LastSpike& last) {
  const SynapsePointers<Real> s = pointers_of(step);
  const Index n_neurons = step.state.topology.n_neurons();
  const double* gradient = find_readout_gradients(step, last);
  for (Index synapse = begin; synapse < end; synapse++)
    s.weight[synapse] = descend(s.weight[synapse], gradient[s.targets[synapse] - n_neurons], step.group.optimizer);
}

// The same with a per-step optimiser.
template <class Real> void replay_branch_onto_readouts(const GroupStep<Real>& step, const ArrivingBranch& branch, Index begin,
                                                       Index end, const LastSpike& last) {
  const Index interval = step.t - branch.last;
  if (interval <= step.group.cutoff) return learn_each_step(step, begin, end, last, branch.optimizer_steps);
  if (step.group.reward_cutoff == 0) return;
  if (interval <= step.group.reward_cutoff) replay_waiting(step, begin, end, branch.last);
  const SynapsePointers<Real> s = pointers_of(step);
  const WaitingSilence<Real> silence = waiting_silence(step, branch.last);
  for (Index synapse = begin; synapse < end; synapse++) end_wait<1>(s, synapse, silence);
}

// Delivers all spikes that arrive at the readouts of a partition; weights are updated first.
template <class Real> void deliver_onto_readouts(const GroupStep<Real>& step) {
  const SynapsePointers<Real> s = pointers_of(step);
  const BranchList<ArrivingBranch> branches = step.arriving();
  PendingSteps<Real> pending(step);
  for (Index k = 0; k < branches.count; k++) {
    const ArrivingBranch& branch = branches.first[k];
    const LastSpike last{branch.last, branch.z_last[0], branch.z_before[0]};
    const Index begin = branches.begin(k), end = branches.end(k);
    const bool spiked = branch.last >= 0, late = step.t - branch.last > step.group.cutoff;
    if (spiked && step.group.per_step_optimizer) {
      replay_branch_onto_readouts(step, branch, begin, end, last);
    } else if (spiked && step.moments && !(pending.rounds && late)) {
      pending.begin(branch.branch, begin, branch.optimizer_steps, step.t - 1);
      step.group.reward_cutoff > 0 ? note_waiting_readouts(step, begin, end, last, pending)
                                   : note_readouts(step, begin, end, last, pending);
      pending.take(end);
    } else if (spiked && !step.moments && !late) {
      descend_readouts(step, begin, end, last);
    }
    deliver_branch(begin, end, s.targets, s.weight, s.x);
  }
}

// Finalises the gradients of branches whose last spike arrived one cutoff ago.
//
// Tied feedback keeps the weight as of its last spike, as a learning rule without early finalisation would; with weights of few
// bits, which round now, it follows at once.
template <class Real> void finalise_onto_readouts(const GroupStep<Real>& step) {
  OnlineState<Real>& state = step.state;
  const SynapsePointers<Real> s = pointers_of(step);
  const Index n_neurons = state.topology.n_neurons();
  const BranchList<ExpiredBranch> branches = step.expired();
  PendingSteps<Real> pending(step);
  for (Index k = 0; k < branches.count; k++) {
    const ExpiredBranch& branch = branches.first[k];
    const LastSpike last{step.t - step.group.cutoff, branch.z[0], branch.z_before[0]};
    const Index begin = branches.begin(k), end = branches.end(k);
    if (pending.rounds) {
      pending.begin(branch.branch, begin, branch.optimizer_steps, step.t - 1);
      note_readouts(step, begin, end, last, pending);
      pending.take(end);
      continue;
    }
    if (step.group.per_step_optimizer) {
      learn_each_step(step, begin, end, last, branch.optimizer_steps);
      continue;
    }
    if (step.group.reward_cutoff > 0) {
      const WaitingReadouts interval = find_waiting_readouts(step, last);
      for (Index synapse = begin; synapse < end; synapse++)
        s.pending[synapse] = static_cast<Real>(cross_interval(interval, s, synapse, s.targets[synapse] - n_neurons));
      continue;
    }
    if (!step.moments) {
      descend_readouts(step, begin, end, last);
      continue;
    }
    const double* gradient = find_readout_gradients(step, last);
    for (Index synapse = begin; synapse < end; synapse++)
      s.pending[synapse] = static_cast<Real>(gradient[s.targets[synapse] - n_neurons]);
  }
}

// A delay group onto readouts in one step and partition: deliver, then finalise.
template <class Real> void learn_readouts(OnlineState<Real>& state, Index group, Index partition, Index t) {
  const DelayGroup& g = state.groups[group];
  const bool moments = state.synapses.pending.size > 0 || rounds_at_once(g);
  const GroupStep<Real> step{state, g, group, partition, t, {state, nullptr, g.trace_group, 0, 0}, moments};
  deliver_onto_readouts(step);
  finalise_onto_readouts(step);
  if (moments && g.reward_cutoff > 0) finalise_unrewarded(step);
}

// Adds the errors of step `t` of all readouts that learn by e-prop+ to their sums from the start of the block; with reward, after
// the reward of step `t + 1` is known.
template <class Real> void extend_error_sums(OnlineState<Real>& state, Index t) {
  if (!state.learns) return;
  const Topology& topology = state.topology;
  History<Real>& history = state.history;
  const Index block_steps = history.block_steps, ring = history.error_prefix.rows - 1;
  const double* error = history.error.row(t & (history.error.rows - 1));
  const double* prefix = history.error_prefix.row(t & ring);
  double* next = history.error_prefix.row((t + 1) & ring);
  double* block = history.error_block.row((t / block_steps) & (history.error_block.rows - 1));
  const bool ends = ((t + 1) & (block_steps - 1)) == 0;
  const double reward = reward_of_step(history.rewards, t);
  for (Index p = 0; p < topology.populations.size; p++) {
    const Population& population = topology.populations[p];
    if (population.role != Role::readout || population.trace_group < 0) continue;
    for (Index target = population.target_begin; target < population.target_end; target++) {
      const Index readout = target - topology.n_neurons();
      const double power_of_filter =
          topology.filters(topology.readouts[readout].trace_group, kForward, t & (block_steps - 1), 0, 0);
      double added = power_of_filter * error[readout];
      if (const double gamma = topology.trace_groups[topology.readouts[readout].trace_group].gamma; gamma > 0.0) {
        const double waiting = gamma * history.error_trace_prefix(t & ring, readout) + added;
        if (ends) history.error_trace_block((t / block_steps) & (history.error_block.rows - 1), readout) = waiting;
        history.error_trace_prefix((t + 1) & ring, readout) = ends ? 0.0 : waiting;
        added = reward * waiting;
      }
      const double total = prefix[readout] + added;
      if (ends) block[readout] = total;
      next[readout] = ends ? 0.0 : total;
    }
  }
}

}  // namespace eprop
