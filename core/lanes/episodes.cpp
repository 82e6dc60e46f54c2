#include "lanes/episodes.hpp"

#include <chrono>
#include <cmath>
#include <limits>
#include <utility>

#include "lanes/backward.hpp"
#include "lanes/steps.hpp"
#include "support/divide.hpp"
#include "support/finite.hpp"

namespace eprop {
namespace {

// A call returns after this time, so that Ctrl-C is handled.
constexpr auto kCall = std::chrono::milliseconds(50);
// Smallest number of steps of neurons for each thread: waking a thread takes some microseconds.
constexpr Index kStepsPerThread = 400;

template <class Real> void keep_begin(Lane<Real>& lane) {
  lane.begin = lane.state;
  lane.begin_y = lane.y;
}

// Calls work(number, threads, watch) for the lanes of a chunk: lanes in parallel; or, if there are fewer than half as many lanes
// as threads, one after the other, each divided among the threads. Returns false if it was interrupted.
template <class Real, class Work>
bool each_lane(const Episodes<Real>& episodes, Index width, Index n_steps, Interrupt interrupt, const Work& work) {
  const Index useful = std::max<Index>(width * n_steps * episodes.topology.n_neurons() / kStepsPerThread, 1);
  const auto threads = static_cast<int>(std::min<Index>(episodes.threads, useful));
  const bool divided = 2 * width <= threads && episodes.topology.n_partitions() > 1;
  return divide(width, divided ? 1 : threads, interrupt,
                [&](Index, Index number, Watch& watch) { work(number, divided ? threads : 1, watch); });
}

template <class Real>
Running<Real> running(Episodes<Real>& episodes, const Chunk& chunk, Index number, const Request& request, int threads) {
  return {episodes, episodes.lanes[chunk.lane + number], request, chunk.index + number, threads};
}

template <class Real> void start_sample(const Episodes<Real>& episodes, Lane<Real>& lane, std::uint64_t seed, Index clock) {
  rest(episodes, lane);
  lane.seed = seed;
  lane.clock = clock;
}

// Synaptic events of a sample: arrivals of spikes at synapses before it ends.
template <class Real> Index count_events(const Episodes<Real>& episodes, const Lane<Real>& lane) {
  const Topology& topology = episodes.topology;
  const Index begin = episodes.horizon.history(), end = begin + episodes.steps;
  Index events = 0;
  for (Index k = lane.start(begin, 0); k < lane.start(end - 1, topology.populations.size); k++)
    events += topology.out_degrees[lane.log[k]];
  for (Index r = 0; r < topology.groups.size; r++) {  // not those that would arrive after the end
    const DelayGroup& group = topology.groups[r];
    if (!group.counts_events) continue;
    const Index shift = group.first_branch - group.branch_stride * topology.populations[group.source_population].first_source;
    for (Index t = std::max(end - group.delay, begin); t < end; t++)
      for (Index k = lane.start(t, group.source_population); k < lane.start(t, group.source_population + 1); k++) {
        const Index branch = lane.log[k] * group.branch_stride + shift;
        for (Index p = 0; p < topology.n_partitions(); p++)
          events -= topology.branch_start(p, branch + 1) - topology.branch_start(p, branch);
      }
  }
  return events;
}

template <class Real> void finish_lane(const Running<Real>& run) {
  const Request& request = run.request;
  if (request.spikes.size > 0) request.spikes[run.index] = count_spikes(run.episodes, run.lane);
  if (request.events.size > 0) request.events[run.index] = count_events(run.episodes, run.lane);
  if (request.loss.size > 0 && !all_finite(run.lane.state.values.data(), run.lane.state.view().size()))
    request.loss[run.index] = std::numeric_limits<double>::quiet_NaN();  // even if the outputs are finite
}

// Calls found(target) for each spike of neurons in the steps of a lane.
template <class Real, class Found> void each_spike(const Episodes<Real>& episodes, const Lane<Real>& lane, const Found& found) {
  for (Index b = 0; b < episodes.topology.populations.size; b++) {
    const Population& population = episodes.topology.populations[b];
    if (population.role != Role::neuron) continue;
    const Index shift = population.first_target - population.first_source;
    for (const Segment& segment : segments_of(episodes, lane))
      for (Index t = segment.begin; t < segment.end; t++)
        for (Index k = lane.start(t, b); k < lane.start(t, b + 1); k++) found(lane.log[k] + shift);
  }
}

// Adds the spikes of each neuron in the samples of a chunk, which are complete.
template <class Real> void count_neurons(const Episodes<Real>& episodes, const Chunk& chunk, const Request& request) {
  for (Index s = 0; request.of_neurons.size > 0 && s < chunk.width; s++)
    each_spike(episodes, episodes.lanes[chunk.lane + s], [&](Index target) { request.of_neurons[target]++; });
}

// Runs the samples of a chunk, forward and, for training, backward.
template <class Real> bool run_chunk(Episodes<Real>& episodes, const Chunk& chunk, const Request& request, Interrupt interrupt) {
  episodes.steps = request.n_steps;
  return each_lane(episodes, chunk.width, request.n_steps, interrupt, [&](Index s, int threads, Watch& watch) {
    const Running<Real> run = running(episodes, chunk, s, request, threads);
    start_sample(episodes, run.lane, request.seed, request.clocks[run.index]);
    run_steps(run, watch);
    if (watch.stopped(0)) return;
    finish_lane(run);
    if (request.learn) look_back(episodes, run.lane, {request, run.index}, threads, episodes.works[s], watch);
  });
}

// The sum to which a term is added, see `backward`.
template <class Real> Array1<Real> sum_of(Array2<Real> sums, Index term) { return {sums.row(term % sums.rows), sums.columns}; }

// Adds the gradients of the lanes of a chunk, after their adjoint pass. Absent connections have no traces: their gradients are
// those of episodes that begin with the rollout.
template <class Real>
bool accumulate(Episodes<Real>& episodes, const Chunk& chunk, const Request& request, Array2<Real> pending, Interrupt interrupt) {
  const auto n = static_cast<Index>(episodes.plan.pieces.size());
  for (Index s = 0; episodes.topology.products.size > 0 && s < chunk.width; s++) {
    if (episodes.lanes[chunk.lane + s].traced)
      add_product_traces(episodes.lanes[chunk.lane + s].product_traces, episodes.works[s]);
    add_scaled_products(episodes.topology, episodes.works[s], request, chunk.index + s);
  }
  const auto scale_of = [&](const GradientPiece& piece, Index s) {
    const DelayGroup& group = episodes.topology.groups[piece.group];
    return static_cast<Real>(group.input_scale) * static_cast<Real>(group.averages ? request.shares[chunk.index + s] : 1.0);
  };
  const auto add = [&](const GradientTables<Real>& tables, const GradientPiece& piece, Index s, Array1<Real> to) {
    Lane<Real>& lane = episodes.lanes[chunk.lane + s];
    Backward<Real>& work = episodes.works[s];
    accumulate_terms(tables, piece, terms_of(episodes, lane, work, rows_of_G(lane, work)), scale_of(piece, s), to);
  };
  const auto add_present = [&](Index thread, const GradientPiece& piece, Index s) {
    const Index term = (episodes.horizon.continues ? 2 : 1) * (chunk.index + s);
    add(tables_of(episodes, thread), piece, s, sum_of(pending, term));
    if (const Lane<Real>& lane = episodes.lanes[chunk.lane + s]; lane.traced)
      add_traces(episodes, piece, lane.traces, episodes.works[s].before, scale_of(piece, s), sum_of(pending, term + 1));
  };
  const Index absent = episodes.absent ? static_cast<Index>(episodes.absent->plan.pieces.size()) : 0;
  return divide(n + absent, episodes.threads, interrupt, [&](Index thread, Index number, Watch& watch) {
    for (Index s = 0; s < chunk.width && !watch.stopped(kPiece); s++)
      if (number < n)
        add_present(thread, episodes.plan.pieces[number], s);
      else
        add(absent_tables_of(episodes, thread), episodes.absent->plan.pieces[number - n], s,
            sum_of(episodes.absent->gradients, chunk.index + s));
  });
}

// Work space for the backward passes of `wanted` lanes at a time.
template <class Real> void make_works(Episodes<Real>& episodes, Index wanted) {
  if (static_cast<Index>(episodes.works.size()) < wanted) episodes.works.resize(static_cast<std::size_t>(wanted));
  for (Backward<Real>& work : episodes.works) {
    const bool traced = work.traces.rows > 0;
    set_units(work, lane_sizes(episodes), {episodes.rows, episodes.rows, traced ? episodes.horizon.traces() : 0});
  }
}

template <class Real> Index needed_rows(const Episodes<Real>& episodes, Index n_steps) {
  Index used = episodes.horizon.history() + episodes.steps;
  for (const Lane<Real>& lane : episodes.lanes) used = std::max(used, episodes.used_rows(lane));
  return used + n_steps + episodes.horizon.delay;
}

template <class Real> Chunk all_lanes(const Episodes<Real>& episodes) {
  return {0, 0, static_cast<Index>(episodes.lanes.size())};
}

// Turns the last steps of a rollout into the history of the next one.
template <class Real> void keep_history(Episodes<Real>& episodes, Lane<Real>& lane) {
  const Index history = episodes.horizon.history(), rows = episodes.used_rows(lane), first = rows - history,
              end = lane.start.columns - 1;
  const Index from = lane.start(first, 0), to = lane.start(rows - 1, end);
  std::copy(lane.log.begin() + from, lane.log.begin() + to, lane.log.begin());
  for (Index t = 0; t < history; t++) {
    for (Index b = 0; b <= end; b++) lane.start(t, b) = lane.start(first + t, b) - from;
    if (!episodes.learns) continue;
    std::copy(lane.psi.row(first + t), lane.psi.row(first + t) + lane.psi.columns, lane.psi.row(t));
    std::copy(lane.kept.row(first + t), lane.kept.row(first + t) + lane.kept.columns, lane.kept.row(t));
  }
  lane.age = lane.cuts.empty() ? lane.age + episodes.steps : episodes.steps - lane.cuts.back();
  lane.clock += episodes.steps;
  lane.cuts.clear();
  keep_begin(lane);
}

template <class Real> Lane<Real> make_lane(const Episodes<Real>& episodes) {
  const Topology& topology = episodes.topology;
  Lane<Real> lane;
  set_units(lane, lane_sizes(episodes), room_of(episodes, lane));
  for (Index p = 0; p < topology.n_partitions(); p++) lane.spikes.emplace_back(static_cast<std::size_t>(list_size(topology, p)));
  lane.log.resize(static_cast<std::size_t>(first_log(episodes.n_sources)));
  rest(episodes, lane);
  if (episodes.horizon.continues) keep_begin(lane);
  return lane;
}

// Whether synapses onto the neurons of a population learn.
inline bool learns_onto(const Topology& topology, const Population& population) {
  for (Index r = 0; r < topology.groups.size; r++) {
    const DelayGroup& group = topology.groups[r];
    if (population.role == Role::neuron && group.rule == Rule::eprop && !group.onto_readouts &&
        group.target_begin == population.target_begin)
      return true;
  }
  return false;
}

}  // namespace

template <class Real> Episodes<Real> make_episodes(Network<Real>& network, const EpisodeSizes& sizes) {
  const Topology topology = with_targets(network);
  const Array2<double> feedback = network.feedback.weight;
  const auto [n, steps, continues, learns, threads] = sizes;
  const Horizon horizon = horizon_of(topology, continues);
  const Index rows = rows_of(horizon, steps);
  Episodes<Real> episodes{topology,
                          {feedback.data, feedback.rows, feedback.columns},
                          horizon,
                          rows,
                          learns,
                          threads,
                          topology.n_sources(),
                          poisson_limits(topology),
                          make_plan<Real>(topology, rows, learns, threads)};
  episodes.plan.tables.resize(static_cast<std::size_t>(episodes.plan.dense));
  for (Index b = 0; b < topology.populations.size; b++)
    episodes.learning.push_back(learns_onto(topology, topology.populations[b]));
  for (Index s = 0; s < n; s++) episodes.lanes.push_back(make_lane(episodes));
  for (int thread = 0; learns && thread < threads; thread++) {
    episodes.row_sums.emplace_back(static_cast<std::size_t>(episodes.plan.columns));
    episodes.synapse_sums.emplace_back(static_cast<std::size_t>(episodes.plan.sums + kPadding));
  }
  if (learns && !continues) make_works(episodes, n);
  return episodes;
}

template <class Real> void set_weights(Episodes<Real>& episodes, Array1<const Real> weight) {
  constexpr Index kAxons = 64;
  episodes.weight = weight;
  std::vector<GradientPiece> pieces;
  const Array1<DelayGroup>& groups = episodes.topology.groups;
  for (Index r = 0; r < groups.size; r++)
    if (groups[r].first_group == r && episodes.plan.groups[r].table >= 0)
      for (Index begin = 0; begin < groups[r].n_branches; begin += kAxons)
        pieces.push_back({r, begin, std::min(begin + kAxons, groups[r].n_branches)});
  parallel_for(static_cast<Index>(pieces.size()), episodes.threads,
               [&](Index piece) { fill_table(episodes.topology, weight, episodes.plan, pieces[piece]); });
  if (!episodes.horizon.continues || episodes.plan.longest_offset == 0) return;  // no branch was delivered ahead of time
  divide(static_cast<Index>(episodes.lanes.size()), episodes.threads, {},
         [&](Index, Index s, Watch&) { gather_inputs(episodes, episodes.lanes[s], episodes.used_rows(episodes.lanes[s])); });
}

template <class Real> void set_absent(Episodes<Real>& episodes, const Topology& topology, Array2<Real> gradients) {
  episodes.absent.emplace(
      AbsentConnections<Real>{topology, make_plan<Real>(topology, episodes.rows, true, episodes.threads), gradients});
  for (int thread = 0; thread < episodes.threads; thread++)
    episodes.absent->synapse_sums.emplace_back(static_cast<std::size_t>(episodes.absent->plan.sums + kPadding));
}

template <class Real> void forget_absent(Episodes<Real>& episodes) { episodes.absent.reset(); }

template <class Real> void reserve_rows(Episodes<Real>& episodes, Index n_steps) {
  const Index needed = needed_rows(episodes, n_steps);
  Index rows = episodes.rows;
  if (needed <= rows) return;
  while (rows < needed) rows *= 2;
  episodes.rows = rows;
  for (Lane<Real>& lane : episodes.lanes) set_units(lane, lane_sizes(episodes), room_of(episodes, lane));
}

template <class Real> void begin_steps(Episodes<Real>& episodes, Index n_steps) {
  reserve_rows(episodes, n_steps);
  episodes.steps += n_steps;
}

template <class Real> void begin_replay(Episodes<Real>& episodes) {
  for (Lane<Real>& lane : episodes.lanes) {
    if (!lane.earlier.used) lane.earlier = {true, lane.start.values, lane.log};  // else a replay was interrupted
    rewind(episodes, lane);
  }
}

template <class Real> void end_replay(Episodes<Real>& episodes) {
  for (Lane<Real>& lane : episodes.lanes) {
    lane.earlier = {};
    if (lane.cuts.empty() || lane.cuts.back() < episodes.steps) continue;
    end_rows(episodes, lane, episodes.used_rows(lane) - episodes.horizon.delay);
    rest(episodes, lane);
  }
}

template <class Real> bool forward(Episodes<Real>& episodes, const Request& request, Interrupt interrupt) {
  const Chunk chunk = all_lanes(episodes);
  return each_lane(episodes, chunk.width, request.n_steps, interrupt,
                   [&](Index s, int threads, Watch& watch) { run_steps(running(episodes, chunk, s, request, threads), watch); });
}

template <class Real> bool backward(Episodes<Real>& episodes, const Request& request, Array2<Real> pending, Interrupt interrupt) {
  const Index n = all_lanes(episodes).width, most = lanes_at_once(n, episodes.threads);
  make_works(episodes, most);
  for (Index first = 0; first < n; first += most) {
    const Chunk part{first, first, std::min(most, n - first)};
    const bool done = each_lane(episodes, part.width, episodes.steps, interrupt, [&](Index s, int threads, Watch& watch) {
      look_back(episodes, episodes.lanes[part.lane + s], {request, part.index + s}, threads, episodes.works[s], watch);
    });
    if (!done || !accumulate(episodes, part, request, pending, interrupt)) return false;
  }
  return true;
}

template <class Real> void add_terms(Array1<Real> total, Array2<const Real> terms) {
  const FlushSubnormals flush;
  for (Index k = 0; k < terms.rows; k++)
    for (Index i = 0; i < total.size; i++) total[i] += terms(k, i);
}

template <class Real> Index run_samples(Episodes<Real>& episodes, Chunk chunk, Index stop, const Request& request,
                                        Array2<Real> pending, Interrupt interrupt) {
  const auto began = std::chrono::steady_clock::now();
  while (chunk.index < stop) {
    chunk.width = std::min(chunk.width, stop - chunk.index);
    if (!run_chunk(episodes, chunk, request, interrupt)) return -1;
    count_neurons(episodes, chunk, request);
    if (request.learn && !accumulate(episodes, chunk, request, pending, interrupt)) return -1;
    chunk.index += chunk.width;
    if (std::chrono::steady_clock::now() - began > kCall) break;
  }
  return chunk.index;
}

template <class Real> void end_episode(Episodes<Real>& episodes, Index number) {
  Lane<Real>& lane = episodes.lanes[number];
  if (!lane.cuts.empty() && lane.cuts.back() == episodes.steps) return;  // it is already at rest
  if (episodes.steps > 0) {
    reserve_rows(episodes, 0);
    end_rows(episodes, lane, episodes.used_rows(lane));
    lane.cuts.push_back(episodes.steps);
    return rest(episodes, lane);
  }
  std::fill_n(lane.start.values.begin(), episodes.horizon.history() * lane.start.columns, 0);
  lane.age = 0;
  lane.traced = false;
  rest(episodes, lane);
  keep_begin(lane);
}

template <class Real> void begin_next(Episodes<Real>& episodes) {
  if (episodes.steps == 0) return;
  const auto n = static_cast<Index>(episodes.lanes.size());
  if (episodes.learns) make_works(episodes, std::min<Index>(episodes.threads, n));
  divide(n, episodes.threads, {}, [&](Index thread, Index s, Watch&) {
    if (episodes.learns) carry_traces(episodes, episodes.lanes[s], episodes.works[thread], thread);
    keep_history(episodes, episodes.lanes[s]);
  });
  episodes.steps = 0;
}

template <class Real> Index find_diverged(const Episodes<Real>& episodes, double largest) {
  for (std::size_t s = 0; s < episodes.lanes.size(); s++) {
    const Lane<Real>& lane = episodes.lanes[s];
    bool finite = all_finite(lane.state.values.data(), lane.state.view().size());
    for (const double y : lane.y.values) finite &= std::fabs(y) <= largest;
    if (!finite) return static_cast<Index>(s);
  }
  return -1;
}

template <class Real> Index count_spikes(const Episodes<Real>& episodes, const Lane<Real>& lane) {
  Index spikes = 0;
  each_spike(episodes, lane, [&](Index) { spikes++; });
  return spikes;
}

template <class Real> void read_spikes(const Episodes<Real>& episodes, const Lane<Real>& lane, const Positions& some,
                                       std::vector<Index>& steps, std::vector<Index>& sources) {
  for (Index t = 0; t < episodes.used_rows(lane); t++)
    for (Index k = lane.start(t, 0); k < lane.start(t, lane.start.columns - 1); k++)
      if (some.first <= lane.log[k] && lane.log[k] < some.stop) {
        steps.push_back(t);
        sources.push_back(lane.log[k]);
      }
}

#define EPROP_EPISODES(Real)                                                                          \
  template Episodes<Real> make_episodes(Network<Real>&, const EpisodeSizes&);                         \
  template void set_weights(Episodes<Real>&, Array1<const Real>);                                     \
  template void set_absent(Episodes<Real>&, const Topology&, Array2<Real>);                           \
  template void forget_absent(Episodes<Real>&);                                                       \
  template void reserve_rows(Episodes<Real>&, Index);                                                 \
  template void begin_steps(Episodes<Real>&, Index);                                                  \
  template void begin_replay(Episodes<Real>&);                                                        \
  template void end_replay(Episodes<Real>&);                                                          \
  template bool forward(Episodes<Real>&, const Request&, Interrupt);                                  \
  template bool backward(Episodes<Real>&, const Request&, Array2<Real>, Interrupt);                   \
  template void add_terms(Array1<Real>, Array2<const Real>);                                          \
  template Index run_samples(Episodes<Real>&, Chunk, Index, const Request&, Array2<Real>, Interrupt); \
  template void end_episode(Episodes<Real>&, Index);                                                  \
  template void begin_next(Episodes<Real>&);                                                          \
  template Index find_diverged(const Episodes<Real>&, double);                                        \
  template Index count_spikes(const Episodes<Real>&, const Lane<Real>&);                              \
  template void read_spikes(const Episodes<Real>&, const Lane<Real>&, const Positions&, std::vector<Index>&, std::vector<Index>&);
EPROP_EPISODES(float)
EPROP_EPISODES(double)

}  // namespace eprop
