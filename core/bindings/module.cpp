// The extension module, random draws (see eprop.random), the bandwidth of the memory, and neurons stepped from Python (the
// time-driven network, checks of a model). Only this folder includes nanobind; the rest of the core knows nothing of Python.
#include <algorithm>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/convert.hpp"
#include "network/owed_steps.hpp"
#include "neurons/advance.hpp"
#include "neurons/model.hpp"
#include "neurons/surrogate.hpp"
#include "online/pair_rules.hpp"
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
void bind_requests(nb::module_& m);
void bind_in_use(nb::module_& m);
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
      .value("round", kRound)
      .value("tie", kTie);
}

// ---------------------------------------------------------- neurons, and scalar equations for tests

namespace {

// Advances neurons begin:end by one step; returns the indices of the neurons that spike.
Result<std::int32_t> advance_neurons(int model, Out2<double> state, In2<double> params, Index begin, Index end,
                                     Out1<double> input, Out1<double> psi, Index own_function, Index sharing) {
  const Array2<double> states = view2(state);
  const Array2<const double> parameters = view2(params);
  const Index neurons = states.columns;
  const bool own = model < 0, known = own ? own_function != 0 : model < static_cast<int>(models().size());
  if (!known) throw nb::value_error("there is no neuron model with this code");
  const Index state_rows = own ? 0 : models()[model].state_rows, params_rows = own ? 0 : models()[model].params;
  if (begin < 0 || end < begin || end > neurons || parameters.columns != neurons || view1(input).size < end ||
      view1(psi).size < end || states.rows < state_rows || parameters.rows < params_rows || sharing < 0 ||
      sharing > static_cast<Index>(Sharing::shortcut))
    throw nb::value_error("arrays of other shapes are expected");
  if (!own && own_function == 0 && begin < end && parameters(membrane::KIND, begin) < 0.0)
    throw nb::value_error("these neurons need the address of their surrogate gradient");
  std::vector<std::int32_t> spikes(end);
  Population population{};
  population.model = model;
  population.own_function = own_function;
  population.sharing = static_cast<Sharing>(sharing);
  population.inhibitory_row = -1;
  const NeuronRange<double> range{population, begin, end, states, parameters, {input.data(), 1, neurons}};
  spikes.resize(advance(range, psi.data(), spikes.data(), 0));
  return handed_over(std::move(spikes));
}

// Surrogate gradient by the code of its kind.
double surrogate_of(int kind, double u, double height, double width) {
  switch (static_cast<Surrogate>(kind)) {
    case Surrogate::kPiecewiseLinear:
      return surrogate<Surrogate::kPiecewiseLinear>(u, height, width);
    case Surrogate::kExponential:
      return surrogate<Surrogate::kExponential>(u, height, width);
    case Surrogate::kFastSigmoid:
      return surrogate<Surrogate::kFastSigmoid>(u, height, width);
    default:
      return surrogate<Surrogate::kArctan>(u, height, width);
  }
}

// The owed steps of one synapse as a function of (w, m, v) that returns the new values, for the optimiser of the first of some
// delay groups.
std::tuple<double, double, double> optimize(std::tuple<double, double, double> before, double g, Index first_step,
                                            Index last_step, nb::object groups) {
  const OptimizerConstants& constants = records<DelayGroup>(groups, "groups")[0].optimizer;
  const auto [w, m, v] = before;
  OwedSteps owed;
  owed.prepare(first_step, last_step, constants);
  SynapseChunk<double> chunk{1, {w}, {m}, {v}, {g}};
  take_steps(owed, chunk);
  return {chunk.weight[0], chunk.moment_1[0], chunk.moment_2[0]};
}

// Codes of the pair rules by their names.
nb::dict codes_of_pair_rules() {
  nb::dict codes;
  [&]<std::size_t... code>(std::index_sequence<code...>) {
    ((codes[std::tuple_element_t<code, PairRules>::name] = code), ...);
  }(std::make_index_sequence<std::tuple_size_v<PairRules>>());
  return codes;
}

struct Testing {};

}  // namespace

void bind_neurons(nb::module_& m) {
  m.def("advance", &advance_neurons, "model"_a, "state"_a.noconvert(), "params"_a.noconvert(), "begin"_a, "end"_a,
        "input"_a.noconvert(), "psi"_a.noconvert(), "own_function"_a = 0, "sharing"_a = 0,
        "Advance neurons `begin` to `end` by one step; return those that spike. `own_function` is an address: of a user's loop "
        "(model -1) or of a user's surrogate gradient.");
  nb::dict codes;
  for (std::size_t code = 0; code < models().size(); code++) codes[models()[code].name] = code;
  m.attr("models") = codes;
  m.attr("pair_rules") = codes_of_pair_rules();

  nb::class_<Testing> testing(m, "testing", "Scalar equations, for tests.");
  testing.def_static("surrogate", &surrogate_of, "kind"_a, "u"_a, "height"_a, "width"_a,
                     "Surrogate gradient by the code of its kind.");
  testing.def_static("clip", &clip<double>, "w"_a, "w_min"_a, "w_max"_a);
  testing.def_static("power", &power);
  testing.def_static("skip_regions", &skip_regions, "n"_a, "Count `n` calls of the pool of threads that do nothing.");
  testing.def_static("potentiate", &potentiate);
  testing.def_static("depress", &depress);
  testing.def_static("optimize_synapse", &optimize, "before"_a, "g"_a, "first_step"_a, "last_step"_a, "groups"_a,
                     "New (w, m, v) by the optimiser of the first delay group.");
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
  bind_in_use(m);
  bind_stepper(m);
  bind_online(m);
}
