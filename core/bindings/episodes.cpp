// The lanes of e-prop for Python: EpisodesDouble, EpisodesSingle.
#include "lanes/episodes.hpp"

#include <nanobind/stl/optional.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "bindings/lane_events.hpp"
#include "bindings/network.hpp"
#include "bindings/requests.hpp"
#include "lanes/saved.hpp"
#include "support/finite.hpp"

namespace eprop {
namespace {

template <class Real> struct PyEpisodes {
  Episodes<Real> episodes;
  nb::object network, weight;  // keep the viewed objects alive
  LaneEvents events;
  std::vector<Index> numbers;  // of the lanes
  nb::object absent{};         // keeps the absent connections and their gradients alive

  Index n() const { return static_cast<Index>(episodes.lanes.size()); }
  const Topology& tables() const { return episodes.topology; }
  void check(bool fits, const char* what) const {
    if (!fits) throw nb::value_error((std::string("Request: ") + what + " do not fit the network or the lanes").c_str());
  }
  // Number of given samples, among which the request chooses.
  static Index given_samples(const Request& q) {
    Index samples = q.target.planes;
    for (Index s = 0; q.target.planes == 0 && s < q.samples.size; s++) samples = std::max(samples, q.samples[s] + 1);
    return samples;
  }
  // Refuses requests that would access memory out of bounds.
  void check_forward(const Request& q) const {
    const Topology& t = tables();
    const Index steps = q.n_steps, k = t.n_readouts(), n = q.samples.size;
    check(!episodes.horizon.continues || n == this->n(), "lanes");
    check(q.y.planes >= n && q.y.rows == steps && q.y.columns == k, "outputs");
    check((episodes.horizon.continues || steps <= episodes.rows) && (!q.learn || episodes.learns), "steps");
    const Index samples = given_samples(q);
    for (Index s = 0; s < n; s++) check(0 <= q.samples[s] && q.samples[s] < samples, "samples");
    check(q.event_start.rows == static_cast<Index>(events.sizes.size()) && q.event_start.columns > samples * steps, "events");
    check((q.spikes.size == 0 || q.spikes.size >= n) && (q.events.size == 0 || q.events.size >= n), "counts");
    check(q.of_neurons.size == 0 || q.of_neurons.size == t.n_neurons(), "counts of neurons");
    check(episodes.weight.size == t.targets.size, "weights");
    check(inputs_fit(t, q, samples, steps, episodes.topology.initial.rows), "targets, windows, factors of drives or currents");
    if (q.target.planes == 0) return;
    check(q.error.planes == 0 || (q.error.planes >= n && q.error.rows == steps && q.error.columns == k), "errors");
    check(q.loss.size >= n, "losses");
  }
  void check_backward(const Request& q) const {
    const Topology& t = tables();
    const Index n = q.samples.size, steps = episodes.horizon.continues ? episodes.steps : q.n_steps;
    check(episodes.learns && (!episodes.horizon.continues || n == this->n()), "lanes");
    check(q.given_errors.planes == 0 ||
              (q.given_errors.planes == n && q.given_errors.rows == steps && q.given_errors.columns == t.n_readouts()),
          "errors");
    check(q.shares.size >= n, "shares");
    check(t.products.size == 0 || (q.products.planes > 0 && q.products.rows == t.products.size &&
                                   q.products.columns == t.n_neurons() + t.n_readouts()),
          "inner products");
    check(external_fits(t, q.external, given_samples(q), steps), "signals");
  }
};

template <class Real> void make_object(PyEpisodes<Real>* self, PyNetwork<Real>& network, Index lanes, Index steps, bool continues,
                                       bool learns, int threads) {
  const Topology& tables = network.topology;
  if (lanes < 0 || steps < 1 || threads < 1) throw nb::value_error("Episodes: steps and threads are at least one");
  const EpisodeSizes sizes{lanes, steps, continues, learns, threads};
  new (self) PyEpisodes<Real>{make_episodes<Real>(network, sizes), nb::find(network), nb::none(), {}, {}};
  for (Index b = 0; b < tables.populations.size; b++)
    if (tables.populations[b].role == Role::events) self->events.sizes.push_back(tables.populations[b].size);
  for (Index s = 0; s < lanes; s++) self->numbers.push_back(s);
}

template <class Real> Array2<Real> pending_of(const Out2<Real>& pending, const Topology& topology) {
  if (pending.shape(0) == 0 || static_cast<Index>(pending.shape(1)) != topology.targets.size)
    throw nb::value_error("pending: one number for each synapse in each sum");
  return view2(pending);
}

// A step of all lanes. Returns whether all outputs are plausible; nothing, and has done nothing, if its events cannot be read.
template <class Real> std::optional<bool> step(PyEpisodes<Real>& self, const nb::tuple& channels, const Out2<double>& y) {
  const Index n = self.n();
  if (!take_events(self.events, channels, n)) return std::nullopt;
  Request request;
  request.n_steps = 1;
  request.learn = self.episodes.learns;
  request.samples = {self.numbers.data(), n};
  request.event_start = {self.events.start.data(), static_cast<Index>(self.events.sizes.size()), n + 1};
  request.event_channels = {self.events.channels.data(), static_cast<Index>(self.events.channels.size())};
  request.y = {y.data(), static_cast<Index>(y.shape(0)), 1, static_cast<Index>(y.shape(1))};
  self.check_forward(request);
  nb::gil_scoped_release release;
  begin_steps(self.episodes, 1);
  forward(self.episodes, request, Interrupt{});
  return std::all_of(y.data(), y.data() + y.size(), [](double value) { return std::abs(value) <= kLargestVoltage; });
}

// Names, axes and arrays of a state, of the lanes one after the other, or of none (not `filled`); those of the table are (units,
// rows, entries).
template <class Real> nb::list kept_of(PyEpisodes<Real>& self, bool filled) {
  Episodes<Real>& episodes = self.episodes;
  const auto size = [](Index n) { return static_cast<std::size_t>(n); };
  nb::list found;
  LaneLog log = filled ? lane_log(episodes) : LaneLog{};
  const std::size_t lanes = log.counters.size() / kCounters;
  found.append(nb::make_tuple("counters", Axis::same, handed_over<2>(std::move(log.counters), {lanes, kCounters})));
  found.append(nb::make_tuple("cuts", Axis::same, handed_over(std::move(log.cuts))));
  found.append(nb::make_tuple("spikes/counts", Axis::same, handed_over(std::move(log.counts))));
  found.append(nb::make_tuple("spikes/sources", Axis::same, handed_over(std::move(log.sources))));
  if (filled) clear_unlearned(episodes);
  each_field<Lane<Real>>([&](const auto& field) {
    if ((field.kept & kState) == 0) return;
    const LaneShape shape = field.shape(lane_sizes(episodes));
    std::vector<typename std::decay_t<decltype((episodes.lanes.front().*field.member).values)>::value_type> joined;
    Index units = 0;
    for (std::size_t number = 0; number < lanes; number++) {
      Lane<Real>& lane = episodes.lanes[number];
      const Index own = units_of(episodes, lane).of(field.units);
      each_part(lane.*field.member, shape, own * shape.rows,
                [&](auto begin, auto end) { joined.insert(joined.end(), begin, end); });
      units += own;
    }
    found.append(
        nb::make_tuple(field.name, field.axis,
                       handed_over<3>(std::move(joined), {size(units), size(shape.rows * shape.parts), size(shape.entries())})));
  });
  return found;
}

// Takes the lanes from number `first` on from a state of all lanes, whose arrays have the types of `kept_of`. Returns what is
// wrong with the state, and then changes nothing.
template <class Real> std::string set_kept(PyEpisodes<Real>& self, Index n, Index first, Index steps, const nb::dict& state) {
  Episodes<Real> next = self.episodes;
  In2<Index> counters;
  In1<Index> cuts, counts, sources;
  if (!nb::try_cast(state["counters"], counters, false) || !nb::try_cast(state["cuts"], cuts, false) ||
      !nb::try_cast(state["spikes/counts"], counts, false) || !nb::try_cast(state["spikes/sources"], sources, false))
    return "its counters, cuts or spikes have other axes";
  const GivenLanes given{first, steps, view2(counters), view1(cuts), view1(counts), view1(sources)};
  if (given.counters.columns != kCounters || given.counters.rows != n || first + self.n() > n)
    return "counters must have " + std::to_string(kCounters) + " entries for each of " + std::to_string(n) + " lanes";
  std::vector<Units> units;
  if (std::string problem = take_log(next, given, units); !problem.empty()) return problem;
  std::string problem;
  each_field<Lane<Real>>([&](const auto& field) {
    if ((field.kept & kState) == 0 || !problem.empty()) return;
    using Value = typename std::decay_t<decltype((next.lanes.front().*field.member).values)>::value_type;
    In3<Value> taken;
    if (!nb::try_cast(state[field.name], taken, false)) problem = std::string(field.name) + " has another number of axes";
    if (!problem.empty()) return;
    const auto array = view3(taken);
    const LaneShape shape = field.shape(lane_sizes(next));
    const Index rows = shape.rows * shape.parts, entries = shape.entries();
    Index sum = 0;
    for (const Units& each : units) sum += each.of(field.units);
    if (array.rows != rows || array.columns != entries) problem = std::string(field.name) + " has another shape";
    if (array.planes != sum) problem = std::string(field.name) + " does not have as many rows as its counters tell";
    if (!problem.empty()) return;
    const Value* from = array.data;
    for (Index s = 0; s < first + self.n(); s++) {
      const Index own = units[s].of(field.units);
      if (s >= first)
        each_part(next.lanes[s - first].*field.member, shape, own * shape.rows, [&](auto begin, auto end) {
          std::copy(from, from + (end - begin), begin);
          from += end - begin;
        });
      else
        from += own * rows * entries;
    }
  });
  if (problem.empty()) self.episodes = std::move(next);
  return problem;
}

// Steps and parts of steps of some lanes.
template <class Real> void bind_steps(nb::class_<PyEpisodes<Real>>& bound) {
  using Object = PyEpisodes<Real>;
  bound.def(
      "begin_steps", [](Object& self, Index n_steps) { begin_steps(self.episodes, n_steps); }, "n_steps"_a,
      "Begin more steps of the rollout of all lanes.");
  bound.def(
      "begin_replay", [](Object& self) { begin_replay(self.episodes); },
      "Set all lanes to the start of their rollout; the steps that follow take the spikes of sources from the log.");
  bound.def("end_replay", [](Object& self) { end_replay(self.episodes); }, "End a replay that has run all steps.");
  bound.def(
      "forward",
      [](Object& self, const PyRequest& request) {
        self.check_forward(request);
        self.check(self.episodes.horizon.continues && request.n_steps <= self.episodes.steps, "steps");
        interruptible([&](Interrupt interrupt) { return forward(self.episodes, request, interrupt); });
      },
      "request"_a, "Run all lanes for the steps of a request that have begun.");
  bound.def(
      "backward",
      [](Object& self, const PyRequest& request, Out2<Real> pending) {
        self.check_backward(request);
        self.check(self.episodes.horizon.continues, "lanes");
        const Array2<Real> gradients = pending_of<Real>(pending, self.tables());
        interruptible([&](Interrupt interrupt) { return backward(self.episodes, request, gradients, interrupt); });
      },
      "request"_a, "pending"_a.noconvert(),
      "Add the gradients of all lanes to the sums `pending`, see `core/lanes/episodes.hpp`.");
  bound.def(
      "run_samples",
      [](Object& self, Index begin, Index stop, Index width, const PyRequest& request, Out2<Real> pending) {
        self.check_forward(request);
        self.check(0 <= begin && stop <= request.samples.size, "samples");
        self.check(1 <= width && width <= self.n(), "lanes");
        if (request.learn) self.check_backward(request);
        const Array2<Real> gradients = request.learn ? pending_of<Real>(pending, self.tables()) : Array2<Real>{};
        Index reached = begin;
        interruptible([&](Interrupt interrupt) {
          reached = run_samples(self.episodes, {0, begin, width}, stop, request, gradients, interrupt);
          return reached >= 0;
        });
        return reached;
      },
      "begin"_a, "stop"_a, "width"_a, "request"_a, "pending"_a.noconvert(),
      "Run samples begin:stop of a request, `width` at a time; returns the next sample, after the chunk during which 50 ms have "
      "passed.");
}

// Lanes that continue.
template <class Real> void bind_lanes(nb::class_<PyEpisodes<Real>>& bound) {
  using Object = PyEpisodes<Real>;
  bound.def("step", &step<Real>, "channels"_a, "y"_a.noconvert(),
            "One step of all lanes. Returns whether all outputs are plausible; None, and has done nothing, if Python must read "
            "the events.");
  bound.def(
      "reset",
      [](Object& self, In1<Index> lanes) {
        const auto chosen = view1(lanes);
        for (Index k = 0; k < chosen.size; k++)
          if (chosen[k] < 0 || chosen[k] >= self.n()) throw nb::index_error("Episodes: no such lane");
        for (Index k = 0; k < chosen.size; k++) end_episode(self.episodes, chosen[k]);
      },
      "lanes"_a.noconvert(), "End the episodes of some lanes: they are at rest.");
  bound.def(
      "begin_next",
      [](Object& self) {
        nb::gil_scoped_release release;
        begin_next(self.episodes);
      },
      "Begin the next rollout; synapses keep their traces.");
  bound.def(
      "set_random",
      [](Object& self, In1<std::uint64_t> seeds, In1<Index> clocks) {
        if (static_cast<Index>(seeds.shape(0)) != self.n() || static_cast<Index>(clocks.shape(0)) != self.n())
          throw nb::value_error("seeds, clocks: one number for each lane");
        for (Index s = 0; s < self.n(); s++) {
          self.episodes.lanes[s].seed = seeds.data()[s];
          self.episodes.lanes[s].clock = clocks.data()[s];
        }
      },
      "seeds"_a.noconvert(), "clocks"_a.noconvert(), "Random spikes of the rollout that begins.");
  bound.def("kept", &kept_of<Real>, "filled"_a = true,
            nb::sig("def kept(self, filled: bool = True) -> list[tuple[str, Axis, numpy.ndarray]]"),
            "Names, axes and arrays of the state of these lanes: everything that a step changes; of no lane if not `filled`.");
  bound.def("set_kept", &set_kept<Real>, "n"_a, "first"_a, "steps"_a, "state"_a,
            "Take the lanes from `first` on from a state of all lanes; returns what is wrong with it, or nothing.");
  bound.def(
      "spikes",
      [](const Object& self) {
        std::vector<Index> sums(self.episodes.lanes.size());
        std::transform(self.episodes.lanes.begin(), self.episodes.lanes.end(), sums.begin(),
                       [&self](const Lane<Real>& lane) { return count_spikes(self.episodes, lane); });
        return handed_over(std::move(sums));
      },
      "Spikes of the neurons of each lane in this rollout.");
}

template <class Real> void bind_add_terms(nb::module_& m) {
  m.def(
      "add_terms",
      [](Out1<Real> total, In2<Real> terms) {
        if (terms.shape(1) != total.shape(0)) throw nb::value_error("add_terms: one number of each term for each of the total");
        nb::gil_scoped_release release;
        add_terms(view1(total), view2(terms));
      },
      "total"_a.noconvert(), "terms"_a.noconvert(), "Add terms (terms, n) to a total (n,), one after the other.");
}

template <class Real> void bind_class(nb::module_& m, const char* name) {
  using Object = PyEpisodes<Real>;
  nb::class_<Object> bound(m, name, "Lanes of e-prop in parallel, samples or environments; weights of one type.");
  bound.def("__init__", &make_object<Real>, "network"_a, "lanes"_a, "steps"_a, "continues"_a, "learns"_a, "threads"_a);
  bound.def_static(
      "bytes_before",
      [](PyNetwork<Real>& network, Index lanes, Index steps, bool continues, bool learns, int threads) {
        const EpisodeSizes sizes{lanes, steps, continues, learns, threads};
        return episode_bytes<Real>(with_targets<Real>(network), sizes);
      },
      "network"_a, "lanes"_a, "steps"_a, "continues"_a, "learns"_a, "threads"_a,
      "Bytes of lanes, and of all that they share.\n\nC++: `episode_bytes` in core/lanes/state.hpp.");
  bound.def_prop_ro("lanes", &Object::n);
  bound.def_prop_ro("steps", [](const Object& self) { return self.episodes.steps; });
  bound.def_prop_ro("rows", [](const Object& self) { return self.episodes.rows; });
  bound.def_prop_ro("learns", [](const Object& self) { return self.episodes.learns; });
  bound.def_prop_ro("history", [](const Object& self) { return self.episodes.horizon.history(); });
  bound.def(
      "set_weights",
      [](Object& self, In1<Real> weight) {
        if (static_cast<Index>(weight.shape(0)) != self.tables().targets.size)
          throw nb::value_error("weight: one number for each synapse");
        self.weight = nb::cast(weight);
        nb::gil_scoped_release release;
        set_weights(self.episodes, view1(weight));
      },
      "weight"_a.noconvert(), "Use these weights from the next step on.");
  bound.def(
      "set_absent",
      [](Object& self, const PyTopology& topology, Out2<Real> gradients) {
        if (gradients.shape(0) == 0 || static_cast<Index>(gradients.shape(1)) != topology.targets.size ||
            topology.groups.size != self.tables().groups.size)
          throw nb::value_error("set_absent: one gradient for each connection, of the same delay groups");
        self.absent = nb::make_tuple(nb::find(topology), gradients);
        nb::gil_scoped_release release;
        set_absent(self.episodes, topology, view2(gradients));
      },
      "topology"_a, "gradients"_a.noconvert(),
      "Add the gradients that the synapses of `topology` would have to the sums `gradients`, until `forget_absent`.");
  bound.def(
      "forget_absent",
      [](Object& self) {
        forget_absent(self.episodes);
        self.absent = nb::none();
      },
      "Forget absent connections.");
  bound.def(
      "diverged", [](const Object& self) { return find_diverged(self.episodes, kLargestVoltage); },
      "The first lane with a voltage that is not finite, or an output beyond 1e9 mV; -1: none.");
  bound.def(
      "spikes_of_sample",
      [](const Object& self, Index lane, Index first_source, Index stop_source) {
        if (lane < 0 || lane >= self.n()) throw nb::index_error("Episodes: no such lane");
        std::vector<Index> steps, sources;
        read_spikes(self.episodes, self.episodes.lanes[lane], {first_source, stop_source}, steps, sources);
        return std::pair(handed_over(std::move(steps)), handed_over(std::move(sources)));
      },
      "lane"_a, "first_source"_a, "stop_source"_a,
      "Steps and sources of the spikes of sources first_source:stop_source of the last sample of a lane.");
  bind_steps(bound);
  bind_lanes(bound);
}

}  // namespace

void bind_episodes(nb::module_& m) {
  m.attr("LANES_PER_THREAD") = kLanesPerThread;
  bind_class<double>(m, "EpisodesDouble");
  bind_class<float>(m, "EpisodesSingle");
  bind_add_terms<double>(m);
  bind_add_terms<float>(m);
}

}  // namespace eprop
