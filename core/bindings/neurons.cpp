// Neurons stepped from Python (the time-driven network, checks of a model), and scalar equations for tests.
#include "neurons/advance.hpp"

#include <nanobind/stl/tuple.h>

#include <stdexcept>
#include <tuple>
#include <vector>

#include "bindings/convert.hpp"
#include "network/owed_steps.hpp"
#include "neurons/model.hpp"
#include "neurons/surrogate.hpp"
#include "online/pair_rules.hpp"

namespace eprop {
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
  spikes.resize(advance({population, begin, end, states, parameters, {input.data(), 1, neurons}}, psi.data(), spikes.data(), 0));
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

// The owed steps of one synapse as a function of (w, m, v) that returns the new values, for the optimiser of the first delay
// group.
std::tuple<double, double, double> optimize(std::tuple<double, double, double> before, double g, Index first_step,
                                            Index last_step, nb::object topology) {
  const OptimizerConstants& constants = records<DelayGroup>(topology.attr("groups"), "groups")[0].optimizer;
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

void bind_neurons(nanobind::module_& m) {
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
  testing.def_static("potentiate", &potentiate);
  testing.def_static("depress", &depress);
  testing.def_static("optimize_synapse", &optimize, "before"_a, "g"_a, "first_step"_a, "last_step"_a, "topology"_a,
                     "New (w, m, v) by the optimiser of the first delay group.");
}

}  // namespace eprop
