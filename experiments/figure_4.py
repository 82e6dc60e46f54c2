"""Figure 4: one sample in a network before and after learning N-MNIST by e-prop+, and the change of its weights.

    python experiments/figure_4.py
    python experiments/figure_4.py --quick
    python experiments/figure_4.py --trials 1 --seed 5 --neurons 300

Panel a: one test sample in the untrained and in the trained network of the first trial, with frozen weights. It shows events of
the camera, spikes of all neurons, traces of one neuron (its spikes in red), and the ten readouts, with the sample's class in
colour. The neuron is the most active one after training among those that spiked before training. Errors do not count on grey
ground. Panel b: each weight after training over the same weight before. Panel c: the distributions, mean and standard deviation
over the trials. The options of the data are those of figure 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import trials
from figure_3 import call_of, parser
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from trials import BLUE, GREY

from eprop.plot import draw_traces, draw_weight_panels, letter, new_figure, telling_neuron
from eprop.runs import LoadedRun, load
from eprop.training import Stage, record_activity, scoring_of

#: Kinds of weights, as in the paper, by projection.
KINDS = {"in->rec": "input", "rec->rec": "recurrent", "rec->out": "output"}
BINS = 61
#: Weights before and after training by kind, mV.
Changes = dict[str, tuple[np.ndarray, np.ndarray]]


def changes_of(run: LoadedRun) -> Changes:
    """Return the weights before and after training."""
    before = run.untrained()
    return {
        kind: (before.connections(name)[2], run.simulator.connections(name)[2]) for name, kind in KINDS.items()
    }  # fmt: skip


def draw(first: LoadedRun, changes: list[Changes]) -> Figure:
    """Draw traces above, weights below; ``changes`` has an entry for each trial."""
    figure = new_figure(7.2, 9.0)
    parts: Any = figure.subfigures(3, 1, height_ratios=(5.3, 2.25, 1.45))  # several subfigures give an array
    top, middle, bottom = parts
    test = first.experiment.splits(Stage()).test
    sample = scoring_of(first.experiment, test).samples(test.subset([0]))
    before, after = (record_activity(simulator, sample) for simulator in (first.untrained(), first.simulator))
    draw_traces(top, before, after, telling_neuron(before, after))
    draw_weight_panels(middle, {f"{kind} weights": pair for kind, pair in changes[0].items()})
    axes = bottom.subplots(1, len(KINDS))
    for ax, kind in zip(axes, KINDS.values(), strict=True):
        draw_densities(ax, [of_trial[kind] for of_trial in changes])
    axes[0].set_ylabel("density\n(1/mV)")
    axes[-1].legend(loc="upper right")
    for panel, name in zip(parts, "abc", strict=True):
        letter(panel, name)
    return figure


def draw_densities(ax: Axes, pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Draw the distributions of the weights of all trials before and after training, in the same bins."""
    top = max(float(np.abs(weights).max(initial=0.0)) for pair in pairs for weights in pair) or 1.0
    edges = np.linspace(-1.02 * top, 1.02 * top, BINS + 1)
    lowest, highest = np.inf, 0.0
    for weights, color, label in zip(zip(*pairs, strict=True), (GREY, BLUE), ("before", "after"), strict=True):
        each = np.stack([np.histogram(w, edges)[0] / (max(w.size, 1) * np.diff(edges)) for w in weights])
        draw_distribution(ax, edges, each, color, label)
        if each.any():
            lowest, highest = min(lowest, each[each > 0.0].min()), max(highest, each.max())
    if highest:
        ax.set_yscale("log")
        ax.set_ylim(0.7 * lowest, 3.0 * highest)
    ax.set_xlim(edges[0], edges[-1])
    ax.set_xlabel("weight (mV)")


def draw_distribution(ax: Axes, edges: np.ndarray, each: np.ndarray, color: str, label: str) -> None:
    """Draw densities over trials ``each`` (trials, bins): the mean as steps, one standard deviation to either side as a band."""
    mean = each.mean(axis=0)
    if len(each) > 1:
        spread = each.std(axis=0, ddof=1)
        low = np.maximum(mean - spread, 0.0)
        ax.stairs(mean + spread, edges, baseline=low, fill=True, color=color, alpha=0.25, lw=0)
    ax.stairs(mean, edges, color=color, label=label, baseline=None)


def main() -> None:
    given = parser(__doc__, 3).parse_args()
    folder = trials.folder_of(given, "figure-4")
    calls = {("eprop+", seed): call_of(given, "eprop+", seed) for seed in trials.seeds_of(given)}
    runs = trials.trained(calls, folder, given.jobs)
    loaded = [load(run.path, threads=1) for run in runs.values()]
    changes = [changes_of(run) for run in loaded]
    errors = [run.read_summary()["test_error"] for run in runs.values()]
    summary: dict[str, Any] = {"trials": len(runs), "test error (%)": 100 * float(np.mean(errors))}
    for kind, (before, after) in changes[0].items():
        rms = float(np.sqrt(np.mean((after - before) ** 2))) if before.size else 0.0
        summary[f"{kind} weights, rms change (mV)"] = rms
    trials.tell(given, folder, summary, trials.drawn(draw, given, folder / "figure-4", loaded[0], changes))


if __name__ == "__main__":
    main()
