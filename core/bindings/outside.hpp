// Values from outside, from Python, with checks against a network.
#pragma once
#include <nanobind/stl/tuple.h>

#include <tuple>

#include "bindings/convert.hpp"
#include "common/signals.hpp"
#include "common/tables.hpp"

namespace eprop {

// Arrays (signals, first, modulator, reward); give arguments of this type `.noconvert()`.
using ExternalArrays = std::tuple<In3<double>, In1<Index>, In2<double>, In2<double>>;

// Views of arrays, which must outlive the views.
inline Outside outside_of(const ExternalArrays& arrays) {
  const auto& [signals, first, modulator, reward] = arrays;
  return {view3(signals), view1(first), view2(modulator), view2(reward)};
}

// Views of a tuple (signals, first, modulator, reward), whose owner must outlive the views.
inline Outside outside_of(nb::handle arrays) {
  if (nb::len(arrays) != 4) throw nb::type_error("outside: signals, first, modulator and reward are expected");
  Outside outside;
  In3<double> signals;
  In1<Index> first;
  In2<double> modulator, reward;
  if (!nb::try_cast(arrays[0], signals, false) || !nb::try_cast(arrays[1], first, false) ||
      !nb::try_cast(arrays[2], modulator, false) || !nb::try_cast(arrays[3], reward, false))
    throw nb::type_error("outside: an array of another type, number of axes or layout is expected");
  return {view3(signals), view1(first), view2(modulator), view2(reward)};
}

// Whether the signals of all samples have columns for the own neurons of their populations, and cover all steps.
inline bool outside_fits(const Topology& topology, const Outside& outside, Index samples, Index n_steps) {
  const Array3<const double>& signals = outside.signals;
  const auto covers = [&](const Array2<const double>& a) {
    return a.rows == 0 || ((a.rows == 1 || a.rows == samples) && a.columns == n_steps);
  };
  if (!covers(outside.modulator) || !covers(outside.reward)) return false;
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
