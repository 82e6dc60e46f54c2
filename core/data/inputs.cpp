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

}  // namespace eprop
