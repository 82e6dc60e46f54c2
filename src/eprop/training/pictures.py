"""The pictures of a training: what a learner can show, drawn from what a training has in hand."""

from __future__ import annotations

import contextlib
import functools
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from eprop.engine import Samples, Simulator
from eprop.errors import CheckpointError
from eprop.files import JsonObject, output_errors
from eprop.models.learned import learned_of
from eprop.network import Network
from eprop.parameters import check_choice, parameters_of
from eprop.rules import Static
from eprop.training.activity import record_activity
from eprop.training.scoring import uses_softmax

# Matplotlib takes long to import: functions that draw import `eprop.plot`.
if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from eprop.plot.records import Activity
    from eprop.training.experiment import Experiment
    from eprop.training.scoring import Scoring

#: Draws a Matplotlib figure.
Picture: TypeAlias = "Callable[[], Figure]"
#: Formats of pictures.
FORMATS = ("png", "pdf", "svg")
_Connections = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(eq=False)
class Trained:
    """A training that has ended, and what its pictures need.

    Attributes
    ----------
    experiment : Experiment
    simulator : Simulator
        The trained network.
    initial : dict
        `Simulator.state` before the training.
    lines : list of dict
        The lines of metrics.
    summary : dict
        Content of ``summary.json``.
    example : Samples or None
        One sample.
    """

    experiment: Experiment
    simulator: Simulator
    initial: Mapping[str, np.ndarray]
    lines: list[JsonObject] = field(default_factory=list)
    summary: JsonObject = field(default_factory=dict)
    example: Samples | None = None

    @contextlib.contextmanager
    def trained(self) -> Iterator[Simulator]:
        """The trained network, which may be run: at the end it has the state that it has now."""
        state = self.simulator.state()
        try:
            yield self.simulator
        finally:
            self.simulator.set_state(state)

    def before_and_after(self, found: Callable[[Simulator], Any]) -> tuple[Any, Any]:
        """What a function of the simulator gives before and after the training."""
        with self.trained() as simulator:
            simulator.set_state(self.initial)
            before = found(simulator)
        with self.trained() as simulator:
            return before, found(simulator)


def draw(
    pictures: Mapping[str, Picture], folder: pathlib.Path, formats: Sequence[str] = ("png",), *, writes: bool = True
) -> list[pathlib.Path]:
    """Draw pictures as files, each in all ``formats`` (``png``, ``pdf``, ``svg``); return their paths.

    All ranks draw, because they simulate together, and one of them ``writes``.

    Raises
    ------
    ParameterError
        If there is no such format.
    OutputError
        If the files cannot be written.

    Warns
    -----
    FiguresWarning
        If a picture fails; the others are drawn.
    """
    from eprop.plot.style import drawing, save

    for kind in formats:
        check_choice("format", kind, FORMATS)
    figures: dict[str, Figure] = {}
    for name, picture in sorted(pictures.items()):
        with drawing(f"{folder}: picture {name!r}"):
            figures[name] = picture()
    if not writes:
        return []
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    paths = list[pathlib.Path]()
    for name, figure in figures.items():
        with drawing(f"{folder}: picture {name!r}"):
            paths += [save(figure, folder / f"{name}.{kind}") for kind in formats]
    return paths


def draw_trials_of(
    trials: Sequence[tuple[list[JsonObject], JsonObject]], folder: pathlib.Path, formats: Sequence[str] = ("png",)
) -> list[pathlib.Path]:
    """Draw ``learning_curve``, or ``returns`` of trainings from reward, of several seeds: metrics and summary of each.

    Raises
    ------
    CheckpointError
        If none has reported anything; see `draw` for other errors.
    """
    from eprop.plot import draw_returns_of_trials, draw_trials

    lines = [line for metrics, _ in trials for line in metrics]
    if not lines:
        raise CheckpointError(f"{folder}: cannot be drawn, none of {len(trials)} seeds has reported anything yet")
    if any(line.get("return") is not None for line in lines):
        return draw({"returns": lambda: draw_returns_of_trials(trials)}, folder, formats)
    summary = next((summary for _, summary in trials if summary), {})
    score, unit = summary.get("score", "error"), summary.get("loss_unit", "")
    steps = summary.get("loss_steps")
    return draw({"learning_curve": lambda: draw_trials(trials, score, unit, steps)}, folder, formats)


