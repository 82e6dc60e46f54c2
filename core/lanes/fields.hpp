// The tables of a lane and of its backward pass: each of its arrays has a row, from which its memory, its bytes before there is
// memory, its growth and its part of a state follow. As network/fields.hpp, for arrays that own their memory and grow with the
// steps of a rollout.
#pragma once
#include <tuple>
#include <type_traits>
#include <utility>

#include "network/fields.hpp"

namespace eprop {

struct LaneSizes;  // see lanes/state.hpp

// What an array of a lane has units of rows for: the lane, each step, each step if the lane learns, each trace of a synapse.
enum class RowsFor { lane, step, learning, trace };
struct Units {
  Index step, learning, trace;
  Index of(RowsFor what) const {
    return what == RowsFor::lane ? 1 : what == RowsFor::step ? step : what == RowsFor::learning ? learning : trace;
  }
};

// Rows of a unit and their length. A row has parts, of which a state has the first `used` entries: all, or those without padding.
struct LaneShape {
  Index rows, columns, parts = 1, used = -1;
  Index entries() const { return used < 0 ? columns / parts : used; }
};

// A row of the table of a struct S.
template <class S, class Array> struct LaneField {
  const char* name;  // in a state
  Array S::* member;
  Axis axis;
  RowsFor units;
  int kept;  // see Kept
  LaneShape (*shape)(const LaneSizes& sizes);
};
template <class S, class Array> LaneField(const char*, Array S::*, Axis, RowsFor, int, LaneShape (*)(const LaneSizes&))
    -> LaneField<S, Array>;

template <class S, class Visit> void each_field(const Visit& visit) {
  std::apply([&](const auto&... field) { (visit(field), ...); }, S::fields());
}

// Gives arrays memory for some units; what they have stays.
template <class S> void set_units(S& lane, const LaneSizes& sizes, const Units& units) {
  each_field<S>([&](const auto& field) {
    auto& array = lane.*field.member;
    const LaneShape shape = field.shape(sizes);
    array.rows = units.of(field.units) * shape.rows;
    array.columns = shape.columns;
    array.values.resize(static_cast<std::size_t>(array.rows * array.columns));
  });
}

// Bytes of the arrays before there are any.
template <class S> Index bytes_of(const LaneSizes& sizes, const Units& units) {
  Index bytes = 0;
  each_field<S>([&](const auto& field) {
    const LaneShape shape = field.shape(sizes);
    bytes += units.of(field.units) * shape.rows * shape.columns *
             static_cast<Index>(sizeof(*(std::declval<S&>().*field.member).values.data()));
  });
  return bytes;
}

}  // namespace eprop
