// Pair rules: how pairs of a presynaptic and a postsynaptic spike change a weight.
//
// A rule is a struct with two functions. `at_post` returns the weight after a postsynaptic spike, where `step` is `post_rate`
// times the presynaptic trace; `at_pre` the weight after a presynaptic spike, where `step` is `pre_rate` times the postsynaptic
// trace. A trace decays exponentially and grows by 1 at each spike. The constants come from `PairRule.constants` in Python, in
// that order.
#pragma once
#include <cmath>
#include <tuple>

#include "network/tables.hpp"

namespace eprop {

// w + step w_max (1 - w / w_max)^mu, at most w_max.
inline double potentiate(double w, double step, double mu, double w_max) {
  if (mu == 0.0)
    w += step * w_max;
  else if (mu == 1.0)
    w += step * (w_max - w);
  else
    w += step * w_max * std::pow(1.0 - w / w_max, mu);
  return w > w_max ? w_max : w;
}

// w - step w_max (w / w_max)^mu, at least 0.
inline double depress(double w, double step, double mu, double w_max) {
  if (mu == 0.0)
    w -= step * w_max;
  else if (mu == 1.0)
    w -= step * w;
  else
    w -= step * w_max * std::pow(w / w_max, mu);
  return w < 0.0 ? 0.0 : w;
}

// Spike-timing dependent plasticity. The exponents mu range from additive (0) to multiplicative (1) changes (Guetig, Aharonov,
// Rotter and Sompolinsky 2003, J. Neurosci. 23:3697).
struct Stdp {
  static constexpr const char* name = "stdp";
  double post_rate, pre_rate, mu_plus, mu_minus, w_max;
  explicit Stdp(const DelayGroup& group)
      : post_rate(group.optimizer.eta),
        pre_rate(group.optimizer.eta * group.pair_constants[0]),
        mu_plus(group.pair_constants[1]),
        mu_minus(group.pair_constants[2]),
        w_max(group.optimizer.w_max) {}
  double at_post(double w, double step) const { return potentiate(w, step, mu_plus, w_max); }
  double at_pre(double w, double step) const { return depress(w, step, mu_minus, w_max); }
};

// All pair rules; the position is the code.
using PairRules = std::tuple<Stdp>;

// Calls a function with the pair rule of a delay group.
template <std::size_t code = 0, class F> void with_pair_rule(const DelayGroup& group, const F& f) {
  if constexpr (code + 1 < std::tuple_size_v<PairRules>)
    if (group.pair_rule != code) return with_pair_rule<code + 1>(group, f);
  f(std::tuple_element_t<code, PairRules>(group));
}

}  // namespace eprop
