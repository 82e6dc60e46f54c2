"""Parallelism: number of threads, division among ranks, work in several threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from eprop.errors import NetworkError, ParameterError
from eprop.network import Network
from eprop.parallel.launch import available_threads
from eprop.parameters import check_count
from eprop.rules import EProp

PRECISIONS = {"double": np.float64, "single": np.float32}
# From this number of neurons per rank on, dividing them among threads pays off.
MANY_NEURONS = 2000


def check_options(network: object, precision: object, threads: object, partitions: object) -> Network:
    """Check the options of a simulator; return a copy of the network.

    Raises
    ------
    NetworkError
        If ``network`` is no network.
    ParameterError
        If an option has an invalid value.
    """
    if not isinstance(network, Network):
        raise NetworkError(f"Simulator needs a Network, got {network!r:.80}")
    if not isinstance(precision, str) or precision not in PRECISIONS:
        raise ParameterError(f'Simulator.precision must be "double" or "single", got {precision!r}')
    if threads is not None:
        check_threads(threads)
    if partitions is not None:
        check_count("Simulator.partitions", partitions)
    return network.copy()


def learns_from_samples(network: Network) -> bool:
    """Whether ranks divide samples, each with the whole network: it learns by `EProp`. Else they divide its neurons."""
    return any(isinstance(p.rule, EProp) for p in network.projections)


def check_threads(threads: Any) -> None:
    """Raise if this process cannot have that many threads."""
    check_count("Simulator.threads", threads)
    if threads > (available := available_threads()):
        raise ParameterError(
            f"Simulator.threads is {threads}, but only {available} are available; set EPROP_NUM_THREADS before the start"
        )


def partition_count(partitions: Any, network: Network, threads: int, asked: bool, ranks: int) -> int:
    """Return the number of partitions of a rank's neurons: the requested one, or a number that suits network and threads.

    A small network has one partition, because threads would wait for each other at every step. If the user ``asked`` for that
    number of threads, threads divide small networks as well, except networks that learn from samples: there they divide the
    samples of a batch.
    """
    if partitions is not None:
        return int(partitions)
    neurons = sum(p.size for p in network.populations if p.model.role == "neuron")
    divided = neurons >= MANY_NEURONS * ranks or (asked and not learns_from_samples(network))
    return threads if divided else 1


def run_in_threads(work: Callable[[int], None], n: int, threads: int, stop: threading.Event | None = None) -> None:
    """Do ``work(0)`` to ``work(n - 1)``, in threads if there are several; set ``stop`` if one of them fails."""
    if threads <= 1 or n <= 1:
        for k in range(n):
            work(k)
        return
    with ThreadPoolExecutor(threads) as pool:
        try:
            list(pool.map(work, range(n)))
        except BaseException:
            if stop is not None:
                stop.set()  # otherwise Ctrl-C would wait for all threads
            raise
