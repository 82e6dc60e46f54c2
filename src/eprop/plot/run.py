"""All figures of a run."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from eprop.engine import Simulator
from eprop.plot.activity import draw_activity
from eprop.plot.confusion import draw_confusion
from eprop.plot.learning import draw_learning_curve
from eprop.plot.pattern import draw_pattern
from eprop.plot.style import save
from eprop.plot.weights import draw_weights
from eprop.rules import Static
from eprop.tasks import Classification, Regression
from eprop.training import RunFolder, restore
from eprop.training.activity import record_activity
from eprop.training.experiment import make_simulator
from eprop.training.files import output_errors


def draw_run(path: str | pathlib.Path, out: str | pathlib.Path | None = None) -> list[pathlib.Path]:
    """Draw the figures of a run, as PNG.

    ``learning_curve``, ``activity`` and ``weights``; ``confusion`` of a classification, ``pattern`` where readouts follow
    a target.

    Parameters
    ----------
    path : path
        The run's folder.
    out : path, optional
        Folder for the figures; ``figures`` in the run's folder if not given.

    Returns
    -------
    list of Path

    Raises
    ------
    CheckpointError
        If the run or its checkpoint cannot be read.
    OutputError
        If the figures cannot be written.
    """
    run = RunFolder.open(path)
    config, checkpoint, after = restore(path)
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
        unit = "nats" if first.softmax else "mV²"
        figures["learning_curve"] = draw_learning_curve(metrics, summary, config.task.score_name, unit)
    if isinstance(config.task, Regression):
        figures["pattern"] = draw_pattern(first, last)
    folder = pathlib.Path(out) if out is not None else run.figures
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return [save(figure, folder / f"{name}.png") for name, figure in sorted(figures.items())]


def weight_changes(before: Simulator, after: Simulator) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Weights of all projections that learn, mV, in two simulators of one network."""
    names = [p.name for p in before.network.projections if not isinstance(p.rule, Static)]
    return {name: (before.connections(name)[2], after.connections(name)[2]) for name in names}


def figure_of(ax: Any) -> Figure:
    """The figure to which axes belong."""
    figure = ax.get_figure()
    assert isinstance(figure, Figure)
    return figure
