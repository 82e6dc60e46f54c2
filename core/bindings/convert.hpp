// From NumPy arrays to views: no copy, no conversion, the owner is kept by whoever keeps the view.
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <string>
#include <type_traits>

#include "arrays.hpp"

namespace eprop {

namespace nb = nanobind;

// Arguments of functions: C-contiguous arrays of one type; give them `.noconvert()`.
template <class T> using In1 = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <class T> using In2 = nb::ndarray<const T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
template <class T> using In3 = nb::ndarray<const T, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
template <class T> using Out1 = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <class T> using Out2 = nb::ndarray<T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
template <class T> using Out3 = nb::ndarray<T, nb::ndim<3>, nb::c_contig, nb::device::cpu>;

template <class A> auto view1(const A& a) {
  using T = std::remove_pointer_t<decltype(a.data())>;
  return Array1<T>{a.data(), static_cast<Index>(a.shape(0))};
}
template <class A> auto view2(const A& a) {
  using T = std::remove_pointer_t<decltype(a.data())>;
  return Array2<T>{a.data(), static_cast<Index>(a.shape(0)), static_cast<Index>(a.shape(1))};
}
template <class A> auto view3(const A& a) {
  using T = std::remove_pointer_t<decltype(a.data())>;
  return Array3<T>{a.data(), static_cast<Index>(a.shape(0)), static_cast<Index>(a.shape(1)), static_cast<Index>(a.shape(2))};
}

// An array that is an attribute of a Python object, which must outlive the view.
template <class A> A attribute(nb::handle owner, const char* name) {
  A array;
  nb::object value = owner.attr(name);
  if (!nb::try_cast<A>(value, array, false))
    throw nb::type_error((std::string(name) + ": an array of another type, number of axes or layout is expected").c_str());
  return array;
}
template <class T> Array1<T> attribute1(nb::handle owner, const char* name) {
  return view1(attribute<nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>>(owner, name));
}
template <class T> Array2<T> attribute2(nb::handle owner, const char* name) {
  return view2(attribute<nb::ndarray<T, nb::ndim<2>, nb::c_contig, nb::device::cpu>>(owner, name));
}
template <class T> Array3<T> attribute3(nb::handle owner, const char* name) {
  return view3(attribute<nb::ndarray<T, nb::ndim<3>, nb::c_contig, nb::device::cpu>>(owner, name));
}

// A table of records (a structured NumPy array, all of whose fields have 8 bytes), handed over as a view of int64 (records, fields).
template <class Record> Array1<Record> records(nb::handle owner, const char* name) {
  static_assert(sizeof(Record) % 8 == 0);
  nb::object table = owner.attr(name);
  nb::object numbers = table.attr("view")("int64").attr("reshape")(nb::len(table), nb::cast<Index>(table.attr("itemsize")) / 8);
  nb::ndarray<Index, nb::ndim<2>, nb::c_contig, nb::device::cpu> array;
  if (!nb::try_cast(numbers, array, false) || (array.shape(0) > 0 && array.shape(1) * 8 != sizeof(Record)))
    throw nb::type_error((std::string(name) + ": a table of other records is expected").c_str());
  return {reinterpret_cast<Record*>(array.data()), static_cast<Index>(array.shape(0))};
}

template <class Record> Array1<const Record> const_records(nb::handle owner, const char* name) {
  const auto table = records<Record>(owner, name);
  return {table.data, table.size};
}

// A vector of the core as a NumPy array of its own.
template <class Vector> nb::object copied(const Vector& values) {
  using T = typename Vector::value_type;
  T* data = new T[values.size() + 1];
  std::copy(values.begin(), values.end(), data);
  nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<T*>(p); });
  return nb::cast(nb::ndarray<nb::numpy, T, nb::ndim<1>>(data, {values.size()}, owner));
}

}  // namespace eprop
