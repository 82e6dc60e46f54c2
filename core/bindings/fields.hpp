// Arrays that have a row in a table (network/fields.hpp), as NumPy sees them.
#pragma once
#include <string>
#include <vector>

#include "bindings/convert.hpp"
#include "network/fields.hpp"

namespace eprop {

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

}  // namespace eprop
