#include "neurons/advance.hpp"

#include <algorithm>
#include <bit>
#include <type_traits>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "neurons/alif.hpp"
#include "neurons/current.hpp"
#include "neurons/delta_alif.hpp"
#include "neurons/delta_lif.hpp"
#include "neurons/forced_lif.hpp"
#include "neurons/lif.hpp"

namespace eprop {
namespace {

constexpr Index kMarks = 64;

// 64 marks, 0 or 1, as the bits of one number. An instruction for it, if the processor has one, makes a step of 50 LIF neurons 5
// % faster.
std::uint64_t bits_of(const std::int32_t* marks) {
  std::uint64_t bits = 0;
#if defined(__AVX512F__)
  for (Index k = 0; k < kMarks; k += 16) {
    const __m512i some = _mm512_loadu_si512(marks + k);
    bits |= static_cast<std::uint64_t>(_mm512_test_epi32_mask(some, some)) << k;
  }
#elif defined(__AVX2__)
  for (Index k = 0; k < kMarks; k += 8) {
    const __m256i some = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(marks + k));
    const int signs = _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_slli_epi32(some, 31)));
    bits |= static_cast<std::uint64_t>(signs) << k;
  }
#else
  for (Index k = 0; k < kMarks; k++) bits |= static_cast<std::uint64_t>(marks[k] != 0) << k;
#endif
  return bits;
}

// Models whose neurons need fewer rows of their state unless they have spiked lately.
template <class Model>
concept Rests = requires { Model::is_after_spike(0); };

// What neurons read and write besides their state; all pointers are to the first neuron.
template <class Real> struct Ports {
  const Real* __restrict input;
  Real* __restrict psi;
  std::int32_t* __restrict spiked;
};

// One step of the neurons first .. stop - 1 of one model, see `NeuronLoop`. Neurons do not depend on each other, so several are
// advanced at once.
template <class Model, class Params, class Real = NumberOf<Params>>
[[gnu::always_inline]] inline void step_neurons(Index first, Index stop, State<Real> state, const Params& params,
                                                Ports<Real> ports) {
#pragma GCC ivdep
  for (Index k = first; k < stop; k++) {
    const auto step = Model::update(state, params, k, ports.input[k]);
    if constexpr (Params::kSurrogate != Surrogate::kNone) ports.psi[k] = step.psi;
    ports.spiked[k] = step.spike;
  }
}

// One step of a group of neurons that have not spiked lately, from `first` on. Same bits as `step_neurons`, but for the rows that
// `note_spike` writes. At 4 Hz and steps of 0.1 ms, 19 groups of 20 rest, and half of the memory of a neuron is not touched.
template <class Model, class Params, class Real = NumberOf<Params>>
[[gnu::always_inline]] inline void step_resting(Index first, State<Real> state, const Params& params, Ports<Real> ports) {
#pragma GCC ivdep
  for (Index k = first; k < first + kRestGroup; k++) {
    Real zero[Model::kStateRows] = {};
    const auto step = Model::update(RestingState<Model, Real>{state, zero}, params, k, ports.input[k]);
    if constexpr (Params::kSurrogate != Surrogate::kNone) ports.psi[k] = step.psi;
    ports.spiked[k] = step.spike;
  }
}

// Whether one of a group of neurons has spiked lately.
template <class Model, class Real> bool has_spiked(Index first, State<Real> state) {
  bool lately = false;
  for (Index row = 0; row < Model::kStateRows; row++)
    for (Index k = 0; Model::is_after_spike(row) && k < kRestGroup; k++) lately |= state(row, first + k) != Real{0};
  return lately;
}

