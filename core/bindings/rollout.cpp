// Rollouts for Python: RolloutDouble, RolloutSingle.
#include "episodes/rollout.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "bindings/interruptible.hpp"
#include "bindings/outside.hpp"
#include "bindings/topology.hpp"

namespace eprop {
namespace {

// Results of `step`: success (-1); the channels of a stream are not a list of whole numbers (-2); the index of a stream whose
// channels are out of range or repeated; the index of a stream that diverged, plus the number of streams.
constexpr Index kWell = -1, kUnreadable = -2;
constexpr double kLargest = 1e9;  // mV, see LARGEST_VOLTAGE in `divergence.py`

template <class Real> struct RolloutObject {
  Rollout<Real> rollout;
  nb::object topology, initial, weight;  // keep the viewed objects alive
  std::vector<Index> sizes;              // of the event sources
  std::vector<Index> event_start;        // for one step, see `RolloutRequest`
  std::vector<std::int32_t> event_channels;

  Index n() const { return static_cast<Index>(rollout.streams.size()); }
  const Topology& tables() const { return rollout.batch.topology; }
  // Refuses requests that would access memory out of bounds.
  void check(bool fits, const char* what) const {
    if (!fits) throw nb::value_error((std::string("Rollout: ") + what + " do not fit the network or the streams").c_str());
    if (rollout.batch.weight.size != tables().targets.size) throw nb::value_error("Rollout: set_weights comes first");
  }
  void check_results(const RolloutRequest& q) const {
    const Index k = tables().n_readouts(), steps = q.n_steps;
    check(q.y.planes == n() && q.y.rows == steps && q.y.columns == k, "outputs");
    if (q.target.planes == 0) return;
    check(q.target.planes == n() && q.target.columns == k && (q.target.rows == 1 || q.target.rows == steps), "targets");
    check(q.window.rows == steps && (q.window.planes == 1 || q.window.planes == n()) && windows_fit(tables(), q.window),
          "windows");
    check(q.error.planes == n() && q.error.rows == steps && q.error.columns == k && q.loss.size == n(), "errors");
  }
};

// Reads the channels of one stream in one step, ascending; returns a result of `step`.
template <class T> Index take_channels(const T* given, Index count, Index size, Index stream, std::vector<std::int32_t>& out) {
  const std::size_t first = out.size();
  for (Index k = 0; k < count; k++) {
    if (given[k] < 0 || static_cast<Index>(given[k]) >= size) return stream;
    out.push_back(static_cast<std::int32_t>(given[k]));
  }
  const auto begin = out.begin() + static_cast<std::ptrdiff_t>(first);
  if (!std::is_sorted(begin, out.end())) std::sort(begin, out.end());
  return std::adjacent_find(begin, out.end()) == out.end() ? kWell : stream;
}

// Reads a list with an array for each stream.
template <class Real> Index take_list(RolloutObject<Real>& self, const nb::list& given, Index size, Index* start) {
  for (Index s = 0; s < self.n(); s++) {
    start[s] = static_cast<Index>(self.event_channels.size());
    nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu> wide;
    nb::ndarray<const std::int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu> narrow;
    Index problem = kUnreadable;
    if (nb::try_cast(given[s], wide, false)) {
      problem = take_channels(wide.data(), static_cast<Index>(wide.shape(0)), size, s, self.event_channels);
    } else if (nb::try_cast(given[s], narrow, false)) {
      problem = take_channels(narrow.data(), static_cast<Index>(narrow.shape(0)), size, s, self.event_channels);
    }
    if (problem != kWell) return problem;
  }
  return kWell;
}

// Reads an array (streams, size) of zeros and ones.
template <class Real> Index take_dense(RolloutObject<Real>& self, const In2<std::uint8_t>& given, Index size, Index* start) {
  if (static_cast<Index>(given.shape(0)) != self.n() || static_cast<Index>(given.shape(1)) != size) return kUnreadable;
  for (Index s = 0; s < self.n(); s++) {
    start[s] = static_cast<Index>(self.event_channels.size());
    const std::uint8_t* row = given.data() + s * size;
    for (Index channel = 0; channel < size; channel++) {
      if (row[channel] > 1) return s;
      if (row[channel]) self.event_channels.push_back(static_cast<std::int32_t>(channel));
    }
  }
  return kWell;
}

// The events of one step of all streams: for each event source None, a list with an array of channels for each stream, or an
// array of zeros and ones.
template <class Real> Index take_events(RolloutObject<Real>& self, const nb::tuple& given) {
  const Index n = self.n(), sources = static_cast<Index>(self.sizes.size());
  if (static_cast<Index>(nb::len(given)) != sources) return kUnreadable;
  self.event_channels.clear();
  for (Index c = 0; c < sources; c++) {
    Index* start = self.event_start.data() + c * (n + 1);
    nb::handle part = given[c];
    In2<std::uint8_t> dense;
    Index problem = kUnreadable;
    if (part.is_none()) {
      std::fill(start, start + n, static_cast<Index>(self.event_channels.size()));
      problem = kWell;
    } else if (nb::isinstance<nb::list>(part)) {
      if (static_cast<Index>(nb::len(part)) == n) problem = take_list(self, nb::borrow<nb::list>(part), self.sizes[c], start);
    } else if (nb::try_cast(part, dense, false)) {
      problem = take_dense(self, dense, self.sizes[c], start);
    }
    if (problem != kWell) return problem;
    start[n] = static_cast<Index>(self.event_channels.size());
  }
  return kWell;
}

// Runs the steps whose events have been read; returns a result of `step`.
template <class Real> Index run_taken(RolloutObject<Real>& self, const std::vector<Index>& event_start, const Array3<double>& y) {
  const auto sources = static_cast<Index>(self.sizes.size());
  RolloutRequest request;
  request.n_steps = y.rows;
  request.event_start = {event_start.data(), sources, self.n() * y.rows + 1};
  request.event_channels = {self.event_channels.data(), static_cast<Index>(self.event_channels.size())};
  request.y = y;
  self.check_results(request);
  nb::gil_scoped_release release;
  reserve_rows(self.rollout, y.rows);
  run_rollout(self.rollout, request, {});
  for (Index s = 0; s < y.planes; s++)
    for (Index k = 0; k < y.rows * y.columns; k++)
      if (const double value = y.row(s, 0)[k]; !(value <= kLargest && -value <= kLargest)) return self.n() + s;
  return kWell;
}

template <class Real> Index step(RolloutObject<Real>& self, const nb::tuple& given, const Out2<double>& y) {
  if (const Index problem = take_events(self, given); problem != kWell) return problem;
  return run_taken(self, self.event_start, {y.data(), static_cast<Index>(y.shape(0)), 1, static_cast<Index>(y.shape(1))});
}

// Several steps; for each event source None, or zeros and ones (steps, streams, size).
template <class Real> Index run_steps(RolloutObject<Real>& self, const nb::tuple& given, const Out3<double>& y) {
  const Index n = self.n(), sources = static_cast<Index>(self.sizes.size()), steps = view3(y).rows;
  if (static_cast<Index>(nb::len(given)) != sources) return kUnreadable;
  std::vector<Index> event_start;
  self.event_channels.clear();
  for (Index c = 0; c < sources; c++) {
    nb::handle part = given[c];
    In3<std::uint8_t> dense;
    const bool silent = part.is_none();
    if (!silent && !nb::try_cast(part, dense, false)) return kUnreadable;
    const Index size = self.sizes[c];
    const auto events = silent ? Array3<const std::uint8_t>{} : view3(dense);
    if (!silent && (events.planes != steps || events.rows != n || events.columns != size)) return kUnreadable;
    for (Index at = 0; at < n * steps; at++) {
      event_start.push_back(static_cast<Index>(self.event_channels.size()));
      if (silent) continue;
      const std::uint8_t* row = events.row(at % steps, at / steps);
      for (Index channel = 0; channel < size; channel++) {
        if (row[channel] > 1) return at / steps;
        if (row[channel]) self.event_channels.push_back(static_cast<std::int32_t>(channel));
      }
    }
    event_start.push_back(static_cast<Index>(self.event_channels.size()));
  }
  return run_taken(self, event_start, view3(y));
}

// Makes a request for steps with targets, or for steps without.
RolloutRequest request_of(Index n_steps, const Out3<double>& y, const nb::object& compared) {
  RolloutRequest request;
  request.n_steps = n_steps;
  request.y = view3(y);
  if (compared.is_none()) return request;
  request.target = view3(attribute<In3<double>>(compared, "target"));
  request.window = view3(attribute<In3<double>>(compared, "window"));
  request.error = view3(attribute<Out3<double>>(compared, "error"));
  request.loss = view1(attribute<Out1<double>>(compared, "loss"));
  return request;
}

// ------------------------------------------------------------------------------------------------------------------ state

// Counters of each stream in a state.
enum Counter : Index { kAge, kTraced, kClock, kCuts, kSpikes, kCounters };

// Calls visit(name, values, length) for each part of a state: values(stream) is a vector that begins with the values of a stream,
// and length(stream) is their number.
template <class Real, class Visit> void each_part(const Rollout<Real>& rollout, const Visit& visit) {
  using Stream = RolloutStream<Real>;
  const auto whole = [&](const char* name, const auto& values) {
    visit(name, values, [&](Stream& stream) { return static_cast<Index>(values(stream).size()); });
  };
  whole("neurons", [](Stream& stream) -> auto& { return stream.slot.state.values; });
  whole("y", [](Stream& stream) -> auto& { return stream.slot.y; });
  whole("begin_neurons", [](Stream& stream) -> auto& { return stream.begin.neurons; });
  whole("begin_y", [](Stream& stream) -> auto& { return stream.begin.y; });
  whole("counts", [](Stream& stream) -> auto& { return stream.counts; });
  whole("cuts", [](Stream& stream) -> auto& { return stream.cuts; });
  visit(
      "start", [](Stream& stream) -> auto& { return stream.slot.start.values; },
      [&](Stream& stream) { return rollout.rows(stream) * stream.slot.start.columns; });
  visit(
      "log", [](Stream& stream) -> auto& { return stream.slot.log; },
      [&](Stream& stream) { return stream.slot.start(rollout.rows(stream) - 1, stream.slot.start.columns - 1); });
  visit(
      "psi", [](Stream& stream) -> auto& { return stream.slot.psi.values; },
      [&](Stream& stream) { return rollout.batch.learns ? rollout.rows(stream) * stream.slot.psi.columns : 0; });
  visit(
      "traces", [](Stream& stream) -> auto& { return stream.traces.values; },
      [&](Stream& stream) { return stream.traced ? stream.traces.view().size() : 0; });
}

template <class Real> nb::dict state_of(RolloutObject<Real>& self) {
  Rollout<Real>& rollout = self.rollout;
  nb::dict out;
  std::vector<Index> counters;
  for (RolloutStream<Real>& stream : rollout.streams) {
    const Index spikes = stream.slot.start(rollout.rows(stream) - 1, stream.slot.start.columns - 1);
    for (const Index value : {stream.age, Index{stream.traced}, stream.clock, static_cast<Index>(stream.cuts.size()), spikes})
      counters.push_back(value);
  }
  out["counters"] = handed_over(std::move(counters));
  each_part(rollout, [&](const char* name, const auto& values, const auto& length) {
    std::vector<typename std::decay_t<decltype(values(rollout.streams.front()))>::value_type> joined;
    for (RolloutStream<Real>& stream : rollout.streams)
      joined.insert(joined.end(), values(stream).begin(), values(stream).begin() + length(stream));
    out[name] = handed_over(std::move(joined));
  });
  return out;
}

// Whether the offsets of a stream's spikes, and the ends of its episodes, are valid.
template <class Real> bool is_sound(const Rollout<Real>& rollout, const RolloutStream<Real>& stream) {
  Index before = 0;
  for (const Index cut : stream.cuts) {
    if (cut <= before || cut > rollout.steps) return false;
    before = cut;
  }
  const Index numbers = rollout.rows(stream) * stream.slot.start.columns;
  before = 0;
  for (Index k = 0; k < numbers; before = stream.slot.start.values[k++])
    if (stream.slot.start.values[k] < before) return false;
  if (stream.slot.start.values[0] != 0 || before > static_cast<Index>(stream.slot.log.size())) return false;
  return std::all_of(stream.slot.log.begin(), stream.slot.log.begin() + before,
                     [&](std::int32_t source) { return 0 <= source && source < rollout.batch.n_sources; });
}

// Writes the counters of a state and allocates the rest; returns whether the counters are valid.
template <class Real> bool set_counters(Rollout<Real>& rollout, Array1<const Index> given) {
  const auto n = static_cast<Index>(rollout.streams.size());
  if (given.size != n * kCounters) return false;
  for (Index s = 0; s < n; s++) {
    const Index* counter = given.data + s * kCounters;
    RolloutStream<Real>& stream = rollout.streams[s];
    for (Index k = 0; k < kCounters; k++)
      if (counter[k] < 0) return false;
    if (counter[kCuts] > rollout.steps) return false;
    stream.age = counter[kAge];
    stream.traced = counter[kTraced] != 0;
    stream.clock = counter[kClock];
    stream.cuts.assign(static_cast<std::size_t>(counter[kCuts]), 0);
    if (stream.traced) stream.traces = Owned2<Real>(rollout.horizon.traces(), rollout.batch.topology.targets.size);
  }
  reserve_rows(rollout, 1);
  for (Index s = 0; s < n; s++) {
    SampleSlot<Real>& slot = rollout.streams[s].slot;
    const Index spikes = given[s * kCounters + kSpikes];
    slot.start(rollout.rows(rollout.streams[s]) - 1, slot.start.columns - 1) = spikes;  // length of the log
    if (static_cast<Index>(slot.log.size()) < spikes) slot.log.resize(static_cast<std::size_t>(spikes));
  }
  return true;
}

// Restores a state; returns false for an invalid state, and then leaves the streams unchanged.
template <class Real> bool set_state(RolloutObject<Real>& self, Index steps, const nb::dict& state) {
  Rollout<Real> rollout = self.rollout;
  rollout.steps = steps;
  if (steps < 0 || !set_counters(rollout, view1(nb::cast<In1<Index>>(state["counters"], false)))) return false;
  bool fits = true;
  each_part(rollout, [&](const char* name, const auto& values, const auto& length) {
    using Value = typename std::decay_t<decltype(values(rollout.streams.front()))>::value_type;
    const auto given = view1(nb::cast<In1<Value>>(state[name], false));
    Index total = 0;
    for (RolloutStream<Real>& stream : rollout.streams) {
      const Index count = length(stream);
      fits &= 0 <= count && count <= static_cast<Index>(values(stream).size());
      total += count;
    }
    fits &= given.size == total;
    if (!fits) return;
    const Value* from = given.data;
    for (RolloutStream<Real>& stream : rollout.streams) {
      const Index count = length(stream);
      std::copy(from, from + count, values(stream).begin());
      from += count;
    }
  });
  for (const RolloutStream<Real>& stream : rollout.streams) fits = fits && is_sound(rollout, stream);
  if (fits) self.rollout = std::move(rollout);
  return fits;
}

template <class Real> void bind_steps(nb::class_<RolloutObject<Real>>& bound) {
  using Object = RolloutObject<Real>;
  bound.def(
      "step", &step<Real>, "given"_a, "y"_a.noconvert(),
      "One step of all streams; -1, -2: channels that cannot be read, or the number of a stream with wrong channels, behind all "
      "of them of one that diverged.");
  bound.def("run_steps", &run_steps<Real>, "given"_a, "y"_a.noconvert(),
            "Several steps of all streams; returns what `step` does.");
  bound.def(
      "run",
      [](Object& self, Index n_steps, In2<Index> event_start, In1<std::int32_t> event_channels, Out3<double> y,
         nb::object compared) {
        RolloutRequest request = request_of(n_steps, y, compared);
        request.event_start = view2(event_start);
        request.event_channels = view1(event_channels);
        self.check_results(request);
        self.check(n_steps >= 1 && request.event_start.rows == static_cast<Index>(self.sizes.size()) &&
                       request.event_start.columns == self.n() * n_steps + 1,
                   "events");
        interruptible([&](Interrupt interrupt) {
          reserve_rows(self.rollout, n_steps);
          return run_rollout(self.rollout, request, interrupt);
        });
      },
      "n_steps"_a, "event_start"_a.noconvert(), "event_channels"_a.noconvert(), "y"_a.noconvert(), "compared"_a.none());
  bound.def(
      "replay",
      [](Object& self, Out3<double> y, nb::object compared) {
        const RolloutRequest request = request_of(self.rollout.steps, y, compared);
        self.check_results(request);
        interruptible([&](Interrupt interrupt) { return replay_rollout(self.rollout, request, interrupt); });
      },
      "y"_a.noconvert(), "compared"_a.none());
  bound.def("reset", [](Object& self, In1<Index> streams) {
    for (std::size_t k = 0; k < streams.shape(0); k++)
      if (streams.data()[k] < 0 || streams.data()[k] >= self.n()) throw nb::index_error("Rollout: no such stream");
    for (std::size_t k = 0; k < streams.shape(0); k++) end_episode(self.rollout, streams.data()[k]);
  });
  bound.def("begin_next", [](Object& self) {
    nb::gil_scoped_release release;
    begin_next(self.rollout);
  });
  bound.def("continued", [](Object& self, Index n_steps) {
    return Object{unlocked([&] { return continue_rollout(self.rollout, n_steps); }),
                  self.topology,
                  self.initial,
                  self.weight,
                  self.sizes,
                  self.event_start,
                  {}};
  });
  bound.def(
      "backward",
      [](Object& self, In3<double> errors, In2<double> feedback, nb::tuple outside, In2<double> scales, Out1<Real> pending) {
        const Topology& t = self.tables();
        const BackwardRequest q{view3(errors), view2(feedback), outside_of(outside), view2(scales)};
        const Index n = self.n(), steps = self.rollout.steps;
        self.check(q.errors.planes == n && q.errors.rows == steps && q.errors.columns == t.n_readouts(), "errors");
        self.check(q.feedback.rows == t.n_readouts() && q.feedback.columns == t.n_neurons(), "feedback weights");
        self.check(outside_fits(t, q.outside, n, steps), "signals");
        self.check(q.scales.rows == n && q.scales.columns == t.groups.size && self.rollout.batch.learns, "scales");
        const Array1<Real> gradients = pending_of<Real>(pending, t);
        interruptible([&](Interrupt interrupt) { return backward_rollout(self.rollout, q, gradients, interrupt); });
      },
      "errors"_a.noconvert(), "feedback"_a.noconvert(), "outside"_a, "scales"_a.noconvert(), "pending"_a.noconvert());
}

template <class Real> void bind_class(nb::module_& m, const char* name) {
  using Object = RolloutObject<Real>;
  nb::class_<Object> bound(m, name, "Streams of e-prop side by side, whose rollouts go on; weights of one type.");
  bound.def(
      "__init__",
      [](Object* self, nb::object topology, nb::object initial, Index n, Index rows, bool learns, int threads) {
        const auto start = nb::cast<In2<double>>(initial, false);
        const Topology tables = topology_of(topology);
        if (n < 1 || threads < 1) throw nb::value_error("Rollout: streams and threads are at least one");
        if (static_cast<Index>(start.shape(1)) != tables.n_neurons())
          throw nb::value_error("initial: one column for each neuron");
        std::vector<Index> sizes;
        for (Index b = 0; b < tables.populations.size; b++)
          if (tables.populations[b].role == Role::events) sizes.push_back(tables.populations[b].size);
        std::vector<Index> event_start(sizes.size() * static_cast<std::size_t>(n + 1));
        new (self) Object{make_rollout<Real>(tables, view2(start), n, rows, learns, threads),
                          topology,
                          initial,
                          nb::none(),
                          std::move(sizes),
                          std::move(event_start),
                          {}};
      },
      "topology"_a, "initial"_a, "n"_a, "rows"_a, "learns"_a, "threads"_a);
  bound.def_prop_ro("steps", [](const Object& self) { return self.rollout.steps; });
  bound.def_prop_ro("rows", [](const Object& self) { return self.rollout.streams.front().slot.start.rows; });
  bound.def(
      "full",
      [](const Object& self, Index more) {
        return needed_rows(self.rollout, more) > self.rollout.streams.front().slot.start.rows;
      },
      "more"_a, "Whether so many more steps would take more room.");
  bound.def_prop_ro("history", [](const Object& self) { return self.rollout.horizon.history(); });
  bound.def(
      "set_weights",
      [](Object& self, In1<Real> weight) {
        if (static_cast<Index>(weight.shape(0)) != self.tables().targets.size)
          throw nb::value_error("weight: one number for each synapse");
        self.weight = nb::cast(weight);
        nb::gil_scoped_release release;
        follow_weights(self.rollout, view1(weight));
      },
      "weight"_a.noconvert());
  bound.def(
      "set_random",
      [](Object& self, In1<std::uint64_t> seeds, In1<Index> clocks) {
        if (static_cast<Index>(seeds.shape(0)) != self.n() || static_cast<Index>(clocks.shape(0)) != self.n())
          throw nb::value_error("seeds, clocks: one number for each stream");
        for (Index s = 0; s < self.n(); s++) {
          self.rollout.streams[s].seed = seeds.data()[s];
          self.rollout.streams[s].clock = clocks.data()[s];
        }
      },
      "seeds"_a.noconvert(), "clocks"_a.noconvert());
  bound.def("state", &state_of<Real>, "All that a step changes, of all streams side by side.");
  bound.def("set_state", &set_state<Real>, "steps"_a, "state"_a, "Go on from a state; false if it does not fit.");
  bound.def("diverged", [](const Object& self) { return find_diverged(self.rollout, kLargest); });
  bound.def("spikes", [](const Object& self) {
    std::vector<Index> sums;
    for (const RolloutStream<Real>& stream : self.rollout.streams) {
      Index sum = 0;
      for (const Index count : stream.counts) sum += count;
      sums.push_back(sum);
    }
    return handed_over(std::move(sums));
  });
  bind_steps(bound);
}

}  // namespace

void bind_rollout(nb::module_& m) {
  bind_class<double>(m, "RolloutDouble");
  bind_class<float>(m, "RolloutSingle");
  m.def(
      "rollout_bytes",
      [](nb::object topology, Index state_rows, Index rows, bool learns, int threads, Index real_size) {
        const RolloutBytes bytes = rollout_bytes(topology_of(topology), state_rows, rows, learns, threads, real_size);
        return nb::make_tuple(bytes.stream, bytes.traces, bytes.work, bytes.shared);
      },
      "topology"_a, "state_rows"_a, "rows"_a, "learns"_a, "threads"_a, "real_size"_a,
      "Bytes of a stream of so many rows but for its log of spikes, of its traces, of the backward pass of one, and of what all "
      "share.");
}

}  // namespace eprop
