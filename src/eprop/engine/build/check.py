"""What is refused before anything is built: parts that do not fit together, too many ids, and too little memory."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from eprop.engine.build.built import Sizes
from eprop.engine.build.connections import bytes_while_drawn, chunk_bytes, expected_onto
from eprop.engine.build.feedback import followed_by
from eprop.engine.build.levels import level_type
from eprop.engine.build.neurons import neurons_of
from eprop.engine.build.records import ONLINE, steps_of
from eprop.errors import FilterWarning, MemoryLimitError, NetworkError, NoFeedbackWarning, warn
from eprop.free_memory import available_memory
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

#: Constants that all rules of a kind onto a population share.
SHARED: dict[type, tuple[str, ...]] = {
    EProp: ("kappa", "rate_reg", "c_reg", "f_target"),
    EPropPlus: ("kappa", "kappa_regularisation", "rate_reg", "tau_reg", "c_reg", "f_target", "cutoff", "reward"),
    PairRule: ("tau_minus",),
}


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
    _check_shared(network)
    for population in network.populations:
        check_steps(population.name, population.model, network.dt)
    for projection in network.projections:
        if isinstance(projection.rule, EPropPlus):
            _check_eprop_plus(network, projection, projection.rule)
        if isinstance(projection.rule, PairRule):
            _check_pairs(network, projection, projection.rule)
    for feedback in network.feedback_projections:
        if len(followed := followed_by(network, feedback)) > 1:
            raise NetworkError(
                f"{type(feedback.kind).__name__} feedback to {feedback.post.name!r} needs one projection onto "
                f"{feedback.pre.name!r}, got {len(followed)}"
            )


def _check_shared(network: Network) -> None:
    """Refuse rules onto a population that differ in constants of its traces, which are kept per neuron."""
    first = dict[tuple[int, type], Any]()
    for p, (kind, fields) in itertools.product(network.projections, SHARED.items()):
        if not isinstance(p.rule, kind) or (kind is EProp and p.post.model.role == "readout"):
            continue
        known = first.setdefault((p.post.index, kind), p.rule)
        for field in fields:
            a, b = getattr(known, field), getattr(p.rule, field)
            if a != b:
                name = field.replace("_regularisation", "_reg")
                a, b = (f"{value:g}" if isinstance(value, float) else value for value in (a, b))
                raise NetworkError(
                    f"all {type(p.rule).__name__} projections onto {p.post.name!r} must share {name}, got {a} and {b}"
                    f"{'' if kind is PairRule else '; optimisers may differ'}"
                )


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


GIGA = 1e9
#: Fraction of the available memory that is left to the rest of the process and the system.
SPARE = 0.03
#: Arrays of fewer bytes are not checked.
NOTICEABLE = 100_000_000
FEWER = "fewer neurons"


@dataclass(frozen=True)
class Estimate:
    """Bytes of a network: ``per_synapse`` bytes for each of ``synapses``, and the rest for neurons, readouts and axons."""

    synapses: int
    per_synapse: int
    others: int

    @property
    def total(self) -> int:
        """All bytes."""
        return self.synapses * self.per_synapse + self.others


def estimate(sizes: Sizes, threads: int) -> Estimate:
    """Memory of a network at its peak: while it is built, or while it runs in the online loop."""
    return max(building(sizes, threads), running(sizes), key=lambda phase: phase.total)


def running(sizes: Sizes) -> Estimate:
    """All arrays of the core, and its vectors at moderate rates."""
    core = ONLINE[sizes.dtype]
    arrays, with_one = (core.bytes_before(sizes.in_core(k, sizes.longest_delay)) for k in (0, 1))
    vectors = core.vectors_before(sizes.in_core(0, sizes.longest_delay))
    others = sum(arrays.values())
    return Estimate(round(synapses_of(sizes)), sum(with_one.values()) - others, others + sum(vectors.values()))


def building(sizes: Sizes, threads: int) -> Estimate:
    """The topology, weights, and what is needed only to make them."""
    core, network, ranks = ONLINE[sizes.dtype], sizes.network, sizes.rank_partition
    others, with_one = (core.bytes_before(sizes.in_core(k, sizes.longest_delay))["topology"] for k in (0, 1))
    stored = level_type(network)  # levels are made of all weights
    per_synapse = with_one - others + sizes.dtype.itemsize + (0 if stored is None else stored.itemsize)
    # A counter per thread and axon branch; feedback, and its delays while they are drawn.
    others += 8 * threads * sizes.n_branches + 24 * sizes.n_readouts * sizes.n_neurons
    others += sum(bytes_while_drawn(p, *ranks.own(p.post), sizes.longest_delay) for p in network.projections)
    others += max((chunk_bytes(p, *ranks.own(p.post), threads) for p in network.projections), default=0)
    return Estimate(round(synapses_of(sizes)), per_synapse, others)


def synapses_of(sizes: Sizes) -> float:
    """Expected synapses of a rank."""
    return sum(expected_onto(p, *sizes.rank_partition.own(p.post)) for p in sizes.network.projections)


def check_memory(sizes: Sizes, threads: int, neighbours: int) -> None:
    """Refuse a network that does not fit, with its size and a size that fits; ``neighbours`` ranks share the memory.

    Raises
    ------
    MemoryLimitError
        If the estimate exceeds the available memory.
    """
    free = available_memory()
    free = None if free is None else free // neighbours
    needed = estimate(sizes, threads)
    if free is None or needed.total <= (1.0 - SPARE) * free:
        return
    fits = ((1.0 - SPARE) * free - needed.others) / needed.per_synapse
    advice = [f"{fits:,.0f} synapses, {100 * fits / needed.synapses:.0f} % of them"] if fits > 0 else [FEWER]
    if fits <= 0 and sizes.learning.eprop_plus:
        advice.append("a shorter cutoff")
    if sizes.dtype.itemsize == 8:
        single = estimate(dataclasses.replace(sizes, dtype=np.dtype(np.float32)), threads)
        verdict = "fits" if single.total <= (1.0 - SPARE) * free else "does not fit either"
        advice.append(f'precision="single" with {single.total / GIGA:.1f} GB {verdict}')
    what = "a rank's part of the network" if sizes.rank_partition.several else "the network"
    raise MemoryLimitError(
        f"{what} needs about {needed.total / GIGA:.1f} GB ({needed.synapses:,} synapses of {needed.per_synapse} bytes and "
        f"{needed.others / GIGA:.1f} GB for propagators, neurons and axons), but {free / GIGA:.1f} GB are available"
        f"{f' to each of {neighbours} ranks' if neighbours > 1 else ''}. "
        f"These would fit: {'; '.join(advice)}"
    )


def check_room(what: str, needed: int, advice: str) -> None:
    """Refuse a call whose arrays, of ``needed`` bytes, exceed the available memory.

    Linux grants memory that it does not have, so such arrays would end the process when they are filled.

    Raises
    ------
    MemoryLimitError
    """
    free = available_memory() if needed > NOTICEABLE else None
    if free is not None and needed > (1.0 - SPARE) * free:
        raise MemoryLimitError(
            f"{what} would take {needed / GIGA:.1f} GB, but {free / GIGA:.1f} GB are available; {advice}"
        )


def check_results(n_steps: int, readouts: int, recorded: int = 0) -> None:
    """Check as `check_room` does, for the results of a run: outputs, the loss and recordings."""
    needed = 8 * n_steps * (readouts + recorded + 1)
    if needed > NOTICEABLE:
        what = (
            f"results of {n_steps:,} steps ({readouts} readouts{f', {recorded} recorded values' if recorded else ''})"
        )
        check_room(what, needed, "run them in several parts" + (", or record less" if recorded else ""))


@contextmanager
def refusing_failed_allocations() -> Iterator[None]:
    """Raise `MemoryLimitError`, with advice, where NumPy or the core gets no memory.

    Raises
    ------
    MemoryLimitError
    """
    try:
        yield
    except MemoryLimitError:
        raise
    except MemoryError as error:
        raise MemoryLimitError(
            f"the system grants no more memory ({str(error) or 'the core could not allocate its arrays'}): take fewer or shorter "
            'samples, fewer lanes, shorter delays, fewer threads, or precision="single"'
        ) from error
