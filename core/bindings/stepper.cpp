// One step from Python.
#include "online/stepper.hpp"

#include <nanobind/stl/pair.h>

#include <string_view>
#include <utility>

#include "bindings/network.hpp"
#include "bindings/online.hpp"

namespace eprop {
namespace {

// A stepper with all that a step of Python needs: one call does it, because between two steps of a large network the
// interpreter falls out of the caches.
struct PyStepper : Stepper {
  // The only population that an argument can mean: its first element and size; the size is -1 if there are several.
  using Place = std::pair<Index, Index>;
  Place readouts, neurons;
};

struct UseGuard {
  explicit UseGuard(InUse& in_use) : in_use(in_use), held(in_use.acquire()) {}
  UseGuard(const UseGuard&) = delete;
  UseGuard& operator=(const UseGuard&) = delete;
  ~UseGuard() {
    if (held) in_use.release();
  }
  InUse& in_use;
  const bool held;
};

// A view of an object by the buffer protocol, which takes a fraction of what an `nb::ndarray` takes.
class Buffer {
 public:
  explicit Buffer(nb::handle value)
      : held(is_plain(value) && PyObject_CheckBuffer(value.ptr()) != 0 &&
             PyObject_GetBuffer(value.ptr(), &view, PyBUF_ND | PyBUF_FORMAT) == 0) {
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
bool take_argument(nb::handle value, std::vector<double>& to, PyStepper::Place place, Given bit, int& given) {
  if (value.is_none()) return true;
  const Buffer buffer(value);
  const auto* numbers = place.second < 0 ? nullptr : buffer.numbers<double>("d");
  if (numbers == nullptr || buffer.size() != place.second) return false;
  if (bit == kTarget && std::any_of(numbers, numbers + place.second, [](double x) { return std::isnan(x); })) return false;
  std::copy_n(numbers, place.second, to.begin() + place.first);
  given |= bit;
  return true;
}

// The same for signals of all neurons, which may be many: `values` outlives the step, so nothing is copied.
bool take_signals(const Buffer& values, PyStepper& stepper, int& given) {
  const auto* numbers = stepper.neurons.second < 0 ? nullptr : values.numbers<double>("d");
  if (numbers == nullptr || values.size() != static_cast<Index>(stepper.signal.size())) return false;
  stepper.signals = numbers;
  given |= kSignal;
  return true;
}

// One step. Arguments are those of the only population, or None; bits of `given` name those that the stepper already has, as
// it may have its events. Keeps the GIL: a step is short, and another thread that takes the GIL could keep it for milliseconds.
template <class Real> int step_online(PyRun<Real>& run, PyStepper& stepper, nb::handle channels, nb::handle target,
                                      nb::handle signal, nb::handle error, double modulator, double reward, int given) {
  const Topology& topology = run.state.topology;
  if (run.in_use == nullptr || topology.n_readouts() != static_cast<Index>(stepper.y.size()) ||
      topology.n_neurons() != static_cast<Index>(stepper.signal.size()))
    throw nb::value_error("Stepper: made for another network");
  const UseGuard use(*run.in_use);
  if (!use.held) return static_cast<int>(StepStatus::busy);
  stepper.signals = stepper.signal.data();
  const Buffer signals(signal);
  if ((!channels.is_none() && !take_channels(stepper, stepper.source, channels)) ||
      !take_argument(target, stepper.target, stepper.readouts, kTarget, given) ||
      (!signal.is_none() && !take_signals(signals, stepper, given)) ||
      !take_argument(error, stepper.error, stepper.readouts, kError, given)) {
    clear_arguments(stepper, kTarget | kSignal | kError);
    return static_cast<int>(StepStatus::form);
  }
  stepper.modulator = modulator;
  stepper.reward = reward;
  return static_cast<int>(take_step(run, stepper, given));
}

// A view of an array of a stepper, which lives as long as the view.
template <class T> Result<T> array_of(nb::handle owner, std::vector<T>& values) {
  const std::size_t shape[1] = {values.size()};
  return {values.data(), 1, shape, owner};
}

bool lies_within(const PyStepper::Place& place, Index size) { return place.first >= 0 && place.first + place.second <= size; }

void make_stepper(PyStepper* stepper, const PyTopology& sizes, std::uint64_t seed, bool frozen, int threads, Index source,
                  PyStepper::Place readouts, PyStepper::Place neurons, Out1<Index> of_neurons, Out1<double> sums) {
  if (!lies_within(readouts, sizes.n_readouts()) || !lies_within(neurons, sizes.n_neurons()))
    throw nb::value_error("Stepper: places within the network are expected");
  if (static_cast<Index>(of_neurons.size()) != sizes.n_neurons() || static_cast<Index>(sums.size()) != kSums)
    throw nb::value_error("Stepper: arrays for the spikes of all neurons and for sums are expected");
  new (stepper) PyStepper();
  stepper->source = source;
  stepper->readouts = readouts;
  stepper->neurons = neurons;
  prepare_stepper(*stepper, sizes, seed, frozen, threads);
  stepper->request.of_neurons = view1(of_neurons);
  stepper->request.sums = view1(sums);
}

}  // namespace

template <class Real> void bind_step(nb::class_<PyRun<Real>>& bound) {
  bound.def(
      "step", &step_online<Real>, "stepper"_a, "channels"_a.none(), "target"_a.none(), "signal"_a.none(), "error"_a.none(),
      "modulator"_a, "reward"_a, "given"_a,
      nb::sig("def step(self, stepper: Stepper, channels: object, target: object, signal: object, error: object, "
              "modulator: float, reward: float, given: int) -> int"),
      "One step; return its `StepStatus`.\n\nArguments are those of the only population, or None. Bits of `given` (`Given`) "
      "name those that the stepper already holds.\n\n"
      "C++: `take_step` in core/online/stepper.hpp.");
}
template void bind_step(nb::class_<PyRun<float>>&);
template void bind_step(nb::class_<PyRun<double>>&);

void bind_stepper(nb::module_& m) {
  nb::enum_<StepStatus>(m, "StepStatus", nb::is_arithmetic(), "Result of a step, or the reason why it was refused.")
      .value("done", StepStatus::done)
      .value("target", StepStatus::target, "The target is not finite.")
      .value("shares", StepStatus::shares, "The target is no class probabilities.")
      .value("signal", StepStatus::signal, "The signal is not finite.")
      .value("modulator", StepStatus::modulator, "The modulator is not finite.")
      .value("error", StepStatus::error, "The error is infinite.")
      .value("no_step_before", StepStatus::no_step_before, "There is no step that the error could belong to.")
      .value("check", StepStatus::check, "Done; it is time to check for values that are not finite.")
      .value("reward", StepStatus::reward, "The reward is not finite.")
      .value("no_reward", StepStatus::no_reward, "No synapse has a reward trace.")
      .value("form", StepStatus::form, "An argument needs conversion, or is invalid.")
      .value("busy", StepStatus::busy, "Another thread uses the network.");
  nb::enum_<Given>(m, "Given", nb::is_arithmetic(), "Bits of arguments that a stepper already holds.")
      .value("target", kTarget)
      .value("signal", kSignal)
      .value("error", kError);
  nb::class_<PyStepper>(m, "Stepper", "Arguments and results of single steps.")
      .def("__init__", &make_stepper, "topology"_a, "seed"_a, "frozen"_a, "threads"_a, "source"_a, "readouts"_a, "neurons"_a,
           "of_neurons"_a.noconvert(), "sums"_a.noconvert(), nb::keep_alive<1, 9>(), nb::keep_alive<1, 10>(),
           "`source`, `readouts` and `neurons` are the only ones that an argument can mean: index of the source or -1, and "
           "(first, size) with size -1 if there are several. `of_neurons` and `sums` are those of a `Request`.")
      .def(
          "take", [](PyStepper& stepper, Index source, nb::handle channels) { return take_channels(stepper, source, channels); },
          "source"_a, "channels"_a, nb::sig("def take(self, source: int, channels: object) -> bool"),
          "Read the events of a source in the next step; return whether that was possible.")
      .def(
          "forget", [](PyStepper& stepper) { clear_arguments(stepper, kTarget | kSignal | kError); },
          "Drop the arguments of the step.")
      .def_prop_ro(
          "target", [](nb::handle self) { return array_of(self, nb::cast<PyStepper&>(self).target); }, nb::rv_policy::automatic,
          "Of all readouts, for the next step.")
      .def_prop_ro(
          "signal", [](nb::handle self) { return array_of(self, nb::cast<PyStepper&>(self).signal); }, nb::rv_policy::automatic,
          "Of all neurons, for the next step.")
      .def_prop_ro(
          "error", [](nb::handle self) { return array_of(self, nb::cast<PyStepper&>(self).error); }, nb::rv_policy::automatic,
          "Of all readouts, for the next step.")
      .def_prop_ro(
          "y", [](nb::handle self) { return array_of(self, nb::cast<PyStepper&>(self).shown); }, nb::rv_policy::automatic,
          "Outputs of the last step, mV.")
      .def_ro("rewarded", &PyStepper::rewarded, "Whether synapses have reward traces.")
      .def_prop_ro("loss", [](const PyStepper& stepper) { return stepper.loss[0]; })
      .def_prop_ro("spikes", [](const PyStepper& stepper) { return stepper.spikes[0]; });
}

}  // namespace eprop
