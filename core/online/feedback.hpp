// Feedback while the network runs: learning signals from the errors of readouts, and feedback weights that follow readout weights
// which learn at spikes.
#pragma once
#include "network/feedback.hpp"
#include "network/few_bits.hpp"
#include "neurons/signals.hpp"
#include "online/spike_log.hpp"

namespace eprop {

// Learning signals that arrive in step t at neurons begin .. end if each pair of readout and neuron has its own delay.
inline void gather_delayed_signals(Index t, Index begin, Index end, Array2<const double> feedback, Array1<double> signal,
                                   Array2<double> error, Array2<const Index> delay) {
  const Index mask = error.rows - 1;
  for (Index k = 0; k < error.columns; k++) {
    const double* weight = feedback.row(k);
    for (Index neuron = begin; neuron < end; neuron++)
      if (t >= delay(k, neuron)) signal[neuron] += error((t - delay(k, neuron)) & mask, k) * weight[neuron];
  }
}

// The learning signals that arrive in step t at neurons begin .. end: errors of earlier steps, times the feedback weights.
// Returns whether they are known to be zero; `silent`: they are zero already.
inline bool gather_signals(Index t, Index begin, Index end, Array2<const double> feedback, Array1<double> signals,
                           Array2<double> error, Array2<const Index> delay, bool silent) {
  double* signal = signals.data;
  const bool delayed = t == 0 || delay.size() > 0;
  if (delayed) std::fill(signal + begin, signal + end, 0.0);
  if (t > 0 && delayed) gather_delayed_signals(t, begin, end, feedback, signals, error, delay);
  if (delayed) return false;
  return learning_signals(error.row((t - 1) & (error.rows - 1)), feedback, begin, end, silent, signal);
}

// Whether feedback follows the updates of a delay group at spikes; frozen weights leave adaptive feedback and its offset
// unchanged.
inline bool ties_at_spikes(const DelayGroup& group) {
  return group.rule == Rule::eprop_plus &&
         (group.tied_feedback == Tied::weight || (group.tied_feedback == Tied::change && group.optimizer.eta != 0.0));
}

// Updates feedback that follows the readout weights of the branches that arrived in step t, or expired and were rounded, for the
// readouts of one partition, after all partitions have read it. For adaptive feedback the offset decays.
template <class Real> void tie_branches(OnlineState<Real>& state, Index partition, Index t) {
  const Topology& topology = state.topology;
  const Index* start = topology.branch_start.row(partition);
  for (std::size_t number = 0; number < state.groups.size(); number++) {
    const DelayGroup& group = state.groups[number];
    if (!ties_at_spikes(group)) continue;
    const Population& source = topology.populations[group.source_population];
    const Index cutoff = group.per_step_optimizer ? steps_of_optimizer(group) : -1;
    const auto tie = [&](Index branch, double left) {
      const Index neuron = branch - group.first_branch + source.first_target;
      if (neuron < source.target_begin || neuron >= source.target_end) return;  // belongs to another rank
      for (Index synapse = start[branch]; synapse < start[branch + 1]; synapse++) {
        const Index readout = static_cast<Index>(topology.targets[synapse]) - topology.n_neurons();
        const double weight = static_cast<double>(state.synapses.weight[synapse]);
        if (group.tied_feedback == Tied::weight) {
          state.feedback.weight(readout, neuron) = weight;
        } else if (topology.adaptive(readout, neuron)) {
          double& offset = state.feedback.offset(readout, neuron);
          offset *= left;
          state.feedback.weight(readout, neuron) = weight + offset;
        }
      }
    };
    for (Index k = state.deliveries.arriving_start[number]; k < state.deliveries.arriving_start[number + 1]; k++) {
      const ArrivingBranch& arriving = state.deliveries.arriving[k];
      const Index interval = arriving.last >= 0 ? t - arriving.last : 0;
      const Index steps = optimizer_steps_taken(t, interval, cutoff) - arriving.optimizer_steps;
      tie(arriving.branch, group.tied_feedback == Tied::change ? power(group.optimizer.keep, steps) : 1.0);
    }
    if (!rounds_at_once(group)) continue;
    for (Index k = state.deliveries.expired_start[number]; k < state.deliveries.expired_start[number + 1]; k++)
      tie(state.deliveries.expired[k].branch, 1.0);
  }
}

}  // namespace eprop
