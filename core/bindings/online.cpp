// The online loop, for Python.
#include "bindings/online.hpp"

#include <map>

#include "bindings/requests.hpp"
#include "eprop_plus/effective_weights.hpp"
#include "online/spike_state.hpp"
#include "step/readouts.hpp"
#include "support/finite.hpp"

namespace eprop {
namespace {

// Refuses a request whose arrays do not fit together, the network or the steps of a call.
void check_request(const Request& r, const Topology& topology, Index state_rows, Index n_steps, Index offset) {
  const Index steps = r.loss.size, samples = r.target.planes;
  const bool fits = r.n_steps > 0 && r.n_steps * samples == steps && r.y.planes == samples && r.y.rows == r.n_steps &&
                    (r.spikes.size == 0 || r.spikes.size == samples) &&
                    (r.probes.rows == 0 || (r.probed.rows == steps && r.probes.columns == 4)) &&
                    r.probed.columns == r.probes.rows && (r.event_start.rows == 0 || r.event_start.columns > steps) &&
                    (r.of_neurons.size == 0 || r.of_neurons.size == topology.n_neurons()) &&
                    (r.times.size == 0 || r.times.size == steps) && (r.sums.size == 0 || r.sums.size == kSums);
  if (!fits) throw nb::value_error("Request: the arrays do not fit together");
  if (n_steps < 1 || offset < 0 || offset + n_steps > steps) throw nb::value_error("run: more steps than the request has");
  if (r.y.columns != topology.readouts.size || !inputs_fit(topology, r, samples, r.n_steps, state_rows) ||
      !external_fits(topology, r.external, samples, r.n_steps))
    throw nb::value_error("run: the request is for another network");
}

SpikeHistory spikes_of(auto& run) { return {run.state.topology, run.state.log, run.state.axons}; }

template <class Real> void make_run(PyRun<Real>* run, PyNetwork<Real>& network, bool timed, InUse* in_use) {
  new (run) PyRun<Real>(network);
  run->owner = nb::find(network);
  run->in_use = in_use;
  if (in_use != nullptr) {
    run->user = nb::find(*in_use);
    run->awaited = &in_use->awaited;
  }
  prepare_run(*run, timed);
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

// All arrays of a network, of its topology too, and of the loop that runs it.
template <class Real> std::vector<Row> all_rows(Network<Real>& network, OnlineState<Real>& state) {
  std::vector<Row> rows = rows_of(network), own = rows_of(state);
  rows.insert(rows.end(), own.begin(), own.end());
  add_rows("topology", network.topology, rows);
  return rows;
}

// Names, axes and views of the arrays that are part of a state.
template <class Real> nb::list kept(PyRun<Real>& run) {
  nb::list found;
  for (const Row& row : all_rows(run.network, run.state))
    if ((row.kept & kState) != 0)
      found.append(nb::make_tuple(std::string(row.struct_name) + "/" + row.name, row.axis, view_of(row, nb::find(run))));
  return found;
}

// Bytes of the arrays of each struct, before there are any.
template <class Real> nb::dict bytes_before(const Sizes& sizes) {
  std::map<std::string, Index> sums;
  Network<Real> network;
  OnlineState<Real> state(network);
  for (const Row& row : all_rows(network, state)) sums[row.struct_name] += row.bytes_before(sizes);
  nb::dict bytes;
  for (const auto& [name, sum] : sums) bytes[name.c_str()] = sum;
  return bytes;
}

// The same, and bytes of the vectors.
template <class Real> nb::dict bytes_now(PyRun<Real>& run) {
  nb::dict bytes = bytes_before<Real>(run.network.sizes);
  for (const auto& [name, size] : vector_bytes(run)) bytes[name] = size;
  return bytes;
}
template <class Real> nb::dict vectors_before(const Sizes& sizes) {
  nb::dict bytes;
  for (const auto& [name, size] : vector_bytes_before<Real>(sizes)) bytes[name] = size;
  return bytes;
}

template <class Real>
auto logged_spikes(PyRun<Real>& run, Index first_source, Index stop_source, Index first_step, Index stop_step) {
  std::vector<Index> steps, sources;
  {
    nb::gil_scoped_release release;
    const Index oldest = first_logged(run.state.log, run.t);
    read_spikes(spikes_of(run), {first_source, stop_source}, {std::max(first_step, oldest), std::min(stop_step, run.t)}, steps,
                sources);
  }
  return std::pair(handed_over(std::move(steps)), handed_over(std::move(sources)));
}

// Axes of what a state keeps of spikes. The spikes, and the first axis of the times of postsynaptic spikes, grow.
struct SpikeShapes {
  std::size_t sources, slots, parts, capacity, neurons;
};
template <class Real> SpikeShapes spike_shapes(const PyRun<Real>& run) {
  const Axons& axons = run.state.axons;
  const PostSpikes& post = run.state.post;
  const auto size = [](Index n) { return static_cast<std::size_t>(n); };
  return {size(axons.times.size), size(axons.z.rows), size(axons.z.columns), size(post.capacity),
          post.times.size() / size(post.capacity)};
}

template <class Real> nb::dict spikes_kept(PyRun<Real>& run) {
  const auto [sources, slots, parts, capacity, neurons] = spike_shapes(run);
  SpikeState state = spike_state(run);
  nb::dict out;
  out["spikes/counts"] = handed_over(std::move(state.counts));
  out["spikes/sources"] = handed_over(std::move(state.sources));
  out["axons/times"] = handed_over<2>(std::move(state.axon_times), {2, sources});
  out["axons/z"] = handed_over<3>(std::move(state.axon_z), {slots, parts, sources});
  out["post_spikes/times"] = handed_over<2>(std::move(state.post_times), {capacity, neurons});
  return out;
}

template <class Real> nb::dict shapes_kept(const PyRun<Real>& run) {
  const auto [sources, slots, parts, capacity, neurons] = spike_shapes(run);
  nb::dict out;
  for (const char* name : {"spikes/counts", "spikes/sources"}) out[name] = nb::make_tuple(0);
  out["axons/times"] = nb::make_tuple(2, sources);
  out["axons/z"] = nb::make_tuple(slots, parts, sources);
  out["post_spikes/times"] = nb::make_tuple(capacity, neurons);
  return out;
}

template <class A> auto copied(const A& array) { return std::vector(array.data(), array.data() + array.size()); }

template <class Real> void set_spikes(PyRun<Real>& run, In1<Index> counts, In1<Index> sources, In2<Index> axon_times,
                                      In3<double> axon_z, In2<Index> post_times) {
  set_spike_state(run, {copied(counts), copied(sources), copied(axon_times), copied(axon_z), copied(post_times)});
}

// Room for spikes and for their records: powers of two.
template <class Real> void set_room(PyRun<Real>& run, Index spikes, Index records) {
  run.state.log.sources.assign(spikes, 0);
  if (run.has_plus || run.has_pairs) restart_records(spikes_of(run), run.t, records);
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
template <class Real> void follow_moves(PyRun<Real>& run, Index now) {
  if (!run.has_plus) return;
  nb::gil_scoped_release release;
  begin_synapses(run.state, run.t, now);
}

// Serialises the spikes of the slice and clears the outbox.
template <class Real> auto take_message(PyRun<Real>& run) {
  std::vector<std::uint8_t> message;
  serialise_spikes(run.outbox, message);
  run.outbox.clear();
  return handed_over(std::move(message));
}

template <class Real> void receive(PyRun<Real>& run, Index n_steps, Index offset, const PyRequest& request,
                                   In1<std::uint8_t> messages, In1<Index> begin, In1<Index> first, In1<std::uint64_t> bits,
                                   In1<std::uint32_t> counts) {
  check_request(request, run.state.topology, run.state.neurons.state.rows, n_steps, offset);
  nb::gil_scoped_release release;
  const Inbox inbox{view1(messages), view1(begin), view1(first), {view1(bits), view1(counts)}};
  receive_spikes(run, n_steps, offset, request, inbox);
}

// Loading a state, and its messages between ranks.
template <class Real> void bind_state(nb::class_<PyRun<Real>>& bound) {
  bound
      .def("spike_state", &spikes_kept<Real>,
           "What a state keeps of spikes, with its names.\n\nC++: core/online/spike_state.hpp.")
      .def("spike_shapes", &shapes_kept<Real>, nb::sig("def spike_shapes(self) -> dict[str, tuple[int, ...]]"),
           "Shapes of the arrays of `spike_state`; spikes, and the first axis of their times at neurons, grow.")
      .def("set_spike_state", &set_spikes<Real>, "counts"_a.noconvert(), "sources"_a.noconvert(), "axon_times"_a.noconvert(),
           "axon_z"_a.noconvert(), "post_times"_a.noconvert(), "Continue from `spike_state`; set `t` and all other arrays first.")
      .def("set_room", &set_room<Real>, "spikes"_a, "records"_a,
           "Begin with another capacity of the log and of the spike records, powers of two.")
      .def("message", &take_message<Real>, "The spikes of own neurons since the last message, for the other ranks.")
      .def("receive", &receive<Real>, "n_steps"_a, "offset"_a, "request"_a, "messages"_a.noconvert(), "begin"_a.noconvert(),
           "first"_a.noconvert(), "bits"_a.noconvert(), "counts"_a.noconvert(),
           "Log the spikes of all ranks in the last `n_steps` steps, from their messages.");
}

// Losses of a whole run.
template <class Real> void bind_losses(nb::class_<PyRun<Real>>& bound) {
  bound
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
            Index counted = 0;
            for (Index s = 0; s < aims.planes; s++)
              for (Index t = 0; t < windows.rows; t++) {
                const double each = silent_loss(run.state.topology, aims.row(s, aims.rows > 1 ? t : 0),
                                                windows.row(windows.planes > 1 ? s : 0, t));
                loss += each;
                counted += static_cast<Index>(each != 0.0);
              }
            return std::pair(counted, loss);
          },
          "target"_a.noconvert(), "window"_a.noconvert(),
          "Number of steps of samples in which outputs at zero have a loss, and its sum; NaN, unknown, if a weight of the window "
          "is "
          "negative.");
}

template <class Real> void bind_run_of(nb::module_& m, const char* name) {
  using S = PyRun<Real>;
  nb::class_<S> bound(m, name, "A network that runs on in continuous time.");
  bound
      .def("__init__", &make_run<Real>, "network"_a, "timed"_a, "in_use"_a.none() = nb::none(),
           nb::sig("def __init__(self, network: object, timed: bool, in_use: InUse | None = None) -> None"),
           "At rest; `timed` measures `phases`; between pieces of a run, `in_use` lets other threads read.")
      .def(
          "reset", [](S& run) { reset_run(run); }, "Return to rest; weights, feedback and `events` stay.")
      .def_static("bytes_before", &bytes_before<Real>, "sizes"_a, nb::sig("def bytes_before(sizes: Sizes) -> dict[str, int]"),
                  "Bytes that the arrays of each struct will take.")
      .def_static("vectors_before", &vectors_before<Real>, "sizes"_a,
                  nb::sig("def vectors_before(sizes: Sizes) -> dict[str, int]"),
                  "Bytes that the vectors will probably take.\n\nC++: `vector_bytes_before` in core/online/run.hpp.")
      .def("kept", &kept<Real>, nb::sig("def kept(self) -> list[tuple[str, Axis, numpy.ndarray]]"),
           "Name, axis and view of each array that is part of a state.")
      .def(
          "run",
          [](S& run, Index n_steps, Index offset, const PyRequest& request) {
            check_request(request, run.state.topology, run.state.neurons.state.rows, n_steps, offset);
            if (run.in_use != nullptr) run.in_use->pause();
            nb::gil_scoped_release release;
            if (request.sums.size > 0)
              n_steps = std::min(n_steps, std::max<Index>(static_cast<Index>(request.sums[static_cast<Index>(Sum::left)]), 1));
            const Index done = run_online(run, n_steps, offset, request);
            return std::pair(done, static_cast<int>(judge(run, request.loss[offset + done - 1], request.threads)));
          },
          "n_steps"_a, "offset"_a, "request"_a,
          "Run steps `offset` to `offset + n_steps` of a request; return the number of steps done, at least one, and the "
          "`Divergence`.\n\n"
          "There are fewer steps once 50 ms have passed (5 ms if a read waits), or no step is left in `sums`. Reads that wait "
          "come "
          "first.\n\n"
          "C++: `run_online` in core/online/run.cpp.")
      .def_rw("t", &S::t, "Steps since the start.")
      .def_rw("events", &S::events, "Synaptic events since the start.")
      .def_prop_ro("neurons", [](S& run) -> Neurons<Real>& { return run.state.neurons; })
      .def_prop_ro(
          "logged_steps", [](S& run) { return run.state.log.past_mask(); }, "Steps whose spikes the log keeps.")
      .def_prop_ro(
          "record_steps", [](S& run) { return run.state.log.record_steps; }, "Steps whose spikes axons process again in a state.")
      .def_rw("collect", &S::collect, "Whether spikes of own neurons go to `message` instead of the log.")
      .def(
          "judge", [](S& run, double loss, int threads) { return static_cast<int>(judge(run, loss, threads)); }, "loss"_a,
          "threads"_a, nb::call_guard<nb::gil_scoped_release>(),
          "Whether the loss or some state is not finite, a voltage beyond `largest_voltage`, or a weight known that is not "
          "finite.")
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
      .def("begin_synapses", &follow_moves<Real>, "now"_a,
           "Let the synapses that were made at time `now` begin with the last spikes of their sources.\n\n"
           "C++: `begin_synapses` in core/eprop_plus/effective_weights.hpp.")
      .def("phases", &phases<Real>, "Seconds since the last call, (partitions and the loop, `Phase`).")
      .def("bytes", &bytes_now<Real>, nb::sig("def bytes(self) -> dict[str, int]"),
           "Bytes of the arrays of each struct, and of the vectors.");
  bind_state(bound);
  bind_losses(bound);
  bind_step(bound);
}

void bind_codes(nb::module_& m) {
  nb::enum_<Divergence>(m, "Divergence", nb::is_arithmetic(),
                        "Result of `judge`; the numbers are those of `eprop.errors.Status`.")
      .value("none", Divergence::none)
      .value("not_finite", Divergence::not_finite)
      .value("weight", Divergence::weight)
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
      .value("counted", Sum::counted, "Steps with learning in which outputs at zero have a loss.")
      .value("loss", Sum::loss, "Of the steps with learning.")
      .value("silent", Sum::silent,
             "Loss of outputs at zero in these steps; NaN, unknown, if a weight of the window is negative.")
      .value("left", Sum::left, "Steps that are left until a run returns; they count down.");
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
  bind_arrays<Neurons<float>>(m, "NeuronsSingle", "See `Neurons` in core/online/state.hpp.");
  bind_arrays<Neurons<double>>(m, "NeuronsDouble", "See `Neurons` in core/online/state.hpp.");
  bind_run_of<float>(m, "OnlineSingle");
  bind_run_of<double>(m, "OnlineDouble");
}

}  // namespace eprop
