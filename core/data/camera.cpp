#include "data/camera.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <span>
#include <utility>

#include "support/rng.hpp"
#include "support/threads.hpp"

namespace eprop {
namespace {

// Margin around the image: the path may lead it 2 pixels out of the field without a bounds check.
constexpr Index kMargin = 10;
constexpr Index kLight = kField + kMargin + 3 + 8;
// Pixels of a row in the state arrays: the field, padded to groups of 8.
constexpr Index kRow = 40;
constexpr Index kState = kField * kRow;
// Smallest relative threshold after noise.
constexpr double kLeast = 0.25;
// Standard deviation of a spline field relative to that of its nodes: the root mean square of a spline, per axis.
constexpr double kSmoothed = 151.0 / 315.0;
// Duration over which a delay builds up.
constexpr double kBlend = 10000.0;

// Positions in the first block of random numbers: 0 and 1 shift of the path, 2 duration, 3 contrast, then these.
constexpr Index kFirstDelay = 4;
constexpr Index kFirstPixel = kFirstDelay + kMaxDelays;
constexpr Index kFirstWarp = kFirstPixel + kField * kField;
constexpr Index kRandom = 8 * (kField * kField / 8 + 3);
static_assert(kFirstWarp + 4 <= kRandom);
// Block of random numbers of the elastic distortion; draws per event count their blocks from 1.
constexpr std::uint64_t kElasticBlock = 0xFFFF;

Index nodes_of(Index spacing) { return (kSide - 1) / spacing + 4; }  // a spline extends over two nodes to each side

// Arrays that one thread needs while it records.
struct Buffers {
  Index nodes;                                      // of the elastic distortion, along each axis
  std::vector<std::uint16_t> few;                   // random numbers of the nodes
  std::vector<double> displaced;                    // (2, nodes, nodes)
  std::array<std::uint8_t, kSide * kSide> image{};  // distorted
  std::array<float, kPhases * kPhases * kLight * kLight> light{};
  std::array<float, kSide * kLight> rows{};
  std::array<float, kState> upper{}, lower{};  // band of each pixel: an event occurs when the light leaves the band
  std::vector<float> level, before;            // light of each pixel in this step and in the step before
  std::array<double, kState> free_at{};        // end of each pixel's refractory time
  std::array<float, kState> thresholds{};      // relative
  std::array<std::uint16_t, kRandom> random{};
  std::array<std::uint8_t, kState> left{};  // whether each pixel left its band
  CameraEvents events;

