// Memory bandwidth by the triad of the STREAM benchmark (McCalpin 1995).
#include <stdexcept>

#include "bindings/convert.hpp"
#include "support/threads.hpp"

namespace eprop {
namespace {

// a = b + scale * c, float64, (n) each; each thread has a range. 24 bytes are transferred per entry.
void triad(const Out1<double>& a, const In1<double>& b, const In1<double>& c, double scale, int threads) {
  if (a.shape(0) != b.shape(0) || a.shape(0) != c.shape(0)) throw std::invalid_argument("a, b and c must be of one size");
  const Index n = view1(a).size, ranges = std::max(threads, 1);
  parallel_for(ranges, threads, [&](Index range) {
    double* const __restrict to = a.data();
    const double* const __restrict first = b.data(), * const __restrict second = c.data();
    for (Index k = n * range / ranges; k < n * (range + 1) / ranges; k++) to[k] = first[k] + scale * second[k];
  });
}

}  // namespace

void bind_bandwidth(nb::module_& m) {
  m.def("triad", &triad, "a"_a.noconvert(), "b"_a.noconvert(), "c"_a.noconvert(), "scale"_a, "threads"_a,
        nb::call_guard<nb::gil_scoped_release>(), "a = b + scale * c; 24 bytes are transferred per entry.");
}

}  // namespace eprop
