#include "data/inputs.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace eprop {

bool bin_spikes(const SpikeTrain& train, double dt, double precision, Array1<Index> start, std::vector<std::int32_t>& channels) {
  const Index n_steps = start.size - 1;
  std::vector<std::pair<Index, std::int32_t>> spikes(static_cast<std::size_t>(train.times.size));
  for (Index k = 0; k < train.times.size; k++) {
    const double count = train.times[k] / dt, nearest = std::nearbyint(count);
    const double step = std::fabs(count - nearest) <= 1e-9 + 4.0 * precision * std::fabs(count) ? nearest : std::floor(count);
    const Index channel = train.channels[k];
    if (!(step >= 0.0 && step < static_cast<double>(n_steps)) || channel < 0 || channel >= train.size) return false;
    spikes[k] = {static_cast<Index>(step), static_cast<std::int32_t>(channel)};
  }
  if (!std::is_sorted(spikes.begin(), spikes.end())) std::sort(spikes.begin(), spikes.end());
  spikes.erase(std::unique(spikes.begin(), spikes.end()), spikes.end());
  channels.resize(spikes.size());
  Index step = 0;
  for (std::size_t k = 0; k < spikes.size(); k++) {
    while (step <= spikes[k].first) start[step++] = static_cast<Index>(k);
    channels[k] = spikes[k].second;
  }
  while (step <= n_steps) start[step++] = static_cast<Index>(spikes.size());
  return true;
}

namespace {

// Copies a run of channels; returns whether all are within 0 .. size - 1.
bool copy_channels(const std::int32_t* from, Index count, Index size, std::int32_t* to) {
  std::int32_t low = 0, high = 0;
  for (Index k = 0; k < count; k++) {
    to[k] = from[k];
    low = std::min(low, from[k]);
    high = std::max(high, from[k]);
  }
  return count == 0 || (low >= 0 && high < size);
}

// Counts the channels that are not above the one before.
Index count_falls(const std::int32_t* channels, Index count) {
  Index falls = 0;
  for (Index k = 1; k < count; k++) falls += channels[k] <= channels[k - 1];
  return falls;
}

}  // namespace

bool copy_events(Array2<const Index> ptr, Array1<const std::int32_t> channels, Index size, Array1<Index> start,
                 Array1<std::int32_t> out) {
  const Index n_steps = ptr.columns - 1;
  Index filled = 0, falls = 0;
  start[0] = 0;
  for (Index sample = 0; sample < ptr.rows; sample++) {
    const Index* begin = ptr.row(sample);
    const Index first = begin[0], stop = begin[n_steps];
    if (first < 0 || stop > channels.size) return false;
    for (Index step = 0; step < n_steps; step++) {
      if (begin[step + 1] < begin[step] || begin[step + 1] > stop) return false;
      // At the start of a step, the channel may be lower than the one before.
      if (first < begin[step] && begin[step] < begin[step + 1] && channels[begin[step]] <= channels[begin[step] - 1]) falls--;
      start[sample * n_steps + step + 1] = filled + begin[step + 1] - first;
    }
    const Index count = stop - first;
    if (filled + count > out.size || !copy_channels(channels.data + first, count, size, out.data + filled)) return false;
    falls += count_falls(channels.data + first, count);
    filled += count;
  }
  return falls == 0;
}

}  // namespace eprop
