"""Collective calls: an error on one rank is raised on all, and all ranks must pass identical arguments.

Otherwise the other ranks would wait forever in their next collective call, or compute with garbage.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np

from eprop.errors import DivergenceError, EPropError, InputError, MemoryLimitError, NetworkError, ParameterError
from eprop.network import Network
from eprop.network.description import describe, text_of
from eprop.parallel import Communicator

Made = TypeVar("Made")

# Error classes that the other ranks raise unchanged; for any other class they raise the root class.
KINDS = {kind.__name__: kind for kind in (DivergenceError, InputError, MemoryLimitError, NetworkError, ParameterError)}
ALIKE = "All ranks must pass the same"
BATCH = f"{ALIKE}; each rank takes its part of a mini-batch by itself"


class Report(NamedTuple):
    """A rank's report before a call: name of the call, error if any, and consistency keys."""

    call: str
    kind: str
    problem: str
    keys: dict[str, Any]


def run_on_all_ranks(
    comm: Communicator,
    call: str,
    work: Callable[[], Made],
    keys: Callable[[Made], Mapping[str, Any]] | None = None,
    advice: str = ALIKE,
) -> Made:
    """Do ``work``, which may fail, on all ranks; continue only if no rank failed. With one process, just do the work.

    Parameters
    ----------
    comm : Communicator
    call : str
        Name of the call, for messages.
    work : callable
        Checks the arguments, without a collective call of its own.
    keys : callable, optional
        Computes consistency keys from the result of ``work``: values, by name, that must be equal on all ranks.
    advice : str

    Raises
    ------
    EPropError
        On all ranks, if ``work`` failed on one rank.
    InputError
        On all ranks, if keys differ; the message names the first difference.
    """
    if comm.size == 1:
        return work()
    made, reports = gather_reports(comm, call, work, keys or (lambda made: {}))
    for rank, report in enumerate(reports):
        for name, value in reports[0].keys.items():
            if report.keys.get(name) != value:
                raise InputError(f"{call}: rank {rank} got other arguments than rank 0: {name}. {advice}")
    return made


def gather_reports(
    comm: Communicator, call: str, work: Callable[[], Made], keys: Callable[[Made], Mapping[str, Any]]
) -> tuple[Made, list[Report]]:
    """Return the result of ``work`` on this rank, and the reports of all ranks; raise on all ranks if one failed."""
    made: Any = None
    mistake: Exception | None = None
    try:
        made = work()
        own = Report(call, "", "", dict(keys(made)))
    except Exception as error:
        mistake = error
        own = Report(call, type(error).__name__, str(error) or type(error).__name__, {})
    reports: list[Any] = comm.gather(own)
    if mistake is not None:
        raise mistake
    for rank, report in enumerate(reports):
        if not isinstance(report, Report) or report.call != call:
            other = report.call if isinstance(report, Report) else "something else"
            raise InputError(
                f"rank {rank} calls {other} where rank {comm.rank} calls {call}; all ranks must make the same calls, in the same "
                "order"
            )
        if report.kind:
            raise KINDS.get(report.kind, EPropError)(f"{call} was refused on rank {rank}: {report.problem}")
    return made, reports


def same_network(comm: Communicator, work: Callable[[], Network], **options: object) -> Network:
    """Return the network that ``work`` makes; refuse it if the network or a simulator option differs between ranks.

    Raises
    ------
    NetworkError
        On all ranks, if something differs; the message names the first difference.
    EPropError
        On all ranks, if ``work`` failed on one rank.
    ParameterError
        If ``comm`` is not a communicator of this package.
    """
    if not hasattr(comm, "ranks_on_machine"):
        raise ParameterError(
            f"Simulator.comm must come from eprop.parallel.find_communicator(), got {type(comm).__name__}"
        )
    if comm.size == 1:
        return work()
    named = {f"Simulator.{name}": repr(value) for name, value in options.items()}

    def texts(network: Network) -> dict[str, str]:
        return named | {name: text_of(value) for name, value in describe(network).values.items()}

    network, reports = gather_reports(comm, "Simulator", work, texts)
    found = [report.keys for report in reports]
    rank = next((k for k, other in enumerate(found) if other != found[0]), None)
    if rank is None:
        return network
    names = [*found[0], *found[rank]]
    name = next(n for n in names if found[0].get(n) != found[rank].get(n))
    raise NetworkError(
        f"rank {rank} has another network than rank 0: {name} is {_brief(found[rank].get(name))} there, "
        f"{_brief(found[0].get(name))} on rank 0. All ranks must describe the same network, with the same seed"
    )


def checksum(*arrays: np.ndarray) -> int:
    """Checksum of arrays, as a consistency key; NaN (no target) compares like any number."""
    found = 0
    for array in arrays:
        found = zlib.crc32(np.ascontiguousarray(array).view(np.uint8).reshape(-1).data, found)
    return found


def _brief(value: object) -> str:
    return "not there" if value is None else f"{value:.80}"
