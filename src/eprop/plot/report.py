"""The figures of a run, or of several trials, as files; and one HTML page that embeds them and needs only a browser."""

from __future__ import annotations

import base64
import functools
import html
import io
import pathlib
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eprop.engine import Simulator
from eprop.errors import CheckpointError
from eprop.files import output_errors, read_text, write_text
from eprop.markup import table
from eprop.models.learned import learned_of
from eprop.network import Network
from eprop.parameters import parameters_of
from eprop.plot.activity import draw_activity, draw_episode, draw_pattern
from eprop.plot.charts import draw_confusion
from eprop.plot.constant_change import draw_constants
from eprop.plot.learning import draw_learning_curve, draw_returns, draw_returns_of_trials, draw_trials
from eprop.plot.moved_synapses import SynapseCounts, draw_rewiring
from eprop.plot.schematic import draw_network
from eprop.plot.style import drawing, look, save
from eprop.plot.weight_change import draw_weights
from eprop.rules import Static
from eprop.tasks import Classification, Control, EpisodeChoice, Regression, check_choice
from eprop.training import LoadedRun, RunConfig, RunFolder, load, load_checkpoint, read_config
from eprop.training.config import FORMATS, parse_config
from eprop.training.number_text import facts_of, score_of_trial, score_of_trials, size
from eprop.training.records import Activity, record_activity, record_episode, uses_softmax
from eprop.training.reward_learner import value_unit_of
from eprop.training.run_folder import PICTURES
from eprop.training.trials import spread_of

Connections = tuple[np.ndarray, np.ndarray, np.ndarray]

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 58rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ddd; }
nav a { margin-right: 1em; } img { max-width: 100%; }
table { border-collapse: collapse; margin: .6rem 0; } caption { caption-side: top; }
th, td { padding: .15rem .8rem .15rem 0; vertical-align: top; }
table, details { max-width: 100%; } details { overflow-x: auto; }
pre { background: #f6f6f6; padding: .8rem; overflow-x: auto; font-size: 13px; }
@media (max-width: 32rem) {
  body { font-size: 14px; margin: 1rem auto; padding: 0 .6rem; } h1 { font-size: 1.3rem; overflow-wrap: anywhere; }
  nav a { display: inline-block; padding: .2rem 0; } th, td { padding-right: .5rem; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; }
}
"""


def draw_run(
    path: str | pathlib.Path,
    out: str | pathlib.Path | None = None,
    *,
    formats: Sequence[str] = ("png",),
    trust: bool = False,
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

    Warns
    -----
    FiguresWarning
        If a figure fails; the others are drawn.
    """
    for kind in formats:
        check_choice("format", kind, FORMATS)
    figures = figures_of_run(path, trust=trust)
    run, paths = RunFolder(path), list[pathlib.Path]()
    folder = pathlib.Path(out) if out is not None else run.figures
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for name, figure in sorted(figures.items()):
        for kind in formats:
            with drawing(f"{run.path}: figure {name!r}"):
                paths.append(save(figure, folder / f"{name}.{kind}"))
    return paths


def write_report(
    path: str | pathlib.Path, out: str | pathlib.Path | None = None, *, trust: bool = False
) -> pathlib.Path:
    """Write one self-contained HTML page about a run, or about several trials.

    The page holds the result, the figures of `draw_run`, the metrics, the weights of each projection, the configuration, the
    machine, and how to repeat the run.

    Parameters
    ----------
    path : path
        Folder of the run, or of all trials.
    out : path, optional
        File to write. The default is ``report.html`` in the folder of the run.
    trust : bool
        Argument of `load`.

    Returns
    -------
    Path
        Path of the page.

    Raises
    ------
    CheckpointError
        If the run or its checkpoint cannot be read, or no trial has learned anything yet.
    OutputError
        If the page cannot be written.
    """
    folder = RunFolder(path)
    seeds = folder.read_trials()
    run = None if seeds else load(path, trust=trust)
    config = RunConfig.make(*read_config(folder.config, trust=trust)) if run is None else run.config
    figures = _of_trials(folder, seeds, trust) if run is None else _of_run(run)
    summary, text = folder.read_summary(), read_text(folder.config, CheckpointError)
    result = _result_of_trials(folder, summary) if seeds else _result(folder, summary)
    sections: dict[str, str] = {"Result": result}
    for name, (title, caption) in PICTURES.items():
        if name in figures:
            with drawing(f"{folder.path}: figure {name!r}"):
                image = f'<img src="{_embedded(figures[name])}" alt="{html.escape(caption)}">'
                sections[title] = f"<p>{html.escape(caption)}</p>{image}"
    if run is not None:
        sections["Weights"] = sections.get("Weights", "") + _weight_table(run)
        sections["Metrics"] = _metrics_table(folder.read_metrics())
    sections["Configuration"] = f"<pre>{html.escape(text)}</pre>"
    sections["Machine"] = table("", _flat(summary.get("machine", {})))
    sections["How to repeat it"] = _how_to_repeat(config, summary)
    file = pathlib.Path(out) if out is not None else folder.report
    write_text(file, _page(f"{config.task.name}: {folder.path.resolve().name}", sections))
    return file


# ------------------------------------------------------------------------------------------------------------- figures


def figures_of_run(path: str | pathlib.Path, *, trust: bool = False) -> dict[str, Figure]:
    """Make the figures of a run, or of several trials, by name; see `draw_run`."""
    folder = RunFolder(path)
    seeds = folder.read_trials()
    return _of_trials(folder, seeds, trust) if seeds else _of_run(load(path, trust=trust))


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


# ------------------------------------------------------------------------------------------------------------- -- page


def _page(title: str, sections: Mapping[str, str]) -> str:
    anchors = {name: name.lower().replace(" ", "-") for name in sections}
    links = "".join(f'<a href="#{anchor}">{html.escape(name)}</a>' for name, anchor in anchors.items())
    body = "".join(f'<h2 id="{anchors[name]}">{html.escape(name)}</h2>{part}' for name, part in sections.items())
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><h1>{html.escape(title)}</h1><nav>{links}</nav>{body}</body></html>\n"
    )


