#include "bandwidth.hpp"

#include <algorithm>

#include "threads.hpp"

namespace eprop {

void triad(Array1<double> a, Array1<const double> b, Array1<const double> c, double scale, int threads) {
  const Index n = a.size, ranges = std::max(threads, 1);
  parallel_for(ranges, threads, [&](Index range) {
    double* const __restrict to = a.data;
    const double* const __restrict first = b.data, * const __restrict second = c.data;
    for (Index k = n * range / ranges; k < n * (range + 1) / ranges; k++) to[k] = first[k] + scale * second[k];
  });
}

}  // namespace eprop
