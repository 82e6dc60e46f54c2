"""Whether this process is one of several that an MPI launcher started, and how many threads it may use."""

from __future__ import annotations

import contextlib
import functools
import os
from typing import TYPE_CHECKING

from eprop.core import lib
from eprop.errors import MissingExtraError, ParameterError
from eprop.parallel.communicator import Communicator, Serial

if TYPE_CHECKING:
    from eprop.parallel.mpi import Mpi

#: Where launchers say how many processes they started: MPICH and Intel MPI, Open MPI, MVAPICH, Slurm's srun.
SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
#: Name of the environment variable that limits the threads.
VARIABLE = "EPROP_NUM_THREADS"


def started_by_mpi() -> bool:
    """Whether a launcher such as ``mpiexec`` started this process together with others."""
    return any(os.environ.get(name, "").isdecimal() and int(os.environ[name]) > 1 for name in SIZES)


def find_communicator() -> Communicator:
    """All ranks under ``mpiexec -n R`` or ``srun``, else this process alone.

    From then on, an uncaught exception of one rank ends all ranks.

    Raises
    ------
    MissingExtraError
        If there are several processes and mpi4py is not installed.
    """
    if not started_by_mpi():
        return Serial()
    return _all_ranks()


def end_ranks(message: str, code: int, *, joined: bool = False) -> None:
    """End all ranks, if there are several, with a message. A single rank may call this, at any time.

    With ``joined``, do nothing unless this rank has a communicator: without one, no other rank waits for this one.
    """
    if started_by_mpi() and (_all_ranks.cache_info().currsize or not joined):
        with contextlib.suppress(MissingExtraError):  # then no rank waits for another
            _all_ranks().abort(message, code)


@functools.cache
def _all_ranks() -> Mpi:
    try:
        from eprop.parallel.mpi import Mpi
    except ImportError as error:
        raise MissingExtraError("mpi4py", "mpi", "running on several ranks") from error
    return Mpi()


def available_threads() -> int:
    """Threads that this process may use: ``EPROP_NUM_THREADS``, or as many as it may use processors.

    Raises
    ------
    ParameterError
        If the variable is no whole number from 1 on.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return int(lib.available_threads())
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ParameterError(f"{VARIABLE} is {text!r}: expected a whole number of threads from 1 on")
    return int(text)
