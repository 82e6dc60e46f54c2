// A request from Python, whose arrays the core views, and checks of requests against a network.
#pragma once
#include <vector>

#include "bindings/convert.hpp"
#include "network/tables.hpp"
#include "step/request.hpp"

namespace eprop {

// A request and the arrays that it views, by the number of the field.
struct PyRequest : Request {
  std::vector<nb::object> arrays;
};

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
         (in.target.rows == 1 || in.target.rows == n_steps) && (in.window.rows == 1 || in.window.rows == n_steps) &&
         (in.window.planes == 1 || in.window.planes >= samples);
}

}  // namespace eprop
