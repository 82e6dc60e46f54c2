#include "common/neurons/advance.hpp"

#include <algorithm>
#include <bit>
#include <type_traits>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "common/neurons/alif.hpp"
#include "common/neurons/current.hpp"
#include "common/neurons/delta_alif.hpp"
#include "common/neurons/delta_lif.hpp"
#include "common/neurons/forced_lif.hpp"
#include "common/neurons/lif.hpp"

namespace eprop {
namespace {

// One step of some neurons of one model, see `NeuronLoop`; all pointers are to the first neuron. Neurons do not depend on each
// other, so several are advanced at once.
template <class Model, class Params>
[[gnu::always_inline]] inline void step_neurons(Index neurons, State state, const Params& params, const double* __restrict input,
                                                double* __restrict psi, std::int32_t* __restrict spiked) {
#pragma GCC ivdep
  for (Index k = 0; k < neurons; k++) {
    const Step step = Model::update(state, params, k, input[k]);
    psi[k] = step.psi;
    spiked[k] = step.spike;
  }
}

// The loop over neurons with different parameters.
template <class Model, Surrogate kind> void step_each(Index begin, Index neurons, Index columns, double* state,
                                                      const double* params, const double* input, double* psi,
                                                      std::int32_t* spiked) {
  step_neurons<Model>(neurons, {state + begin, columns}, OwnParams<kind>{params + begin, columns}, input + begin, psi, spiked);
}

// The loop over neurons with shared parameters: a fifth to a third faster (1,000 and 10,000 neurons, LIF to DeltaALIF); with the
// shortcut a fifth faster again (LIF, ALIF).
template <class Model, Surrogate kind, bool shortcut> void step_shared(Index begin, Index neurons, Index columns, double* state,
                                                                       const double* params, const double* input, double* psi,
                                                                       std::int32_t* spiked) {
  SharedParams<kind, Model::kParams, shortcut> shared;
  for (Index row = 0; row < Model::kParams; row++) shared.values[row] = params[row * columns];
  step_neurons<Model>(neurons, {state + begin, columns}, shared, input + begin, psi, spiked);
}

template <class Model, Surrogate kind> NeuronLoop loop_of_kind(Sharing sharing) {
  if (sharing == Sharing::each) return step_each<Model, kind>;
  if constexpr (Model::kShortcut)
    if (sharing == Sharing::shortcut) return step_shared<Model, kind, true>;
  return step_shared<Model, kind, false>;
}

template <class Model> NeuronLoop loop_of(Sharing sharing, int surrogate) {
  switch (static_cast<Surrogate>(surrogate)) {
    case Surrogate::kPiecewiseLinear:
      return loop_of_kind<Model, Surrogate::kPiecewiseLinear>(sharing);
    case Surrogate::kExponential:
      return loop_of_kind<Model, Surrogate::kExponential>(sharing);
    case Surrogate::kFastSigmoid:
      return loop_of_kind<Model, Surrogate::kFastSigmoid>(sharing);
    default:
      return loop_of_kind<Model, Surrogate::kArctan>(sharing);
  }
}

template <class Model> constexpr NeuronModel model(const char* name) {
  return {name, Model::kStateRows, Model::kParams, loop_of<Model>};
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
void take_inhibition(const NeuronRange& neurons, Index first, Index n) {
  double* __restrict state = neurons.state.row(neurons.inhibitory_row) + first, * __restrict input = neurons.inhibitory + first;
  for (Index k = 0; k < n; k++) state[k] += input[k];
  std::fill_n(input, n, 0.0);
}

// Neurons that are advanced before their spikes are collected: marks and psi stay in the first-level cache.
constexpr Index kBlock = 512;
static_assert(kBlock % kMarks == 0);

}  // namespace

std::span<const NeuronModel> models() { return kModels; }

template <class Psi> Index advance(const NeuronRange& neurons, Psi* psi, std::int32_t* spikes, Index count) {
  if (neurons.begin == neurons.end) return count;
  const Array2<double>& state = neurons.state;
  const Array2<const double>& params = neurons.params;
  const Sharing sharing = neurons.sharing;
  const NeuronLoop loop = neurons.own != nullptr
                              ? neurons.own
                              : kModels[neurons.model].loop(sharing, static_cast<int>(params(membrane::KIND, neurons.begin)));
  const double* first_params = sharing == Sharing::each ? params.data : params.data + neurons.begin;
  alignas(64) std::int32_t spiked[kBlock];
  for (Index first = neurons.begin; first < neurons.end; first += kBlock) {
    const Index n = std::min(kBlock, neurons.end - first);
    for (Index k = n; k % kMarks != 0; k++) spiked[k] = 0;
    if constexpr (std::is_same_v<Psi, double>) {
      loop(first, n, state.columns, state.data, first_params, neurons.input, psi + first, spiked);
    } else {
      alignas(64) double wide[kBlock];
      loop(first, n, state.columns, state.data, first_params, neurons.input, wide, spiked);
      for (Index k = 0; k < n; k++) psi[first + k] = static_cast<Psi>(wide[k]);
    }
    // Outside the loop: one array less to write there, and LLVM vectorises the loop of a user's model.
    std::fill_n(neurons.input + first, n, 0.0);
    if (neurons.inhibitory != nullptr) take_inhibition(neurons, first, n);
    count = collect_spikes(spiked, n, first, spikes, count);
  }
  return count;
}

template Index advance(const NeuronRange&, float*, std::int32_t*, Index);
template Index advance(const NeuronRange&, double*, std::int32_t*, Index);

}  // namespace eprop
