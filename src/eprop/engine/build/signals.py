"""Constants of errors for e-prop per sample: filters of learning signals, and steps from a spike to the error it causes."""

from __future__ import annotations

import numpy as np

from eprop.engine.build.delay_groups import DelayGroup
from eprop.engine.build.populations import rules_of
from eprop.engine.build.readouts import ReadoutClasses
from eprop.engine.build.records import Role
from eprop.errors import NetworkError
from eprop.network import Network, Projection
from eprop.rules import EProp


def add_eprop_constants(
    network: Network, groups: list[list[DelayGroup]], classes: dict[int, ReadoutClasses], populations: np.ndarray
) -> None:
    """Write the e-prop constants of each population, and its shortest delay onto a readout.

    Parameters
    ----------
    network : Network
    groups : list of list of DelayGroup
        Delay groups of each bundle.
    classes : dict
        Readout classes by the index of the population.
    populations : (populations,) POPULATION
        Is modified.

    Raises
    ------
    NetworkError
        If projections onto one population have rules with different constants.
    """
    rules: dict[int, EProp] = {}
    for p in network.projections:
        row = populations[p.post.index]
        if p.post.model.role == "readout" and p.pre.model.role == "neuron":
            leaders = [own[0].leader for own in groups]
            same = [
                own for own, q in zip(groups, leaders, strict=True) if q.pre is p.pre and q.post.model.role == "readout"
            ]
            populations["error_latency"][p.pre.index] = min(part.delay for own in same for part in own)
        if not isinstance(p.rule, EProp) or p.post.model.role != "neuron":
            continue
        known = rules.setdefault(p.post.index, p.rule)
        for field in ("kappa", "rate_reg", "c_reg", "f_target"):
            if getattr(known, field) != getattr(p.rule, field):
                raise NetworkError(f"all EProp projections onto {p.post.name!r} must share {field}")
        row["kappa"] = p.rule.kappa if p.rule.kappa is not None else _readout_decay(network, p, classes)
        row["kappa_gain"] = 1.0 - row["kappa"]
        row["c_reg"] = p.rule.c_reg or 0.0
        row["rate_reg"] = p.rule.rate_reg * 1000.0 / network.dt if p.rule.c_reg is None else 0.0
        row["f_target"] = p.rule.f_target * network.dt / 1000.0


def error_latency_of_pairs(
    network: Network, populations: np.ndarray, groups: np.ndarray, branch_start: np.ndarray, targets: np.ndarray
) -> np.ndarray:
    """Steps from a spike of a neuron to the error it causes, (readouts, own neurons), if they differ within a population.

    A neuron without a connection to a readout counts with the shortest latency of its population. (0, 0) if all are equal.
    """
    onto = (groups["onto_readouts"] != 0) & (populations["role"][groups["source_population"]] == Role.neuron)
    delays: dict[int, set[int]] = {}
    for group in groups[onto]:
        delays.setdefault(int(group["source_population"]), set()).add(int(group["delay"]))
    if not rules_of(network, EProp) or all(len(found) == 1 for found in delays.values()):
        return np.zeros((0, 0), np.int64)
    n_neurons = int(populations["target_end"][populations["role"] == Role.neuron].max(initial=0))
    n_readouts = sum(p.size for p in network.populations if p.model.role == "readout")
    out = np.ones((n_readouts, n_neurons), np.int64)
    for index in delays:
        row = populations[index]
        out[:, row["target_begin"] : row["target_end"]] = row["error_latency"]
    for group in groups[np.argsort(-groups["delay"], kind="stable")]:  # write the shortest delay last
        if group["onto_readouts"] and populations["role"][group["source_population"]] == Role.neuron:
            for part in branch_start:
                neurons, synapses = _own_synapses(group, populations, part)
                out[targets[synapses].astype(np.int64) - n_neurons, neurons] = group["delay"]
    return out


def _own_synapses(group: np.void, populations: np.ndarray, branch_start: np.ndarray) -> tuple[np.ndarray, slice]:
    """Synapses of a delay group from this rank's own neurons: the neurons, and the range of the synapses."""
    pre = populations[group["source_population"]]
    begin, stop = pre["target_begin"] - pre["first_target"], pre["target_end"] - pre["first_target"]
    bounds = branch_start[group["first_branch"] + begin : group["first_branch"] + stop + 1]
    return np.repeat(np.arange(pre["target_begin"], pre["target_end"]), np.diff(bounds)), slice(bounds[0], bounds[-1])


def _readout_decay(network: Network, p: Projection, classes: dict[int, ReadoutClasses]) -> float:
    """``kappa`` if the rule leaves it open: the decay of the readouts that send feedback."""
    senders = [f.pre.index for f in network.feedback_projections if f.post is p.post]
    decays = {float(decay) for index in senders or list(classes)[:1] for decay in classes[index].decay}
    if len(decays) > 1:
        raise NetworkError(f"readouts of {p.post.name!r} have different tau_m; set EProp.kappa")
    return decays.pop() if decays else 0.0
