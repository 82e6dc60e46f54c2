"""What a run has kept: its configuration and its network, from the checkpoint."""

from __future__ import annotations

import pathlib
import shlex
import warnings
from collections.abc import Mapping

import numpy as np

from eprop.engine import Simulator
from eprop.errors import CheckpointError, EPropError, InputError, ParameterError
from eprop.files import read_text
from eprop.parallel import Communicator
from eprop.training.checkpoint import Checkpoint, load_checkpoint
from eprop.training.config import RunConfig, named_task, parse_config, read_config, same_task
from eprop.training.engines import make_simulator
from eprop.training.runs import RunFolder


class ChangedTaskWarning(UserWarning):
    """The file that holds a run's task is not the one that the run was trained with."""


def restore(
    path: str | pathlib.Path, *, threads: int | None = None, trust: bool = False, comm: Communicator | None = None
) -> tuple[RunConfig, Checkpoint, Simulator]:
    """Configuration, checkpoint and trained network of a run; at rest, with the weights of the checkpoint.

    The network is in the event-driven engine, whatever trained it: both give the same.

    Parameters
    ----------
    path : path
        Folder of the run.
    threads : int, optional
        As of `Simulator`.
    trust : bool
        Run the Python file of a task that the run names, though this user has not trained with it.
    comm : Communicator, optional
        Ranks that all call this.

    Returns
    -------
    RunConfig
    Checkpoint
        ``position`` tells how far the training has come.
    Simulator

    Raises
    ------
    CheckpointError
        If there is no checkpoint, it is damaged, or does not fit the run's configuration.
    ParameterError
        If the run names the file of a task that this user has not trained with.
    """
    run = RunFolder.open(path)
    checkpoint = load_checkpoint(run.checkpoint)
    config = config_of(checkpoint, run, trust=trust)
    simulator = make_simulator(config, threads, comm)
    try:
        _take_over(simulator, checkpoint.state, config.execution.engine)
    except (EPropError, KeyError) as error:
        raise misfit(run, checkpoint, error) from error
    return config, checkpoint, simulator


def _take_over(simulator: Simulator, state: Mapping[str, np.ndarray], engine: str) -> None:
    """Weights and feedback of a checkpoint, at rest. The event-driven engine keeps weights as they were some time before."""
    if engine == "time":
        _set_weights(simulator, state["synapses/weight"])
        return
    simulator.set_state(state)
    simulator.reset()


def _set_weights(simulator: Simulator, weights: np.ndarray) -> None:
    """Weights of all projections, one after the other in the order of `Simulator.connections`."""
    if weights.size != simulator.n_synapses:
        raise InputError(f"{weights.size} weights for {simulator.n_synapses} synapses")
    first = 0
    for projection in simulator.network.projections:
        count = simulator.connection_count(projection.name)
        simulator.set_weights(projection.name, weights[first : first + count])
        first += count


def misfit(run: RunFolder, checkpoint: Checkpoint, error: Exception) -> CheckpointError:
    """What to say of a checkpoint that its own configuration makes no network for."""
    return CheckpointError(
        f"{run.checkpoint}: does not fit its configuration ({error}); it was written by eprop {checkpoint.version}: "
        "use that version, or repeat the run"
    )


def config_of(checkpoint: Checkpoint, run: RunFolder, task: str | None = None, *, trust: bool = False) -> RunConfig:
    """The configuration that is kept in a checkpoint; warns if a file that the task is made of has been edited since.

    Of the ``task`` that is meant, if one is given; of another one nothing is run.
    """
    where = f"configuration in {run.checkpoint}"
    if task is not None:
        refuse_other_task(run, named_task(checkpoint.config, where), task)
    config = RunConfig.make(*parse_config(checkpoint.config, where, task, trust=trust))
    for file, digest in config.task.sources().items():
        if checkpoint.source not in ("", digest):
            warnings.warn(
                f"{file}: has changed since {run.path} was trained; network, trials and scores are those of "
                "the file as it is now: undo the changes, or train anew",
                ChangedTaskWarning,
                stacklevel=3,
            )
    return config


def refuse_other_task(run: RunFolder, named: str | None, task: str) -> None:
    """Raise `ParameterError` if a run, which names a task, is not one of the ``task`` that it is meant to have."""
    if named is not None and not same_task(task, named):
        raise ParameterError(
            f"{run.path}: is a run of the task {named!r}; go on with: "
            f"eprop train {shlex.quote(named)} --resume {shlex.quote(str(run.path))}"
        )


def refuse_edited(run: RunFolder, config: RunConfig) -> None:
    """A run goes on as it began: an edited ``config.toml`` beside it would no longer tell the truth."""
    if not run.config.is_file():
        return
    named = named_task(read_text(run.config, ParameterError), str(run.config)) or config.task_name
    if same_task(named, config.task_name):
        changed = config.differences(RunConfig.make(*read_config(run.config, config.task_name)))
    else:  # nothing of another task is run
        changed = [f"task.name = {named!r}, not {config.task_name!r}"]
    if changed:
        raise CheckpointError(
            f"{run.config}: was edited since the run began ({'; '.join(changed)}): undo that to go on, or begin a new "
            f"run with: eprop train {shlex.quote(config.task_name)} --config {shlex.quote(str(run.config))}"
        )