  explicit Buffers(Index spacing)
      : nodes(nodes_of(spacing)), few(2 * nodes * nodes), displaced(2 * nodes * nodes), level(kState), before(kState) {}
};

// The random numbers of one digit.
struct RandomStream {
  std::uint64_t seed;
  std::uint32_t digit;
};

// Fills `out` with 16-bit numbers; `block` (< 2^16) separates the calls.
void fill_random(const RandomStream& stream, std::uint64_t block, std::span<std::uint16_t> out) {
  const std::uint64_t base = block << 32;
  for (std::size_t k = 0; 8 * k < out.size(); k++) {
    const auto [a, b] = philox(stream.seed, kCamera, stream.digit, base + k);
    for (std::size_t j = 0; j < 4; j++) {
      if (8 * k + j < out.size()) out[8 * k + j] = static_cast<std::uint16_t>(a >> (16 * j));
      if (8 * k + 4 + j < out.size()) out[8 * k + 4 + j] = static_cast<std::uint16_t>(b >> (16 * j));
    }
  }
}

// First row and column with ink, and the ones after the last.
struct Box {
  Index top = kSide, bottom = 0, left = kSide, right = 0;
};

Box find_box(const std::uint8_t* image) {
  Box box;
  for (Index y = 0; y < kSide; y++) {
    for (Index x = 0; x < kSide; x++) {
      if (image[y * kSide + x] == 0) continue;
      box.top = std::min(box.top, y);
      box.bottom = std::max(box.bottom, y + 1);
      box.left = std::min(box.left, x);
      box.right = std::max(box.right, x + 1);
    }
  }
  return box;
}

// Ink at a position between pixels, rounded; paper beyond the image.
std::uint8_t ink_at(const std::uint8_t* image, double x, double y) {
  const auto left = static_cast<Index>(std::floor(x)), top = static_cast<Index>(std::floor(y));
  const double fx = x - static_cast<double>(left), fy = y - static_cast<double>(top);
  double total = 0.5;
  for (Index j = 0; j < 2; j++) {
    for (Index i = 0; i < 2; i++) {
      if (left + i < 0 || left + i >= kSide || top + j < 0 || top + j >= kSide) continue;
      const double share = (i ? fx : 1.0 - fx) * (j ? fy : 1.0 - fy);
      total += share * image[(top + j) * kSide + left + i];
    }
  }
  return static_cast<std::uint8_t>(total);
}

// Draws displacements of the nodes so that the displacements of the pixels have the standard deviation `elastic`.
void draw_nodes(const RandomStream& stream, const CameraSettings& c, Buffers& buffers) {
  fill_random(stream, kElasticBlock, buffers.few);
  for (std::size_t k = 0; k < buffers.few.size(); k++)
    buffers.displaced[k] = c.elastic / kSmoothed * c.normals[buffers.few[k] >> 4];
}

// Distorts the image by a random linear map around its centre and a random field of displacements; the first block of random
// numbers gives the map.
void distort(const std::uint8_t* image, const RandomStream& stream, const CameraSettings& c, Buffers& buffers) {
  constexpr double kCentre = 0.5 * (kSide - 1);
  if (c.elastic > 0.0)
    draw_nodes(stream, c, buffers);
  else
    std::fill(buffers.displaced.begin(), buffers.displaced.end(), 0.0);
  const auto drawn = [&](Index k) { return c.warp * c.normals[buffers.random[kFirstWarp + k] >> 4]; };
  const double a = 1.0 + drawn(0), b = drawn(1), cc = drawn(2), d = 1.0 + drawn(3);
  const Index nodes = buffers.nodes;
  const double *const along_x = buffers.displaced.data(), *const along_y = along_x + nodes * nodes;
  for (Index y = 0; y < kSide; y++) {
    for (Index x = 0; x < kSide; x++) {
      const Index first = y / c.elastic_spacing * nodes + x / c.elastic_spacing;
      double dx = 0.0, dy = 0.0;
      for (Index j = 0; j < 4; j++) {
        for (Index i = 0; i < 4; i++) {
          const double weight = c.splines(y, j) * c.splines(x, i);
          dx += weight * along_x[first + j * nodes + i];
          dy += weight * along_y[first + j * nodes + i];
        }
      }
      const double right = static_cast<double>(x) - kCentre, down = static_cast<double>(y) - kCentre;
      buffers.image[y * kSide + x] = ink_at(image, kCentre + a * right + b * down + dx, kCentre + cc * right + d * down + dy);
    }
  }
}

// Logarithm of the blurred image at kPhases positions per pixel and axis:
// light[py, px, kMargin + j, kMargin + i] is the light at (j + py / kPhases, i + px / kPhases) in image pixels.
void fill_light(const std::uint8_t* image, const Box& box, const CameraSettings& c, Buffers& buffers) {
  constexpr Index kHalf = kTaps / 2 - 1;
  constexpr auto kScale = static_cast<float>(static_cast<double>(kLevels) / 255.0);
  std::fill(buffers.light.begin(), buffers.light.end(), c.log_table[0]);
  const Index first = kMargin + box.left - kHalf - 1, last = kMargin + box.right + kHalf;
  for (Index px = 0; px < kPhases; px++) {
    for (Index y = box.top; y < box.bottom; y++) {
      for (Index i = first; i < last; i++) {
        float total = 0.0f;
        for (Index k = 0; k < kTaps; k++) {
          const Index x = i - kMargin + k - kHalf;
          if (box.left <= x && x < box.right) total += c.taps(px, k) * static_cast<float>(image[y * kSide + x]);
        }
        buffers.rows[y * kLight + i] = total;
      }
    }
    for (Index py = 0; py < kPhases; py++) {
      float* const plane = buffers.light.data() + (py * kPhases + px) * kLight * kLight;
      for (Index j = kMargin + box.top - kHalf - 1; j < kMargin + box.bottom + kHalf; j++) {
        for (Index i = first; i < last; i++) {
          float total = 0.0f;
          for (Index k = 0; k < kTaps; k++) {
            const Index y = j - kMargin + k - kHalf;
            if (box.top <= y && y < box.bottom) total += c.taps(py, k) * buffers.rows[y * kLight + i];
          }
          // NOLINTNEXTLINE(bugprone-incorrect-roundings): light is never below zero.
          const auto level = static_cast<Index>(total * kScale + 0.5f);
          plane[j * kLight + i] = c.log_table[std::min(level, kLevels)];
        }
      }
    }
  }
}

// Position of pixel 0 of a field axis, in image pixels times kPhases: whole part and fraction.
struct Aim {
  Index whole;
  float fraction;
};

Aim aim(double position) {
  const double place = -std::min(std::max(position, -2.0), 9.0) * kPhases;
  const auto whole = static_cast<Index>(std::floor(place));
  return {whole, static_cast<float>(place - static_cast<double>(whole))};
}

// Offset of column q / kPhases of the image in a row of the light, and of row q / kPhases (q may be negative).
Index line_of(Index q) { return (q & (kPhases - 1)) * kLight * kLight + (q >> 2) + kMargin; }
Index plane_of(Index q) { return (q & (kPhases - 1)) * kPhases * kLight * kLight + ((q >> 2) + kMargin) * kLight; }
static_assert(kPhases == 4);

// Computes the light on every pixel: linear between the four surrounding positions.
void look(const float* light, const Aim& ax, const Aim& ay, float* level) {
  const float gx = 1.0f - ax.fraction, gy = 1.0f - ay.fraction;
  const float w00 = gy * gx, w01 = gy * ax.fraction, w10 = ay.fraction * gx, w11 = ay.fraction * ax.fraction;
  const Index left0 = line_of(ax.whole), left1 = line_of(ax.whole + 1);
  const Index row0 = plane_of(ay.whole), row1 = plane_of(ay.whole + 1);
  for (Index y = 0; y < kField; y++) {
    const float *const up = light + row0 + y * kLight, *const down = light + row1 + y * kLight;
    const float *const c00 = up + left0, *const c01 = up + left1, *const c10 = down + left0, *const c11 = down + left1;
    float* const __restrict out = level + y * kRow;
    for (Index i = 0; i < kRow; i++) out[i] = w00 * c00[i] + w01 * c01[i] + w10 * c10[i] + w11 * c11[i];
  }
}

// Position on the path at a time in microseconds; the path rests before its start and after its end.
double position(const CameraSettings& c, Index axis, double time) {
  const double place = std::min(std::max(time / c.fine_us, 0.0), static_cast<double>(c.path.columns) - 1.000001);
  const auto k = static_cast<Index>(place);
  return c.path(axis, k) + (place - static_cast<double>(k)) * (c.path(axis, k + 1) - c.path(axis, k));
}

// Delay of the path at a time: 0 at first; each of the delays adds its drawn value from its time on.
double lateness(double time, Array2<const double> delays, const double* drawn) {
  double late = 0.0;
  for (Index j = 0; j < delays.rows; j++) {
    const double share = std::min(std::max((time - delays(j, 0)) / kBlend, 0.0), 1.0);
    late += share * (drawn[j] - late);
  }
  return late;
}

// A recording in progress.
struct Recording {
  const CameraSettings& camera;
  Buffers& buffers;
  RandomStream stream;
  Index most;           // largest number of events
  double on, off;       // thresholds of this recording
  double end;           // end of the recording, us
  Index place;          // position of the next random number
  std::uint64_t block;  // block of random numbers
  double start, now;    // start and end of the step, us
  bool full = false;

