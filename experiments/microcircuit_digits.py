r"""A cortical microcircuit learns digits: test error, learning curve, rates and irregularity, over several seeds.

    python experiments/microcircuit_digits.py --samples 2000
    python experiments/microcircuit_digits.py --scale 1 --dt 0.4 --trials 1 --recurrence plastic --threads 2 --samples 800 \
        --minutes 40 --validation 40 --test-samples 200
    python experiments/microcircuit_digits.py --quick

The network is that of `eprop train microcircuit`: with recurrent synapses that learn, with recurrent synapses that keep their
weights, and without them. The test has frozen weights. The result has an entry for each training, with the rates and the
irregularity before and after it. With --minutes, a training ends after this time, of the training alone, and the test follows.

Goals are an error of 15 % after 30 minutes of two cores (silence: 90 %), rates of 0.5 to 15 Hz and a CV of 0.5 to 1.2.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import trials
from trials import Score

import eprop as ep
from eprop.analysis import statistics
from eprop.runs import RunFolder
from eprop.training import Stage, Trainer

RECURRENCE = ("plastic", "static", "none")
#: Points of a learning curve, and of the losses that are kept.
VALIDATIONS, LOSSES = 4, 20
#: Time over which rates and irregularity are taken, ms, as far as there are recordings: slow neurons need many intervals.
OBSERVED = 5000.0
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


def result_of(run: RunFolder, call: trials.Call) -> dict[str, Any]:
    """Return what the result holds of a training."""
    experiment = trials.experiment_of(call)
    arguments: Mapping[str, Any] = experiment.origin.arguments
    recordings = experiment.splits(Stage()).validation
    count = min(len(recordings), round(OBSERVED / arguments["duration"]))
    rows = np.concatenate([recordings.dense(k) for k in range(count)])
    activity = {
        "before": activity_of(ep.Simulator(experiment.network, precision=experiment.precision), rows),
        "after": activity_of(ep.load(run.path).simulator, rows),
    }
    found, lines = run.read_summary(), run.read_metrics()
    simulated = 1e-3 * arguments["duration"] * found["samples_learned"]
    losses = [(line["samples"], line["loss"]) for line in lines if line.get("loss") is not None]
    return {
        "seed": arguments["seed"], "recurrence": arguments["recurrence"], **{key: found[key] for key in KEYS},
        "activity": activity,
        "real_time_factor": found["train_seconds"] / simulated,
        "learning_curve": [(line["samples"], line["validation_error"]) for line in lines if "validation_error" in line],
        "losses": losses[:: max(1, len(losses) // LOSSES)],
    }  # fmt: skip


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
    trials.tell(given, folder, summary, runs=[result_of(runs[key], call) for key, call in chosen.items()])


if __name__ == "__main__":
    main()
