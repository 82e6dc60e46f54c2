"""What only the whole description of a network can show: rules, delays and feedback that do not fit together."""

from __future__ import annotations

from eprop.engine.tracts import steps_of
from eprop.errors import NetworkError
from eprop.kernels import layout as lay
from eprop.network import Adaptive, Explicit, Network, Projection, Symmetric
from eprop.network.network import FeedbackProjection
from eprop.rules import STDP, EProp, EPropPlus

# The maps of as many steps are kept for every neuron.
LONGEST_CUTOFF = 1_000_000
# What feedback takes over from the readout weights.
MIRRORS = {Symmetric: lay.MIRROR_WEIGHT, Adaptive: lay.MIRROR_CHANGE}


def check_network(network: Network) -> None:
    """What only the whole network can show."""
    if not network.populations:
        raise NetworkError("the network has no populations; add() some")
    if not any(p.model.role in ("neuron", "readout") for p in network.populations):
        raise NetworkError("the network has no neurons or readouts, only sources")
    rules = {type(p.rule) for p in network.projections if p.rule.plastic}
    if EProp in rules and EPropPlus in rules:
        raise NetworkError("EProp learns per sample and EPropPlus at every spike; a network can have one of them")
    if EProp in rules and STDP in rules:
        raise NetworkError("EProp learns per sample and STDP at every spike; a network can have one of them")
    for projection in network.projections:
        if isinstance(projection.rule, EPropPlus):
            _check_plus(network, projection)
        if isinstance(projection.rule, STDP):
            _check_stdp(network, projection)
    for feedback in network.feedback_projections:
        if type(feedback.kind) in MIRRORS and rules:
            _check_mirrored(network, feedback)


def _check_plus(network: Network, projection: Projection) -> None:
    if not 2 <= steps_of(projection.rule.cutoff, network.dt) <= LONGEST_CUTOFF:
        raise NetworkError(
            f"{projection.name}: EPropPlus.cutoff must be at least two steps of {network.dt:g} ms, at most {LONGEST_CUTOFF}, "
            f"got {projection.rule.cutoff:g} ms"
        )


def _check_stdp(network: Network, projection: Projection) -> None:
    if projection.post.model.role == "readout":
        raise NetworkError(f"{projection.name}: STDP needs postsynaptic spikes, and readouts have none")
    if projection.rule.cutoff(network.dt) > LONGEST_CUTOFF:
        raise NetworkError(f"{projection.name}: STDP.tau_plus is too long for steps of {network.dt:g} ms")
    for other in network.projections:
        if other.post is projection.post and getattr(other.rule, "tau_minus", projection.rule.tau_minus) != (
            projection.rule.tau_minus
        ):
            raise NetworkError(f"all STDP projections onto {projection.post.name!r} must share tau_minus")


def _check_mirrored(network: Network, feedback: FeedbackProjection) -> None:
    mirrored = [p for p in network.projections if p.pre is feedback.post and p.post is feedback.pre]
    if len(mirrored) > 1:
        raise NetworkError(
            f"{type(feedback.kind).__name__} feedback to {feedback.post.name!r} needs one projection onto {feedback.pre.name!r}, "
            f"got {len(mirrored)}"
        )
    rule = mirrored[0].connectivity
    repeated = isinstance(rule, Explicit) and len(set(zip(rule.sources, rule.targets, strict=True))) < rule.sources.size
    if repeated or getattr(rule, "multapses", False):
        raise NetworkError(f"{type(feedback.kind).__name__} feedback needs readout connections without multapses")
