// The streaming loop and feedback, for Python.
#include "online/stream.hpp"

#include <chrono>
#include <string_view>

#include "bindings/outside.hpp"
#include "bindings/topology.hpp"
#include "common/feedback.hpp"
#include "common/readouts.hpp"
#include "eprop_plus/effective_weights.hpp"
#include "online/stdp.hpp"
#include "online/stepper.hpp"

namespace eprop {
namespace {

// A stream that keeps references to the arrays that it views.
template <class Real> struct PyStream : Stream<Real> {
  nb::object owners;
};

struct PyRequest : RunRequest {
  nb::object owners;
};

template <class Real> Synapses<Real> synapses_of(nb::handle owner) {
  return {attribute1<Real>(owner, "weight"),       attribute1<Real>(owner, "trace"),   attribute1<Real>(owner, "trace_reg"),
          attribute1<Real>(owner, "trace_reward"), attribute2<Real>(owner, "own"),     attribute1<Real>(owner, "pending"),
          attribute1<Real>(owner, "moment_1"),     attribute1<Real>(owner, "moment_2")};
}

Neurons neurons_of(nb::handle owner) {
  return {attribute2<double>(owner, "state"),    attribute1<double>(owner, "input"),          attribute1<double>(owner, "psi"),
          attribute1<double>(owner, "signal"),   attribute2<double>(owner, "rate"),           attribute1<double>(owner, "y"),
          attribute2<double>(owner, "feedback"), attribute2<double>(owner, "feedback_offset")};
}

template <class Real> History<Real> history_of(nb::handle owner) {
  History<Real> history;
  history.block_prefix = attribute3<double>(owner, "block_prefix");
  history.prefix_history = attribute3<Real>(owner, "prefix_history");
  history.block_propagators = attribute3<Real>(owner, "block_propagators");
  history.span_suffixes = attribute3<Real>(owner, "span_suffixes");
  history.steps = attribute3<double>(owner, "steps");
  history.error_prefix = attribute2<double>(owner, "error_prefix");
  history.error_block = attribute2<double>(owner, "error_block");
  history.error = attribute2<double>(owner, "error");
  history.error_trace_prefix = attribute2<double>(owner, "error_trace_prefix");
  history.error_trace_block = attribute2<double>(owner, "error_trace_block");
  history.rewards = {attribute1<double>(owner, "reward"), attribute2<double>(owner, "reward_rest"),
                     attribute2<double>(owner, "reward_ahead")};
  history.eta = attribute2<double>(owner, "eta");
  history.post_trace = attribute2<double>(owner, "post_trace");
  history.block_steps = nb::cast<Index>(owner.attr("block_steps"));
  history.span_blocks = nb::cast<Index>(owner.attr("span_blocks"));
  return history;
}

SpikeHistory spikes_of(auto& stream) { return {stream.state.topology, stream.state.log, stream.state.axons}; }

template <class Real> void make_stream(PyStream<Real>* stream, nb::object topology, nb::object synapses, nb::object axons,
                                       nb::object neurons, nb::object history, bool learns, bool timed) {
  new (stream) PyStream<Real>();
  StreamState<Real>& state = stream->state;
  state.topology = topology_of(topology);
  state.learns = learns;
  state.synapses = synapses_of<Real>(synapses);
  state.axons = {attribute1<Index>(axons, "processed_until"), records<AxonTimes>(axons, "times"), attribute3<double>(axons, "z")};
  state.neurons = neurons_of(neurons);
  state.history = history_of<Real>(history);
  state.log.start = attribute2<Index>(history, "log_start");
  state.log.record_steps = nb::cast<Index>(history.attr("record_steps"));
  state.post.span = nb::cast<Index>(history.attr("post_span"));
  stream->owners = nb::make_tuple(topology, synapses, axons, neurons, history);
  prepare_stream(*stream, timed);
}

// An argument as an array of one type; the object itself is kept as well, because converting back would take microseconds.
template <class A> A argument(const nb::object& value, const char* name) {
  A array;
  if (!nb::try_cast<A>(value, array, false))
    throw nb::type_error((std::string("RunRequest: ") + name + " is an array of another type, number of axes or layout").c_str());
  return array;
}

void make_request(PyRequest* request, std::uint64_t seed, Index clock, bool frozen, int threads, nb::args arrays) {
  if (arrays.size() != 10) throw nb::type_error("RunRequest: nine arrays, and a tuple of those from outside, are expected");
  new (request) PyRequest();
  RunRequest& r = *request;
  r.seed = seed;
  r.clock = clock;
  r.frozen = frozen;
  r.threads = threads;
  r.event_start = view2(argument<In2<Index>>(arrays[0], "event_start"));
  r.event_channels = view1(argument<In1<std::int32_t>>(arrays[1], "event_channels"));
  r.target = view3(argument<In3<double>>(arrays[2], "target"));
  r.window = view3(argument<In3<double>>(arrays[3], "window"));
  r.outside = outside_of(arrays[4]);
  r.probes = view2(argument<In2<Index>>(arrays[5], "probes"));
  r.probed = view2(argument<Out2<double>>(arrays[6], "probed"));
  r.y = view2(argument<Out2<double>>(arrays[7], "y"));
  r.loss = view1(argument<Out1<double>>(arrays[8], "loss"));
  r.spikes = view1(argument<Out1<Index>>(arrays[9], "spikes"));
  const Index steps = r.loss.size, samples = r.target.planes;
  const bool fits = r.window.rows > 0 && r.window.rows * samples == steps && r.spikes.size == samples && r.y.rows == steps &&
                    (r.probes.rows == 0 || (r.probed.rows == steps && r.probes.columns == 4)) &&
                    r.probed.columns == r.probes.rows && (r.window.planes == 1 || r.window.planes == samples) &&
                    (r.target.rows == 1 || r.target.rows == r.window.rows) &&
                    (r.event_start.rows == 0 || r.event_start.columns > steps);
  if (!fits) throw nb::value_error("RunRequest: the arrays do not fit together");
  request->owners = std::move(arrays);
}

// Checks that the steps of a call are within its request.
template <class Real> void check_steps(const Stream<Real>& stream, Index n_steps, Index offset, const RunRequest& request) {
  if (n_steps < 0 || offset < 0 || offset + n_steps > request.loss.size)
    throw nb::value_error("run: more steps than the request has");
  const Topology& topology = stream.state.topology;
  if (request.y.columns != topology.readouts.size || request.target.columns != request.y.columns ||
      !windows_fit(topology, request.window) ||
      !outside_fits(topology, request.outside, request.target.planes, request.window.rows))
    throw nb::value_error("run: the request is for another network");
}

template <class Real> nb::object spike_records(PyStream<Real>& stream) {
  const SpikeLog& log = stream.state.log;
  const std::size_t n = log.times.size();
  const auto* numbers = reinterpret_cast<const std::int32_t*>(log.times.data());
  const std::size_t slots = filter_slots(stream.state.topology), parts = kRecordParts * filter_size(stream.state.topology);
  return nb::make_tuple(handed_over<2>(std::vector<std::int32_t>(numbers, numbers + 4 * n), {n, 4}),
                        handed_over<3>(std::vector<double>(log.z), {n, slots, parts}));
}

template <class Real> nb::object phases(PyStream<Real>& stream) {
  std::vector<double> seconds;
  const auto read = [&](StopWatch& watch) {
    seconds.insert(seconds.end(), watch.seconds, watch.seconds + kPhases);
    std::fill(watch.seconds, watch.seconds + kPhases, 0.0);
  };
  for (PartitionNotes& notes : stream.notes) read(notes.watch);
  read(stream.watch);
  return handed_over<2>(std::move(seconds), {stream.notes.size() + 1, kPhases});
}

// Bytes of vectors that grow during a run.
template <class Real> nb::object bytes_of(PyStream<Real>& stream) {
  const auto size = [](const auto& values) { return values.capacity() * sizeof(values[0]); };
  const StreamState<Real>& state = stream.state;
  nb::dict bytes;
  bytes["spike_log"] = size(state.log.sources);
  bytes["spike_records"] = size(state.log.times) + size(state.log.z);
  bytes["post_spikes"] = size(state.post.times);
  bytes["deliveries"] = size(state.deliveries.arriving) + size(state.deliveries.expired) + size(state.deliveries.unrewarded) +
                        size(state.deliveries.places);
  return bytes;
}

template <class Real>
nb::object logged_spikes(PyStream<Real>& stream, Index first_source, Index stop_source, Index first_step, Index stop_step) {
  std::vector<Index> steps, sources;
  {
    nb::gil_scoped_release release;
    const Index oldest = std::max<Index>(stream.t - stream.state.log.past_mask(), 0);
    read_spikes(spikes_of(stream), {first_source, stop_source}, {std::max(first_step, oldest), std::min(stop_step, stream.t)},
                steps, sources);
  }
  return nb::make_tuple(handed_over(std::move(steps)), handed_over(std::move(sources)));
}

// Sets the spike log of a loaded state; its length is a power of two.
template <class Real> void set_log(PyStream<Real>& stream, In1<std::int32_t> sources) {
  const std::size_t n = sources.shape(0);
  if (n == 0 || (n & (n - 1)) != 0) throw nb::value_error("set_log: the length must be a power of two");
  stream.state.log.sources.assign(sources.data(), sources.data() + n);
}

// Sets postsynaptic spikes of a loaded state. Set `t` first: the search for a spike ends at the oldest one.
template <class Real> void set_post_times(PyStream<Real>& stream, In2<Index> times) {
  PostSpikes& post = stream.state.post;
  if (!stream.has_stdp) return;
  if (static_cast<Index>(times.shape(0)) != stream.state.topology.n_neurons() || times.shape(1) == 0)
    throw nb::value_error("set_post_times: the array is of another network");
  post.capacity = static_cast<Index>(times.shape(1));
  post.times.assign(times.data(), times.data() + times.size());
  for (Index last = post.capacity - 1; last < static_cast<Index>(post.times.size()); last += post.capacity)
    if (post.times[last] > stream.t - post.span) return grow_post_spikes(post);
}

template <class Real> nb::object effective_weights(PyStream<Real>& stream) {
  const Array1<Real>& weight = stream.state.synapses.weight;
  return handed_over(unlocked([&] {
    std::vector<Real> out(weight.data, weight.data + weight.size);
    if (stream.has_plus) materialise_weights(stream.state, stream.t, Array1<Real>{out.data(), weight.size});
    return out;
  }));
}

// Stores all weights as they are seen from outside, until the next spike. In place, because a copy might not fit into memory.
template <class Real> void materialise(PyStream<Real>& stream) {
  if (!stream.has_plus) return;
  materialise_weights(stream.state, stream.t, stream.state.synapses.weight);
  Array2<double>& eta = stream.state.history.eta;
  std::fill(eta.data, eta.data + eta.size(), 0.0);
}

// Serialises the spikes of the slice and clears the outbox.
template <class Real> nb::object take_message(PyStream<Real>& stream) {
  std::vector<std::uint8_t> message;
  serialise_spikes(stream.outbox, message);
  stream.outbox.clear();
  return handed_over(std::move(message));
}

template <class Real> void receive(PyStream<Real>& stream, Index n_steps, Index offset, const PyRequest& request,
                                   In1<std::uint8_t> messages, In1<Index> begin, In1<Index> first, In1<std::uint64_t> bits,
                                   In1<std::uint32_t> counts) {
  check_steps(stream, n_steps, offset, request);
  nb::gil_scoped_release release;
  const Inbox inbox{view1(messages), view1(begin), view1(first), {view1(bits), view1(counts)}};
  receive_spikes(stream, n_steps, offset, request, inbox);
}

// Tells which thread uses a network. The GIL makes its calls atomic, and nobody waits.
struct InUse {
  unsigned long thread = 0;
  Index depth = 0;  // a thread that uses the network may begin again

