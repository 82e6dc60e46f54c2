"""Communication between processes: the communicator, its serial default, and MPI.

A process is a *rank*. Every rank runs the same program and makes the same calls; each owns a part of the neurons.
"""

from eprop.parallel.communicator import Communicator, Serial
from eprop.parallel.interrupt import Interrupt, Stopped
from eprop.parallel.launch import available_threads, end_ranks, find_communicator, started_by_mpi

__all__ = [
    "Communicator",
    "Interrupt",
    "Serial",
    "Stopped",
    "available_threads",
    "end_ranks",
    "find_communicator",
    "started_by_mpi",
]
