#include "episodes/batch.hpp"

#include <chrono>
#include <cmath>
#include <limits>
#include <utility>

#include "common/divide.hpp"
#include "common/finite.hpp"
#include "common/readouts.hpp"
#include "common/threads.hpp"
#include "episodes/adjoint.hpp"
#include "episodes/batch_delivery.hpp"
#include "episodes/emission.hpp"
#include "episodes/gradients.hpp"

namespace eprop {
namespace {

constexpr auto kCall = std::chrono::milliseconds(50);

// Start a sample: everything at rest, no spikes in flight.
template <class Real> void start_sample(const Batch<Real>& batch, SampleSlot<Real>& slot, Index* counts) {
  std::copy(batch.initial.data, batch.initial.data + batch.initial.size(), slot.state.values.begin());
  std::fill(slot.input.values.begin(), slot.input.values.end(), 0.0);
  for (Index k = 0; k < batch.topology.n_readouts(); k++) slot.y[k] = batch.topology.readouts[k].y_start;
  std::fill(counts, counts + batch.topology.n_neurons(), 0);
}

// A sample, by its index in the request, in a slot, and the threads that divide its partitions.
struct Running {
  const BatchRequest& request;
  Index index;
  int threads;
  Index sample() const { return request.samples[index]; }
  Index clock() const { return request.clocks[index]; }
  Index* counts() const { return request.counts.row(index); }
};

// Events of a population in step t of a sample; `out` has room for all.
template <class Real> Index events_of(const Batch<Real>& batch, const Running& run, Index b, Index t, std::int32_t* out) {
  return copy_events(batch, b, {run.request.event_start, run.request.event_channels, run.sample() * batch.n_steps + t}, out);
}

// The spikes of all ranks in one step: local ids of the neurons.
struct StepSpikes {
  const std::int32_t* neurons;
  Index count;
};

// Logs step t with the spikes of neurons of all ranks, and the spikes of the sources, which every rank has.
template <class Real>
void log_received(const Batch<Real>& batch, SampleSlot<Real>& slot, const Running& run, Index t, const StepSpikes& spikes) {
  const Topology& topology = batch.topology;
  Index position = t > 0 ? slot.start(t - 1, topology.populations.size) : 0, k = 0, before = 0;
  make_room(batch, slot, position);
  for (Index b = 0; b < topology.populations.size; b++) {
    const Population& population = topology.populations[b];
    slot.start(t, b) = position;
    if (population.role != Role::neuron) {
      const Events events{run.request.event_start, run.request.event_channels, run.sample() * batch.n_steps + t};
      if (population.role != Role::readout)
        position += spikes_of_sources(batch, b, {run.request.seed, run.clock() + t}, events, slot.log.data() + position);
      continue;
    }
    for (; k < spikes.count && spikes.neurons[k] < before + population.size; k++)
      slot.log[position++] = static_cast<std::int32_t>(spikes.neurons[k] - before + population.first_source);
    before += population.size;
  }
  slot.start(t, topology.populations.size) = position;
}

// Delivers the spikes that arrive in step t and advances all partitions, on several threads if they belong to this sample alone.
// Dense tables, in small networks, are delivered for all partitions at once. With several ranks (`slices`) each rank draws the
// sources later. Returns the number of arrived spikes.
template <class Real>
Index step_partitions(const Batch<Real>& batch, SampleSlot<Real>& slot, const Running& run, Index t, Index place, bool slices) {
  const Index n = batch.topology.n_partitions();
  const bool at_once = run.threads == 1 || batch.plan.dense > 0;
  const Emission emission{t, run.request.learn, slot.input.row(place), run.counts()};
  Index delivered = at_once ? deliver_step(batch, slot, t, place, batch.n_steps, {0, n}) : 0;
  parallel_for(n, run.threads, [&](Index p) {
    const FlushSubnormals flush;
    const Index spikes = at_once ? 0 : deliver_step(batch, slot, t, place, batch.n_steps, {p, p + 1});
    if (p == 0) delivered += spikes;
    advance_partition(batch, slot, emission, p, slices, [&](Index b, std::int32_t* out) {
      return slices ? Index{0} : draw_poisson(batch, b, {run.request.seed, run.clock() + t}, {p, p + 1}, out);
    });
  });
  return delivered;
}

// Writes the spikes of a step to the log or, with several ranks, to the outbox.
template <class Real>
void keep_spikes(const Batch<Real>& batch, SampleSlot<Real>& slot, const Running& run, Index t, Outbox* outbox) {
  const Topology& topology = batch.topology;
  if (outbox == nullptr)
    return log_step(batch, slot, t, [&](Index b, std::int32_t* out) {
      return topology.populations[b].role == Role::events ? events_of(batch, run, b, t, out) : 0;
    });
  for (Index p = 0; p < topology.n_partitions(); p++)
    outbox->post(slot.spikes[p].data(), slot.spike_count(p, topology.populations.size - 1));
  outbox->end_step();
}

// Runs some steps of a sample and adds their loss to the sample's loss.
template <class Real>
void run_steps(Batch<Real>& batch, SampleSlot<Real>& slot, const Running& run, const Steps& steps, Outbox* outbox, Watch& watch) {
  const Topology& topology = batch.topology;
  const BatchRequest& request = run.request;
  const Index n_neurons = topology.n_neurons(), n_readouts = topology.n_readouts();
  if (steps.begin == 0) {
    start_sample(batch, slot, run.counts());
    request.loss[run.index] = 0.0;
  }
  double loss = request.loss[run.index];
  Index delivered = 0;
  for (Index t = steps.begin; t < steps.end && !watch.stopped(n_neurons + 32 * delivered); t++) {
    const Index place = t & (batch.plan.input_steps - 1);
    if (place == 0 && t > 0) move_to_front(batch.plan.input_steps, slot.input.view());
    delivered = step_partitions(batch, slot, run, t, place, outbox != nullptr);
    keep_spikes(batch, slot, run, t, outbox);
    integrate_readouts(0, n_readouts, topology.readouts, slot.input.row(place) + n_neurons, slot.y.data());
    std::copy(slot.y.begin(), slot.y.end(), request.y.row(run.index, t));
    const double* target = request.target.row(run.sample(), request.target.rows > 1 ? t : 0);
    const double* window = request.window.row(request.window.planes > 1 ? run.sample() : 0, t);
    loss += compare_readouts(topology, slot.y.data(), true, target, window, slot.error.row(batch.learns ? t : 0));
  }
  request.loss[run.index] = loss;
}

// The adjoint pass of one sample, and its spikes sorted by source.
template <class Real> void look_back(Batch<Real>& batch, SampleSlot<Real>& slot, const Running& run, Watch& watch) {
  const BatchRequest& request = run.request;
  const SignalSources sources{request.feedback, request.outside, run.sample(), batch.n_steps};
  parallel_for(batch.topology.n_partitions(), run.threads, [&](Index p) {
    const FlushSubnormals flush;
    Watch own{watch.stop, p == 0 ? watch.interrupt : Interrupt{}};  // index 0 is the calling thread
    adjoint_partition(batch, slot, run.counts(), sources, p, own);
  });
  adjoint_readouts(batch, slot);
  sort_by_source(std::as_const(slot.start).view(), slot.log, slot.first, slot.steps);
}

// Calls work(slot, run, watch) for each sample of a chunk: samples in parallel; or, if each sample gets several threads, one
// after the other, each divided. Returns false if it was interrupted.
template <class Real, class Work>
bool each_sample(Batch<Real>& batch, const Chunk& chunk, const BatchRequest& request, Interrupt interrupt, const Work& work) {
  const bool divided = 2 * chunk.width <= batch.threads && batch.topology.n_partitions() > 1;
  return divide(chunk.width, divided ? 1 : batch.threads, interrupt, [&](Index, Index s, Watch& watch) {
    work(batch.slots[s], Running{request, chunk.index + s, divided ? batch.threads : 1}, watch);
  });
}

// Runs the samples of a chunk, forward and, for training, backward.
template <class Real> bool run_chunk(Batch<Real>& batch, const Chunk& chunk, const BatchRequest& request, Interrupt interrupt) {
  return each_sample(batch, chunk, request, interrupt, [&](SampleSlot<Real>& slot, const Running& run, Watch& watch) {
    run_steps(batch, slot, run, {0, batch.n_steps}, nullptr, watch);
    if (watch.stopped(0)) return;
    if (!is_finite(slot)) request.loss[run.index] = std::numeric_limits<double>::quiet_NaN();  // even if the outputs are finite
    if (request.learn) look_back(batch, slot, run, watch);
    request.events[run.index] = count_events(batch, slot);
  });
}

}  // namespace

template <class Real> Batch<Real> make_batch(const Topology& topology, Array2<const double> initial, Index slots, Index n_steps,
                                             bool learns, int threads) {
  Batch<Real> batch{topology,
                    initial,
                    n_steps,
                    learns,
                    threads,
                    topology.n_sources(),
                    poisson_limits(topology),
                    make_plan<Real>(topology, n_steps, learns, threads),
                    {},
                    {},
                    {},
                    {},
                    {}};
  const Index n = topology.n_neurons(), k = topology.n_readouts(), history = learns ? n_steps : 1;
  for (Index b = 0; b < topology.populations.size; b++) {
    bool learning = false;
    for (Index r = 0; r < topology.groups.size; r++) {
      const DelayGroup& group = topology.groups[r];
      learning |= group.rule == Rule::eprop && !group.onto_readouts && group.target_begin == topology.populations[b].target_begin;
    }
    batch.learning.push_back(learning && topology.populations[b].role == Role::neuron);
  }
  batch.slots.resize(static_cast<std::size_t>(slots));
  for (SampleSlot<Real>& slot : batch.slots) {
    slot.state = Owned2<double>(initial.rows, n);
    slot.input = Owned2<double>(batch.plan.input_rows(), batch.plan.columns);
    slot.y.resize(static_cast<std::size_t>(k));
    make_lists(topology, slot);
    slot.log.resize(static_cast<std::size_t>(std::max(4 * batch.n_sources, kFirstLog)));
    slot.start = Owned2<Index>(n_steps, topology.populations.size + 1);
    slot.psi = Owned2<Real>(history, batch.plan.columns);
    slot.error = Owned2<double>(history, k);
    slot.work = Owned2<double>(learns ? adjoint_rows(topology) : 0, n);
    slot.readout_work.resize(static_cast<std::size_t>(k));
    slot.first.resize(static_cast<std::size_t>(learns ? batch.n_sources + 1 : 0));
  }
  for (int thread = 0; learns && thread < threads; thread++) {
    batch.row_sums.emplace_back(static_cast<std::size_t>(batch.plan.columns));
    batch.synapse_sums.emplace_back(static_cast<std::size_t>(batch.plan.sums + kPadding));
  }
  return batch;
}

template <class Real> void set_weights(Batch<Real>& batch, Array1<const Real> weight) {
  constexpr Index kAxons = 64;
  batch.weight = weight;
  std::vector<GradientPiece> pieces;
  for (Index r = 0; r < batch.topology.groups.size; r++)
    if (batch.topology.groups[r].first_group == r && batch.plan.groups[r].table >= 0)
      for (Index begin = 0; begin < batch.topology.groups[r].n_branches; begin += kAxons)
        pieces.push_back({r, begin, std::min(begin + kAxons, batch.topology.groups[r].n_branches)});
  parallel_for(static_cast<Index>(pieces.size()), batch.threads,
               [&](Index piece) { fill_table(batch.topology, weight, batch.plan, pieces[piece]); });
}

template <class Real> Index run_samples(Batch<Real>& batch, Index begin, Index stop, const BatchRequest& request,
                                        Array1<Real> pending, Interrupt interrupt) {
  const auto began = std::chrono::steady_clock::now();
  Index index = begin;
  while (index < stop) {
    const Chunk chunk{index, std::min(static_cast<Index>(batch.slots.size()), stop - index)};
    if (!run_chunk(batch, chunk, request, interrupt)) return -1;
    if (request.learn && !accumulate(batch, chunk, request, pending, interrupt)) return -1;
    index += chunk.width;
    if (std::chrono::steady_clock::now() - began > kCall) break;
  }
  return index;
}

template <class Real>
bool forward_slice(Batch<Real>& batch, const Chunk& chunk, const Steps& steps, const BatchRequest& request, Interrupt interrupt) {
  return each_sample(batch, chunk, request, interrupt, [&](SampleSlot<Real>& slot, const Running& run, Watch& watch) {
    run_steps(batch, slot, run, steps, &slot.outbox, watch);
  });
}

template <class Real> bool backward(Batch<Real>& batch, const Chunk& chunk, const BatchRequest& request, Interrupt interrupt) {
  return each_sample(batch, chunk, request, interrupt,
                     [&](SampleSlot<Real>& slot, const Running& run, Watch& watch) { look_back(batch, slot, run, watch); });
}

template <class Real>
bool accumulate(Batch<Real>& batch, const Chunk& chunk, const BatchRequest& request, Array1<Real> pending, Interrupt interrupt) {
  const auto n = static_cast<Index>(batch.plan.pieces.size());
  return divide(n, batch.threads, interrupt, [&](Index thread, Index piece, Watch& watch) {
    if (!watch.stopped(kPiece))
      accumulate_piece(batch, batch.plan.pieces[piece], chunk.width, chunk.index, request, thread, pending);
  });
}

template <class Real> std::vector<std::uint8_t> take_message(Batch<Real>& batch, Index width) {
  std::vector<std::uint8_t> message;
  for (Index s = 0; s < width; s++) {
    serialise_spikes(batch.slots[s].outbox, message);
    batch.slots[s].outbox.clear();
  }
  return message;
}

template <class Real>
void receive_slice(Batch<Real>& batch, const Chunk& chunk, const Steps& steps, const BatchRequest& request, const Inbox& inbox) {
  const Index length = steps.end - steps.begin;
  ReceivedSpikes received;
  deserialise_spikes(inbox, chunk.width * length, batch.threads, received);
  divide(chunk.width, batch.threads, {}, [&](Index, Index s, Watch&) {
    for (Index t = steps.begin; t < steps.end; t++) {
      const Index step = s * length + t - steps.begin;
      const std::int32_t* neurons = received.neurons.data() + received.start[step];
      log_received(batch, batch.slots[s], Running{request, chunk.index + s, 1}, t,
                   {neurons, received.start[step + 1] - received.start[step]});
    }
  });
}

template <class Real> Index count_events(const Batch<Real>& batch, const SampleSlot<Real>& slot) {
  const Topology& topology = batch.topology;
  Index events = 0;
  for (Index k = 0; k < slot.n_spikes(); k++) events += topology.out_degrees[slot.log[k]];
  for (Index r = 0; r < topology.groups.size; r++) {  // not those that would arrive after the end
    const DelayGroup& group = topology.groups[r];
    if (!group.counts_events) continue;
    const Index shift = group.first_branch - group.branch_stride * topology.populations[group.source_population].first_source;
    for (Index t = std::max<Index>(batch.n_steps - group.delay, 0); t < batch.n_steps; t++)
      for (Index k = slot.start(t, group.source_population); k < slot.start(t, group.source_population + 1); k++) {
        const Index branch = slot.log[k] * group.branch_stride + shift;
        for (Index p = 0; p < topology.n_partitions(); p++)
          events -= topology.branch_start(p, branch + 1) - topology.branch_start(p, branch);
      }
  }
  return events;
}

template <class Real> bool is_finite(const SampleSlot<Real>& slot) {
  return all_finite(slot.state.values.data(), slot.state.view().size());
}

template <class Real>
void read_spikes(const SampleSlot<Real>& slot, Index first, Index stop, std::vector<Index>& steps, std::vector<Index>& sources) {
  for (Index t = 0; t < slot.start.rows; t++)
    for (Index k = slot.start(t, 0); k < slot.start(t, slot.start.columns - 1); k++)
      if (first <= slot.log[k] && slot.log[k] < stop) {
        steps.push_back(t);
        sources.push_back(slot.log[k]);
      }
}

#define EPROP_BATCH(Real)                                                                                   \
  template Batch<Real> make_batch(const Topology&, Array2<const double>, Index, Index, bool, int);          \
  template void set_weights(Batch<Real>&, Array1<const Real>);                                              \
  template Index run_samples(Batch<Real>&, Index, Index, const BatchRequest&, Array1<Real>, Interrupt);     \
  template bool forward_slice(Batch<Real>&, const Chunk&, const Steps&, const BatchRequest&, Interrupt);    \
  template std::vector<std::uint8_t> take_message(Batch<Real>&, Index);                                     \
  template void receive_slice(Batch<Real>&, const Chunk&, const Steps&, const BatchRequest&, const Inbox&); \
  template bool backward(Batch<Real>&, const Chunk&, const BatchRequest&, Interrupt);                       \
  template bool accumulate(Batch<Real>&, const Chunk&, const BatchRequest&, Array1<Real>, Interrupt);       \
  template Index count_events(const Batch<Real>&, const SampleSlot<Real>&);                                 \
  template bool is_finite(const SampleSlot<Real>&);                                                         \
  template void read_spikes(const SampleSlot<Real>&, Index, Index, std::vector<Index>&, std::vector<Index>&);
EPROP_BATCH(float)
EPROP_BATCH(double)

}  // namespace eprop
