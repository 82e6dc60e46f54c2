"""How errors reach neurons: feedback weights and delays, and what e-prop per sample must know of them."""

from __future__ import annotations

import numpy as np

from eprop.engine.share import RankShare
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


def feedback_of(
    network: Network, populations: np.ndarray, sizes: dict[str, int], share: RankShare
) -> tuple[np.ndarray, np.ndarray]:
    """Dense feedback weights and delays (readouts, own neurons); symmetric weights are filled in from the readout weights.

    Where all delays are one step, there is no table of them.
    """
    out = np.zeros((sizes["readouts"], sizes["neurons"]))
    delays = np.ones(out.shape, np.int64)
    for f in network.feedback_projections:
        k = populations[f.pre.index, lay.POP_TARGET] - sizes["neurons"]
        lo, hi = share.own(f.post)
        part = np.s_[k : k + f.pre.size, populations[f.post.index, lay.POP_LO] : populations[f.post.index, lay.POP_HI]]
        delays[part] = signal_delays(network, f.pre.size, f.post.size, f.delay, f.index, lo, hi)
        if not isinstance(f.kind, Symmetric):
            out[part] += _feedback_weights(network, f, share)
    return out, delays if (delays != 1).any() else np.zeros((0, 0), np.int64)


def _feedback_weights(network: Network, f: FeedbackProjection, share: RankShare) -> np.ndarray:
    """Drawn or given weights of one feedback projection, (readouts, own neurons)."""
    kind, (lo, hi) = f.kind, share.own(f.post)
    assert isinstance(kind, (RandomFeedback, Adaptive))
    if isinstance(kind.weight, Array):
        return kind.weight.values.T[:, lo:hi]
    block = np.zeros((f.pre.size, hi - lo))
    seed = rng.derive(network.seed, rng.FEEDBACK, f.index)
    indptr, sources = _feedback_connections(network, f, lo, hi)
    total = sum(share.comm.gather(sources.size))
    fan = (total / f.post.size, total / f.pre.size)
    values = kind.weight.draw(lo, hi, indptr, fan, rng.derive(seed, rng.WEIGHT))
    np.add.at(block, (sources, np.repeat(np.arange(hi - lo), np.diff(indptr))), values)
    return block


def _feedback_connections(network: Network, f: FeedbackProjection, lo: int, hi: int) -> tuple[np.ndarray, np.ndarray]:
    """``(indptr, sources)``: the readouts that each of the neurons ``lo:hi`` hears of."""
    seed = rng.derive(network.seed, rng.FEEDBACK, f.index)
    return f.kind.connectivity.make(lo, hi, f.pre.size, f.post.size, False, seed)  # type: ignore[attr-defined]


def feedback_gap(network, populations, sizes, projections, indptr, targets, weight, feedback, share) -> np.ndarray:
    """First difference of adaptive feedback from the readout weights, (readouts, own neurons); NaN without a connection."""
    adaptive = [f for f in network.feedback_projections if isinstance(f.kind, Adaptive)]
    if not adaptive:
        return np.zeros((0, 0))
    out = np.full((sizes["readouts"], sizes["neurons"]), np.nan)
    for f in adaptive:
        k = populations[f.pre.index, lay.POP_TARGET] - sizes["neurons"]
        lo, hi = share.own(f.post)
        by_neuron, readouts = _feedback_connections(network, f, lo, hi)
        neurons = populations[f.post.index, lay.POP_LO] + np.repeat(np.arange(hi - lo), np.diff(by_neuron))
        out[k + readouts, neurons] = feedback[k + readouts, neurons]
    for row in projections[projections[:, lay.PRO_MIRROR] == lay.MIRROR_CHANGE]:
        for part in indptr:
            neurons, span = _own_synapses(row, populations, part)
            out[targets[span].astype(np.int64) - sizes["neurons"], neurons] -= weight[span]
    return out


def _own_synapses(row, populations, indptr) -> tuple[np.ndarray, slice]:
    """Synapses of a tract whose sources are this rank's own neurons: the targets that these are, and where they lie."""
    pre = populations[row[lay.PRO_PRE]]
    lo, hi = pre[lay.POP_LO] - pre[lay.POP_TARGET], pre[lay.POP_HI] - pre[lay.POP_TARGET]
    bounds = indptr[row[lay.PRO_ROW] + lo : row[lay.PRO_ROW] + hi + 1]
    return np.repeat(np.arange(pre[lay.POP_LO], pre[lay.POP_HI]), np.diff(bounds)), slice(bounds[0], bounds[-1])


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
    """Steps from a spike of a neuron to the error it causes, (readouts, own neurons), if they differ within a population.

    A neuron without a connection to a readout counts as having the population's shortest.
    """
    none = np.zeros((0, 0), np.int64)
    onto = [p for p in network.projections if p.post.model.role == "readout" and p.pre.model.role == "neuron"]
    delays = {p.pre.index: {part.delay for q in onto if q.pre is p.pre for part in tracts[q.index]} for p in onto}
    if not rules_of(network, EProp) or all(len(found) == 1 for found in delays.values()):
        return none
    out = np.ones((sizes["readouts"], sizes["neurons"]), np.int64)
    for index in delays:
        out[:, populations[index, lay.POP_LO] : populations[index, lay.POP_HI]] = lag[index]
    for row in projections[::-1]:  # the shortest delay of a projection is written last
        if not row[lay.PRO_TO_READOUT] or populations[row[lay.PRO_PRE], lay.POP_ROLE] != lay.NEURON:
            continue
        for part in indptr:
            neurons, span = _own_synapses(row, populations, part)
            out[targets[span].astype(np.int64) - sizes["neurons"], neurons] = row[lay.PRO_DELAY]
    return out


def _readout_decay(network: Network, p: Projection) -> float:
    """``kappa`` where the rule leaves it open: the decay of the readouts that send feedback."""
    decays = {
        f.pre.model.membrane_decay(network.dt)  # type: ignore[attr-defined]
        for f in network.feedback_projections
        if f.post is p.post
    }
    if len(decays) > 1:
        raise NetworkError(f"readouts of {p.post.name!r} have different tau_m; set EProp.kappa")
    if decays:
        return decays.pop()
    readouts = [q.model for q in network.populations if isinstance(q.model, Readout)]
    return readouts[0].membrane_decay(network.dt) if readouts else 0.0
