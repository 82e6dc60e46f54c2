// Random numbers as pure functions of a counter: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers").
//
// A draw depends on (seed, purpose, target, index) and on nothing else. So neither the number of threads or ranks nor the order
// of draws changes a network or an input.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "support/arrays.hpp"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace eprop {

// Purposes separate draws with the same seed, target and index; exported in bindings/module.cpp.
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
  kTotal = 11,
  kStimulus = 12,
  kCochlea = 13,
  kVary = 14,
  kDropout = 15,
  kRound = 16,
  kTie = 17,
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

// The upper 53 bits of a word as a number below 2^53. A signed conversion is exact and faster than an unsigned one.
inline double upper_bits(std::uint64_t word) { return static_cast<double>(static_cast<std::int64_t>(word >> 11)); }

// Uniform in [0, 1), 53 bits.
inline double uniform(std::uint64_t seed, std::uint32_t purpose, std::uint32_t target, std::uint64_t index) {
  return upper_bits(philox(seed, purpose, target, index).first) * kToUnit;
}

// Logarithm and cosine of one number, or of a vector of them: arithmetic alone, so that every machine and every C library gives
// the same bits, and eight of them take little more time than one. Errors are below 4e-16 of the result, or of 1.

// Natural logarithm of `x`, which is normal and positive: x = 2^e f with f in [sqrt(1/2), sqrt(2)), and log f by its series in
// s = (f - 1) / (f + 1), below 0.172.
template <class Words, class Reals> inline void logarithm(const Reals& x, Reals& result) {
  constexpr std::uint64_t kOne = 0x3FF0000000000000, kRootOfHalf = 0x3FE6A09E667F3BCD, kMantissa = 0x000FFFFFFFFFFFFF;
  constexpr std::uint64_t kExponent = 0x4330000000000000;  // of 2^52: the mantissa bits of a whole number are its value
  constexpr double kLog2 = 0.6931471805599453;
  const Words bits = __builtin_bit_cast(Words, x) + (kOne - kRootOfHalf);
  const Reals f = __builtin_bit_cast(Reals, (bits & kMantissa) + kRootOfHalf);
  const Reals e = __builtin_bit_cast(Reals, (bits >> 52) | kExponent) - (4503599627370496.0 + 1023.0);
  const Reals s = (f - 1.0) / (f + 1.0), z = s * s;
  Reals sum = z * (1.0 / 21.0);
#pragma GCC unroll 9
  for (int k = 19; k >= 3; k -= 2) sum = z * (1.0 / k + sum);
  result = e * kLog2 + (2.0 * s + 2.0 * s * sum);
}

// Cosine of 2 pi `turns`, in [0, 1): the rest of a quarter is exact, and the series of sine and cosine are products.
template <class Words, class Reals> inline void cosine_of_turns(const Reals& turns, Reals& result) {
  constexpr double kRounds = 6755399441055744.0;  // 1.5 * 2^52: a sum with it has no fraction
  constexpr double kQuarter = 1.5707963267948966;
  const Reals shifted = 4.0 * turns + kRounds, x = (4.0 * turns - (shifted - kRounds)) * kQuarter, z = x * x;
  Reals cosine = 1.0 - z * (1.0 / (15.0 * 16.0)), sine = 1.0 - z * (1.0 / (16.0 * 17.0));
#pragma GCC unroll 7
  for (int k = 14; k >= 2; k -= 2) {
    cosine = 1.0 - cosine * (z * (1.0 / ((k - 1.0) * k)));
    sine = 1.0 - sine * (z * (1.0 / (k * (k + 1.0))));
  }
  const Words quarter = __builtin_bit_cast(Words, shifted), odd = 0 - (quarter & 1), negative = ((quarter + 1) & 2) << 62;
  const Words bits = (__builtin_bit_cast(Words, cosine) & ~odd) | (__builtin_bit_cast(Words, sine * x) & odd);
  result = __builtin_bit_cast(Reals, bits ^ negative);
}

// Standard normal (Box-Muller on the two words of one counter).
inline double normal(std::uint64_t seed, std::uint32_t purpose, std::uint32_t target, std::uint64_t index) {
  const auto [a, b] = philox(seed, purpose, target, index);
  const double u = (upper_bits(a) + 1.0) * kToUnit;  // in (0, 1], so that its logarithm is finite
  double log, cosine;
  logarithm<std::uint64_t>(u, log);
  cosine_of_turns<std::uint64_t>(upper_bits(b) * kToUnit, cosine);
  return std::sqrt(-2.0 * log) * cosine;
}

// Whole number in [0, bound); the bias is below bound / 2^53.
inline Index below(std::uint64_t seed, std::uint32_t purpose, std::uint32_t target, std::uint64_t index, Index bound) {
  return static_cast<Index>(uniform(seed, purpose, target, index) * static_cast<double>(bound));
}

// Eight draws at a time: the same bits as single draws in a third of the time.
constexpr Index kBlockDraws = 8;
using WordBlock = std::uint64_t __attribute__((vector_size(64)));
using RealBlock = double __attribute__((vector_size(64)));

