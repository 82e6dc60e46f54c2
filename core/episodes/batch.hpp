// e-prop per sample: samples in parallel, each from rest in its own slot, with constant weights.
//
// Forward, a slot is a whole network without plasticity; it keeps its spikes, surrogate gradients and errors. Backward, the
// adjoint pass turns these into G (adjoint.hpp), which every synapse sums over its spikes (gradients.hpp).
#pragma once
#include "episodes/batch_state.hpp"

namespace eprop {

// Some of the samples of a request: indices index .. index + width - 1, in the first `width` slots.
struct Chunk {
  Index index, width;
};

// Steps begin .. end - 1.
struct Steps {
  Index begin, end;
};

template <class Real> Batch<Real> make_batch(const Topology& topology, Array2<const double> initial, Index slots, Index n_steps,
                                             bool learns, int threads);

// Set the weights of later samples; the array is kept.
template <class Real> void set_weights(Batch<Real>& batch, Array1<const Real> weight);

// Runs samples begin:stop, as many at a time as there are slots, and adds their gradients to `pending` for training. Returns the
// next sample, after the chunk during which 50 ms have passed; or -1 if it was interrupted: `pending` then has a part of the
// gradients.
template <class Real> Index run_samples(Batch<Real>& batch, Index begin, Index stop, const BatchRequest& request,
                                        Array1<Real> pending, Interrupt interrupt);

// With several ranks, slice by slice: forward, message, receive; after the last slice backward and accumulate. A function that
// returns false was interrupted.
template <class Real>
bool forward_slice(Batch<Real>& batch, const Chunk& chunk, const Steps& steps, const BatchRequest& request, Interrupt interrupt);
template <class Real> std::vector<std::uint8_t> take_message(Batch<Real>& batch, Index width);
template <class Real>
void receive_slice(Batch<Real>& batch, const Chunk& chunk, const Steps& steps, const BatchRequest& request, const Inbox& inbox);
template <class Real> bool backward(Batch<Real>& batch, const Chunk& chunk, const BatchRequest& request, Interrupt interrupt);
template <class Real>
bool accumulate(Batch<Real>& batch, const Chunk& chunk, const BatchRequest& request, Array1<Real> pending, Interrupt interrupt);

// Synaptic events of a sample: arrivals at synapses before the sample ends.
template <class Real> Index count_events(const Batch<Real>& batch, const SampleSlot<Real>& slot);
// Whether all state variables of a sample are finite.
template <class Real> bool is_finite(const SampleSlot<Real>& slot);
// The spikes of sources first:stop of a sample.
template <class Real>
void read_spikes(const SampleSlot<Real>& slot, Index first, Index stop, std::vector<Index>& steps, std::vector<Index>& sources);

}  // namespace eprop