// One step of `kMarks` neurons from `first` on, those that rest group by group.
template <class Model, class Params, class Real = NumberOf<Params>>
[[gnu::always_inline]] inline void step_groups(Index first, State<Real> state, const Params& params, Ports<Real> ports,
                                               std::uint8_t* active) {
  for (Index group = first; group < first + kMarks; group += kRestGroup) {
    if (active[group] == 0) {
      step_resting<Model>(group, state, params, ports);
    } else {
      step_neurons<Model>(group, group + kRestGroup, state, params, ports);
      active[group] = has_spiked<Model>(group, state);
    }
  }
  for (std::uint64_t bits = bits_of(ports.spiked + first); bits != 0; bits &= bits - 1) {
    const Index spiking = first + std::countr_zero(bits);
    Model::note_spike(state, params, spiking);
    active[spiking - spiking % kRestGroup] = 1;
  }
}

// One step of some neurons; `active` may say which of them have not spiked lately.
template <class Model, class Params, class Real = NumberOf<Params>>
[[gnu::always_inline]] inline void step_all(Index neurons, State<Real> state, const Params& params, Ports<Real> ports,
                                            std::uint8_t* active) {
  Index first = 0;
  if constexpr (Rests<Model>)
    for (; active != nullptr && first + kMarks <= neurons; first += kMarks)
      step_groups<Model>(first, state, params, ports, active);
  step_neurons<Model>(first, neurons, state, params, ports);
}

// The loop over neurons with different parameters.
template <class Model, Surrogate kind, class Real>
void step_each(Index begin, Index neurons, Index columns, Real* state, const double* params, const Real* input, Real* psi,
               std::int32_t* spiked, OwnSurrogate gradient, std::uint8_t* active) {
  const OwnParams<kind, Real> own{params + begin, columns, gradient};
  step_all<Model>(neurons, {state + begin, columns}, own, {input + begin, psi, spiked}, active);
}

// The loop over neurons with shared parameters: a fifth to a third faster (1,000 and 10,000 neurons, LIF to DeltaALIF); with the
// shortcut a fifth faster again (LIF, ALIF).
template <class Model, Surrogate kind, bool shortcut, class Real>
void step_shared(Index begin, Index neurons, Index columns, Real* state, const double* params, const Real* input, Real* psi,
                 std::int32_t* spiked, OwnSurrogate gradient, std::uint8_t* active) {
  SharedParams<kind, Model::kParams, shortcut, Real> shared;
  shared.gradient = gradient;
  for (Index row = 0; row < Model::kParams; row++) shared.values[row] = static_cast<Real>(params[row * columns]);
  step_all<Model>(neurons, {state + begin, columns}, shared, {input + begin, psi, spiked}, active);
}

template <class Model, Surrogate kind, class Real> ModelLoop<Real> loop_of_kind(Sharing sharing) {
  if (sharing == Sharing::each) return step_each<Model, kind, Real>;
  if constexpr (Model::kShortcut)
    if (sharing == Sharing::shortcut) return step_shared<Model, kind, true, Real>;
  return step_shared<Model, kind, false, Real>;
}

template <class Model, class Real> ModelLoop<Real> loop_of(Sharing sharing, Surrogate surrogate) {
  switch (surrogate) {
    case Surrogate::kOwn:
      return loop_of_kind<Model, Surrogate::kOwn, Real>(sharing);
    case Surrogate::kNone:
      return loop_of_kind<Model, Surrogate::kNone, Real>(sharing);
    case Surrogate::kPiecewiseLinear:
      return loop_of_kind<Model, Surrogate::kPiecewiseLinear, Real>(sharing);
    case Surrogate::kExponential:
      return loop_of_kind<Model, Surrogate::kExponential, Real>(sharing);
    case Surrogate::kFastSigmoid:
      return loop_of_kind<Model, Surrogate::kFastSigmoid, Real>(sharing);
    default:
      return loop_of_kind<Model, Surrogate::kArctan, Real>(sharing);
  }
}

template <class Model> constexpr NeuronModel model(const char* name) {
  return {name, Model::kStateRows, Model::kParams, loop_of<Model, float>, loop_of<Model, double>};
}

// The built-in models, one line each.
constexpr NeuronModel kModels[] = {
    model<Lif>("lif"),
    model<Alif>("alif"),
    model<DeltaLif>("delta_lif"),
    model<DeltaAlif>("delta_alif"),
    model<ForcedLif>("forced_lif"),
    model<CurrentLif>("current_lif"),
    model<CurrentAlif>("current_alif"),
};

