// Eight numbers at a time, with the vector extensions of GCC and Clang. Loops over synapses are templates of the number of
// synapses per iteration: Vector<T, 8> while there are eight, then Vector<T, 1>, which is a plain T. Both apply the same
// operations in the same order, so that the position of a synapse does not change its bits.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "support/arrays.hpp"

#if defined(__clang__)
#define EPROP_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
// Precedes a loop whose iterations are independent.
#define EPROP_INDEPENDENT _Pragma("GCC ivdep")
#endif
#define EPROP_INLINE inline __attribute__((always_inline))
// Forces inlining of lambdas.
#define EPROP_INLINED __attribute__((always_inline))

namespace eprop {

#if defined(__AVX512F__)
inline constexpr int kRegisterBytes = 64;
#elif defined(__AVX__)
inline constexpr int kRegisterBytes = 32;
#else
inline constexpr int kRegisterBytes = 16;
#endif

template <class T, int n> struct RegisterOf {
  typedef T type __attribute__((vector_size(n * sizeof(T))));
};
// Numbers of one register of the processor.
template <class T, int n> using Register = typename RegisterOf<T, n>::type;

// N numbers, in as many registers as needed.
template <class T, int N> struct Registers {
  static constexpr int kPerPart = std::min(N, kRegisterBytes / static_cast<int>(sizeof(T))), kParts = N / kPerPart;
  using Part = Register<T, kPerPart>;
  Part part[kParts];

  EPROP_INLINE T operator[](int i) const { return part[i / kPerPart][i % kPerPart]; }

  template <class F> static EPROP_INLINE Registers each(F&& f) {
    Registers out;
    for (int k = 0; k < kParts; k++) out.part[k] = f(k);
    return out;
  }
  friend EPROP_INLINE Registers operator+(const Registers& a, const Registers& b) {
    return each([&](int k) EPROP_INLINED { return a.part[k] + b.part[k]; });
  }
  friend EPROP_INLINE Registers operator-(const Registers& a, const Registers& b) {
    return each([&](int k) EPROP_INLINED { return a.part[k] - b.part[k]; });
  }
  friend EPROP_INLINE Registers operator*(const Registers& a, const Registers& b) {
    return each([&](int k) EPROP_INLINED { return a.part[k] * b.part[k]; });
  }
  friend EPROP_INLINE Registers operator/(const Registers& a, const Registers& b) {
    return each([&](int k) EPROP_INLINED { return a.part[k] / b.part[k]; });
  }
  friend EPROP_INLINE Registers operator*(T a, const Registers& b) {
    return each([&](int k) EPROP_INLINED { return a * b.part[k]; });
  }
  friend EPROP_INLINE Registers operator*(const Registers& a, T b) {
    return each([&](int k) EPROP_INLINED { return a.part[k] * b; });
  }
  friend EPROP_INLINE Registers operator-(const Registers& a) {
    return each([&](int k) EPROP_INLINED { return -a.part[k]; });
  }
  EPROP_INLINE Registers& operator+=(const Registers& b) { return *this = *this + b; }
  EPROP_INLINE Registers& operator-=(const Registers& b) { return *this = *this - b; }
};

template <class T, int N> using Vector = std::conditional_t<N == 1, T, Registers<T, N>>;
// Synapses or neurons per iteration.
inline constexpr int kTogether = 8;

// Calls f(0) .. f(n - 1) with compile-time constants.
template <int n, class F> EPROP_INLINE void unroll(F&& f) {
  [&]<int... k>(std::integer_sequence<int, k...>)
      EPROP_INLINED { (f(std::integral_constant<int, k>{}), ...); }(std::make_integer_sequence<int, n>{});
}

// f(0) + f(1) + ... + f(n - 1), from the left.
template <int n, class F> EPROP_INLINE auto sum_unrolled(F&& f) {
  return [&]<int... k>(std::integer_sequence<int, k...>)
             EPROP_INLINED { return (... + f(std::integral_constant<int, k>{})); }(std::make_integer_sequence<int, n>{});
}

template <int N, class T> EPROP_INLINE Vector<T, N> load(const T* from) {
  Vector<T, N> v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

template <int N, class T> EPROP_INLINE void store(T* to, const Vector<T, N>& v) { std::memcpy(to, &v, sizeof v); }

// The same number N times.
template <int N, class T> EPROP_INLINE Vector<T, N> broadcast(T x) {
  if constexpr (N == 1) {
    return x;
  } else {
    return Vector<T, N>::each([&](int) EPROP_INLINED { return x - typename Vector<T, N>::Part{}; });
  }
}

template <int N, class V> EPROP_INLINE auto element(const V& v, int i) {
  if constexpr (N == 1) {
    return v;
  } else {
    return v[i];
  }
}

// From a row with a number for each target, gathers the numbers of N targets.
template <int N, class T> EPROP_INLINE Vector<T, N> gather(const T* row, const std::uint32_t* targets) {
  if constexpr (N == 1) {
    return row[targets[0]];
  } else {
    Vector<T, N> v;
    unroll<N>([&](auto i) EPROP_INLINED { v.part[i / v.kPerPart][i % v.kPerPart] = row[targets[i]]; });
    return v;
  }
}

// Clips weights to their bounds; NaN stays NaN, so that divergence is detected.
template <int N, class T> EPROP_INLINE Vector<T, N> clip(const Vector<T, N>& w, T w_min, T w_max) {
  if constexpr (N == 1) {
    return w < w_min ? w_min : w > w_max ? w_max : w;
  } else {
    using V = Vector<T, N>;
    const V low = broadcast<N>(w_min), high = broadcast<N>(w_max);
    return V::each([&](int k) EPROP_INLINED {
      const typename V::Part below = w.part[k] > high.part[k] ? high.part[k] : w.part[k];
      return w.part[k] < low.part[k] ? low.part[k] : below;
    });
  }
}

namespace simd {

// Entries first .. first + count - 1 of a register.
template <int first, int count, class R> EPROP_INLINE auto slice(const R& r) {
  return [&]<int... k>(std::integer_sequence<int, k...>)
             EPROP_INLINED { return __builtin_shufflevector(r, r, (first + k)...); }(std::make_integer_sequence<int, count>{});
}

// Joins two registers of `count` entries.
template <int count, class R> EPROP_INLINE auto joined(const R& a, const R& b) {
  return [&]<int... k>(std::integer_sequence<int, k...>)
             EPROP_INLINED { return __builtin_shufflevector(a, b, k...); }(std::make_integer_sequence<int, 2 * count>{});
}

// Four rows of four numbers become four columns.
EPROP_INLINE void transpose(Register<float, 4> (&r)[4]) {
  const auto a = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5), b = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7);
  const auto c = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5), d = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
  r[0] = __builtin_shufflevector(a, c, 0, 1, 4, 5);
  r[1] = __builtin_shufflevector(a, c, 2, 3, 6, 7);
  r[2] = __builtin_shufflevector(b, d, 0, 1, 4, 5);
  r[3] = __builtin_shufflevector(b, d, 2, 3, 6, 7);
}
#if defined(__AVX__)
// Within halves of a register first, as processors support it.
EPROP_INLINE void transpose(Register<double, 4> (&r)[4]) {
  const auto a = __builtin_shufflevector(r[0], r[1], 0, 4, 2, 6), b = __builtin_shufflevector(r[0], r[1], 1, 5, 3, 7);
  const auto c = __builtin_shufflevector(r[2], r[3], 0, 4, 2, 6), d = __builtin_shufflevector(r[2], r[3], 1, 5, 3, 7);
  r[0] = __builtin_shufflevector(a, c, 0, 1, 4, 5);
  r[1] = __builtin_shufflevector(b, d, 0, 1, 4, 5);
  r[2] = __builtin_shufflevector(a, c, 2, 3, 6, 7);
  r[3] = __builtin_shufflevector(b, d, 2, 3, 6, 7);
}
// Eight rows of four numbers (row i + 4 after row i) become four columns of eight, and back.
EPROP_INLINE void transpose(const Register<float, 8> (&r)[4], Register<float, 8> (&out)[4]) {
  const auto a = __builtin_shufflevector(r[0], r[1], 0, 8, 1, 9, 4, 12, 5, 13);
  const auto b = __builtin_shufflevector(r[0], r[1], 2, 10, 3, 11, 6, 14, 7, 15);
  const auto c = __builtin_shufflevector(r[2], r[3], 0, 8, 1, 9, 4, 12, 5, 13);
  const auto d = __builtin_shufflevector(r[2], r[3], 2, 10, 3, 11, 6, 14, 7, 15);
  out[0] = __builtin_shufflevector(a, c, 0, 1, 8, 9, 4, 5, 12, 13);
  out[1] = __builtin_shufflevector(a, c, 2, 3, 10, 11, 6, 7, 14, 15);
  out[2] = __builtin_shufflevector(b, d, 0, 1, 8, 9, 4, 5, 12, 13);
  out[3] = __builtin_shufflevector(b, d, 2, 3, 10, 11, 6, 7, 14, 15);
}
#endif

