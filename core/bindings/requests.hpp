// Requests from Python, whose arrays the core views, with checks against a network.
#pragma once
#include <nanobind/stl/tuple.h>

#include <tuple>

#include "bindings/convert.hpp"
#include "network/inputs.hpp"
#include "network/tables.hpp"

namespace eprop {

// Arrays (signals, first, modulator, reward); give arguments of this type `.noconvert()`.
using ExternalArrays = std::tuple<In3<double>, In1<Index>, In2<double>, In2<double>>;

// Views of arrays, which must outlive the views.
inline External external_of(const ExternalArrays& arrays) {
  const auto& [signals, first, modulator, reward] = arrays;
  return {view3(signals), view1(first), view2(modulator), view2(reward)};
}

// Arrays (values, first, row, rest) of given currents.
using CurrentArrays = std::tuple<In3<double>, In1<Index>, In1<Index>, In1<double>>;

// A request, and the arrays that it views, by field.
template <class Request> struct PyRequest : Request {
  PyRequest() = default;
  PyRequest(const PyRequest& other)
      : Request(other), external_arrays(other.external_arrays), current_arrays(other.current_arrays) {
    arrays.update(other.arrays);
  }
  nb::dict arrays;
  ExternalArrays external_arrays;
  CurrentArrays current_arrays;
};

// A field that is an array: the request views it and keeps it alive.
template <class A, class Request, class Base, class View>
void bind_array(nb::class_<PyRequest<Request>>& bound, const char* name, View Base::* field, const char* doc = "") {
  bound.def_prop_rw(
      name, [name](const PyRequest<Request>& self) { return nb::cast<A>(self.arrays[name]); },
      [name, field](PyRequest<Request>& self, const A& array) {
        self.*field = view_of(array);
        self.arrays[name] = nb::cast(array);
      },
      nb::for_setter(nb::arg("array").noconvert()), nb::for_getter(nb::rv_policy::automatic), doc);
}

// The inputs of a request, which are those of both loops.
template <class Request> void bind_inputs(nb::class_<PyRequest<Request>>& bound) {
  using R = PyRequest<Request>;
  bound.def_rw("seed", &R::seed).def_rw("drops", &R::drops, "Whether spikes of neurons are lost, see `Population::dropout`.");
  bind_array<In2<Index>>(bound, "event_start", &Inputs::event_start, "(event sources, steps of all samples + 1)");
  bind_array<In1<std::int32_t>>(bound, "event_channels", &Inputs::event_channels, "Channels of all events, in order.");
  bind_array<In3<double>>(bound, "target", &Inputs::target, "(samples, steps or 1, readouts)");
  bind_array<In3<double>>(bound, "window", &Inputs::window, "(samples or 1, steps, readout populations or 1)");
  bind_array<In2<double>>(bound, "drive", &Inputs::drive, "(steps of a sample or 0, stimuli): factors of the stimuli in time.");
  bound.def_prop_rw(
      "external", [](const R& self) { return self.external_arrays; },
      [](R& self, const ExternalArrays& arrays) {
        self.external = external_of(arrays);
        self.external_arrays = arrays;
      },
      nb::for_setter(nb::arg("arrays").noconvert()), nb::for_getter(nb::rv_policy::automatic),
      "Signals, their first columns, modulator and reward; see `ExternalSignals`.");
  bound.def_prop_rw(
      "currents", [](const R& self) { return self.current_arrays; },
      [](R& self, const CurrentArrays& arrays) {
        const auto& [values, first, row, rest] = arrays;
        self.currents = {view3(values), view1(first), view1(row), view1(rest)};
        self.current_arrays = arrays;
      },
      nb::for_setter(nb::arg("arrays").noconvert()), nb::for_getter(nb::rv_policy::automatic),
      "Currents of the neurons in each step, their first columns, rows of the state, and what remains; see `GivenCurrents`.");
}

// Whether each population with a column `first` >= 0 has columns for all of its own neurons.
inline bool columns_fit(const Topology& topology, const Array1<const Index>& first, Index columns) {
  if (first.size != topology.populations.size) return false;
  for (Index b = 0; b < topology.populations.size; b++) {
    const Population& population = topology.populations[b];
    if (first[b] < 0) continue;
    if (population.role != Role::neuron || first[b] + population.target_end - population.target_begin > columns) return false;
  }
  return true;
}

// Whether given currents cover all samples, steps and own neurons of their populations.
inline bool currents_fit(const Topology& topology, const GivenCurrents& given, Index samples, Index n_steps, Index state_rows) {
  if (given.values.planes == 0) return true;
  const bool covers = given.values.planes == samples && given.values.rows == n_steps && given.rest.size == given.values.columns;
  if (!covers || given.row.size != topology.populations.size) return false;
  for (Index b = 0; b < given.row.size; b++)
    if (given.row[b] >= state_rows) return false;
  return columns_fit(topology, given.first, given.values.columns);
}

// Whether the signals of all samples have columns for the own neurons of their populations, and cover all steps.
inline bool external_fits(const Topology& topology, const External& external, Index samples, Index n_steps) {
  const Array3<const double>& signals = external.signals;
  const auto covers = [&](const Array2<const double>& a) {
    return a.rows == 0 || ((a.rows == 1 || a.rows == samples) && a.columns == n_steps);
  };
  if (!covers(external.modulator) || !covers(external.reward)) return false;
  if (signals.planes == 0) return true;
  return signals.planes == samples && signals.rows == n_steps && columns_fit(topology, external.first, signals.columns);
}

// Whether factors of drives are given for no step or for all, and for all stimuli.
inline bool drive_fits(const Topology& topology, const Array2<const double>& drive, Index n_steps) {
  if (drive.rows == 0) return true;
  bool fits = drive.rows == n_steps;
  for (Index k = 0; k < topology.drives.size; k++) fits &= topology.drives[k].stimulus < drive.columns;
  return fits;
}

// Whether each population of readouts has its own window.
inline bool windows_fit(const Topology& topology, const Array3<const double>& window) {
  Index readouts = 0;
  for (Index b = 0; b < topology.populations.size; b++) readouts += topology.populations[b].role == Role::readout;
  return window.columns >= readouts;
}

// Whether inputs of some samples of `n_steps` steps fit a network; without targets, windows are not read.
inline bool inputs_fit(const Topology& topology, const Inputs& in, Index samples, Index n_steps, Index state_rows) {
  const bool driven =
      drive_fits(topology, in.drive, n_steps) && currents_fit(topology, in.currents, samples, n_steps, state_rows);
  if (in.target.planes == 0 || !driven) return driven;
  return in.target.planes == samples && in.target.columns == topology.n_readouts() && windows_fit(topology, in.window) &&
         (in.target.rows == 1 || in.target.rows == n_steps) && in.window.rows == n_steps &&
         (in.window.planes == 1 || in.window.planes >= samples);
}

}  // namespace eprop
