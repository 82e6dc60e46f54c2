// Inputs of a run as events: from arrays of zeros and ones, and from spike times.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "support/arrays.hpp"

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

// Appends the channels of samples `ptr` (samples, steps + 1) to `out`, ascending within a step, and writes their offsets to
// `start` (samples * steps + 1,). Returns false, with both undefined, if the offsets of a sample do not ascend within `channels`,
// or a channel is not in 0 .. size - 1 or twice in a step.
template <class T> bool copy_events(Array2<const Index> ptr, Array1<const T> channels, Index size, Array1<Index> start,
                                    std::vector<std::int32_t>& out) {
  const Index n_steps = ptr.columns - 1;
  bool valid = true, rises = true;
  start[0] = 0;
  for (Index sample = 0; sample < ptr.rows; sample++) {
    const Index* begin = ptr.row(sample);
    if (begin[0] < 0 || begin[n_steps] > channels.size || !std::is_sorted(begin, begin + n_steps + 1)) return false;
    for (Index step = 0, k = begin[0]; step < n_steps; step++) {
      for (T before = -1; k < begin[step + 1]; before = channels[k++]) {
        valid &= channels[k] >= 0 && static_cast<Index>(channels[k]) < size;
        rises &= channels[k] > before;
        out.push_back(static_cast<std::int32_t>(channels[k]));
      }
      start[sample * n_steps + step + 1] = static_cast<Index>(out.size());
    }
  }
  for (Index step = 0; step + 1 < start.size && valid && !rises; step++) {
    const auto first = out.begin() + start[step], stop = out.begin() + start[step + 1];
    std::sort(first, stop);
    valid = std::adjacent_find(first, stop) == stop;
  }
  return valid;
}

}  // namespace eprop
