#include "network/owed_steps.hpp"

#include <algorithm>
#include <cmath>

#include "support/simd.hpp"

namespace eprop {
namespace {

// Steps of a branch that are added up side by side.
constexpr int kLanes = kTogether;
using Lanes = Vector<double, kLanes>;
// What is left out may have this size, relative to the sum of all steps.
constexpr double kNegligible = 1e-18;
// Largest d_k within kLanes steps: the terms of such a step that are left out begin with 0.04^12 = 2e-17.
constexpr double kFarthest = 0.04;

// Factor from one of Adam's steps without a gradient to the next, while sqrt(v) exceeds epsilon.
double fading(const OptimizerConstants& c) { return c.beta_1 / (c.keep * std::sqrt(c.beta_2)); }

// Whether the expansion holds: steps fade, and x_k moves slowly. Otherwise they are taken one by one.
bool expands(const OptimizerConstants& c) { return fading(c) < 1.0 && 1.0 - std::pow(c.beta_2, 0.5 * (kLanes - 1)) < kFarthest; }

// How many of `count` steps move a weight: after these the rest is negligible, or m underflows.
Index moving_steps(const OptimizerConstants& c, Index count) {
  const double factor = fading(c);
  const double most = factor < 1.0 ? std::log(kNegligible) / std::log(factor) : std::log(1e-308) / std::log(c.beta_1);
  return most < static_cast<double>(count - 1) ? 1 + static_cast<Index>(most) : count;
}

// sum_{k=0}^{n-1} keep^(n-1-k) beta^k, by doubling.
double geometric_sum(double keep, double beta, Index n) {
  double sum = 0.0, faded = 1.0, part = 1.0;  // beta to the power of the steps so far; the sum of 1, 2, 4, ... steps
  for (; n > 0; n >>= 1, part *= keep + beta, keep *= keep, beta *= beta) {
    if ((n & 1) == 0) continue;
    sum = keep * sum + faded * part;
    faded *= beta;
  }
  return sum;
}

// base^0, base^1, ... times `first`.
Lanes powers_from(double first, double base) {
  double values[kLanes] = {first};
  for (int k = 1; k < kLanes; k++) values[k] = base * values[k - 1];
  return load<kLanes>(values);
}

// kLanes consecutive steps of Adam: (beta_1 / keep)^k, x_k, and the powers of the bias corrections.
struct AdamSteps {
  Lanes weight, x, left_1, left_2;

  AdamSteps(const OptimizerConstants& c, Index first)
      : weight(powers_from(1.0, c.beta_1 / c.keep)),
        x(powers_from(1.0, std::sqrt(c.beta_2))),
        left_1(powers_from(power(c.beta_1, first) * c.beta_1, c.beta_1)),
        left_2(powers_from(power(c.beta_2, first) * c.beta_2, c.beta_2)) {}
  // The a_k of the first `count` steps, 0 for the others.
  Lanes terms(Index count) const {
    const Lanes one = broadcast<kLanes>(1.0);
    double squared[kLanes], root[kLanes];
    store<kLanes, double>(squared, one - left_2);
    for (int k = 0; k < kLanes; k++) root[k] = k < count ? std::sqrt(squared[k]) : 0.0;
    return load<kLanes>(root) / (one - left_1) * weight;
  }
};

// Sums of the terms of a range, each in kLanes parts.
struct RangeSums {
  double x;
  Lanes part[AdamRange::kTerms];

