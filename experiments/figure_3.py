"""Figure 3: learning curves and test errors of e-prop and e-prop+ on N-MNIST.

    python experiments/figure_3.py
    python experiments/figure_3.py --quick
    python experiments/figure_3.py --trials 3 --mnist mnist/ --range 1000:60000 --epochs 3
    python experiments/figure_3.py --data N-MNIST/

Networks learn by both rules, each with its own tuned settings, with several seeds. The curves are errors on validation
samples, with frozen weights: mean and standard deviation over the trials. The bars are errors on test samples. A dot is a trial;
the error bar is the square root of the variance between trials plus the variance within a trial.

Without options the figure works offline, with digits from a package. The options of the data are those of eprop train nmnist.
"""

from __future__ import annotations

import argparse

import numpy as np
import trials
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from trials import COLORS, RULES, Score

from eprop.plot import decades, draw_band, letter, new_figure, thousands
from eprop.runs import RunFolder

#: Evaluations of the validation samples are the points of a learning curve. They happen at reports, so this divides their number.
EVALUATIONS = 25
QUICK = {"samples": 320, "test_samples": 100, "validation": 100}
Runs = dict[tuple[str, int], RunFolder]


def parser(description: str | None, count: int) -> argparse.ArgumentParser:
    """Return a parser with the options of figures that train on N-MNIST."""
    made = trials.parser(description, count)
    made.add_argument("--data", help="recordings to learn from")
    made.add_argument("--mnist", help="folder of MNIST, from which recordings are simulated")
    made.add_argument("--range", help="training digits of MNIST")
    made.add_argument("--test-data", action="append", help="recordings to test with; repeatable")
    made.add_argument("--samples", type=int, help="training samples")
    made.add_argument("--test-samples", type=int, help="test samples")
    made.add_argument("--validation", type=int, help="validation samples")
    made.add_argument("--epochs", type=int, help="passes over the training samples")
    made.add_argument("--neurons", type=int, help="recurrent neurons")
    return made


def call_of(given: argparse.Namespace, rule: str, seed: int) -> trials.Call:
    """Return the training of one network; a quick one is small unless the options say otherwise."""
    names = ("data", "mnist", "range", "test_data", "samples", "test_samples", "validation")
    data = trials.without_none(**{name: getattr(given, name) for name in names})
    neurons, epochs, evaluations = given.neurons, given.epochs, EVALUATIONS
    if given.quick:
        data, neurons, epochs, evaluations = {**QUICK, **data}, neurons or 50, epochs or 1, 5
    others = trials.without_none(rule=rule, seed=seed, neurons=neurons, epochs=epochs, validations=evaluations)
    return "nmnist", {**data, **others}


def draw(runs: Runs) -> Figure:
    """Draw curves on the left, bars on the right."""
    of_rule = {rule: [run for (r, _), run in runs.items() if r == rule] for rule in RULES}
    figure = new_figure(5.5, 2.6)
    left, right = figure.subplots(1, 2, width_ratios=(3, 1.25))
    draw_curves(left, of_rule)
    scores = {RULES[rule]: Score.of_runs(of) for rule, of in of_rule.items()}
    trials.draw_scores(right, scores, list(COLORS.values()), "test error (%)")
    for ax, name in ((left, "a"), (right, "b")):
        letter(ax, name)
    return figure


def draw_curves(ax: Axes, of_rule: dict[str, list[RunFolder]]) -> None:
    """Draw validation errors over samples."""
    shown = []
    for rule, runs in of_rule.items():
        samples, each = trials.curves(runs, "samples", "validation_error")
        draw_band(ax, samples, each, COLORS[rule], RULES[rule])
        shown.append(each)
    decades(ax)
    ax.set_xlim(0, samples[-1])
    lowest, highest = min(float(np.maximum(e, 0.1).min()) for e in shown), max(float(e.max()) for e in shown)
    ax.set_ylim(0.7 * lowest, 1.15 * highest)
    ax.set_xlabel("samples learned")
    ax.set_ylabel("validation error (%)")
    ax.xaxis.set_major_formatter(thousands())
    ax.legend(loc="upper right")


def main() -> None:
    given = parser(__doc__, 10).parse_args()
    folder = trials.folder_of(given, "figure-3")
    calls = {(rule, seed): call_of(given, rule, seed) for seed in trials.seeds_of(given) for rule in RULES}
    runs = trials.trained(calls, folder, given.jobs)
    first = next(iter(runs.values())).read_summary()
    summary = {"trials": len(trials.seeds_of(given)), "test data": first["test_data"]}
    for rule, name in RULES.items():
        summary |= Score.of_runs([run for (r, _), run in runs.items() if r == rule]).summary(f"{name}: test error")
    trials.tell(given, folder, summary, trials.drawn(draw, given, folder / "figure-3", runs))


if __name__ == "__main__":
    main()
