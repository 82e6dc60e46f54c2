// Feedback weights that follow the readout weights, between runs.
#pragma once
#include "network/network.hpp"

namespace eprop {

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

// Makes feedback follow the weights of the delay groups for which chosen(group) is true. Symmetric feedback is the weight;
// repeated connections add up. Adaptive feedback receives the same updates and decays in the same way, so its offset from the
// weight only decays (Kolen and Pollack 1994).
template <class Real, class Chosen> void tie_feedback(const Network<Real>& network, const Chosen& chosen) {
  const Topology& topology = network.topology;
  const Feedback& feedback = network.feedback;
  if (feedback.weight.size() == 0) return;
  for (Index number = 0; number < topology.groups.size; number++) {
    const DelayGroup& group = topology.groups[number];
    if (!chosen(group) || group.tied_feedback != Tied::weight) continue;
    const Population& source = topology.populations[group.source_population];
    for (Index k = group.target_begin - topology.n_neurons(); k < group.target_end - topology.n_neurons(); k++)
      for (Index neuron = source.target_begin; neuron < source.target_end; neuron++) feedback.weight(k, neuron) = 0.0;
  }
  for (Index number = 0; number < topology.groups.size; number++) {
    const DelayGroup& group = topology.groups[number];
    if (!chosen(group) || group.tied_feedback == Tied::no) continue;
    visit_tied_synapses(topology, group, [&](Index synapse, Index k, Index neuron) {
      const double weight = static_cast<double>(network.synapses.weight[synapse]);
      if (group.tied_feedback == Tied::weight) {
        feedback.weight(k, neuron) += weight;
      } else if (topology.adaptive(k, neuron)) {
        feedback.weight(k, neuron) = weight + feedback.offset(k, neuron);
      }
    });
  }
}

// Measures the offset of adaptive feedback from the weights of delay groups first .. stop, which it follows from now on.
template <class Real> void measure_offsets(const Network<Real>& network, Index first, Index stop) {
  const Feedback& feedback = network.feedback;
  for (Index number = first; number < stop; number++) {
    const DelayGroup& group = network.topology.groups[number];
    if (group.tied_feedback != Tied::change) continue;
    visit_tied_synapses(network.topology, group, [&](Index synapse, Index k, Index neuron) {
      if (network.topology.adaptive(k, neuron))
        feedback.offset(k, neuron) = feedback.weight(k, neuron) - static_cast<double>(network.synapses.weight[synapse]);
    });
  }
}

// Decays the offset of adaptive feedback like the weights, for an optimiser step of e-prop.
template <class Real> void fade_offsets(const Network<Real>& network) {
  const Topology& topology = network.topology;
  const Array2<double> offset = network.feedback.offset;
  if (offset.size() == 0) return;
  for (Index number = 0; number < topology.groups.size; number++) {
    const DelayGroup& group = topology.groups[number];
    if (group.tied_feedback != Tied::change || group.rule != Rule::eprop || group.optimizer.eta == 0.0) continue;
    visit_tied_synapses(topology, group, [&](Index, Index k, Index neuron) { offset(k, neuron) *= group.optimizer.keep; });
  }
}

}  // namespace eprop
