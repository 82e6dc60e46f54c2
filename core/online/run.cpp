#include "online/run.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>

#include "eprop_plus/effective_weights.hpp"
#include "eprop_plus/readout_synapses.hpp"
#include "online/deliveries.hpp"
#include "online/feedback.hpp"
#include "online/pairs.hpp"
#include "online/static_rows.hpp"
#include "step/step.hpp"
#include "support/finite.hpp"
#include "support/threads.hpp"

namespace eprop {
namespace {

// A call returns after this time, so that Ctrl-C is handled; after the second one, if another thread waits to read.
constexpr auto kLongestCall = std::chrono::milliseconds(50), kAwaitedCall = std::chrono::milliseconds(5);
// With at least this many spikes in a step, all threads list spikes, process them with axons, or update feedback weights. A
// parallel region costs as much as some hundred of them.
constexpr Index kManySpikes = 512, kManyFeedbackWeights = 4096, kManyDraws = 2048;

template <class Real> SpikeHistory history_of(OnlineState<Real>& state) { return {state.topology, state.log, state.axons}; }

// ------------------------------------------------------------------------------------------------------------- one partition

// Composes the last step onto the propagators of a partition's neurons.
template <class Real> void extend_propagators(OnlineRun<Real>& run, Index begin, Index end, Index t) {
  OnlineState<Real>& state = run.state;
  if (t == 0) return;
  for (Index b = 0; b < state.topology.populations.size; b++) {
    if (state.trace_group[b] < 0) continue;
    const Population& population = state.topology.populations[b];
    const Index first = std::max(begin, population.target_begin), stop = std::min(end, population.target_end);
    if (first < stop) with_kind<Real>(run.kinds[population.kind], [&]<Kind K>() { extend<K>(state, b, first, stop, t); });
  }
}

// Arrivals and expired branches of a delay group of e-prop+; returns the number of synapses where spikes arrive.
template <class Real> Index learn_group(OnlineRun<Real>& run, const DelayGroup& group, Index partition, Index t) {
  OnlineState<Real>& state = run.state;
  const Index number = &group - state.groups.data();
  const Index* start = state.topology.branch_start.row(partition);
  const std::vector<Index>& listed = state.deliveries.arriving_start;
  Index events = 0;
  for (Index k = listed[number]; k < listed[number + 1]; k++) {
    const Index branch = state.deliveries.arriving[k].branch;
    events += start[branch + 1] - start[branch];
  }
  if (group.onto_readouts) learn_readouts(state, number, partition, t);
  if (!group.onto_readouts && group.first_group == number)  // together with the groups that follow it
    with_kind<Real>(run.kinds[group.kind], [&]<Kind K>() { learn<K>(state, number, partition, t); });
  return events;
}

// Delivers the arrivals of step t at the targets of a partition; the inputs of target 0 begin at `inputs`.
template <class Real, class Stored, class Target>
void deliver(OnlineRun<Real>& run, Index partition, Index t, const Stored* weight, const Target* targets, Real* inputs) {
  OnlineState<Real>& state = run.state;
  const Index* start = state.topology.branch_start.row(partition);
  const auto& [groups, plus, cursors] = std::tie(state.deliveries.groups, state.deliveries.plus, state.deliveries.cursors);
  const auto count = [&](const DelayGroup& group, Index events) {
    if (group.counts_events) run.notes[partition].events += events;
  };
  auto learning = plus.begin();  // groups of e-prop+ take their turn
  const auto learn_before = [&](Index place) {
    for (; learning != plus.end() && *learning < place; ++learning)
      count(*groups[*learning].group, learn_group(run, *groups[*learning].group, partition, t));
  };
  const Index n = static_cast<Index>(cursors.size());
  for (Index first = 0, stop = 0; first < n; first = stop) {
    learn_before(cursors[first].place);
    const Index until = learning == plus.end() ? static_cast<Index>(groups.size()) : *learning;
    const auto& [group_of_all, next, alike] = groups[cursors[first].place];
    while (stop < n && cursors[stop].place < until && groups[cursors[stop].place].alike == alike) stop++;
    const DelayGroup& group = *group_of_all;
    Real* x = inputs + group.receptor * state.neurons.input.columns;
    count(group, learns_pairs(group) ? deliver_pairs(state, {first, stop}, group, start, weight, t)
                                     : deliver_static(cursors, {first, stop}, group, start, targets, weight, x));
  }
  learn_before(static_cast<Index>(groups.size()));
}

// The same with the weights and targets that the network has; finalises expired branches.
template <class Real> void deliver(OnlineRun<Real>& run, Index partition, Index t) {
  OnlineState<Real>& state = run.state;
  const Topology& topology = state.topology;
  Real* x = state.neurons.input.row(0);
  with_weights(state.synapses, [&](const auto* weight) {
    if (topology.near_targets.size == 0) return deliver(run, partition, t, weight, topology.targets.data, x);
    deliver(run, partition, t, weight, topology.near_targets.data, x + topology.bounds(0, partition));
  });
  if (!run.has_pairs) return;
  for (const DelayGroup& group : state.groups)
    if (learns_pairs(group)) expire_pairs(state, group, topology.branch_start.row(partition), t);
}

// Running rates f = kappa_rate f + (1 - kappa_rate) z of neurons begin .. end; `spikes` lists the neurons that spiked. Keeps the
// rates of the step before.
void follow_rates(Array2<double> rate, Positions range, double kappa_rate, const std::int32_t* spikes, Index n_spikes) {
  double* __restrict now = rate.row(0), * __restrict before = rate.row(1);
#pragma GCC ivdep
  for (Index neuron = range.first; neuron < range.stop; neuron++) {
    before[neuron] = now[neuron];
    now[neuron] = before[neuron] * kappa_rate;
  }
  for (Index k = 0; k < n_spikes; k++) now[spikes[k]] += 1.0 - kappa_rate;
}

// Advances the neurons of a partition and lists their spikes, population by population.
template <class Real>
void advance_partition(OnlineState<Real>& state, Index partition, const DriveStep& drive, bool drops, PoissonTables& tables) {
  const Topology& topology = state.topology;
  tables.follow(topology, drive);
  const NeuronStep<Real> step{topology, drive, tables, drops, state.neurons.state, state.neurons.input, state.lists.active.data};
  std::int32_t* spikes = state.lists.spikes.data + topology.bounds(0, partition);
  Index count = 0;
  for (Index b = 0; b < topology.populations.size; b++) {
    const Population& population = topology.populations[b];
    const Positions range = own_neurons(topology, population, partition);
    if (population.role == Role::neuron && range.size() > 0) {
      const Index before = count, group = state.trace_group[b];
      Real* psi = group >= 0 || state.keeps_psi ? state.neurons.psi.data : nullptr;
      count = step_neurons(step, b, range, psi, spikes, count, [](Index, Index) {});
      if (group >= 0)
        follow_rates(state.neurons.rate, range, topology.trace_groups[group].kappa_rate, spikes + before, count - before);
    }
    state.spike_count[partition][b] = count;
  }
}

// The list of the Poisson sources of a partition, with room for all of them.
template <class Real> std::int32_t* poisson_list(const OnlineState<Real>& state, Index partition) {
  const Topology& topology = state.topology;
  Index before = 0;
  for (Index b = 0; b < topology.populations.size; b++)
    if (const Population& population = topology.populations[b]; population.role == Role::poisson)
      before += population.size * partition / topology.n_partitions();
  return state.lists.poisson.data + before;
}

// Draws the spikes of a partition's Poisson sources in a step of the random clock.
template <class Real> void draw_poisson(OnlineRun<Real>& run, Index partition, std::uint64_t seed, Index clock) {
  const Topology& topology = run.state.topology;
  if (run.poisson_limit.empty()) return;
  PartitionNotes& notes = run.notes[partition];
  std::int32_t* list = poisson_list(run.state, partition);
  Index count = 0;
  for (Index b = 0; b < topology.populations.size; b++) {
    if (topology.populations[b].role == Role::poisson)
      count += poisson_spikes(topology, b, {seed, clock, run.poisson_limit}, {partition, partition + 1}, 0, list + count);
    notes.poisson_count[b] = count;
  }
}

// The step of a sample in column `column` of a request.
SampleStep step_of(const Request& request, Index column) { return {column / request.n_steps, column % request.n_steps}; }

// Adds the external signals in this step to the learning signals of neurons begin .. end.
template <class Real>
void gather_external(const OnlineState<Real>& state, const Request& request, Index column, Index begin, Index end) {
  const External& external = request.external;
  const auto [sample, step] = step_of(request, column);
  const double factor = external.factor(sample, step);
  for (Index b = 0; b < state.topology.populations.size; b++) {
    const Population& population = state.topology.populations[b];
    const Index first = std::max(begin, population.target_begin), stop = std::min(end, population.target_end);
    if (population.role != Role::neuron || first >= stop) continue;
    const double* given = external.row(sample, step, b);
    add_external(given == nullptr ? nullptr : given + (first - population.target_begin), factor, stop - first,
                 state.neurons.signal.data + first);
  }
}

// Whether the inputs of neurons begin .. end are finite at all receptors.
template <class Real> bool inputs_finite(Array2<Real> input, Index begin, Index end) {
  bool finite = true;
  for (Index receptor = 0; receptor < input.rows; receptor++) finite &= all_finite(input.row(receptor) + begin, end - begin);
  return finite;
}

// One step of one partition; `column` is the step in the request.
template <class Real> void step_partition(OnlineRun<Real>& run, const Request& request, Index partition, Index column) {
  const FlushSubnormals flush;
  const Index t = run.t;
  OnlineState<Real>& state = run.state;
  const Topology& topology = state.topology;
  const Index begin = topology.bounds(0, partition), end = topology.bounds(0, partition + 1);
  const Index first_readout = topology.bounds(1, partition), last_readout = topology.bounds(1, partition + 1);
  Real* readout_input = state.neurons.input.row(0) + topology.n_neurons();
  PartitionNotes& notes = run.notes[partition];
  notes.watch.record(kBetween);
  const Array2<double> feedback = state.feedback.weight;
  notes.silent = gather_signals(t, begin, end, {feedback.data, feedback.rows, feedback.columns}, state.neurons.signal,
                                state.history.error, topology.signal_delay, notes.silent);
  if (!request.external.empty()) {
    gather_external(state, request, column, begin, end);
    notes.silent = false;
  }
  extend_propagators(run, begin, end, t);
  notes.watch.record(kPropagators);
  deliver(run, partition, t);
  notes.watch.record(kDeliver);
  if (run.has_plus || run.has_pairs)
    notes.input_finite &=
        inputs_finite(state.neurons.input, begin, end) && all_finite(readout_input + first_readout, last_readout - first_readout);
  advance_partition(state, partition, drive_of(request, step_of(request, column), request.seed, t + request.clock), request.drops,
                    notes.drawn);
  if (run.has_pairs) notes.post_full = follow_post_spikes(state, partition, t);
  if (!run.collect) draw_poisson(run, partition, request.seed, t + request.clock);
  notes.watch.record(kAdvance);
  integrate_readouts(first_readout, last_readout, topology.readouts, readout_input, state.neurons.y.data);
  notes.watch.record(kReadout);
}

// ------------------------------------------------------------------------------------------------------------------ all of them

// The spikes of all populations in one step, in the order of the log. Spikes of neurons are in the lists of the partitions, or in
// `received`, where `stop` gives their number.
template <class Real>
void gather_segments(OnlineRun<Real>& run, Index column, const Request& request, const std::int32_t* received, Positions known) {
  const OnlineState<Real>& state = run.state;
  const Topology& topology = state.topology;
  run.segments.clear();
  Index local_id = 0;  // local id of a population's first neuron
  for (Index b = 0; b < topology.populations.size; b++) {
    const Population& population = topology.populations[b];
    if (population.role == Role::events) {
      if (request.event_start.rows == 0) continue;  // no events at all
      const Index* start = request.event_start.row(population.channel);
      run.segments.push_back(
          {b, request.event_channels.data + start[column], population.first_source, start[column + 1] - start[column]});
    } else if (population.role == Role::poisson) {
      for (Index partition = 0; partition < topology.n_partitions(); partition++) {
        const std::vector<Index>& count = run.notes[partition].poisson_count;
        const Index first = b > 0 ? count[b - 1] : 0;
        run.segments.push_back({b, poisson_list(state, partition) + first, population.first_source, count[b] - first});
      }
    } else if (population.role == Role::neuron && received == nullptr) {
      for (Index partition = 0; partition < topology.n_partitions(); partition++) {
        const std::vector<Index>& count = state.spike_count[partition];
        const Index first = b > 0 ? count[b - 1] : 0;
        run.segments.push_back(
            {b, state.spikes_of(partition) + first, population.first_source - population.first_target, count[b] - first});
      }
    } else if (population.role == Role::neuron) {
      const Index first = known.first;
      while (known.first < known.stop && received[known.first] < local_id + population.size) known.first++;
      run.segments.push_back({b, received + first, population.first_source - local_id, known.first - first});
      local_id += population.size;
    }
  }
}

// Writes the spikes of step t to the log and processes them with their axons; runs `more` work per partition at the same time.
template <class Real>
void list_spikes(OnlineRun<Real>& run, Index t, int threads, bool more_is_long, const std::function<void(Index)>& more) {
  OnlineState<Real>& state = run.state;
  const bool noted = !state.log.times.empty();
  const Positions all = open_step(state.log, t, run.segments);
  if (noted) make_room_for_records(history_of(state), t);
  const Index pieces = threads > 1 && (all.size() >= kManySpikes || more_is_long) ? state.topology.n_partitions() : 1;
  const auto list = [&](Index piece, Index n) {
    fill_step(history_of(state), t, run.segments, {all.first + all.size() * piece / n, all.first + all.size() * (piece + 1) / n},
              noted);
  };
  if (pieces > 1) {
    parallel_for(pieces, threads, [&](Index piece) {
      list(piece, pieces);
      if (more) more(piece);
    });
  } else {
    list(0, 1);
    for (Index partition = 0; more && partition < state.topology.n_partitions(); partition++) more(partition);
  }
  if (noted) state.axons.processed_until[0] = t + 1;
}

// Upper bound of the feedback weights that follow weights of the arrived branches, and of the expired ones that were rounded.
template <class Real> Index count_tied_weights(const OnlineState<Real>& state) {
  Index weights = 0;
  for (std::size_t number = 0; number < state.groups.size(); number++) {
    const DelayGroup& group = state.groups[number];
    if (!ties_at_spikes(group)) continue;
    const auto count = [&](const std::vector<Index>& start) { return start[number + 1] - start[number]; };
    const Index rounded = rounds_at_once(group) ? count(state.deliveries.expired_start) : 0;
    weights += (count(state.deliveries.arriving_start) + rounded) * (group.target_end - group.target_begin);
  }
  return weights;
}

// After all partitions: event counts, tied feedback, and the spikes to the log or the outbox.
template <class Real> void collect_step(OnlineRun<Real>& run, Index column, const Request& request, int threads) {
  OnlineState<Real>& state = run.state;
  const Index t = run.t, partitions = state.topology.n_partitions();
  Index spikes = 0;
  bool post_full = false;
  for (Index partition = 0; partition < partitions; partition++) {
    PartitionNotes& notes = run.notes[partition];
    run.events += notes.events;
    run.unchecked_work += static_cast<double>(notes.events);
    notes.events = 0;
    spikes += state.spike_count[partition].back();
    for (Index k = 0; request.of_neurons.size > 0 && k < state.spike_count[partition].back(); k++)
      request.of_neurons[state.spikes_of(partition)[k]]++;
    post_full |= notes.post_full;
  }
  if (request.spikes.size > 0) request.spikes[column / request.n_steps] += spikes;
  if (post_full) grow_post_spikes(state.post);
  const Index tied = run.has_plus ? count_tied_weights(state) : 0;
  const auto tie = [&](Index partition) { tie_branches(state, partition, t); };
  if (run.collect) {
    for (Index partition = 0; partition < partitions; partition++)
      run.outbox.post(state.spikes_of(partition), state.spike_count[partition].back());
    run.outbox.end_step();
    if (tied > 0) parallel_for(partitions, tied >= kManyFeedbackWeights ? threads : 1, tie);
    return;
  }
  gather_segments(run, column, request, nullptr, {});
  const std::function<void(Index)> more = tied > 0 ? std::function<void(Index)>(tie) : nullptr;
  list_spikes(run, t, threads, tied >= kManyFeedbackWeights, more);
}

// Whether there can be learning signals of a step: a readout population has a target in its window, or errors or signals are
// given, or there are no readouts.
bool is_taught(const Topology& topology, const Request& request, const SampleStep& at) {
  if (topology.n_readouts() == 0 || request.errors_given || request.external.signals.planes > 0) return true;
  const double *target = target_of(request, at), *window = window_of(request, at);
  for (const Population *p = topology.populations.data, *end = p + topology.populations.size; p < end; p++)
    if (p->role == Role::readout && *window++ != 0.0 && !std::isnan(target[p->target_begin - topology.n_neurons()])) return true;
  return false;
}

void add_sums(const Request& request, double loss, double silent) {
  const auto sum = [&](Sum name) -> double& { return request.sums[static_cast<Index>(name)]; };
  sum(Sum::steps) += 1.0;
  sum(Sum::left) -= 1.0;
  if (!request.learn) return;
  sum(Sum::learned) += 1.0;
  sum(Sum::counted) += static_cast<double>(silent != 0.0);
  sum(Sum::loss) += loss;
  sum(Sum::silent) += silent;
}

// Errors of all readouts in this step and their sums, outputs, and the loss.
template <class Real> void compare_step(OnlineRun<Real>& run, Index column, const Request& request) {
  OnlineState<Real>& state = run.state;
  double loss = 0.0, silent = 0.0;
  if (state.topology.readouts.size > 0) {
    const SampleStep at = step_of(request, column);
    double* error = state.history.error.row(run.t & (state.history.error.rows - 1));
    loss = compare_outputs(state.topology, request, at, state.neurons.y.data, error);
    silent = silent_loss(state.topology, target_of(request, at), window_of(request, at));
    request.loss[column] += loss;
    if (run.sums_errors && !waits_for_reward(state)) extend_error_sums(state, run.t);
    std::copy_n(state.neurons.y.data, state.neurons.y.size, request.y.row(at.sample, at.step));
  }
  if (request.sums.size > 0) add_sums(request, loss, silent);
}

// Values of the recorded variables after this step.
template <class Real> void read_probes(OnlineRun<Real>& run, const Request& request, double* out) {
  const OnlineState<Real>& state = run.state;
  const Index t = run.t;
  for (Index m = 0; m < request.probes.rows; m++) {
    const Index *probe = request.probes.row(m), row = probe[1], index = probe[2], group = probe[3];
    switch (static_cast<Probe>(probe[0])) {
      case Probe::state:
        out[m] = static_cast<double>(state.neurons.state(row, index));
        break;
      case Probe::psi:
        out[m] = static_cast<double>(state.neurons.psi[index]);
        break;
      case Probe::signal:
        out[m] = state.neurons.signal[index];
        break;
      case Probe::readout:
        out[m] = state.neurons.y[index];
        break;
      case Probe::error:
        out[m] = state.history.error(t & (state.history.error.rows - 1), index);
        break;
      case Probe::weight:
        if (state.groups[group].rule == Rule::eprop_plus) {
          out[m] = effective_weight(state, index, row, group, t + 1);
        } else {
          with_weights(state.synapses, [&](const auto* weight) { out[m] = weight_of<Real>(state.groups[group], weight[index]); });
        }
        break;
      case Probe::trace:
        out[m] = effective_trace(state, index, row, group, t + 1);
        break;
    }
  }
}

// External values of this step: reward, which belongs to the step before, and its errors.
template <class Real> void take_external(OnlineRun<Real>& run, Index column, const Request& request) {
  OnlineState<Real>& state = run.state;
  if (!waits_for_reward(state)) return;
  const auto [sample, step] = step_of(request, column);
  store_reward(state, run.t, request.external.reward_of(sample, step));
  if (run.sums_errors && run.t > 0) extend_error_sums(state, run.t - 1);
}

// Before the first step of a call: learning rates, axons up to date with all spikes, postsynaptic spikes with a known end.
template <class Real> void begin_run(OnlineRun<Real>& run, const Request& request) {
  OnlineState<Real>& state = run.state;
  for (std::size_t group = 0; group < state.groups.size(); group++)
    state.groups[group].optimizer.eta = request.learn ? state.topology.groups[group].optimizer.eta : 0.0;
  note_logged(history_of(state), run.t - run.outbox.steps());
  std::fill_n(state.lists.active.data, state.lists.active.size, 1);  // Python may have changed the state
  for (PartitionNotes& notes : run.notes) notes.silent = false;
  state.keeps_psi = false;
  for (Index m = 0; m < request.probes.rows; m++) state.keeps_psi |= static_cast<Probe>(request.probes(m, 0)) == Probe::psi;
}

// Steps for which postsynaptic spikes may be read.
Index post_span(const Sizes& sizes) { return sizes.pair_cutoff + 2 * sizes.longest_delay; }

// Neurons, readouts and axons before the first step.
template <class Real> void rest(OnlineRun<Real>& run) {
  OnlineState<Real>& state = run.state;
  const Sizes& sizes = run.network.sizes;
  copy_as<Real>(run.network.topology.initial, state.neurons.state.data);
  for (Index k = 0; k < state.neurons.y.size; k++) state.neurons.y[k] = state.topology.readouts[k].y_start;
  std::fill_n(state.axons.times.data, state.axons.times.size, AxonTimes{-1, 0, -1});
  state.history.block_steps = sizes.block_steps;
  state.history.span_blocks = sizes.span_blocks;
  state.history.rewards.now = 0;
  state.log.record_steps = sizes.remembered();
  state.post.span = post_span(sizes);
  state.learns = sizes.at_spikes();
}

// Optimisers at spikes count the network's steps, so they restart with it.
template <class Real> void restart_optimizers(const Synapses<Real>& synapses) {
  for (const Array1<Real>& moments : {synapses.moment_1, synapses.moment_2}) std::fill_n(moments.data, moments.size, Real(0));
}

// Initial capacities.
constexpr Index kFirstRecords = 1024, kFirstPostSpikes = 8, kFirstDeliveries = 1024;
Index first_log(Index n_sources) { return power_of_two(2 * n_sources + 1024); }

}  // namespace

template <class Real> std::vector<VectorBytes> vector_bytes(const OnlineRun<Real>& run) {
  const auto size = [](const auto& values) { return static_cast<Index>(values.capacity() * sizeof(values[0])); };
  const OnlineState<Real>& state = run.state;
  const Deliveries& deliveries = state.deliveries;
  Index others = size(run.poisson_limit) + size(state.spike_count);
  for (const auto& part : state.plus.gradients) others += size(part);
  for (const auto& part : state.plus.premature) others += size(part);
  return {{"spike_log", size(state.log.sources)},
          {"spike_records", size(state.log.times) + size(state.log.z)},
          {"post_spikes", size(state.post.times)},
          {"deliveries", size(deliveries.cursors) + size(deliveries.arriving) + size(deliveries.expired) +
                             size(deliveries.unrewarded) + size(deliveries.order) + size(deliveries.sorted) +
                             size(deliveries.logged)},
          {"others", others}};
}

template <class Real> std::vector<VectorBytes> vector_bytes_before(const Sizes& sizes) {
  constexpr Index kOrder = 2 * sizeof(Index) + sizeof(Cursor);  // see Deliveries
  const auto spikes = [&](Index steps) { return sizes.sources * steps / kStepsPerSpike; };
  const Index log = std::max(first_log(sizes.sources), power_of_two(spikes(sizes.logged()) + sizes.sources));
  const Index records = std::max(kFirstRecords, power_of_two(spikes(sizes.remembered())));
  // The most spikes of a neuron in the steps for which they are kept.
  const Index post = power_of_two(std::max(kFirstPostSpikes, 4 * post_span(sizes) / kStepsPerSpike));
  const Index filters = kRecordParts * std::max<Index>(sizes.filters, 1) * sizes.filter_slots * sizeof(double);
  const Index delivered = std::max(std::min(sizes.branches + 1, kFirstDeliveries), sizes.branches / kStepsPerSpike);
  const Index branches = sizes.eprop_plus ? delivered : 0;
  const Index synapses = sizes.eprop_plus ? sizes.targets() : 0;  // of the longest branch, at most
  return {{"spike_log", log * static_cast<Index>(sizeof(std::int32_t))},
          {"spike_records", sizes.at_spikes() ? records * (static_cast<Index>(sizeof(SpikeTimes)) + filters) : 0},
          {"post_spikes", sizes.pairs ? post * sizes.neurons * static_cast<Index>(sizeof(Index)) : 0},
          {"deliveries", branches * static_cast<Index>(sizeof(ArrivingBranch) + sizeof(ExpiredBranch) + kOrder) +
                             spikes(sizes.longest_delay) * static_cast<Index>(sizeof(Cursor))},
          {"others", sizes.poisson_sources * static_cast<Index>(sizeof(std::uint64_t)) +
                         synapses * static_cast<Index>(sizeof(double) + sizeof(Real))}};
}

template <class Real> std::vector<Row> rows_of(OnlineState<Real>& state) {
  std::vector<Row> rows;
  add_rows("axons", state.axons, rows);
  add_rows("neurons", state.neurons, rows);
  add_rows("history", state.history, rows);
  add_rows("history", state.history.rewards, rows);
  add_rows("log", state.log, rows);
  add_rows("lists", state.lists, rows);
  add_rows("work", state.plus, rows);
  return rows;
}

template <class Real> void reset_run(OnlineRun<Real>& run) {
  clear(rows_of(run.network));
  clear(rows_of(run.state));
  if (run.has_plus) restart_optimizers(run.state.synapses);
  run.t = 0;
  run.outbox = {};
  prepare_run(run, run.watch.timed);
}

template <class Real> void prepare_run(OnlineRun<Real>& run, bool timed) {
  OnlineState<Real>& state = run.state;
  const Topology& topology = state.topology;
  const Index partitions = topology.n_partitions(), populations = topology.populations.size;
  allocate(rows_of(state), run.network.sizes, run.memory);
  rest(run);
  state.groups.assign(topology.groups.data, topology.groups.data + topology.groups.size);
  if (!state.learns)
    for (DelayGroup& group : state.groups) group.rule = Rule::fixed;
  for (const DelayGroup& group : state.groups) {
    run.has_plus |= group.rule == Rule::eprop_plus;
    run.has_pairs |= group.rule == Rule::pairs;
    run.sums_errors |= group.rule == Rule::eprop_plus && group.onto_readouts;
  }
  state.trace_group.assign(populations, -1);
  for (Index b = 0; b < populations && state.learns; b++) state.trace_group[b] = signal_group(topology.populations[b]);
  state.log.n_sources = topology.n_sources();
  state.log.sources.assign(first_log(state.log.n_sources), 0);
  if (run.has_plus || run.has_pairs) restart_records(history_of(state), 0, kFirstRecords);
  state.post.capacity = kFirstPostSpikes;
  state.post.neurons = topology.n_neurons();
  if (run.has_pairs) state.post.times.assign(topology.n_neurons() * kFirstPostSpikes, kNever);
  if (run.has_plus) {  // initial capacity that small networks never exceed
    const std::size_t room = std::min<Index>(topology.branch_start.columns + 1, kFirstDeliveries);
    state.deliveries.arriving.reserve(room);
    state.deliveries.expired.reserve(room);
    if (waits_for_reward(state)) state.deliveries.unrewarded.reserve(room);
  }
  state.deliveries.arriving_start.assign(state.groups.size() + 1, 0);
  state.deliveries.expired_start.assign(state.groups.size() + 1, 0);
  state.deliveries.unrewarded_start.assign(state.groups.size() + 1, 0);
  list_groups(state);
  state.spike_count.assign(partitions, std::vector<Index>(populations, 0));
  run.notes = std::vector<PartitionNotes>(partitions);
  run.watch.timed = timed;
  for (PartitionNotes& notes : run.notes) {
    notes.poisson_count.assign(populations, 0);
    notes.watch.timed = timed;
  }
  run.poisson_limit = poisson_limits(topology);
  run.segments.reserve(populations * partitions);
  if (!run.has_plus) return;
  start_plus_work(state);
  run.kinds.clear();
  for (Index kind = 0; kind < topology.kinds.rows; kind++) run.kinds.push_back(number_of(kind_of(topology, kind)));
}

template <class Real> Index run_online(OnlineRun<Real>& run, Index n_steps, Index offset, const Request& request) {
  OnlineState<Real>& state = run.state;
  const Index partitions = state.topology.n_partitions();
  const int threads = static_cast<int>(std::min<Index>(request.threads, partitions));
  const auto began = std::chrono::steady_clock::now();
  const double targets = static_cast<double>(state.neurons.input.columns);
  Index column = offset;
  const std::function<void(Index)> step = [&](Index partition) { step_partition(run, request, partition, column); };
  begin_run(run, request);
  run.watch.record(kBetween);
  for (Index done = 0; done < n_steps; done++, column++) {
    take_external(run, column, request);
    if (!run.collect && log_is_full(state.log, run.t)) grow_log(state.log, run.t);
    if (run.has_plus) plan_deliveries(state, run.t, state.synapses.pending.size == 0, request.threads);
    move_cursors(state, run.t);
    run.watch.record(kExchange);
    state.taught = run.has_plus && is_taught(state.topology, request, step_of(request, column)) ? 1.0 : 0.0;
    parallel_for(partitions, threads, step);
    run.watch.record(kRegion);
    collect_step(run, column, request, threads);
    run.watch.record(kExchange);
    compare_step(run, column, request);
    run.watch.record(kReadout);
    if (request.probes.rows > 0) read_probes(run, request, request.probed.row(column));
    run.unchecked_work += 4.0 * targets;
    run.t++;
    if (request.times.size > 0) request.times[column] = static_cast<double>(run.t);
    const auto spent = std::chrono::steady_clock::now() - began;
    if (spent > kLongestCall || (spent > kAwaitedCall && run.awaited != nullptr && *run.awaited)) return done + 1;
  }
  return n_steps;
}

template <class Real> void replace_errors(OnlineRun<Real>& run, Array1<const double> error) {
  OnlineState<Real>& state = run.state;
  double* before = state.history.error.row((run.t - 1) & (state.history.error.rows - 1));
  for (Index k = 0; k < error.size; k++)
    if (!std::isnan(error[k])) before[k] = error[k];
  // From the sums before that step, as the step itself did; with reward it has not done so yet.
  if (run.sums_errors && !waits_for_reward(state)) extend_error_sums(state, run.t - 1);
}

template <class Real>
void receive_spikes(OnlineRun<Real>& run, Index n_steps, Index offset, const Request& request, const Inbox& inbox) {
  OnlineState<Real>& state = run.state;
  const Index partitions = state.topology.n_partitions();
  const int threads = static_cast<int>(std::min<Index>(request.threads, partitions));
  const int drawing = static_cast<Index>(run.poisson_limit.size()) >= kManyDraws ? threads : 1;
  deserialise_spikes(inbox, n_steps, request.threads, run.received);
  note_logged(history_of(state), run.t - n_steps);
  for (Index step = 0; step < n_steps; step++) {
    const Index t = run.t - n_steps + step;
    if (log_is_full(state.log, t)) grow_log(state.log, t);
    parallel_for(partitions, drawing, [&](Index partition) { draw_poisson(run, partition, request.seed, t + request.clock); });
    const Positions known{run.received.start[step], run.received.start[step + 1]};
    gather_segments(run, offset + step, request, run.received.neurons.data(), known);
    list_spikes(run, t, threads, false, nullptr);
  }
}

namespace {

// While the voltage and the inputs of a core model are finite, its other state is finite, so one row is enough.
template <class Real> Divergence state_divergence(const OnlineRun<Real>& run) {
  const OnlineState<Real>& state = run.state;
  const Array2<Real>& rows = state.neurons.state;
  // Also true for NaN and infinity.
  const auto too_large = [](const auto* v, Index n) {
    std::int64_t large = 0;
#pragma GCC ivdep
    for (Index k = 0; k < n; k++) large |= !(std::fabs(static_cast<double>(v[k])) <= kLargestVoltage);
    return large != 0;
  };
  bool diverged = too_large(state.neurons.y.data, state.neurons.y.size), finite = true;
  for (Index b = 0; b < state.topology.populations.size; b++) {
    const Population& population = state.topology.populations[b];
    if (population.role != Role::neuron) continue;
    const Index first = population.target_begin, n = population.target_end - first;
    if (population.voltage_row >= 0) diverged |= too_large(rows.row(population.voltage_row) + first, n);
    if (population.model < 0 || population.voltage_row < 0)
      for (Index row = 0; row < rows.rows; row++) finite &= all_finite(rows.row(row) + first, n);
  }
  if (!diverged && finite) return Divergence::none;
  finite &= all_finite(rows.data, rows.size()) && all_finite(state.neurons.y.data, state.neurons.y.size);
  return finite ? Divergence::voltage : Divergence::not_finite;
}

template <class Real> bool weights_finite(OnlineRun<Real>& run, int threads) {
  if (!run.has_plus && !run.has_pairs) return true;
  bool finite = true;
  for (PartitionNotes& notes : run.notes) {
    finite &= notes.input_finite;
    notes.input_finite = true;
  }
  const Array1<Real>& weight = run.state.synapses.weight;
  // A call takes ten microseconds, an event a few nanoseconds, and checking a weight less than one: a few percent of the time.
  run.unchecked_work += 1e4;
  if (!finite || run.unchecked_work < 32.0 * static_cast<double>(weight.size)) return finite;
  run.unchecked_work = 0.0;
  constexpr Index kPiece = 1 << 16;
  const Index pieces = (weight.size + kPiece - 1) / kPiece;
  std::atomic<bool> all{true};
  parallel_for(pieces, threads, [&](Index piece) {
    const Index first = piece * kPiece, stop = std::min(first + kPiece, weight.size);
    if (!all_finite(weight.data + first, stop - first)) all = false;
  });
  return all;
}

}  // namespace

template <class Real> Divergence judge(OnlineRun<Real>& run, double loss, int threads) {
  const Divergence found = state_divergence(run);
  const bool finite = weights_finite(run, threads);
  if (!std::isfinite(loss)) return Divergence::not_finite;
  return found == Divergence::none && !finite ? Divergence::weight : found;
}

#define EPROP_INSTANTIATE(Real)                                                               \
  template std::vector<VectorBytes> vector_bytes(const OnlineRun<Real>&);                     \
  template std::vector<VectorBytes> vector_bytes_before<Real>(const Sizes&);                  \
  template void prepare_run(OnlineRun<Real>&, bool);                                          \
  template std::vector<Row> rows_of(OnlineState<Real>&);                                      \
  template void reset_run(OnlineRun<Real>&);                                                  \
  template Index run_online(OnlineRun<Real>&, Index, Index, const Request&);                  \
  template void replace_errors(OnlineRun<Real>&, Array1<const double>);                       \
  template void receive_spikes(OnlineRun<Real>&, Index, Index, const Request&, const Inbox&); \
  template Divergence judge(OnlineRun<Real>&, double, int);
EPROP_INSTANTIATE(float)
EPROP_INSTANTIATE(double)

}  // namespace eprop
