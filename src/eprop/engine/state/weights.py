"""The weights of a network in the order of connections: lists, matrices, feedback, learning rates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse

from eprop.core import lib
from eprop.engine.build.records import branches_of
from eprop.engine.ranks.collective import checksum, run_on_all_ranks
from eprop.engine.state.arrays import Arrays
from eprop.errors import InputError, NetworkError, ParameterError
from eprop.network import Network, Population, Projection
from eprop.network.rewiring import is_silent
from eprop.parallel import Communicator
from eprop.parameters import is_finite_number, real_numbers
from eprop.rules.bounds import outside

if TYPE_CHECKING:
    from eprop.engine.state.arrays import Arrays


@dataclass(frozen=True)
class SynapseOrder:
    """Synapses of a projection on this rank, by target, then source.

    Attributes
    ----------
    listed : lib.SynapseList
    first : int
        First target.
    source_of, group_of : (branches,) int64
        Source and delay group of each axon branch of the bundle.
    """

    listed: lib.SynapseList
    first: int
    source_of: np.ndarray
    group_of: np.ndarray

    @property
    def where(self) -> np.ndarray:
        """Positions of the synapses in the arrays of the core, (synapses,)."""
        return self.listed.positions()

    @property
    def sources(self) -> np.ndarray:
        """Sources of the synapses, (synapses,)."""
        return self.listed.of_branches(self.source_of)

    @property
    def targets(self) -> np.ndarray:
        """Targets of the synapses, (synapses,)."""
        return self.listed.targets(self.first)

    @property
    def groups(self) -> np.ndarray:
        """Delay groups of the synapses, (synapses,)."""
        return self.listed.of_branches(self.group_of)

    def of_groups(self, values: np.ndarray) -> np.ndarray:
        """Values of the synapses' delay groups, of those of all delay groups, (synapses,)."""
        return self.listed.of_branches(values[self.group_of])


def synapse_order(arrays: Arrays, projection: int) -> SynapseOrder:
    """The synapses of a projection in the order of connections."""
    built, described = arrays.built, arrays.network.projections[projection]
    first, branches = built.branch_span(projection)
    source_of, group_of = np.empty((2, branches), np.int64)
    for index in built.delay_groups[projection]:
        own = branches_of(built.groups[index])
        own = slice(own.start - first, own.stop - first, own.step)
        source_of[own], group_of[own] = built.rank_partition.global_ids(described.pre), index
    # Without signs, the synapses of a pair lie in the order of their delays.
    keys = (source_of,) if described.sign is None else (built.groups["delay"][group_of], source_of)
    post = built.topology.populations[described.post.index]
    onto = int(post["target_begin"]), int(post["target_end"])
    listed = lib.SynapseList(built.topology, first, np.lexsort(keys), *onto, arrays.threads)
    return SynapseOrder(listed, built.rank_partition.own(described.post)[0], source_of, group_of)


def all_synapses(arrays: Arrays) -> np.ndarray:
    """Positions of all synapses of this rank, projection by projection."""
    parts = [synapse_order(arrays, p.index).where for p in arrays.network.projections]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def order_on_all_ranks(arrays: Arrays, name: str) -> np.ndarray:
    """Positions, axon branches and delay groups of a projection's synapses on all ranks; those of other ranks: -1, 0, 0."""
    projection = arrays.network.projection(name).index
    order = synapse_order(arrays, projection)
    branches = np.arange(order.group_of.size) + arrays.built.branch_span(projection)[0]
    own = np.stack([order.where, order.listed.of_branches(branches), order.groups])
    if not arrays.exchange.several:
        return own
    out = np.zeros((3, arrays.exchange.count(projection)), np.int64)
    out[0] = -1
    if arrays.exchange.gives(projection):
        out[:, arrays.exchange.held(projection)] = own
    return out


