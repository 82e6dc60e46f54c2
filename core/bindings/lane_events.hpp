// Events of lanes, read from Python objects of several forms: this takes less time than to convert them there.
#pragma once
#include <algorithm>
#include <vector>

#include "bindings/convert.hpp"

namespace eprop {

// Results of reading events besides the number of a lane whose channels are out of range or occur twice: success, or a form that
// Python must convert first.
inline constexpr Index kRead = -1, kUnreadable = -2;

// Events of some steps of all lanes: step t of lane s has index s * n_steps + t, see `Request`.
struct LaneEvents {
  std::vector<Index> sizes;  // channels of each event source
  std::vector<Index> start;  // (event sources, n * n_steps + 1)
  std::vector<std::int32_t> channels;
  void begin_step() { start.push_back(static_cast<Index>(channels.size())); }
};

// Reads the channels of a lane in one step; they need not ascend.
template <class T> Index take_channels(const T* given, Index count, Index size, Index lane, std::vector<std::int32_t>& out) {
  const std::size_t first = out.size();
  for (Index k = 0; k < count; k++) {
    if (given[k] < 0 || static_cast<Index>(given[k]) >= size) return lane;
    out.push_back(static_cast<std::int32_t>(given[k]));
  }
  const auto begin = out.begin() + static_cast<std::ptrdiff_t>(first);
  if (!std::is_sorted(begin, out.end())) std::sort(begin, out.end());
  return std::adjacent_find(begin, out.end()) == out.end() ? kRead : lane;
}

// Reads one step: a list with an array of channels for each lane.
inline Index take_list(LaneEvents& events, const nb::list& given, Index n, Index size) {
  if (static_cast<Index>(nb::len(given)) != n) return kUnreadable;
  for (Index s = 0; s < n; s++) {
    events.begin_step();
    In1<std::int64_t> wide;
    In1<std::int32_t> narrow;
    Index problem = kUnreadable;
    if (!is_plain(given[s])) return kUnreadable;
    if (nb::try_cast(given[s], wide, false)) {
      problem = take_channels(wide.data(), static_cast<Index>(wide.shape(0)), size, s, events.channels);
    } else if (nb::try_cast(given[s], narrow, false)) {
      problem = take_channels(narrow.data(), static_cast<Index>(narrow.shape(0)), size, s, events.channels);
    }
    if (problem != kRead) return problem;
  }
  return kRead;
}

// Reads zeros and ones, (steps, lanes, size).
inline Index take_dense(LaneEvents& events, const Array3<const std::uint8_t>& given) {
  for (Index s = 0; s < given.rows; s++)
    for (Index t = 0; t < given.planes; t++) {
      events.begin_step();
      const std::uint8_t* row = given.row(t, s);
      for (Index channel = 0; channel < given.columns; channel++) {
        if (row[channel] > 1) return s;
        if (row[channel]) events.channels.push_back(static_cast<std::int32_t>(channel));
      }
    }
  return kRead;
}

// Reads the events of `n` lanes in some steps. For each event source: None; zeros and ones, (steps, lanes, size), or for a single
// step (lanes, size); for a single step also a list with an array of channels for each lane.
inline Index take_events(LaneEvents& events, const nb::tuple& given, Index n, Index n_steps) {
  events.start.clear();
  events.channels.clear();
  if (nb::len(given) != events.sizes.size()) return kUnreadable;
  for (std::size_t c = 0; c < events.sizes.size(); c++) {
    const nb::handle part = given[c];
    const Index size = events.sizes[c];
    In2<std::uint8_t> flat;
    In3<std::uint8_t> dense;
    Array3<const std::uint8_t> zeros_and_ones;
    Index problem = kUnreadable;
    if (part.is_none()) {
      for (Index k = 0; k < n * n_steps; k++) events.begin_step();
      problem = kRead;
    } else if (nb::isinstance<nb::list>(part)) {
      if (n_steps == 1) problem = take_list(events, nb::borrow<nb::list>(part), n, size);
    } else if (!is_plain(part)) {
      problem = kUnreadable;
    } else if (n_steps == 1 && nb::try_cast(part, flat, false)) {
      zeros_and_ones = {flat.data(), 1, static_cast<Index>(flat.shape(0)), static_cast<Index>(flat.shape(1))};
    } else if (nb::try_cast(part, dense, false)) {
      zeros_and_ones = view3(dense);
    }
    if (zeros_and_ones.planes == n_steps && zeros_and_ones.rows == n && zeros_and_ones.columns == size)
      problem = take_dense(events, zeros_and_ones);
    if (problem != kRead) return problem;
    events.begin_step();  // the end of the source
  }
  return kRead;
}

}  // namespace eprop
