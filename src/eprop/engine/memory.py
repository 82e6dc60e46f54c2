"""Whether a network will fit into memory: an estimate from its description, before anything is built."""

from __future__ import annotations

from dataclasses import dataclass

from eprop._jit import record_size
from eprop.engine.available import available_memory
from eprop.engine.share import RankShare
from eprop.engine.state import power_of_two
from eprop.engine.tables import moments_of, rules_of
from eprop.engine.traces import span_blocks_of
from eprop.engine.tracts import steps_of
from eprop.errors import MemoryLimitError
from eprop.kernels.layout import AX_Z, padded
from eprop.kernels.maps import Kind, MapLayout
from eprop.kernels.records import EXTRA_ROWS
from eprop.network import Network
from eprop.rules import EProp, EPropPlus

GIGA = 1e9
# Of what is available, so much is left to the rest of the process and the system.
SPARE = 0.03
# Of what takes less than so many bytes, nobody asks whether it fits.
NOTICEABLE = 100_000_000
FEWER = "fewer neurons"


@dataclass(frozen=True)
class Estimate:
    """Bytes of a network: ``synapses`` of ``per_synapse`` bytes, and all that belongs to neurons, readouts and axons."""

    synapses: int
    per_synapse: int
    others: int

    @property
    def total(self) -> int:
        """All bytes."""
        return self.synapses * self.per_synapse + self.others


