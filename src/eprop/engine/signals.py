"""What e-prop per sample must know of errors: filters of learning signals, and how long a spike takes to cause an error."""

from __future__ import annotations

import numpy as np

from eprop.engine.readouts import ReadoutClasses
from eprop.engine.tables import rules_of
from eprop.engine.traces import regularisation
from eprop.engine.tracts import Tract
from eprop.errors import NetworkError
from eprop.kernels import layout as lay
from eprop.network import Network, Projection
from eprop.rules import EProp


def _own_synapses(row, populations, indptr) -> tuple[np.ndarray, slice]:
    """Synapses of a tract whose sources are this rank's own neurons: the targets that these are, and where they lie."""
    pre = populations[row[lay.PRO_PRE]]
    lo, hi = pre[lay.POP_LO] - pre[lay.POP_TARGET], pre[lay.POP_HI] - pre[lay.POP_TARGET]
    bounds = indptr[row[lay.PRO_ROW] + lo : row[lay.PRO_ROW] + hi + 1]
    return np.repeat(np.arange(pre[lay.POP_LO], pre[lay.POP_HI]), np.diff(bounds)), slice(bounds[0], bounds[-1])


def eprop_constants(
    network: Network, tracts: list[list[Tract]], classes: dict[int, ReadoutClasses]
) -> tuple[np.ndarray, np.ndarray]:
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
        kappa = p.rule.kappa if p.rule.kappa is not None else _readout_decay(network, p, classes)
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
    for row in projections[np.argsort(-projections[:, lay.PRO_DELAY], kind="stable")]:  # the shortest is written last
        if not row[lay.PRO_TO_READOUT] or populations[row[lay.PRO_PRE], lay.POP_ROLE] != lay.NEURON:
            continue
        for part in indptr:
            neurons, span = _own_synapses(row, populations, part)
            out[targets[span].astype(np.int64) - sizes["neurons"], neurons] = row[lay.PRO_DELAY]
    return out


def _readout_decay(network: Network, p: Projection, classes: dict[int, ReadoutClasses]) -> float:
    """``kappa`` where the rule leaves it open: the decay of the readouts that send feedback."""
    heard = [f.pre.index for f in network.feedback_projections if f.post is p.post]
    decays = {float(decay) for index in heard or list(classes)[:1] for decay in classes[index].decay}
    if len(decays) > 1:
        raise NetworkError(f"readouts of {p.post.name!r} have different tau_m; set EProp.kappa")
    return decays.pop() if decays else 0.0
