"""Whether this process is one of several that an MPI launcher started."""

from __future__ import annotations

import os

from eprop.errors import MissingExtraError
from eprop.parallel.communicator import Communicator, Serial

#: Where launchers say how many processes they started: MPICH and Intel MPI, Open MPI, MVAPICH, Slurm's srun.
SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")


def started_by_mpi() -> bool:
    """Whether a launcher such as ``mpiexec`` started this process together with others."""
    return any(os.environ.get(name, "").isdecimal() and int(os.environ[name]) > 1 for name in SIZES)


def find_communicator() -> Communicator:
    """All ranks under ``mpiexec -n R`` or ``srun``, else this process alone.

    Raises
    ------
    MissingExtraError
        If there are several processes and mpi4py is not installed.
    """
    if not started_by_mpi():
        return Serial()
    try:
        from eprop.parallel.mpi import Mpi
    except ImportError as error:
        raise MissingExtraError("mpi4py", "mpi", "running on several ranks") from error
    return Mpi()
