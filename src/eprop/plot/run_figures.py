"""The figures of a run, or of several trials, as files."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eprop.engine import Simulator
from eprop.errors import CheckpointError
from eprop.files import output_errors
from eprop.models.learned import learned_of
from eprop.network import Network
from eprop.parameters import parameters_of
from eprop.plot.activity import draw_activity, draw_episode, draw_pattern
from eprop.plot.charts import draw_confusion
from eprop.plot.constant_change import draw_constants
from eprop.plot.learning import draw_learning_curve, draw_returns, draw_returns_of_trials, draw_trials
from eprop.plot.moved_synapses import SynapseCounts, draw_rewiring
from eprop.plot.schematic import draw_network
from eprop.plot.style import drawing, save
from eprop.plot.weight_change import draw_weights
from eprop.rules import Static
from eprop.tasks import Classification, Control, EpisodeChoice, Regression, check_choice
from eprop.training import LoadedRun, RunConfig, RunFolder, load, load_checkpoint, read_config
from eprop.training.config import FORMATS, parse_config
from eprop.training.records import Activity, record_activity, record_episode, uses_softmax
from eprop.training.reward_learner import value_unit_of

Connections = tuple[np.ndarray, np.ndarray, np.ndarray]


def draw_run(
    path: str | pathlib.Path,
    out: str | pathlib.Path | None = None,
    *,
    task: str | None = None,
    formats: Sequence[str] = ("png",),
) -> list[pathlib.Path]:
    """Draw the figures of a run, or of several trials.

    For a run, the figures are ``learning_curve``, ``activity``, ``network`` and ``weights``, ``constants`` that learn, and
    ``rewiring`` where synapses move. A classification adds ``confusion``, readouts with a target curve add ``pattern``. A task
    with reward has ``returns`` and ``episode`` instead of curve and activity. For several trials there is only their
    ``learning_curve`` or ``returns``: each trial is a run with its own figures.

    Parameters
    ----------
    path : path
        Folder of the run, or of all trials.
    out : path, optional
        Folder for the figures. The default is ``figures`` in the run's folder.
    task : str, optional
        Argument of `load`.
    formats : sequence of str
        Formats, ``"png"``, ``"pdf"``, ``"svg"``; each figure is written in each of them.

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

    Warns
    -----
    FiguresWarning
        If a figure fails; the others are drawn.
    """
    for kind in formats:
        check_choice("format", kind, FORMATS)
    figures = figures_of_run(path, task)
    run, paths = RunFolder(path), list[pathlib.Path]()
    folder = pathlib.Path(out) if out is not None else run.figures
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for name, figure in sorted(figures.items()):
        for kind in formats:
            with drawing(f"{run.path}: figure {name!r}"):
                paths.append(save(figure, folder / f"{name}.{kind}"))
    return paths


def figures_of_run(path: str | pathlib.Path, task: str | None = None) -> dict[str, Figure]:
    """Make the figures of a run, or of several trials, by name; see `draw_run`."""
    folder = RunFolder(path)
    return _of_trials(folder, task) if folder.seeds() else _of_run(load(path, task=task))


def _of_run(run: LoadedRun) -> dict[str, Figure]:
    """The figures of a run that can be drawn, by name."""
    before, figures = run.untrained(), dict[str, Figure]()
    own = _of_reward(run) if isinstance(run.config.task, Control) else _of_samples(run, before)
    makers: dict[str, Callable[[], Figure]] = {
        "weights": lambda: draw_weights(weight_changes(before, run.simulator), weight_units(before.network)),
        "network": lambda: _figure_of(draw_network(run.simulator.network)),
        **_of_constants(run, before),
        **_of_rewiring(run, before),
        **own,
    }
    for name, make in makers.items():
        with drawing(f"{run.folder.path}: figure {name!r}"):
            figures[name] = make()
    return figures


def _of_constants(run: LoadedRun, before: Simulator) -> dict[str, Callable[[], Figure]]:
    """Function that draws the constants that learn, if there are any."""
    changes, units = {}, {}
    for p in run.network.populations:
        info, now = dict(parameters_of(type(p.model))), run.simulator.parameters(p.name)
        for name in learned_of(p.model):
            changes[f"{p.name}.{name}"] = before.parameters(p.name)[name], now[name]
            units[f"{p.name}.{name}"] = info[name].unit
    return {"constants": lambda: draw_constants(changes, units)} if changes else {}


def _of_rewiring(run: LoadedRun, before: Simulator) -> dict[str, Callable[[], Figure]]:
    """Function that draws the synapses that move, if there are any."""
    names = [p.name for p in run.network.projections if p.rewiring is not None]
    return {"rewiring": lambda: draw_rewiring({name: _counts(run, before, name) for name in names})} if names else {}


def _counts(run: LoadedRun, before: Simulator, name: str) -> SynapseCounts:
    pre = run.network.projection(name).pre
    old, new = (np.bincount(sim.connections(name)[0], minlength=pre.size) for sim in (before, run.simulator))
    return SynapseCounts(old, new, run.config.task.image_of(pre.name))


def _of_reward(run: LoadedRun) -> dict[str, Callable[[], Figure]]:
    """Functions that draw the figures of a run with reward."""
    task, metrics = cast("Control", run.config.task), run.folder.read_metrics()
    out: dict[str, Callable[[], Figure]] = {"episode": lambda: _episode(run)}
    if metrics:
        out["returns"] = lambda: draw_returns(metrics, run.summary, task.reward_range)
    return out


def _of_samples(run: LoadedRun, before: Simulator) -> dict[str, Callable[[], Figure]]:
    """Functions that draw the figures of a run that learned from samples."""
    task, summary, metrics = run.config.task, run.summary, run.folder.read_metrics()

    @functools.cache
    def recorded() -> tuple[Activity, Activity]:
        sample = run.config.data.unpack(task, run.checkpoint.example)
        return record_activity(task, before, sample), record_activity(task, run.simulator, sample)

    def curve() -> Figure:
        unit, steps = loss_unit(run.simulator.network), steps_of(recorded()[0].window)
        return draw_learning_curve(metrics, summary, task.score_name, unit, steps)

    out: dict[str, Callable[[], Figure]] = {"activity": lambda: draw_activity(*recorded())}
    if summary.get("confusion") and isinstance(task, Classification):
        out["confusion"] = lambda: _figure_of(draw_confusion(summary["confusion"], task.classes))
    if metrics:
        out["learning_curve"] = curve
    if isinstance(task, Regression):
        out["pattern"] = lambda: draw_pattern(*recorded())
    return out


def _episode(run: LoadedRun) -> Figure:
    """Make the figure of an episode of a run with reward."""
    task, choice = cast("Control", run.config.task), cast("EpisodeChoice", run.config.data)
    episode = record_episode(task, run.simulator, choice.seed, scale=run.observation_scale())
    return draw_episode(episode, value_unit_of(run.config.training, run.checkpoint.position))


def _of_trials(folder: RunFolder, task: str | None) -> dict[str, Figure]:
    config, seeds = RunConfig.make(*read_config(folder.config, task)), folder.seeds()
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
            sample = config.data.unpack(config.task, checkpoint.example)
            window = config.task.make_samples(config.task.build_network(), sample).window[0]
            return steps_of(np.abs(window).max(axis=1))
    return None


def steps_of(window: np.ndarray) -> float:
    """Steps of a sample that count: the sum of the weights of the learning window, (n_steps,)."""
    return float(np.abs(window).sum())


def loss_unit(network: Network) -> str:
    """Unit of the loss of a network's readouts."""
    return "nats" if uses_softmax(network) else "mV²"


def weight_changes(before: Simulator, after: Simulator) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Weights of all plastic projections in two simulators of the same network."""
    names = [p.name for p in before.network.projections if not isinstance(p.rule, Static)]
    return {name: _paired(before.connections(name), after.connections(name)) for name in names}


def _paired(before: Connections, after: Connections) -> tuple[np.ndarray, np.ndarray]:
    """Weights of the same connections; those of a connection that one of the two lacks are 0 there."""
    if all(map(np.array_equal, before[:2], after[:2])):
        return before[2], after[2]
    keys = [targets << 32 | sources for sources, targets, _ in (before, after)]
    all_keys = np.union1d(*keys)
    weights = np.zeros((2, all_keys.size))
    for row, own, (_, _, values) in zip(weights, keys, (before, after), strict=True):
        np.add.at(row, np.searchsorted(all_keys, own), values)
    return weights[0], weights[1]


def weight_units(network: Network) -> dict[str, str]:
    """Unit of the weights of each plastic projection."""
    return {p.name: p.weight_unit for p in network.projections if not isinstance(p.rule, Static)}


def _figure_of(ax: Axes) -> Figure:
    return cast("Figure", ax.get_figure())
