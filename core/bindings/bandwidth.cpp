// Bandwidth of memory: triad(a, b, c, scale, threads) computes a = b + scale * c, float64.
#include "bandwidth.hpp"

#include <stdexcept>

#include "convert.hpp"

namespace eprop {

void bind_bandwidth(nb::module_& m) {
  using namespace nb::literals;
  m.def(
      "triad",
      [](const Out1<double>& a, const In1<double>& b, const In1<double>& c, double scale, int threads) {
        if (a.shape(0) != b.shape(0) || a.shape(0) != c.shape(0)) throw std::invalid_argument("a, b and c must be of one size");
        triad(view1(a), view1(b), view1(c), scale, threads);
      },
      "a"_a.noconvert(), "b"_a.noconvert(), "c"_a.noconvert(), "scale"_a, "threads"_a, nb::call_guard<nb::gil_scoped_release>());
}

}  // namespace eprop
