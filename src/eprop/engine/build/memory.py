"""Whether a network fits into memory: an estimate from its description, before anything is built."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from eprop.core import lib
from eprop.engine.build.draws import steps_of
from eprop.engine.build.populations import keeps_gradients, moments_of, rules_of
from eprop.engine.build.propagators import reward_rings_of, rings_of, span_blocks_of
from eprop.engine.build.records import AXON_TIMES, Kind
from eprop.engine.ranks.partition import RankPartition
from eprop.errors import MemoryLimitError
from eprop.free_memory import available_memory
from eprop.network import Network
from eprop.rules import EProp, EPropPlus

GIGA = 1e9
#: Fraction of the available memory that is left to the rest of the process and the system.
SPARE = 0.03
#: Arrays of fewer bytes are not checked.
NOTICEABLE = 100_000_000
FEWER = "fewer neurons"
#: Neuron-major copies besides those of ``to_current_block``: block prefixes, and the propagators over the cutoff.
EXTRA_COPIES = 2


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


@dataclass(frozen=True)
class Sizes:
    """Quantities besides the description that determine the memory of a network.

    Attributes
    ----------
    itemsize : int
        Bytes of a number per synapse.
    kinds : tuple of Kind
    block_steps : int
    ranks : RankPartition
    n_branches, partitions, threads : int
    """

    itemsize: int
    kinds: tuple[Kind, ...]
    block_steps: int
    ranks: RankPartition
    n_branches: int
    partitions: int
    threads: int


def estimate(network: Network, sizes: Sizes) -> Estimate:
    """Memory of a network in the online loop."""
    plus, eprop, ranks = rules_of(network, EPropPlus), rules_of(network, EProp), sizes.ranks
    n_own = max((kind.n_own for kind in sizes.kinds), default=0)
    waits = bool(eprop) or keeps_gradients(plus)
    rewarded = [rule for rule in plus if rule.reward is not None]
    two_kappas = any(kind.two_kappas for kind in sizes.kinds)
    values = 1 + bool(plus) + two_kappas + bool(rewarded) + n_own + waits + sum(moments_of(plus + eprop))
    synapses = sum(
        p.connectivity.expected(p.pre.size, p.post.size) * len(range(*ranks.own(p.post))) / p.post.size
        for p in network.projections
    )
    readouts = sum(p.size for p in network.populations if p.model.role == "readout")
    # Per axon branch: start of its synapses in each partition, and a counter per thread while they are drawn. Per axon: its
    # state and recent spikes; at moderate rates about as much again.
    branch = 8 * (sizes.partitions + sizes.threads)
    axon = 2 * (AXON_TIMES.itemsize + 16) if plus else 0
    local = sum(ranks.n_local_sources(p) for p in network.populations if p.model.role != "readout")
    # Feedback, and its delays while they are drawn; axons; parameters and state of neurons.
    others = 32 * readouts * ranks.n_neurons + branch * sizes.n_branches + axon * local + 256 * ranks.n_neurons
    if plus:
        others += lib.padded(ranks.n_neurons) * _propagator_bytes(network, plus, sizes)
    if rewarded:
        others += _reward_bytes(network, rewarded, sizes.block_steps)
    return Estimate(round(synapses), 4 + sizes.itemsize * values, others)


def _propagator_bytes(network: Network, plus: list[EPropPlus], sizes: Sizes) -> int:
    """Bytes of all propagators of one neuron, of their copies, and of spike corrections."""
    itemsize, kinds, block_steps = sizes.itemsize, sizes.kinds, sizes.block_steps
    cutoff = max(steps_of(rule.cutoff, network.dt) for rule in plus)
    crosses, has_spans = not all(kind.anchored for kind in kinds), span_blocks_of(cutoff // block_steps) > 0
    ring, blocks = rings_of(cutoff, block_steps)
    steps = ring if crosses or any(rule.each_step for rule in plus) else 1
    entries = max((kind.layout["n_entries"] for kind in kinds), default=0)
    corrections = max((kind.layout["n_corrections"] for kind in kinds if kind.anchored), default=0)
    # In the type of a synapse: parts of blocks, whole blocks, propagators to the current block and to the ends of spans, the
    # steps of a block where needed, and propagators of an interval.
    propagators = ring + blocks * (2 + has_spans) + (block_steps + 1 if crosses else 0) + 2
    copies = corrections + lib.record_size(corrections) + lib.record_size(entries) * (blocks + EXTRA_COPIES)
    prefix = 8 if steps == 1 else 16
    return entries * (prefix + itemsize * propagators) + itemsize * copies + 32 * steps


def _reward_bytes(network: Network, rules: list[EPropPlus], block_steps: int) -> int:
    """Bytes of the reward history of each population with reward traces, and of the positions of each step's spikes."""
    cutoff = max(
        rule.reward.cutoff_steps(network.dt, steps_of(rule.cutoff, network.dt)) for rule in rules if rule.reward
    )
    steps, blocks = reward_rings_of(cutoff, block_steps)
    return 8 * (steps + len(network.populations) * (2 * steps + blocks))


def check_memory(network: Network, sizes: Sizes, neighbours: int) -> None:
    """Refuse a network that does not fit, with its size and a size that fits; ``neighbours`` ranks share the memory.

    Raises
    ------
    MemoryLimitError
        If the estimate exceeds the available memory.
    """
    free = available_memory()
    free = None if free is None else free // neighbours
    needed = estimate(network, sizes)
    if free is None or needed.total <= (1.0 - SPARE) * free:
        return
    fits = ((1.0 - SPARE) * free - needed.others) / needed.per_synapse
    advice = [f"{fits:,.0f} synapses, {100 * fits / needed.synapses:.0f} % of them"] if fits > 0 else [FEWER]
    if fits <= 0 and rules_of(network, EPropPlus):
        advice.append("a shorter cutoff")
    if sizes.itemsize == 8:
        single = estimate(network, dataclasses.replace(sizes, itemsize=4))
        verdict = "fits" if single.total <= (1.0 - SPARE) * free else "does not fit either"
        advice.append(f'precision="single" with {single.total / GIGA:.1f} GB {verdict}')
    what = "a rank's part of the network" if sizes.ranks.several else "the network"
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
    what = f"results of {n_steps:,} steps ({readouts} readouts{f', {recorded} recorded values' if recorded else ''})"
    advice = "run them in several parts" + (", or record less" if recorded else "")
    check_room(what, 8 * n_steps * (readouts + recorded + 1), advice)


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
