// Rewiring for Python.
#include "common/rewiring.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

#include "bindings/online.hpp"
#include "bindings/topology.hpp"
#include "common/threads.hpp"

namespace eprop {
namespace {

// Arrays of all synapses, of which each partition has a part.
template <class Real> struct AllSynapses {
  Array2<Index> start;
  MovedSynapses<Real> moved;
  MovedSynapses<Real> of_partition(Index partition, Index first_branch) const {
    MovedSynapses<Real> part = moved;
    part.start = start.row(partition) + first_branch;
    return part;
  }
};

// What synapses keep besides their weights; gradients only where they outlast a mini-batch.
template <class Real> std::vector<Real*> others_of(PyRun<Real>& run) {
  std::vector<Real*> found;
  const Synapses<Real>& synapses = run.state.synapses;
  each_field(run.state.synapses, [&](const auto&, const auto& array) {
    if constexpr (std::is_same_v<decltype(*array.data), Real&>) {
      if (array.data == synapses.weight.data || (array.data == synapses.pending.data && !run.sizes.at_spikes())) return;
      for (Index k = 0; k < shape_of(array).entries(); k += run.sizes.synapses) found.push_back(array.data + k);
    }
  });
  return found;
}

RewiredBranches branches_of(const In1<Index>& shape, const In1<Index>& signs) {
  if (shape.shape(0) != 6) throw nb::value_error("shape: first branch, sources, delays, classes, first target, end of targets");
  const Index* given = shape.data();
  if (static_cast<Index>(signs.shape(0)) != given[3]) throw nb::value_error("signs: one for each class");
  return {given[0], given[1], given[2], given[3], given[4], given[5], signs.data()};
}

// All partitions in parallel; returns how many synapses have moved.
template <class Real> Index rewire_all(const PyTopology& topology, PyRun<Real>& run, const PyTopology& absent, In1<Real> score,
                                       In1<Index> shape, In1<Index> signs, Drop drop, double share, bool by_gradient,
                                       std::uint32_t now, int threads) {
  const RewiredBranches branches = branches_of(shape, signs);
  const auto candidates = attribute1<std::uint32_t>(absent.arrays, "targets");
  const AllSynapses<Real> all{attribute2<Index>(topology.arrays, "branch_start"),
                              {nullptr, attribute1<std::uint32_t>(topology.arrays, "targets").data,
                               run.state.synapses.weight.data, others_of(run), run.state.moves.born.data}};
  const bool fits = run.state.moves.born.size == topology.targets.size && absent.branch_start.rows == topology.n_partitions() &&
                    static_cast<Index>(score.shape(0)) == candidates.size &&
                    branches.first + branches.count() < topology.branch_start.columns &&
                    absent.branch_start.columns == topology.branch_start.columns;
  if (!fits) throw nb::value_error("rewire: synapses, candidates and branches do not fit");
  nb::gil_scoped_release release;
  std::vector<Index> moved(static_cast<std::size_t>(topology.n_partitions()));
  parallel_for(topology.n_partitions(), std::max(threads, 1), [&](Index p) {
    const Index begin = std::max(topology.bounds(0, p), branches.target_begin);
    const Index end = std::min(topology.bounds(0, p + 1), branches.target_end);
    const Candidates<Real> some{absent.branch_start.row(p) + branches.first, candidates.data, score.data()};
    moved[p] = rewire(branches, begin, end, {drop, share, by_gradient}, now, all.of_partition(p, branches.first), some);
  });
  return std::accumulate(moved.begin(), moved.end(), Index{0});
}

// All partitions in parallel.
template <class Real> void perturb_all(const PyTopology& topology, Out1<Real> weight, In1<Index> shape, In1<Index> signs,
                                       In2<double> bounds, In1<Index> nodes, Index first_node, double l1, double noise,
                                       std::uint64_t seed, int threads) {
  const RewiredBranches branches = branches_of(shape, signs);
  if (static_cast<Index>(bounds.shape(1)) != branches.classes * branches.delays || bounds.shape(0) != 2 ||
      static_cast<Index>(nodes.shape(0)) != branches.sources || static_cast<Index>(weight.shape(0)) != topology.targets.size)
    throw nb::value_error("perturb: weights, bounds or nodes do not fit");
  const Perturbation perturbation{l1, noise, seed, first_node, nodes.data(), view2(bounds).row(0), view2(bounds).row(1)};
  const AllSynapses<Real> all{attribute2<Index>(topology.arrays, "branch_start"),
                              {nullptr, attribute1<std::uint32_t>(topology.arrays, "targets").data, weight.data(), {}, nullptr}};
  nb::gil_scoped_release release;
  parallel_for(topology.n_partitions(), std::max(threads, 1),
               [&](Index p) { perturb(branches, perturbation, all.of_partition(p, branches.first)); });
}

template <class Real> void bind_rewire(nb::module_& m) {
  m.def("rewire", &rewire_all<Real>, "topology"_a, "online"_a, "absent"_a, "score"_a.noconvert(), "shape"_a.noconvert(),
        "signs"_a.noconvert(), "drop"_a, "share"_a, "by_gradient"_a, "now"_a, "threads"_a,
        "Let the weakest synapses of each target of a projection make room for candidates; return how many have moved.\n\n"
        "C++: `rewire` in core/common/rewiring.hpp.");
  m.def("perturb", &perturb_all<Real>, "topology"_a, "weight"_a.noconvert(), "shape"_a.noconvert(), "signs"_a.noconvert(),
        "bounds"_a.noconvert(), "nodes"_a.noconvert(), "first_node"_a, "l1"_a, "noise"_a, "seed"_a, "threads"_a,
        "Shrink the weights of a projection, and add noise; `bounds` (2, sign classes * delays).");
}

}  // namespace

void bind_rewiring(nb::module_& m) {
  nb::enum_<Drop>(m, "Drop", nb::is_arithmetic(), "Which synapses a target drops.")
      .value("weight", Drop::weight)
      .value("zero", Drop::zero);
  bind_rewire<float>(m);
  bind_rewire<double>(m);
}

}  // namespace eprop
