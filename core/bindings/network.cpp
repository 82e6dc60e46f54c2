// The network that both loops over time borrow, for Python.
#include "bindings/network.hpp"

#include "network/feedback.hpp"
#include "network/optimizer_step.hpp"

namespace eprop {
namespace {

// Takes an array over, if it has the type.
template <class T> bool take(nb::handle given, Array1<T>& array) {
  Out1<T> found;
  if (!nb::try_cast(given, found, false)) return false;
  array = view1(found);
  return true;
}

template <class Real> void make_network(PyNetwork<Real>* network, const PyTopology& topology, const Sizes& sizes,
                                        nb::object weight, Out2<double> feedback) {
  new (network) PyNetwork<Real>();
  Synapses<Real>& synapses = network->synapses;
  if (!take(weight, synapses.weight) && !take(weight, synapses.levels) && !take(weight, synapses.wide_levels))
    throw nb::type_error("weight: an array of weights or levels is expected");
  network->sizes = sizes;
  network->topology = topology;
  network->feedback.weight = view2(feedback);
  network->owners = nb::make_tuple(nb::find(topology), weight, feedback);
  allocate(rows_of<Real>(*network), sizes, network->memory);
  std::vector<Row> rows = rows_of<Real>(*network);
  add_rows("topology", network->topology, rows);
  for (const Row& row : rows)
    if (row.shape() != row.wanted(sizes)) throw nb::value_error((std::string(row.name) + " does not fit the sizes").c_str());
}

template <class Real> PyNetwork<Real>* copy_at_rest(const PyNetwork<Real>& network, Out1<Real> weight) {
  auto* copy = new PyNetwork<Real>(at_rest<Real>(network, view1(weight)));
  copy->owners = nb::make_tuple(nb::find(network), weight);
  return copy;
}

// All delay groups, or those with the same sources and targets as group `like`, which add up.
template <class Real> void tie(PyNetwork<Real>& network, Index like) {
  const Array1<DelayGroup> groups = network.topology.groups;
  if (like >= groups.size) throw nb::value_error("tie_feedback: no such delay group");
  nb::gil_scoped_release release;
  tie_feedback<Real>(network, [&](const DelayGroup& group) {
    return like < 0 ||
           (group.source_population == groups[like].source_population && group.target_begin == groups[like].target_begin);
  });
}

template <class Real> void keep_feedback(PyNetwork<Real>& network, Index first, Index stop) {
  if (first < 0 || stop > network.topology.groups.size) throw nb::value_error("measure_offsets: no such delay groups");
  nb::gil_scoped_release release;
  if (network.feedback.offset.size() > 0) measure_offsets<Real>(network, first, stop);
}

// Turns sums of gradients of synapses into their means; returns those of the constants, from sums of inner products.
template <class Real>
auto means(const PyNetwork<Real>& network, Out1<Real> pending, Out2<double> products, double samples, double length) {
  const Topology& topology = network.topology;
  if (view1(pending).size != topology.targets.size || view2(products).size() != network.constants.products.size())
    throw nb::value_error("means: the sums do not fit the network");
  const Batch batch{0, samples, length};
  visit_projections(topology, [&](const DelayGroup& group, const Positions& part) {
    const Real factor(batch.factor(group.averages));
    for (Index synapse = part.first; synapse < part.stop; synapse++) pending.data()[synapse] *= factor;
  });
  std::vector<double> gradient(network.sizes.constants);
  mean_constants(topology, view2(products), batch, gradient.data());
  return handed_over(std::move(gradient));
}

template <class Real> void optimize_all(PyNetwork<Real>& network, Index update, double samples, double length, int threads) {
  if (network.synapses.pending.size != network.topology.targets.size)
    throw nb::value_error("optimize: the network has no gradients");
  nb::gil_scoped_release release;
  optimize<Real>(network, {update, samples, length}, std::max(threads, 1));
}

template <class Real> bool settle_all(PyNetwork<Real>& network, Index update, int threads) {
  nb::gil_scoped_release release;
  return settle<Real>(network, update, std::max(threads, 1));
}

template <class Real> void bind_network_of(nb::module_& m, const char* name) {
  using S = PyNetwork<Real>;
  nb::class_<S> bound(m, name, "A network: topology, weights and what learning keeps for each synapse, feedback.");
  bound
      .def("__init__", &make_network<Real>, "topology"_a, "sizes"_a, "weight"_a.noconvert(), "feedback"_a.noconvert(),
           "`weight` (synapses,) are numbers or levels, `feedback` (readouts, neurons); both change in place.")
      .def("at_rest", &copy_at_rest<Real>, nb::rv_policy::take_ownership, "weight"_a.noconvert(),
           "The same network with other weights, which does not learn.")
      .def_prop_ro("synapses", [](S& network) -> Synapses<Real>& { return network.synapses; })
      .def_prop_ro("moves", [](S& network) -> Moves& { return network.moves; })
      .def_prop_ro("feedback", [](S& network) -> Feedback& { return network.feedback; })
      .def_prop_ro("constants", [](S& network) -> Constants& { return network.constants; })
      .def("tie_feedback", &tie<Real>, "like"_a = -1,
           "Copy weights to the feedback that follows them: all, or those of delay groups with the sources and targets of one.")
      .def("measure_offsets", &keep_feedback<Real>, "first"_a, "stop"_a,
           "Keep adaptive feedback unchanged after the weights of delay groups were set.")
      .def("means", &means<Real>, "pending"_a.noconvert(), "products"_a.noconvert(), "samples"_a, "length"_a,
           "Turn `pending` (synapses,), sums of gradients over samples, into means, `length` is that of the first learning "
           "window; return those of the constants that learn, from sums (products, targets).")
      .def("optimize", &optimize_all<Real>, "update"_a, "samples"_a, "length"_a, "threads"_a,
           "One optimiser step of all e-prop synapses with the means of `pending`, clipped, which is cleared; of an optimiser in "
           "Python, `pending` is the gradient then. The same of the constants that learn and `products`; with 0 samples "
           "`pending` and `gradient` are means already.\n\n"
           "C++: `optimize` in core/network/optimizer_step.hpp.")
      .def("settle", &settle_all<Real>, "update"_a, "threads"_a,
           "Round weights of few bits after the optimiser step `update`, and tie feedback; return whether all are finite.\n\n"
           "C++: `settle` in core/network/optimizer_step.hpp.");
}

void make_sizes(Sizes* sizes, const nb::kwargs& given) {
  new (sizes) Sizes();
  for (const auto& [name, number] : kSizes) sizes->*number = nb::cast<Index>(given[name]);
  if (given.size() != std::size(kSizes)) throw nb::type_error("Sizes: there is a number without a name");
}

}  // namespace

void bind_network(nb::module_& m) {
  nb::enum_<Axis>(m, "Axis", nb::is_arithmetic(), "What the entries of the last axis of an array belong to.")
      .value("same", Axis::same, "All ranks have the same array.")
      .value("neuron", Axis::neuron)
      .value("source", Axis::source)
      .value("synapse", Axis::synapse);
  nb::class_<Sizes>(m, "Sizes", "The numbers on which the shapes of all arrays depend, see core/network/fields.hpp.")
      .def("__init__", &make_sizes, nb::sig("def __init__(self, **numbers: int) -> None"));
  bind_arrays<Synapses<float>>(m, "SynapsesSingle", "See `Synapses` in core/network/network.hpp.");
  bind_arrays<Synapses<double>>(m, "SynapsesDouble", "See `Synapses` in core/network/network.hpp.");
  bind_arrays<Moves>(m, "Moves", "See `Moves` in core/network/network.hpp.");
  bind_arrays<Feedback>(m, "Feedback", "See `Feedback` in core/network/network.hpp.");
  bind_arrays<Constants>(m, "Constants", "See `Constants` in core/network/network.hpp.");
  bind_network_of<float>(m, "NetworkSingle");
  bind_network_of<double>(m, "NetworkDouble");
}

}  // namespace eprop