  explicit RangeSums(double x_0) : x(x_0) { std::fill_n(part, AdamRange::kTerms, broadcast<kLanes>(0.0)); }
  void add(Lanes term, const Lanes& x_k) {
    const Lanes far = broadcast<kLanes>(1.0) - x_k * (1.0 / x);
    unroll<AdamRange::kTerms>([&](auto j) {
      part[j] += term;
      term = term * far;
    });
  }
  AdamRange total() const {
    AdamRange range{x, {}};
    for (int j = 0; j < AdamRange::kTerms; j++)
      for (int k = 0; k < kLanes; k++) range.terms[j] += part[j][k];
    return range;
  }
  // Whether what the terms of these steps leave out might count, relative to the `sum` of all a_k so far.
  bool is_too_far(const AdamSteps& steps, double sum) const {
    const double far = 1.0 - steps.x[kLanes - 1] / x, squared = far * far, sixth = squared * squared * squared;
    static_assert(AdamRange::kTerms == 12);
    return steps.weight[0] / x * sixth * sixth > kNegligible * sum;
  }
};

// The ranges of Adam's steps.
void expand_steps(const OptimizerConstants& c, OwedSteps& owed) {
  const double ratio = power(c.beta_1 / c.keep, kLanes), root = power(std::sqrt(c.beta_2), kLanes);
  const double beta_1 = power(c.beta_1, kLanes), beta_2 = power(c.beta_2, kLanes);
  AdamSteps steps(c, owed.first);
  RangeSums sums(1.0);
  double sum = 0.0;  // of some a_k: fewer leave out less
  for (Index k = 0; k < owed.moving; k += kLanes) {
    if (k > 0 && sums.is_too_far(steps, sum)) {
      owed.ranges.push_back(sums.total());
      sums = RangeSums(steps.x[0]);
    }
    const Lanes terms = steps.terms(owed.moving - k);
    sums.add(terms, steps.x);
    sum += terms[0];
    steps.weight = steps.weight * ratio;
    steps.x = steps.x * root;
    steps.left_1 = steps.left_1 * beta_1;
    steps.left_2 = steps.left_2 * beta_2;
  }
  owed.ranges.push_back(sums.total());
}

// Step `n` of Adam.
template <class T> void adam_step(const OptimizerConstants& c, Index n, SynapseChunk<T>& __restrict s) {
  const double left_1 = power(c.beta_1, n - 1) * c.beta_1, left_2 = power(c.beta_2, n - 1) * c.beta_2;
  const T rate(c.eta * std::sqrt(1.0 - left_2) / (1.0 - left_1));
  const T beta_1(c.beta_1), beta_2(c.beta_2), epsilon(c.epsilon), keep(c.keep);
  for (Index i = 0; i < s.size; i++) {
    adam_moments(s.moment_1[i], s.moment_2[i], s.gradient[i], beta_1, beta_2);
    s.weight[i] = keep * s.weight[i] - rate * s.moment_1[i] / (std::sqrt(s.moment_2[i]) + epsilon);
  }
}

// All steps of Adam, one by one.
template <class T> void adam_by_steps(const OwedSteps& owed, const OptimizerConstants& c, SynapseChunk<T>& __restrict s) {
  for (Index n = owed.first + 1; n <= owed.first + owed.moving; n++) {
    adam_step(c, n, s);
    if (n < owed.last) std::fill_n(s.gradient, s.size, T(0));
  }
  const Index rest = owed.last - owed.first - owed.moving;
  if (rest == 0) return;
  const T kept(power(c.keep, rest)), left_1(power(c.beta_1, rest)), left_2(power(c.beta_2, rest));
  for (Index i = 0; i < s.size; i++) {
    s.weight[i] *= kept;
    s.moment_1[i] *= left_1;
    s.moment_2[i] *= left_2;
  }
}

// All steps of Adam, by their ranges.
template <class T> void adam_by_ranges(const OwedSteps& owed, const OptimizerConstants& c, SynapseChunk<T>& __restrict s) {
  const T beta_1(c.beta_1), beta_2(c.beta_2), epsilon(c.epsilon), eta(c.eta), keep(c.keep), kept(owed.kept);
  const T left_1(owed.left_1), left_2(owed.left_2);
  T root[SynapseChunk<T>::kMost], sum[SynapseChunk<T>::kMost];
  for (Index i = 0; i < s.size; i++) {
    adam_moments(s.moment_1[i], s.moment_2[i], s.gradient[i], beta_1, beta_2);
    root[i] = std::sqrt(s.moment_2[i]);
    sum[i] = 0;
  }
  for (const AdamRange& range : owed.ranges) {
    T terms[AdamRange::kTerms];
    std::copy_n(range.terms, AdamRange::kTerms, terms);
    const T x(range.x);
    for (Index i = 0; i < s.size; i++) {
      const T q = T(1) / (root[i] * x + epsilon), u = T(1) - epsilon * q;
      T series = terms[AdamRange::kTerms - 1];
      for (int j = AdamRange::kTerms - 2; j >= 0; j--) series = series * u + terms[j];
      sum[i] += q * series;
    }
  }
  for (Index i = 0; i < s.size; i++) {
    s.weight[i] = (keep * s.weight[i] - eta * s.moment_1[i] * sum[i]) * kept;
    s.moment_1[i] *= left_1;
    s.moment_2[i] *= left_2;
  }
}

template <class T> void momentum_steps(const OwedSteps& owed, const OptimizerConstants& c, SynapseChunk<T>& __restrict s) {
  const bool nesterov = c.nesterov != 0;
  const T eta(c.eta), beta(c.beta_1), keep(c.keep), kept(owed.kept), left(owed.left_1);
  const T travel(c.eta * owed.travel * (nesterov ? c.beta_1 : 1.0));
  for (Index i = 0; i < s.size; i++) {
    const T w = momentum_step(keep * s.weight[i], s.moment_1[i], s.gradient[i], eta, beta, nesterov);
    s.weight[i] = w * kept - travel * s.moment_1[i];
    s.moment_1[i] *= left;
  }
}

template <class T> void rmsprop_steps(const OwedSteps& owed, const OptimizerConstants& c, SynapseChunk<T>& __restrict s) {
  const T eta(c.eta), beta(c.beta_1), epsilon(c.epsilon), keep(c.keep), kept(owed.kept), left(owed.left_1);
  for (Index i = 0; i < s.size; i++) {
    const T w = rmsprop_step(keep * s.weight[i], s.moment_2[i], s.gradient[i], eta, beta, epsilon);
    s.weight[i] = w * kept;
    s.moment_2[i] *= left;
  }
}

template <class T> void descent_steps(const OwedSteps& owed, const OptimizerConstants& c, SynapseChunk<T>& __restrict s) {
  const T eta(c.eta), keep(c.keep), kept(owed.kept);
  for (Index i = 0; i < s.size; i++) s.weight[i] = (keep * s.weight[i] - eta * s.gradient[i]) * kept;
}

template <class T> void any_steps(const OwedSteps& owed, const OptimizerConstants& c, SynapseChunk<T>& s) {
  switch (c.kind) {
    case Optimizer::descent:
      return descent_steps(owed, c, s);
    case Optimizer::momentum:
      return momentum_steps(owed, c, s);
    case Optimizer::rmsprop:
      return rmsprop_steps(owed, c, s);
    case Optimizer::adam:
      return owed.ranges.empty() ? adam_by_steps(owed, c, s) : adam_by_ranges(owed, c, s);
    case Optimizer::own:  // of e-prop only
      return;
  }
}

}  // namespace

void OwedSteps::prepare(Index first_step, Index last_step, const OptimizerConstants& c) {
  if (optimizer == &c && first == first_step && last == last_step) return;
  optimizer = &c;
  first = first_step;
  last = last_step;
  const Index count = last - first;
  ranges.clear();
  kept = power(c.keep, count - 1);
  left_1 = power(c.beta_1, count - 1);
  left_2 = power(c.beta_2, count - 1);
  if (c.kind == Optimizer::momentum) travel = c.beta_1 * geometric_sum(c.keep, c.beta_1, count - 1);
  moving = 1;
  if (c.kind != Optimizer::adam || count <= 1) return;
  moving = moving_steps(c, count);
  if (expands(c)) expand_steps(c, *this);
}

template <class T> void take_steps(const OwedSteps& owed, SynapseChunk<T>& __restrict s) {
  const OptimizerConstants& c = *owed.optimizer;
  if (c.eta == 0.0 || owed.first >= owed.last) return;
  any_steps(owed, c, s);
  const T w_min(c.w_min), w_max(c.w_max);
  for (Index i = 0; i < s.size; i++) s.weight[i] = clip(s.weight[i], w_min, w_max);
}

template void take_steps(const OwedSteps&, SynapseChunk<float>&);
template void take_steps(const OwedSteps&, SynapseChunk<double>&);

}  // namespace eprop
