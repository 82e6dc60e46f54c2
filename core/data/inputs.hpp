// Inputs of a run as events: from arrays of zeros and ones, and from spike times.
#pragma once
#include <cstdint>
#include <vector>

#include "common/arrays.hpp"

namespace eprop {

// Appends the columns of the ones of each row to `channels`, and writes the offsets of the rows and the end from `start[0]` on;
// returns false if some number is neither 0 nor 1.
template <class T> bool find_ones(Array2<const T> dense, Index* start, std::vector<std::int32_t>& channels) {
  bool valid = true;
  for (Index row = 0; row < dense.rows; row++) {
    const T* values = dense.row(row);
    for (Index column = 0; column < dense.columns; column++) {
      if (values[column] == T(0)) continue;
      valid &= values[column] == T(1);
      channels.push_back(static_cast<std::int32_t>(column));
    }
    start[row + 1] = start[0] + static_cast<Index>(channels.size());
  }
  return valid;
}

// Spikes of one population: times (ms) and channels, of `size` channels.
struct SpikeTrain {
  Array1<const double> times;
  Array1<const Index> channels;
  Index size;
};

// Sorts spikes into steps of length dt: `start` (steps + 1,) has the offsets of the steps in `channels`, which ascend within a
// step. A time that is a multiple of dt, up to the rounding of its type (`precision`), is in the step that begins there; spikes
// of one channel and step count once. Returns false if a time is outside the steps, or a channel does not exist.
bool bin_spikes(const SpikeTrain& train, double dt, double precision, Array1<Index> start, std::vector<std::int32_t>& channels);

// Copies the channels of samples `ptr` (samples, steps + 1) to `out`, and their offsets to `start` (samples * steps + 1,).
// Returns false, with both undefined, unless offsets ascend within `channels`, the copies fit, and the channels of every step
// ascend within 0 .. size - 1.
bool copy_events(Array2<const Index> ptr, Array1<const std::int32_t> channels, Index size, Array1<Index> start,
                 Array1<std::int32_t> out);

}  // namespace eprop
