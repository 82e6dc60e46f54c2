"""All figures of a run, or of several trials."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from matplotlib.figure import Figure

from eprop.engine import Simulator
from eprop.errors import CheckpointError
from eprop.files import output_errors
from eprop.network import Network
from eprop.plot.activity import draw_activity, draw_episode, draw_pattern
from eprop.plot.charts import draw_confusion
from eprop.plot.learning import draw_learning_curve, draw_returns, draw_returns_of_trials, draw_trials
from eprop.plot.schematic import draw_network
from eprop.plot.style import save
from eprop.plot.weight_change import draw_weights
from eprop.rules import Static
from eprop.tasks import Classification, Control, EpisodeChoice, Regression, check_choice
from eprop.training import LoadedRun, RunConfig, RunFolder, load, load_checkpoint, read_config
from eprop.training.config import FORMATS, parse_config
from eprop.training.records import record_activity, record_episode, uses_softmax
from eprop.training.reward_learner import value_unit_of


def draw_run(
    path: str | pathlib.Path,
    out: str | pathlib.Path | None = None,
    *,
    formats: Sequence[str] = ("png",),
    trust: bool = False,
) -> list[pathlib.Path]:
    """Draw the figures of a run, or of several trials.

    For a run, the figures are ``learning_curve``, ``activity``, ``network`` and ``weights``. A classification adds
    ``confusion``, readouts with a target curve add ``pattern``. A task with reward has ``returns`` and ``episode`` instead of
    curve and activity. For several trials there is only their ``learning_curve`` or ``returns``: each trial is a run with its
    own figures.

    Parameters
    ----------
    path : path
        Folder of the run, or of all trials.
    out : path, optional
        Folder for the figures. The default is ``figures`` in the run's folder.
    formats : sequence of str
        Formats, ``"png"``, ``"pdf"``, ``"svg"``; each figure is written in each of them.
    trust : bool
        Argument of `load`.

    Returns
    -------
    list of Path

    Raises
    ------
    CheckpointError
        If the run or its checkpoint cannot be read, or no trial has learned anything yet.
    ParameterError
        If there is no such format.
    OutputError
        If the figures cannot be written.
    """
    for kind in formats:
        check_choice("format", kind, FORMATS)
    figures = figures_of_run(path, trust=trust)
    run = RunFolder(path)
    folder = pathlib.Path(out) if out is not None else run.figures
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return [save(figure, folder / f"{name}.{kind}") for name, figure in sorted(figures.items()) for kind in formats]


def figures_of_run(path: str | pathlib.Path, *, trust: bool = False) -> dict[str, Figure]:
    """Make the figures of a run, or of several trials, by name; see `draw_run`."""
    run = RunFolder(path)
    seeds = run.read_trials()
    return _of_trials(run, seeds, trust) if seeds else _of_run(load(path, trust=trust))


def _of_run(run: LoadedRun) -> dict[str, Figure]:
    config, before, after = run.config, run.untrained(), run.simulator
    summary, metrics = run.summary, run.folder.read_metrics()
    figures: dict[str, Figure] = {}
    figures["weights"] = draw_weights(weight_changes(before, after))
    figures["network"] = figure_of(draw_network(after.network))
    if isinstance(config.task, Control):
        returns = {"returns": draw_returns(metrics, summary, config.task.reward_range)} if metrics else {}
        return figures | returns | {"episode": _episode(run)}
    if summary.get("confusion") and isinstance(config.task, Classification):
        figures["confusion"] = figure_of(draw_confusion(summary["confusion"], config.task.classes))
    trial = config.data.unpack(config.task, run.checkpoint.example)
    first, last = (record_activity(config.task, simulator, trial) for simulator in (before, after))
    figures["activity"] = draw_activity(first, last)
    if metrics:
        unit, steps = loss_unit(after.network), steps_of(first.window)
        figures["learning_curve"] = draw_learning_curve(metrics, summary, config.task.score_name, unit, steps)
    if isinstance(config.task, Regression):
        figures["pattern"] = draw_pattern(first, last)
    return figures


def _episode(run: LoadedRun) -> Figure:
    """Make the figure of an episode of a run with reward."""
    task, choice = cast("Control", run.config.task), cast("EpisodeChoice", run.config.data)
    episode = record_episode(task, run.simulator, choice.seed, scale=run.observation_scale())
    return draw_episode(episode, value_unit_of(run.config.training, run.checkpoint.position))


def _of_trials(folder: RunFolder, seeds: Sequence[int], trust: bool) -> dict[str, Figure]:
    config = RunConfig.make(*read_config(folder.config, trust=trust))
    trials = [(run.read_metrics(), run.read_summary()) for run in map(folder.of_seed, seeds)]
    if not any(metrics for metrics, _ in trials):
        raise CheckpointError(f"{folder.path}: none of its {len(seeds)} trials has reported anything yet")
    if isinstance(config.task, Control):
        return {"returns": draw_returns_of_trials(trials, config.task.reward_range)}
    unit, steps = loss_unit(config.task.build_network()), _steps_of_trials(folder, seeds, config.task_name)
    return {"learning_curve": draw_trials(trials, config.task.score_name, unit, steps)}


def _steps_of_trials(folder: RunFolder, seeds: Sequence[int], task: str) -> float | None:
    """Steps of a sample that count, from a sample that one of the trials has kept."""
    for run in map(folder.of_seed, seeds):
        if run.checkpoint.is_file():
            checkpoint = load_checkpoint(run.checkpoint)
            config = RunConfig.make(*parse_config(checkpoint.config, str(run.checkpoint), task))
            trial = config.data.unpack(config.task, checkpoint.example)
            window = config.task.make_samples(config.task.build_network(), trial).window[0]
            return steps_of(np.abs(window).max(axis=1))
    return None


def steps_of(window: np.ndarray) -> float:
    """Steps of a sample that count: the sum of the weights of the learning window, (n_steps,)."""
    return float(np.abs(window).sum())


def loss_unit(network: Network) -> str:
    """Unit of the loss of a network's readouts."""
    return "nats" if uses_softmax(network) else "mV²"


def weight_changes(before: Simulator, after: Simulator) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Weights of all plastic projections, mV, in two simulators of the same network."""
    names = [p.name for p in before.network.projections if not isinstance(p.rule, Static)]
    return {name: (before.connections(name)[2], after.connections(name)[2]) for name in names}


def figure_of(ax: Any) -> Figure:
    """Return the figure of the axes."""
    figure = ax.get_figure()
    assert isinstance(figure, Figure)
    return figure
