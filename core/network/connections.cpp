#include "network/connections.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <utility>

#include "support/binomial.hpp"
#include "support/rng.hpp"

namespace eprop {
namespace {

using Sources = std::span<std::int32_t>;

// Shortest lengths of lists of sources that are sorted by radix sort, and by radix sort with more bits.
constexpr std::size_t kLong = 64, kVeryLong = 512;
constexpr int kDigit = 8, kLongDigit = 11;

// Sorts whole numbers below n, by radix sort for long lists (4 ns instead of 40 per number); `spare` is scratch space.
void sort_sources(Sources list, Index n, std::vector<std::int32_t>& spare) {
  if (list.size() < kLong) return std::sort(list.begin(), list.end());
  const int bits = list.size() < kVeryLong ? kDigit : kLongDigit;
  const Index digits = Index{1} << bits;
  std::int32_t counts[1 << kLongDigit];
  std::int32_t *here = list.data(), *there = spare.data();
  for (int shift = 0; ((n - 1) >> shift) != 0; shift += bits) {
    std::fill_n(counts, digits, 0);
    for (std::size_t k = 0; k < list.size(); k++) counts[(here[k] >> shift) & (digits - 1)]++;
    std::int32_t at = 0;
    for (Index digit = 0; digit < digits; digit++) at += std::exchange(counts[digit], at);
    for (std::size_t k = 0; k < list.size(); k++) there[counts[(here[k] >> shift) & (digits - 1)]++] = here[k];
    std::swap(here, there);
  }
  if (here != list.data()) std::copy_n(here, list.size(), list.data());
}

// Parameters of a choice: number of candidates, excluded candidate (-1: none), and the key of the draws.
struct Choice {
  Index n, excluded;
  std::uint64_t seed;
  std::uint32_t target;
};

// Fills the list with draws below n, with repetitions.
void choose_with_repeats(Sources list, const Choice& c) {
  UniformStream draws(c.seed, kConnect, c.target);
  for (std::int32_t& source : list) do {
      source = static_cast<std::int32_t>(draws.next() * static_cast<double>(c.n));
    } while (source == c.excluded);
}

// Fills the list with distinct numbers below n; `taken` (n) is scratch, all false before and after.
// Floyd's method: one draw for each choice, no rejection, for any density.
void choose_different(Sources list, const Choice& c, std::vector<char>& taken) {
  const auto length = static_cast<Index>(list.size());
  const Index candidates = c.excluded >= 0 ? c.n - 1 : c.n;
  UniformStream draws(c.seed, kConnect, c.target);
  for (Index k = 0; k < length; k++) {
    const Index top = candidates - length + k;
    auto source = static_cast<Index>(draws.next() * static_cast<double>(top + 1));
    if (taken[source]) source = top;
    taken[source] = 1;
    list[k] = static_cast<std::int32_t>(source);
  }
  for (std::int32_t& source : list) {
    taken[source] = 0;
    if (c.excluded >= 0 && source >= c.excluded) source++;
  }
}

void choose(Sources list, const Choice& choice, bool multapses, std::vector<char>& taken) {
  if (multapses)
    choose_with_repeats(list, choice);
  else
    choose_different(list, choice, taken);
}

// Divides `total` connections among the targets `all`, as if each chose its target alone: a binomial number goes to the lower
// half, and so on. Each division has its own draws, so any range of targets can be counted alone. Writes counts of `wanted`.
void share_out(Index total, Targets all, Targets wanted, std::uint64_t seed, Index* counts) {
  if (total == 0 || all.stop <= wanted.first || all.first >= wanted.stop) return;
  if (all.size() == 1) {
    counts[all.first - wanted.first] = total;
    return;
  }
  const Index middle = all.first + all.size() / 2;
  UniformStream draws(seed, kTotal, static_cast<std::uint32_t>(middle));
  const double share = static_cast<double>(middle - all.first) / static_cast<double>(all.size());
  const Index lower = binomial(draws, total, share);
  share_out(lower, {all.first, middle}, wanted, seed, counts);
  share_out(total - lower, {middle, all.stop}, wanted, seed, counts);
}

}  // namespace

Connections bernoulli(Targets targets, Index n_pre, double probability, bool autapses, std::uint64_t seed) {
  Connections made{std::vector<Index>(targets.size() + 1), {}};
  const double expected = static_cast<double>(targets.size()) * static_cast<double>(n_pre) * probability;
  made.sources.reserve(static_cast<std::size_t>(expected * 1.1) + 64);
  const bool all = probability >= 1.0;
  const double log_miss = all ? -std::numeric_limits<double>::infinity() : std::log1p(-probability);
  const auto most = static_cast<double>(n_pre);
  for (Index target = targets.first; target < targets.stop; target++) {
    Index source = -1;
    UniformStream draws(seed, kConnect, static_cast<std::uint32_t>(target));
    for (;;) {
      // If connections are rare, a skip may exceed any integer.
      const Index skip = all ? 0 : static_cast<Index>(std::min(most, std::log1p(-draws.next()) / log_miss));
      if (skip >= n_pre - 1 - source) break;
      source += 1 + skip;
      if (autapses || source != target) made.sources.push_back(static_cast<std::int32_t>(source));
    }
    made.indptr[target - targets.first + 1] = static_cast<Index>(made.sources.size());
  }
  made.sources.shrink_to_fit();
  return made;
}

Connections fixed_indegree(Targets targets, Index n_pre, Index degree, AllowedPairs allowed, std::uint64_t seed) {
  Connections made{std::vector<Index>(targets.size() + 1), std::vector<std::int32_t>(targets.size() * degree)};
  std::vector<char> taken(allowed.multapses ? 0 : n_pre);
  std::vector<std::int32_t> spare(degree);
  for (Index k = 0; k < targets.size(); k++) {
    const Index target = targets.first + k;
    const Sources list(made.sources.data() + k * degree, degree);
    choose(list, {n_pre, allowed.autapses ? -1 : target, seed, static_cast<std::uint32_t>(target)}, allowed.multapses, taken);
    sort_sources(list, n_pre, spare);
    made.indptr[k + 1] = (k + 1) * degree;
  }
  return made;
}

Connections fixed_total_number(Targets targets, Index n_pre, Index n_post, Index total, bool autapses, std::uint64_t seed) {
  Connections made{std::vector<Index>(targets.size() + 1), {}};
  if (targets.size() == 0) return made;
  share_out(total, {0, n_post}, targets, seed, made.indptr.data() + 1);
  const Index most = *std::max_element(made.indptr.begin(), made.indptr.end());
  std::vector<std::int32_t> spare(most);
  for (std::size_t k = 1; k < made.indptr.size(); k++) made.indptr[k] += made.indptr[k - 1];
  made.sources.resize(made.indptr.back());
  for (Index k = 0; k < targets.size(); k++) {
    const Index target = targets.first + k;
    const Sources list(made.sources.data() + made.indptr[k], made.indptr[k + 1] - made.indptr[k]);
    choose_with_repeats(list, {n_pre, autapses ? -1 : target, seed, static_cast<std::uint32_t>(target)});
    sort_sources(list, n_pre, spare);
  }
  return made;
}

Connections fixed_outdegree(Targets targets, Index n_pre, Index n_post, Index degree, AllowedPairs allowed, std::uint64_t seed) {
  Connections made{std::vector<Index>(targets.size() + 1), {}};
  std::vector<std::int32_t> chosen(degree);
  std::vector<char> taken(allowed.multapses ? 0 : n_post);
  // Repeats the draws, so that memory is needed only for the connections of these targets.
  const auto for_each = [&](auto&& visit) {
    for (Index source = 0; source < n_pre; source++) {
      choose(chosen, {n_post, allowed.autapses ? -1 : source, seed, static_cast<std::uint32_t>(source)}, allowed.multapses,
             taken);
      for (const std::int32_t target : chosen)
        if (targets.first <= target && target < targets.stop) visit(target - targets.first, source);
    }
  };
  for_each([&](std::size_t k, Index) { made.indptr[k + 1]++; });
  for (std::size_t k = 1; k < made.indptr.size(); k++) made.indptr[k] += made.indptr[k - 1];
  made.sources.resize(made.indptr.back());
  std::vector<Index> next(made.indptr.begin(), made.indptr.end() - 1);
  for_each([&](std::size_t k, Index source) { made.sources[next[k]++] = static_cast<std::int32_t>(source); });
  return made;
}

Connections all_to_all(Targets targets, Index n_pre, bool autapses) {
  Connections made{std::vector<Index>(targets.size() + 1), {}};
  made.sources.reserve(targets.size() * n_pre);
  for (Index target = targets.first; target < targets.stop; target++) {
    for (Index source = 0; source < n_pre; source++)
      if (autapses || source != target) made.sources.push_back(static_cast<std::int32_t>(source));
    made.indptr[target - targets.first + 1] = static_cast<Index>(made.sources.size());
  }
  made.sources.shrink_to_fit();
  return made;
}

Connections one_to_one(Targets targets) {
  Connections made{std::vector<Index>(targets.size() + 1), std::vector<std::int32_t>(targets.size())};
  for (Index k = 0; k < targets.size(); k++) {
    made.indptr[k + 1] = k + 1;
    made.sources[k] = static_cast<std::int32_t>(targets.first + k);
  }
  return made;
}

namespace {

// Draws offset + scale * number for all connections, in blocks of one target.
std::vector<double> draw_weights(Targets targets, Array1<const Index> indptr, double offset, double scale, std::uint64_t seed,
                                 decltype(uniform_block) draw) {
  std::vector<double> weights(indptr[indptr.size - 1]);
  double block[kBlockDraws];
  for (Index k = 0; k < targets.size(); k++) {
    const auto target = static_cast<std::uint32_t>(targets.first + k);
    const Index n = indptr[k + 1] - indptr[k];
    for (Index first = 0; first < n; first += kBlockDraws) {
      draw(seed, kWeight, successive(target, static_cast<std::uint64_t>(first)), block);
      for (Index j = first; j < std::min(n, first + kBlockDraws); j++) weights[indptr[k] + j] = offset + scale * block[j - first];
    }
  }
  return weights;
}

}  // namespace

std::vector<double> normal_weights(Targets targets, Array1<const Index> indptr, double mean, double sd, std::uint64_t seed) {
  return draw_weights(targets, indptr, mean, sd, seed, normal_block);
}

std::vector<double> lognormal_weights(Targets targets, Array1<const Index> indptr, double mu, double sigma, std::uint64_t seed) {
  std::vector<double> weights = draw_weights(targets, indptr, mu, sigma, seed, normal_block);
  for (double& weight : weights) weight = std::exp(weight);
  return weights;
}

std::vector<double> truncated_weights(Targets targets, Array1<const Index> indptr, const Truncated& n, std::uint64_t seed) {
  constexpr int kAttempt = 40;  // bits of an index before the number of the attempt
  std::vector<double> weights = draw_weights(targets, indptr, n.mean, n.sd, seed, normal_block);
  for (Index k = 0; k < targets.size(); k++) {
    const auto target = static_cast<std::uint32_t>(targets.first + k);
    for (Index j = indptr[k]; j < indptr[k + 1]; j++)
      for (std::uint64_t attempt = 1; !(n.low <= weights[j] && weights[j] <= n.high); attempt++)
        weights[j] =
            n.mean + n.sd * normal(seed, kWeight, target, static_cast<std::uint64_t>(j - indptr[k]) | attempt << kAttempt);
  }
  return weights;
}

std::vector<double> uniform_weights(Targets targets, Array1<const Index> indptr, double low, double high, std::uint64_t seed) {
  return draw_weights(targets, indptr, low, high - low, seed, uniform_block);
}

void synapse_places(Array2<Index> counts, Array1<Index> indptr, Index first) {
  Index at = first;
  for (Index branch = 0; branch < counts.columns; branch++) {
    indptr[branch] = at;
    for (Index share = 0; share < counts.rows; share++) at += std::exchange(counts(share, branch), at);
  }
  indptr[counts.columns] = at;
}

}  // namespace eprop
