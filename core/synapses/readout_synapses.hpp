// e-prop+ synapses onto readouts: their gradient is the readout's error times the filtered spikes, nothing more. They need no
// propagators: a sum of errors times powers over an interval is had from the sums since the starts of blocks.
#pragma once
#include <algorithm>

#include "synapses/branches.hpp"

namespace eprop {

// Filtered spikes of a branch: as of its last spike, that spike included, and one step before.
struct LastSpike {
  Index step;
  double z, z_before;
};

// Gradients of a branch with arrivals in steps `last.step` and `t`, for all readouts of a partition:
//     g_k = E_k(last - 1) z_before + z sum_{s = last}^{t - 2} alpha^(s - last) E_k(s)
template <class Real> double* find_readout_gradients(const GroupStep<Real>& step, const LastSpike& last) {
  StreamState<Real>& state = step.state;
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

// Gradient descent of one synapse, in double precision.
template <class Real> Real descend(Real weight, double gradient, const OptimizerConstants& c) {
  return static_cast<Real>(clip<1, double>(weight - c.eta * gradient, c.w_min, c.w_max));
}

// Steps `last.step` to `t` of a branch whose optimiser takes a step at every time step: step u takes the error of u - 1.
template <class Real>
void replay_onto_readouts(const GroupStep<Real>& step, Index begin, Index end, const LastSpike& last, Index optimizer_steps) {
  StreamState<Real>& state = step.state;
  const OptimizerConstants& optimizer = step.group.optimizer;
  const double alpha = state.topology.filters(step.group.trace_group, kForward, 1, 0, 0);
  const Array2<double>& error = state.history.error;
  for (Index synapse = begin; synapse < end; synapse++) {
    const Index readout = state.topology.targets[synapse] - state.topology.n_neurons();
    double z = last.z_before;
    Index taken = optimizer_steps;
    for (Index now = last.step; now < step.t; now++) {
      const double g = now > 0 ? error((now - 1) & (error.rows - 1), readout) * z : 0.0;
      state.synapses.weight[synapse] =
          optimize_synapse(synapse, g, taken, now, decay_owed(optimizer, taken, now), optimizer, state.synapses);
      taken = now;
      z = now == last.step ? last.z : alpha * z;
    }
  }
}

// Deliver all spikes that arrive at the readouts of a partition; weights change first.
template <bool moments, class Real> void deliver_onto_readouts(const GroupStep<Real>& step) {
  StreamState<Real>& state = step.state;
  const SynapsePointers<Real> s = pointers_of(state);
  const Index n_neurons = state.topology.n_neurons();
  const BranchList<ArrivingBranch> branches = step.arriving();
  OwedSteps<Real> owed(state, step.group);
  for (Index k = 0; k < branches.count; k++) {
    const ArrivingBranch& branch = branches.first[k];
    const LastSpike last{branch.last, branch.z_last[0], branch.z_before[0]};
    const Index begin = branches.begin(k), end = branches.end(k);
    const bool spiked = branch.last >= 0, finalised = step.t - branch.last > step.group.cutoff;
    if (step.group.per_step_optimizer) {
      if (spiked && !finalised) replay_onto_readouts(step, begin, end, last, branch.optimizer_steps);
    } else if (spiked && (moments || !finalised)) {
      const double* gradient = finalised ? nullptr : find_readout_gradients(step, last);
      if constexpr (moments) owed.owe(branch.optimizer_steps, step.t - 1);
      for (Index synapse = begin; synapse < end; synapse++) {
        const double g = finalised ? static_cast<double>(s.pending[synapse]) : gradient[s.targets[synapse] - n_neurons];
        s.weight[synapse] = moments ? owed.take(synapse, g) : descend(s.weight[synapse], g, step.group.optimizer);
        if constexpr (moments) s.pending[synapse] = 0;
      }
    }
    for (Index synapse = begin; synapse < end; synapse++) s.x[s.targets[synapse]] += static_cast<double>(s.weight[synapse]);
  }
}

// Finalise the gradients of branches whose last spike arrived one cutoff ago.
//
// Tied feedback keeps following the weight as of its last spike, as a learning rule that does not finalise early would.
template <bool moments, class Real> void finalise_onto_readouts(const GroupStep<Real>& step) {
  StreamState<Real>& state = step.state;
  const SynapsePointers<Real> s = pointers_of(state);
  const Index n_neurons = state.topology.n_neurons();
  const BranchList<ExpiredBranch> branches = step.expired();
  for (Index k = 0; k < branches.count; k++) {
    const ExpiredBranch& branch = branches.first[k];
    const LastSpike last{step.t - step.group.cutoff, branch.z[0], branch.z_before[0]};
    const Index begin = branches.begin(k), end = branches.end(k);
    if (step.group.per_step_optimizer) {
      replay_onto_readouts(step, begin, end, last, branch.optimizer_steps);
      continue;
    }
    const double* gradient = find_readout_gradients(step, last);
    for (Index synapse = begin; synapse < end; synapse++) {
      const double g = gradient[s.targets[synapse] - n_neurons];
      if constexpr (moments) {
        s.pending[synapse] = static_cast<Real>(g);
      } else {
        s.weight[synapse] = descend(s.weight[synapse], g, step.group.optimizer);
      }
    }
  }
}

// A delay group onto readouts in one step and partition: deliver, then finalise.
template <class Real> void learn_readouts(StreamState<Real>& state, Index group, Index partition, Index t) {
  const GroupStep<Real> step{
      state, state.groups[group], group, partition, t, {state, nullptr, state.groups[group].trace_group, 0, 0}};
  if (state.synapses.pending.size > 0) {
    deliver_onto_readouts<true>(step);
    finalise_onto_readouts<true>(step);
  } else {
    deliver_onto_readouts<false>(step);
    finalise_onto_readouts<false>(step);
  }
}

// Add the errors of step `t` of all readouts that learn by e-prop+ to their sums from the start of the block.
template <class Real> void extend_error_sums(StreamState<Real>& state, Index t) {
  if (!state.learns) return;
  const Topology& topology = state.topology;
  History<Real>& history = state.history;
  const Index block_steps = history.block_steps, ring = history.error_prefix.rows - 1;
  const double* error = history.error.row(t & (history.error.rows - 1));
  const double* prefix = history.error_prefix.row(t & ring);
  double* next = history.error_prefix.row((t + 1) & ring);
  double* block = history.error_block.row((t / block_steps) & (history.error_block.rows - 1));
  const bool ends = ((t + 1) & (block_steps - 1)) == 0;
  for (Index p = 0; p < topology.populations.size; p++) {
    const Population& population = topology.populations[p];
    if (population.role != Role::readout || population.trace_group < 0) continue;
    for (Index target = population.target_begin; target < population.target_end; target++) {
      const Index readout = target - topology.n_neurons();
      const double power_of_filter =
          topology.filters(topology.readouts[readout].trace_group, kForward, t & (block_steps - 1), 0, 0);
      const double total = prefix[readout] + power_of_filter * error[readout];
      if (ends) block[readout] = total;
      next[readout] = ends ? 0.0 : total;
    }
  }
}

}  // namespace eprop
