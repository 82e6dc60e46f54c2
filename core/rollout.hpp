// Rollouts of e-prop: streams side by side that go on from rollout to rollout, forward and, with errors from outside, backward.
#pragma once
#include "rollout_state.hpp"

namespace eprop {

// Some steps of all streams, and where their results go; `n` streams, of step t of stream s the events are those of number
// s * n_steps + t.
struct RolloutRequest {
  Index n_steps = 1;
  Array2<const Index> event_start;  // (channels, n * n_steps + 1)
  Array1<const std::int32_t> event_channels;
  Array3<double> y;  // (n, n_steps, readouts) mV, is written
  // Of samples with targets; else without planes:
  Array3<const double> target;  // (n, n_steps or 1, readouts)
  Array3<const double> window;  // (n or 1, n_steps, readout populations or 1)
  Array3<double> error;         // (n, n_steps, readouts) is written
  Array1<double> loss;          // (n,) is written
};

// `n` streams at rest, with room for `rows` rows each.
template <class Real>
Rollout<Real> make_rollout(const Topology& topology, Array2<const double> initial, Index n, Index rows, bool learns, int threads);

// Weights of the steps from now on; the array is kept.
template <class Real> void follow_weights(Rollout<Real>& rollout, Array1<const Real> weight);

// Rows that streams need for so many more steps, and for the end of an episode.
template <class Real> Index needed_rows(const Rollout<Real>& rollout, Index more);

// Room for them; it doubles.
template <class Real> void reserve_rows(Rollout<Real>& rollout, Index more);

// Runs the steps of a request; false if it was interrupted: the streams are of no use then.
template <class Real> bool run_rollout(Rollout<Real>& rollout, const RolloutRequest& request, Interrupt interrupt);

// The episode of a stream ends here: it is at rest, and nothing is on the way.
template <class Real> void end_episode(Rollout<Real>& rollout, Index stream);

// The next rollout begins here; synapses keep their traces.
template <class Real> void begin_next(Rollout<Real>& rollout);

// The same in a copy.
template <class Real> Rollout<Real> continue_rollout(Rollout<Real>& rollout, Index n_steps);

// Errors of a rollout, what else is told, and how they become gradients.
struct BackwardRequest {
  Array3<const double> errors;    // (n, steps, readouts)
  Array2<const double> feedback;  // (readouts, neurons)
  Outside outside;                // of n streams
  Array2<const double> scales;    // (n, delay groups) what gradients are multiplied with
};

// Adds the gradients of the rollout to `pending`. False if it was interrupted: `pending` has a part of them then.
template <class Real>
bool backward_rollout(Rollout<Real>& rollout, const BackwardRequest& request, Array1<Real> pending, Interrupt interrupt);

// Runs the rollout once more from where it began, with the same events and random spikes and the present weights. False if it was
// interrupted: some streams have been replayed then, others not.
template <class Real> bool replay_rollout(Rollout<Real>& rollout, const RolloutRequest& request, Interrupt interrupt);

// Number of the first stream with a voltage or output that is no number, or an output beyond `largest`; -1: none.
template <class Real> Index find_diverged(const Rollout<Real>& rollout, double largest);

}  // namespace eprop
