// Requests for Python.
#include "bindings/requests.hpp"

#include <nanobind/stl/tuple.h>

#include <tuple>

namespace eprop {
namespace {

// Arrays of `External` (signals, first, modulator, reward), and of `GivenCurrents` (values, first, row, rest).
using ExternalArrays = std::tuple<In3<double>, In1<Index>, In2<double>, In2<double>>;
using CurrentArrays = std::tuple<In3<double>, In1<Index>, In1<Index>, In1<double>>;

// Results of a run; their arrays are the first that a request keeps.
using Y = Out3<double>;
using OfSteps = Out1<double>;

void make_run(PyRequest* request, const PyRequest& options, bool learn, Index clock, const Y& y, const OfSteps& loss,
              const OfSteps& times) {
  new (request) PyRequest(options);
  request->learn = learn;
  request->drops = learn && options.drops;
  request->clock = clock;
  request->y = view3(y);
  request->loss = view1(loss);
  request->times = view1(times);
  request->n_steps = request->y.rows;
  request->arrays.resize(std::max<std::size_t>(options.arrays.size(), 3));
  request->arrays[0] = nb::cast(y);
  request->arrays[1] = nb::cast(loss);
  request->arrays[2] = nb::cast(times);
}

class Binding {
 public:
  explicit Binding(nb::module_& m)
      : bound(m, "Request", "Samples, and arrays for the results of their steps; see core/step/request.hpp.") {
    bound.def(nb::init<>()).def(nb::init<const PyRequest&>(), "other"_a, "The same samples and arrays for results.");
    bound.def("__init__", &make_run, "options"_a, "learn"_a, "clock"_a, "y"_a.noconvert(), "loss"_a.noconvert(),
              "times"_a.noconvert(), "A run with other results; neurons drop spikes only if it learns.");
  }

  template <class Field, class Base> void number(const char* name, Field Base::* field, const char* doc = "") {
    bound.def_prop_rw(
        name, [field](const PyRequest& self) { return self.*field; },
        [field](PyRequest& self, Field value) { self.*field = value; }, doc);
  }

  // A field of views: the request views the arrays of a value and keeps it alive.
  template <class Value, class View> void field(const char* name, View view, const char* doc) {
    const std::size_t place = fields++;
    bound.def_prop_rw(
        name,
        [place](const PyRequest& self) { return nb::cast<Value>(place < self.arrays.size() ? self.arrays[place] : nb::none()); },
        [place, view](PyRequest& self, const Value& value) {
          view(self, value);
          self.arrays.resize(std::max(self.arrays.size(), place + 1));
          self.arrays[place] = nb::cast(value);
        },
        nb::for_setter(nb::arg("value").noconvert()), nb::for_getter(nb::rv_policy::automatic), doc);
  }

  template <class Array, class Base, class View> void array(const char* name, View Base::* to, const char* doc = "") {
    field<Array>(name, [to](PyRequest& self, const Array& array) { self.*to = view_of(array); }, doc);
  }

 private:
  nb::class_<PyRequest> bound;
  std::size_t fields = 0;
};

}  // namespace

void bind_requests(nb::module_& m) {
  using R = Request;
  Binding b(m);
  b.array<Y>("y", &R::y, "Out: (samples, steps, readouts) mV; of a run without the leak potential.");
  b.array<OfSteps>("loss", &R::loss, "Out: (steps of all samples,) of a run, where losses are added; (samples,) of lanes.");
  b.array<OfSteps>("times", &R::times, "Out: (steps of all samples or 0,) steps of the network at the end of each.");
  b.number("seed", &R::seed);
  b.number("drops", &R::drops, "Whether spikes of neurons are lost, see `Population::dropout`.");
  b.number("n_steps", &R::n_steps, "Of a sample.");
  b.number("learn", &R::learn, "Whether weights change at spikes, or lanes prepare a backward pass.");
  b.array<In2<Index>>("event_start", &R::event_start, "(event sources, steps of all samples + 1)");
  b.array<In1<std::int32_t>>("event_channels", &R::event_channels, "Channels of all events, in order.");
  b.array<In3<double>>("target", &R::target, "(samples, steps or 1, readouts)");
  b.array<In3<double>>("window", &R::window, "(samples or 1, steps or 1, readout populations or 1)");
  b.array<In2<double>>("drive", &R::drive, "(steps of a sample or 0, stimuli): factors of the stimuli in time.");
  b.field<ExternalArrays>(
      "external",
      [](PyRequest& self, const ExternalArrays& arrays) {
        const auto& [signals, first, modulator, reward] = arrays;
        self.external = {view3(signals), view1(first), view2(modulator), view2(reward)};
      },
      "Signals, their first columns, modulator and reward; see `ExternalSignals`.");
  b.field<CurrentArrays>(
      "currents",
      [](PyRequest& self, const CurrentArrays& arrays) {
        const auto& [values, first, row, rest] = arrays;
        self.currents = {view3(values), view1(first), view1(row), view1(rest)};
      },
      "Currents of the neurons in each step, their first columns, rows of the state, and what remains; see `GivenCurrents`.");
  b.array<Out1<Index>>("spikes", &R::spikes, "Out: (samples or 0,) spikes of own neurons; a run adds them.");
  b.array<Out1<Index>>("of_neurons", &R::of_neurons, "Out: (own neurons or 0,) spikes of each; they are added.");
  // Of a run:
  b.number("clock", &R::clock, "First step of the random numbers.");
  b.number("threads", &R::threads);
  b.array<In2<Index>>("probes", &R::probes, "(probes, 4): a `Probe`, row of the state or branch, index, delay group.");
  b.array<Out2<double>>("probed", &R::probed, "Out: (steps of all samples, probes)");
  b.array<Out1<double>>("sums", &R::sums, "Out: (5 or 0,) numbers that are added up, see `Sum`.");
  // Of lanes:
  b.array<In1<Index>>("samples", &R::samples, "(n,) indices among all samples.");
  b.array<In1<Index>>("clocks", &R::clocks, "(n,) first step of the random numbers of each sample.");
  b.array<In2<double>>("feedback", &R::feedback);
  b.array<In1<double>>("shares", &R::shares, "(n,) factors of gradients that are means over the steps of a learning window.");
  b.array<In3<double>>("given_errors", &R::given_errors);
  b.array<Out3<double>>("products", &R::products);
  b.array<Out3<double>>("error", &R::error);
  b.array<Out1<Index>>("events", &R::events);
}

}  // namespace eprop