  bool acquire() {
    const unsigned long here = PyThread_get_thread_ident();
    if (depth > 0 && thread != here) return false;
    thread = here;
    depth++;
    return true;
  }
  void release() { depth--; }
};

// A stepper with all that a step of Python needs: one call does it, because between two steps of a large network the
// interpreter falls out of the caches.
struct PyStepper : Stepper {
  // The only population that an argument can mean: its first element and size; the size is -1 if there are several.
  struct Place {
    Index begin, size;
  };
  Place readouts, neurons;
  InUse* in_use = nullptr;
  Latency* latency = nullptr;
  nb::object owners;
};

struct Held {
  explicit Held(InUse& in_use) : in_use(in_use), held(in_use.acquire()) {}
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  ~Held() {
    if (held) in_use.release();
  }
  InUse& in_use;
  const bool held;
};

// A view of an object by the buffer protocol, which takes a fraction of what an `nb::ndarray` takes.
class Buffer {
 public:
  explicit Buffer(nb::handle given)
      : held(PyObject_CheckBuffer(given.ptr()) != 0 && PyObject_GetBuffer(given.ptr(), &view, PyBUF_ND | PyBUF_FORMAT) == 0) {
    if (!held) PyErr_Clear();  // not contiguous, for example
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() {
    if (held) PyBuffer_Release(&view);
  }
  // Its numbers, if it has one axis of them and begins where such a number may; null otherwise. `codes` are those of the type in
  // the module `struct`.
  template <class T> const T* numbers(std::string_view codes) const {
    const bool fits = held && view.ndim == 1 && view.itemsize == sizeof(T) && view.format != nullptr && view.format[0] != 0 &&
                      codes.find(view.format) != codes.npos && reinterpret_cast<std::uintptr_t>(view.buf) % alignof(T) == 0;
    return fits ? static_cast<const T*>(view.buf) : nullptr;
  }
  Index size() const { return view.shape[0]; }

 private:
  Py_buffer view{};
  bool held;
};

// Reads the events of one source for the next step, an array of whole numbers. False: of another form, or out of range.
bool take_channels(Stepper& stepper, Index source, nb::handle channels) {
  if (source < 0 || source >= static_cast<Index>(stepper.sizes.size())) return false;
  const Buffer buffer(channels);
  if (const auto* wide = buffer.numbers<std::int64_t>("l q")) return take_events(stepper, source, wide, buffer.size());
  if (const auto* narrow = buffer.numbers<std::int32_t>("i l")) return take_events(stepper, source, narrow, buffer.size());
  return false;
}

// Reads an argument of a step, an array of floats or None, and notes its bit. False: of another form.
bool take_told(nb::handle given, std::vector<double>& to, PyStepper::Place place, Told bit, int& told) {
  if (given.is_none()) return true;
  const Buffer buffer(given);
  const auto* numbers = place.size < 0 ? nullptr : buffer.numbers<double>("d");
  if (numbers == nullptr || buffer.size() != place.size) return false;
  std::copy_n(numbers, place.size, to.begin() + place.begin);
  told |= bit;
  return true;
}

// The same for signals of all neurons, which may be many: `given` outlives the step, so nothing is copied.
bool take_signals(const Buffer& given, PyStepper& stepper, int& told) {
  const auto* numbers = stepper.neurons.size < 0 ? nullptr : given.numbers<double>("d");
  if (numbers == nullptr || given.size() != static_cast<Index>(stepper.signal.size())) return false;
  stepper.signals = numbers;
  told |= kSignal;
  return true;
}

Index clock_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// One step. Arguments are those of the only population, or None; bits of `told` name those that the stepper has got already, as
// it may have its events, and `spent` are the ns that took. Keeps the GIL: a step is short, and another thread that takes the GIL
// could keep it for milliseconds.
template <class Real> int step_stream(PyStream<Real>& stream, PyStepper& stepper, nb::handle channels, nb::handle target,
                                      nb::handle signal, nb::handle error, double modulator, double reward, int told,
                                      Index spent) {
  const Index began = clock_ns();
  const Topology& topology = stream.state.topology;
  if (topology.n_readouts() != static_cast<Index>(stepper.y.size()) ||
      topology.n_neurons() != static_cast<Index>(stepper.signal.size()))
    throw nb::value_error("Stepper: made for another network");
  const Held use(*stepper.in_use);
  if (!use.held) return static_cast<int>(StepStatus::busy);
  stepper.signals = stepper.signal.data();
  const Buffer signals(signal);
  if ((!channels.is_none() && !take_channels(stepper, stepper.source, channels)) ||
      !take_told(target, stepper.target, stepper.readouts, kTarget, told) ||
      (!signal.is_none() && !take_signals(signals, stepper, told)) ||
      !take_told(error, stepper.error, stepper.readouts, kError, told)) {
    forget_told(stepper, kTarget | kSignal | kError);
    return static_cast<int>(StepStatus::form);
  }
  stepper.modulator = modulator;
  stepper.reward = reward;
  const StepStatus status = take_step(stream, stepper, told);
  if (status == StepStatus::done || status == StepStatus::look) stepper.latency->add(spent + clock_ns() - began);
  return static_cast<int>(status);
}

// A view of an array of a stepper, which lives as long as the view.
nb::object array_of(nb::handle owner, std::vector<double>& values) {
  const std::size_t shape[1] = {values.size()};
  return nb::cast(nb::ndarray<nb::numpy, double, nb::ndim<1>>(values.data(), 1, shape, owner));
}

void bind_stepper(nb::module_& m) {
  nb::class_<PyStepper>(m, "Stepper", "What steps are given, one after the other.")
      .def(
          "__init__",
          [](PyStepper* stepper, nb::object topology, std::uint64_t seed, bool frozen, int threads, In1<Index> only,
             InUse& in_use, Latency& latency) {
            const Topology& sizes = topology_of(topology);
            const auto at = view1(only);
            if (at.size != 5 || at[1] < 0 || at[1] + at[2] > sizes.n_readouts() || at[3] < 0 || at[3] + at[4] > sizes.n_neurons())
              throw nb::value_error("Stepper: five places within the network");
            new (stepper) PyStepper();
            stepper->source = at[0];
            stepper->readouts = {at[1], at[2]};
            stepper->neurons = {at[3], at[4]};
            stepper->in_use = &in_use;
            stepper->latency = &latency;
            stepper->owners = nb::make_tuple(nb::find(in_use), nb::find(latency));
            prepare_stepper(*stepper, sizes, seed, frozen, threads);
          },
          "topology"_a, "seed"_a, "frozen"_a, "threads"_a, "only"_a.noconvert(), "in_use"_a, "latency"_a)
      .def(
          "take", [](PyStepper& stepper, Index source, nb::handle channels) { return take_channels(stepper, source, channels); },
          "source"_a, "channels"_a, "Events of a source in the next step; whether they could be taken.")
      .def(
          "forget", [](PyStepper& stepper) { forget_told(stepper, kTarget | kSignal | kError); }, "Drop what the step was given.")
      .def_prop_ro("target", [](nb::handle self) { return array_of(self, nb::cast<PyStepper&>(self).target); })
      .def_prop_ro("signal", [](nb::handle self) { return array_of(self, nb::cast<PyStepper&>(self).signal); })
      .def_prop_ro("error", [](nb::handle self) { return array_of(self, nb::cast<PyStepper&>(self).error); })
      .def_prop_ro("y", [](nb::handle self) { return array_of(self, nb::cast<PyStepper&>(self).shown); })
      .def_prop_ro("rewarded", [](const PyStepper& stepper) { return stepper.rewarded; })
      .def_prop_ro("loss", [](const PyStepper& stepper) { return stepper.loss[0]; })
      .def_prop_ro("spikes", [](const PyStepper& stepper) { return stepper.spikes[0]; });
  nb::class_<InUse>(m, "InUse", "Tells which thread uses a network.")
      .def(nb::init<>())
      .def("acquire", &InUse::acquire, "Whether this thread may use it.")
      .def("release", &InUse::release);
  nb::class_<Latency>(m, "Latency", "A histogram of durations.")
      .def(nb::init<>())
      .def("add", &Latency::add, "ns"_a)
      .def("clear", [](Latency& latency) { latency = Latency(); })
      .def_prop_ro("counts", [](const Latency& latency) { return handed_over(std::vector<Index>(latency.counts)); })
      .def_prop_ro("longest", [](const Latency& latency) { return latency.longest; })
      .def_static("edges", [] {
        std::vector<double> edges;
        for (Index k = 0; k <= static_cast<Index>(Latency().counts.size()); k++) edges.push_back(Latency::begin(k));
        return handed_over(std::move(edges));
      });
}

template <class Real> void bind_stream_of(nb::module_& m, const char* name) {
  using S = PyStream<Real>;
  nb::class_<S>(m, name, "A network that runs on in continuous time; its arrays of fixed size are Python's.")
      .def("__init__", &make_stream<Real>, "topology"_a, "synapses"_a, "axons"_a, "neurons"_a, "history"_a, "learns"_a, "timed"_a)
      .def(
          "run",
          [](S& stream, Index n_steps, Index offset, const PyRequest& request) {
            check_steps(stream, n_steps, offset, request);
            nb::gil_scoped_release release;
            return run_stream(stream, n_steps, offset, request);
          },
          "n_steps"_a, "offset"_a, "request"_a, "Steps done: fewer than asked for once 50 ms have passed.")
      .def("step", &step_stream<Real>, "stepper"_a, "channels"_a.none(), "target"_a.none(), "signal"_a.none(), "error"_a.none(),
           "modulator"_a, "reward"_a, "told"_a, "spent"_a, "One step; its `StepStatus`.")
      .def_rw("t", &S::t)
      .def_rw("events", &S::events)
      .def_rw("collect", &S::collect)
      .def(
          "divergence", [](S& stream) { return static_cast<int>(find_divergence(stream)); },
          "0: none, 1: some state is not finite, 4: a voltage is beyond 1e9 mV.")
      .def(
          "weights_finite",
          [](S& stream, int threads) {
            nb::gil_scoped_release release;
            return weights_finite(stream, threads);
          },
          "threads"_a = 1, "Whether no weight is known that is not finite.")
      .def("log", [](S& stream) { return handed_over(std::vector<std::int32_t>(stream.state.log.sources)); })
      .def("set_log", &set_log<Real>, "sources"_a.noconvert())
      .def("post_times",
           [](S& stream) {
             const PostSpikes& post = stream.state.post;
             const std::size_t capacity = post.capacity;
             return handed_over<2>(std::vector<Index>(post.times), {post.times.size() / capacity, capacity});
           })
      .def("set_post_times", &set_post_times<Real>, "times"_a.noconvert())
      .def("spike_records", &spike_records<Real>)
      .def(
          "follow", [](S& stream) { note_logged(spikes_of(stream), stream.t - stream.outbox.steps()); },
          "Note all logged spikes with their axons.")
      .def(
          "restart_records",
          [](S& stream, Index first_step, Index room) {
            if (room <= 0 || (room & (room - 1)) != 0) throw nb::value_error("restart_records: the room must be a power of two");
            if (stream.has_plus || stream.has_stdp) restart_records(spikes_of(stream), first_step, room);
            if (stream.has_plus) forget_found(stream.state);
          },
          "first_step"_a, "room"_a, "After another state has been set: what spikes and steps know is found again.")
      .def("spikes", &logged_spikes<Real>, "first_source"_a, "stop_source"_a, "first_step"_a, "stop_step"_a,
           "Steps and sources of the spikes that are still in the log.")
      .def("effective_weights", &effective_weights<Real>)
      .def("materialise_weights", &materialise<Real>, nb::call_guard<nb::gil_scoped_release>())
      .def("phases", &phases<Real>, "Seconds of each phase since the last call, of each partition and of the loop.")
      .def("bytes", &bytes_of<Real>, "Bytes of what grows while running.")
      .def("message", &take_message<Real>)
      .def("receive", &receive<Real>, "n_steps"_a, "offset"_a, "request"_a, "messages"_a.noconvert(), "begin"_a.noconvert(),
           "first"_a.noconvert(), "bits"_a.noconvert(), "counts"_a.noconvert());
}

template <class Real> void bind_feedback_of(nb::module_& m) {
  m.def(
      "tie_feedback",
      [](nb::object topology, In1<bool> chosen, In1<Real> weight, Out2<double> feedback, Out2<double> offset) {
        const Topology tables = topology_of(topology);
        const Array1<const std::uint8_t> groups{reinterpret_cast<const std::uint8_t*>(chosen.data()),
                                                static_cast<Index>(chosen.size())};
        if (groups.size != tables.groups.size) throw nb::value_error("tie_feedback: one choice for each delay group is expected");
        nb::gil_scoped_release release;
        tie_feedback<Real>(groups, {tables, view1(weight), view2(feedback), view2(offset)});
      },
      "topology"_a, "chosen"_a.noconvert(), "weight"_a.noconvert(), "feedback"_a.noconvert(), "feedback_offset"_a.noconvert(),
      "Let feedback follow the weights of the chosen delay groups.");
  m.def(
      "measure_offsets",
      [](nb::object topology, Index first, Index stop, In1<Real> weight, Out2<double> feedback, Out2<double> offset) {
        const Topology tables = topology_of(topology);
        if (first < 0 || stop > tables.groups.size) throw nb::value_error("measure_offsets: no such delay groups");
        nb::gil_scoped_release release;
        measure_offsets<Real>(first, stop, {tables, view1(weight), view2(feedback), view2(offset)});
      },
      "topology"_a, "first"_a, "stop"_a, "weight"_a.noconvert(), "feedback"_a.noconvert(), "feedback_offset"_a.noconvert(),
      "Let adaptive feedback stay as it is where weights were set from outside.");
}

}  // namespace

void bind_stream(nb::module_& m) {
  nb::class_<PyRequest>(m, "RunRequest", "What a run is given and where its results go.")
      .def("__init__", &make_request, "seed"_a, "clock"_a, "frozen"_a, "threads"_a, "arrays"_a,
           "seed, clock, frozen, threads, event_start, event_channels, target, window, (signals, first, modulator, reward), "
           "probes, probed, y, loss, spikes");
  bind_stepper(m);
  bind_stream_of<float>(m, "StreamSingle");
  bind_stream_of<double>(m, "StreamDouble");
  bind_feedback_of<float>(m);
  bind_feedback_of<double>(m);
  m.def(
      "fade_offsets", [](nb::object topology, Out2<double> offset) { fade_offsets(topology_of(topology), view2(offset)); },
      "topology"_a, "feedback_offset"_a.noconvert(),
      "What decaying weights forget, the offset of adaptive feedback forgets, too.");
  m.def(
      "losses_of_steps",
      [](In2<double> y, In2<double> target, In2<double> window, nb::object topology, Out1<double> loss) {
        losses_of_steps(view2(y), view2(target), view2(window), topology_of(topology), loss.data());
      },
      "y"_a.noconvert(), "target"_a.noconvert(), "window"_a.noconvert(), "topology"_a, "loss"_a.noconvert(),
      "Losses of all steps of one sample, from its outputs in mV.");
}

}  // namespace eprop