// Four numbers of each of eight records that begin at r[i]: vector k holds number k of all eight.
template <class T> EPROP_INLINE void columns(const T* const (&r)[8], Registers<T, 8>* out) {
  using V = Registers<T, 8>;
  if constexpr (4 * sizeof(T) > kRegisterBytes) {  // double, 16 bytes
    unroll<8>([&](auto i) EPROP_INLINED {
      unroll<4>([&](auto k) EPROP_INLINED { out[k].part[i / V::kPerPart][i % V::kPerPart] = r[i][k]; });
    });
  } else if constexpr (sizeof(T) == 4 && V::kPerPart == 8) {
    Register<T, 8> pairs[4], turned[4];
    unroll<4>([&](auto i) EPROP_INLINED {
      Register<T, 4> low, high;
      std::memcpy(&low, r[i], sizeof low);
      std::memcpy(&high, r[i + 4], sizeof high);
      pairs[i] = joined<4>(low, high);
    });
    transpose(pairs, turned);
    unroll<4>([&](auto k) EPROP_INLINED { out[k].part[0] = turned[k]; });
  } else {
    Register<T, 4> low[4], high[4];
    unroll<4>([&](auto i) EPROP_INLINED {
      std::memcpy(&low[i], r[i], sizeof low[i]);
      std::memcpy(&high[i], r[i + 4], sizeof high[i]);
    });
    transpose(low);
    transpose(high);
    unroll<4>([&](auto k) EPROP_INLINED {
      if constexpr (V::kPerPart == 4) {
        out[k].part[0] = low[k];
        out[k].part[1] = high[k];
      } else {
        out[k].part[0] = joined<4>(low[k], high[k]);
      }
    });
  }
}

