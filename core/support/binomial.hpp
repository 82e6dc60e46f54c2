// Binomial numbers from a stream of uniform draws, exact for any number of trials.
#pragma once
#include <cmath>

#include "support/rng.hpp"

namespace eprop {

// log(k!) minus Stirling's approximation (k + 1/2) log(k + 1) - (k + 1) + log(sqrt(2 pi)).
inline double stirling_rest(double k) {
  constexpr double kHalfLogTwoPi = 0.9189385332046727;
  if (k < 10.0) {
    double log_factorial = 0.0;
    for (double j = 2.0; j <= k; j++) log_factorial += std::log(j);
    return log_factorial - ((k + 0.5) * std::log(k + 1.0) - (k + 1.0) + kHalfLogTwoPi);
  }
  const double next = k + 1.0, square = next * next;
  return (1.0 / 12.0 - (1.0 / 360.0 - 1.0 / 1260.0 / square) / square) / next;
}

// Few successes: the gaps between them are geometric.
inline Index binomial_by_gaps(UniformStream& draws, Index n, double p) {
  if (p <= 0.0) return 0;
  const double log_miss = std::log1p(-p);
  double position = 0.0;
  for (Index successes = 0;; successes++) {
    position += std::floor(std::log1p(-draws.next()) / log_miss) + 1.0;
    if (position > static_cast<double>(n)) return successes;
  }
}

// Many successes: rejection from a transformed uniform number (Hoermann 1993, "The generation of binomial random variates",
// algorithm BTRS), for p <= 1/2 and n p >= 10.
inline Index binomial_by_rejection(UniformStream& draws, double n, double p) {
  const double odds = p / (1.0 - p), sd = std::sqrt(n * p * (1.0 - p));
  const double b = 1.15 + 2.53 * sd, a = -0.0873 + 0.0248 * b + 0.01 * p, alpha = (2.83 + 5.1 / b) * sd;
  const double mode = std::floor((n + 1.0) * p), sure = 0.92 - 4.2 / b;
  const auto log_ratio = [&](double k) {  // of the probabilities of k and of the mode
    return (mode + 0.5) * std::log((mode + 1.0) / (odds * (n - mode + 1.0))) +
           (n + 1.0) * std::log((n - mode + 1.0) / (n - k + 1.0)) + (k + 0.5) * std::log(odds * (n - k + 1.0) / (k + 1.0)) +
           stirling_rest(mode) + stirling_rest(n - mode) - stirling_rest(k) - stirling_rest(n - k);
  };
  for (;;) {
    const double u = draws.next() - 0.5, v = draws.next(), edge = 0.5 - std::fabs(u);
    const double k = std::floor((2.0 * a / edge + b) * u + n * p + 0.5);
    if (!(k >= 0.0 && k <= n)) continue;
    if (edge >= 0.07 && v <= sure) return static_cast<Index>(k);
    if (std::log(v * alpha / (a / (edge * edge) + b)) <= log_ratio(k)) return static_cast<Index>(k);
  }
}

// Number of successes in n trials with probability p.
inline Index binomial(UniformStream& draws, Index n, double p) {
  constexpr double kFew = 10.0;
  if (p > 0.5) return n - binomial(draws, n, 1.0 - p);
  if (static_cast<double>(n) * p < kFew) return binomial_by_gaps(draws, n, p);
  return binomial_by_rejection(draws, static_cast<double>(n), p);
}

}  // namespace eprop