def connections(arrays: Arrays, name: Projection | str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sources, targets and weights of a projection on all ranks, see `Simulator.connections`."""
    return _connections(arrays, _projection(arrays.exchange.comm, arrays, name))


def _connections(arrays: Arrays, projection: Projection) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    order = synapse_order(arrays, projection.index)
    weights = order.listed.of_synapses(arrays.effective_weights())
    if projection.sign is not None:  # zeros as well
        weights = np.copysign(weights, order.of_groups(arrays.built.groups["w_max"]))
    sources, targets, weights = of_all_ranks(arrays, projection, [order.sources, order.targets, weights])
    return sources, targets, weights


def of_all_ranks(arrays: Arrays, projection: Projection, parts: list[np.ndarray]) -> list[np.ndarray]:
    """Join numbers of this rank's synapses of a projection with those of the other ranks."""
    if projection.post.model.role == "readout" or not arrays.exchange.several:
        return parts
    return arrays.exchange.joined(parts)


def delays(arrays: Arrays, name: Projection | str) -> np.ndarray:
    """Delays of a projection on all ranks, see `Simulator.delays`."""
    projection, built = _projection(arrays.exchange.comm, arrays, name), arrays.built
    found = synapse_order(arrays, projection.index).of_groups(built.groups["delay"] * arrays.network.dt)
    return of_all_ranks(arrays, projection, [found])[0]


def matrix(arrays: Arrays, name: Projection | str) -> scipy.sparse.csr_matrix:
    """Weights of a projection as a matrix, see `Simulator.weights`."""
    projection = arrays.network.projection(name)
    sources, targets, values = connections(arrays, name)
    shape = (projection.post.size, projection.pre.size)
    return scipy.sparse.coo_matrix((values, (targets, sources)), shape=shape).tocsr()


def _projection(comm: Communicator, arrays: Arrays, name: Projection | str) -> Projection:
    """Return the projection of that name, the same on all ranks."""
    find = partial(arrays.network.projection, name)
    return run_on_all_ranks(comm, "the name of a projection", find, lambda found: {"the name": found.name})


def set_weights(arrays: Arrays, comm: Communicator, name: Projection | str, values: object) -> None:
    """Set the weights of a projection, see `Simulator.set_weights`."""
    projection = _projection(comm, arrays, name)
    sources, targets, present = _connections(arrays, projection)
    check = partial(_checked, arrays, projection, values, (sources, targets), _bounds(arrays, projection))
    flat = run_on_all_ranks(comm, "set_weights", check, lambda flat: {"weights": checksum(flat)})
    if np.array_equal(flat, present):
        return
    order = synapse_order(arrays, projection.index).where
    arrays.materialise_weights()
    given = flat[arrays.exchange.held(projection.index)]
    if arrays.stores_levels:
        given = arrays.built.formats[projection.name].levels(given)
    arrays.built.weight[order] = given
    arrays.weight_changes += 1
    groups = arrays.built.delay_groups[projection.index]
    arrays.measure_offsets(groups)
    arrays.tie_feedback(groups)


def _bounds(arrays: Arrays, projection: Projection) -> list[np.ndarray]:
    """Lowest and highest weight of each connection of a projection, or (1,) for all."""
    if projection.sign is None:
        group = arrays.built.groups[arrays.built.delay_groups[projection.index][0]]
        return [np.array([group["w_min"]]), np.array([group["w_max"]])]
    order = synapse_order(arrays, projection.index)
    bounds = [order.of_groups(arrays.built.groups[name]) for name in ("w_min", "w_max")]
    return of_all_ranks(arrays, projection, bounds)


def _checked(
    arrays: Arrays,
    projection: Projection,
    values: object,
    nodes: tuple[np.ndarray, np.ndarray],
    bounds: list[np.ndarray],
) -> np.ndarray:
    """Check given weights, one for each connection, against the bounds; ``nodes`` are sources and targets."""
    name, unit = projection.name, projection.weight_unit
    flat = _flat(name, values, *nodes, (projection.post.size, projection.pre.size))
    largest = float(np.finfo(arrays.built.dtype).max)
    if np.abs(flat).max(initial=0.0) > largest:
        raise InputError(
            f'weights of {name} must be at most {largest:g} {unit} with precision="single", got {np.abs(flat).max():g}'
        )
    w_min, w_max = projection.rule.bounds
    if outside(flat, (w_min, w_max)):
        raise InputError(
            f"weights of {name} must lie in {w_min:.9g}..{w_max:.9g} {unit}, got {flat.min():.9g}..{flat.max():.9g} {unit}"
        )
    _check_signs(projection, flat, nodes, bounds)
    one = arrays.built.formats.get(name)
    return np.asarray(flat.clip(*bounds) if one is None else one.rounded(flat, *bounds))


def _check_signs(
    projection: Projection, flat: np.ndarray, nodes: tuple[np.ndarray, np.ndarray], bounds: list[np.ndarray]
) -> None:
    """Check that given weights have the signs of their connections."""
    low, high = bounds
    wrong = np.flatnonzero(((flat < 0.0) & (low == 0.0)) | ((flat > 0.0) & (high == 0.0)))
    if projection.sign is not None and wrong.size:
        at = wrong[0]
        kind = "inhibitory" if flat[at] > 0.0 else "excitatory"
        raise InputError(
            f"weights of {projection.name} must keep their signs: the connection from node {nodes[0][at]} to node "
            f"{nodes[1][at]} is {kind}, got {flat[at]:g} {projection.weight_unit}"
        )


def scale_learning_rates(arrays: Arrays, comm: Communicator, factor: float) -> None:
    """Set the factor of the learning rates of optimisers and pair rules, see `Simulator.scale_learning_rates`."""
    run_on_all_ranks(comm, "scale_learning_rates", partial(_check_factor, factor), lambda _: {"factor": float(factor)})
    eta = arrays.built.topology.groups["eta"]
    for p, groups in zip(arrays.network.projections, arrays.built.delay_groups, strict=True):
        if p.rule.plastic and not is_silent(p):  # the rate of silent synapses is a unit of their gradients
            eta[groups] = float(factor) * p.rule.learning_rate
    arrays.constants.scale_learning_rates(float(factor))
    arrays.rate_factor = float(factor)


def _check_factor(factor: Any) -> None:
    if not is_finite_number(factor) or factor < 0:
        raise ParameterError(f"scale_learning_rates: factor must be a finite number >= 0, got {factor!r:.80}")


def feedback_matrix(arrays: Arrays, pre: Population | str, post: Population | str) -> np.ndarray:
    """Feedback weights from readouts to neurons, see `Simulator.feedback_weights`."""
    table, n = arrays.built.topology.populations, arrays.built.n_neurons
    find = partial(_feedback_ends, arrays.network, pre, post)
    a, b = run_on_all_ranks(
        arrays.exchange.comm, "feedback_weights", find, lambda ends: {"names": [p.name for p in ends]}
    )
    k, (lo, hi) = table["target_begin"][a.index] - n, table[["target_begin", "target_end"]][b.index]
    return arrays.exchange.joined([arrays.built.feedback[k : k + a.size, lo:hi]])[0].T.copy()


def _feedback_ends(network: Network, pre: Population | str, post: Population | str) -> tuple[Population, Population]:
    a, b = network.population(pre), network.population(post)
    if a.model.role != "readout" or b.model.role != "neuron":
        raise NetworkError(f"feedback goes from readouts to neurons, not from {a.name!r} to {b.name!r}")
    return a, b


def _flat(name: str, values: Any, sources: np.ndarray, targets: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Given weights as a list, one for each connection."""
    if scipy.sparse.issparse(values):
        values = scipy.sparse.csr_matrix(values, copy=True)
        values.sum_duplicates()
    if isinstance(values, tuple) and len(values) == 3:
        values = _own_weights(name, values, sources, targets)
    given = values.data if scipy.sparse.issparse(values) else values
    flat = real_numbers(f"weights of {name}", given, InputError).astype(np.float64)
    size = sources.size
    if scipy.sparse.issparse(values) or flat.ndim == 2:
        flat = _from_matrix(name, values, sources, targets, shape)
    else:
        flat = np.full(size, float(flat)) if flat.ndim == 0 else flat
    if flat.shape != (size,):
        raise InputError(f"{name} has {size} connections, got {flat.size} weights")
    if not np.all(np.isfinite(flat)):
        raise InputError(f"weights of {name} must be finite")
    return flat


def _own_weights(name: str, triple: tuple[Any, ...], sources: np.ndarray, targets: np.ndarray) -> Any:
    """Weights of ``(sources, targets, weights)``, as from `connections`."""
    for what, given, own in zip(("sources", "targets"), triple[:2], (sources, targets), strict=True):
        if not np.array_equal(real_numbers(f"{what} of {name}", given, InputError), own):
            raise InputError(
                f"three lists for {name} are taken as sources, targets and weights; the {what} must equal those of "
                "connections(), in the same order"
            )
    return np.ravel(real_numbers(f"weights of {name}", triple[2], InputError))


def _from_matrix(
    name: str, values: object, sources: np.ndarray, targets: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """Values of a matrix at the connections; all other entries must be zero."""
    matrix = scipy.sparse.csr_matrix(values if scipy.sparse.issparse(values) else np.asarray(values, np.float64))
    if matrix.shape != shape:
        raise InputError(f"weights of {name} must have shape {shape} = (targets, sources), got {matrix.shape}")
    if len(set(zip(targets.tolist(), sources.tolist(), strict=True))) != sources.size:
        raise InputError(f"{name} has repeated connections; write its weights as a list, in the order of connections()")
    flat = np.asarray(matrix[targets, sources], np.float64).ravel() if sources.size else np.zeros(0)
    if np.count_nonzero(flat) != np.count_nonzero(matrix.toarray() if matrix.nnz < 1 else matrix.data):
        raise InputError(f"the matrix for {name} has weights where there is no connection")
    return flat