// The inverse: eight records of four numbers, each at r[i].
template <class T> EPROP_INLINE void rows(const Registers<T, 8>* in, T* const (&r)[8]) {
  using V = Registers<T, 8>;
  if constexpr (4 * sizeof(T) > kRegisterBytes) {
    unroll<8>([&](auto i) EPROP_INLINED { unroll<4>([&](auto k) EPROP_INLINED { r[i][k] = in[k][i]; }); });
  } else {
    Register<T, 4> low[4], high[4];
    unroll<4>([&](auto k) EPROP_INLINED {
      if constexpr (V::kPerPart == 4) {
        low[k] = in[k].part[0];
        high[k] = in[k].part[1];
      } else {
        low[k] = slice<0, 4>(in[k].part[0]);
        high[k] = slice<4, 4>(in[k].part[0]);
      }
    });
    transpose(low);
    transpose(high);
    unroll<4>([&](auto i) EPROP_INLINED {
      std::memcpy(r[i], &low[i], sizeof low[i]);
      std::memcpy(r[i + 4], &high[i], sizeof high[i]);
    });
  }
}

}  // namespace simd

// Numbers in another type.
template <class To, int N, class V> EPROP_INLINE Vector<To, N> convert(const V& v) {
  using W = Vector<To, N>;
  if constexpr (std::is_same_v<V, W>) {
    return v;
  } else if constexpr (N == 1) {
    return static_cast<To>(v);
  } else if constexpr (V::kPerPart >= W::kPerPart) {  // to the same number of registers, or more
    W out;
    unroll<W::kParts>([&](auto k) EPROP_INLINED {
      constexpr int first = k * W::kPerPart;
      out.part[k] =
          __builtin_convertvector(simd::slice<first % V::kPerPart, W::kPerPart>(v.part[first / V::kPerPart]), typename W::Part);
    });
    return out;
  } else {
    using Half = Register<To, V::kPerPart>;
    W out;
    unroll<W::kParts>([&](auto k) EPROP_INLINED {
      out.part[k] = simd::joined<V::kPerPart>(__builtin_convertvector(v.part[2 * k], Half),
                                              __builtin_convertvector(v.part[2 * k + 1], Half));
    });
    return out;
  }
}

