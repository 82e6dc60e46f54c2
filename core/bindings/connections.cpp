// Connections for Python. All functions release the GIL, so that threads can build parts of a network in parallel.
#include "network/connections.hpp"

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "bindings/network.hpp"
#include "network/distance.hpp"
#include "network/listed_synapses.hpp"
#include "neurons/known_neurons.hpp"
#include "support/aligned.hpp"

namespace eprop {
namespace {

using Unlocked = nb::call_guard<nb::gil_scoped_release>;
using Made = std::pair<Result<Index>, Result<std::int32_t>>;

// Makes connections without the GIL, then returns them.
template <class Make> Made connections(Make make) {
  Connections made = unlocked(make);
  return {handed_over(std::move(made.indptr)), handed_over(std::move(made.sources))};
}

void bind_rules(nb::module_& m) {
  nb::enum_<Profile>(m, "Profile", nb::is_arithmetic(), "How the probability of a connection falls with distance.")
      .value("gaussian", Profile::gaussian)
      .value("exponential", Profile::exponential)
      .value("box", Profile::box);
  m.def(
      "bernoulli",
      [](Index first, Index stop, Index n_pre, double probability, bool autapses, std::uint64_t seed) {
        return connections([&] { return bernoulli({first, stop}, n_pre, probability, autapses, seed); });
      },
      "first"_a, "stop"_a, "n_pre"_a, "probability"_a, "autapses"_a, "seed"_a,
      "Return (indptr, sources) of the targets `first` to `stop`: each source with a probability; `autapses` are allowed or "
      "not.");
  m.def(
      "fixed_indegree",
      [](Index first, Index stop, Index n_pre, Index degree, bool autapses, bool multapses, std::uint64_t seed) {
        return connections([&] { return fixed_indegree({first, stop}, n_pre, degree, {autapses, multapses}, seed); });
      },
      "first"_a, "stop"_a, "n_pre"_a, "degree"_a, "autapses"_a, "multapses"_a, "seed"_a,
      "Return (indptr, sources) of the targets `first` to `stop`: `degree` sources for each target.");
  m.def(
      "fixed_total_number",
      [](Index first, Index stop, Index n_pre, Index n_post, Index total, bool autapses, std::uint64_t seed) {
        return connections([&] { return fixed_total_number({first, stop}, n_pre, n_post, total, autapses, seed); });
      },
      "first"_a, "stop"_a, "n_pre"_a, "n_post"_a, "total"_a, "autapses"_a, "seed"_a,
      "Return (indptr, sources) of the targets `first` to `stop`: `total` connections onto all targets together.");
  m.def(
      "by_distance",
      [](Index first, Index stop, const In2<double>& sources, const In2<double>& targets, const In1<double>& extent,
         Profile shape, double most, double width, double farthest, bool autapses, std::uint64_t seed) {
        const NodePositions positions{view2(sources), view2(targets), view1(extent)};
        const Index dims = positions.sources.columns;
        if (dims < 1 || dims > 3 || positions.targets.columns != dims ||
            (positions.extent.size != 0 && positions.extent.size != dims))
          throw std::invalid_argument("positions and extent must have the same one to three dimensions");
        if (first < 0 || stop > positions.targets.rows) throw std::invalid_argument("no such targets");
        return connections([&] { return by_distance({first, stop}, positions, {shape, most, width, farthest}, autapses, seed); });
      },
      "first"_a, "stop"_a, "sources"_a.noconvert(), "targets"_a.noconvert(), "extent"_a.noconvert(), "shape"_a, "most"_a,
      "width"_a, "farthest"_a, "autapses"_a, "seed"_a,
      "Return (indptr, sources) of the targets `first` to `stop`: each source with a probability that falls with distance.");
  m.def(
      "fixed_outdegree",
      [](Index first, Index stop, Index n_pre, Index n_post, Index degree, bool autapses, bool multapses, std::uint64_t seed) {
        return connections([&] { return fixed_outdegree({first, stop}, n_pre, n_post, degree, {autapses, multapses}, seed); });
      },
      "first"_a, "stop"_a, "n_pre"_a, "n_post"_a, "degree"_a, "autapses"_a, "multapses"_a, "seed"_a,
      "Return (indptr, sources) of the targets `first` to `stop`: `degree` targets for each source.");
  m.def(
      "all_to_all",
      [](Index first, Index stop, Index n_pre, bool autapses) {
        return connections([&] { return all_to_all({first, stop}, n_pre, autapses); });
      },
      "first"_a, "stop"_a, "n_pre"_a, "autapses"_a, "Return (indptr, sources) of the targets `first` to `stop`: all sources.");
  m.def(
      "one_to_one", [](Index first, Index stop) { return connections([&] { return one_to_one({first, stop}); }); }, "first"_a,
      "stop"_a, "Return (indptr, sources) of the targets `first` to `stop`: the source with the same index.");
}

using DrawWeights = std::vector<double> (*)(Targets, Array1<const Index>, double, double, std::uint64_t);

void check_targets(Index first, Index stop, const In1<Index>& indptr) {
  if (stop < first || static_cast<Index>(indptr.shape(0)) != stop - first + 1)
    throw std::invalid_argument("indptr must have one entry more than there are targets");
}

template <DrawWeights draw>
Result<double> weights(Index first, Index stop, const In1<Index>& indptr, double one, double other, std::uint64_t seed) {
  check_targets(first, stop, indptr);
  return handed_over(unlocked([&] { return draw({first, stop}, view1(indptr), one, other, seed); }));
}

template <class Branch, class Value, class Target, class Weight>
void place(const In1<Index>& indptr, const In1<Branch>& branches, const In1<Value>& values, Index first_target,
           const Out1<Index>& next, const Out1<Target>& target, const Out1<Weight>& weight, Index tile) {
  if (tile < 1) throw std::invalid_argument("tile must be at least 1");
  place_synapses<Branch, Value, Target, Weight>({view1(indptr), view1(branches), view1(values)}, first_target,
                                                {view1(next), view1(target), view1(weight)}, tile);
}

template <class Branch> void bind_placing(nb::module_& m) {
  m.def(
      "count_synapses",
      [](const In1<Branch>& branches, const Out1<Index>& counts) { count_synapses<Branch>(view1(branches), view1(counts)); },
      "branches"_a.noconvert(), "counts"_a.noconvert(), Unlocked(), "Add the synapses of each branch to `counts` (branches,).");
  const auto def = [&m](auto function) {
    m.def("place_synapses", function, "indptr"_a.noconvert(), "branches"_a.noconvert(), "values"_a.noconvert(), "first_target"_a,
          "next"_a.noconvert(), "target"_a.noconvert(), "weight"_a.noconvert(), "tile"_a, Unlocked(),
          "Put synapses where their branches have room: advance `next` (branches,), write `target` and `weight`.");
  };
  def(&place<Branch, double, std::uint32_t, double>);
  def(&place<Branch, double, std::uint32_t, float>);
  def(&place<Branch, double, std::uint16_t, double>);
  def(&place<Branch, double, std::uint16_t, float>);
}

using Bits = In1<std::uint64_t>;
using Counts = In1<std::uint32_t>;

template <class Neuron> void bind_known_list(nb::module_& m) {
  m.def(
      "mark_known",
      [](const Out1<std::uint64_t>& bits, Index first, const In1<Neuron>& neurons) {
        mark_known<Neuron>(view1(bits), first, view1(neurons));
      },
      "bits"_a.noconvert(), "first"_a, "neurons"_a.noconvert(), Unlocked(),
      "Add neurons `first + neurons` to `bits`, which have one word more than needed.");
  m.def(
      "local_ids",
      [](const Bits& bits, const Counts& counts, Index first, const In1<Neuron>& neurons) {
        return handed_over(unlocked([&] {
          std::vector<std::int32_t> ids(neurons.shape(0));
          local_ids<Neuron>({view1(bits), view1(counts)}, first, view1(neurons), ids.data());
          return ids;
        }));
      },
      "bits"_a.noconvert(), "counts"_a.noconvert(), "first"_a, "neurons"_a.noconvert(),
      "Ids of neurons among the known ones from `first` on.");
}

void bind_known(nb::module_& m) {
  bind_known_list<std::int32_t>(m);
  bind_known_list<Index>(m);
  m.def(
      "count_known",
      [](const Bits& bits, const Out1<std::uint32_t>& counts) {
        if (counts.shape(0) != bits.shape(0)) throw std::invalid_argument("as many counts as words");
        count_known(view1(bits), view1(counts));
      },
      "bits"_a.noconvert(), "counts"_a.noconvert(), Unlocked(), "Write the known neurons before each word to `counts`.");
  m.def(
      "known_before",
      [](const Bits& bits, const Counts& counts, Index neuron) { return known_before({view1(bits), view1(counts)}, neuron); },
      "bits"_a.noconvert(), "counts"_a.noconvert(), "neuron"_a);
  m.def(
      "list_known",
      [](const Bits& bits, Index first, Index stop) {
        return handed_over(unlocked([&] {
          std::vector<Index> listed;
          for (Index neuron = first; neuron < stop; neuron++)
            if (is_known(view1(bits), neuron)) listed.push_back(neuron - first);
          return listed;
        }));
      },
      "bits"_a.noconvert(), "first"_a, "stop"_a, "Known neurons of `first` to `stop`, relative to `first`.");
}

// The synapses of a projection, for reading.
struct PySynapseList {
  const Topology& topology;
  BranchesOnto some;
  int threads;
  std::vector<Index> starts;

