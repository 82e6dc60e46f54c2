// Feedback: learning signals from the errors of readouts, and feedback weights that follow the readout weights.
#pragma once
#include "network/few_bits.hpp"
#include "neurons/signals.hpp"
#include "online/spike_log.hpp"

namespace eprop {

// Learning signals that arrive in step t at neurons begin .. end if each pair of readout and neuron has its own delay.
inline void gather_delayed_signals(Index t, Index begin, Index end, const Neurons& neurons, Array2<double> error,
                                   Array2<const Index> delay) {
  const Index mask = error.rows - 1;
  for (Index k = 0; k < error.columns; k++) {
    const double* feedback = neurons.feedback.row(k);
    for (Index neuron = begin; neuron < end; neuron++)
      if (t >= delay(k, neuron)) neurons.signal[neuron] += error((t - delay(k, neuron)) & mask, k) * feedback[neuron];
  }
}

// The learning signals that arrive in step t at neurons begin .. end: errors of earlier steps, times the feedback weights.
// Returns whether they are known to be zero; `silent`: they are zero already.
inline bool gather_signals(Index t, Index begin, Index end, const Neurons& neurons, Array2<double> error,
                           Array2<const Index> delay, bool silent) {
  double* signal = neurons.signal.data;
  const bool delayed = t == 0 || delay.size() > 0;
  if (delayed) std::fill(signal + begin, signal + end, 0.0);
  if (t > 0 && delayed) gather_delayed_signals(t, begin, end, neurons, error, delay);
  if (delayed) return false;
  const Array2<const double> feedback{neurons.feedback.data, neurons.feedback.rows, neurons.feedback.columns};
  return learning_signals(error.row((t - 1) & (error.rows - 1)), feedback, begin, end, silent, signal);
}

// Feedback weights, their offsets from the readout weights that they follow, and the readout weights.
template <class Real> struct TiedFeedback {
  const Topology& topology;
  Array1<const Real> weight;
  Array2<double> feedback, offset;
};

// Calls visit(synapse, readout, neuron) for the synapses of a delay group from own neurons onto readouts, source by source.
template <class Visit> void visit_tied_synapses(const Topology& topology, const DelayGroup& group, Visit visit) {
  const Population& source = topology.populations[group.source_population];
  for (Index neuron = source.target_begin; neuron < source.target_end; neuron++) {
    const Index branch = group.first_branch + neuron - source.first_target;
    for (Index partition = 0; partition < topology.n_partitions(); partition++)
      for (Index synapse = topology.branch_start(partition, branch); synapse < topology.branch_start(partition, branch + 1);
           synapse++)
        visit(synapse, static_cast<Index>(topology.targets[synapse]) - topology.n_neurons(), neuron);
  }
}

// Makes feedback follow the weights of the `chosen` delay groups. Symmetric feedback is the weight; repeated connections add up.
// Adaptive feedback receives the same updates and decays in the same way, so its offset from the weight only decays (Kolen and
// Pollack 1994).
template <class Real> void tie_feedback(Array1<const std::uint8_t> chosen, const TiedFeedback<Real>& tied) {
  const Topology& topology = tied.topology;
  for (Index number = 0; number < topology.groups.size; number++) {
    const DelayGroup& group = topology.groups[number];
    if (!chosen[number] || group.tied_feedback != Tied::weight) continue;
    const Population& source = topology.populations[group.source_population];
    for (Index k = group.target_begin - topology.n_neurons(); k < group.target_end - topology.n_neurons(); k++)
      for (Index neuron = source.target_begin; neuron < source.target_end; neuron++) tied.feedback(k, neuron) = 0.0;
  }
  for (Index number = 0; number < topology.groups.size; number++) {
    const DelayGroup& group = topology.groups[number];
    if (!chosen[number] || group.tied_feedback == Tied::no) continue;
    visit_tied_synapses(topology, group, [&](Index synapse, Index k, Index neuron) {
      const double weight = static_cast<double>(tied.weight[synapse]);
      if (group.tied_feedback == Tied::weight) {
        tied.feedback(k, neuron) += weight;
      } else if (topology.adaptive(k, neuron)) {
        tied.feedback(k, neuron) = weight + tied.offset(k, neuron);
      }
    });
  }
}

// Measures the offset of adaptive feedback from the weights of delay groups first .. stop, which it follows from now on.
template <class Real> void measure_offsets(Index first, Index stop, const TiedFeedback<Real>& tied) {
  for (Index number = first; number < stop; number++) {
    const DelayGroup& group = tied.topology.groups[number];
    if (group.tied_feedback != Tied::change) continue;
    visit_tied_synapses(tied.topology, group, [&](Index synapse, Index k, Index neuron) {
      if (tied.topology.adaptive(k, neuron))
        tied.offset(k, neuron) = tied.feedback(k, neuron) - static_cast<double>(tied.weight[synapse]);
    });
  }
}

// Decays the offset of adaptive feedback like the weights, for an optimiser step of e-prop.
inline void fade_offsets(const Topology& topology, Array2<double> offset) {
  for (Index number = 0; number < topology.groups.size; number++) {
    const DelayGroup& group = topology.groups[number];
    if (group.tied_feedback != Tied::change || group.rule != Rule::eprop || group.optimizer.eta == 0.0) continue;
    visit_tied_synapses(topology, group, [&](Index, Index k, Index neuron) { offset(k, neuron) *= group.optimizer.keep; });
  }
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
          state.neurons.feedback(readout, neuron) = weight;
        } else if (topology.adaptive(readout, neuron)) {
          double& offset = state.neurons.feedback_offset(readout, neuron);
          offset *= left;
          state.neurons.feedback(readout, neuron) = weight + offset;
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
