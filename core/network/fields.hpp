// Tables of arrays: a struct of views has a row for each of its arrays, `fields()`. Its memory, its bytes before there is memory,
// what a reset clears, what a state holds and what Python sees follow from the rows. Shapes depend on `Sizes`, which are known
// before a connection is drawn.
#pragma once
#include <algorithm>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <vector>

#include "network/kind.hpp"
#include "support/aligned.hpp"

namespace eprop {

// Lengths of the axes of an array; those that it does not have are 1.
struct Shape {
  Index first = 1, second = 1, third = 1;
  Index entries() const { return first * second * third; }
  bool operator==(const Shape&) const = default;
};

// Of the part of a rank; Python gives them by name.
struct Sizes {
  Index neurons = 0, readouts = 0, sources = 0, synapses = 0;
  Index partitions = 0, branches = 0;  // of neurons and readouts, of axons
  Index populations = 0, delay_groups = 0, trace_groups = 0, kinds = 0;
  Index state_rows = 0, receptors = 0, parameter_rows = 0, eligibility_rows = 0, adjoint_rows = 0;
  Index poisson_sources = 0;                       // sources up to the last Poisson source
  Index drives = 0, driven = 0;                    // their neurons
  Index learned = 0, constants = 0;                // constants that learn, numbers of all of them
  Index products = 0, kept_rows = 0, effects = 0;  // for their gradients
  Index rewired = 0;                               // projections, if the synapses of some of them move
  Index level_bytes = 0;                           // of a level that is stored in place of a weight; 0: weights are stored
  // Whether there is, or some rule needs ...
  Index near = 0, delayed_signals = 0, error_latencies = 0, named_sources = 0;  // see Topology
  Index adaptive_feedback = 0, eprop_plus = 0, pairs = 0, two_kappas = 0, crosses = 0;
  Index gradients = 0, moment_1 = 0, moment_2 = 0, each_step = 0, descends_each_step = 0;
  // Of e-prop+: own components of synapses, entries of propagators and of spike corrections, filters and their slots.
  Index own = 0, entries = 0, corrections = 0, filters = 0, filter_slots = 0;
  Index powers = 0, pair_decays = 0;  // tabled powers of decays, decays of presynaptic traces of pair rules
  // Steps.
  Index cutoff = 0, pair_cutoff = 0, reward_cutoff = 0, longest_delay = 0, block_steps = 1, span_blocks = 0;

  // The same network, as long as it does not learn.
  Sizes at_rest() const {
    Sizes sizes = *this;
    sizes.eprop_plus = sizes.pairs = 0;
    return sizes;
  }
  bool at_spikes() const { return eprop_plus || pairs; }
  Index synapses_if(Index needed) const { return needed ? synapses : 0; }
  Shape pairs_if(Index needed) const { return needed ? Shape{readouts, neurons} : Shape{0, 0}; }  // of nodes
  Index listening() const { return at_spikes() ? sources : 0; }                                   // axons with a history
  Index targets() const { return neurons + readouts; }

  // Rings of e-prop+; `width` is the padded number of neurons.
  Index width() const { return eprop_plus ? padded(neurons) : 0; }
  Index ring() const { return eprop_plus ? power_of_two(std::max(cutoff, block_steps) + 2) : 1; }
  Index blocks() const { return eprop_plus ? power_of_two(cutoff / block_steps + 3) : 1; }
  Index steps_back() const {                                                              // steps whose psi, L and F are known
    if (eprop_plus && descends_each_step) return power_of_two(cutoff + block_steps + 2);  // sums over blocks, see bounds.hpp
    return crosses || each_step ? ring() : 1;
  }
  Index crossed() const { return crosses ? entries : 0; }
  Index rewarded_blocks() const { return eprop_plus && reward_cutoff ? power_of_two(reward_cutoff / block_steps + 3) : 0; }
  Index rewarded_steps() const { return rewarded_blocks() * block_steps; }
  Index waiting() const { return rewarded_blocks() ? readouts : 0; }  // readouts whose errors wait for reward

