// Arrays that have a row in a table (common/fields.hpp), as NumPy sees them.
#pragma once
#include <string>
#include <type_traits>

#include "bindings/convert.hpp"
#include "common/fields.hpp"

namespace eprop {

// A view of an array, whose memory `owner` keeps.
template <class View> nb::object view_of(const View& array, nb::handle owner) {
  using T = std::remove_reference_t<decltype(*array.data)>;
  const Shape found = shape_of(array);
  const std::size_t shape[] = {static_cast<std::size_t>(found.first), static_cast<std::size_t>(found.second),
                               static_cast<std::size_t>(found.third)};
  return nb::cast(nb::ndarray<nb::numpy>(array.data, axes_of(array), shape, owner, nullptr, nb::dtype<T>()));
}

// A class with an attribute for each array of a struct.
template <class S> void bind_arrays(nb::module_& m, const char* name, const char* doc) {
  nb::class_<S> bound(m, name, doc);
  S none;
  Index row = 0;
  each_field(none, [&](const auto& field, const auto&) {
    const std::string signature = std::string("def ") + field.name + "(self) -> numpy.ndarray";
    bound.def_prop_ro(
        field.name,
        [row](nb::handle self) {
          nb::object found;
          Index at = 0;
          each_field(nb::cast<S&>(self), [&](const auto&, const auto& array) {
            if (at++ == row) found = view_of(array, self);
          });
          return found;
        },
        nb::sig(signature.c_str()));
    row++;
  });
}

}  // namespace eprop
