"""Checks of a whole description: rules, delays and feedback must fit together."""

from __future__ import annotations

import math
from collections.abc import Container

from eprop.engine.build.draws import steps_of
from eprop.engine.build.feedback import check_tied, tied_of
from eprop.engine.build.neurons import neurons_of
from eprop.engine.build.records import Tied
from eprop.errors import FilterWarning, NetworkError, NoFeedbackWarning, warn
from eprop.models import Readout
from eprop.network import Network, Population, Projection
from eprop.parameters import check_steps
from eprop.rules import EProp, EPropPlus, PairRule, RewardTrace

#: The history of propagators of a neuron is at most this many steps long.
LONGEST_CUTOFF = 1_000_000
#: Sources and axons have 32-bit ids.
MOST = 2**31 - 1
#: A filter of the eligibility whose time constant differs from that of the outputs by a larger factor is probably a mistake.
LARGEST_RATIO = 5.0


def check_network(network: Network) -> None:
    """Check that the parts of a network fit together.

    Raises
    ------
    NetworkError
        If parts do not fit together.
    """
    if not network.populations:
        raise NetworkError("the network has no populations; add some with add()")
    if not any(p.model.role in ("neuron", "readout") for p in network.populations):
        raise NetworkError("the network has no neurons or readouts, only sources")
    _check_losses(network)
    rules = [p.rule for p in network.projections if p.rule.plastic]
    at_spikes = [type(rule).__name__ for rule in rules if isinstance(rule, (EPropPlus, PairRule))]
    if at_spikes and any(isinstance(rule, EProp) for rule in rules):
        raise NetworkError(
            f"EProp learns per sample and {at_spikes[0]} at every spike; a network can have only one of them"
        )
    for population in network.populations:
        check_steps(population.name, population.model, network.dt)
    for projection in network.projections:
        if isinstance(projection.rule, EPropPlus):
            _check_eprop_plus(network, projection, projection.rule)
        if isinstance(projection.rule, PairRule):
            _check_pairs(network, projection, projection.rule)
    for feedback in network.feedback_projections:
        if tied_of(feedback) != Tied.no and rules:
            check_tied(network, feedback)


def _check_losses(network: Network) -> None:
    """Refuse a loss in Python where errors are computed inside the core."""
    losses = {
        p.name: p.model.loss for p in network.populations if isinstance(p.model, Readout) and p.model.loss.in_python
    }
    if losses and not any(isinstance(p.rule, EProp) for p in network.projections):
        name, loss = next(iter(losses.items()))
        raise NetworkError(
            f"{name}: the loss {type(loss).__name__} is computed in Python, which only EProp allows; with EPropPlus give errors "
            "step by step: Simulator.stepper, step(error=...) (docs/howto/own_loss.md)"
        )


def untaught_projections(network: Network) -> dict[str, str]:
    """Map each e-prop projection whose targets have no feedback to the name of its targets.

    Without readouts there is no task, and rate regularisation alone may be what is wanted.
    """
    taught = {f.post.name for f in network.feedback_projections}
    has_task = any(p.model.role == "readout" for p in network.populations)
    return {
        p.name: p.post.name
        for p in network.projections
        if isinstance(p.rule, EProp | EPropPlus)
        and p.post.model.role == "neuron"
        and p.post.name not in taught
        and (has_task or not p.rule.c_reg)
        and p.rule.optimizer.eta > 0.0
    }


def warn_of_no_feedback(untaught: dict[str, str], signalled: Container[str]) -> None:
    """Warn, once, of `untaught_projections` whose targets also get no signals from outside."""
    names = [name for name, neurons in untaught.items() if neurons not in signalled]
    untaught.clear()
    if names:
        warn(
            f"{', '.join(names)}: the weights should learn, but no learning signal reaches their neurons; rate regularisation "
            "alone learns nothing of a task. Send the neurons the errors of readouts (Network.feedback) or signals of "
            "your own (signals=), or leave the rule out.",
            NoFeedbackWarning,
        )


