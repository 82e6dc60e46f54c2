// Steps of a lane: spikes arrive, neurons and sources advance, spikes are logged, readouts are compared with targets.
#pragma once
#include <algorithm>

#include "lanes/constants.hpp"
#include "lanes/delivery.hpp"
#include "step/step.hpp"
#include "support/threads.hpp"

namespace eprop {

// A lane that runs: its index in the request, and the threads that divide its partitions.
template <class Real> struct Running {
  const Episodes<Real>& episodes;
  Lane<Real>& lane;
  const Request& request;
  Index index;
  int threads;

  Index sample() const { return request.samples[index]; }
  // Step of the rollout before the request.
  Index first_step() const { return episodes.steps - request.n_steps; }
  bool draws() const { return !lane.earlier.used; }
  // Whether an episode ended before a step that is replayed.
  bool begins_again(Index at) const { return lane.earlier.used && std::binary_search(lane.cuts.begin(), lane.cuts.end(), at); }
};

// A step of a running lane: its index in the request, its index in the rollout, and its row.
struct LaneStep {
  Index t, at, row;
};
template <class Real> LaneStep step_of(const Running<Real>& run, Index t) {
  const Index at = run.first_step() + t;
  return {t, at, run.episodes.row_of(run.lane, at)};
}

// Spikes of Poisson population b in some partitions; `out` has room for all.
template <class Real>
Index draw_poisson(const Running<Real>& run, Index b, Index at, const Positions& partitions, std::int32_t* out) {
  const Topology& topology = run.episodes.topology;
  const PoissonStep step{run.lane.seed, run.lane.clock + at, run.episodes.poisson_limit};
  return poisson_spikes(topology, b, step, partitions, topology.populations[b].first_source, out);
}

// Spikes of event population b in a step of the request; `out` has room for all.
template <class Real> Index copy_events(const Running<Real>& run, Index b, Index t, std::int32_t* out) {
  const Population& population = run.episodes.topology.populations[b];
  const Request& request = run.request;
  const Index* start = request.event_start.row(population.channel) + run.sample() * request.n_steps + t;
  const std::int32_t* channels = request.event_channels.data + start[0];
  for (Index k = 0; k < start[1] - start[0]; k++) out[k] = channels[k] + static_cast<std::int32_t>(population.first_source);
  return start[1] - start[0];
}

// Spikes of population b, which has no input; `out` has room for all.
template <class Real> Index spikes_of_sources(const Running<Real>& run, Index b, const LaneStep& step, std::int32_t* out) {
  if (const EarlierSpikes& earlier = run.lane.earlier; earlier.used) {
    const Index* start = earlier.start.data() + step.row * run.lane.start.columns + b;
    std::copy(earlier.log.begin() + start[0], earlier.log.begin() + start[1], out);
    return start[1] - start[0];
  }
  return run.episodes.topology.populations[b].role == Role::poisson
             ? draw_poisson(run, b, step.at, all_partitions(run.episodes.topology), out)
             : copy_events(run, b, step.t, out);
}

// Advances the neurons of one partition by a step, and draws its Poisson sources. Lists spikes as sources.
template <class Real>
void advance_partition(const Running<Real>& run, const LaneStep& step, const NeuronStep<Real>& neurons, Index partition) {
  const Episodes<Real>& episodes = run.episodes;
  const Topology& topology = episodes.topology;
  Lane<Real>& lane = run.lane;
  std::int32_t* spikes = lane.spikes[partition].data();
  Index count = 0;
  for (Index b = 0; b < topology.populations.size; b++) {
    const Population& population = topology.populations[b];
    const Positions range = own_neurons(topology, population, partition);
    if (population.role == Role::neuron && range.size() > 0) {
      const bool learns = run.request.learn && episodes.learning[b];
      // If nothing learns, psi is overwritten in every step: a history of psi would push weights out of the cache.
      Real* psi = lane.psi.row(learns ? step.row : 0);
      const Index before = count;
      count = step_neurons(neurons, b, range, psi, spikes, count, [&](Index begin, Index end) {
        if (learns) keep_state(episodes, lane, step.row, begin, end);
      });
      const auto shift = static_cast<std::int32_t>(population.first_source - population.first_target);
      for (Index k = before; k < count; k++) spikes[k] += shift;
    } else if (population.role == Role::poisson && run.draws()) {
      count += draw_poisson(run, b, step.at, {partition, partition + 1}, spikes + count);
    }
    lane.spike_count(partition, b) = count;
  }
}

// Spikes of population b that the partitions have listed.
template <class Real> Index copy_lists(const Lane<Real>& lane, Index b, std::int32_t* out) {
  Index total = 0;
  for (Index p = 0; p < lane.spike_count.rows; p++) {
    const Index first = b > 0 ? lane.spike_count(p, b - 1) : 0, count = lane.spike_count(p, b) - first;
    std::copy_n(lane.spikes[p].data() + first, count, out + total);
    total += count;
  }
  return total;
}

// Silent rows after an episode.
template <class Real> void end_rows(const Episodes<Real>& episodes, Lane<Real>& lane, Index row) {
  const Index position = lane.start(row - 1, lane.start.columns - 1);
  std::fill(lane.start.row(row), lane.start.row(row) + episodes.horizon.delay * lane.start.columns, position);
  if (episodes.learns) std::fill_n(lane.psi.row(row), episodes.horizon.delay * lane.psi.columns, Real{0});
}

// Logs the spikes of a step, population by population.
template <class Real> void log_step(const Running<Real>& run, const LaneStep& step) {
  const Episodes<Real>& episodes = run.episodes;
  Lane<Real>& lane = run.lane;
  const Index end = episodes.topology.populations.size, row = step.row;
  if (run.begins_again(step.at)) end_rows(episodes, lane, row - episodes.horizon.delay);
  Index position = row > 0 ? lane.start(row - 1, end) : 0;
  const auto needed = static_cast<std::size_t>(position + episodes.n_sources);  // all sources spike
  if (lane.log.size() < needed) lane.log.resize(std::max(needed, 2 * lane.log.size()));
  for (Index b = 0; b < end; b++) {
    lane.start(row, b) = position;
    const Role role = episodes.topology.populations[b].role;
    std::int32_t* out = lane.log.data() + position;
    if (role == Role::neuron || (role == Role::poisson && run.draws()))
      position += copy_lists(lane, b, out);
    else if (role != Role::readout)
      position += spikes_of_sources(run, b, step, out);
  }
  lane.start(row, end) = position;
}

// Resets to rest, without spikes in flight.
template <class Real> void rest(const Episodes<Real>& episodes, Lane<Real>& lane) {
  copy_as<Real>(episodes.topology.initial, lane.state.values.data());
  std::fill(lane.input.values.begin(), lane.input.values.end(), Real{0});
  lane.place = 0;
  for (Index k = 0; k < episodes.topology.n_readouts(); k++) lane.y(0, k) = episodes.topology.readouts[k].y_start;
}

// Moves the inputs to the front when their rows are used up.
template <class Real> void turn_inputs(const DeliveryPlan<Real>& plan, Lane<Real>& lane) {
  if (lane.place < plan.input_steps) return;
  for (Index receptor = 0; receptor < plan.receptors; receptor++)
    move_to_front(plan.input_steps, inputs_at(plan, lane, receptor));
  lane.place = 0;
}

// Inputs of the step in row `row` and later ones, from the spikes in flight and the present weights. A spike uses the weight as
// of its arrival at a branch, though all branches are delivered when it reaches the first one. The order of additions does not
// change.
template <class Real> void gather_inputs(const Episodes<Real>& episodes, Lane<Real>& lane, Index row) {
  std::fill(lane.input.values.begin(), lane.input.values.end(), Real{0});
  lane.place = 0;
  for (Index t = row - episodes.plan.longest_offset; t < row; t++, lane.place++) {
    turn_inputs(episodes.plan, lane);
    deliver_step(episodes, lane, t, all_partitions(episodes.topology));
    const Array2<Real> used = inputs_of_step(episodes.plan, lane);  // already
    for (Index receptor = 0; receptor < used.rows; receptor++) std::fill_n(used.row(receptor), episodes.plan.columns, Real{0});
  }
}

// Resets a lane to the beginning of its rollout.
template <class Real> void rewind(const Episodes<Real>& episodes, Lane<Real>& lane) {
  lane.state = lane.begin;
  lane.y = lane.begin_y;
  gather_inputs(episodes, lane, episodes.horizon.history());
}

// Delivers the spikes that arrive in a step and advances all partitions, on several threads if they belong to this lane alone.
// Dense tables, in small networks, are delivered for all partitions at once. Returns the number of arrived spikes.
template <class Real> Index step_partitions(const Running<Real>& run, const LaneStep& step) {
  const Episodes<Real>& episodes = run.episodes;
  Lane<Real>& lane = run.lane;
  turn_inputs(episodes.plan, lane);
  const Topology& topology = episodes.topology;
  const DriveStep drive = drive_of(run.request, {run.sample(), step.t}, lane.seed, lane.clock + step.at);
  lane.drawn.follow(topology, drive);
  const NeuronStep<Real> neurons{
      topology, drive, lane.drawn, run.request.drops, lane.state.view(), inputs_of_step(episodes.plan, lane)};
  const Index n = topology.n_partitions();
  const bool at_once = run.threads == 1 || episodes.plan.dense > 0;
  Index delivered = at_once ? deliver_step(episodes, lane, step.row, {0, n}) : 0;
  if (run.threads == 1) {
    for (Index p = 0; p < n; p++) advance_partition(run, step, neurons, p);
  } else {
    parallel_for(n, run.threads, [&](Index p) {
      const FlushSubnormals flush;
      const Index spikes = at_once ? 0 : deliver_step(episodes, lane, step.row, {p, p + 1});
      if (p == 0) delivered += spikes;
      advance_partition(run, step, neurons, p);
    });
  }
  return delivered;
}

// Outputs of a step, and its errors and loss if there are targets.
template <class Real> void compare_step(const Running<Real>& run, const LaneStep& step) {
  const Topology& topology = run.episodes.topology;
  const Request& request = run.request;
  Lane<Real>& lane = run.lane;
  double* to = request.y.row(run.index, step.t);
  for (Index k = 0; k < topology.n_readouts(); k++) to[k] = lane.y(0, k) + topology.readouts[k].leak;
  if (request.target.planes == 0) return;
  double* error =
      request.error.planes > 0 ? request.error.row(run.index, step.t) : lane.error.row(lane.error.rows > 1 ? step.row : 0);
  request.loss[run.index] += compare_outputs(topology, request, {run.sample(), step.t}, lane.y.row(0), error);
}

// Runs the steps of a request. Where an episode ended, a replayed lane goes to rest.
template <class Real> void run_steps(const Running<Real>& run, Watch& watch) {
  const Episodes<Real>& episodes = run.episodes;
  const Topology& topology = episodes.topology;
  Lane<Real>& lane = run.lane;
  if (run.request.target.planes > 0) run.request.loss[run.index] = 0.0;
  Index delivered = 0;
  for (Index t = 0; t < run.request.n_steps && !watch.stopped(topology.n_neurons() + 32 * delivered); t++) {
    const LaneStep step = step_of(run, t);
    if (run.begins_again(step.at)) rest(episodes, lane);
    delivered = step_partitions(run, step);
    log_step(run, step);
    if (run.request.learn) keep_outputs(episodes, lane, step.row);
    integrate_readouts(0, topology.n_readouts(), topology.readouts, lane.input.row(lane.place) + topology.n_neurons(),
                       lane.y.row(0));
    lane.place++;
    compare_step(run, step);
  }
}

}  // namespace eprop
