// Rollouts of e-prop: parallel streams that continue from rollout to rollout, forward and, with errors from outside, backward.
#pragma once
#include "episodes/rollout_state.hpp"

namespace eprop {

// Some steps of all streams, and arrays for their results. There are `n` streams; step t of stream s has the events of index
// s * n_steps + t.
struct RolloutRequest {
  Index n_steps = 1;
  Array2<const Index> event_start;  // (channels, n * n_steps + 1)
  Array1<const std::int32_t> event_channels;
  Array3<double> y;  // (n, n_steps, readouts) mV, output
  // For samples with targets; otherwise without planes:
  Array3<const double> target;  // (n, n_steps or 1, readouts)
  Array3<const double> window;  // (n or 1, n_steps, readout populations or 1)
  Array3<double> error;         // (n, n_steps, readouts) output
  Array1<double> loss;          // (n,) output
};

// `n` streams at rest, with capacity for `rows` rows each.
template <class Real>
Rollout<Real> make_rollout(const Topology& topology, Array2<const double> initial, Index n, Index rows, bool learns, int threads);

// Sets the weights of later steps; the array is kept.
template <class Real> void follow_weights(Rollout<Real>& rollout, Array1<const Real> weight);

// Rows that streams need for `more` steps, and for the end of an episode.
template <class Real> Index needed_rows(const Rollout<Real>& rollout, Index more);

// Reserves these rows; the capacity doubles.
template <class Real> void reserve_rows(Rollout<Real>& rollout, Index more);

// Runs the steps of a request; returns false if it was interrupted: the streams are then invalid.
template <class Real> bool run_rollout(Rollout<Real>& rollout, const RolloutRequest& request, Interrupt interrupt);

// Ends the episode of a stream: it is at rest, without spikes in flight.
template <class Real> void end_episode(Rollout<Real>& rollout, Index stream);

// Begins the next rollout; synapses keep their traces.
template <class Real> void begin_next(Rollout<Real>& rollout);

// Begins the next rollout in a copy.
template <class Real> Rollout<Real> continue_rollout(Rollout<Real>& rollout, Index n_steps);

// Errors of a rollout, other values from outside, and factors of gradients.
struct BackwardRequest {
  Array3<const double> errors;    // (n, steps, readouts)
  Array2<const double> feedback;  // (readouts, neurons)
  Outside outside;                // for n streams
  Array2<const double> scales;    // (n, delay groups) factors of gradients
};

// Adds the gradients of the rollout to `pending`. Returns false if it was interrupted: `pending` then has a part of them.
template <class Real>
bool backward_rollout(Rollout<Real>& rollout, const BackwardRequest& request, Array1<Real> pending, Interrupt interrupt);

// Repeats the rollout from its start, with the same events and random spikes and the present weights. Returns false if it was
// interrupted: some streams have then been replayed, others not.
template <class Real> bool replay_rollout(Rollout<Real>& rollout, const RolloutRequest& request, Interrupt interrupt);

// Index of the first stream with a voltage or output that is not finite, or an output beyond `largest`; -1: none.
template <class Real> Index find_diverged(const Rollout<Real>& rollout, double largest);

}  // namespace eprop
