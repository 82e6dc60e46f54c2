// What samples give a network, and what both loops are asked to do with them.
#pragma once
#include <cstdint>

#include "neurons/drives.hpp"
#include "neurons/signals.hpp"

namespace eprop {

struct Inputs {
  std::uint64_t seed = 0;
  Array2<const Index> event_start;  // (event sources, steps of all samples + 1); in the online loop without rows: no events
  Array1<const std::int32_t> event_channels;
  Array3<const double> target;  // (samples, steps or 1, readouts) NaN: none; in episodes without planes: none
  Array3<const double> window;  // (samples or 1, steps or 1, readout populations or 1)
  External external;            // for all samples
  Array2<const double> drive;   // (steps of a sample or 0, stimuli) their factors in time
  GivenCurrents currents;       // for all samples
  bool drops = false;           // whether spikes of neurons are lost, see `Population::dropout`
};

// Samples, and arrays for the results of their steps. The online loop runs them in sequence, its results are those of all steps;
// lanes run those that are chosen, each from rest, or continue.
struct Request : Inputs {
  Index n_steps = 0;         // of a sample
  bool learn = false;        // whether weights change at spikes, or lanes store psi; traces of the online loop always go on
  Array3<double> y;          // (samples, n_steps, readouts) mV, of the online loop without the leak potential
  Array1<double> loss;       // (steps of all samples,); lanes: (samples,), not finite if a sample diverged
  Array1<Index> spikes;      // (samples or 0,) of own neurons
  Array1<Index> of_neurons;  // (own neurons or 0,) spikes of each neuron in all samples
  // The online loop:
  Index clock = 0;  // first step of the random numbers
  int threads = 1;
  bool errors_given = false;   // whether the errors of the step before were given (stepper)
  Array2<const Index> probes;  // (probes, 4), see `Probe`
  Array2<double> probed;       // (steps of all samples, probes)
  Array1<double> times;        // (steps of all samples or 0,) steps of the network at the end of each
  Array1<double> sums;         // (kSums or 0,), see `Sum`
  // Lanes:
  Array1<const Index> samples;        // (n,) indices among all given samples
  Array1<const Index> clocks;         // (n,) first step of the random spikes of samples from rest
  Array2<const double> feedback;      // (readouts, neurons)
  Array1<const double> shares;        // (n,) factors of gradients that are means over the steps of a learning window
  Array3<const double> given_errors;  // (n, n_steps, readouts); without planes, those of the targets
  Array3<double> error;               // (n, n_steps, readouts); without planes they are stored for the backward pass
  Array1<Index> events;               // (n,) synaptic events of samples from rest
  Array3<double> products;            // (sums, products, targets) the backward pass adds those of lane k to the sum k % sums
};

}  // namespace eprop
