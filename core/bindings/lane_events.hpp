// Events of lanes in one step, read from Python objects in their quickest forms; Python reads others, and says what is wrong.
#pragma once
#include <algorithm>
#include <vector>

#include "bindings/convert.hpp"

namespace eprop {

// Events of a step of all lanes, see `Request`.
struct LaneEvents {
  std::vector<Index> sizes;  // channels of each event source
  std::vector<Index> start;  // (event sources, n + 1)
  std::vector<std::int32_t> channels;
  void begin_lane() { start.push_back(static_cast<Index>(channels.size())); }
};

// Reads the channels of a lane; they need not ascend. Returns false if one is out of range or occurs twice.
template <class T> bool take_channels(const T* given, Index count, Index size, std::vector<std::int32_t>& out) {
  const std::size_t first = out.size();
  for (Index k = 0; k < count; k++) {
    if (given[k] < 0 || static_cast<Index>(given[k]) >= size) return false;
    out.push_back(static_cast<std::int32_t>(given[k]));
  }
  const auto begin = out.begin() + static_cast<std::ptrdiff_t>(first);
  if (!std::is_sorted(begin, out.end())) std::sort(begin, out.end());
  return std::adjacent_find(begin, out.end()) == out.end();
}

// Reads a list with an array of channels for each lane.
inline bool take_list(LaneEvents& events, const nb::list& given, Index n, Index size) {
  if (static_cast<Index>(nb::len(given)) != n) return false;
  for (Index s = 0; s < n; s++) {
    events.begin_lane();
    In1<std::int64_t> wide;
    In1<std::int32_t> narrow;
    bool taken = false;
    if (!is_plain(given[s])) return false;
    if (nb::try_cast(given[s], wide, false)) {
      taken = take_channels(wide.data(), static_cast<Index>(wide.shape(0)), size, events.channels);
    } else if (nb::try_cast(given[s], narrow, false)) {
      taken = take_channels(narrow.data(), static_cast<Index>(narrow.shape(0)), size, events.channels);
    }
    if (!taken) return false;
  }
  return true;
}

// Reads zeros and ones, (lanes, size).
template <class T> bool take_dense(LaneEvents& events, const In2<T>& given, Index n, Index size) {
  const auto rows = view2(given);
  if (rows.rows != n || rows.columns != size) return false;
  for (Index s = 0; s < n; s++) {
    events.begin_lane();
    const T* row = rows.row(s);
    for (Index channel = 0; channel < size; channel++) {
      if (row[channel] != 0 && row[channel] != 1) return false;
      if (row[channel] != 0) events.channels.push_back(static_cast<std::int32_t>(channel));
    }
  }
  return true;
}

// Reads the events of `n` lanes. For each event source: None, zeros and ones, or a list. Returns false for another form, and for
// channels that do not fit.
inline bool take_events(LaneEvents& events, const nb::tuple& given, Index n) {
  events.start.clear();
  events.channels.clear();
  if (nb::len(given) != events.sizes.size()) return false;
  for (std::size_t c = 0; c < events.sizes.size(); c++) {
    const nb::handle part = given[c];
    In2<std::uint8_t> bytes;
    In2<double> numbers;
    bool taken = false;
    if (part.is_none()) {
      for (Index s = 0; s < n; s++) events.begin_lane();
      taken = true;
    } else if (nb::isinstance<nb::list>(part)) {
      taken = take_list(events, nb::borrow<nb::list>(part), n, events.sizes[c]);
    } else if (is_plain(part) && nb::try_cast(part, bytes, false)) {
      taken = take_dense(events, bytes, n, events.sizes[c]);
    } else if (is_plain(part) && nb::try_cast(part, numbers, false)) {
      taken = take_dense(events, numbers, n, events.sizes[c]);
    }
    if (!taken) return false;
    events.begin_lane();  // the end of the source
  }
  return true;
}

}  // namespace eprop
