// The state of lanes that continue: arrays of all lanes, one lane after the other, so that it fits any number of threads and
// ranks.
//
// What of a lane's table is kept has a row for each of its units; counters say how many. Spikes are counted for each row of the
// history, and listed by source. A given state is checked before it is read: its arrays could lead out of those of the lanes.
#pragma once
#include <algorithm>
#include <string>
#include <vector>

#include "lanes/episodes.hpp"

namespace eprop {

// Counters of each lane in a state.
enum LaneCounter : Index { kAge, kTraced, kClock, kCuts, kCounters };
// Steps and events that may be counted: 300,000 years of steps of 1 ms.
inline constexpr Index kMostCounted = 10'000'000'000'000'000;

struct LaneLog {
  std::vector<Index> counters, cuts;     // (lanes, kCounters), and steps before which episodes end
  std::vector<Index> counts, sources{};  // spikes of each row, and their sources
};

template <class Real> LaneLog lane_log(const Episodes<Real>& episodes) {
  LaneLog log;
  for (const Lane<Real>& lane : episodes.lanes) {
    for (const Index value : {lane.age, Index{lane.traced}, lane.clock, static_cast<Index>(lane.cuts.size())})
      log.counters.push_back(value);
    log.cuts.insert(log.cuts.end(), lane.cuts.begin(), lane.cuts.end());
    const Index rows = episodes.used_rows(lane), end = lane.start.columns - 1;
    for (Index t = 0; t < rows; t++) log.counts.push_back(lane.start(t, end) - lane.start(t, 0));
    log.sources.insert(log.sources.end(), lane.log.begin(), lane.log.begin() + lane.start(rows - 1, end));
  }
  return log;
}

// Units of a lane with some used rows, in a state.
template <class Real> Units units_of(const Episodes<Real>& episodes, bool traced, Index rows) {
  return {rows, episodes.learns ? rows : 0, traced ? episodes.horizon.traces() : 0};
}
template <class Real> Units units_of(const Episodes<Real>& episodes, const Lane<Real>& lane) {
  return units_of(episodes, lane.traced, episodes.used_rows(lane));
}

// Calls visit(begin, end) for the kept entries of each part of the first `rows` rows of an array.
template <class Array, class Visit> void each_part(Array& array, const LaneShape& shape, Index rows, const Visit& visit) {
  const Index stride = shape.parts > 0 ? array.columns / shape.parts : 0;
  for (Index row = 0; row < rows; row++)
    for (Index part = 0; part < shape.parts; part++) {
      const auto begin = array.values.begin() + row * array.columns + part * stride;
      visit(begin, begin + shape.entries());
    }
}

// Surrogate gradients of neurons that do not learn are work space, in the first row.
template <class Real> void clear_unlearned(Episodes<Real>& episodes) {
  for (Index b = 0; episodes.learns && b < episodes.topology.populations.size; b++)
    if (const Population& of = episodes.topology.populations[b]; of.role == Role::neuron && !episodes.learning[b])
      for (Lane<Real>& lane : episodes.lanes)
        std::fill(lane.psi.row(0) + of.target_begin, lane.psi.row(0) + of.target_end, Real{0});
}

// A given state of `counters.rows` lanes, of which some belong to this process, from number `first` on.
struct GivenLanes {
  Index first, steps;
  Array2<const Index> counters;
  Array1<const Index> cuts, counts, sources;
};

// Takes counters and spikes of a given state into lanes, and adds up the units of all. Returns what is wrong with it, or nothing.
template <class Real> std::string take_log(Episodes<Real>& episodes, const GivenLanes& given, std::vector<Units>& units) {
  const auto n = static_cast<Index>(episodes.lanes.size());
  const auto own = [&](Index s) { return given.first <= s && s < given.first + n ? &episodes.lanes[s - given.first] : nullptr; };
  episodes.steps = given.steps;
  Index cut = 0, row = 0;
  for (Index s = 0; s < given.counters.rows; s++) {
    const Index* counter = given.counters.row(s);
    if (std::any_of(counter, counter + kCounters, [](Index c) { return c < 0 || c > kMostCounted; }))
      return "its counters must be " + std::to_string(kCounters) + " for each lane, in 0.." + std::to_string(kMostCounted);
    if (counter[kCuts] > given.cuts.size - cut) return "cuts has fewer entries than its counters tell";
    const Index *begin = given.cuts.data + cut, *end = begin + counter[kCuts];
    for (const Index* c = begin; c < end; c++)
      if (*c < 1 || *c > given.steps || (c > begin && *c <= c[-1]))
        return "episodes must end one after the other, at the latest after step " + std::to_string(given.steps);
    const Index rows = episodes.horizon.history() + given.steps + episodes.horizon.delay * counter[kCuts];
    if (rows > given.counts.size - row) return "spikes/counts does not tell the spikes of all steps";
    units.push_back(units_of(episodes, counter[kTraced] != 0, rows));
    if (Lane<Real>* lane = own(s)) {
      lane->age = counter[kAge], lane->traced = counter[kTraced] != 0, lane->clock = counter[kClock];
      lane->cuts.assign(begin, end);
    }
    cut += counter[kCuts], row += rows;
  }
  if (cut != given.cuts.size) return "cuts has more entries than its counters tell";
  if (row != given.counts.size) return "spikes/counts does not tell the spikes of all steps";
  reserve_rows(episodes, 1);
  for (Lane<Real>& lane : episodes.lanes) set_units(lane, lane_sizes(episodes), room_of(episodes, lane));
  Index at = 0;
  row = 0;
  for (Index s = 0; s < given.counters.rows; s++) {
    Lane<Real>* lane = own(s);
    const Array1<Population> populations = episodes.topology.populations;
    const Index origin = at;
    for (Index t = 0; t < units[s].step; t++, row++) {
      if (given.counts[row] < 0 || given.counts[row] > given.sources.size - at) return "spikes/counts does not tell the spikes";
      const Index stop = at + given.counts[row];
      for (Index b = 0, k = at; lane != nullptr && b <= populations.size; b++) {
        while (k < stop && (b == populations.size || given.sources[k] < populations[b].first_source)) k++;
        lane->start(t, b) = k - origin;
      }
      for (Index last = -1; at < stop; at++) {
        if (given.sources[at] < 0 || given.sources[at] >= episodes.n_sources)
          return "its log of spikes names nodes that do not exist";
        if (given.sources[at] <= last) return "its log has spikes in the wrong order";
        last = given.sources[at];
      }
    }
    if (lane == nullptr) continue;
    if (static_cast<Index>(lane->log.size()) < at - origin) lane->log.resize(static_cast<std::size_t>(at - origin));
    std::copy(given.sources.data + origin, given.sources.data + at, lane->log.begin());
  }
  return at == given.sources.size ? "" : "spikes/counts does not tell the spikes of all steps";
}

}  // namespace eprop
