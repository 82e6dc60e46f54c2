"""All figures of a run, or of several trials."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from eprop.engine import Simulator
from eprop.errors import CheckpointError
from eprop.network import Network
from eprop.plot.activity import draw_activity
from eprop.plot.confusion import draw_confusion
from eprop.plot.learning import draw_learning_curve
from eprop.plot.pattern import draw_pattern
from eprop.plot.style import save
from eprop.plot.trials import draw_trials
from eprop.plot.weights import draw_weights
from eprop.rules import Static
from eprop.tasks import Classification, Regression
from eprop.training import RunConfig, RunFolder, read_config, restore
from eprop.training.activity import record_activity, uses_softmax
from eprop.training.engines import make_simulator
from eprop.training.files import output_errors


def draw_run(path: str | pathlib.Path, out: str | pathlib.Path | None = None) -> list[pathlib.Path]:
    """Draw the figures of a run, or of several trials, as PNG.

    Of a run ``learning_curve``, ``activity`` and ``weights``; ``confusion`` of a classification, ``pattern`` where readouts
    follow a target. Of several trials their ``learning_curve``: each of them is a run that has figures of its own.

    Parameters
    ----------
    path : path
        The run's folder, or that of all trials.
    out : path, optional
        Folder for the figures; ``figures`` in the run's folder if not given.

    Returns
    -------
    list of Path

    Raises
    ------
    CheckpointError
        If the run or its checkpoint cannot be read, or no trial has learned anything yet.
    OutputError
        If the figures cannot be written.
    """
    run = RunFolder(path)
    seeds = run.read_trials()
    figures = _of_trials(run, seeds) if seeds else _of_run(RunFolder.open(path))
    folder = pathlib.Path(out) if out is not None else run.figures
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return [save(figure, folder / f"{name}.png") for name, figure in sorted(figures.items())]


def _of_run(run: RunFolder) -> dict[str, Figure]:
    config, checkpoint, after = restore(run.path)
    before = make_simulator(config)
    summary, metrics = run.read_summary(), run.read_metrics()
    figures: dict[str, Figure] = {}
    figures["weights"] = draw_weights(weight_changes(before, after))
    if summary.get("confusion") and isinstance(config.task, Classification):
        figures["confusion"] = figure_of(draw_confusion(summary["confusion"], config.task.classes))
    trial = config.data.unpack(config.task, checkpoint.example)
    first, last = (record_activity(config.task, simulator, trial) for simulator in (before, after))
    figures["activity"] = draw_activity(first, last)
    if metrics:
        figures["learning_curve"] = draw_learning_curve(
            metrics, summary, config.task.score_name, loss_unit(after.network)
        )
    if isinstance(config.task, Regression):
        figures["pattern"] = draw_pattern(first, last)
    return figures


def _of_trials(folder: RunFolder, seeds: Sequence[int]) -> dict[str, Figure]:
    config = RunConfig.make(*read_config(folder.config))
    trials = [(run.read_metrics(), run.read_summary()) for run in map(folder.of_seed, seeds)]
    if not any(metrics for metrics, _ in trials):
        raise CheckpointError(f"{folder.path}: none of its {len(seeds)} trials has reported anything yet")
    unit = loss_unit(config.task.build_network())
    return {"learning_curve": draw_trials(trials, config.task.score_name, unit)}


def loss_unit(network: Network) -> str:
    """Unit of the loss of a network's readouts."""
    return "nats" if uses_softmax(network) else "mV²"


def weight_changes(before: Simulator, after: Simulator) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Weights of all projections that learn, mV, in two simulators of one network."""
    names = [p.name for p in before.network.projections if not isinstance(p.rule, Static)]
    return {name: (before.connections(name)[2], after.connections(name)[2]) for name in names}


def figure_of(ax: Any) -> Figure:
    """The figure to which axes belong."""
    figure = ax.get_figure()
    assert isinstance(figure, Figure)
    return figure
