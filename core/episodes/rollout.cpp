#include "episodes/rollout.hpp"

#include <atomic>
#include <cmath>
#include <limits>
#include <utility>

#include "common/divide.hpp"
#include "common/finite.hpp"
#include "common/readouts.hpp"
#include "common/threads.hpp"
#include "episodes/batch.hpp"
#include "episodes/batch_delivery.hpp"
#include "episodes/emission.hpp"
#include "episodes/rollout_adjoint.hpp"

namespace eprop {
namespace {

// Smallest number of neurons per thread in a step: waking a worker takes some microseconds.
constexpr Index kNeuronsPerThread = 400;
// Streams per thread before gradients are added up, see SLOTS_A_THREAD in `batches.py`.
constexpr Index kStreamsPerThread = 4;

template <class Real> NetworkState state_of(const RolloutStream<Real>& stream) {
  return {stream.slot.state.values, stream.slot.y};
}

// Inputs of the step in row `row` and later ones, from the spikes in flight and the present weights. A spike uses the weight as
// of its arrival at a branch, though all branches are delivered when it reaches the first one. The order of additions does not
// change.
template <class Real> void gather_inputs(const Rollout<Real>& rollout, RolloutStream<Real>& stream, Index row) {
  const DeliveryPlan<Real>& plan = rollout.batch.plan;
  SampleSlot<Real>& slot = stream.slot;
  std::fill(slot.input.values.begin(), slot.input.values.end(), 0.0);
  stream.place = 0;
  for (Index t = row - plan.longest_offset; t < row; t++, stream.place++) {
    if (stream.place == plan.input_steps) {
      move_to_front(plan.input_steps, slot.input.view());
      stream.place = 0;
    }
    deliver_step(rollout.batch, slot, t, stream.place, std::numeric_limits<Index>::max(), all_partitions(rollout.batch.topology));
    std::fill(slot.input.row(stream.place), slot.input.row(stream.place) + slot.input.columns, 0.0);  // already used
  }
}

// Resets a stream to the beginning of its rollout.
template <class Real> void rewind(const Rollout<Real>& rollout, RolloutStream<Real>& stream) {
  stream.slot.state.values = stream.begin.neurons;
  stream.slot.y = stream.begin.y;
  gather_inputs(rollout, stream, rollout.horizon.history());
  std::fill(stream.counts.begin(), stream.counts.end(), 0);
}

// Resets to rest, without spikes in flight.
template <class Real> void rest(const Batch<Real>& batch, SampleSlot<Real>& slot) {
  std::copy(batch.initial.data, batch.initial.data + batch.initial.size(), slot.state.values.begin());
  std::fill(slot.input.values.begin(), slot.input.values.end(), 0.0);
  for (Index k = 0; k < batch.topology.n_readouts(); k++) slot.y[k] = batch.topology.readouts[k].y_start;
}

// Silent rows after an episode.
template <class Real> void end_rows(const Rollout<Real>& rollout, SampleSlot<Real>& slot, Index row) {
  const Index position = slot.start(row - 1, slot.start.columns - 1);
  std::fill(slot.start.row(row), slot.start.row(row) + rollout.horizon.delay * slot.start.columns, position);
}

// One step of a stream, in its own row. sources(b, out) writes the spikes of a population without input.
template <class Real, class Sources>
void run_step(Rollout<Real>& rollout, RolloutStream<Real>& stream, Index row, const Sources& sources) {
  Batch<Real>& batch = rollout.batch;
  const Topology& topology = batch.topology;
  SampleSlot<Real>& slot = stream.slot;
  if (stream.place == batch.plan.input_steps) {
    move_to_front(batch.plan.input_steps, slot.input.view());
    stream.place = 0;
  }
  double* input = slot.input.row(stream.place);
  deliver_step(batch, slot, row, stream.place, std::numeric_limits<Index>::max(), all_partitions(rollout.batch.topology));
  emit_step(batch, slot, {row, batch.learns, input, stream.counts.data()}, sources);
  integrate_readouts(0, topology.n_readouts(), topology.readouts, input + topology.n_neurons(), slot.y.data());
  stream.place++;
}

// Outputs of stream s in step t, and its errors if there are targets.
template <class Real> void write_step(const Rollout<Real>& rollout, const RolloutRequest& request, Index s, Index t) {
  const Topology& topology = rollout.batch.topology;
  const std::vector<double>& y = rollout.streams[s].slot.y;
  double* to = request.y.row(s, t);
  for (Index k = 0; k < topology.n_readouts(); k++) to[k] = y[k] + topology.readouts[k].leak;
  if (request.target.planes == 0) return;
  const double* target = request.target.row(s, request.target.rows > 1 ? t : 0);
  const double* window = request.window.row(request.window.planes > 1 ? s : 0, t);
  request.loss[s] += compare_readouts(topology, y.data(), true, target, window, request.error.row(s, t));
}

// Several steps of stream s.
template <class Real> void run_stream(Rollout<Real>& rollout, const RolloutRequest& request, Index s, Watch& watch) {
  RolloutStream<Real>& stream = rollout.streams[s];
  const Index first = rollout.rows(stream), neurons = rollout.batch.topology.n_neurons();
  if (request.target.planes > 0) request.loss[s] = 0.0;
  for (Index t = 0; t < request.n_steps && !watch.stopped(neurons); t++) {
    const Events events{request.event_start, request.event_channels, s * request.n_steps + t};
    run_step(rollout, stream, first + t, [&](Index b, std::int32_t* out) {
      return spikes_of_sources(rollout.batch, b, {stream.seed, stream.clock}, events, out);
    });
    stream.clock++;
    write_step(rollout, request, s, t);
  }
}

// Repeats the steps of a rollout; the log has the spikes of the sources.
template <class Real> void replay_stream(Rollout<Real>& rollout, const RolloutRequest& request, Index s) {
  RolloutStream<Real>& stream = rollout.streams[s];
  SampleSlot<Real>& slot = stream.slot;
  const Index history = rollout.horizon.history();
  const Aligned<Index> start = slot.start.values;
  const std::vector<std::int32_t> log = slot.log;
  rewind(rollout, stream);
  if (request.target.planes > 0) request.loss[s] = 0.0;
  Index row = history;
  std::size_t cut = 0;
  for (Index t = 0; t < rollout.steps; t++, row++) {
    if (cut < stream.cuts.size() && stream.cuts[cut] == t) {
      end_rows(rollout, slot, row);
      rest(rollout.batch, slot);
      row += rollout.horizon.delay;
      cut++;
    }
    const Index* began = start.data() + row * slot.start.columns;
    run_step(rollout, stream, row, [&](Index b, std::int32_t* out) {
      std::copy(log.begin() + began[b], log.begin() + began[b + 1], out);
      return began[b + 1] - began[b];
    });
    write_step(rollout, request, s, t);
  }
  if (cut < stream.cuts.size()) {  // an episode that ends with the rollout
    end_rows(rollout, slot, row);
    rest(rollout.batch, slot);
  }
}

// Turns the last steps of a rollout into the history of the next one.
template <class Real> void keep_history(Rollout<Real>& rollout, RolloutStream<Real>& stream) {
  SampleSlot<Real>& slot = stream.slot;
  const Index history = rollout.horizon.history(), rows = rollout.rows(stream), first = rows - history,
              end = slot.start.columns - 1;
  const Index from = slot.start(first, 0), to = slot.start(rows - 1, end);
  std::copy(slot.log.begin() + from, slot.log.begin() + to, slot.log.begin());
  for (Index t = 0; t < history; t++) {
    for (Index b = 0; b <= end; b++) slot.start(t, b) = slot.start(first + t, b) - from;
    if (rollout.batch.learns) std::copy(slot.psi.row(first + t), slot.psi.row(first + t) + slot.psi.columns, slot.psi.row(t));
  }
  stream.age = stream.cuts.empty() ? stream.age + rollout.steps : rollout.steps - stream.cuts.back();
  stream.cuts.clear();
  std::fill(stream.counts.begin(), stream.counts.end(), 0);
  stream.begin = state_of(stream);
}

template <class Real> void make_works(Rollout<Real>& rollout, Index wanted) {
  const Topology& topology = rollout.batch.topology;
  const Index n = topology.n_neurons(), rows = rollout.streams.front().slot.start.rows;
  for (RolloutWork<Real>& work : rollout.works)
    if (work.G.rows < rows) {
      work.G = Owned2<Real>(rows, rollout.batch.plan.columns);
      work.error = Owned2<double>(rows, topology.n_readouts());
    }
  while (static_cast<Index>(rollout.works.size()) < wanted) {
    rollout.works.emplace_back();
    RolloutWork<Real>& work = rollout.works.back();
    work.G = Owned2<Real>(rows, rollout.batch.plan.columns);
    work.error = Owned2<double>(rows, topology.n_readouts());
    work.adjoint = Owned2<double>(adjoint_rows(topology), n);
    work.before = Owned2<double>(rollout.horizon.traces(), rollout.batch.plan.columns);
    work.drift.resize(static_cast<std::size_t>(n));
    work.first.resize(static_cast<std::size_t>(rollout.batch.n_sources + 1));
  }
}

template <class Real> void resize_rows(Rollout<Real>& rollout, RolloutStream<Real>& stream, Index rows) {
  const auto longer = [&](auto& array) {
    array.values.resize(static_cast<std::size_t>(rows * array.columns));
    array.rows = rows;
  };
  longer(stream.slot.start);
  if (rollout.batch.learns) longer(stream.slot.psi);
}

}  // namespace

template <class Real> Rollout<Real> make_rollout(const Topology& topology, Array2<const double> initial, Index n, Index rows,
                                                 bool learns, int threads) {
  const Horizon horizon = horizon_of(topology);
  rows = std::max(rows, horizon.history() + horizon.delay);
  Rollout<Real> rollout{make_batch<Real>(topology, initial, 0, rows, learns, threads), horizon, 0, {}, {}};
  const Batch<Real>& batch = rollout.batch;
  rollout.streams.resize(static_cast<std::size_t>(n));
  for (RolloutStream<Real>& stream : rollout.streams) {
    SampleSlot<Real>& slot = stream.slot;
    slot.state = Owned2<double>(initial.rows, topology.n_neurons());
    slot.input = Owned2<double>(batch.plan.input_rows(), batch.plan.columns);
    slot.y.resize(static_cast<std::size_t>(topology.n_readouts()));
    make_lists(topology, slot);
    slot.log.resize(static_cast<std::size_t>(std::max(4 * batch.n_sources, kFirstLog)));
    slot.start = Owned2<Index>(rows, topology.populations.size + 1);
    slot.psi = Owned2<Real>(learns ? rows : 1, batch.plan.columns);
    stream.counts.resize(static_cast<std::size_t>(topology.n_neurons()));
    rest(batch, slot);
    stream.begin = state_of(stream);
  }
  return rollout;
}

template <class Real> void follow_weights(Rollout<Real>& rollout, Array1<const Real> weight) {
  set_weights(rollout.batch, weight);
  if (rollout.batch.plan.longest_offset == 0) return;  // no branch was delivered ahead of time
  divide(static_cast<Index>(rollout.streams.size()), rollout.batch.threads, {},
         [&](Index, Index s, Watch&) { gather_inputs(rollout, rollout.streams[s], rollout.rows(rollout.streams[s])); });
}

template <class Real> Index needed_rows(const Rollout<Real>& rollout, Index more) {
  Index used = 0;
  for (const RolloutStream<Real>& stream : rollout.streams) used = std::max(used, rollout.rows(stream));
  return used + more + rollout.horizon.delay;
}

template <class Real> void reserve_rows(Rollout<Real>& rollout, Index more) {
  const Index needed = needed_rows(rollout, more);
  Index rows = rollout.streams.front().slot.start.rows;
  if (needed <= rows) return;
  while (rows < needed) rows *= 2;
  for (RolloutStream<Real>& stream : rollout.streams) resize_rows(rollout, stream, rows);
}

template <class Real> bool run_rollout(Rollout<Real>& rollout, const RolloutRequest& request, Interrupt interrupt) {
  const auto n = static_cast<Index>(rollout.streams.size());
  bool done = true;
  if (request.n_steps > 1) {
    done = divide(n, rollout.batch.threads, interrupt,
                  [&](Index, Index s, Watch& watch) { run_stream(rollout, request, s, watch); });
  } else {
    const Index useful = std::max<Index>(n * rollout.batch.topology.n_neurons() / kNeuronsPerThread, 1);
    const Index threads = std::min({static_cast<Index>(rollout.batch.threads), useful, n});
    parallel_for(threads, static_cast<int>(threads), [&](Index thread) {
      FlushSubnormals flush;
      std::atomic<bool> stop{false};
      Watch watch{stop, Interrupt{}};
      for (Index s = thread * n / threads; s < (thread + 1) * n / threads; s++) run_stream(rollout, request, s, watch);
    });
  }
  rollout.steps += request.n_steps;
  return done;
}

template <class Real> void end_episode(Rollout<Real>& rollout, Index number) {
  RolloutStream<Real>& stream = rollout.streams[number];
  SampleSlot<Real>& slot = stream.slot;
  if (!stream.cuts.empty() && stream.cuts.back() == rollout.steps) return;  // it is already at rest
  if (rollout.steps > 0) {
    reserve_rows(rollout, 0);
    end_rows(rollout, slot, rollout.rows(stream));
    stream.cuts.push_back(rollout.steps);
    return rest(rollout.batch, slot);
  }
  std::fill(slot.start.values.begin(), slot.start.values.begin() + rollout.horizon.history() * slot.start.columns, 0);
  stream.age = 0;
  stream.traced = false;
  rest(rollout.batch, slot);
  stream.begin = state_of(stream);
}

template <class Real> void begin_next(Rollout<Real>& rollout) {
  if (rollout.steps == 0) return;
  const auto n = static_cast<Index>(rollout.streams.size());
  if (rollout.batch.learns) make_works(rollout, std::min<Index>(rollout.batch.threads, n));
  divide(n, rollout.batch.threads, {}, [&](Index thread, Index s, Watch&) {
    if (rollout.batch.learns) carry_traces(rollout, rollout.streams[s], rollout.works[thread], thread);
    keep_history(rollout, rollout.streams[s]);
  });
  rollout.steps = 0;
}

template <class Real> Rollout<Real> continue_rollout(Rollout<Real>& rollout, Index n_steps) {
  std::vector<RolloutWork<Real>> works = std::exchange(rollout.works, {});
  Rollout<Real> next = rollout;
  std::swap(rollout.works, works);
  begin_next(next);
  const Index rows = next.horizon.history() + next.horizon.delay + n_steps;
  for (RolloutStream<Real>& stream : next.streams) resize_rows(next, stream, rows);
  next.works.clear();
  return next;
}

template <class Real>
bool backward_rollout(Rollout<Real>& rollout, const BackwardRequest& request, Array1<Real> pending, Interrupt interrupt) {
  Batch<Real>& batch = rollout.batch;
  const auto n = static_cast<Index>(rollout.streams.size());
  const Index most = std::min<Index>(n, kStreamsPerThread * batch.threads);
  make_works(rollout, most);
  for (Index first = 0; first < n; first += most) {
    const Index width = std::min(most, n - first);
    if (!divide(width, batch.threads, interrupt,
                [&](Index, Index s, Watch& watch) { look_back(rollout, first + s, request, rollout.works[s], watch); }))
      return false;
    const auto add = [&](Index thread, Index number, Watch& watch) {
      const GradientPiece& piece = batch.plan.pieces[number];
      for (Index s = 0; s < width && !watch.stopped(kPiece); s++) {
        const RolloutStream<Real>& stream = rollout.streams[first + s];
        const auto scale = static_cast<Real>(request.scales(first + s, piece.group));
        accumulate_terms(batch, piece, terms_of(rollout, stream, rollout.works[s]), scale, thread, pending);
        if (stream.traced) add_traces(batch, piece, stream.traces, rollout.works[s].before, scale, pending);
      }
    };
    if (!divide(static_cast<Index>(batch.plan.pieces.size()), batch.threads, interrupt, add)) return false;
  }
  return true;
}

template <class Real> bool replay_rollout(Rollout<Real>& rollout, const RolloutRequest& request, Interrupt interrupt) {
  return divide(static_cast<Index>(rollout.streams.size()), rollout.batch.threads, interrupt, [&](Index, Index s, Watch& watch) {
    if (!watch.stopped(rollout.steps * rollout.batch.topology.n_neurons())) replay_stream(rollout, request, s);
  });
}

template <class Real> Index find_diverged(const Rollout<Real>& rollout, double largest) {
  for (std::size_t s = 0; s < rollout.streams.size(); s++) {
    const SampleSlot<Real>& slot = rollout.streams[s].slot;
    bool well = all_finite(slot.state.values.data(), slot.state.view().size());
    for (const double y : slot.y) well &= std::fabs(y) <= largest;
    if (!well) return static_cast<Index>(s);
  }
  return -1;
}

#define EPROP_ROLLOUT(Real)                                                                            \
  template Rollout<Real> make_rollout(const Topology&, Array2<const double>, Index, Index, bool, int); \
  template void follow_weights(Rollout<Real>&, Array1<const Real>);                                    \
  template Index needed_rows(const Rollout<Real>&, Index);                                             \
  template void reserve_rows(Rollout<Real>&, Index);                                                   \
  template bool run_rollout(Rollout<Real>&, const RolloutRequest&, Interrupt);                         \
  template void end_episode(Rollout<Real>&, Index);                                                    \
  template void begin_next(Rollout<Real>&);                                                            \
  template Rollout<Real> continue_rollout(Rollout<Real>&, Index);                                      \
  template bool backward_rollout(Rollout<Real>&, const BackwardRequest&, Array1<Real>, Interrupt);     \
  template bool replay_rollout(Rollout<Real>&, const RolloutRequest&, Interrupt);                      \
  template Index find_diverged(const Rollout<Real>&, double);
EPROP_ROLLOUT(float)
EPROP_ROLLOUT(double)

}  // namespace eprop
