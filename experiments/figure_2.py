"""Figure 2: time-driven against event-driven learning; both rules learn a regression and a classification.

    python experiments/figure_2.py --trials 5 --time-driven 20
    python experiments/figure_2.py --quick

The upper row shows pattern generation, the lower row evidence accumulation. Panels a and c: the loss of every step of the
first four samples, and its difference between the two engines, from the same weights and inputs, in double precision.
Panels b and d: learning curves, mean and standard deviation over the trials, with test scores. A dot is a trial; the error bar
is the square root of the variance between trials plus the variance within a trial.

A time-driven network takes hundreds of times as long. It learns only the first iterations: the number given by
--time-driven, or a tenth of it in the classification, whose iterations have 32 samples.
"""

from __future__ import annotations

import argparse
import pathlib
from dataclasses import dataclass
from typing import Any

import time_driven
import trials
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from trials import BLACK, COLORS, RULES, Score

from eprop.plot import decades, draw_band, letter, new_figure, thousands
from eprop.runs import RunFolder
from eprop.training import SampleLearner, Trainer, Watcher

#: A rule and an engine.
CURVES = {"eprop": "e-prop, event-driven", "time": "e-prop, time-driven", "eprop+": "e-prop+, event-driven"}
CURVE_COLORS = {**COLORS, "time": BLACK}
#: Validation evaluations with e-prop+; points of a curve, each the mean of neighbouring iterations.
EVALUATIONS, GROUPS = 60, 70


@dataclass(frozen=True)
class Side:
    """One of the two tasks: its name and kind, labels of loss and score, samples of a mini-batch, and data settings."""

    task: str
    kind: str
    loss: str
    score: str
    batch: int
    data: dict[str, int]
    quick_data: dict[str, int]
    quick_iterations: int


SIDES = (
    Side("pattern-generation", "regression", "loss of a step (mV²)", "normalised error (%)", 1,
         {"validation": 1}, {}, 40),
    Side("evidence-accumulation", "classification", "loss of a step (nats)", "error (%)", 32,
         {"validation": 128}, {"samples": 320, "test_samples": 64, "validation": 32}, 10),
)  # fmt: skip


