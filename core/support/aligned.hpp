// Memory that begins at a cache line, so that rows of whole SIMD vectors do not straddle lines.
#pragma once
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>
#ifdef __linux__
#include <sys/mman.h>
#endif

#include "support/arrays.hpp"

namespace eprop {

inline constexpr std::size_t kCacheLine = 64;

template <class T> struct CacheLineAllocator {
  using value_type = T;
  CacheLineAllocator() = default;
  template <class U> CacheLineAllocator(const CacheLineAllocator<U>&) {}
  T* allocate(std::size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), std::align_val_t(kCacheLine))); }
  void deallocate(T* p, std::size_t) { ::operator delete(p, std::align_val_t(kCacheLine)); }
  template <class U> bool operator==(const CacheLineAllocator<U>&) const { return true; }
};

template <class T> using Aligned = std::vector<T, CacheLineAllocator<T>>;

// Zeros. The system gives their pages when they are first touched, and large ones (as NumPy asks for) where there are many.
class Zeros {
 public:
  explicit Zeros(std::size_t bytes) : room(std::calloc(bytes + kCacheLine, 1), &std::free), first(room.get()) {
    if (first == nullptr) throw std::bad_alloc();
    std::size_t space = bytes + kCacheLine;
    std::align(kCacheLine, bytes, first, space);
#ifdef __linux__
    constexpr std::size_t kMany = std::size_t{1} << 22, kPage = 4096;
    const std::size_t skip = kPage - reinterpret_cast<std::size_t>(room.get()) % kPage;
    if (bytes >= kMany) madvise(static_cast<char*>(room.get()) + skip, bytes - skip, MADV_HUGEPAGE);
#endif
  }
  void* data() const { return first; }

 private:
  std::unique_ptr<void, void (*)(void*)> room;
  void* first;
};

// An array that owns its memory, initially zero.
template <class T> struct Owned2 {
  Aligned<T> values;
  Index rows = 0, columns = 0;
  Owned2() = default;
  Owned2(Index n_rows, Index n_columns)
      : values(static_cast<std::size_t>(n_rows * n_columns)), rows(n_rows), columns(n_columns) {}
  T& operator()(Index i, Index j) { return view()(i, j); }
  const T& operator()(Index i, Index j) const { return view()(i, j); }
  T* row(Index i) { return view().row(i); }
  const T* row(Index i) const { return view().row(i); }
  Array2<T> view() { return {values.data(), rows, columns}; }
  Array2<const T> view() const { return {values.data(), rows, columns}; }
};

}  // namespace eprop
