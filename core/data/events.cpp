#include "data/events.hpp"

#include <algorithm>
#include <cmath>

#include "support/rng.hpp"
#include "support/threads.hpp"

namespace eprop {
namespace {

// Buffers of one thread for binning a sample.
struct BinBuffers {
  std::vector<std::int32_t> step, by_channel, by_step;
  std::vector<Index> channel_place, step_place;

  BinBuffers(const Bins& bins, Index longest)
      : step(longest), by_channel(longest), by_step(longest), channel_place(bins.n_channels + 1), step_place(bins.n_steps + 1) {}
};

struct OneSample {
  const std::int32_t *times, *channels;
  Index n;
};

// Bins a sample by two counting sorts, by channel and then by step, and drops repetitions; returns the number of entries.
// Two counting sorts cost the same for any step length; sorting within each step would be quadratic in the step length.
Index bin_sample(const OneSample& sample, const Bins& bins, BinBuffers& buffers, std::int32_t* out, Index* ptr) {
  Index* const channel_place = buffers.channel_place.data();
  Index* const step_place = buffers.step_place.data();
  std::int32_t *const step = buffers.step.data(), *const by_channel = buffers.by_channel.data();
  std::int32_t* const by_step = buffers.by_step.data();
  std::fill_n(channel_place, bins.n_channels + 1, 0);
  std::fill_n(step_place, bins.n_steps + 1, 0);
  for (Index e = 0; e < sample.n; e++) {
    const auto s = static_cast<Index>(sample.times[e] / bins.step_us);
    step[e] = s < bins.n_steps ? static_cast<std::int32_t>(s) : -1;
    if (s >= bins.n_steps) continue;
    channel_place[sample.channels[e] + 1]++;
    step_place[s + 1]++;
  }
  for (Index c = 0; c < bins.n_channels; c++) channel_place[c + 1] += channel_place[c];
  for (Index s = 0; s < bins.n_steps; s++) step_place[s + 1] += step_place[s];
  const Index kept = step_place[bins.n_steps];
  for (Index e = 0; e < sample.n; e++)
    if (step[e] >= 0) by_channel[channel_place[sample.channels[e]]++] = static_cast<std::int32_t>(e);
  for (Index k = 0; k < kept; k++) by_step[step_place[step[by_channel[k]]]++] = sample.channels[by_channel[k]];
  // Now step_place[s] is the end of step s.
  Index written = 0, k = 0;
  ptr[0] = 0;
  for (Index s = 0; s < bins.n_steps; s++) {
    for (std::int32_t previous = -1; k < step_place[s]; k++) {
      if (by_step[k] == previous) continue;
      previous = by_step[k];
      out[written++] = previous;
    }
    ptr[s + 1] = written;
  }
  return written;
}

}  // namespace

Binned bin_events(const EventsView& events, const Bins& bins, int threads) {
  const Index n = events.offsets.size - 1, width = bins.n_steps + 1, origin = events.offsets[0];
  Binned made{std::vector<std::int32_t>(events.offsets[n] - origin), std::vector<Index>(n * width)};
  Index longest = 0;
  for (Index i = 0; i < n; i++) longest = std::max(longest, events.offsets[i + 1] - events.offsets[i]);
  // Each sample has capacity for all its events.
  share_items(n, threads, [&](Index, const auto& take) {
    BinBuffers buffers(bins, longest);
    for (Index i = take(); i >= 0; i = take()) {
      const Index first = events.offsets[i];
      const OneSample sample{events.times.data + first, events.channels.data + first, events.offsets[i + 1] - first};
      bin_sample(sample, bins, buffers, made.channels.data() + (first - origin), made.ptr.data() + i * width);
    }
  });
  // Now close the gaps between samples.
  Index written = 0;
  for (Index i = 0; i < n; i++) {
    Index* const ptr = made.ptr.data() + i * width;
    const auto from = made.channels.begin() + (events.offsets[i] - origin), to = made.channels.begin() + written;
    const Index entries = ptr[bins.n_steps];
    if (from != to) std::copy(from, from + entries, to);
    for (Index s = 0; s < width; s++) ptr[s] += written;
    written += entries;
  }
  made.channels.resize(written);
  made.channels.shrink_to_fit();
  return made;
}

namespace {

// Entries of all samples together.
Index entries_of(const BinnedView& data) {
  Index total = 0;
  for (Index i = 0; i < data.ptr.rows; i++) total += data.ptr(i, data.ptr.columns - 1) - data.ptr(i, 0);
  return std::max<Index>(total, 0);
}

}  // namespace

Binned renumber_channels(const BinnedView& data, Array1<const std::int32_t> number) {
  Binned made{{}, std::vector<Index>(data.ptr.size())};
  made.channels.reserve(entries_of(data));
  for (Index i = 0; i < data.ptr.rows; i++) {
    Index* const ptr = made.ptr.data() + i * data.ptr.columns;
    ptr[0] = static_cast<Index>(made.channels.size());
    for (Index s = 0; s + 1 < data.ptr.columns; s++) {
      for (Index e = data.ptr(i, s); e < data.ptr(i, s + 1); e++) {
        const std::int32_t c = number[data.channels[e]];
        if (c >= 0) made.channels.push_back(c);
      }
      ptr[s + 1] = static_cast<Index>(made.channels.size());
    }
  }
  made.channels.shrink_to_fit();
  return made;
}

BinnedFaultAt find_fault(const BinnedView& data, Index n_channels) {
  const Index n_steps = data.ptr.columns - 1;
  for (Index i = 0; i < data.ptr.rows; i++) {
    const Index* const ptr = data.ptr.row(i);
    if (ptr[0] < 0 || ptr[n_steps] > data.channels.size) return {i, BinnedFault::kOffsets};
    for (Index s = 0; s < n_steps; s++)
      if (ptr[s + 1] < ptr[s]) return {i, BinnedFault::kOffsets};
    for (Index s = 0; s < n_steps; s++) {
      std::int32_t previous = -1;
      for (Index e = ptr[s]; e < ptr[s + 1]; e++) {
        const std::int32_t c = data.channels[e];
        if (c < 0 || c >= n_channels) return {i, BinnedFault::kRange};
        if (c <= previous) return {i, BinnedFault::kOrder};
        previous = c;
      }
    }
  }
  return {-1, BinnedFault::kNone};
}

EventFaultAt decode_nmnist(Array1<const std::uint8_t> raw, Array1<const Index> offsets, Index size, DecodedEvents& out) {
  // A y of 240 is not an event: the clock of the recorder has overflowed, and later times are 2^13 us later.
  constexpr Index kEventBytes = 5, kOverflowMark = 240, kOverflow = 8192;
  const auto most = raw.size / kEventBytes;
  out.times.reserve(most);
  out.channels.reserve(most);
  out.offsets.assign(1, 0);
  for (Index file = 0; file + 1 < offsets.size; file++) {
    Index previous = 0, wrapped = 0;
    for (Index b = offsets[file]; b + kEventBytes <= offsets[file + 1]; b += kEventBytes) {
      const Index x = raw[b], y = raw[b + 1], high = raw[b + 2];
      if (y == kOverflowMark) {
        wrapped += kOverflow;
        continue;
      }
      const Index time = (((high & 127) << 16) | (Index{raw[b + 3]} << 8) | Index{raw[b + 4]}) + wrapped;
      if (x >= size || y >= size) return {file, b - offsets[file], EventFault::kPosition};
      if (time < previous) return {file, b - offsets[file], EventFault::kTime};
      previous = time;
      out.times.push_back(static_cast<std::int32_t>(time));
      out.channels.push_back(static_cast<std::int32_t>(((high >> 7) * size + y) * size + x));
    }
    out.offsets.push_back(static_cast<Index>(out.times.size()));
  }
  return {-1, 0, EventFault::kNone};
}

namespace {

// Means of x and y and the slope dx / dy of a sample's events relative to the path, and a hash of its channels.
struct Moments {
  double x, y, slope;
  std::uint64_t word;
};

Moments find_moments(const Index* ptr, const BinnedView& data, const Deskewing& d) {
  // 32-bit FNV-1a: equal recordings get equal random numbers in any data set.
  constexpr std::uint32_t kPrime = 0x01000193, kBasis = 0x811C9DC5;
  const auto side = static_cast<std::int32_t>(d.side), pixels = side * side;
  double sx = 0.0, sy = 0.0, sxy = 0.0, syy = 0.0;
  std::uint32_t word = kBasis;
  const Index n_steps = data.ptr.columns - 1;
  for (Index s = 0; s < n_steps; s++) {
    for (Index e = ptr[s]; e < ptr[s + 1]; e++) {
      const std::int32_t pixel = data.channels[e] % pixels, column = pixel % side, row = pixel / side;
      const double u = column - d.path(0, s), v = row - d.path(1, s);
      sx += u;
      sy += v;
      sxy += u * v;
      syy += v * v;
      word = (word ^ static_cast<std::uint32_t>(data.channels[e])) * kPrime;
    }
  }
  const auto n = static_cast<double>(std::max<Index>(ptr[n_steps] - ptr[0], 1));
  const double mx = sx / n, my = sy / n;
  const double variance = syy / n - my * my;
  return {mx, my, variance > 0.0 ? (sxy / n - mx * my) / variance : 0.0, word};
}

// Inserts a channel into the ascending channels from `start` on, unless it is there already. Channels come nearly in order, so
// each passes few others.
void insert_channel(std::vector<std::int32_t>& channels, std::size_t start, std::int32_t c) {
  std::size_t k = channels.size();
  while (k > start && channels[k - 1] > c) k--;
  if (k > start && channels[k - 1] == c) return;
  channels.insert(channels.begin() + static_cast<std::ptrdiff_t>(k), c);
}

}  // namespace

Binned deskew_events(const BinnedView& data, const Deskewing& d) {
  const auto side = static_cast<std::int32_t>(d.side), pixels = side * side;
  Binned made{{}, std::vector<Index>(data.ptr.size())};
  made.channels.reserve(entries_of(data));
  for (Index i = 0; i < data.ptr.rows; i++) {
    const Index* const given = data.ptr.row(i);
    Index* const ptr = made.ptr.data() + i * data.ptr.columns;
    const auto [mx, my, found, word] = find_moments(given, data, d);
    const double slope = std::min(std::max(found, -d.steepest), d.steepest);
    const auto down = static_cast<Index>(std::floor(d.centre - my + 0.5));
    UniformStream chances(word, kDeskew, 0);
    ptr[0] = static_cast<Index>(made.channels.size());
    for (Index s = 0; s + 1 < data.ptr.columns; s++) {
      const std::size_t start = made.channels.size();
      for (Index e = given[s]; e < given[s + 1]; e++) {
        const std::int32_t plane = data.channels[e] / pixels, pixel = data.channels[e] % pixels;
        const std::int32_t y = pixel / side, x = pixel % side;
        // Rounds up or down at random, so that the mean is right: rounding to nearest would turn a straight edge into
        // a staircase.
        const double right = std::floor(d.centre - mx - slope * (y - d.path(1, s) - my) + chances.next());
        const Index new_x = x + static_cast<Index>(right), new_y = y + down;
        if (new_x < 0 || new_y < 0 || new_x >= side || new_y >= side) continue;
        insert_channel(made.channels, start, static_cast<std::int32_t>(plane * pixels + new_y * side + new_x));
      }
      ptr[s + 1] = static_cast<Index>(made.channels.size());
    }
  }
  made.channels.shrink_to_fit();
  return made;
}

namespace {

// Moves the events of one sample; appends them.
void vary_sample(const Index* ptr, const BinnedView& data, const Variety& v, UniformStream draws, DecodedEvents& out) {
  const Index n_steps = data.ptr.columns - 1;
  const double shift = v.shift * (2.0 * draws.next() - 1.0);
  const double stretch = std::pow(1.0 + v.stretch, 2.0 * draws.next() - 1.0), delay = v.delay * draws.next();
  for (Index s = 0; s < n_steps; s++) {
    for (Index e = ptr[s]; e < ptr[s + 1]; e++) {
      // The fractions of places and steps are drawn, so that means are right.
      const double up = std::floor(shift + draws.next());
      const auto step = static_cast<Index>((static_cast<double>(s) + draws.next()) * stretch + delay);
      const Index place = data.channels[e] % v.places + static_cast<Index>(up);
      if (draws.next() < v.drop || place < 0 || place >= v.places || step >= n_steps) continue;
      out.times.push_back(static_cast<std::int32_t>(step));
      out.channels.push_back(static_cast<std::int32_t>(data.channels[e] / v.places * v.places + place));
    }
  }
}

}  // namespace

Binned vary_events(const BinnedView& data, Index n_channels, const Variety& variety, std::uint64_t seed,
                   Array1<const Index> numbers, int threads) {
  DecodedEvents moved;
  moved.times.reserve(entries_of(data));
  moved.channels.reserve(entries_of(data));
  moved.offsets.assign(1, 0);
  for (Index i = 0; i < data.ptr.rows; i++) {
    vary_sample(data.ptr.row(i), data, variety, {seed, kVary, static_cast<std::uint32_t>(numbers[i])}, moved);
    moved.offsets.push_back(static_cast<Index>(moved.times.size()));
  }
  const auto view = [](const auto& values) { return Array1{values.data(), static_cast<Index>(values.size())}; };
  return bin_events({view(moved.times), view(moved.channels), view(moved.offsets)}, {n_channels, data.ptr.columns - 1, 1.0},
                    threads);
}

}  // namespace eprop
