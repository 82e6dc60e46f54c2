"""Ranks that run one network together must be given the same: what differs is refused on all of them, before it is garbage.

A mistake of one rank alone is raised on all as well: the others would wait for it in their next collective call, forever.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np

from eprop.engine.fingerprint import description_of
from eprop.engine.samples import Samples
from eprop.errors import DivergenceError, EPropError, InputError, MemoryLimitError, NetworkError, ParameterError
from eprop.network import Network
from eprop.parallel import Communicator

Made = TypeVar("Made")

# Errors that are raised on the other ranks as what they are; any other one as their root.
KINDS = {kind.__name__: kind for kind in (DivergenceError, InputError, MemoryLimitError, NetworkError, ParameterError)}
ALIKE = "All ranks must be given the same"
BATCH = f'{ALIKE}; of a mini-batch each takes its share by itself (parallel="data")'


class Word(NamedTuple):
    """What a rank tells the others before a call: the call, what went wrong on this rank, and what it was given."""

    call: str
    kind: str
    problem: str
    given: dict[str, Any]


def agreed(
    comm: Communicator,
    call: str,
    work: Callable[[], Made],
    told: Callable[[Made], Mapping[str, Any]] | None = None,
    advice: str = ALIKE,
) -> Made:
    """Do ``work``, which may fail, on all ranks; go on if it failed on none. One process does the work, and no more.

    Parameters
    ----------
    comm : Communicator
    call : str
        What is done, for messages.
    work : callable
        Checks what is given, without a word to other ranks.
    told : callable, optional
        What must be the same on all ranks, by name, from what ``work`` returned.
    advice : str

    Raises
    ------
    EPropError
        On all ranks, if ``work`` failed on one of them.
    InputError
        On all ranks; it names what differs first.
    """
    if comm.size == 1:
        return work()
    made, words = _heard(comm, call, work, told or (lambda made: {}))
    for rank, word in enumerate(words):
        for name, value in words[0].given.items():
            if word.given.get(name) != value:
                raise InputError(f"{call}: rank {rank} was given something else than rank 0: {name}. {advice}")
    return made


def _heard(
    comm: Communicator, call: str, work: Callable[[], Made], told: Callable[[Made], Mapping[str, Any]]
) -> tuple[Made, list[Word]]:
    """What ``work`` made here, and what all ranks say; raises on all of them if it failed on one, in one collective call."""
    made: Any = None
    mistake: Exception | None = None
    try:
        made = work()
        own = Word(call, "", "", dict(told(made)))
    except Exception as error:
        mistake = error
        own = Word(call, type(error).__name__, str(error) or type(error).__name__, {})
    words: list[Any] = comm.gather(own)
    if mistake is not None:
        raise mistake
    for rank, word in enumerate(words):
        if not isinstance(word, Word) or word.call != call:
            other = word.call if isinstance(word, Word) else "something else"
            raise InputError(
                f"rank {rank} calls {other} where rank {comm.rank} calls {call}; all ranks must make the same calls, in the same "
                "order"
            )
        if word.kind:
            raise KINDS.get(word.kind, EPropError)(f"{call} was refused on rank {rank}: {word.problem}")
    return made, words


def same_network(comm: Communicator, work: Callable[[], Network], **options: Any) -> Network:
    """The network that ``work`` makes; refused if it, or an option of the simulator, is not the same on all ranks.

    Raises
    ------
    NetworkError
        On all ranks; it names what differs first.
    EPropError
        On all ranks, if ``work`` failed on one of them.
    ParameterError
        If ``comm`` is no communicator of this package.
    """
    if not hasattr(comm, "neighbours"):
        raise ParameterError(
            f"Simulator.comm must be what eprop.parallel.find_communicator() gives, got {type(comm).__name__}"
        )
    if comm.size == 1:
        return work()
    named = {f"Simulator.{name}": repr(value) for name, value in options.items()}

    def told(network: Network) -> dict[str, str]:
        return named | description_of(network, whole=True)

    network, words = _heard(comm, "Simulator", work, lambda network: {"digest": _digest(told(network))})
    if all(word.given == words[0].given for word in words):
        return network
    found = comm.gather(told(network))
    rank = next(k for k, other in enumerate(found) if other != found[0])
    names = [*found[0], *found[rank]]
    name = next(n for n in names if found[0].get(n) != found[rank].get(n))
    raise NetworkError(
        f"rank {rank} has another network than rank 0: {name} is {_brief(found[rank].get(name))} there, "
        f"{_brief(found[0].get(name))} on rank 0. All ranks must describe the same network, with the same seed"
    )


def check_call(comm: Communicator, call: str, check: Callable[[], Any], samples: Samples, *others: Any) -> None:
    """Refuse samples or options of a call that fail a ``check`` on one rank, or are not the same on all of them.

    Raises
    ------
    EPropError
        On all ranks; it names what differs first.
    """
    agreed(comm, call, check, lambda _: contents_of(samples, *others), BATCH)


def contents_of(samples: Samples, *others: Any) -> dict[str, Any]:
    """What ranks tell each other of a call."""
    return {
        "number of samples": len(samples),
        "number of steps": samples.n_steps,
        "inputs": checksum(samples.event_start, samples.event_channels),
        "targets": checksum(samples.target),
        "window": checksum(samples.window),
        "options": str(others),
    }


def checksum(*arrays: np.ndarray) -> int:
    """A checksum of arrays; NaN, no target, is as good as any number."""
    found = 0
    for array in arrays:
        found = zlib.crc32(np.ascontiguousarray(array).view(np.uint8).reshape(-1).data, found)
    return found


def _digest(texts: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def _brief(value: Any) -> str:
    return "not there" if value is None else f"{value:.80}"
