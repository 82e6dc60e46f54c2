"""Run by every rank: what networks with some features do on all ranks, and on rank 0 alone as well, bit by bit the same.

    mpiexec -n R python tests/mpi/worker.py THREADS CASE...

A case is the number of a setting of `conformance.features.in_pairs`. Rank 0 prints one line of JSON: for each case what differs.
"""

from __future__ import annotations

import json
import os
import pathlib
import sys
import warnings
from typing import Any

os.environ.setdefault("EPROP_NUM_THREADS", sys.argv[1])
sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import numpy as np

import eprop as ep
from compare import assert_same
from conformance.features import Setting, in_pairs
from conformance.outcomes import half, has_lanes, known_of, rollouts, simulator, whole
from eprop.parallel import Communicator, Serial, find_communicator


def done(setting: Setting, given: Any, **options: Any) -> dict[str, Any]:
    """All that a simulator does, and what it does from a state ``given`` in the middle."""
    found: dict[str, Any] = {"whole": whole(setting, **options)}
    if has_lanes(setting):
        found["lanes"] = rollouts(setting, **options)
    sim = simulator(setting, **options)
    sim.set_state(given)
    return found | {"resumed": [half(sim, setting, 1), known_of(sim)]}


def state_in_the_middle(setting: Setting, **options: Any) -> dict[str, np.ndarray]:
    sim = simulator(setting, **options)
    half(sim, setting, 0)
    return sim.state()


def check(setting: Setting, comm: Communicator, threads: int) -> str:
    """What differs between all ranks and one; of states, each continues that of the other."""
    own = state_in_the_middle(setting, comm=comm, threads=threads)
    alone = comm.broadcast(state_in_the_middle(setting, comm=Serial()) if comm.rank == 0 else None)
    found = done(setting, alone, comm=comm, threads=threads)
    wanted = comm.broadcast(done(setting, own, comm=Serial()) if comm.rank == 0 else None)
    try:
        assert_same(found, wanted)
    except AssertionError as error:
        return str(error)
    return ""


def messages(comm: Communicator) -> list[str]:
    """Bytes of all lengths, beyond what goes in one call too, and sums in the order of the ranks."""
    wrong = []
    for length in (0, 3, 511, 512, 513, 7000, 20, 100_000):

        def message(rank: int, length: int = length) -> np.ndarray:
            return np.random.default_rng(rank).integers(0, 256, length // (rank + 1), np.uint8)

        found, begin = comm.exchange(message(comm.rank))
        wanted = [message(rank) for rank in range(comm.size)]
        if not all(np.array_equal(found[at : at + w.size], w) for at, w in zip(begin, wanted, strict=True)):
            wrong.append(f"{length} bytes")
    total = 0.0
    for rank in range(comm.size):
        total += 0.1 * 3.0**rank
    if comm.sum(np.array([0.1 * 3.0**comm.rank]))[0] != total:
        wrong.append("sum")
    for n in (1, comm.size, 4, 103):  # some ranks have no column; each has another number of terms, rank 0 none
        terms = [np.random.default_rng(rank).normal(size=(rank, n)).astype(np.float32) for rank in range(comm.size)]
        found, wanted = np.ones(n, np.float32), np.ones(n, np.float32)
        for term in np.concatenate(terms):
            wanted += term
        comm.add_terms(found, terms[comm.rank], np.arange(comm.size))
        if not np.array_equal(found, wanted):
            wrong.append(f"terms of {n}")
    if not 1 <= comm.threads(8) <= 8 or comm.broadcast(comm.rank) != 0 or comm.ranks_on_machine() != comm.size:
        wrong.append("threads or share")
    return wrong


def main() -> None:
    comm, threads, settings, report = find_communicator(), int(sys.argv[1]), list(in_pairs()), {}
    if wrong := messages(comm):
        report["messages"] = wrong
    for case in sys.argv[2:]:
        differs = comm.gather(check(settings[int(case)], comm, threads))
        report[case] = [f"rank {rank}: {text}" for rank, text in enumerate(differs) if text]
    if comm.rank == 0:
        print(json.dumps(report))


if __name__ == "__main__":
    warnings.simplefilter("error")
    for silent in (
        ep.errors.SilenceWarning,
        ep.errors.InstabilityWarning,
        ep.errors.FilterWarning,
        ep.errors.NoFeedbackWarning,
    ):
        warnings.simplefilter("ignore", silent)
    main()
