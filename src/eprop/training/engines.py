"""Build the network of a configuration in the engine that the configuration names."""

from __future__ import annotations

from typing import Any

from eprop.engine import Simulator
from eprop.errors import InputError, ParameterError
from eprop.network import Network
from eprop.parallel import Communicator
from eprop.tasks import Task
from eprop.training.config import RunConfig
from eprop.training.evaluation import Engine
from eprop.training.time_engine import TimeDrivenEngine


def make_engine(config: RunConfig, comm: Communicator | None = None) -> Engine:
    """The untrained network of a configuration, in the engine that it names.

    Raises
    ------
    ParameterError
        If several ranks use the time-driven engine, which runs in one process.
    """
    if config.execution.engine == "time":
        if comm is not None and comm.size > 1:
            raise ParameterError("--engine time runs in one process: leave out mpiexec, or take the engine event")
        return TimeDrivenEngine(_network_of(config.task))
    return make_simulator(config, comm=comm)


def _network_of(task: Task) -> Network:
    """The untrained network of a task; checks the result of a user's own task."""
    network = task.build_network()
    if not isinstance(network, Network):
        raise InputError(
            f"the task {task.name!r}: {type(task).__name__}.build_network must return a Network, got {network!r:.80}"
        )
    return network


def make_simulator(config: RunConfig, threads: int | None = None, comm: Communicator | None = None) -> Simulator:
    """The untrained network of a configuration, ready to run."""
    execution: Any = config.execution
    threads = execution.threads if threads is None else threads
    return Simulator(
        _network_of(config.task), threads=threads, precision=execution.precision, comm=comm, parallel=execution.parallel
    )
