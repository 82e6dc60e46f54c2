// Tables of arrays: a struct of views has a row for each of its arrays, `fields()`. Its memory, its bytes before there is memory,
// what a reset clears, what a state holds and what Python sees follow from the rows.
#pragma once
#include <algorithm>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <vector>

#include "support/aligned.hpp"

namespace eprop {

struct Sizes;  // the numbers on which shapes depend, see network/sizes.hpp

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

// A row of the table of a struct S.
template <class S, class View> struct Field {
  const char* name;  // in a state, and for Python
  View S::* member;
  Axis axis;
  int kept;  // see Kept
  Shape (*shape)(const Sizes& sizes);
};
template <class S, class View> Field(const char*, View S::*, Axis, int, Shape (*)(const Sizes&)) -> Field<S, View>;

// What all arrays of one type have in common, so that few functions are compiled for each array.
struct ArrayType {
  char kind;  // f, i, u: real, whole and unsigned numbers; r: records
  int axes;
  Index size;  // bytes of an entry
  void* (*data)(const void* array);
  Shape (*shape)(const void* array);
  void (*place)(void* array, void* data, const Shape& shape);
};
template <class View> inline constexpr ArrayType kArrayType{};
template <class T> constexpr char kind_of_number() {
  return std::is_class_v<T> ? 'r' : std::is_floating_point_v<T> ? 'f' : std::is_signed_v<T> ? 'i' : 'u';
}
template <class View, class T> constexpr ArrayType array_type(int axes) {
  return {kind_of_number<T>(),
          axes,
          sizeof(T),
          [](const void* array) -> void* { return static_cast<const View*>(array)->data; },
          [](const void* array) { return shape_of(*static_cast<const View*>(array)); },
          [](void* array, void* data, const Shape& shape) { place(*static_cast<View*>(array), static_cast<T*>(data), shape); }};
}
template <class T> inline constexpr ArrayType kArrayType<Array1<T>> = array_type<Array1<T>, T>(1);
template <class T> inline constexpr ArrayType kArrayType<Array2<T>> = array_type<Array2<T>, T>(2);
template <class T> inline constexpr ArrayType kArrayType<Array3<T>> = array_type<Array3<T>, T>(3);

// An array of a network, and what the table of its struct says.
struct Row {
  const char *struct_name, *name;
  Axis axis;
  int kept;
  Shape (*wanted)(const Sizes& sizes);
  void* array;
  const ArrayType* type;
  void* data() const { return type->data(array); }
  Shape shape() const { return type->shape(array); }
  Index bytes() const { return shape().entries() * type->size; }
  Index bytes_before(const Sizes& sizes) const { return wanted(sizes).entries() * type->size; }
};

// The arrays of a struct.
template <class S> void add_rows(const char* name, S& arrays, std::vector<Row>& rows) {
  std::apply(
      [&](const auto&... field) {
        (rows.push_back({name, field.name, field.axis, field.kept, field.shape, &(arrays.*field.member),
                         &kArrayType<std::remove_reference_t<decltype(arrays.*field.member)>>}),
         ...);
      },
      S::fields());
}

// Gives memory to arrays that have none.
inline void allocate(const std::vector<Row>& rows, const Sizes& sizes, std::vector<Zeros>& memory) {
  for (const Row& row : rows) {
    if (row.data() != nullptr) continue;
    memory.emplace_back(row.bytes_before(sizes));
    row.type->place(row.array, memory.back().data(), row.wanted(sizes));
  }
}

// Clears arrays for a reset.
inline void clear(const std::vector<Row>& rows) {
  for (const Row& row : rows)
    if ((row.kept & kLasting) == 0) std::memset(row.data(), 0, row.bytes());
}

}  // namespace eprop
