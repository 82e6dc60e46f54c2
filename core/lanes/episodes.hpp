// The loop of e-prop: lanes of one network run in parallel with constant weights; errors then become gradients.
//
// 1. A lane is one sample or one environment: the state of a whole network without plasticity, and its history (state.hpp).
// 2. A mini-batch is a rollout from rest: it has no rows before its first step, and its errors come from its targets.
// 3. Lanes that continue keep as many rows of the past as errors and delays reach back, and the traces of older spikes.
// 4. Forward (steps.hpp): spikes arrive, neurons advance, spikes are logged; rows of psi and errors are stored for learning.
// 5. Backward (adjoint.hpp, backward.hpp): from errors, backward in time, to G of each target and row.
// 6. Gradients (gradients.hpp): each synapse sums G of its target over its spikes, lane after lane.
// 7. A replay repeats the steps of a rollout with the logged spikes of its sources and the present weights.
// 8. Threads divide lanes; with fewer lanes than threads, the partitions of each lane. Results do not depend on it.
// 9. Ranks divide lanes, too. Gradients are added lane after lane: with several ranks each lane has its own sum, see `pending`.
#pragma once
#include "lanes/state.hpp"
#include "network/network.hpp"

namespace eprop {

// Lanes of a network, which must outlive them, at rest with capacity for some steps each. If they do not continue, they run
// samples of at most so many steps.
template <class Real> Episodes<Real> make_episodes(Network<Real>& network, const EpisodeSizes& sizes);

// Sets the weights of later steps, those of the network or others; the array must outlive them. Spikes in flight arrive with the
// new weights.
template <class Real> void set_weights(Episodes<Real>& episodes, Array1<const Real> weight);

// From now on, backward passes also add the gradients that absent connections, the synapses of `topology`, would have. Both must
// outlive them. `forget_absent` ends it.
template <class Real> void set_absent(Episodes<Real>& episodes, const Topology& topology, Array2<Real> gradients);
template <class Real> void forget_absent(Episodes<Real>& episodes);

// Begins some more steps of the rollout of all lanes.
template <class Real> void begin_steps(Episodes<Real>& episodes, Index n_steps);

// Begins and ends a replay of the rollout: between them, its steps run once more.
template <class Real> void begin_replay(Episodes<Real>& episodes);
template <class Real> void end_replay(Episodes<Real>& episodes);

// Runs all lanes for the steps of a request that have begun; returns false if it was interrupted: the lanes are then invalid.
template <class Real> bool forward(Episodes<Real>& episodes, const Request& request, Interrupt interrupt);

// Adds the gradients of all lanes, scaled, to `pending` (sums, synapses): what is added in turn, two terms of each lane that
// continues or one of each sample, goes to one sum after the other, and from the last one on to the first again. With one sum
// they are added up; with a sum for each term another process can add them in the same order. Returns false if it was
// interrupted: `pending` then has a part of them.
template <class Real> bool backward(Episodes<Real>& episodes, const Request& request, Array2<Real> pending, Interrupt interrupt);

// Adds terms (terms, n) to a total (n,) one after the other, in the order in which `backward` would have added them.
template <class Real> void add_terms(Array1<Real> total, Array2<const Real> terms);

// Runs the samples of `chunk` and the following ones before `stop` from rest, `chunk.width` at a time, and adds their gradients
// to `pending` if they learn. Returns the next sample, after the chunk during which 50 ms have passed; or -1 if it was
// interrupted: `pending` then has a part of the gradients.
template <class Real> Index run_samples(Episodes<Real>& episodes, Chunk chunk, Index stop, const Request& request,
                                        Array2<Real> pending, Interrupt interrupt);

// Ends the episode of a lane: it is at rest, without spikes in flight.
template <class Real> void end_episode(Episodes<Real>& episodes, Index number);

// Begins the next rollout; synapses keep their traces.
template <class Real> void begin_next(Episodes<Real>& episodes);

// Allocates `n_steps` more steps, and rows for the end of an episode; the capacity doubles.
template <class Real> void reserve_rows(Episodes<Real>& episodes, Index n_steps);

// Index of the first lane with a voltage or output that is not finite, or an output beyond `largest`; -1: none.
template <class Real> Index find_diverged(const Episodes<Real>& episodes, double largest);
// Spikes of the neurons of a lane in this rollout.
template <class Real> Index count_spikes(const Episodes<Real>& episodes, const Lane<Real>& lane);
// The spikes of sources first:stop of a lane from rest: steps and sources.
template <class Real> void read_spikes(const Episodes<Real>& episodes, const Lane<Real>& lane, const Positions& some,
                                       std::vector<Index>& steps, std::vector<Index>& sources);

}  // namespace eprop
