"""A run that was read from its folder: its configuration, its metrics as a table, its network and weights."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse

from eprop.engine import Simulator
from eprop.errors import CheckpointError
from eprop.files import parsing
from eprop.network import Network
from eprop.training.config import RunConfig
from eprop.training.restore import restore
from eprop.training.run_folder import RunFolder


class LoadedRun:
    """Content of a run folder, read by `load`.

    Attributes
    ----------
    folder : RunFolder
    config : RunConfig
        Task, data, training and execution.
    simulator : Simulator
        The trained network, at rest.
    """

    def __init__(self, folder: RunFolder, config: RunConfig, simulator: Simulator):
        self.folder, self.config, self.simulator = folder, config, simulator

    def __repr__(self) -> str:
        return (
            f"LoadedRun({str(self.folder.path)!r}: {self.config.task.name}, {len(self.folder.read_metrics())} reports)"
        )

    @property
    def network(self) -> Network:
        """The description of the network."""
        return self.simulator.network

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Content of ``summary.json``; empty if the run has not finished."""
        return self.folder.read_summary()

    @cached_property
    def metrics(self) -> Any:
        """Reports of the training, one row each: a pandas DataFrame, or a dict of arrays if pandas is not installed.

        A value that a report does not have is NaN.
        """
        with parsing(str(self.folder.metrics), "holds other values than numbers", CheckpointError):
            columns = columns_of(self.folder.read_metrics())
        try:
            import pandas
        except ImportError:
            return columns
        return pandas.DataFrame(columns)

    @cached_property
    def weights(self) -> dict[str, scipy.sparse.csr_matrix]:
        """Weights of each projection, mV, as matrices ``(n_post, n_pre)``."""
        return {p.name: self.simulator.weights(p.name) for p in self.network.projections}


def load(path: str | pathlib.Path, *, threads: int | None = None, trust: bool = False) -> LoadedRun:
    """Read a run.

    Parameters
    ----------
    path : path
        Folder of the run, as ``eprop train`` printed it.
    threads : int, optional
        As of `Simulator`.
    trust : bool
        As of `restore`.

    Returns
    -------
    LoadedRun
        With ``config``, ``summary``, ``metrics``, ``simulator``, ``network`` and ``weights``.

    Raises
    ------
    CheckpointError
        If there is no such run, or its files are damaged.
    ParameterError
        If the task of the run is a file that this user has not trained with.

    Examples
    --------
    >>> run = ep.load("runs/nmnist-eprop-1-001")
    >>> run.metrics["loss"], run.weights["rec->rec"]
    """
    folder = RunFolder.open(path)
    config, _, simulator = restore(folder.path, threads=threads, trust=trust)
    return LoadedRun(folder, config, simulator)


def columns_of(lines: list[dict[str, Any]]) -> Mapping[str, np.ndarray]:
    """Lines of metrics as columns, in the order in which the names first appear."""
    names = dict.fromkeys(name for line in lines for name in line)
    return {name: _column([line.get(name) for line in lines]) for name in names}


def _column(values: list[Any]) -> np.ndarray:
    """An int64 array if all values are integers, else a float64 array with NaN for missing values."""
    if all(isinstance(value, int) for value in values):
        return np.array(values, np.int64)
    return np.array([np.nan if value is None else value for value in values], np.float64)
