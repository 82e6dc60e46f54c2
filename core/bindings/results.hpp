// Arrays that the core has made, handed to Python without a copy.
#pragma once
#include <utility>
#include <vector>

#include "convert.hpp"

namespace eprop {

// A vector becomes a one-dimensional NumPy array, which owns it.
template <class T>
nb::object handed_over(std::vector<T>&& values) {
  auto* kept = new std::vector<T>(std::move(values));
  nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
  return nb::cast(nb::ndarray<nb::numpy, T, nb::ndim<1>>(kept->data(), {kept->size()}, owner));
}

// A vector of rows becomes a two-dimensional NumPy array, which owns it.
template <class T>
nb::object handed_over(std::vector<T>&& values, Index rows, Index columns) {
  auto* kept = new std::vector<T>(std::move(values));
  nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
  const auto height = static_cast<std::size_t>(rows), width = static_cast<std::size_t>(columns);
  return nb::cast(nb::ndarray<nb::numpy, T, nb::ndim<2>>(kept->data(), {height, width}, owner));
}

}  // namespace eprop