def call_of(given: argparse.Namespace, side: Side, rule: str, seed: int) -> trials.Call:
    """Return a training; with e-prop, each mini-batch counts its errors before it is learned."""
    arguments: dict[str, Any] = {"rule": rule, "seed": seed, "precision": "double", **side.data}
    if given.quick:
        arguments |= {**time_driven.QUICK[side.task], **side.quick_data}
    if rule == "eprop":
        arguments["validation"] = 0
    plain = trials.experiment_of((side.task, arguments))
    per_epoch = -(-plain.train.samples // side.batch)
    iterations = given.iterations or (side.quick_iterations if given.quick else plain.epochs * per_epoch)
    training = {
        "epochs": -(-iterations // per_epoch), "batch_size": side.batch, "validations": EVALUATIONS, "reports": iterations,
    }  # fmt: skip
    return side.task, {**arguments, **training}


def train_time_driven(call: trials.Call, path: pathlib.Path, batches: int) -> RunFolder:
    """Train in the time-driven network for so many mini-batches, and test if that is the whole training."""
    run = RunFolder(path)
    if run.summary.is_file():
        return run
    path.mkdir(parents=True, exist_ok=True)
    run.metrics.unlink(missing_ok=True)
    experiment = trials.experiment_of(call)

    def note(trainer: Trainer, line: dict[str, Any]) -> bool:
        run.add_metrics(line)
        return bool(line["samples"] >= batches * experiment.batch_size)

    learner = SampleLearner(experiment, time_driven.TimeDriven(experiment.network))
    Trainer(learner, watcher=Watcher(), callbacks=[note]).run()
    tested = learner.evaluate().summary() if batches >= experiment.reports else {}
    run.write_summary({"samples": learner.done, **tested})
    return run


def trainings(given: argparse.Namespace, folder: pathlib.Path) -> dict[tuple[str, str, int], RunFolder]:
    """Train with all seeds, rules and engines. Returns the runs by kind of task, curve and seed."""
    calls: dict[Any, tuple[Any, ...]] = {}
    for side in SIDES:
        for seed in trials.seeds_of(given):
            for rule in RULES:
                key, call = (side.kind, rule, seed), call_of(given, side, rule, seed)
                calls[key] = (trials.train, call, trials.run_path(folder, key, call))
            call = call_of(given, side, "eprop", seed)
            batches = min(call[1]["reports"], given.time_driven // (1 if side.batch == 1 else 10))
            key = (side.kind, "time", seed)
            if batches:
                calls[key] = (train_time_driven, call, trials.run_path(folder, key, call, batches), batches)
    return trials.side_by_side(calls, given.jobs)


# ------------------------------------------------------------------------------------------------------------- drawing


def draw(seed: int, compared: dict[tuple[str, str, int], Any], runs: dict[tuple[str, str, int], RunFolder]) -> Figure:
    """Draw differences, curves and bars; a row for each task."""
    figure = new_figure(7.2, 4.8)
    axes = figure.subplots(2, 3, width_ratios=(1.15, 1.5, 0.85))
    for row, side, letters in zip(axes, SIDES, ("ab", "cd"), strict=True):
        time_driven.draw_differences(row[0], {rule: compared[side.task, rule, seed] for rule in RULES})
        row[0].set_ylabel(side.loss)
        of = curves_of(runs, side)
        draw_curves(row[1], of, side)
        scores = {c: Score.of_runs(of[c]) for c in of if "test_error" in of[c][0].read_summary()}
        by_name = {short_name(c, "time" in scores): score for c, score in scores.items()}
        colors = [CURVE_COLORS[c] for c in scores]
        trials.draw_scores(row[2], by_name, colors, f"test {side.score}", 2 if side.batch == 1 else 1)
        titles = ("loss; difference of engines", f"{side.kind}: {side.task.replace('-', ' ')}", "test")
        for ax, title in zip(row, titles, strict=True):
            ax.set_title(title)
        for ax, character in zip(row, letters, strict=False):
            letter(ax, character)
    for ax, title in zip(axes[1, :2], ("sample", "iteration"), strict=True):
        ax.set_xlabel(title)
    axes[0, 0].legend(loc="center right", bbox_to_anchor=(1.0, 0.62))
    # The free room inside the axes depends on the settings, so the legend goes outside.
    most = max(axes[:, 1], key=lambda ax: len(ax.get_legend_handles_labels()[1]))
    figure.legend(*most.get_legend_handles_labels(), loc="outside lower center", ncols=len(CURVES))
    return figure


def curves_of(runs: dict[tuple[str, str, int], RunFolder], side: Side) -> dict[str, list[RunFolder]]:
    """Return the runs of each curve of a task, in the order of the legend."""
    found = {c: [run for (kind, curve, _), run in runs.items() if (kind, curve) == (side.kind, c)] for c in CURVES}
    return {curve: of for curve, of in found.items() if of}


def draw_curves(ax: Axes, runs: dict[str, list[RunFolder]], side: Side) -> None:
    """Draw scores over iterations, on a logarithmic axis."""
    last = 1
    for curve, of in runs.items():
        samples, each = trials.curves(of, "samples", "validation_error" if curve == "eprop+" else "error")
        iterations, each = trials.mean_of_neighbours(-(-samples // side.batch), each, GROUPS)
        if curve == "time":  # the same curve as that of events, dashed
            ax.plot(
                iterations, each.mean(axis=0), color=CURVE_COLORS[curve], label=CURVES[curve], ls=(0, (2, 2)), zorder=5
            )
        else:
            draw_band(ax, iterations, each, CURVE_COLORS[curve], CURVES[curve])
        last = max(last, -(-of[0].read_metrics()[-1]["samples"] // side.batch))
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(thousands())
    ax.set_xlim(1, last)
    if side.batch == 1:
        decades(ax)
    else:
        ax.set_ylim(0, None)
    ax.set_ylabel(side.score)


def short_name(curve: str, several_engines: bool) -> str:
    """Return the name of a curve in two lines; the rule alone if there is one engine."""
    rule, engine = CURVES[curve].split(", ")
    return f"{rule}\n{engine.removesuffix('-driven')}" if several_engines else rule


def main() -> None:
    parser = trials.parser(__doc__, trials=10)
    parser.add_argument("--iterations", type=int, help="mini-batches, instead of each task's default")
    parser.add_argument("--time-driven", type=int, default=100, help="mini-batches of the time-driven network, 0: none")
    given = parser.parse_args()
    folder = trials.folder_of(given, "figure-2")
    compared, runs = time_driven.comparisons(given, [given.seed]), trainings(given, folder)
    summary: dict[str, Any] = {"trials": len(trials.seeds_of(given))}
    for (task, rule, _), found in compared.items():
        of = f"{task}, {RULES[rule]}"
        summary[f"{of}: largest relative difference of losses"] = time_driven.largest_difference(found, of)
    for side in SIDES:
        for curve, of_curve in curves_of(runs, side).items():
            if "test_error" in of_curve[0].read_summary():
                summary |= Score.of_runs(of_curve).summary(f"{side.task}, {CURVES[curve]}: test error")
    trials.tell(given, folder, summary, trials.drawn(draw, given, folder / "figure-2", given.seed, compared, runs))


if __name__ == "__main__":
    main()
