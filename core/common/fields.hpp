// Tables of arrays: a struct of views has a row for each of its arrays, `fields()`. Its memory, its bytes before there is memory,
// what a reset clears, what a state holds and what Python sees follow from the rows.
#pragma once
#include <algorithm>
#include <tuple>
#include <vector>

#include "common/aligned.hpp"

namespace eprop {

struct Sizes;  // the numbers on which shapes depend, see online/sizes.hpp

// What the entries of the last axis of an array belong to, and so how ranks divide it.
enum class Axis : Index { same, neuron, source, synapse };
// Whether an array is part of a state, and whether it outlasts a reset, which clears all others.
enum Kept : int { kWork = 0, kState = 1, kLasting = 2 };

// Lengths of the axes of an array; those that it does not have are 1.
struct Shape {
  Index first = 1, second = 1, third = 1;
  Index entries() const { return first * second * third; }
};

template <class T> void place(Array1<T>& array, T* data, const Shape& shape) { array = {data, shape.first}; }
template <class T> void place(Array2<T>& array, T* data, const Shape& shape) { array = {data, shape.first, shape.second}; }
template <class T> void place(Array3<T>& array, T* data, const Shape& shape) {
  array = {data, shape.first, shape.second, shape.third};
}
template <class T> Shape shape_of(const Array1<T>& array) { return {array.size}; }
template <class T> Shape shape_of(const Array2<T>& array) { return {array.rows, array.columns}; }
template <class T> Shape shape_of(const Array3<T>& array) { return {array.planes, array.rows, array.columns}; }
template <class T> constexpr int axes_of(const Array1<T>&) { return 1; }
template <class T> constexpr int axes_of(const Array2<T>&) { return 2; }
template <class T> constexpr int axes_of(const Array3<T>&) { return 3; }

// A row of the table of a struct S.
template <class S, class View> struct Field {
  const char* name;  // in a state, and for Python
  View S::* member;
  Axis axis;
  int kept;  // see Kept
  Shape (*shape)(const Sizes& sizes);
};
template <class S, class View> Field(const char*, View S::*, Axis, int, Shape (*)(const Sizes&)) -> Field<S, View>;

// Calls visit(field, array) for each array of a struct.
template <class S, class Visit> void each_field(S& arrays, const Visit& visit) {
  std::apply([&](const auto&... field) { (visit(field, arrays.*field.member), ...); }, S::fields());
}

// Gives memory to the arrays of a struct that have none.
template <class S> void allocate(S& arrays, const Sizes& sizes, std::vector<Zeros>& memory) {
  each_field(arrays, [&](const auto& field, auto& array) {
    if (array.data != nullptr) return;
    const Shape shape = field.shape(sizes);
    memory.emplace_back(shape.entries() * sizeof(*array.data));
    place(array, static_cast<decltype(array.data)>(memory.back().data()), shape);
  });
}

// Bytes that the arrays of a struct will take.
template <class S> std::size_t bytes_of(const Sizes& sizes) {
  std::size_t bytes = 0;
  S arrays;
  each_field(arrays, [&](const auto& field, auto& array) { bytes += field.shape(sizes).entries() * sizeof(*array.data); });
  return bytes;
}

// Clears the arrays of a struct for a reset.
template <class S> void clear(S& arrays) {
  each_field(arrays, [&](const auto& field, auto& array) {
    using T = std::remove_reference_t<decltype(*array.data)>;
    if ((field.kept & kLasting) == 0) std::fill_n(array.data, shape_of(array).entries(), T{});
  });
}

}  // namespace eprop
