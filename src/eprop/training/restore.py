"""Restore a run from its checkpoint: configuration and trained network."""

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
from eprop.rl import ObservationScale
from eprop.tasks import Control
from eprop.training.checkpoint import Checkpoint, load_checkpoint
from eprop.training.config import RunConfig, named_task, parse_config, read_config, same_task
from eprop.training.engines import make_simulator
from eprop.training.reward_learner import observation_scale_of
from eprop.training.run_folder import RunFolder


class ChangedTaskWarning(UserWarning):
    """The file of a run's task has changed since the training."""


def restore(
    path: str | pathlib.Path, *, threads: int | None = None, trust: bool = False, comm: Communicator | None = None
) -> tuple[RunConfig, Checkpoint, Simulator]:
    """Restore configuration, checkpoint and trained network of a run; the network is at rest.

    The network is in the event-driven engine, also if the time-driven engine has trained it: both engines give the same.

    Parameters
    ----------
    path : path
        Folder of the run.
    threads : int, optional
        As of `Simulator`.
    trust : bool
        Execute the Python file of the run's task, even if this user has not trained with it.
    comm : Communicator, optional
        Ranks; all ranks call this function.

    Returns
    -------
    RunConfig
    Checkpoint
        ``position`` has the progress of the training.
    Simulator

    Raises
    ------
    CheckpointError
        If the checkpoint is missing or damaged, or does not fit the run's configuration.
    ParameterError
        If the task of the run is a file that this user has not trained with.
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
    """Set weights and feedback of a checkpoint; the simulator is at rest afterwards."""
    if engine == "time":
        _set_weights(simulator, state["synapses/weight"])
        return
    simulator.set_state(state)
    simulator.reset()


def _set_weights(simulator: Simulator, weights: np.ndarray) -> None:
    """Set the weights of all projections, projection by projection in the order of `Simulator.connections`."""
    if weights.size != simulator.n_synapses:
        raise InputError(f"{weights.size} weights for {simulator.n_synapses} synapses")
    first = 0
    for projection in simulator.network.projections:
        count = simulator.connection_count(projection.name)
        simulator.set_weights(projection.name, weights[first : first + count])
        first += count


def restore_observation_scale(
    path: str | pathlib.Path, task: Control, checkpoint: Checkpoint
) -> ObservationScale | None:
    """The scale of observations that a run has learned with; None if its task does not scale them."""
    try:
        return observation_scale_of(task, checkpoint.position)
    except EPropError as error:
        raise misfit(RunFolder(path), checkpoint, error) from error


def misfit(run: RunFolder, checkpoint: Checkpoint, error: Exception) -> CheckpointError:
    """The error for a checkpoint whose state does not fit the network of its own configuration."""
    return CheckpointError(
        f"{run.checkpoint}: does not fit its configuration ({error}); it was written by eprop {checkpoint.version}: "
        "use that version, or repeat the run"
    )


def config_of(checkpoint: Checkpoint, run: RunFolder, task: str | None = None, *, trust: bool = False) -> RunConfig:
    """The configuration in a checkpoint; warns if the file of the task has changed since the training.

    If the run has another task than ``task``, this raises an error before any code of that task is executed.
    """
    where = f"configuration in {run.checkpoint}"
    if task is not None:
        refuse_other_task(run, named_task(checkpoint.config, where), task)
    config = RunConfig.make(*parse_config(checkpoint.config, where, task, trust=trust))
    for file, digest in config.task.sources().items():
        if checkpoint.source not in ("", digest):
            warnings.warn(
                f"{file}: has changed since {run.path} was trained; network, trials and scores are those of "
                "the file as it is now: undo the changes, or train again",
                ChangedTaskWarning,
                stacklevel=3,
            )
    return config


def refuse_other_task(run: RunFolder, named: str | None, task: str) -> None:
    """Raise `ParameterError` if the task that a run names is not ``task``."""
    if named is not None and not same_task(task, named):
        raise ParameterError(f"{run.path}: is a run of the task {named!r}; {run.how_to_continue(named)}")


def refuse_edited(run: RunFolder, config: RunConfig) -> None:
    """Raise `CheckpointError` if ``config.toml`` was edited: a run continues with the configuration that it began with."""
    if not run.config.is_file():
        return
    named = named_task(read_text(run.config, ParameterError), str(run.config)) or config.task_name
    if same_task(named, config.task_name):
        changed = config.differences(RunConfig.make(*read_config(run.config, config.task_name)))
    else:  # no code of another task is executed
        changed = [f"task.name = {named!r}, not {config.task_name!r}"]
    if changed:
        raise CheckpointError(
            f"{run.config}: was edited since the run began ({'; '.join(changed)}): undo that to continue, or start a new "
            f"run with: eprop train {shlex.quote(config.task_name)} --config {shlex.quote(str(run.config))}"
        )