  Index size() const { return starts.back(); }
  // One number for each synapse, written by `write` without the GIL.
  template <class T, class Write> Result<T> made(const Write& write) const {
    const auto n = static_cast<std::size_t>(size());
    auto memory = unlocked([&] {
      auto room = std::make_unique<Zeros>(n * sizeof(T));
      write(static_cast<T*>(room->data()));
      return room;
    });
    void* data = memory->data();
    return {data, {n}, nb::capsule(memory.release(), [](void* p) noexcept { delete static_cast<Zeros*>(p); })};
  }
  template <class T, class Value> Result<T> listed(const Value& value) const {
    return made<T>([&](T* out) { list_synapses(topology, some, starts, threads, out, value); });
  }
};

void make_list(PySynapseList* self, const PyTopology& topology, Index first, const In1<Index>& order, Index begin, Index end,
               int threads) {
  const Array1<const Index> given = view1(order);
  BranchesOnto some{first, {given.data, given.data + given.size}, begin, end};
  const auto known = [&](Index branch) { return 0 <= branch && first + branch + 1 < topology.branch_start.columns; };
  if (first < 0 || end < begin || threads < 1 || !std::all_of(some.order.begin(), some.order.end(), known))
    throw nb::value_error("SynapseList: no such branches or targets");
  std::vector<Index> starts = unlocked([&] { return starts_of_targets(topology, some, threads); });
  new (self) PySynapseList{topology, std::move(some), threads, std::move(starts)};
}

template <class Value> void bind_values(nb::class_<PySynapseList>& bound) {
  bound.def(
      "of_branches",
      [](const PySynapseList& self, const In1<Value>& values) {
        const Array1<const Value> given = view1(values);
        for (const Index branch : self.some.order)
          if (branch >= given.size) throw nb::value_error("of_branches: one value for each branch");
        return self.listed<Value>([&](Index branch, Index) { return given[branch]; });
      },
      "values"_a.noconvert(), "Values of the synapses' branches.");
}
template <class Value> void bind_numbers(nb::class_<PySynapseList>& bound) {
  bound.def(
      "of_synapses",
      [](const PySynapseList& self, const In1<Value>& values) {
        const Array1<const Value> given = view1(values);
        if (given.size != self.topology.targets.size + self.topology.near_targets.size)
          throw nb::value_error("of_synapses: one value for each synapse of the network");
        return self.listed<double>([&](Index, Index synapse) { return static_cast<double>(given[synapse]); });
      },
      "values"_a.noconvert(), "Values of the synapses, of those of all synapses.");
}

void bind_list(nb::module_& m) {
  nb::class_<PySynapseList> bound(m, "SynapseList",
                                  "Synapses of the branches `first + order` onto the targets `begin` to `end`, by target, then "
                                  "in the order of the branches.\n\nC++: core/network/listed_synapses.hpp.");
  bound.def("__init__", &make_list, "topology"_a, "first"_a, "order"_a.noconvert(), "begin"_a, "end"_a, "threads"_a,
            nb::keep_alive<1, 2>());
  bound.def(
      "positions", [](const PySynapseList& self) { return self.listed<Index>([](Index, Index synapse) { return synapse; }); },
      "Positions of the synapses.");
  bound.def(
      "targets",
      [](const PySynapseList& self, Index first) {
        return self.made<Index>([&](Index* out) { list_targets(self.starts, first, self.threads, out); });
      },
      "first"_a, "Targets of the synapses; `begin` counts as `first`.");
  bind_values<Index>(bound);
  bind_values<double>(bound);
  bind_numbers<double>(bound);
  bind_numbers<float>(bound);
}

}  // namespace

void bind_connections(nb::module_& m) {
  bind_list(m);
  bind_rules(m);
  m.def("normal_weights", &weights<&normal_weights>, "first"_a, "stop"_a, "indptr"_a.noconvert(), "mean"_a, "sd"_a, "seed"_a,
        "Normal weights of the connections of the targets `first` to `stop`.");
  m.def("lognormal_weights", &weights<&lognormal_weights>, "first"_a, "stop"_a, "indptr"_a.noconvert(), "mu"_a, "sigma"_a,
        "seed"_a, "Lognormal weights; `mu` and `sigma` are those of the logarithm.");
  m.def(
      "truncated_weights",
      [](Index first, Index stop, const In1<Index>& indptr, double mean, double sd, double low, double high, std::uint64_t seed) {
        check_targets(first, stop, indptr);
        return handed_over(
            unlocked([&] { return truncated_weights({first, stop}, view1(indptr), {mean, sd, low, high}, seed); }));
      },
      "first"_a, "stop"_a, "indptr"_a.noconvert(), "mean"_a, "sd"_a, "low"_a, "high"_a, "seed"_a,
      "Normal weights; those outside `low` to `high` are drawn again.");
  m.def("uniform_weights", &weights<&uniform_weights>, "first"_a, "stop"_a, "indptr"_a.noconvert(), "low"_a, "high"_a, "seed"_a,
        "Uniform weights of the connections of the targets `first` to `stop`.");
  bind_placing<std::int32_t>(m);
  bind_placing<Index>(m);
  m.def(
      "synapse_places",
      [](const Out2<Index>& counts, const Out1<Index>& indptr, Index first) {
        synapse_places(view2(counts), view1(indptr), first);
      },
      "counts"_a.noconvert(), "indptr"_a.noconvert(), "first"_a, Unlocked(),
      "Turn `counts` (parts, branches) into positions, and write `indptr`.");
  bind_known(m);
}

}  // namespace eprop
