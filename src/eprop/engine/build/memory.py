"""Whether a network fits into memory: an estimate from its description, before anything is built."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from eprop.engine.build.built import Sizes, has_near_targets
from eprop.engine.build.levels import level_type
from eprop.engine.build.records import ONLINE
from eprop.errors import MemoryLimitError
from eprop.free_memory import available_memory

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


def estimate(sizes: Sizes, partitions: int, threads: int) -> Estimate:
    """Memory of a network in the online loop."""
    n, network, ranks = sizes.n_neurons, sizes.network, sizes.rank_partition
    synapses = sum(
        p.connectivity.expected(p.pre.size, p.post.size) * len(range(*ranks.own(p.post))) / p.post.size
        for p in network.projections
    )
    without, one = (ONLINE[sizes.dtype].bytes_before(sizes.in_core(k, sizes.longest_delay)) for k in (0, 1))
    # Per axon branch: start of its synapses in each partition, and a counter per thread while they are drawn. Recent spikes take
    # about as much as axons at moderate rates.
    others = sum(without.values()) + without["axons"] + 8 * (partitions + threads) * sizes.n_branches
    # Delays of feedback while they are drawn; parameters of neurons, and constants of their eligibility.
    others += 24 * sizes.n_readouts * n + 160 * n
    target = 2 if has_near_targets(sizes, partitions) else 4
    drawn = 0 if level_type(network) is None else sizes.dtype.itemsize  # weights, until their levels are known
    return Estimate(round(synapses), target + drawn + sum(one.values()) - sum(without.values()), others)


def check_memory(sizes: Sizes, partitions: int, threads: int, neighbours: int) -> None:
    """Refuse a network that does not fit, with its size and a size that fits; ``neighbours`` ranks share the memory.

    Raises
    ------
    MemoryLimitError
        If the estimate exceeds the available memory.
    """
    free = available_memory()
    free = None if free is None else free // neighbours
    needed = estimate(sizes, partitions, threads)
    if free is None or needed.total <= (1.0 - SPARE) * free:
        return
    fits = ((1.0 - SPARE) * free - needed.others) / needed.per_synapse
    advice = [f"{fits:,.0f} synapses, {100 * fits / needed.synapses:.0f} % of them"] if fits > 0 else [FEWER]
    if fits <= 0 and sizes.learning.eprop_plus:
        advice.append("a shorter cutoff")
    if sizes.dtype.itemsize == 8:
        single = estimate(dataclasses.replace(sizes, dtype=np.dtype(np.float32)), partitions, threads)
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