  float normal() { return camera.normals[buffers.random[place++] >> 4]; }

  // Makes `numbers` random numbers available at `place`: takes the next block if this one has too few left.
  void need(Index numbers) {
    if (place + numbers <= kRandom) return;
    fill_random(stream, ++block, buffers.random);
    place = 0;
  }

  void add(double time, Index channel) {
    if (static_cast<Index>(buffers.events.times.size()) >= most) full = true;
    if (full) return;
    buffers.events.times.push_back(static_cast<std::int32_t>(time));
    buffers.events.channels.push_back(static_cast<std::int32_t>(channel));
  }
};

// Relative threshold of every pixel, from the first block of random numbers.
void draw_thresholds(const CameraSettings& c, Buffers& buffers) {
  for (Index y = 0; y < kField; y++) {
    for (Index x = 0; x < kField; x++) {
      const float quantile = c.normals[buffers.random[kFirstPixel + y * kField + x] >> 4];
      buffers.thresholds[y * kRow + x] = static_cast<float>(std::max(1.0 + c.threshold_spread * quantile, kLeast));
    }
  }
}

// Centres the band of every pixel at its first level; beyond the field no light change counts.
void start_bands(const Recording& r) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  Buffers& b = r.buffers;
  for (std::size_t x = 0; x < kState; x++) {
    const bool inside = static_cast<Index>(x) % kRow < kField;
    b.upper[x] = inside ? static_cast<float>(b.level[x] + r.on * b.thresholds[x]) : kInfinity;
    b.lower[x] = inside ? static_cast<float>(b.level[x] - r.off * b.thresholds[x]) : -kInfinity;
    b.free_at[x] = -1e9;
  }
}

// Events of a pixel within a step.
void follow_pixel(Recording& r, Index pixel) {
  Buffers& b = r.buffers;
  const std::size_t x = pixel;
  const double fresh = b.level[x], old = b.before[x], per_us = 1.0 / r.camera.step_us;
  const double slope = (fresh - old) * per_us;
  double at = std::max(r.start, b.free_at[x]);
  while (at < r.now) {
    double edge;
    Index polarity;
    if (fresh > b.upper[x]) {
      edge = b.upper[x];
      polarity = 1;
    } else if (fresh < b.lower[x]) {
      edge = b.lower[x];
      polarity = 0;
    } else {
      break;
    }
    const double way = edge - (old + slope * (at - r.start));
    if (way * slope > 0.0) at = std::min(at + way / slope, r.now);  // else the light left the band during the refractory time
    if (at < r.end) r.add(at, polarity * kField * kField + pixel / kRow * kField + pixel % kRow);
    if (r.full) return;
    r.need(1);
    // The new band is centred at the edge, not at the light, so that changes during the refractory time count afterwards.
    const double bend = b.thresholds[x] * std::max(1.0 + r.camera.threshold_noise * r.normal(), kLeast);
    b.upper[x] = static_cast<float>(edge + r.on * bend);
    b.lower[x] = static_cast<float>(edge - r.off * bend);
    at += r.camera.refractory_us;
    b.free_at[x] = at;
  }
}

// Events of all pixels within a step.
void follow_pixels(Recording& r) {
  Buffers& b = r.buffers;
  const float *const level = b.level.data(), *const upper = b.upper.data(), *const lower = b.lower.data();
  std::uint8_t* const __restrict left = b.left.data();
  for (Index x = 0; x < kState; x++) left[x] = (level[x] > upper[x]) | (level[x] < lower[x]);
  for (Index x = 0; x < kState && !r.full; x++) {
    const void* const next = std::memchr(left + x, 1, kState - x);
    if (next == nullptr) return;
    x = static_cast<const std::uint8_t*>(next) - left;
    follow_pixel(r, x);
  }
}

// Background events within a step.
void add_background(Recording& r) {
  const CameraSettings& c = r.camera;
  r.need(2 * (static_cast<Index>(c.background) + 1) + 1);
  const std::uint16_t* const random = r.buffers.random.data();
  const auto events = static_cast<Index>(c.background + random[r.place] / 65536.0);
  for (Index k = 0; k < events; k++) {
    const Index fine = random[r.place + 2];
    const Index on = static_cast<double>(fine & 255) < c.background_on * 256.0 ? kField * kField : 0;
    const Index pixel = (Index{random[r.place + 1]} * (kField * kField)) >> 16;
    r.add(r.start + c.step_us * (static_cast<double>(fine >> 8) / 256.0), on + pixel);
    r.place += 2;
  }
  r.place++;
}

// Records one image that moves along the path; leaves its events in the buffers. Returns false if there are too many.
bool record_digit(const std::uint8_t* image, const RandomStream& stream, const CameraSettings& c, Index most, Buffers& b) {
  b.events.times.clear();
  b.events.channels.clear();
  fill_random(stream, 0, b.random);
  const auto quantile = [&](std::size_t k) { return c.normals[b.random[k] >> 4]; };
  const double shift_x = c.jitter * quantile(0), shift_y = c.jitter * quantile(1);
  const double end = c.shortest_us + (c.longest_us - c.shortest_us) * (b.random[2] / 65536.0);
  const double rise = std::max(1.0 + c.contrast * quantile(3), kLeast);
  double drawn[kMaxDelays] = {};
  for (Index j = 0; j < c.delays.rows; j++) drawn[j] = c.delays(j, 1) * (b.random[kFirstDelay + j] / 32768.0 - 1.0);
  draw_thresholds(c, b);
  if (c.warp > 0.0 || c.elastic > 0.0) {
    distort(image, stream, c, b);
    image = b.image.data();
  }
  fill_light(image, find_box(image), c, b);

  Recording r{c, b, stream, most, rise * c.threshold_on, rise * c.threshold_off, end, kRandom, 0, 0.0, 0.0};
  const Index steps = 1 + static_cast<Index>(std::ceil(c.longest_us / c.step_us));
  for (Index step = 0; step < steps && !r.full; step++, std::swap(b.level, b.before)) {
    r.now = static_cast<double>(step) * c.step_us;
    r.start = r.now - c.step_us;
    const double source = r.now - lateness(r.now, c.delays, drawn);
    look(b.light.data(), aim(position(c, 0, source) + shift_x), aim(position(c, 1, source) + shift_y), b.level.data());
    if (step == 0) {
      start_bands(r);
      continue;
    }
    follow_pixels(r);
    if (r.now < end) add_background(r);
  }
  return !r.full;
}

}  // namespace

