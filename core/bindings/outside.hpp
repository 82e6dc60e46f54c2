// What is told from outside, from Python, and whether it fits a network.
#pragma once
#include "convert.hpp"
#include "signals.hpp"
#include "tables.hpp"

namespace eprop {

// Of a tuple (signals, first, modulator), whose owner must outlive the views.
inline Outside outside_of(nb::handle arrays) {
  if (nb::len(arrays) != 3) throw nb::type_error("outside: signals, first and modulator are expected");
  Outside outside;
  In3<double> signals;
  In1<Index> first;
  In2<double> modulator;
  if (!nb::try_cast(arrays[0], signals, false) || !nb::try_cast(arrays[1], first, false) ||
      !nb::try_cast(arrays[2], modulator, false))
    throw nb::type_error("outside: an array of another type, number of axes or layout is expected");
  return {view3(signals), view1(first), view2(modulator)};
}

// Whether the signals of all samples have columns for the own neurons of their populations, and all steps are there.
inline bool outside_fits(const Topology& topology, const Outside& outside, Index samples, Index n_steps) {
  const Array3<const double>& signals = outside.signals;
  const Array2<const double>& modulator = outside.modulator;
  if (modulator.rows != 0 && ((modulator.rows != 1 && modulator.rows != samples) || modulator.columns != n_steps)) return false;
  if (signals.planes == 0) return true;
  if (signals.planes != samples || signals.rows != n_steps || outside.first.size != topology.populations.size) return false;
  for (Index b = 0; b < topology.populations.size; b++) {
    const Population& population = topology.populations[b];
    if (outside.first[b] < 0) continue;
    if (population.role != Role::neuron) return false;
    if (outside.first[b] + population.target_end - population.target_begin > signals.columns) return false;
  }
  return true;
}

// Whether each population of readouts has its own window.
inline bool windows_fit(const Topology& topology, const Array3<const double>& window) {
  Index readouts = 0;
  for (Index b = 0; b < topology.populations.size; b++) readouts += topology.populations[b].role == Role::readout;
  return window.columns >= readouts;
}

}  // namespace eprop
