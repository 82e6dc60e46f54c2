// Random numbers as pure functions of a counter: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers").
//
// A draw depends on (seed, purpose, target, index) and on nothing else, so that neither the number of threads or ranks
// nor the order in which they draw changes a network or an input.
#pragma once
#include <cmath>
#include <cstdint>

#include "arrays.hpp"

namespace eprop {

// Purposes keep streams apart that share seed, target and index. src/eprop/random.py has the same list.
enum Purpose : std::uint32_t {
  kConnect = 1,
  kWeight = 2,
  kPoisson = 3,
  kFeedback = 4,
  kShuffle = 5,
  kDelay = 6,
  kCamera = 7,
  kPhase = 8,
  kParameter = 9,
  kDeskew = 10,
};

// Two independent words for one counter.
struct PhiloxWords {
  std::uint64_t first, second;
};

inline PhiloxWords philox(std::uint64_t seed, std::uint32_t purpose, std::uint32_t target, std::uint64_t index) {
  constexpr std::uint64_t kM0 = 0xD2511F53, kM1 = 0xCD9E8D57;
  constexpr std::uint32_t kW0 = 0x9E3779B9, kW1 = 0xBB67AE85;
  auto k0 = static_cast<std::uint32_t>(seed), k1 = static_cast<std::uint32_t>(seed >> 32);
  auto c0 = static_cast<std::uint32_t>(index), c1 = static_cast<std::uint32_t>(index >> 32);
  std::uint32_t c2 = target, c3 = purpose;
#pragma GCC unroll 10
  for (int round = 0; round < 10; round++) {
    const std::uint64_t p0 = kM0 * c0, p1 = kM1 * c2;
    c0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<std::uint32_t>(p1);
    c2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<std::uint32_t>(p0);
    k0 += kW0;
    k1 += kW1;
  }
  return {c0 | (static_cast<std::uint64_t>(c1) << 32), c2 | (static_cast<std::uint64_t>(c3) << 32)};
}

constexpr double kToUnit = 1.0 / 9007199254740992.0;  // 2^-53

// The upper 53 bits of a word as a number below 2^53. A signed conversion is exact and cheaper than an unsigned one.
inline double upper_bits(std::uint64_t word) { return static_cast<double>(static_cast<std::int64_t>(word >> 11)); }

// Uniform in [0, 1), 53 bits.
inline double uniform(std::uint64_t seed, std::uint32_t purpose, std::uint32_t target, std::uint64_t index) {
  return upper_bits(philox(seed, purpose, target, index).first) * kToUnit;
}

// Standard normal (Box-Muller on the two words of one counter).
inline double normal(std::uint64_t seed, std::uint32_t purpose, std::uint32_t target, std::uint64_t index) {
  constexpr double kPi = 3.141592653589793;
  const auto [a, b] = philox(seed, purpose, target, index);
  const double u = (upper_bits(a) + 1.0) * kToUnit;  // in (0, 1]: its logarithm is finite
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * kPi * upper_bits(b) * kToUnit);
}

// Whole number in [0, bound); the bias is below bound / 2^53.
inline Index below(std::uint64_t seed, std::uint32_t purpose, std::uint32_t target, std::uint64_t index, Index bound) {
  return static_cast<Index>(uniform(seed, purpose, target, index) * static_cast<double>(bound));
}

}  // namespace eprop
