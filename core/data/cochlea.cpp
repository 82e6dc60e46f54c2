#include "data/cochlea.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "support/simd.hpp"
#include "support/threads.hpp"

#if defined(__AVX512DQ__) || defined(__AVX2__)
#include <immintrin.h>
#endif

namespace eprop {
namespace {

// Steps that all places hear before the next ones: their velocities stay in the cache.
constexpr Index kChunk = 256;
// With the exponent of 2^52, the lowest bits of a number are its value.
constexpr double kWhole = 4503599627370496.0;
constexpr std::uint64_t kWholeBits = 0x4330000000000000;
constexpr int kChannelBits = 16;
// So many fibres of eight hair cells often fire in a step.
constexpr Index kOften = 3;
// Largest probability that a fibre fires in a step.
constexpr double kMostLikely = 0.999;

using Mask = std::int64_t __attribute__((vector_size(64)));

EPROP_INLINE int bits_of(const Mask& mask) {
#if defined(__AVX512DQ__)
  return _mm512_movepi64_mask(reinterpret_cast<__m512i>(mask));
#elif defined(__AVX2__)
  __m256d halves[2];
  std::memcpy(halves, &mask, sizeof halves);
  return _mm256_movemask_pd(halves[0]) | _mm256_movemask_pd(halves[1]) << 4;
#else
  int bits = 0;
  for (int k = 0; k < kPlaces; k++) bits |= static_cast<int>(mask[k] & 1) << k;
  return bits;
#endif
}

// Whole numbers of 32 bits as uniform numbers in (0, 1).
EPROP_INLINE RealBlock to_unit(const WordBlock& words) {
  return (reinterpret_cast<RealBlock>(words | kWholeBits) - kWhole + 0.5) * 0x1p-32;
}

EPROP_INLINE RealBlock at_most(const RealBlock& values, double most) { return values < most ? values : RealBlock{} + most; }

// base^exponent for whole exponents below 64.
EPROP_INLINE RealBlock power(RealBlock base, const RealBlock& exponent) {
  const auto bits = reinterpret_cast<WordBlock>(exponent + kWhole);
  RealBlock product = RealBlock{} + 1.0;
  for (int k = 0; k < 6; k++, base *= base) product = (bits & (std::uint64_t{1} << k)) != 0 ? product * base : product;
  return product;
}

}  // namespace

Cochlea::Cochlea(const CochleaSettings& settings, Array2<const double> filters, std::uint64_t seed)
    : settings_(settings),
      seed_(seed),
      groups_((settings.places + kPlaces - 1) / kPlaces),
      types_(static_cast<Index>(settings.sensitivities.size())),
      samples_(settings.n_taps - 1),
      filters_(groups_),
      cells_(groups_ * types_),
      velocity_(kChunk) {
  for (Index k = 1; k <= kMaxFibres; k++) inverse_[k] = 1.0 / static_cast<double>(k);
  for (Index place = 0; place < groups_ * kPlaces; place++) {
    const Index group = place / kPlaces, lane = place % kPlaces;
    if (place < settings.places) {
      filters_[group].pole[0][lane] = filters(0, place);
      filters_[group].pole[1][lane] = filters(1, place);
      filters_[group].gain[lane] = filters(2, place);
    }
    for (Index type = 0; type < types_; type++) {
      Cells& cells = cells_[group * types_ + type];
      cells.channels[lane] = type * settings.places + place;
      if (place < settings.places) cells.used |= 1 << lane;
      cells.free[lane] = settings.free;
      cells.cleft[lane] = settings.cleft;
      cells.reprocessing[lane] = settings.reprocessing;
    }
  }
}

void Cochlea::hear(Array1<const double> samples, double gain, CochleaSpikes& out) {
  const FlushSubnormals flush;
  resample(samples, gain);
  const auto total = static_cast<Index>(sound_.size());
  for (Index first = 0; first < total; first += kChunk) {
    const Index n = std::min(kChunk, total - first);
    for (Index group = 0; group < groups_; group++) {
      vibrate(filters_[group], sound_.data() + first, n);
      respond(group, n);
    }
    step_ += n;
    std::sort(fired_.begin(), fired_.end());
    for (const std::uint64_t spike : fired_) {
      out.steps.push_back(static_cast<std::int64_t>(spike >> kChannelBits));
      out.channels.push_back(static_cast<std::int32_t>(spike & ((1 << kChannelBits) - 1)));
    }
    fired_.clear();
  }
}

// Makes steps of samples, and passes them through the middle ear. The filter is causal: a step needs earlier samples alone.
void Cochlea::resample(Array1<const double> samples, double gain) {
  const Index kept = settings_.n_taps - 1, up = settings_.up;
  for (Index k = 0; k < samples.size; k++) samples_.push_back(gain * samples[k]);
  sound_.clear();
  for (; position_ < samples.size * up; position_ += settings_.down) {
    const double* const from = samples_.data() + position_ / up;
    const double* const taps = settings_.taps.data() + position_ % up * settings_.n_taps;
    double step = 0.0;
    for (Index k = 0; k <= kept; k++) step += taps[k] * from[k];
    sound_.push_back(step - settings_.middle_ear * before_);
    before_ = step;
  }
  position_ -= samples.size * up;
  samples_.erase(samples_.begin(), samples_.end() - kept);
}

// Gammatone filters as four complex stages: y_k[t] = pole y_k[t - 1] + y_{k - 1}[t].
void Cochlea::vibrate(Filters& filters, const double* sound, Index n) {
  Filters f = filters;
  for (Index t = 0; t < n; t++) {
    RealBlock re = RealBlock{} + sound[t], im{};
    for (auto& stage : f.stages) {
      const RealBlock turned = f.pole[0] * stage[0] - f.pole[1] * stage[1];
      im += f.pole[0] * stage[1] + f.pole[1] * stage[0];
      re += turned;
      stage[0] = re;
      stage[1] = im;
    }
    const RealBlock velocity = f.gain * re;
    velocity_[t] = velocity > 0.0 ? velocity : RealBlock{};
  }
  filters = f;
}

// How many of the fibres that are ready fire: binomial numbers, by inversion of uniform draws.
EPROP_INLINE RealBlock Cochlea::count_firing(const RealBlock& p, const RealBlock& ready, const RealBlock& draws) const {
  const RealBlock odds = p / (1.0 - p);
  RealBlock probability = power(1.0 - p, ready), below = probability, count{};
  for (Index k = 1; k <= settings_.n_fibres; k++) {
    const Mask more = draws > below;
    if (k > kOften && bits_of(more) == 0) break;  // the branch of a rare case is cheap
    count = more ? count + 1.0 : count;
    probability *= odds * (ready - static_cast<double>(k - 1)) * inverse_[k];
    below += probability;
  }
  return count;
}

// Draws of 32 bits for four steps.
EPROP_INLINE void Cochlea::draw(Cells& cells, Index step) const {
  constexpr std::uint64_t kLow = 0xFFFFFFFF;
  WordBlock first, second;
  philox_block(seed_, kCochlea, {cells.channels, WordBlock{} + static_cast<std::uint64_t>(step / 4)}, first, second);
  cells.draws[0] = to_unit(first & kLow);
  cells.draws[1] = to_unit(first >> 32);
  cells.draws[2] = to_unit(second & kLow);
  cells.draws[3] = to_unit(second >> 32);
}

// One step of hair cells, fibres and bushy cells.
EPROP_INLINE void Cochlea::advance(Cells& x, Index step, const RealBlock& drive) {
  const CochleaSettings& s = settings_;
  const RealBlock permeable = drive + s.a;
  const RealBlock ejected = s.release * permeable / (permeable + s.b) * x.free;
  const RealBlock returned = s.reprocess * x.reprocessing, taken_up = s.reuptake * x.cleft;
  x.free += s.replenish * (1.0 - x.free) - ejected + returned;
  x.cleft += ejected - s.loss * x.cleft - taken_up;
  x.reprocessing += taken_up - returned;

  RealBlock& ring = x.fired[step % s.refractory];
  x.busy -= ring;
  const RealBlock ready = static_cast<double>(s.n_fibres) - x.busy;
  ring = count_firing(at_most(s.firing * x.cleft, kMostLikely), ready, x.draws[step % 4]);
  x.busy += ring;

  x.current = s.keep_current * x.current + ring;
  x.voltage = s.keep_voltage * x.voltage + (x.hold > 0.0 ? RealBlock{} : s.gain * x.current);
  const Mask spikes = x.voltage >= 1.0;
  x.voltage = spikes ? RealBlock{} : x.voltage;
  x.hold = spikes ? RealBlock{} + static_cast<double>(s.refractory - 1) : x.hold - 1.0;
  for (int bits = bits_of(spikes) & x.used; bits != 0; bits &= bits - 1)
    fired_.push_back(static_cast<std::uint64_t>(step) << kChannelBits | x.channels[__builtin_ctz(bits)]);
}

void Cochlea::respond(Index group, Index n) {
  Cells* const cells = cells_.data() + group * types_;
  for (Index t = 0; t < n; t++) {
    for (Index type = 0; type < types_; type++) {
      if ((step_ + t) % 4 == 0) draw(cells[type], step_ + t);
      advance(cells[type], step_ + t, velocity_[t] * settings_.sensitivities[type]);
    }
  }
}

std::vector<CochleaSpikes> hear_sounds(const Sounds& sounds, const CochleaSettings& settings, int threads) {
  const Index n = sounds.offsets.size - 1;
  std::vector<CochleaSpikes> made(n);
  share_items(n, threads, [&](Index, const auto& take) {
    for (Index i = take(); i >= 0; i = take()) {
      Cochlea ear(settings, sounds.filters.plane(i), sounds.seeds[i]);
      const Index first = sounds.offsets[i];
      ear.hear({sounds.samples.data + first, sounds.offsets[i + 1] - first}, sounds.gains[i], made[i]);
    }
  });
  return made;
}

}  // namespace eprop
