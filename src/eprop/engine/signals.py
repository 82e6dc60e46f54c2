"""How errors reach neurons: feedback weights and delays, and what e-prop per sample must know of them."""

from __future__ import annotations

import numpy as np

from eprop.engine.tables import rules_of
from eprop.engine.traces import regularisation
from eprop.engine.tracts import Tract, signal_delays
from eprop.equations import rng
from eprop.errors import NetworkError
from eprop.kernels import layout as lay
from eprop.models import Readout
from eprop.network import Adaptive, Network, Projection, RandomFeedback, Symmetric
from eprop.network.distributions import Array
from eprop.network.network import FeedbackProjection
from eprop.rules import EProp


def feedback_of(network: Network, populations: np.ndarray, sizes: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Dense feedback weights and delays (readouts, neurons); symmetric weights are filled in from the readout weights.

    Where all delays are one step, there is no table of them.
    """
    out = np.zeros((sizes["readouts"], sizes["neurons"]))
    delays = np.ones(out.shape, np.int64)
    for f in network.feedback_projections:
        k = populations[f.pre.index, lay.POP_TARGET] - sizes["neurons"]
        j = populations[f.post.index, lay.POP_TARGET]
        part = np.s_[k : k + f.pre.size, j : j + f.post.size]
        delays[part] = signal_delays(network, f.pre.size, f.post.size, f.delay, f.index)
        if not isinstance(f.kind, Symmetric):
            out[part] += _feedback_weights(network, f)
    return out, delays if (delays != 1).any() else np.zeros((0, 0), np.int64)


def _feedback_weights(network: Network, f: FeedbackProjection) -> np.ndarray:
    """Drawn or given weights of one feedback projection, (readouts, neurons)."""
    kind = f.kind
    assert isinstance(kind, (RandomFeedback, Adaptive))
    if isinstance(kind.weight, Array):
        return kind.weight.values.T
    block = np.zeros((f.pre.size, f.post.size))
    seed = rng.derive(network.seed, rng.FEEDBACK, f.index)
    indptr, sources = _feedback_connections(network, f)
    fan = (sources.size / f.post.size, sources.size / f.pre.size)
    values = kind.weight.draw(0, f.post.size, indptr, fan, rng.derive(seed, rng.WEIGHT))
    np.add.at(block, (sources, np.repeat(np.arange(f.post.size), np.diff(indptr))), values)
    return block


def _feedback_connections(network: Network, f: FeedbackProjection) -> tuple[np.ndarray, np.ndarray]:
    """``(indptr, sources)``: the readouts that each neuron hears of."""
    seed = rng.derive(network.seed, rng.FEEDBACK, f.index)
    return f.kind.connectivity.make(0, f.post.size, f.pre.size, f.post.size, False, seed)


def feedback_gap(network, populations, sizes, projections, indptr, targets, weight, feedback) -> np.ndarray:
    """First difference of adaptive feedback from the readout weights, (readouts, neurons); NaN without a connection."""
    adaptive = [f for f in network.feedback_projections if isinstance(f.kind, Adaptive)]
    if not adaptive:
        return np.zeros((0, 0))
    out = np.full((sizes["readouts"], sizes["neurons"]), np.nan)
    for f in adaptive:
        k = populations[f.pre.index, lay.POP_TARGET] - sizes["neurons"]
        j = populations[f.post.index, lay.POP_TARGET]
        by_neuron, readouts = _feedback_connections(network, f)
        neurons = np.repeat(np.arange(f.post.size), np.diff(by_neuron))
        out[k + readouts, j + neurons] = feedback[k + readouts, j + neurons]
    for row in projections[projections[:, lay.PRO_MIRROR] == lay.MIRROR_CHANGE]:
        first = populations[row[lay.PRO_PRE], lay.POP_TARGET]
        for part in indptr:
            bounds = part[row[lay.PRO_ROW] : row[lay.PRO_ROW] + row[lay.PRO_ROWS] + 1]
            neurons = first + np.repeat(np.arange(row[lay.PRO_ROWS]), np.diff(bounds))
            readouts = targets[bounds[0] : bounds[-1]].astype(np.int64) - sizes["neurons"]
            out[readouts, neurons] -= weight[bounds[0] : bounds[-1]]
    return out


def eprop_constants(network: Network, tracts: list[list[Tract]]) -> tuple[np.ndarray, np.ndarray]:
    """Per population ``(kappa, c_reg, f_target per step)`` of e-prop, and the shortest delay onto a readout."""
    constants = np.zeros((len(network.populations), 3))
    lag = np.ones(len(network.populations), np.int64)
    rules: dict[int, EProp] = {}
    for p in network.projections:
        if p.post.model.role == "readout" and p.pre.model.role == "neuron":
            same = [q for q in network.projections if q.pre is p.pre and q.post.model.role == "readout"]
            lag[p.pre.index] = min(part.delay for q in same for part in tracts[q.index])
        if not isinstance(p.rule, EProp) or p.post.model.role != "neuron":
            continue
        known = rules.setdefault(p.post.index, p.rule)
        for field in ("kappa", "c_reg", "f_target"):
            if getattr(known, field) != getattr(p.rule, field):
                raise NetworkError(f"all EProp projections onto {p.post.name!r} must share {field}")
        kappa = p.rule.kappa if p.rule.kappa is not None else _readout_decay(network, p)
        constants[p.post.index] = kappa, *regularisation(p.rule, network.dt)
    return constants, lag


def lag_of_pairs(network, tracts, populations, lag, indptr, targets, projections, sizes) -> np.ndarray:
    """Steps from a spike of a neuron to the error it causes, (readouts, neurons), if they differ within a population.

    A neuron without a connection to a readout counts as having the population's shortest.
    """
    none = np.zeros((0, 0), np.int64)
    onto = [p for p in network.projections if p.post.model.role == "readout" and p.pre.model.role == "neuron"]
    delays = {p.pre.index: {part.delay for q in onto if q.pre is p.pre for part in tracts[q.index]} for p in onto}
    if not rules_of(network, EProp) or all(len(found) == 1 for found in delays.values()):
        return none
    out = np.ones((sizes["readouts"], sizes["neurons"]), np.int64)
    for index in delays:
        first = populations[index, lay.POP_TARGET]
        out[:, first : first + populations[index, lay.POP_SIZE]] = lag[index]
    for row in projections[::-1]:  # the shortest delay of a projection is written last
        if not row[lay.PRO_TO_READOUT] or populations[row[lay.PRO_PRE], lay.POP_ROLE] != lay.NEURON:
            continue
        first = populations[row[lay.PRO_PRE], lay.POP_TARGET]
        for part in indptr:
            bounds = part[row[lay.PRO_ROW] : row[lay.PRO_ROW] + row[lay.PRO_ROWS] + 1]
            sources = np.repeat(np.arange(row[lay.PRO_ROWS]), np.diff(bounds))
            out[targets[bounds[0] : bounds[-1]].astype(np.int64) - sizes["neurons"], first + sources] = row[
                lay.PRO_DELAY
            ]
    return out


def _readout_decay(network: Network, p: Projection) -> float:
    """``kappa`` where the rule leaves it open: the decay of the readouts that send feedback."""
    decays = {f.pre.model.membrane_decay(network.dt) for f in network.feedback_projections if f.post is p.post}
    if len(decays) > 1:
        raise NetworkError(f"readouts of {p.post.name!r} have different tau_m; set EProp.kappa")
    if decays:
        return decays.pop()
    readouts = [q.model for q in network.populations if isinstance(q.model, Readout)]
    return readouts[0].membrane_decay(network.dt) if readouts else 0.0
