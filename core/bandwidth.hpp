// The triad of the STREAM benchmark (McCalpin 1995): how fast memory is when nothing else is in the way.
#pragma once
#include "arrays.hpp"

namespace eprop {

// a = b + scale * c, (n) each, a range of it on each thread: 24 bytes go by for each entry.
void triad(Array1<double> a, Array1<const double> b, Array1<const double> c, double scale, int threads);

}  // namespace eprop
