// Rewiring for Python.
#include "network/rewiring.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

#include "bindings/network.hpp"
#include "support/threads.hpp"

namespace eprop {
namespace {

// The synapses of a partition, from a branch on. In the core, only rewiring writes the connections of a topology; Python does for
// a loaded state. All arrays of synapses move with the weights, gradients only where they outlast a mini-batch.
template <class Real> MovedSynapses<Real> part_of(PyNetwork<Real>& network, Index partition, Index first_branch) {
  const Topology& topology = network.topology;
  const Synapses<Real>& synapses = network.synapses;
  std::vector<MovedRow> others;
  for (const Row& row : rows_of<Real>(network)) {
    if (row.axis != Axis::synapse || row.data() == synapses.weight.data) continue;
    if (row.data() == synapses.pending.data && !network.sizes.at_spikes()) continue;
    auto* entries = static_cast<std::byte*>(row.data());
    for (Index k = 0; k < row.bytes(); k += network.sizes.synapses * row.type->size)
      others.push_back({entries + k, row.type->size});
  }
  return {const_cast<Index*>(topology.branch_start.row(partition)) + first_branch,
          const_cast<std::uint32_t*>(topology.targets.data), synapses.weight.data, network.moves.born.data, others};
}

RewiredBranches branches_of(const In1<Index>& shape, const In1<Index>& signs) {
  if (shape.shape(0) != 6) throw nb::value_error("shape: first branch, sources, delays, classes, first target, end of targets");
  const Index* given = shape.data();
  if (static_cast<Index>(signs.shape(0)) != given[3]) throw nb::value_error("signs: one for each class");
  return {given[0], given[1], given[2], given[3], given[4], given[5], signs.data()};
}

// All partitions in parallel; returns how many synapses have moved.
template <class Real> Index rewire_all(PyNetwork<Real>& network, const PyTopology& absent, In1<Real> score, In1<Index> shape,
                                       In1<Index> signs, Drop drop, double share, bool by_gradient, Index now, int threads) {
  const RewiredBranches branches = branches_of(shape, signs);
  const Topology& topology = network.topology;
  const bool fits = network.moves.born.size == topology.targets.size && absent.branch_start.rows == topology.n_partitions() &&
                    static_cast<Index>(score.shape(0)) == absent.targets.size &&
                    branches.first + branches.count() < topology.branch_start.columns &&
                    absent.branch_start.columns == topology.branch_start.columns;
  if (!fits) throw nb::value_error("rewire: synapses, candidates and branches do not fit");
  nb::gil_scoped_release release;
  std::vector<Index> moved(static_cast<std::size_t>(topology.n_partitions()));
  parallel_for(topology.n_partitions(), std::max(threads, 1), [&](Index p) {
    const Index begin = std::max(topology.bounds(0, p), branches.target_begin);
    const Index end = std::min(topology.bounds(0, p + 1), branches.target_end);
    const Candidates<Real> some{absent.branch_start.row(p) + branches.first, const_cast<std::uint32_t*>(absent.targets.data),
                                score.data()};
    moved[p] = rewire(branches, begin, end, {drop, share, by_gradient}, now, part_of(network, p, branches.first), some);
  });
  return std::accumulate(moved.begin(), moved.end(), Index{0});
}

// All partitions in parallel.
template <class Real> void perturb_all(PyNetwork<Real>& network, In1<Index> shape, In1<Index> signs, In2<double> bounds,
                                       In1<Index> nodes, Index first_node, double l1, double noise, std::uint64_t seed,
                                       int threads) {
  const RewiredBranches branches = branches_of(shape, signs);
  if (static_cast<Index>(bounds.shape(1)) != branches.classes * branches.delays || bounds.shape(0) != 2 ||
      static_cast<Index>(nodes.shape(0)) != branches.sources)
    throw nb::value_error("perturb: bounds or nodes do not fit");
  const Perturbation perturbation{l1, noise, seed, first_node, nodes.data(), view2(bounds).row(0), view2(bounds).row(1)};
  nb::gil_scoped_release release;
  parallel_for(network.topology.n_partitions(), std::max(threads, 1),
               [&](Index p) { perturb(branches, perturbation, part_of(network, p, branches.first)); });
}

template <class Real> void bind_rewire(nb::module_& m) {
  m.def("rewire", &rewire_all<Real>, "network"_a, "absent"_a, "score"_a.noconvert(), "shape"_a.noconvert(), "signs"_a.noconvert(),
        "drop"_a, "share"_a, "by_gradient"_a, "now"_a, "threads"_a,
        "Let the weakest synapses of each target of a projection make room for candidates; return how many have moved.\n\n"
        "C++: `rewire` in core/network/rewiring.hpp.");
  m.def("perturb", &perturb_all<Real>, "network"_a, "shape"_a.noconvert(), "signs"_a.noconvert(), "bounds"_a.noconvert(),
        "nodes"_a.noconvert(), "first_node"_a, "l1"_a, "noise"_a, "seed"_a, "threads"_a,
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