def estimate(
    network: Network,
    itemsize: int,
    kinds: tuple[Kind, ...],
    map_entries: int,
    block_steps: int,
    share: RankShare,
    n_axons: int,
    partitions: int,
    threads: int,
) -> Estimate:
    """Memory of a network whose synaptic values have ``itemsize`` bytes; the other numbers are those of `Built`."""
    plus, eprop = rules_of(network, EPropPlus), rules_of(network, EProp)
    hidden, crosses = max((kind.hidden for kind in kinds), default=0), not all(kind.anchored for kind in kinds)
    two_kappas = any(rule.kappa != rule.kappa_regularisation for rule in plus)
    waits = bool(eprop) or any(moments_of(plus)) or any(rule.each_step or rule.optimizer.decay > 0.0 for rule in plus)
    values = 1 + bool(plus) + two_kappas + hidden + waits + sum(moments_of(plus + eprop))
    synapses = sum(
        p.connectivity.expected(p.pre.size, p.post.size) * len(range(*share.own(p.post))) / p.post.size
        for p in network.projections
    )
    neurons, readouts = share.neurons, sum(p.size for p in network.populations if p.model.role == "readout")
    cutoff = max((steps_of(rule.cutoff, network.dt) for rule in plus), default=0)
    ring = power_of_two(max(cutoff, block_steps) + 2) if plus else 0
    blocks = power_of_two(cutoff // block_steps + 3) if plus else 0
    steps, spans = (
        ring if crosses or any(rule.each_step for rule in plus) else 1,
        span_blocks_of(cutoff // block_steps) > 0,
    )
    # In the type of a synapse: parts of blocks, whole ones, the way ahead, tails of spans, the steps of a block where they are
    # wanted, and maps of an interval; what a spike needs at anchors; records.
    joined = ring + blocks * (2 + spans) + (block_steps + 1 if crosses else 0) + 2 if plus else 0
    jumps = max((MapLayout.of(kind, two_kappas).JUMPS for kind in kinds if kind.anchored), default=0)
    laid = jumps + record_size(jumps) + record_size(map_entries) * (blocks + EXTRA_ROWS)
    prefix = 8 if steps == 1 else 16
    maps = padded(neurons) * (map_entries * (prefix + itemsize * joined) + itemsize * laid + 32 * steps) if plus else 0
    # A branch of an axon: where its synapses begin in each partition; while they are drawn, how many each thread has drawn. An
    # axon, and its spikes that may be asked: at moderate rates as much again.
    branch = 8 * (partitions + threads)
    axon = 2 * 8 * (AX_Z + 2) if plus else 0
    known = sum(share.known(p) for p in network.populations if p.model.role != "readout")
    # Feedback, its delays while they are drawn; axons; parameters and state of neurons.
    others = maps + 32 * readouts * neurons + branch * n_axons + axon * known + 256 * neurons
    return Estimate(round(synapses), 4 + itemsize * values, others)


def check_memory(
    network: Network,
    itemsize: int,
    kinds: tuple[Kind, ...],
    map_entries: int,
    block_steps: int,
    share: RankShare,
    n_axons: int,
    partitions: int,
    threads: int,
    neighbours: int,
) -> None:
    """Refuse a network that will not fit, with what it needs and what would fit; ``neighbours`` ranks share the memory.

    Raises
    ------
    MemoryLimitError
        If the estimate exceeds the memory that is available.
    """
    free = available_memory()
    free = None if free is None else free // neighbours
    needed = estimate(network, itemsize, kinds, map_entries, block_steps, share, n_axons, partitions, threads)
    if free is None or needed.total <= (1.0 - SPARE) * free:
        return
    fits = ((1.0 - SPARE) * free - needed.others) / needed.per_synapse
    advice = [f"{fits:,.0f} synapses, {100 * fits / needed.synapses:.0f} % of them"] if fits > 0 else [FEWER]
    if fits <= 0 and rules_of(network, EPropPlus):
        advice.append("a shorter cutoff")
    if itemsize == 8:
        single = estimate(network, 4, kinds, map_entries, block_steps, share, n_axons, partitions, threads)
        verdict = "fits" if single.total <= (1.0 - SPARE) * free else "does not fit either"
        advice.append(f'precision="single" with {single.total / GIGA:.1f} GB {verdict}')
    what = "a share of the network" if share.several else "the network"
    raise MemoryLimitError(
        f"{what} needs about {needed.total / GIGA:.1f} GB ({needed.synapses:,} synapses of {needed.per_synapse} bytes and "
        f"{needed.others / GIGA:.1f} GB for maps, neurons and axons), but {free / GIGA:.1f} GB are available"
        f"{_to_each(neighbours)}. "
        f"What would fit: {'; '.join(advice)}"
    )


def _to_each(neighbours: int) -> str:
    return f" to each of {neighbours} ranks" if neighbours > 1 else ""


def check_room(what: str, needed: int, advice: str, neighbours: int = 1) -> None:
    """Refuse a call whose arrays, of ``needed`` bytes, will not fit; ``neighbours`` ranks share the memory.

    Raises
    ------
    MemoryLimitError
        If they exceed the memory that is available.
    """
    free = available_memory() if needed > NOTICEABLE else None
    if free is not None and needed > (1.0 - SPARE) * free / neighbours:
        raise MemoryLimitError(
            f"{what} would take {needed / GIGA:.1f} GB, but {free / neighbours / GIGA:.1f} GB are available"
            f"{_to_each(neighbours)}; {advice}"
        )


def check_side_by_side(samples: int, n_steps: int, needed: int, precise: bool, several: bool, neighbours: int) -> None:
    """As `check_room`, of ``samples`` that run at once: ``needed`` bytes for their states and histories, and all results.

    The advice depends on whether ``several`` ranks divide the network, and histories are in double precision (``precise``).
    """
    advice = ["take shorter samples or delays"]
    if several:
        advice.append("more ranks, on other machines")
    elif samples > 1:
        advice.append("fewer threads, for each has its own samples")
    advice += ['precision="single"'] * precise
    what = f"{samples} samples of {n_steps:,} steps side by side" if samples > 1 else f"a sample of {n_steps:,} steps"
    check_room(f"{what}, with the results,", needed, ", or ".join(advice), neighbours)


def check_results(n_steps: int, readouts: int, recorded: int = 0, neighbours: int = 1) -> None:
    """As `check_room`, of what so many steps leave behind: outputs, the loss and what is recorded."""
    what = f"results of {n_steps:,} steps ({readouts} readouts{f', {recorded} recorded values' if recorded else ''})"
    advice = "run them in several parts" + (", or record less" if recorded else "")
    check_room(what, results_bytes(n_steps, readouts, recorded), advice, neighbours)


def results_bytes(n_steps: int, readouts: int, recorded: int = 0) -> int:
    """What so many steps leave behind."""
    return 8 * n_steps * (readouts + recorded + 1)
