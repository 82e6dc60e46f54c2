// What samples give a network, in the form of both loops.
#pragma once
#include <cstdint>

#include "neurons/drives.hpp"
#include "neurons/signals.hpp"

namespace eprop {

struct Inputs {
  std::uint64_t seed = 0;
  Array2<const Index> event_start;  // (event sources, steps of all samples + 1); in the online loop without rows: no events
  Array1<const std::int32_t> event_channels;
  Array3<const double> target;  // (samples, steps or 1, readouts) NaN: none; in episodes without planes: none
  Array3<const double> window;  // (samples or 1, steps, readout populations or 1)
  External external;            // for all samples
  Array2<const double> drive;   // (steps of a sample or 0, stimuli) their factors in time
  GivenCurrents currents;       // for all samples
  bool drops = false;           // whether spikes of neurons are lost, see `Population::dropout`
};

}  // namespace eprop