// `entries` numbers of each of N targets from neuron-major copies, `size` numbers apart (a multiple of four).
template <int N, int entries, int size, class T>
EPROP_INLINE void load_records(const T* copies, const std::uint32_t* targets, Vector<T, N>* out) {
  if constexpr (N == 1) {
    const T* record = copies + static_cast<std::size_t>(targets[0]) * size;
    unroll<entries>([&](auto k) EPROP_INLINED { out[k] = record[k]; });
  } else {
    static_assert(N == 8 && size % 4 == 0);
    const T* record[8];
    unroll<8>([&](auto i) EPROP_INLINED { record[i] = copies + static_cast<std::size_t>(targets[i]) * size; });
    unroll<(entries + 3) / 4>([&](auto group) EPROP_INLINED {
      simd::columns(record, out + 4 * group);
      unroll<8>([&](auto i) EPROP_INLINED { record[i] += 4; });
    });
  }
}

// The inverse for eight consecutive neurons: their numbers, `entries` vectors, become eight records from `copies` on.
template <int entries, int size, class T> EPROP_INLINE void store_records(const Vector<T, 8>* in, T* copies) {
  T* record[8];
  unroll<8>([&](auto i) EPROP_INLINED { record[i] = copies + i * size; });
  unroll<entries / 4>([&](auto group) EPROP_INLINED {
    simd::rows(in + 4 * group, record);
    unroll<8>([&](auto i) EPROP_INLINED { record[i] += 4; });
  });
}

// Adds numbers to the inputs of N targets, one after the other, because a target may occur twice.
template <int N, class T, class V> EPROP_INLINE void deliver(T* x, const std::uint32_t* targets, const V& w) {
  const auto added = convert<T, N>(w);
  unroll<N>([&](auto i) EPROP_INLINED { x[targets[i]] += element<N>(added, i); });
}

EPROP_INLINE void prefetch(const void* address) { __builtin_prefetch(address); }

// Prefetches the beginning of a branch of synapses from some arrays. Branches are scattered, and a short one ends before the
// hardware prefetcher recognises it; the prefetcher finds the rest of a long one.
template <class... Value> EPROP_INLINE void fetch_branch(Index begin, Index end, const Value*... arrays) {
  constexpr Index kLines = 8, kLine = 16;
  const auto fetch = [&](const auto* array) EPROP_INLINED {
    constexpr Index step = std::max<Index>(kLine, 64 / sizeof(*array));
    for (Index synapse = begin; synapse < std::min(end, begin + kLines * kLine); synapse += step) prefetch(array + synapse);
  };
  (fetch(arrays), ...);
}

}  // namespace eprop
