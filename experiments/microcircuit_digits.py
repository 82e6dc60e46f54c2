r"""A cortical microcircuit learns digits: test error, learning curve, rates and irregularity, over several seeds.

    python experiments/microcircuit_digits.py --samples 2000
    python experiments/microcircuit_digits.py --scale 1 --dt 0.4 --trials 1 --recurrence plastic static --threads 2 --jobs 1 \
        --samples 2000 --validation 40 --test-samples 200
    python experiments/microcircuit_digits.py --quick

The network is that of `eprop train microcircuit`: with recurrent synapses that learn, with recurrent synapses that keep their
weights, and without them. The test has frozen weights. The result has an entry for each training, with the rates, the
irregularity and the weights from E to E before and after it; a figure shows them. With --minutes, a training ends after this
time, of the training alone, and the test follows.

Goals are an error of 15 % after 30 minutes of two cores (silence: 90 %), rates of 0.5 to 15 Hz and a CV of 0.5 to 1.2.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import trials
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from trials import BLUE, GREEN, GREY, ORANGE, Score

import eprop as ep
from eprop.analysis import statistics
from eprop.networks import POPULATIONS, Microcircuit
from eprop.plot import letter, new_figure
from eprop.runs import RunFolder
from eprop.training import Stage, Trainer

RECURRENCE = ("plastic", "static", "none")
EXCITATORY = POPULATIONS[0::2]
#: Points of a learning curve, and of the losses that are kept.
VALIDATIONS, LOSSES = 4, 20
#: Time over which rates and irregularity are taken, ms, as far as there are recordings: slow neurons need many intervals.
OBSERVED = 5000.0
#: Bins of the distribution of weights from E to E, between the bounds of the rule.
BINS = 80
COLORS = {"plastic": BLUE, "static": ORANGE, "none": GREEN}
QUICK = {"scale": 0.02, "samples": 20, "test_samples": 4, "validation": 4}
#: Parts of a run's summary that stand in the result.
KEYS = (
    "test_error", "test_error_sigma", "test_samples", "validation_error", "validation_samples", "samples_learned",
    "train_seconds", "threads", "synapses", "peak_memory_bytes",
)  # fmt: skip


def parse() -> argparse.Namespace:
    """Return the options; a quick experiment is small unless they say otherwise."""
    parser = trials.parser(__doc__, trials=3)
    parser.add_argument("--scale", type=float, default=0.1, help="share of the neurons of the full network")
    parser.add_argument("--recurrence", nargs="+", choices=RECURRENCE, default=list(RECURRENCE), help="networks")
    parser.add_argument("--samples", type=int, default=4000, help="recordings to learn from")
    parser.add_argument("--test-samples", type=int, default=500, help="recordings of the test")
    parser.add_argument("--validation", type=int, default=200, help="recordings of the learning curve")
    parser.add_argument("--minutes", type=float, help="end each training after this time")
    parser.add_argument("--dt", type=float, help="length of a step, ms")
    parser.add_argument("--threads", type=int, default=1, help="threads of each network")
    given = parser.parse_args()
    return parser.parse_args(namespace=argparse.Namespace(**QUICK)) if given.quick else given


def call_of(given: argparse.Namespace, recurrence: str, seed: int) -> trials.Call:
    """Return a training."""
    network = trials.without_none(scale=given.scale, recurrence=recurrence, seed=seed, dt=given.dt)
    data = {name: getattr(given, name) for name in ("samples", "test_samples", "validation")}
    return "microcircuit", {**network, **data, "validations": VALIDATIONS}


def is_over(minutes: float, trainer: Trainer, line: dict[str, Any]) -> bool:
    """Callback of a training: whether its time is over."""
    return bool(line["seconds"] > 60.0 * minutes)


def activity_of(simulator: ep.Simulator, rows: np.ndarray) -> dict[str, dict[str, float]]:
    """Return rate (Hz) and coefficient of variation of each population, with inputs ``rows`` (steps, channels)."""
    sizes = {p.name: p.size for p in simulator.network.populations if p.model.role == "neuron"}
    duration = len(rows) * simulator.network.dt
    spikes = simulator.run(duration, {"in": rows}, learn=False, spikes=list(sizes)).spikes
    found, _ = statistics(spikes, sizes, start=simulator.time - duration, stop=simulator.time)
    return {name: {what: values[what] for what in ("rate", "cv")} for name, values in found.items()}


def weights_of(simulator: ep.Simulator, edges: np.ndarray) -> np.ndarray:
    """Return how many weights from E to E lie between each two edges."""
    pairs = [p.name for p in simulator.network.projections if {p.pre.name, p.post.name} <= set(EXCITATORY)]
    return sum(
        (np.histogram(simulator.connections(name)[2], edges)[0] for name in pairs), np.zeros(len(edges) - 1, int)
    )


def result_of(run: RunFolder, call: trials.Call) -> dict[str, Any]:
    """Return what the result holds of a training."""
    experiment = trials.experiment_of(call)
    arguments: Mapping[str, Any] = experiment.origin.arguments
    recordings = experiment.splits(Stage()).validation
    count = min(len(recordings), round(OBSERVED / arguments["duration"]))
    rows = np.concatenate([recordings.dense(k) for k in range(count)])
    edges = np.linspace(0.0, 4.0 * Microcircuit(arguments["scale"], arguments["scale"]).background_weight, BINS + 1)
    activity, weights = {}, {"edges": edges.tolist()}
    for when in ("before", "after"):
        # One at a time: at full scale each has gigabytes.
        first = when == "before"
        simulator = (
            ep.Simulator(experiment.network, precision=experiment.precision) if first else ep.load(run.path).simulator
        )
        activity[when], weights[when] = activity_of(simulator, rows), weights_of(simulator, edges).tolist()
    found, lines = run.read_summary(), run.read_metrics()
    simulated = 1e-3 * arguments["duration"] * found["samples_learned"]
    losses = [(line["samples"], line["loss"]) for line in lines if line.get("loss") is not None]
    return {
        "seed": arguments["seed"], "recurrence": arguments["recurrence"], **{key: found[key] for key in KEYS},
        "activity": activity, "weights": weights,
        "real_time_factor": found["train_seconds"] / simulated,
        "learning_curve": [(line["samples"], line["validation_error"]) for line in lines if "validation_error" in line],
        "losses": losses[:: max(1, len(losses) // LOSSES)],
    }  # fmt: skip


def draw(results: Mapping[str, list[dict[str, Any]]]) -> Figure:
    """Draw learning curves, rates, irregularity and weights from E to E; ``results`` has the entries of each network."""
    figure = new_figure(7.2, 5.6)
    axes = figure.subplots(2, 2).flat
    draw_errors(axes[0], results)
    draw_activity(axes[1], results, "rate", "rate (Hz)", (0.5, 15.0))
    draw_activity(axes[2], results, "cv", "CV of intervals", (0.5, 1.2))
    if "plastic" in results:
        draw_weights(axes[3], results["plastic"])
    for ax, name in zip(axes, "abcd", strict=True):
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
        letter(ax, name)
    return figure


def draw_errors(ax: Axes, results: Mapping[str, list[dict[str, Any]]]) -> None:
    """Draw the learning curve of each training, from chance, and at its end the error of the test."""
    for kind, runs in results.items():
        for k, run in enumerate(runs):
            samples, errors = np.transpose([(0, 0.9), *run["learning_curve"]])
            ax.plot(samples, 100 * errors, color=COLORS[kind], lw=1.0, label=None if k else f"{kind}, validation")
            test, spread = 100 * run["test_error"], 100 * run["test_error_sigma"]
            end = {"fmt": "D", "ms": 4, "capsize": 2.5, "color": COLORS[kind], "label": None if k else f"{kind}, test"}
            ax.errorbar([1.03 * samples[-1]], [test], [spread], **end)
    ax.set_xlabel("recordings")
    ax.set_ylim(0, 105)
    ax.set_ylabel("error (%)")


def draw_activity(
    ax: Axes, results: Mapping[str, list[dict[str, Any]]], what: str, label: str, goal: tuple[float, float]
) -> None:
    """Draw a mean over trials for each population, before and after; ``goal`` is the range that is asked for."""
    ax.axhspan(*goal, color=GREY, alpha=0.12, lw=0)
    for k, (kind, runs) in enumerate(results.items()):
        for when, face in (("before", "white"), ("after", COLORS[kind])):
            means = np.mean([[found[what] for found in run["activity"][when].values()] for run in runs], axis=0)
            points = {"color": COLORS[kind], "mfc": face, "ls": "", "marker": "o", "ms": 4}
            ax.plot(np.arange(len(means)) + 0.2 * k, means, label=f"{kind}, {when}", **points)
    ax.set_xticks(range(len(POPULATIONS)), POPULATIONS)
    ax.set_ylabel(label)
    ax.set_ylim(bottom=0)


def draw_weights(ax: Axes, runs: list[dict[str, Any]]) -> None:
    """Draw the distribution of the weights from E to E that learn, before and after, of all trials together."""
    edges = np.array(runs[0]["weights"]["edges"])
    for when, color in (("before", GREY), ("after", COLORS["plastic"])):
        counts = np.sum([run["weights"][when] for run in runs], axis=0)
        ax.stairs(counts / (counts.sum() * np.diff(edges)), edges, baseline=None, color=color, label=f"plastic, {when}")
    ax.set_yscale("log")
    ax.set_xlabel("weight from E to E (pA)")
    ax.set_ylabel("density (1/pA)")


def main() -> None:
    given = parse()
    folder, seeds = trials.folder_of(given, "microcircuit-digits"), trials.seeds_of(given)
    chosen = {(kind, seed): call_of(given, kind, seed) for seed in seeds for kind in given.recurrence}
    callbacks = [] if given.minutes is None else [functools.partial(is_over, given.minutes)]
    calls = {
        key: (trials.train, call, trials.run_path(folder, key, call, given.minutes), callbacks, given.threads)
        for key, call in chosen.items()
    }
    runs = trials.side_by_side(calls, given.jobs)
    summary: dict[str, Any] = {"trials": len(seeds)}
    for kind in given.recurrence:
        summary |= Score.of_runs([runs[kind, seed] for seed in seeds]).summary(f"{kind}: test error")
    results = {kind: [result_of(runs[kind, seed], chosen[kind, seed]) for seed in seeds] for kind in given.recurrence}
    pictures = trials.drawn(draw, given, folder / "microcircuit-digits", results)
    trials.tell(given, folder, summary, pictures, runs=[run for of_kind in results.values() for run in of_kind])


if __name__ == "__main__":
    main()