def _embedded(figure: Figure) -> str:
    """Embed a figure in the page as an image."""
    image = io.BytesIO()
    with look():
        figure.savefig(image, format="svg", dpi=150, metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(image.getvalue()).decode()}"


def _result(folder: RunFolder, summary: Mapping[str, Any]) -> str:
    if summary:
        return table("", facts_of(folder.path, summary))
    share = f"{100 * folder.share():.0f} %"
    return table("", [("the run is not finished", f"{share} of its samples are done"), ("run", str(folder.path))])


def _result_of_trials(folder: RunFolder, summary: Mapping[str, Any]) -> str:
    if not summary:
        return table("", [("the trials are not finished", str(folder.path))])
    score = f"test {summary['score']}"
    rows = [(str(trial["seed"]), score_of_trial(trial), trial["run"]) for trial in summary["trials"]]
    mean, extremes = score_of_trials(summary, spread_of(dict(summary)))
    facts = [
        (score, f"{mean} over {len(rows)} trials; {extremes}"),
        ("test data", summary.get("test_data", f"{summary.get('episodes')} episodes")),
        ("run", str(folder.path)),
    ]
    return table("", facts) + table("", rows, ("seed", score, "run"))


def _weight_table(run: LoadedRun) -> str:
    """Table of the mean and standard deviation of the weights of each plastic projection, before and after training."""
    units, simulators = weight_units(run.simulator.network), (run.untrained(), run.simulator)
    weights = {name: [sim.connections(name)[2] for sim in simulators] for name in units}
    rows = [
        (name, own[1].size, *(f"{np.mean(w):.4f} ± {np.std(w):.4f} {units[name]}" for w in own))
        for name, own in weights.items()
        if own[1].size
    ]
    return table("mean ± standard deviation", rows, ("projection", "synapses", "before", "after"))


def _metrics_table(lines: list[dict[str, Any]]) -> str:
    """Table of all reports, collapsed."""
    names = list(dict.fromkeys(name for line in lines for name in line))
    rows = [["" if line.get(name) is None else line[name] for name in names] for line in lines]
    return f"<details><summary>{len(lines)} reports</summary>{table('', rows, names)}</details>"


def _how_to_repeat(config: RunConfig, summary: Mapping[str, Any]) -> str:
    command = f"eprop train {shlex.quote(config.task_name)} --config config.toml"
    version = summary.get("version")
    installed = f"With eprop {version}, save" if version else "Save"
    text = (
        f"{installed} the configuration above as config.toml and run the command below. The same version gives the same "
        "bits, for any number of threads."
    )
    files = "".join(f"<li>{html.escape(file)}: sha256 {digest}</li>" for file, digest in config.task.sources().items())
    needed = f"<p>The run also needs these files:</p><ul>{files}</ul>" if files else ""
    return f"<p>{html.escape(text)}</p><pre>{html.escape(command)}</pre>{needed}"


def _flat(facts: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, str]]:
    """Names and values of nested facts."""
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name} ")
        elif name.endswith("_bytes") and value is not None:
            yield f"{above}{name}".removesuffix("_bytes").replace("_", " "), size(value)
        else:
            yield f"{above}{name}".replace("_", " "), str(value)
