"""The time-driven network as a baseline: every trace of every synapse steps through every time step, straight from the equations.

    python experiments/time_driven.py
    python experiments/time_driven.py --quick --json

An event-driven and a time-driven network learn the same samples from the same weights, in double precision, for both tasks
and rules of figure 2. The result is the largest relative difference of their losses, and the seconds of a sample.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import trials
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter
from trials import COLORS, GREY, RULES

import eprop as ep
from eprop.checks import stimuli_of, time_driven
from eprop.engine import BatchResult, Samples
from eprop.reference import Activity
from eprop.training import Stage, scoring_of

#: Largest relative difference that rounding alone can cause in a few samples.
ROUNDING = 1e-6
#: Cutoff of e-prop+, ms: longer than all samples together. Then both engines apply each gradient at a spike. With a shorter
#: cutoff, the event-driven engine applies the gradient earlier, which no loss can show.
NO_CUTOFF = 100_000.0
SAMPLES = 4
TASKS = ("pattern-generation", "evidence-accumulation")
#: Tasks of a quick comparison.
QUICK: dict[str, dict[str, Any]] = {
    "pattern-generation": {"duration": 300.0, "neurons": 40, "inputs": 40},
    "evidence-accumulation": {"cues": 1, "cue": 50.0, "delay": 50.0, "recall": 50.0, "lif": 20, "alif": 20},
}
#: Position of exact zeros: far below rounding errors of a loss. Points of a sample, each the largest of a few steps.
ZERO, TICKS, POINTS = 1e-20, (-16, -12, -8, -4, 0), 60
Progress = Callable[[int], object] | None


class TimeDriven(ep.Simulator):
    """A simulator that trains and evaluates by `eprop.reference.TimeDriven`: hundreds of times as slow, in double precision.

    It draws the network as every simulator does; `reference` holds the weights that learn. `eprop.training.SampleLearner` takes
    it. Samples start from rest in `evaluate`, as is the default with `EProp`.
    """

    def __init__(self, network: ep.Network):
        super().__init__(network, threads=1, precision="double")
        self.reference, self._learned_steps = time_driven(self), 0
        self._by_batch = any(isinstance(p.rule, ep.EProp) for p in network.projections)

    def scale_learning_rates(self, factor: float) -> None:
        """As `Simulator.scale_learning_rates`."""
        self.reference.learning_rate_factor = factor

    def train(self, samples: Samples, progress: Progress = None) -> BatchResult:
        """As `Simulator.train`."""
        first_step = self._learned_steps if self._by_batch else int(self.reference.counters[1])
        stimuli = stimuli_of(self.network, samples, first_step, learns=True)
        runs = self.reference.train(counted(stimuli, progress))
        self._learned_steps += len(samples) * samples.n_steps
        return self._result(runs)

    def evaluate(self, samples: Samples, *, reset: bool | None = None, progress: Progress = None) -> BatchResult:
        """As `Simulator.evaluate`, each sample from rest."""
        stimuli = stimuli_of(self.network, samples)
        return self._result([self.reference.predict(stimulus) for stimulus in counted(stimuli, progress)])

    def _result(self, runs: list[Activity]) -> BatchResult:
        loss, y = np.array([run.loss.sum() for run in runs]), np.stack([run.y for run in runs])
        if not (np.isfinite(y).all() and np.isfinite(loss).all()):
            raise ep.errors.DivergenceError("the time-driven network diverges: lower the learning rates")
        neurons = self.reference.forward.layout.source_of_neuron
        counts = np.array([run.spikes[:, neurons].sum(axis=0) for run in runs], np.int64)
        populations = [p for p in self.network.populations if p.model.role == "neuron"]
        of_each = np.split(counts.sum(axis=0), np.cumsum([p.size for p in populations])[:-1])
        by_population = {p.name: of for p, of in zip(populations, of_each, strict=True)}
        return BatchResult(loss, y, counts.sum(axis=1), sum(run.events for run in runs), by_population)


def counted(stimuli: Sequence[Any], progress: Progress) -> Iterator[Any]:
    """The stimuli; ``progress`` is called with 1 after each."""
    for stimulus in stimuli:
        yield stimulus
        if progress:
            progress(1)


def call_of(task: str, rule: str, seed: int, quick: bool) -> trials.Call:
    """The task of a comparison; the learning rates are constant."""
    settings = {"rule": rule, "seed": seed, **(QUICK[task] if quick else {})}
    if rule == "eprop+":
        settings["cutoff"] = NO_CUTOFF
    return task, settings


def comparisons(given: argparse.Namespace, seeds: Sequence[int]) -> dict[tuple[str, str, int], Any]:
    """Compare the engines side by side, by task, rule and seed; see `compare`."""
    keys = [(task, rule, seed) for task in TASKS for rule in RULES for seed in seeds]
    return trials.side_by_side({key: (compare, call_of(*key, given.quick), SAMPLES) for key in keys}, given.jobs)


def compare(call: trials.Call, count: int) -> dict[str, dict[str, Any]]:
    """Learn ``count`` samples one after the other in both engines.

    Returns for ``event`` and ``time`` the losses of the ``samples``, (count,), those of each of the ``steps`` in the learning
    window, (count, steps), and the ``seconds`` of a sample.
    """
    experiment, found = trials.experiment_of(call), {}
    network, first = experiment.network, experiment.training_samples(Stage())
    scoring = scoring_of(experiment, first)
    for name, simulator in (
        ("event", ep.Simulator(network, threads=1, precision="double")),
        ("time", TimeDriven(network)),
    ):
        losses, steps, seconds = [], [], 0.0
        for number in range(count):
            epoch, within = divmod(number, len(first))
            samples = scoring.samples(experiment.training_samples(Stage(epoch)).subset([within]))
            began = time.perf_counter()
            result = simulator.train(samples)
            seconds += (time.perf_counter() - began) / count
            losses.append(float(result.loss[0]))
            steps.append(losses_of_steps(network, samples, result.y[0]))
        found[name] = {"samples": np.array(losses), "steps": np.stack(steps), "seconds": seconds}
    return found


def losses_of_steps(network: ep.Network, samples: Samples, y: np.ndarray) -> np.ndarray:
    """Loss of each step of the learning window of the first sample, for readouts ``y`` of shape (n_steps, readouts)."""
    target, weight = np.broadcast_to(samples.target[0], y.shape), samples.window[0, :, 0]
    if isinstance(network.population("out").model.loss, ep.CrossEntropy):
        shifted = y - y.max(axis=1, keepdims=True)
        loss = -(target * (shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))).sum(axis=1)
    else:
        loss = 0.5 * ((y - target) ** 2).sum(axis=1)
    return np.asarray((weight * loss)[weight > 0])


def largest_difference(compared: dict[str, dict[str, Any]], what: str) -> float:
    """Largest relative difference of the losses of samples; warns if it is more than rounding."""
    event, stepped = compared["event"]["samples"], compared["time"]["samples"]
    largest = float((np.abs(event - stepped) / stepped).max())
    if not largest < ROUNDING:
        warnings.warn(
            f"{what}: losses of the engines differ by {largest:.1e}, more than rounding allows: one is wrong",
            stacklevel=2,
        )
    return largest


def draw_differences(ax: Axes, compared: dict[str, Any]) -> None:
    """Draw the loss of each step, and the absolute difference between the engines by rule; the lowest tick is zero."""
    loss = compared["eprop"]["time"]["steps"]
    for border in range(1, len(loss)):
        ax.axvline(border + 0.5, color="#BBBBBB", lw=0.5, ls=(0, (4, 3)), zorder=0)
    draw_largest(ax, loss, color=GREY, label="loss")
    for rule, of in compared.items():
        difference = np.abs(of["event"]["steps"] - of["time"]["steps"])
        draw_largest(ax, difference, color=COLORS[rule], label=f"difference, {RULES[rule]}")
    ax.set_yscale("log")
    ax.set_yticks([ZERO, *(10.0**k for k in TICKS)], ["0", *(f"$\\mathdefault{{10^{{{k}}}}}$" for k in TICKS)])
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_ylim(ZERO / 5, 10.0 * max(float(loss.max()), 1.0))
    ax.set_xticks(range(1, len(loss) + 1))
    ax.tick_params(axis="x", length=0)
    ax.set_xlim(0.5, len(loss) + 0.5)


def draw_largest(ax: Axes, values: np.ndarray, color: str, label: str) -> None:
    """Draw the largest values of a few consecutive steps; ``values`` has a row for each sample."""
    chunks = np.array_split(values, min(POINTS, values.shape[1]), axis=1)
    largest = np.stack([chunk.max(axis=1) for chunk in chunks], axis=1)
    x = np.arange(largest.shape[1]) / largest.shape[1] + 0.5 / largest.shape[1] - 0.5
    for number, row in enumerate(largest, start=1):  # a separate line each, because time jumps between samples
        ax.plot(number + x, np.maximum(row, ZERO), color=color, lw=0.9, label=label if number == 1 else None)


def main() -> None:
    given = trials.parser(__doc__, trials=1).parse_args()
    summary: dict[str, Any] = {}
    for (task, rule, seed), compared in comparisons(given, trials.seeds_of(given)).items():
        of = f"{task}, {RULES[rule]}, seed {seed}"
        summary[f"{of}: largest relative difference of losses"] = largest_difference(compared, of)
        for engine, found in compared.items():
            summary[f"{of}: {engine}-driven, seconds of a sample"] = found["seconds"]
    trials.tell(given, trials.folder_of(given, "time-driven"), summary)


if __name__ == "__main__":
    main()
