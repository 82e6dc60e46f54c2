// Tables of a built network: fields of their records for NumPy, and the topology.
#include "network/tables.hpp"

#include <nanobind/stl/pair.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cstddef>
#include <initializer_list>
#include <stdexcept>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/network.hpp"
#include "eprop_plus/kinds.hpp"

namespace eprop {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

struct RecordField {
  const char* name;
  const char* type;
  std::size_t offset, size = 8;
};
template <class T> constexpr const char* type_of() { return std::is_same_v<T, double> ? "f8" : "i8"; }
#define FIELD(name) \
  RecordField { #name, type_of<decltype(Record::name)>(), offsetof(Record, name) }
#define OPTIMIZER_FIELD(field, name)                                                                                        \
  RecordField {                                                                                                             \
    name, type_of<decltype(OptimizerConstants::field)>(), offsetof(Record, optimizer) + offsetof(OptimizerConstants, field) \
  }

// Names and types of all fields of a record, as NumPy takes them; checks the offset that NumPy will use.
Fields fields_of(std::size_t size, std::initializer_list<RecordField> all) {
  Fields fields;
  std::size_t end = 0;
  for (const RecordField& field : all) {
    if (field.offset != end) throw std::logic_error(std::string("record: ") + field.name);
    fields.emplace_back(field.name, field.type);
    end += field.size;
  }
  if (size != end) throw std::logic_error("record: a field is missing");
  return fields;
}

Fields population_fields() {
  using Record = Population;
  return fields_of(sizeof(Record),
                   {FIELD(role),          FIELD(size),       FIELD(first_node),  FIELD(first_source),   FIELD(first_target),
                    FIELD(target_begin),  FIELD(target_end), FIELD(model),       FIELD(own_function),   FIELD(sharing),
                    FIELD(channel),       FIELD(softmax),    FIELD(trace_group), FIELD(kind),           FIELD(n_components),
                    FIELD(leaky),         FIELD(fed_back),   FIELD(voltage_row), FIELD(inhibitory_row), FIELD(pair_group),
                    FIELD(kappa),         FIELD(c_reg),      FIELD(rate_reg),    FIELD(f_target),       FIELD(kappa_gain),
                    FIELD(error_latency), FIELD(dropout),    FIELD(averages)});
}

Fields delay_group_fields() {
  using Record = DelayGroup;
  // clang-format off
  return fields_of(sizeof(Record), {
    FIELD(source_population), FIELD(first_branch), FIELD(n_branches), FIELD(branch_stride), FIELD(rule), FIELD(delay),
    FIELD(onto_readouts), FIELD(receptor), FIELD(target_begin), FIELD(target_end), FIELD(trace_group), FIELD(kind), FIELD(cutoff),
    FIELD(reward_cutoff), FIELD(tied_feedback), FIELD(projection), FIELD(per_step_optimizer), FIELD(counts_events), FIELD(first_group),
    FIELD(delay_offset), FIELD(filter_slot), OPTIMIZER_FIELD(eta, "eta"), OPTIMIZER_FIELD(w_min, "w_min"),
    OPTIMIZER_FIELD(w_max, "w_max"), OPTIMIZER_FIELD(beta_1, "beta_1"), OPTIMIZER_FIELD(beta_2, "beta_2"),
    OPTIMIZER_FIELD(epsilon, "epsilon"), OPTIMIZER_FIELD(kind, "optimizer"), OPTIMIZER_FIELD(nesterov, "nesterov"),
    OPTIMIZER_FIELD(keep, "keep"), FIELD(input_scale), FIELD(pair_rule), FIELD(pair_powers), FIELD(pre_decay),
    FIELD(post_decay),    {"pair_constants", "4f8", offsetof(Record, pair_constants), sizeof(Record::pair_constants)},
    FIELD(level), FIELD(lowest), FIELD(highest), FIELD(stochastic), FIELD(rounding_seed), FIELD(first_node),
    FIELD(averages), FIELD(clip_norm)
  });
  // clang-format on
}

Fields trace_group_fields() {
  using Record = TraceGroup;
  return fields_of(sizeof(Record), {FIELD(kappa), FIELD(kappa_reg), FIELD(kappa_rate), FIELD(joins_signal), FIELD(c_reg),
                                    FIELD(f_target), FIELD(own_decay), FIELD(gamma)});
}

Fields readout_fields() {
  using Record = ReadoutConstants;
  return fields_of(sizeof(Record),
                   {FIELD(alpha), FIELD(zeta), FIELD(drive), FIELD(y_min), FIELD(y_start), FIELD(leak), FIELD(trace_group)});
}

Fields drive_fields() {
  using Record = Drive;
  return fields_of(sizeof(Record), {FIELD(kind), FIELD(begin), FIELD(end), FIELD(first_node), FIELD(stimulus), FIELD(row),
                                    FIELD(receptor), FIELD(same_rate), FIELD(same_weight), FIELD(values)});
}

Fields product_fields() {
  using Record = Product;
  return fields_of(sizeof(Record), {FIELD(population), FIELD(component), FIELD(slot)});
}

Fields learned_constant_fields() {
  using Record = LearnedConstant;
  return fields_of(sizeof(Record), {FIELD(population), FIELD(first), FIELD(size), FIELD(first_effect), FIELD(stop_effect),
                                    FIELD(descent), FIELD(eta), FIELD(low), FIELD(high)});
}

// Reads an array as its member has it; `name` is for messages.
template <class T> void read(nb::handle given, const char* name, Array1<T>& array) {
  if constexpr (std::is_class_v<T>)
    array = {records<std::remove_const_t<T>>(given, name).data, static_cast<Index>(nb::len(given))};
  else
    array = view1(array_of<Out1<T>>(given, name));
}
template <class T> void read(nb::handle given, const char* name, Array2<T>& array) {
  array = view2(array_of<Out2<T>>(given, name));
}
template <class T> void read(nb::handle given, const char* name, Array3<T>& array) {
  array = view3(array_of<Out3<T>>(given, name));
}
void read(nb::handle given, const char* name, Array2<const std::uint8_t>& array) {
  const auto truth = view2(array_of<In2<bool>>(given, name));
  array = {reinterpret_cast<const std::uint8_t*>(truth.data), truth.rows, truth.columns};
}
void read(nb::handle given, const char* name, Filters& filters) {
  const auto array = array_of<Argument<const double, 5>>(given, name);
  filters = {array.data(), static_cast<Index>(array.shape(0)), static_cast<Index>(array.shape(1)),
             static_cast<Index>(array.shape(2)), static_cast<Index>(array.shape(3))};
}

// Visits the rows of the table of a topology: what Python hands over, its attributes and the stub follow.
template <class Visit> void each_field(const Visit& visit) {
  std::apply([&](const auto&... field) { (visit(field), ...); }, Topology::fields());
}

void make_topology(PyTopology* topology, const nb::kwargs& given) {
  new (topology) PyTopology{{}, nb::dict(given)};
  each_field([&](const auto& field) { read(given[field.name], field.name, topology->*field.member); });
}

void bind_topology(nb::module_& m) {
  nb::class_<PyTopology> bound(
      m, "Topology",
      "Arrays from the build: `Topology` in core/network/tables.hpp. Connections that move, learning rates and "
      "constants that learn change them in place.");
  bound.def("__init__", &make_topology, nb::sig("def __init__(self, **arrays: numpy.ndarray) -> None"))
      .def(
          "arrays", [](const PyTopology& topology) { return topology.arrays; },
          nb::sig("def arrays(self) -> dict[str, numpy.ndarray]"), "All arrays by name.");
  each_field([&](const auto& field) {
    const std::string signature = std::string("def ") + field.name + "(self) -> numpy.ndarray";
    bound.def_prop_ro(
        field.name, [name = field.name](const PyTopology& topology) { return nb::object(topology.arrays[name]); },
        nb::sig(signature.c_str()));
  });
}

void bind_roles(nb::module_& m) {
  nb::enum_<Role>(m, "Role", nb::is_arithmetic(), "Content of a population.")
      .value("events", Role::events)
      .value("poisson", Role::poisson)
      .value("neuron", Role::neuron)
      .value("readout", Role::readout);
  nb::enum_<Rule>(m, "Rule", nb::is_arithmetic(), "Learning rule of the synapses of a delay group.")
      .value("fixed", Rule::fixed)
      .value("eprop", Rule::eprop)
      .value("eprop_plus", Rule::eprop_plus)
      .value("pairs", Rule::pairs);
  nb::enum_<DriveKind>(m, "DriveKind", nb::is_arithmetic(), "What a stimulus adds to neurons.")
      .value("poisson", DriveKind::poisson)
      .value("noise", DriveKind::noise)
      .value("current", DriveKind::current);
  nb::enum_<Tied>(m, "Tied", nb::is_arithmetic(), "How feedback depends on the readout weights of a delay group.")
      .value("no", Tied::no)
      .value("weight", Tied::weight)
      .value("change", Tied::change);
}

}  // namespace

void bind_tables(nb::module_& m) {
  bind_roles(m);
  bind_topology(m);
  m.attr("most_filters") = kMostFilters;
  m.attr("most_own_beside_filters") = kMostOwnBesideFilters;
  m.attr("most_own") = kMostOwn;
  m.attr("own_optimizer") = static_cast<Index>(Optimizer::own);
  m.attr("doublings") = kDoublings;
  m.attr("drive_rows") = static_cast<Index>(kDriveRows);
  m.def("padded", &padded, "neurons"_a, "Length of a row of propagators for so many neurons.");
  m.def("record_size", &record_size, "entries"_a, "Length of a neuron-major copy of so many entries.");
  m.def(
      "kind_layout",
      [](int n_filters, int n_own, bool anchored, bool two_kappas, bool reward) {
        const Kind kind{n_filters, n_own, anchored, two_kappas, reward};
        nb::typed<nb::dict, nb::str, nb::int_> layout;
        layout["n_entries"] = kind.n_entries();
        layout["n_corrections"] = kind.n_corrections();
        layout["n_constants"] = kind.n_constants();
        layout["spike_row"] = kind.u();
        layout["decay_row"] = kind.a();
        layout["arrival_row"] = kind.b();
        return layout;
      },
      "n_filters"_a, "n_own"_a, "anchored"_a, "two_kappas"_a, "reward"_a, "See `Kind.layout` in eprop.engine.build.records.");
  m.def(
      "kinds",
      [](bool single) {
        std::vector<std::tuple<int, int, bool, bool, bool>> kinds;
        for (const auto& [k, compiled] : kKinds)
          if (single ? is_compiled<float>(compiled) : is_compiled<double>(compiled))
            kinds.emplace_back(k.n_filters, k.n_own, k.anchored, k.two_kappas, k.reward);
        return kinds;
      },
      "single"_a, "Fields of the compiled kinds of e-prop+ for a precision, the preferred ones first.");
  m.def(
      "record_fields",
      [] {
        nb::typed<nb::dict, nb::str, Fields> fields;
        fields["Population"] = population_fields();
        fields["DelayGroup"] = delay_group_fields();
        fields["TraceGroup"] = trace_group_fields();
        fields["ReadoutConstants"] = readout_fields();
        fields["Drive"] = drive_fields();
        fields["Product"] = product_fields();
        fields["LearnedConstant"] = learned_constant_fields();
        return fields;
      },
      "Names and NumPy types of the fields of each record, in their order; each has eight bytes.");
}

}  // namespace eprop
