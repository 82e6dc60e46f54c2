// The online loop and feedback, for Python.
#include "bindings/online.hpp"

#include "bindings/requests.hpp"
#include "bindings/topology.hpp"
#include "common/feedback.hpp"
#include "common/finite.hpp"
#include "common/readouts.hpp"
#include "episodes/optimizer_step.hpp"
#include "eprop_plus/new_synapses.hpp"
#include "online/pairs.hpp"

namespace eprop {
namespace {

using PyRunRequest = PyRequest<RunRequest>;

// Refuses a request whose arrays do not fit together, the network or the steps of a call.
void check_request(const RunRequest& r, const Topology& topology, Index state_rows, Index n_steps, Index offset) {
  const Index steps = r.loss.size, samples = r.target.planes;
  const bool fits = r.window.rows > 0 && r.window.rows * samples == steps && r.y.rows == steps &&
                    (r.spikes.size == 0 || r.spikes.size == samples) &&
                    (r.probes.rows == 0 || (r.probed.rows == steps && r.probes.columns == 4)) &&
                    r.probed.columns == r.probes.rows && (r.event_start.rows == 0 || r.event_start.columns > steps) &&
                    (r.of_neurons.size == 0 || r.of_neurons.size == topology.n_neurons()) &&
                    (r.sums.size == 0 || r.sums.size == kSums);
  if (!fits) throw nb::value_error("RunRequest: the arrays do not fit together");
  if (n_steps < 0 || offset < 0 || offset + n_steps > steps) throw nb::value_error("run: more steps than the request has");
  if (r.y.columns != topology.readouts.size || !inputs_fit(topology, r, samples, r.window.rows, state_rows) ||
      !external_fits(topology, r.external, samples, r.window.rows))
    throw nb::value_error("run: the request is for another network");
}

template <class Real> Synapses<Real> synapses_of(nb::handle owner) {
  return {attribute1<Real>(owner, "weight"),        attribute1<Real>(owner, "trace"),
          attribute1<Real>(owner, "trace_reg"),     attribute1<Real>(owner, "trace_reward"),
          attribute2<Real>(owner, "own"),           attribute1<Real>(owner, "pending"),
          attribute1<Real>(owner, "moment_1"),      attribute1<Real>(owner, "moment_2"),
          attribute1<std::int8_t>(owner, "levels"), attribute1<std::int16_t>(owner, "wide_levels")};
}

Neurons neurons_of(nb::handle owner) {
  return {attribute2<double>(owner, "state"),    attribute2<double>(owner, "input"),          attribute1<double>(owner, "psi"),
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

SpikeHistory spikes_of(auto& run) { return {run.state.topology, run.state.log, run.state.axons}; }

template <class Real> void make_run(PyRun<Real>* run, const PyTopology& topology, nb::object synapses, nb::object axons,
                                    nb::object neurons, nb::object history, bool learns, bool timed) {
  new (run) PyRun<Real>();
  OnlineState<Real>& state = run->state;
  state.topology = topology;
  state.learns = learns;
  state.synapses = synapses_of<Real>(synapses);
  state.axons = {attribute1<Index>(axons, "processed_until"), records<AxonTimes>(axons, "times"), attribute3<double>(axons, "z")};
  state.neurons = neurons_of(neurons);
  state.history = history_of<Real>(history);
  state.log.start = attribute2<Index>(history, "log_start");
  state.log.record_steps = nb::cast<Index>(history.attr("record_steps"));
  state.post.span = nb::cast<Index>(history.attr("post_span"));
  run->owners = nb::make_tuple(nb::find(topology), synapses, axons, neurons, history);
  prepare_run(*run, timed);
}

template <class Real> auto spike_records(PyRun<Real>& run) {
  const SpikeLog& log = run.state.log;
  const std::size_t n = log.times.size();
  const auto* numbers = reinterpret_cast<const std::int32_t*>(log.times.data());
  const std::size_t slots = filter_slots(run.state.topology), parts = kRecordParts * filter_size(run.state.topology);
  return std::pair(handed_over<2>(std::vector<std::int32_t>(numbers, numbers + 4 * n), {n, 4}),
                   handed_over<3>(std::vector<double>(log.z), {n, slots, parts}));
}

template <class Real> auto phases(PyRun<Real>& run) {
  std::vector<double> seconds;
  const auto read = [&](StopWatch& watch) {
    seconds.insert(seconds.end(), watch.seconds, watch.seconds + kPhases);
    std::fill(watch.seconds, watch.seconds + kPhases, 0.0);
  };
  for (PartitionNotes& notes : run.notes) read(notes.watch);
  read(run.watch);
  return handed_over<2>(std::move(seconds), {run.notes.size() + 1, kPhases});
}

// Bytes of vectors that grow during a run.
template <class Real> nb::object bytes_of(PyRun<Real>& run) {
  const auto size = [](const auto& values) { return values.capacity() * sizeof(values[0]); };
  const OnlineState<Real>& state = run.state;
  nb::dict bytes;
  bytes["spike_log"] = size(state.log.sources);
  bytes["spike_records"] = size(state.log.times) + size(state.log.z);
  bytes["post_spikes"] = size(state.post.times);
  bytes["deliveries"] = size(state.deliveries.arriving) + size(state.deliveries.expired) + size(state.deliveries.unrewarded) +
                        size(state.deliveries.places);
  return bytes;
}

template <class Real>
auto logged_spikes(PyRun<Real>& run, Index first_source, Index stop_source, Index first_step, Index stop_step) {
  std::vector<Index> steps, sources;
  {
    nb::gil_scoped_release release;
    const Index oldest = std::max<Index>(run.t - run.state.log.past_mask(), 0);
    read_spikes(spikes_of(run), {first_source, stop_source}, {std::max(first_step, oldest), std::min(stop_step, run.t)}, steps,
                sources);
  }
  return std::pair(handed_over(std::move(steps)), handed_over(std::move(sources)));
}

// Sets the spike log of a loaded state; its length is a power of two.
template <class Real> void set_log(PyRun<Real>& run, In1<std::int32_t> sources) {
  const std::size_t n = sources.shape(0);
  if (n == 0 || (n & (n - 1)) != 0) throw nb::value_error("set_log: the length must be a power of two");
  run.state.log.sources.assign(sources.data(), sources.data() + n);
}

// Sets postsynaptic spikes of a loaded state. Set `t` first: the search for a spike ends at the oldest one.
template <class Real> void set_post_times(PyRun<Real>& run, In2<Index> times) {
  PostSpikes& post = run.state.post;
  if (!run.has_pairs) return;
  if (static_cast<Index>(times.shape(1)) != post.neurons || times.shape(0) == 0)
    throw nb::value_error("set_post_times: the array is of another network");
  post.capacity = static_cast<Index>(times.shape(0));
  post.times.assign(times.data(), times.data() + times.size());
  const Index* oldest = post.row(post.capacity - 1);
  if (std::any_of(oldest, oldest + post.neurons, [&](Index time) { return time > run.t - post.span; })) grow_post_spikes(post);
}

template <class Real> auto effective_weights(PyRun<Real>& run) {
  const Array1<Real>& weight = run.state.synapses.weight;
  return handed_over(unlocked([&] {
    std::vector<Real> out(weight.data, weight.data + weight.size);
    if (run.has_plus) materialise_weights(run.state, run.t, Array1<Real>{out.data(), weight.size});
    return out;
  }));
}

// Stores the effective weights, until the next spike. In place, because a copy might not fit into memory.
template <class Real> void materialise(PyRun<Real>& run) {
  if (!run.has_plus) return;
  materialise_weights(run.state, run.t, run.state.synapses.weight);
  Array2<double>& eta = run.state.history.eta;
  std::fill(eta.data, eta.data + eta.size(), 0.0);
}

// After connections have moved: synapses that were made at time `now` begin.
template <class Real> void follow_moves(PyRun<Real>& run, In1<std::uint32_t> born, std::uint32_t now) {
  if (!run.has_plus) return;
  if (static_cast<Index>(born.size()) != run.state.topology.targets.size)
    throw nb::value_error("begin_synapses: one time for each synapse is expected");
  nb::gil_scoped_release release;
  begin_synapses(run.state, run.t, view1(born), now);
}

// Serialises the spikes of the slice and clears the outbox.
template <class Real> auto take_message(PyRun<Real>& run) {
  std::vector<std::uint8_t> message;
  serialise_spikes(run.outbox, message);
  run.outbox.clear();
  return handed_over(std::move(message));
}

template <class Real> void receive(PyRun<Real>& run, Index n_steps, Index offset, const PyRunRequest& request,
                                   In1<std::uint8_t> messages, In1<Index> begin, In1<Index> first, In1<std::uint64_t> bits,
                                   In1<std::uint32_t> counts) {
  check_request(request, run.state.topology, run.state.neurons.state.rows, n_steps, offset);
  nb::gil_scoped_release release;
  const Inbox inbox{view1(messages), view1(begin), view1(first), {view1(bits), view1(counts)}};
  receive_spikes(run, n_steps, offset, request, inbox);
}

// After another state has been set.
template <class Real> void restart(PyRun<Real>& run, Index first_step, Index room) {
  if (room <= 0 || (room & (room - 1)) != 0) throw nb::value_error("restart_records: the room must be a power of two");
  if (run.has_plus || run.has_pairs) restart_records(spikes_of(run), first_step, room);
  if (run.has_plus) clear_cached(run.state);
}

template <class Real> auto post_times(PyRun<Real>& run) {
  const PostSpikes& post = run.state.post;
  const std::size_t capacity = post.capacity;
  return handed_over<2>(std::vector<Index>(post.times), {capacity, post.times.size() / capacity});
}

template <class Real> auto log_of(PyRun<Real>& run) { return handed_over(std::vector<std::int32_t>(run.state.log.sources)); }

template <class Real> bool check_weights(PyRun<Real>& run, int threads) {
  nb::gil_scoped_release release;
  return weights_finite(run, threads);
}

// Loading a state, and its messages between ranks.
template <class Real> void bind_state(nb::class_<PyRun<Real>>& bound) {
  bound.def("log", &log_of<Real>, "Ring of the sources of all spikes, in order.")
      .def("set_log", &set_log<Real>, "sources"_a.noconvert(), "Set the ring of a loaded state; its length is a power of two.")
      .def("post_times", &post_times<Real>, "Steps of the last spikes of each neuron (capacity, neurons), for pair rules.")
      .def("set_post_times", &set_post_times<Real>, "times"_a.noconvert(), "Set `post_times` of a loaded state; set `t` first.")
      .def("spike_records", &spike_records<Real>,
           "Records of the spikes about their sources, (records, 4), and their filters (records, slots, parts).")
      .def(
          "follow", [](PyRun<Real>& run) { note_logged(spikes_of(run), run.t - run.outbox.steps()); },
          "Record all logged spikes with their axons.")
      .def("restart_records", &restart<Real>, "first_step"_a, "room"_a,
           "After another state has been set: find again what is derived from the spikes since `first_step`.")
      .def("message", &take_message<Real>, "The spikes of own neurons since the last message, for the other ranks.")
      .def("receive", &receive<Real>, "n_steps"_a, "offset"_a, "request"_a, "messages"_a.noconvert(), "begin"_a.noconvert(),
           "first"_a.noconvert(), "bits"_a.noconvert(), "counts"_a.noconvert(),
           "Log the spikes of all ranks in the last `n_steps` steps, from their messages.");
}

template <class Real> TiedFeedback<Real> tied_feedback(PyRun<Real>& run) {
  const Array1<Real> weight = run.state.synapses.weight;
  return {run.state.topology, {weight.data, weight.size}, run.state.neurons.feedback, run.state.neurons.feedback_offset};
}

// One choice for each delay group.
template <class Real> void tie_chosen(PyRun<Real>& run, In1<bool> chosen) {
  if (static_cast<Index>(chosen.size()) != run.state.topology.groups.size)
    throw nb::value_error("tie_feedback: one choice for each delay group is expected");
  nb::gil_scoped_release release;
  tie_feedback<Real>({reinterpret_cast<const std::uint8_t*>(chosen.data()), static_cast<Index>(chosen.size())},
                     tied_feedback(run));
}

template <class Real> void keep_feedback(PyRun<Real>& run, Index first, Index stop) {
  if (first < 0 || stop > run.state.topology.groups.size) throw nb::value_error("measure_offsets: no such delay groups");
  nb::gil_scoped_release release;
  measure_offsets<Real>(first, stop, tied_feedback(run));
}

template <class Real> void optimize_all(PyRun<Real>& run, Index update, In1<double> scale, int threads) {
  const Topology& topology = run.state.topology;
  if (static_cast<Index>(scale.size()) != topology.groups.size) throw nb::value_error("scale: one number for each delay group");
  if (run.state.synapses.pending.size != topology.targets.size) throw nb::value_error("optimize: the network has no gradients");
  nb::gil_scoped_release release;
  optimize(topology, run.state.synapses, update, view1(scale), std::max(threads, 1));
  if (run.state.neurons.feedback_offset.size() > 0) fade_offsets(topology, run.state.neurons.feedback_offset);
}

template <class Real> void round_by_update(PyRun<Real>& run, Index update, int threads) {
  nb::gil_scoped_release release;
  round_all(run.state.topology, run.state.synapses, update, std::max(threads, 1));
}

// Weights and feedback between runs.
template <class Real> void bind_weights(nb::class_<PyRun<Real>>& bound) {
  bound
      .def("tie_feedback", &tie_chosen<Real>, "chosen"_a.noconvert(),
           "Copy the weights of the chosen delay groups to the feedback that follows them.")
      .def("measure_offsets", &keep_feedback<Real>, "first"_a, "stop"_a,
           "Keep adaptive feedback unchanged after the weights of delay groups were set.")
      .def("optimize", &optimize_all<Real>, "update"_a, "scale"_a.noconvert(), "threads"_a,
           "One optimiser step of all e-prop synapses with gradient scale * pending, which is cleared; the offset of adaptive "
           "feedback decays like the weights.\n\n"
           "C++: `optimize` in core/episodes/optimizer_step.hpp.")
      .def("round_weights", &round_by_update<Real>, "update"_a, "threads"_a,
           "Round the e-prop weights of few bits after the optimiser step `update`.\n\n"
           "C++: `round_all` in core/episodes/optimizer_step.hpp.")
      .def(
          "losses_of_steps",
          [](const PyRun<Real>& run, In2<double> y, In2<double> target, In2<double> window, Out1<double> loss) {
            losses_of_steps(view2(y), view2(target), view2(window), run.state.topology, loss.data());
          },
          "y"_a.noconvert(), "target"_a.noconvert(), "window"_a.noconvert(), "loss"_a.noconvert(),
          "Losses of all steps of one sample, from its outputs in mV.")
      .def(
          "silent_loss",
          [](const PyRun<Real>& run, In3<double> target, In3<double> window) {
            const auto aims = view3(target), windows = view3(window);
            double loss = 0.0;
            for (Index s = 0; s < aims.planes; s++)
              for (Index t = 0; t < windows.rows; t++)
                loss += silent_loss(run.state.topology, aims.row(s, aims.rows > 1 ? t : 0), windows.row(windows.planes > 1 ? s : 0, t));
            return loss;
          },
          "target"_a.noconvert(), "window"_a.noconvert(),
          "Loss of outputs at zero in all steps of samples; NaN, unknown, if a weight of the window is negative.");
}

template <class Real> void bind_run_of(nb::module_& m, const char* name) {
  using S = PyRun<Real>;
  nb::class_<S> bound(m, name, "A network that runs on in continuous time; its arrays of fixed size are Python's.");
  bound
      .def("__init__", &make_run<Real>, "topology"_a, "synapses"_a, "axons"_a, "neurons"_a, "history"_a, "learns"_a, "timed"_a,
           "Arrays as in `eprop.engine.state.storage`; `timed` measures `phases`.")
      .def(
          "run",
          [](S& run, Index n_steps, Index offset, const PyRunRequest& request) {
            check_request(request, run.state.topology, run.state.neurons.state.rows, n_steps, offset);
            nb::gil_scoped_release release;
            return run_online(run, n_steps, offset, request);
          },
          "n_steps"_a, "offset"_a, "request"_a,
           "Run steps `offset` to `offset + n_steps` of a request; return the number of steps done, fewer once 50 ms have "
           "passed.\n\n"
           "C++: `run_online` in core/online/run.cpp.")
      .def_rw("t", &S::t, "Steps since the start.")
      .def_rw("events", &S::events, "Synaptic events since the start.")
      .def_rw("collect", &S::collect, "Whether spikes of own neurons go to `message` instead of the log.")
      .def(
          "divergence", [](const S& run) { return find_divergence(run); },
          "Whether some state is not finite, or a voltage is beyond `largest_voltage`.")
      .def("weights_finite", &check_weights<Real>, "threads"_a = 1, "Whether no weight is known that is not finite.")
      .def("spikes", &logged_spikes<Real>, "first_source"_a, "stop_source"_a, "first_step"_a, "stop_step"_a,
           "Steps and sources of the spikes that are still in the log.")
      .def("effective_weights", &effective_weights<Real>,
           "Weights as of the last spike of each synapse, not of the start of a block.")
      .def("materialise_weights", &materialise<Real>, nb::call_guard<nb::gil_scoped_release>(),
           "Store the effective weights, until the next spike.")
      .def(
          "follow_connections",
          [](S& run) {
            if (run.has_plus) follow_connections(run.state);
          },
          "Make room for the present connections, after some have moved.")
      .def("begin_synapses", &follow_moves<Real>, "born"_a.noconvert(), "now"_a,
           "Let the synapses that were made at time `now` begin with the last spikes of their sources.\n\n"
           "C++: `begin_synapses` in core/eprop_plus/new_synapses.hpp.")
      .def("phases", &phases<Real>, "Seconds since the last call, (partitions and the loop, `Phase`).")
      .def("bytes", &bytes_of<Real>, nb::sig("def bytes(self) -> dict[str, int]"),
           "Bytes of the arrays that grow while running.");
  bind_state(bound);
  bind_weights(bound);
  bind_step(bound);
}

void bind_request(nb::module_& m) {
  using R = RunRequest;
  nb::class_<PyRunRequest> bound(m, "RunRequest", "Inputs of a run of consecutive samples, and arrays for its results.");
  bound.def(nb::init<>())
      .def(nb::init<const PyRunRequest&>(), "other"_a, "The same inputs and arrays for results.")
      .def_rw("clock", &PyRunRequest::clock, "First step of the random numbers.")
      .def_rw("frozen", &PyRunRequest::frozen, "Whether weights stay constant while all traces continue.")
      .def_rw("threads", &PyRunRequest::threads);
  bind_inputs(bound);
  bind_array<In2<Index>>(bound, "probes", &R::probes, "(probes, 4): a `Probe`, row of the state or branch, index, delay group.");
  bind_array<Out2<double>>(bound, "probed", &R::probed, "Out: (steps of all samples, probes)");
  bind_array<Out2<double>>(bound, "y", &R::y, "Out: (steps of all samples, readouts), without the leak potential, mV.");
  bind_array<Out1<double>>(bound, "loss", &R::loss, "Out: (steps of all samples,); losses are added.");
  bind_array<Out1<Index>>(bound, "spikes", &R::spikes, "Out: (samples or 0,) spikes of own neurons; they are added.");
  bind_array<Out1<Index>>(bound, "of_neurons", &R::of_neurons, "Out: (own neurons or 0,) spikes of each; they are added.");
  bind_array<Out1<double>>(bound, "sums", &R::sums, "Out: (4 or 0,) numbers that are added up, see `Sum`.");
}

void bind_codes(nb::module_& m) {
  nb::enum_<Divergence>(m, "Divergence", nb::is_arithmetic(), "Result of `divergence`.")
      .value("none", Divergence::none)
      .value("not_finite", Divergence::not_finite)
      .value("voltage", Divergence::voltage);
  nb::enum_<Probe>(m, "Probe", nb::is_arithmetic(), "Recorded variable.")
      .value("state", Probe::state)
      .value("psi", Probe::psi)
      .value("signal", Probe::signal)
      .value("readout", Probe::readout)
      .value("error", Probe::error)
      .value("weight", Probe::weight)
      .value("trace", Probe::trace);
  nb::enum_<Sum>(m, "Sum", nb::is_arithmetic(), "Entry of `sums`.")
      .value("steps", Sum::steps)
      .value("learned", Sum::learned, "Steps with learning.")
      .value("loss", Sum::loss, "Of these steps.")
      .value("silent", Sum::silent, "Loss of outputs at zero in these steps; NaN, unknown, if a weight of the window is negative.");
  nb::enum_<Phase>(m, "Phase", nb::is_arithmetic(), "Column of `phases`.")
      .value("between", kBetween, "Between calls, and between steps of a partition.")
      .value("propagators", kPropagators)
      .value("deliver", kDeliver)
      .value("advance", kAdvance)
      .value("readout", kReadout)
      .value("exchange", kExchange)
      .value("region", kRegion);
  m.attr("largest_voltage") = kLargestVoltage;
}

}  // namespace

void bind_online(nb::module_& m) {
  bind_codes(m);
  bind_request(m);
  bind_run_of<float>(m, "OnlineSingle");
  bind_run_of<double>(m, "OnlineDouble");
}

}  // namespace eprop
