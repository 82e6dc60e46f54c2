// Views of NumPy arrays: no copy, no conversion; the holder of a view keeps the owner alive. Long calls, which react to Ctrl-C.
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include <chrono>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "network/fields.hpp"
#include "support/arrays.hpp"
#include "support/interrupt.hpp"

namespace eprop {

namespace nb = nanobind;
using namespace nb::literals;

// Arguments of functions: C-contiguous arrays of one type; give them `.noconvert()`.
template <class T, int dims> using Argument = nb::ndarray<T, nb::ndim<dims>, nb::c_contig, nb::device::cpu>;
template <class T> using In1 = Argument<const T, 1>;
template <class T> using In2 = Argument<const T, 2>;
template <class T> using In3 = Argument<const T, 3>;
template <class T> using Out1 = Argument<T, 1>;
template <class T> using Out2 = Argument<T, 2>;
template <class T> using Out3 = Argument<T, 3>;

// Whether an array means what its memory holds. Subclasses of NumPy's array, such as masked arrays, are heap types; Python
// converts or refuses them.
inline bool is_plain(nb::handle array) { return (PyType_GetFlags(Py_TYPE(array.ptr())) & Py_TPFLAGS_HEAPTYPE) == 0; }

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

template <class T> auto view_of(const Argument<T, 1>& array) { return view1(array); }
template <class T> auto view_of(const Argument<T, 2>& array) { return view2(array); }
template <class T> auto view_of(const Argument<T, 3>& array) { return view3(array); }

// An array of Python, which must outlive the view; `name` is for the message.
template <class A> A array_of(nb::handle given, const char* name) {
  A array;
  if (!nb::try_cast<A>(given, array, false))
    throw nb::type_error((std::string(name) + ": an array of another type, number of axes or layout is expected").c_str());
  return array;
}
template <class A> A attribute(nb::handle owner, const char* name) { return array_of<A>(owner.attr(name), name); }
template <class T> Array1<T> attribute1(nb::handle owner, const char* name) { return view1(attribute<Out1<T>>(owner, name)); }
template <class T> Array2<T> attribute2(nb::handle owner, const char* name) { return view2(attribute<Out2<T>>(owner, name)); }

// A table of records (a structured NumPy array whose fields all have 8 bytes), passed as a view of int64 (records, fields).
template <class Record> Array1<Record> records(nb::handle table, const char* name) {
  static_assert(sizeof(Record) % 8 == 0);
  nb::object numbers = table.attr("view")("int64").attr("reshape")(nb::len(table), nb::cast<Index>(table.attr("itemsize")) / 8);
  Out2<Index> array;
  if (!nb::try_cast(numbers, array, false) || (array.shape(0) > 0 && array.shape(1) * 8 != sizeof(Record)))
    throw nb::type_error((std::string(name) + ": a table of other records is expected").c_str());
  return {reinterpret_cast<Record*>(array.data()), static_cast<Index>(array.shape(0))};
}

// Returns the result of `make`, computed without the GIL.
template <class Make> auto unlocked(const Make& make) {
  nb::gil_scoped_release release;
  return make();
}

// Results: NumPy arrays of one type.
template <class T, int dims = 1> using Result = nb::ndarray<nb::numpy, T, nb::ndim<dims>>;

// Turns a vector into a NumPy array of some shape that owns the memory: no copy.
template <std::size_t dims, class T>
Result<T, static_cast<int>(dims)> handed_over(std::vector<T>&& values, const std::size_t (&shape)[dims]) {
  auto* kept = new std::vector<T>(std::move(values));
  nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
  return {kept->data(), dims, shape, owner};
}
template <class T> Result<T> handed_over(std::vector<T>&& values) {
  const std::size_t size = values.size();
  return handed_over<1>(std::move(values), {size});
}

// ----------------------------------------------------------------------------------- arrays with a row in a table
// (network/fields.hpp)

// A view of an array of numbers, whose memory `owner` keeps.
inline nb::object view_of(const Row& row, nb::handle owner) {
  const Shape found = row.shape();
  const std::size_t shape[] = {static_cast<std::size_t>(found.first), static_cast<std::size_t>(found.second),
                               static_cast<std::size_t>(found.third)};
  const auto code = row.type->kind == 'f'   ? nb::dlpack::dtype_code::Float
                    : row.type->kind == 'i' ? nb::dlpack::dtype_code::Int
                                            : nb::dlpack::dtype_code::UInt;
  const nb::dlpack::dtype type{static_cast<std::uint8_t>(code), static_cast<std::uint8_t>(8 * row.type->size), 1};
  return nb::cast(nb::ndarray<nb::numpy>(row.data(), row.type->axes, shape, owner, nullptr, type));
}

// A class with an attribute for each array of a struct.
template <class S> void bind_arrays(nb::module_& m, const char* name, const char* doc) {
  nb::class_<S> bound(m, name, doc);
  const auto rows_of = [](S& arrays) {
    std::vector<Row> rows;
    add_rows("", arrays, rows);
    return rows;
  };
  S none;
  std::size_t number = 0;
  for (const Row& row : rows_of(none)) {
    const std::string signature = std::string("def ") + row.name + "(self) -> numpy.ndarray";
    bound.def_prop_ro(
        row.name, [=](nb::handle self) { return view_of(rows_of(nb::cast<S&>(self))[number], self); },
        nb::sig(signature.c_str()));
    number++;
  }
}

// --------------------------------------------------------------------------------------------------------------- long calls

// Asks Python for pending signals, at most once per interval; only the thread that entered the core asks.
struct SignalCheck {
  std::chrono::steady_clock::time_point last = std::chrono::steady_clock::now();
  static bool requested(void* self) {
    auto& last = static_cast<SignalCheck*>(self)->last;
    const auto now = std::chrono::steady_clock::now();
    if (now - last < std::chrono::milliseconds(50)) return false;
    last = now;
    nb::gil_scoped_acquire acquire;
    return PyErr_CheckSignals() != 0;
  }
};

// Runs work(interrupt) without the GIL; if it returns false, raises the exception of the signal handler.
template <class Work> void interruptible(const Work& work) {
  SignalCheck check;
  if (!unlocked([&] { return work(Interrupt{&SignalCheck::requested, &check}); })) throw nb::python_error();
}

}  // namespace eprop