bool record_digits(const Digits& digits, const CameraSettings& settings, Index most, int threads, CameraEvents& out) {
  const Index n = digits.images.planes;
  std::vector<CameraEvents> made(n);
  std::atomic<bool> full{false};
  share_items(n, threads, [&](Index, const auto& take) {
    const auto buffers = std::make_unique<Buffers>(settings.elastic_spacing);
    for (Index i = take(); i >= 0 && !full; i = take()) {
      const RandomStream stream{digits.seed, static_cast<std::uint32_t>(digits.indices[i])};
      if (!record_digit(digits.images.row(i, 0), stream, settings, most, *buffers)) full = true;
      made[i] = buffers->events;
    }
  });
  if (full) return false;
  out.offsets.assign(1, 0);
  for (const CameraEvents& events : made) out.offsets.push_back(out.offsets.back() + static_cast<Index>(events.times.size()));
  out.times.reserve(out.offsets.back());
  out.channels.reserve(out.offsets.back());
  for (const CameraEvents& events : made) {
    out.times.insert(out.times.end(), events.times.begin(), events.times.end());
    out.channels.insert(out.channels.end(), events.channels.begin(), events.channels.end());
  }
  return true;
}

DistortedDigit distort_digit(const Digits& digits, Index i, const CameraSettings& settings) {
  const auto buffers = std::make_unique<Buffers>(settings.elastic_spacing);
  const RandomStream stream{digits.seed, static_cast<std::uint32_t>(digits.indices[i])};
  fill_random(stream, 0, buffers->random);
  distort(digits.images.row(i, 0), stream, settings, *buffers);
  return {{buffers->image.begin(), buffers->image.end()}, std::move(buffers->displaced)};
}

}  // namespace eprop
