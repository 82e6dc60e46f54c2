"""Ranks that run one network together must be given the same: what differs is refused on all of them, before it is garbage."""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import Any

import numpy as np

from eprop.engine.fingerprint import description_of
from eprop.engine.samples import Samples
from eprop.errors import InputError, NetworkError, ParameterError
from eprop.network import Network
from eprop.parallel import Communicator


def check_same_network(comm: Communicator, network: Network, **options: Any) -> None:
    """Refuse networks, or options of the simulator, that are not the same on all ranks.

    Raises
    ------
    NetworkError
        On all ranks; it names what differs first.
    ParameterError
        If ``comm`` is no communicator of this package.
    """
    if not hasattr(comm, "neighbours"):
        raise ParameterError(
            f"Simulator.comm must be what eprop.parallel.find_communicator() gives, got {type(comm).__name__}"
        )
    if comm.size == 1:
        return
    own = {f"Simulator.{name}": repr(value) for name, value in options.items()} | description_of(network, whole=True)
    digest = hashlib.sha256(json.dumps(own).encode()).hexdigest()
    if len(set(comm.gather(digest))) == 1:
        return
    found = comm.gather(own)
    rank = next(k for k, other in enumerate(found) if other != found[0])
    names = [*found[0], *found[rank]]
    name = next(n for n in names if found[0].get(n) != found[rank].get(n))
    raise NetworkError(
        f"rank {rank} has another network than rank 0: {name} is {_brief(found[rank].get(name))} there, "
        f"{_brief(found[0].get(name))} on rank 0. All ranks must describe the same network, with the same seed"
    )


def check_call(comm: Communicator, call: str, samples: Samples, *others: Any) -> None:
    """Refuse inputs, targets or options of a call that are not the same on all ranks.

    Raises
    ------
    InputError
        On all ranks; it names what differs first.
    """
    if comm.size == 1:
        return
    own = {
        "number of samples": len(samples),
        "number of steps": samples.n_steps,
        "inputs": checksum(samples.event_start, samples.event_channels),
        "targets": checksum(samples.target),
        "window": checksum(samples.window),
        "options": str(others),
    }
    found = comm.gather(own)
    for rank, other in enumerate(found):
        for name, value in found[0].items():
            if other[name] != value:
                raise InputError(
                    f"{call}: rank {rank} was given something else than rank 0: {name}. All ranks must be given the same; of a "
                    'mini-batch each takes its share by itself (parallel="data")'
                )


def checksum(*arrays: np.ndarray) -> int:
    """A checksum of arrays; NaN, no target, is as good as any number."""
    found = 0
    for array in arrays:
        found = zlib.crc32(np.ascontiguousarray(array).view(np.uint8).reshape(-1).data, found)
    return found


def _brief(value: Any) -> str:
    return "not there" if value is None else f"{value:.80}"
