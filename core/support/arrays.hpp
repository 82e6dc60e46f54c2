// Views of arrays with another owner: NumPy arrays from the build, or vectors of the core.
#pragma once
#include <cassert>
#include <cstddef>
#include <cstdint>

namespace eprop {

using Index = std::int64_t;

// Positions first .. stop - 1.
struct Positions {
  Index first, stop;
  Index size() const { return stop - first; }
};

template <class T> struct Array1 {
  T* data = nullptr;
  Index size = 0;
  T& operator[](Index i) const {
    assert(0 <= i && i < size);
    return data[i];
  }
};

// Row-major, as in C and NumPy.
template <class T> struct Array2 {
  T* data = nullptr;
  Index rows = 0, columns = 0;
  T& operator()(Index i, Index j) const {
    assert(0 <= i && i < rows && 0 <= j && j < columns);
    return data[i * columns + j];
  }
  T* row(Index i) const {
    assert(0 <= i && i < rows);
    return data + i * columns;
  }
  Index size() const { return rows * columns; }
};

template <class T> struct Array3 {
  T* data = nullptr;
  Index planes = 0, rows = 0, columns = 0;
  T& operator()(Index i, Index j, Index k) const {
    assert(0 <= i && i < planes && 0 <= j && j < rows && 0 <= k && k < columns);
    return data[(i * rows + j) * columns + k];
  }
  T* row(Index i, Index j) const {
    assert(0 <= i && i < planes && 0 <= j && j < rows);
    return data + (i * rows + j) * columns;
  }
  Array2<T> plane(Index i) const {
    assert(0 <= i && i < planes);
    return {data + i * rows * columns, rows, columns};
  }
};

// Copies an array as numbers of another type.
template <class To, class From> void copy_as(const Array2<From>& from, To* to) {
  for (Index k = 0; k < from.size(); k++) to[k] = static_cast<To>(from.data[k]);
}

inline Index power_of_two(Index n) {  // smallest power of two that is at least n, because rings are indexed with a mask
  Index p = 1;
  while (p < n) p *= 2;
  return p;
}

}  // namespace eprop
