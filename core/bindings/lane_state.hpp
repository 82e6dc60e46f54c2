// The state of lanes that continue, as arrays by name: of all lanes one after the other.
#pragma once
#include <algorithm>
#include <utility>
#include <vector>

#include "bindings/convert.hpp"
#include "lanes/episodes.hpp"

namespace eprop {

// Counters of each lane in a state.
enum LaneCounter : Index { kAge, kTraced, kClock, kCuts, kSpikes, kCounters };

// Calls visit(name, values, length) for each part of a state: values(lane) is a vector that begins with the values of a lane, and
// length(lane) is their number.
template <class Real, class Visit> void each_part(const Episodes<Real>& episodes, const Visit& visit) {
  using Of = Lane<Real>;
  const auto whole = [&](const char* name, const auto& values) {
    visit(name, values, [&](Of& lane) { return static_cast<Index>(values(lane).size()); });
  };
  whole("neurons", [](Of& lane) -> auto& { return lane.state.values; });
  whole("y", [](Of& lane) -> auto& { return lane.y; });
  whole("begin_neurons", [](Of& lane) -> auto& { return lane.begin.neurons; });
  whole("begin_y", [](Of& lane) -> auto& { return lane.begin.y; });
  whole("cuts", [](Of& lane) -> auto& { return lane.cuts; });
  visit(
      "start", [](Of& lane) -> auto& { return lane.start.values; },
      [&](Of& lane) { return episodes.used_rows(lane) * lane.start.columns; });
  visit(
      "log", [](Of& lane) -> auto& { return lane.log; },
      [&](Of& lane) { return lane.start(episodes.used_rows(lane) - 1, lane.start.columns - 1); });
  visit(
      "psi", [](Of& lane) -> auto& { return lane.psi.values; },
      [&](Of& lane) { return episodes.learns ? episodes.used_rows(lane) * lane.psi.columns : 0; });
  visit(
      "traces", [](Of& lane) -> auto& { return lane.traces.values; },
      [&](Of& lane) { return lane.traced ? lane.traces.view().size() : 0; });
  if (episodes.topology.products.size == 0) return;
  visit(
      "kept", [](Of& lane) -> auto& { return lane.kept.values; },
      [&](Of& lane) { return episodes.learns ? episodes.used_rows(lane) * lane.kept.columns : 0; });
  visit(
      "product_traces", [](Of& lane) -> auto& { return lane.product_traces.values; },
      [&](Of& lane) { return lane.traced ? lane.product_traces.view().size() : 0; });
}

template <class Real> nb::dict lane_state(Episodes<Real>& episodes) {
  nb::dict out;
  std::vector<Index> counters;
  for (Lane<Real>& lane : episodes.lanes) {
    const Index spikes = lane.start(episodes.used_rows(lane) - 1, lane.start.columns - 1);
    for (const Index value : {lane.age, Index{lane.traced}, lane.clock, static_cast<Index>(lane.cuts.size()), spikes})
      counters.push_back(value);
  }
  out["counters"] = handed_over(std::move(counters));
  each_part(episodes, [&](const char* name, const auto& values, const auto& length) {
    std::vector<typename std::decay_t<decltype(values(episodes.lanes.front()))>::value_type> joined;
    for (Lane<Real>& lane : episodes.lanes)
      joined.insert(joined.end(), values(lane).begin(), values(lane).begin() + length(lane));
    out[name] = handed_over(std::move(joined));
  });
  return out;
}

// Writes the counters of a state and allocates the rest.
template <class Real> void set_counters(Episodes<Real>& episodes, Array1<const Index> given) {
  const auto n = static_cast<Index>(episodes.lanes.size());
  for (Index s = 0; s < n; s++) {
    const Index* counter = given.data + s * kCounters;
    Lane<Real>& lane = episodes.lanes[s];
    lane.age = counter[kAge];
    lane.traced = counter[kTraced] != 0;
    lane.clock = counter[kClock];
    lane.cuts.assign(static_cast<std::size_t>(counter[kCuts]), 0);
    if (lane.traced) lane.traces = Owned2<Real>(episodes.horizon.traces(), episodes.topology.targets.size);
    if (lane.traced) lane.product_traces = make_product_traces(episodes);
  }
  reserve_rows(episodes, 1);
  for (Index s = 0; s < n; s++) {
    Lane<Real>& lane = episodes.lanes[s];
    const Index spikes = given[s * kCounters + kSpikes];
    lane.start(episodes.used_rows(lane) - 1, lane.start.columns - 1) = spikes;  // length of the log
    if (static_cast<Index>(lane.log.size()) < spikes) lane.log.resize(static_cast<std::size_t>(spikes));
  }
}

// Restores a state that `lane_state.py` has checked. Returns false if an array has another length; the lanes are then unchanged.
template <class Real> bool set_lane_state(Episodes<Real>& episodes, Index steps, const nb::dict& state) {
  const auto counters = view1(nb::cast<In1<Index>>(state["counters"], false));
  if (counters.size != static_cast<Index>(episodes.lanes.size()) * kCounters) return false;
  Episodes<Real> next = episodes;
  next.steps = steps;
  set_counters(next, counters);
  bool fits = true;
  each_part(next, [&](const char* name, const auto& values, const auto& length) {
    using Value = typename std::decay_t<decltype(values(next.lanes.front()))>::value_type;
    const auto given = view1(nb::cast<In1<Value>>(state[name], false));
    Index total = 0;
    for (Lane<Real>& lane : next.lanes) {
      const Index count = length(lane);
      fits &= 0 <= count && count <= static_cast<Index>(values(lane).size());
      total += count;
    }
    fits &= given.size == total;
    if (!fits) return;
    const Value* from = given.data;
    for (Lane<Real>& lane : next.lanes) {
      const Index count = length(lane);
      std::copy(from, from + count, values(lane).begin());
      from += count;
    }
  });
  if (fits) episodes = std::move(next);
  return fits;
}

}  // namespace eprop
