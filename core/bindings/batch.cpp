// Parallel samples for Python: BatchDouble, BatchSingle, BatchRequest, optimize.
#include "episodes/batch.hpp"

#include <utility>

#include "bindings/interruptible.hpp"
#include "bindings/outside.hpp"
#include "bindings/topology.hpp"
#include "episodes/optimizer_step.hpp"

namespace eprop {
namespace {

// A request, and the arrays that it views.
struct RequestObject {
  BatchRequest views;
  nb::object arrays;
};

void make_request(RequestObject* self, std::uint64_t seed, In1<Index> samples, In1<Index> clocks, bool learn,
                  In2<double> feedback, In2<double> scales, In2<Index> event_start, In1<std::int32_t> event_channels,
                  In3<double> target, In3<double> window, nb::tuple outside, Out3<double> y, Out1<double> loss,
                  Out2<Index> counts, Out1<Index> events) {
  new (self) RequestObject;
  self->views = {seed,
                 view1(samples),
                 view1(clocks),
                 learn,
                 view2(feedback),
                 view2(scales),
                 view2(event_start),
                 view1(event_channels),
                 view3(target),
                 view3(window),
                 outside_of(outside),
                 view3(y),
                 view1(loss),
                 view2(counts),
                 view1(events)};
  self->arrays = nb::make_tuple(samples, clocks, feedback, scales, event_start, event_channels, target, window, outside, y, loss,
                                counts, events);
}

template <class Real> struct BatchObject {
  Batch<Real> batch;
  nb::object topology, initial, weight;  // keep the viewed objects alive

  // Refuses requests that would access memory out of bounds.
  void check(const BatchRequest& q, Index begin, Index stop) const {
    const Topology& t = batch.topology;
    const Index n = q.samples.size;
    const bool fits = q.clocks.size >= n && q.y.planes >= n && q.y.rows == batch.n_steps && q.y.columns == t.n_readouts() &&
                      q.loss.size >= n && q.events.size >= n && q.counts.rows >= n && q.counts.columns == t.n_neurons() &&
                      q.feedback.rows == t.n_readouts() && q.feedback.columns == t.n_neurons() && q.scales.rows >= n &&
                      q.scales.columns == t.groups.size && q.target.columns == t.n_readouts() && q.window.rows == batch.n_steps &&
                      (q.target.rows == 1 || q.target.rows == batch.n_steps) && 0 <= begin && begin <= stop && stop <= n;
    if (!fits || !windows_fit(t, q.window) || !outside_fits(t, q.outside, q.target.planes, batch.n_steps))
      throw nb::value_error("BatchRequest: arrays do not fit the network or the samples");
    if (q.learn && !batch.learns) throw nb::value_error("Batch: made without room for learning");
    if (batch.weight.size != t.targets.size) throw nb::value_error("Batch: set_weights comes first");
  }
  Chunk chunk(Index begin, Index width, const BatchRequest& q) const {
    check(q, begin, begin + width);
    if (width > static_cast<Index>(batch.slots.size())) throw nb::value_error("Batch: there are fewer slots");
    return {begin, width};
  }
  const SampleSlot<Real>& slot(Index number) const {
    if (number < 0 || number >= static_cast<Index>(batch.slots.size())) throw nb::index_error("Batch: no such slot");
    return batch.slots[number];
  }
};

template <class Real> void bind_ranks(nb::class_<BatchObject<Real>>& bound) {
  using Object = BatchObject<Real>;
  bound.def("forward", [](Object& self, Index begin, Index width, Index t_begin, Index t_stop, const RequestObject& request) {
    const Chunk chunk = self.chunk(begin, width, request.views);
    interruptible(
        [&](Interrupt interrupt) { return forward_slice(self.batch, chunk, {t_begin, t_stop}, request.views, interrupt); });
  });
  bound.def("message", [](Object& self, Index width) { return handed_over(take_message(self.batch, width)); });
  bound.def(
      "receive",
      [](Object& self, Index begin, Index width, Index t_begin, Index t_stop, const RequestObject& request,
         In1<std::uint8_t> messages, In1<Index> message_begin, In1<Index> first, In1<std::uint64_t> bits,
         In1<std::uint32_t> counts) {
        const Inbox inbox{view1(messages), view1(message_begin), view1(first), {view1(bits), view1(counts)}};
        const Chunk chunk = self.chunk(begin, width, request.views);
        nb::gil_scoped_release release;
        receive_slice(self.batch, chunk, {t_begin, t_stop}, request.views, inbox);
      },
      "begin"_a, "width"_a, "t_begin"_a, "t_stop"_a, "request"_a, "messages"_a.noconvert(), "message_begin"_a.noconvert(),
      "first"_a.noconvert(), "bits"_a.noconvert(), "counts"_a.noconvert());
  bound.def("backward", [](Object& self, Index begin, Index width, const RequestObject& request) {
    const Chunk chunk = self.chunk(begin, width, request.views);
    interruptible([&](Interrupt interrupt) { return backward(self.batch, chunk, request.views, interrupt); });
  });
  bound.def(
      "accumulate",
      [](Object& self, Index begin, Index width, const RequestObject& request, Out1<Real> pending) {
        const Chunk chunk = self.chunk(begin, width, request.views);
        const Array1<Real> gradients = pending_of<Real>(pending, self.batch.topology);
        interruptible([&](Interrupt interrupt) { return accumulate(self.batch, chunk, request.views, gradients, interrupt); });
      },
      "begin"_a, "width"_a, "request"_a, "pending"_a.noconvert());
  bound.def("count_events", [](const Object& self, Index width) {
    Index events = 0;
    for (Index s = 0; s < width; s++) events += count_events(self.batch, self.slot(s));
    return events;
  });
}

template <class Real> void bind_class(nb::module_& m, const char* name) {
  using Object = BatchObject<Real>;
  nb::class_<Object> bound(m, name, "Samples side by side, each in a slot of its own; weights of one type.");
  bound.def(
      "__init__",
      [](Object* self, nb::object topology, nb::object initial, Index slots, Index n_steps, bool learns, int threads) {
        const auto start = nb::cast<In2<double>>(initial, false);
        const Topology tables = topology_of(topology);
        if (slots < 1 || n_steps < 1 || threads < 1) throw nb::value_error("Batch: slots, steps and threads are at least one");
        if (static_cast<Index>(start.shape(1)) != tables.n_neurons())
          throw nb::value_error("initial: one column for each neuron");
        new (self) Object{make_batch<Real>(tables, view2(start), slots, n_steps, learns, threads), topology, initial, nb::none()};
      },
      "topology"_a, "initial"_a, "slots"_a, "n_steps"_a, "learns"_a, "threads"_a);
  bound.def_prop_ro("slots", [](const Object& self) { return self.batch.slots.size(); });
  bound.def_prop_ro("n_steps", [](const Object& self) { return self.batch.n_steps; });
  bound.def_prop_ro("learns", [](const Object& self) { return self.batch.learns; });
  bound.def(
      "set_weights",
      [](Object& self, In1<Real> weight) {
        if (static_cast<Index>(weight.shape(0)) != self.batch.topology.targets.size)
          throw nb::value_error("weight: one number for each synapse");
        self.weight = nb::cast(weight);
        nb::gil_scoped_release release;
        set_weights(self.batch, view1(weight));
      },
      "weight"_a.noconvert());
  bound.def(
      "run",
      [](Object& self, Index begin, Index stop, const RequestObject& request, Out1<Real> pending) {
        self.check(request.views, begin, stop);
        const Array1<Real> gradients = request.views.learn ? pending_of<Real>(pending, self.batch.topology) : Array1<Real>{};
        Index reached = begin;
        interruptible([&](Interrupt interrupt) {
          reached = run_samples(self.batch, begin, stop, request.views, gradients, interrupt);
          return reached >= 0;
        });
        return reached;
      },
      "begin"_a, "stop"_a, "request"_a, "pending"_a.noconvert(),
      "Run samples begin:stop of a request; returns where it has come to, after the chunk in which 50 ms have passed.");
  bound.def(
      "finite",
      [](const Object& self, Index n) {
        bool finite = true;
        for (Index s = 0; s < std::min(n, static_cast<Index>(self.batch.slots.size())); s++)
          finite &= is_finite(self.batch.slots[s]);
        return finite;
      },
      "Whether the states of the first n slots are numbers.");
  bound.def(
      "spikes",
      [](const Object& self, Index slot, Index first_source, Index stop_source) {
        std::vector<Index> steps, sources;
        read_spikes(self.slot(slot), first_source, stop_source, steps, sources);
        return nb::make_tuple(handed_over(std::move(steps)), handed_over(std::move(sources)));
      },
      "Steps and sources of the spikes of sources first_source:stop_source of the last sample in a slot.");
  bind_ranks(bound);
}

template <class Real>
void optimize_object(nb::object topology, nb::object synapses, Index update, Array1<const double> scale, int threads) {
  const Topology tables = topology_of(topology);
  Synapses<Real> arrays;
  arrays.weight = attribute1<Real>(synapses, "weight");
  arrays.pending = attribute1<Real>(synapses, "pending");
  arrays.moment_1 = attribute1<Real>(synapses, "moment_1");
  arrays.moment_2 = attribute1<Real>(synapses, "moment_2");
  if (scale.size != tables.groups.size) throw nb::value_error("scale: one number for each delay group");
  nb::gil_scoped_release release;
  optimize(tables, arrays, update, scale, std::max(threads, 1));
}

}  // namespace

void bind_batch(nb::module_& m) {
  nb::class_<RequestObject>(m, "BatchRequest", "Samples to run, and where their results go.")
      .def("__init__", &make_request, "seed"_a, "samples"_a.noconvert(), "clocks"_a.noconvert(), "learn"_a,
           "feedback"_a.noconvert(), "scales"_a.noconvert(), "event_start"_a.noconvert(), "event_channels"_a.noconvert(),
           "target"_a.noconvert(), "window"_a.noconvert(), "outside"_a, "y"_a.noconvert(), "loss"_a.noconvert(),
           "counts"_a.noconvert(), "events"_a.noconvert());
  bind_class<double>(m, "BatchDouble");
  bind_class<float>(m, "BatchSingle");
  m.def(
      "optimize",
      [](nb::object topology, nb::object synapses, Index update, In1<double> scale, int threads) {
        const bool single = nb::cast<Index>(synapses.attr("weight").attr("itemsize")) == sizeof(float);
        (single ? optimize_object<float> : optimize_object<double>)(topology, synapses, update, view1(scale), threads);
      },
      "topology"_a, "synapses"_a, "update"_a, "scale"_a.noconvert(), "threads"_a,
      "One optimiser step of all e-prop synapses with gradient scale * pending, which is cleared.");
  m.def(
      "batch_bytes",
      [](nb::object topology, Index state_rows, Index n_steps, bool learns, int threads, Index real_size) {
        const BatchBytes bytes = batch_bytes(topology_of(topology), state_rows, n_steps, learns, threads, real_size);
        return nb::make_tuple(bytes.slot, bytes.shared);
      },
      "topology"_a, "state_rows"_a, "n_steps"_a, "learns"_a, "threads"_a, "real_size"_a,
      "Bytes of a slot of a batch but for its log of spikes, and of what all slots share.");
}

}  // namespace eprop