  // All rules.
  Index past() const { return power_of_two(std::max(eprop_plus ? cutoff : 0, pairs ? pair_cutoff : 0) + longest_delay + 3); }
  Index remembered() const { return std::max({cutoff, reward_cutoff, pair_cutoff}) + longest_delay; }
  Index logged() const { return rewarded_blocks() ? power_of_two(remembered() + 3) : past(); }
};

// Powers 1, 2, 4, ... of a spike filter: intervals between spikes have fewer than two to this power steps.
inline constexpr Index kDoublings = 62;

// The numbers by name.
struct NamedSize {
  const char* name;
  Index Sizes::* number;
};
inline constexpr NamedSize kSizes[] = {{"neurons", &Sizes::neurons},
                                       {"readouts", &Sizes::readouts},
                                       {"sources", &Sizes::sources},
                                       {"synapses", &Sizes::synapses},
                                       {"partitions", &Sizes::partitions},
                                       {"branches", &Sizes::branches},
                                       {"populations", &Sizes::populations},
                                       {"delay_groups", &Sizes::delay_groups},
                                       {"trace_groups", &Sizes::trace_groups},
                                       {"kinds", &Sizes::kinds},
                                       {"state_rows", &Sizes::state_rows},
                                       {"receptors", &Sizes::receptors},
                                       {"parameter_rows", &Sizes::parameter_rows},
                                       {"eligibility_rows", &Sizes::eligibility_rows},
                                       {"adjoint_rows", &Sizes::adjoint_rows},
                                       {"poisson_sources", &Sizes::poisson_sources},
                                       {"drives", &Sizes::drives},
                                       {"driven", &Sizes::driven},
                                       {"learned", &Sizes::learned},
                                       {"constants", &Sizes::constants},
                                       {"products", &Sizes::products},
                                       {"kept_rows", &Sizes::kept_rows},
                                       {"effects", &Sizes::effects},
                                       {"rewired", &Sizes::rewired},
                                       {"level_bytes", &Sizes::level_bytes},
                                       {"near", &Sizes::near},
                                       {"delayed_signals", &Sizes::delayed_signals},
                                       {"error_latencies", &Sizes::error_latencies},
                                       {"named_sources", &Sizes::named_sources},
                                       {"adaptive_feedback", &Sizes::adaptive_feedback},
                                       {"eprop_plus", &Sizes::eprop_plus},
                                       {"pairs", &Sizes::pairs},
                                       {"two_kappas", &Sizes::two_kappas},
                                       {"crosses", &Sizes::crosses},
                                       {"gradients", &Sizes::gradients},
                                       {"moment_1", &Sizes::moment_1},
                                       {"moment_2", &Sizes::moment_2},
                                       {"each_step", &Sizes::each_step},
                                       {"descends_each_step", &Sizes::descends_each_step},
                                       {"own", &Sizes::own},
                                       {"entries", &Sizes::entries},
                                       {"corrections", &Sizes::corrections},
                                       {"filters", &Sizes::filters},
                                       {"filter_slots", &Sizes::filter_slots},
                                       {"powers", &Sizes::powers},
                                       {"pair_decays", &Sizes::pair_decays},
                                       {"cutoff", &Sizes::cutoff},
                                       {"pair_cutoff", &Sizes::pair_cutoff},
                                       {"reward_cutoff", &Sizes::reward_cutoff},
                                       {"longest_delay", &Sizes::longest_delay},
                                       {"block_steps", &Sizes::block_steps},
                                       {"span_blocks", &Sizes::span_blocks}};

// What the entries of the last axis of an array belong to, and so how ranks divide it.
enum class Axis : Index { same, neuron, source, synapse };
// Whether an array is part of a state, and whether it outlasts a reset, which clears all others.
enum Kept : int { kWork = 0, kState = 1, kLasting = 2 };

template <class T> void place(Array1<T>& array, T* data, const Shape& shape) { array = {data, shape.first}; }
template <class T> void place(Array2<T>& array, T* data, const Shape& shape) { array = {data, shape.first, shape.second}; }
template <class T> void place(Array3<T>& array, T* data, const Shape& shape) {
  array = {data, shape.first, shape.second, shape.third};
}
template <class T> Shape shape_of(const Array1<T>& array) { return {array.size}; }
template <class T> Shape shape_of(const Array2<T>& array) { return {array.rows, array.columns}; }
template <class T> Shape shape_of(const Array3<T>& array) { return {array.planes, array.rows, array.columns}; }

// A row of the table of a struct S.
template <class S, class View> struct Field {
  const char* name;  // in a state, and for Python
  View S::* member;
  Axis axis;
  int kept;  // see Kept
  Shape (*shape)(const Sizes& sizes);
};
template <class S, class View> Field(const char*, View S::*, Axis, int, Shape (*)(const Sizes&)) -> Field<S, View>;

// What all arrays of one type have in common, so that few functions are compiled for each array.
struct ArrayType {
  char kind;  // f, i, u: real, whole and unsigned numbers; r: records
  int axes;
  Index size;  // bytes of an entry
  void* (*data)(const void* array);
  Shape (*shape)(const void* array);
  void (*place)(void* array, void* data, const Shape& shape);
};
template <class View> inline constexpr ArrayType kArrayType{};
template <class T> constexpr char kind_of_number() {
  return std::is_class_v<T> ? 'r' : std::is_floating_point_v<T> ? 'f' : std::is_signed_v<T> ? 'i' : 'u';
}
template <class View, class T> constexpr ArrayType array_type(int axes) {
  return {kind_of_number<T>(),
          axes,
          sizeof(T),
          [](const void* array) -> void* { return const_cast<std::remove_const_t<T>*>(static_cast<const View*>(array)->data); },
          [](const void* array) { return shape_of(*static_cast<const View*>(array)); },
          [](void* array, void* data, const Shape& shape) { place(*static_cast<View*>(array), static_cast<T*>(data), shape); }};
}
template <class T> inline constexpr ArrayType kArrayType<Array1<T>> = array_type<Array1<T>, T>(1);
template <class T> inline constexpr ArrayType kArrayType<Array2<T>> = array_type<Array2<T>, T>(2);
template <class T> inline constexpr ArrayType kArrayType<Array3<T>> = array_type<Array3<T>, T>(3);

// An array of a network, and what the table of its struct says.
struct Row {
  const char *struct_name, *name;
  Axis axis;
  int kept;
  Shape (*wanted)(const Sizes& sizes);
  void* array;
  const ArrayType* type;
  void* data() const { return type->data(array); }
  Shape shape() const { return type->shape(array); }
  Index bytes() const { return shape().entries() * type->size; }
  Index bytes_before(const Sizes& sizes) const { return wanted(sizes).entries() * type->size; }
};

// The arrays of a struct.
template <class S> void add_rows(const char* name, S& arrays, std::vector<Row>& rows) {
  std::apply(
      [&](const auto&... field) {
        (rows.push_back({name, field.name, field.axis, field.kept, field.shape, &(arrays.*field.member),
                         &kArrayType<std::remove_reference_t<decltype(arrays.*field.member)>>}),
         ...);
      },
      S::fields());
}

// Gives memory to arrays that have none.
inline void allocate(const std::vector<Row>& rows, const Sizes& sizes, std::vector<Zeros>& memory) {
  for (const Row& row : rows) {
    if (row.data() != nullptr) continue;
    memory.emplace_back(row.bytes_before(sizes));
    row.type->place(row.array, memory.back().data(), row.wanted(sizes));
  }
}

// Clears arrays for a reset.
inline void clear(const std::vector<Row>& rows) {
  for (const Row& row : rows)
    if ((row.kept & kLasting) == 0) std::memset(row.data(), 0, row.bytes());
}

}  // namespace eprop
