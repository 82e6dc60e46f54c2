// The extension module, random draws (see eprop.random), and the bandwidth of the memory. Only this folder includes nanobind; the
// rest of the core knows nothing of Python.
#include <algorithm>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <utility>
#include <vector>

#include "bindings/convert.hpp"
#include "support/rng.hpp"
#include "support/threads.hpp"

// Defined by the build: the module's name, the level of the processor, its features that the compiler uses, and the flags.
#ifndef EPROP_MODULE
#define EPROP_MODULE _native
#endif
#ifndef EPROP_LEVEL
#define EPROP_LEVEL "native"
#endif
#ifndef EPROP_FEATURES
#define EPROP_FEATURES ""
#endif
#ifndef EPROP_FLAGS
#define EPROP_FLAGS ""
#endif
#if defined(__clang__)
#define EPROP_COMPILER __VERSION__
#else
#define EPROP_COMPILER "GCC " __VERSION__
#endif

namespace eprop {
// One declaration for each part of the bindings.
void bind_tables(nb::module_& m);
void bind_connections(nb::module_& m);
void bind_data(nb::module_& m);
void bind_network(nb::module_& m);
void bind_neurons(nb::module_& m);
void bind_requests(nb::module_& m);
void bind_stepper(nb::module_& m);
void bind_online(nb::module_& m);
void bind_episodes(nb::module_& m);
void bind_rewiring(nb::module_& m);

namespace {

using Words = In1<std::uint64_t>;

// One draw for each target and index; a single target or index is used for all.
template <class Draw>
Result<double> draw_many(std::uint64_t seed, std::uint32_t purpose, const Words& targets, const Words& indices, Draw draw) {
  const auto of_target = view1(targets), of_index = view1(indices);
  const Index n = of_target.size == 1 ? of_index.size : of_target.size;
  if (of_index.size != n && of_index.size != 1) throw std::invalid_argument("as many targets as indices, or one for all");
  return handed_over(unlocked([&] {
    std::vector<double> draws(static_cast<std::size_t>(n));
    const Index target_step = of_target.size == 1 ? 0 : 1, index_step = of_index.size == 1 ? 0 : 1;
    double block[kBlockDraws];
    for (Index first = 0; first < n; first += kBlockDraws) {
      const Index here = std::min(n - first, kBlockDraws);
      std::uint64_t target[kBlockDraws] = {}, index[kBlockDraws] = {};
      for (Index k = 0; k < here; k++) {
        target[k] = of_target.data[(first + k) * target_step];
        index[k] = of_index.data[(first + k) * index_step];
      }
      CounterBlock counters;
      std::memcpy(&counters.targets, target, sizeof target);
      std::memcpy(&counters.indices, index, sizeof index);
      draw(seed, purpose, counters, block);
      std::copy_n(block, here, draws.data() + first);
    }
    return draws;
  }));
}

template <auto draw, auto draw_block> void bind_draws(nb::module_& m, const char* name) {
  m.def(name, draw, "seed"_a, "purpose"_a, "target"_a, "index"_a);
  m.def(
      name,
      [](std::uint64_t seed, std::uint32_t purpose, const Words& targets, const Words& indices) {
        return draw_many(seed, purpose, targets, indices, draw_block);
      },
      "seed"_a, "purpose"_a, "targets"_a.noconvert(), "indices"_a.noconvert());
}

// Random order of 0 .. n - 1 (Fisher-Yates).
Result<Index> permutation(std::uint64_t seed, std::uint32_t purpose, std::uint32_t target, Index n) {
  return handed_over(unlocked([&] {
    std::vector<Index> order(static_cast<std::size_t>(n));
    std::iota(order.begin(), order.end(), Index{0});
    for (Index i = n - 1; i > 0; i--) {
      const Index j = below(seed, purpose, target, static_cast<std::uint64_t>(i), i + 1);
      std::swap(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(j)]);
    }
    return order;
  }));
}

// Bandwidth of the memory, by the triad of the STREAM benchmark (McCalpin 1995): a = b + scale * c, float64, (n) each; each
// thread has a range. 24 bytes are transferred per entry.
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

void bind_random(nb::module_& m) {
  m.def(
      "philox",
      [](std::uint64_t seed, std::uint32_t purpose, std::uint32_t target, std::uint64_t index) {
        const auto [first, second] = philox(seed, purpose, target, index);
        return std::pair(first, second);
      },
      "seed"_a, "purpose"_a, "target"_a, "index"_a, "Two independent words for a counter.");
  bind_draws<&uniform, &uniform_block>(m, "uniform");
  bind_draws<&normal, &normal_block>(m, "normal");
  m.def("permutation", &permutation, "seed"_a, "purpose"_a, "target"_a, "n"_a, "Random order of `n` indices.");
  nb::enum_<Purpose>(m, "Purpose", nb::is_arithmetic(), "Purposes separate draws with the same seed, target and index.")
      .value("connect", kConnect)
      .value("weight", kWeight)
      .value("poisson", kPoisson)
      .value("feedback", kFeedback)
      .value("shuffle", kShuffle)
      .value("delay", kDelay)
      .value("camera", kCamera)
      .value("phase", kPhase)
      .value("parameter", kParameter)
      .value("deskew", kDeskew)
      .value("total", kTotal)
      .value("stimulus", kStimulus)
      .value("cochlea", kCochlea)
      .value("vary", kVary)
      .value("dropout", kDropout)
      .value("round", kRound);
}

}  // namespace eprop

NB_MODULE(EPROP_MODULE, m) {
  using namespace eprop;
  nanobind::set_leak_warnings(false);  // simulators that are alive at the end of the process are not leaks
  m.attr("level") = EPROP_LEVEL;
  m.attr("features") = EPROP_FEATURES;
  m.attr("flags") = EPROP_FLAGS;
  m.attr("compiler") = EPROP_COMPILER;
  m.def("available_threads", &available_threads);
  m.def("triad", &triad, "a"_a.noconvert(), "b"_a.noconvert(), "c"_a.noconvert(), "scale"_a, "threads"_a,
        nb::call_guard<nb::gil_scoped_release>(), "a = b + scale * c; 24 bytes are transferred per entry.");
  bind_tables(m);
  bind_connections(m);
  bind_data(m);
  bind_random(m);
  bind_neurons(m);
  bind_network(m);
  bind_requests(m);
  bind_episodes(m);
  bind_rewiring(m);
  bind_stepper(m);
  bind_online(m);
}