def pictures_of_network(run: Trained) -> dict[str, Picture]:
    """``network`` and ``weights``; ``constants`` that learn, and ``rewiring``, if there are any."""
    from eprop.plot import draw_network

    network = run.simulator.network
    found: dict[str, Picture] = {"network": lambda: _figure(draw_network(network)), "weights": lambda: _weights(run)}
    if any(learned_of(p.model) for p in network.populations):
        found["constants"] = lambda: _constants(run)
    if any(p.rewiring is not None for p in network.projections):
        found["rewiring"] = lambda: _rewiring(run)
    return found


def pictures_of_samples(run: Trained, scoring: Scoring) -> dict[str, Picture]:
    """``learning_curve``, and ``activity`` in a sample; ``confusion`` of classes, or ``pattern`` of curves."""
    from eprop.plot import draw_activity, draw_confusion, draw_learning_curve, draw_pattern

    example, found = run.example, dict[str, Picture]()
    if run.lines:
        unit, steps = loss_unit(scoring.network), None if example is None else steps_of(example)
        found["learning_curve"] = lambda: draw_learning_curve(run.lines, run.summary, scoring.name, unit, steps)
    if run.summary.get("confusion") and scoring.classes:
        found["confusion"] = lambda: _figure(draw_confusion(run.summary["confusion"], scoring.classes))
    if example is not None:
        label = "" if example.labels is None or not scoring.classes else scoring.classes[int(example.labels[0])]

        @functools.cache
        def recorded() -> tuple[Activity, Activity]:
            return run.before_and_after(lambda simulator: record_activity(simulator, example, label))

        found["activity"] = lambda: draw_activity(*recorded())
        if not scoring.classes:
            found["pattern"] = lambda: draw_pattern(*recorded())
    return found


def loss_unit(network: Network) -> str:
    """Unit of the loss of a network's readouts."""
    return "nats" if uses_softmax(network) else "mV²"


def steps_of(samples: Samples) -> float:
    """Steps of a sample that count: the sum of the weights of the learning window."""
    return float(np.abs(samples.window[0]).max(axis=1).sum())


def _figure(axes: Axes) -> Figure:
    return axes.get_figure()  # type: ignore[return-value]


def _weights(run: Trained) -> Figure:
    from eprop.plot import draw_weights

    plastic = [p for p in run.simulator.network.projections if not isinstance(p.rule, Static)]
    before, after = run.before_and_after(lambda simulator: [simulator.connections(p.name) for p in plastic])
    changes = {p.name: paired(old, new) for p, old, new in zip(plastic, before, after, strict=True)}
    return draw_weights(changes, {p.name: p.weight_unit for p in plastic})


def paired(before: _Connections, after: _Connections) -> tuple[np.ndarray, np.ndarray]:
    """Weights of the same connections; those of a connection that one of the two lacks are 0 there."""
    if all(map(np.array_equal, before[:2], after[:2])):
        return before[2], after[2]
    keys = [targets << 32 | sources for sources, targets, _ in (before, after)]
    all_keys = np.union1d(*keys)
    weights = np.zeros((2, all_keys.size))
    for row, own, (_, _, values) in zip(weights, keys, (before, after), strict=True):
        np.add.at(row, np.searchsorted(all_keys, own), values)
    return weights[0], weights[1]


def _constants(run: Trained) -> Figure:
    from eprop.plot import draw_constants

    learned = [(p, name) for p in run.simulator.network.populations for name in learned_of(p.model)]
    before, after = run.before_and_after(lambda simulator: [simulator.parameters(p.name)[name] for p, name in learned])
    names = [f"{p.name}.{name}" for p, name in learned]
    units = [dict(parameters_of(type(p.model)))[name].unit for p, name in learned]
    changes = dict(zip(names, zip(before, after, strict=True), strict=True))
    return draw_constants(changes, dict(zip(names, units, strict=True)))


def _rewiring(run: Trained) -> Figure:
    from eprop.plot import draw_rewiring
    from eprop.plot.moved_synapses import SynapseCounts

    moving = [p for p in run.simulator.network.projections if p.rewiring is not None]
    counts = run.before_and_after(
        lambda simulator: [np.bincount(simulator.connections(p.name)[0], minlength=p.pre.size) for p in moving]
    )
    images = run.experiment.images
    return draw_rewiring({
        p.name: SynapseCounts(before, after, images.get(p.pre.name)) for p, before, after in zip(moving, *counts, strict=True)
    })  # fmt: skip