// Appends the neurons `begin + k` whose marks `spiked[k]` are 1; the marks are padded with zeros to a whole group. Testing one
// mark after the other took as long as the rest of a step of LIF neurons.
Index collect_spikes(const std::int32_t* spiked, Index neurons, Index begin, std::int32_t* spikes, Index count) {
  for (Index first = 0; first < neurons; first += kMarks)
    for (std::uint64_t bits = bits_of(spiked + first); bits != 0; bits &= bits - 1)
      spikes[count++] = static_cast<std::int32_t>(begin + first + std::countr_zero(bits));
  return count;
}

// Adds the input of the inhibitory receptor to the state of `n` neurons after their step, and clears it: the model need not know
// which receptor an input came from.
template <class Real> void take_inhibition(const NeuronRange<Real>& neurons, Index first, Index n) {
  Real* __restrict state = neurons.state.row(neurons.population.inhibitory_row) + first;
  Real* __restrict input = neurons.input.row(1) + first;
  for (Index k = 0; k < n; k++) state[k] += input[k];
  std::fill_n(input, n, Real{0});
}

// The loop of a built-in model; a user's own model has no row for the kind of its surrogate gradient.
template <class Real> ModelLoop<Real> built_in_loop(const NeuronRange<Real>& neurons, bool with_psi) {
  const auto surrogate = static_cast<Surrogate>(neurons.params(membrane::KIND, neurons.begin));
  const NeuronModel& model = kModels[neurons.population.model];
  const Sharing sharing = neurons.population.sharing;
  const Surrogate computed = with_psi ? surrogate : Surrogate::kNone;
  if constexpr (std::is_same_v<Real, float>) {
    return model.single(sharing, computed);
  } else {
    return model.full(sharing, computed);
  }
}

// Neurons that are advanced before their spikes are collected: marks and psi stay in the first-level cache.
constexpr Index kBlock = 512;
static_assert(kBlock % kMarks == 0);

}  // namespace

std::span<const NeuronModel> models() { return kModels; }

template <class Real> Index advance(const NeuronRange<Real>& neurons, Real* psi, std::int32_t* spikes, Index count) {
  if (neurons.begin == neurons.end) return count;
  const Population& population = neurons.population;
  const Array2<Real>& state = neurons.state;
  const Array2<const double>& params = neurons.params;
  const ModelLoop<Real> loop = population.model < 0 ? nullptr : built_in_loop(neurons, psi != nullptr);
  const double* first_params = population.sharing == Sharing::each ? params.data : params.data + neurons.begin;
  alignas(64) std::int32_t spiked[kBlock];
  for (Index first = neurons.begin; first < neurons.end; first += kBlock) {
    const Index n = std::min(kBlock, neurons.end - first);
    for (Index k = n; k % kMarks != 0; k++) spiked[k] = 0;
    alignas(64) Real unused[kBlock];
    Real* gradient = psi == nullptr ? unused : psi + first;
    if (loop == nullptr) {
      const auto own = function_at<NeuronLoop<Real>>(population.own_function);
      own(first, n, state.columns, state.data, first_params, neurons.input.row(0), gradient, spiked);
    } else {
      std::uint8_t* active = neurons.active == nullptr ? nullptr : neurons.active + first;
      const auto own = function_at<OwnSurrogate>(population.own_function);
      loop(first, n, state.columns, state.data, first_params, neurons.input.row(0), gradient, spiked, own, active);
    }
    // Outside the loop: one array less to write there, and LLVM vectorises the loop of a user's model.
    std::fill_n(neurons.input.row(0) + first, n, Real{0});
    if (population.inhibitory_row >= 0) take_inhibition(neurons, first, n);
    count = collect_spikes(spiked, n, first, spikes, count);
  }
  return count;
}

template Index advance(const NeuronRange<float>&, float*, std::int32_t*, Index);
template Index advance(const NeuronRange<double>&, double*, std::int32_t*, Index);

}  // namespace eprop