// Products of the lower halves of words, with an instruction that compilers do not find.
inline void multiply_halves(const WordBlock& words, std::uint32_t factor, WordBlock& products) {
#if defined(__AVX512F__)
  products = reinterpret_cast<WordBlock>(_mm512_mul_epu32(reinterpret_cast<__m512i>(words), _mm512_set1_epi64(factor)));
#elif defined(__AVX2__)
  __m256i halves[2];
  std::memcpy(halves, &words, sizeof halves);
  for (__m256i& half : halves) half = _mm256_mul_epu32(half, _mm256_set1_epi64x(factor));
  std::memcpy(&products, halves, sizeof halves);
#else
  for (int k = 0; k < kBlockDraws; k++) products[k] = std::uint64_t{static_cast<std::uint32_t>(words[k])} * factor;
#endif
}

// The part of the counter that differs between the draws of a block.
struct CounterBlock {
  WordBlock targets, indices;
};

// The counters of one target and the indices index .. index + 7.
inline CounterBlock successive(std::uint32_t target, std::uint64_t index) {
  return {WordBlock{} + target, index + WordBlock{0, 1, 2, 3, 4, 5, 6, 7}};
}

// The words of eight counters.
inline void philox_block(std::uint64_t seed, std::uint32_t purpose, const CounterBlock& counters, WordBlock& first,
                         WordBlock& second) {
  constexpr std::uint32_t kM0 = 0xD2511F53, kM1 = 0xCD9E8D57, kW0 = 0x9E3779B9, kW1 = 0xBB67AE85;
  constexpr std::uint64_t kLow = 0xFFFFFFFF;
  auto k0 = static_cast<std::uint32_t>(seed), k1 = static_cast<std::uint32_t>(seed >> 32);
  // Upper halves may have any value: only the lower halves are multiplied.
  WordBlock c0 = counters.indices, c1 = counters.indices >> 32, c2 = counters.targets, c3 = WordBlock{} + purpose, p0, p1;
#pragma GCC unroll 10
  for (int round = 0; round < 10; round++) {
    multiply_halves(c0, kM0, p0);
    multiply_halves(c2, kM1, p1);
    c0 = (p1 >> 32) ^ c1 ^ k0;
    c1 = p1;
    c2 = (p0 >> 32) ^ c3 ^ k1;
    c3 = p0;
    k0 += kW0;
    k1 += kW1;
  }
  first = (c0 & kLow) | (c1 << 32);
  second = (c2 & kLow) | (c3 << 32);
}

// The upper 53 bits of words as numbers below 2^53, exact.
inline void upper_bits(const WordBlock& words, RealBlock& numbers) {
#if defined(__AVX512DQ__)
  using SignedBlock = std::int64_t __attribute__((vector_size(64)));
  numbers = __builtin_convertvector(reinterpret_cast<SignedBlock>(words >> 11), RealBlock);
#else
  // With the exponent of 2^52, the mantissa bits of a whole number are its value.
  constexpr std::uint64_t kExponent = 0x4330000000000000;
  const RealBlock low = reinterpret_cast<RealBlock>(((words >> 11) & 0xFFFFFFFF) | kExponent) - 4503599627370496.0;
  const RealBlock high = reinterpret_cast<RealBlock>((words >> 43) | kExponent) - 4503599627370496.0;
  numbers = high * 4294967296.0 + low;
#endif
}

// Eight uniform draws.
inline void uniform_block(std::uint64_t seed, std::uint32_t purpose, const CounterBlock& counters, double* out) {
  WordBlock first, second;
  RealBlock numbers;
  philox_block(seed, purpose, counters, first, second);
  upper_bits(first, numbers);
  numbers *= kToUnit;
  std::memcpy(out, &numbers, sizeof numbers);
}

// Eight normal draws.
inline void normal_block(std::uint64_t seed, std::uint32_t purpose, const CounterBlock& counters, double* out) {
  WordBlock first, second;
  RealBlock unit, turns, logs, cosines;
  philox_block(seed, purpose, counters, first, second);
  upper_bits(first, unit);
  upper_bits(second, turns);
  logarithm<WordBlock, RealBlock>((unit + 1.0) * kToUnit, logs);
  cosine_of_turns<WordBlock, RealBlock>(turns * kToUnit, cosines);
  for (int k = 0; k < kBlockDraws; k++) out[k] = std::sqrt(-2.0 * logs[k]) * cosines[k];
}

// Uniform draws of one target in sequence from index 0 on.
class UniformStream {
 public:
  UniformStream(std::uint64_t seed, std::uint32_t purpose, std::uint32_t target)
      : seed_(seed), purpose_(purpose), target_(target) {}

  double next() {
    const std::uint64_t k = index_ % kBlockDraws;
    if (k == 0) uniform_block(seed_, purpose_, successive(target_, index_), block_);
    index_++;
    return block_[k];
  }

 private:
  std::uint64_t seed_;
  std::uint32_t purpose_, target_;
  std::uint64_t index_ = 0;
  double block_[kBlockDraws];
};

}  // namespace eprop
