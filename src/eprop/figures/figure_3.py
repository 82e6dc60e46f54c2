"""Figure 3: learning curves and test errors of e-prop and e-prop+ on N-MNIST."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from eprop.figures.jobs import JobRunner
from eprop.figures.nmnist_figure import NMNISTFigure
from eprop.figures.tables import Table, Tables, rows
from eprop.figures.trainings import curves_of, draw_tests, reports, score_of, test_scores, training_job
from eprop.files import JsonObject
from eprop.plot.charts import RULE_COLORS, RULE_NAMES, draw_band
from eprop.plot.style import decades, letter, new_figure, thousands

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RULES = ("eprop", "eprop+")
#: Relative duration of a training with each rule, for the remaining time.
COSTS = {"eprop": 1.0, "eprop+": 1.6}


@dataclass(frozen=True, kw_only=True)
class Figure3(NMNISTFigure):
    """Learning curves and test errors of e-prop and e-prop+ on N-MNIST.

    The figure trains networks by both rules, each with its own tuned settings,
    with several seeds. The curves are errors on validation samples, with
    frozen weights: mean and standard deviation over the trials. The bars are
    errors on test samples. A dot is a trial; the error bar is the square root
    of the variance between trials plus the variance within a trial.

    Without options the figure works offline, with digits from a package.

    Examples
    --------
    ::

        eprop figure 3
        eprop figure 3 --quick
        eprop figure 3 --trials 3 --mnist mnist/ --range 1000:60000 --epochs 3
        eprop figure 3 --data N-MNIST/ --out figures/real
    """

    number: ClassVar[int] = 3
    title: ClassVar[str] = "N-MNIST: learning curves and test errors of both rules"

    def compute(self, runner: JobRunner) -> Tables:
        """Train both rules with all seeds."""
        jobs = {
            (rule, seed): training_job(f"{rule}-{seed}", self.config(rule, seed), COSTS[rule])
            for seed in self.seeds
            for rule in RULES
        }
        runner.watcher.phase(f"learning, {len(jobs)} trainings on {self.describe_data()}")
        results = dict(zip(jobs, runner.each(list(jobs.values())), strict=True))
        return {"learning": reports(results), "test": test_scores(results)}

    def paint(self, tables: Tables) -> Figure:
        """Draw curves on the left, bars on the right."""
        figure = new_figure(5.5, 2.6)
        left, right = figure.subplots(1, 2, width_ratios=(3, 1.25))
        _draw_curves(left, tables["learning"])
        draw_tests(right, tables["test"], {rule: RULE_NAMES[rule] for rule in RULES}, RULE_COLORS, "test error (%)")
        for ax, name in ((left, "a"), (right, "b")):
            letter(ax, name)
        return figure

    def summary(self, tables: Tables) -> JsonObject:
        """Test errors in per cent."""
        test = tables["test"]
        out: JsonObject = {"trials": len(set(test["seed"])), "test_data": str(test["data"][0])}
        for rule in RULES:
            name = f"{RULE_NAMES[rule]}: test error"
            out |= score_of(test, rule, f"{name} (%)", f"{name}, spread (%)")
        return out


def _draw_curves(ax: Axes, learning: Table) -> None:
    shown = 100 * learning["validation_error"]
    for rule in RULES:
        samples, each = curves_of(rows(learning, rule=rule), "samples", "validation_error")
        draw_band(ax, samples, each, RULE_COLORS[rule], RULE_NAMES[rule])
    decades(ax)
    ax.set_xlim(0, samples[-1])
    ax.set_ylim(0.7 * np.nanmin(np.maximum(shown, 0.1)), 1.15 * np.nanmax(shown))
    ax.set_xlabel("samples learned")
    ax.set_ylabel("validation error (%)")
    ax.xaxis.set_major_formatter(thousands())
    ax.legend(loc="upper right")
