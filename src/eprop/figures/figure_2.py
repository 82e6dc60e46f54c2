"""Figure 2: time-driven against event-driven learning; both rules learn a regression and a classification."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from eprop.engine import Samples
from eprop.errors import warn
from eprop.figures.jobs import Job, JobRunner
from eprop.figures.paper_figure import PaperFigure
from eprop.figures.tables import Table, Tables, rows, stacked, table
from eprop.figures.trainings import curves_of, draw_tests, reports, score_of, test_scores, training_job
from eprop.files import JsonObject
from eprop.parameters import param
from eprop.plot.charts import RULE_COLORS, RULE_NAMES, draw_band, draw_differences
from eprop.plot.style import BLACK, WIDE, decades, letter, new_figure, thousands
from eprop.training import RunConfig, Watcher
from eprop.training.config import make_engine, parse_config
from eprop.training.epoch_order import shuffled
from eprop.training.records import uses_softmax

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RULES = ("eprop", "eprop+")
#: The curves: a rule and an engine.
CURVES = {"eprop": "e-prop, event-driven", "time": "e-prop, time-driven", "eprop+": "e-prop+, event-driven"}
FIRST = 4
"""Iterations that the comparison of losses shows."""
ROUNDING = 1e-6
"""Largest relative difference that rounding alone can cause in these iterations."""
EVALUATIONS = 60
"""Number of validation evaluations with e-prop+."""
GROUPS = 70
"""Neighbouring iterations whose mean is a point of a curve."""
#: Cutoff of e-prop+ in the comparison of losses, ms: longer than all iterations together. Then both engines apply each gradient
#: at a spike. With a shorter cutoff, the event-driven engine applies the gradient earlier, which no loss can show.
NO_CUTOFF = 100_000.0


class EnginesDifferWarning(UserWarning):
    """Two engines that must agree do not agree."""


@dataclass(frozen=True)
class Side:
    """One of the two tasks, with its settings.

    Attributes
    ----------
    task : str
    word : str
        Kind of task, for titles.
    loss, score : str
        Labels of axes.
    data, quick_task, quick_data : dict
        Settings; the quick settings come on top.
    batch, quick_iterations : int
        Samples of a mini-batch; number of mini-batches of a quick figure.
    cost, time_cost : float
        Approximate seconds of a mini-batch, event-driven and time-driven.
    """

    task: str
    word: str
    loss: str
    score: str
    batch: int
    data: Mapping[str, Any]
    quick_task: Mapping[str, Any]
    quick_data: Mapping[str, Any]
    quick_iterations: int
    cost: float
    time_cost: float


SIDES = {
    "regression": Side(
        "pattern-generation", "regression", "loss of a step (mV²)", "normalised error (%)", 1,
        {"validation": 1},
        {"duration": 300.0, "neurons": 40, "inputs": 40}, {},
        40, 0.002, 0.5,
    ),
    "classification": Side(
        "evidence-accumulation", "classification", "loss of a step (nats)", "error (%)", 32,
        {"validation": 128},
        {"cues": 1, "cue": 50.0, "delay": 50.0, "recall": 50.0, "lif": 20, "alif": 20},
        {"samples": 320, "test_samples": 64, "validation": 32},
        10, 0.05, 20.0,
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Figure2(PaperFigure):
    """Time-driven against event-driven learning, for a regression and a classification.

    The upper row shows pattern generation, the lower row evidence
    accumulation. Panels a and c: the loss of every step of the first four
    samples, and its relative difference between the two engines, from the
    same weights and inputs, in double precision. Panels b and d: learning
    curves, mean and standard deviation over the trials, with test scores. A
    dot is a trial; the error bar is the square root of the variance between
    trials plus the variance within a trial.

    A time-driven network takes hundreds of times as long. It learns only the
    first iterations: the number given by --time-driven, or a tenth of it in
    the classification, whose iterations have 32 samples.

    Examples
    --------
    ::

        eprop figure 2
        eprop figure 2 --quick
        eprop figure 2 --trials 3 --time-driven 30
        eprop figure 2 --iterations 900 --time-driven 900
    """

    number: ClassVar[int] = 2
    title: ClassVar[str] = "time-driven and event-driven learning: losses and learning curves"

    iterations: int | None = param(
        None, kind=int, at_least=10, optional=True, doc="mini-batches, instead of each task's default"
    )
    time_driven: int = param(
        100, kind=int, at_least=0, doc="mini-batches of the time-driven network; a tenth for the classification"
    )

    def config(self, side: Side, rule: str, seed: int, engine: str = "event") -> RunConfig:
        """Configuration of one training."""
        task: dict[str, Any] = {"rule": rule, "seed": seed, **(side.quick_task if self.quick else {})}
        data = {**side.data, **(side.quick_data if self.quick else {})}
        if engine == "time" or rule == "eprop":
            data["validation"] = 0  # with e-prop, each mini-batch counts its errors before it is learned
        execution = {"precision": "double", "engine": engine}
        plain = RunConfig.make(side.task, task=task, data=data, run=execution)
        choice: Any = plain.data  # a task that draws its samples has a given number in an epoch
        per_epoch = -(-choice.samples // side.batch)
        iterations = self.iterations or (side.quick_iterations if self.quick else plain.training.epochs * per_epoch)
        training = {
            "epochs": -(-iterations // per_epoch), "batch_size": side.batch, "validations": EVALUATIONS,
            "reports": iterations,
        }  # fmt: skip
        return RunConfig.make(side.task, task=task, data=data, run=execution, training=training)

    def compute(self, runner: JobRunner) -> Tables:
        """Compare losses; train with all seeds, rules and engines."""
        comparisons, trainings = self._comparisons(), self._trainings()
        jobs = [*comparisons.values(), *(job for side in trainings.values() for job in side.values())]
        runner.watcher.phase(f"comparing and learning, {len(jobs)} parts")
        results = iter(runner.each(jobs))
        compared = dict(zip(comparisons, results, strict=False))
        tables: dict[str, Table] = {"differences": _losses_of_steps(compared), "samples": _losses_of_samples(compared)}
        for name, side in SIDES.items():
            runs = dict(zip(trainings[name], results, strict=False))
            tables[f"learning_{name}"] = reports(runs, side.batch)
            tables[f"test_{name}"] = test_scores(runs)
        return tables

    def paint(self, tables: Tables) -> Figure:
        """Draw differences, curves and bars; a row for each task."""
        figure = new_figure(WIDE, 4.8)
        axes = figure.subplots(2, 3, width_ratios=(1.15, 1.5, 0.85))
        for row, (name, side), letters in zip(axes, SIDES.items(), ("ab", "cd"), strict=True):
            test = tables[f"test_{name}"]
            _draw_differences(row[0], rows(tables["differences"], task=name), side)
            _draw_curves(row[1], tables[f"learning_{name}"], side)
            draw_tests(row[2], test, _short_names(test), _COLORS, f"test {side.score}", 2 if side.batch == 1 else 1)
            titles = ("loss; difference of engines", f"{side.word}: {side.task.replace('-', ' ')}", "test")
            for ax, title in zip(row, titles, strict=True):
                ax.set_title(title)
            for ax, character in zip(row, letters, strict=False):
                letter(ax, character)
        for ax, title in zip(axes[1, :2], ("sample", "iteration"), strict=True):
            ax.set_xlabel(title)
        axes[0, 0].legend(loc="center right", bbox_to_anchor=(1.0, 0.62))
        # The free room inside the axes depends on the settings, so the legend goes outside.
        curves = max(axes[:, 1], key=lambda ax: len(ax.get_legend_handles_labels()[1]))
        figure.legend(*curves.get_legend_handles_labels(), loc="outside lower center", ncols=len(CURVES))
        return figure

    def summary(self, tables: Tables) -> JsonObject:
        """Largest differences of losses, and test scores in per cent."""
        out: JsonObject = {}
        for name in SIDES:
            for rule in RULES:
                of_rule = rows(tables["samples"], task=name, rule=rule)
                apart = np.abs(of_rule["event"] - of_rule["time"]) / of_rule["time"]
                largest = float(apart.max())
                of = f"{name}, {RULE_NAMES[rule]}"
                out[f"{of}: largest relative difference of losses"] = largest
                if not largest < ROUNDING:
                    warn(
                        f"{of}: losses of the engines differ by {largest:.1e}, more than rounding allows: one is wrong",
                        EnginesDifferWarning,
                    )
        for name, side in SIDES.items():
            test = tables[f"test_{name}"]
            for curve in _present(test):
                of = f"{name}, {CURVES[curve]}"
                out |= score_of(test, curve, f"{of}: test {side.score}", f"{of}: its spread (%)")
            out[f"{name}: trials"] = len(set(test["seed"]))
        return out

    # ---------------------------------------------------------------- jobs

    def _comparisons(self) -> dict[tuple[str, str], Job]:
        """Jobs by task and rule."""
        jobs = {}
        for name, side in SIDES.items():
            for rule in RULES:
                config = self.config(side, rule, self.seed)
                if rule == "eprop+":
                    config = replace(config, task=config.task.replace(cutoff=NO_CUTOFF))
                cost = 2 * FIRST * side.time_cost / side.batch
                jobs[name, rule] = comparison_job(f"difference-{name}-{rule}", config, FIRST, cost)
        return jobs

    def _trainings(self) -> dict[str, dict[tuple[str, int], Job]]:
        """Jobs by task, then by curve and seed."""
        jobs: dict[str, dict[tuple[str, int], Job]] = {name: {} for name in SIDES}
        for name, side in SIDES.items():
            for seed in self.seeds:
                for rule in RULES:
                    config = self.config(side, rule, seed)
                    total = config.training.reports
                    cost = side.cost * total * (1.0 if rule == "eprop" else 2.0)
                    jobs[name][rule, seed] = training_job(f"{name}-{rule}-{seed}", config, cost)
                batches = min(total, self.time_driven if side.batch == 1 else -(-self.time_driven // 10))
                if batches:
                    config = self.config(side, "eprop", seed, "time")
                    stop = None if batches == total else batches
                    jobs[name]["time", seed] = training_job(
                        f"{name}-time-{seed}", config, side.time_cost * batches, batches=stop
                    )
        return jobs


# ---------------------------------------------------------------------------------------------------------- comparison


def comparison_job(name: str, config: RunConfig, iterations: int, cost: float = 1.0) -> Job:
    """Make a job in which both engines learn a few samples in sequence, with a constant learning rate."""
    training = config.training.replace(batch_size=1, schedule="constant")
    config = replace(config, training=training).absolute()
    return Job(name, compare, {"config": config.to_toml(), "iterations": iterations}, cost)


def compare(folder: pathlib.Path, watcher: Watcher, config: str, iterations: int) -> JsonObject:
    """Losses of both engines.

    Returns
    -------
    dict
        ``event`` and ``time``: each with the losses of the ``samples``, as the engine returns them, and for each sample a
        list with the losses of its ``steps`` in the learning window.
    """
    wanted = RunConfig.make(*parse_config(config, "configuration of a figure"))
    out = {}
    for engine in ("event", "time"):
        watcher.phase(f"engine {engine}")
        execution = wanted.execution.replace(engine=engine, precision="double", threads=1)
        out[engine] = _losses(replace(wanted, execution=execution), iterations)
    return out


def _losses(config: RunConfig, iterations: int) -> JsonObject:
    """Learn the first samples of a training, in the order of the training."""
    task, simulator = config.task, make_engine(config)
    softmax = uses_softmax(simulator.network)
    losses: JsonObject = {"steps": [], "samples": []}
    for iteration in range(iterations):
        epoch, within = divmod(iteration, len(config.data.load(task).train))
        dataset = config.data.load(task, epoch=epoch).train
        where = shuffled(task.seed, epoch, len(dataset))[within]
        samples = task.make_samples(simulator.network, dataset.subset([where]))
        result = simulator.train(samples)
        losses["samples"].append(float(result.loss[0]))
        losses["steps"].append(losses_of_steps(samples, result.y[0], softmax).tolist())
    return losses


def losses_of_steps(samples: Samples, y: np.ndarray, softmax: bool) -> np.ndarray:
    """Loss of each step of the learning window of the first sample, for readouts ``y`` of shape (n_steps, readouts)."""
    target, weight = np.broadcast_to(samples.target[0], y.shape), samples.window[0, :, 0]
    if softmax:
        shifted = y - y.max(axis=1, keepdims=True)
        loss = -(target * (shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))).sum(axis=1)
    else:
        loss = 0.5 * ((y - target) ** 2).sum(axis=1)
    return np.asarray((weight * loss)[weight > 0])


# -------------------------------------------------------------------------------------------------------------- tables


def _losses_of_steps(compared: Mapping[tuple[str, str], JsonObject]) -> Table:
    """A row for each step of each sample; ``compared`` has results of `compare` by task and rule."""
    return stacked(
        [
            table(
                task=task, rule=rule, iteration=number + 1, step=np.arange(len(event)), event=event, time=time,
                difference=np.abs(np.subtract(event, time)),
            )
            for (task, rule), losses in compared.items()
            for number, (event, time) in enumerate(
                zip(losses["event"]["steps"], losses["time"]["steps"], strict=True)
            )
        ]
    )  # fmt: skip


def _losses_of_samples(compared: Mapping[tuple[str, str], JsonObject]) -> Table:
    """A row for each sample."""
    return stacked(
        [
            table(
                task=task, rule=rule, iteration=np.arange(len(losses["event"]["samples"])) + 1,
                event=losses["event"]["samples"], time=losses["time"]["samples"],
            )
            for (task, rule), losses in compared.items()
        ]
    )  # fmt: skip


def _present(of: Table) -> list[str]:
    """Curves of a table, in the order of the legend."""
    return [curve for curve in CURVES if (of["rule"] == curve).any()]


# ------------------------------------------------------------------------------------------------------------- drawing

_COLORS = {**RULE_COLORS, "time": BLACK}


def _draw_differences(ax: Axes, of_task: Table, side: Side) -> None:
    by_rule = {rule: rows(of_task, rule=rule) for rule in RULES}
    draw_differences(
        ax,
        by_rule["eprop"]["time"],
        {RULE_NAMES[rule]: of_rule["difference"] for rule, of_rule in by_rule.items()},
        {RULE_NAMES[rule]: RULE_COLORS[rule] for rule in RULES},
        int(of_task["iteration"].max()),
    )
    ax.set_ylabel(side.loss)


def _draw_curves(ax: Axes, of_task: Table, side: Side) -> None:
    for curve in _present(of_task):
        of_curve = rows(of_task, rule=curve)
        score = "validation_error" if curve == "eprop+" else "error"
        iterations, each = mean_of_neighbours(*curves_of(of_curve, "iteration", score))
        line: dict[str, Any] = {"ls": (0, (2, 2)), "zorder": 5, "filled": False} if curve == "time" else {}
        draw_band(ax, iterations, each, _COLORS[curve], CURVES[curve], **line)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(thousands())
    ax.set_xlim(1, of_task["iteration"].max())
    if side.batch == 1:
        decades(ax)
    else:
        ax.set_ylim(0, None)
    ax.set_ylabel(side.score)


def mean_of_neighbours(iterations: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of neighbouring iterations, evenly spaced on a logarithmic axis; single points would overlap."""
    edges = np.unique(np.geomspace(1, iterations[-1] + 1, GROUPS).astype(int))
    group = np.searchsorted(edges, iterations, side="right")
    firsts = np.flatnonzero(np.diff(group, prepend=-1))
    sizes = np.diff(firsts, append=len(iterations))

    def means(of: np.ndarray) -> np.ndarray:
        out: np.ndarray = np.add.reduceat(of, firsts, axis=-1) / sizes
        return out

    return means(iterations), means(scores)


def _short_names(test: Table) -> dict[str, str]:
    """Names of the curves of a table in two lines; the rule alone if there is one engine."""
    names = {curve: CURVES[curve].split(", ") for curve in _present(test)}
    return {c: f"{rule}\n{e.removesuffix('-driven')}" if "time" in names else rule for c, (rule, e) in names.items()}