def warn_of_filters(network: Network) -> None:
    """Warn once of all `EPropPlus.kappa` that are far from the decay of the outputs whose errors arrive."""
    given = {p.post.index: p.rule.kappa for p in network.projections if isinstance(p.rule, EPropPlus)}
    found = [_far_filter(network, network.populations[k], kappa) for k, kappa in given.items() if kappa is not None]
    if texts := [text for text in found if text]:
        advice = "leave kappa out to take the time constant of the outputs"
        warn(f"{'; '.join(texts)}: {advice}", FilterWarning)


def _far_filter(network: Network, post: Population, kappa: float) -> str | None:
    dt, senders = network.dt, [f.pre for f in network.feedback_projections if f.post is post]
    decays = [readout.membrane_decay(dt) for p in senders for readout in neurons_of(network, p)]
    if not decays or post.model.role != "neuron":
        return None
    own, default = -dt / math.log(kappa) if kappa > 0.0 else 0.0, -dt / math.log(max(decays))
    if 1.0 / LARGEST_RATIO <= own / default <= LARGEST_RATIO:
        return None
    return (
        f"EPropPlus.kappa = {kappa:g} onto {post.name!r} filters over {own:.3g} ms in steps of {dt:g} ms, but the outputs of "
        f"{senders[0].name!r} over {default:.3g} ms (kappa = {max(decays):.4g})"
    )


def check_sizes(sources: int, axons: int) -> None:
    """Refuse more sources or axons than ids; a source has an axon for each projection and each of its delays."""
    for what, count, advice in (
        ("sources", sources, ""),
        ("axons (sources of each projection times their delays)", axons, ", or fewer different delays"),
    ):
        if count > MOST:
            raise NetworkError(
                f"the network has {count:,} {what} on a rank, at most {MOST:,} are possible; use more ranks{advice}"
            )


def _check_eprop_plus(network: Network, projection: Projection, rule: EPropPlus) -> None:
    if not 2 <= steps_of(rule.cutoff, network.dt) <= LONGEST_CUTOFF:
        raise NetworkError(
            f"{projection.name}: EPropPlus.cutoff must be at least two steps of {network.dt:g} ms, at most {LONGEST_CUTOFF}, "
            f"got {rule.cutoff:g} ms"
        )
    check_steps(projection.name, rule, network.dt)
    if rule.reward is not None:
        _check_reward(network, projection, rule, rule.reward)


def _check_reward(network: Network, projection: Projection, rule: EPropPlus, reward: RewardTrace) -> None:
    check_steps(projection.name, reward, network.dt)
    if reward.cutoff is not None and reward.cutoff < rule.cutoff:
        raise NetworkError(
            f"{projection.name}: RewardTrace.cutoff must be at least EPropPlus.cutoff ({rule.cutoff:g} ms), "
            f"got {reward.cutoff:g} ms"
        )
    if reward.cutoff_steps(network.dt, 0) > LONGEST_CUTOFF:
        raise NetworkError(
            f"{projection.name}: RewardTrace.cutoff must be at most {LONGEST_CUTOFF} steps of {network.dt:g} ms, got "
            f"{reward.cutoff_steps(network.dt, 0)} steps; choose a shorter cutoff (the default is 5 tau)"
        )


def _check_pairs(network: Network, projection: Projection, rule: PairRule) -> None:
    name = type(rule).__name__
    if projection.post.model.role == "readout":
        raise NetworkError(f"{projection.name}: {name} needs postsynaptic spikes, and readouts have none")
    if rule.cutoff(network.dt) > LONGEST_CUTOFF:
        raise NetworkError(f"{projection.name}: {name}.tau_plus is too long for steps of {network.dt:g} ms")
    for other in network.projections:
        if other.post is projection.post and getattr(other.rule, "tau_minus", rule.tau_minus) != rule.tau_minus:
            raise NetworkError(f"all {name} projections onto {projection.post.name!r} must share tau_minus")
