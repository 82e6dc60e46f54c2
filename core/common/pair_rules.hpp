// Spike-timing dependent plasticity: change of a weight in [0, w_max] by one pair of spikes.
//
// The exponents mu range from additive (0) to multiplicative (1) changes (Guetig, Aharonov, Rotter and Sompolinsky 2003,
// J. Neurosci. 23:3697).
#pragma once
#include <cmath>

namespace eprop {

// w + step w_max (1 - w / w_max)^mu, at most w_max; `step` is the rate times the trace of presynaptic spikes.
inline double potentiate(double w, double step, double mu, double w_max) {
  if (mu == 0.0)
    w += step * w_max;
  else if (mu == 1.0)
    w += step * (w_max - w);
  else
    w += step * w_max * std::pow(1.0 - w / w_max, mu);
  return w > w_max ? w_max : w;
}

// w - step w_max (w / w_max)^mu, at least 0; `step` is the rate times the trace of postsynaptic spikes.
inline double depress(double w, double step, double mu, double w_max) {
  if (mu == 0.0)
    w -= step * w_max;
  else if (mu == 1.0)
    w -= step * w;
  else
    w -= step * w_max * std::pow(w / w_max, mu);
  return w < 0.0 ? 0.0 : w;
}

}  // namespace eprop
