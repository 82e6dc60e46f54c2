r"""A cortical microcircuit learns digits: error, learning curve, rates and irregularity, over several seeds.

    python benchmarks/microcircuit_digits.py --keep runs
    python benchmarks/microcircuit_digits.py --scale 1 --seeds 1 --recurrence plastic --threads 2 --samples 800 --minutes 40 \
        --validation 40 --validations 4 --test-samples 200 --set dt=0.4 --label full

Trains ``eprop train microcircuit`` with recurrent synapses that learn, with recurrent synapses that keep their weights, and
without them, and tests with frozen weights. Each training runs in a process of its own; the result is written after each of
them. ``--keep`` leaves the runs in a folder, and a second call skips those that are complete: so two processes can share the
seeds, and a third call joins their results. With ``--minutes``, a training ends after this time (of the training alone), and
the test follows.

Goals are an error of 15 % after 30 minutes of two cores (silence: 90 %), rates of 0.5 to 15 Hz and a CV of 0.5 to 1.2.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import tempfile
from typing import Any

import harness

KINDS = ("plastic", "static", "none")
#: Environment variable that tells the process of a training when it ends, minutes.
MINUTES = "EPROP_BENCHMARK_MINUTES"
#: Parts of a run's summary that are recorded.
KEYS = (
    "test_error", "test_error_sigma", "test_samples", "validation_error", "validation_samples", "samples_learned",
    "train_seconds", "threads", "synapses", "peak_memory_bytes", "activity",
)  # fmt: skip
#: Length of a sample, s: the default of the task.
SAMPLE = 0.1


def main() -> None:
    given = parse()
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in given.seeds:
            for recurrence in given.recurrence:
                runs.append(trained(given, seed, recurrence, given.keep or pathlib.Path(folder)))
                show(runs[-1])
                harness.write("microcircuit-digits", {**settings(given), **summary(runs), "runs": runs}, given.label)
    for recurrence, found in summary(runs).items():
        spread = f" +- {100 * found['sd']:.1f}" if found["sd"] is not None else ""
        print(f"{recurrence}: {100 * found['mean']:.1f}{spread} %, {len(found['values'])} seeds")


def parse() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = harness.parser(__doc__, seeds=[1, 2, 3], threads=1, keep=True, label=True)
    parser.add_argument("--scale", type=float, default=0.1, help="share of the neurons of the full network")
    parser.add_argument("--recurrence", nargs="+", choices=KINDS, default=list(KINDS), help="networks")
    parser.add_argument("--samples", type=int, default=4000, help="recordings to learn from")
    parser.add_argument("--minutes", type=float, help="end each training after this time")
    parser.add_argument("--validation", type=int, default=200, help="validation samples of the learning curve")
    parser.add_argument("--validations", type=int, default=4, help="points of the learning curve")
    parser.add_argument("--test-samples", type=int, default=500, help="test samples")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="setting for eprop train; repeatable"
    )
    return parser.parse_args()


def settings(given: argparse.Namespace) -> dict[str, Any]:
    """Return what all runs share."""
    return {name: getattr(given, name) for name in ("scale", "samples", "minutes", "threads", "set")}


def trained(given: argparse.Namespace, seed: int, recurrence: str, folder: pathlib.Path) -> dict[str, Any]:
    """Train one network, unless its run is complete in ``folder``. Returns what is recorded."""
    parts = ("microcircuit", f"{given.scale:g}", str(given.samples), given.label, recurrence, str(seed))
    where = folder / "-".join(filter(None, parts))
    if not (where / "summary.json").exists():
        options: list[Any] = [
            "--scale",
            given.scale,
            "--recurrence",
            recurrence,
            "--seed",
            seed,
            "--samples",
            given.samples,
        ]
        options += ["--validation", given.validation, "--test-samples", given.test_samples, "--threads", given.threads]
        options += ["--set", f"training.validations={given.validations}", "--no-figures", "--out", where, "--force"]
        for setting in given.set:
            options += ["--set", setting]
        if given.minutes:
            here = str(pathlib.Path(__file__).parent)  # where the callback finds what it imports
            os.environ |= {
                MINUTES: str(given.minutes),
                "PYTHONPATH": os.pathsep.join([here, os.environ.get("PYTHONPATH", "")]),
            }
            options += ["--callback", f"{__file__}:end_in_time"]
        harness.command_line("train", "microcircuit", *options)
    found = json.loads((where / "summary.json").read_text())
    lines = [json.loads(line) for line in (where / "metrics.jsonl").read_text().splitlines()]
    curve = [(line["samples"], line["validation_error"]) for line in lines if "validation_error" in line]
    losses = [(line["samples"], line["loss"]) for line in lines if line.get("loss") is not None]
    factor = found["train_seconds"] / (SAMPLE * found["samples_learned"])
    return {
        "seed": seed, "recurrence": recurrence, **{key: found[key] for key in KEYS}, "real_time_factor": factor,
        "learning_curve": curve, "losses": losses[:: max(1, len(losses) // 20)],
    }  # fmt: skip


def end_in_time(trainer: Any, line: dict[str, Any]) -> bool:
    """Callback of ``eprop train``: whether the time of the training is over."""
    return bool(line["seconds"] > 60.0 * float(os.environ[MINUTES]))


def show(run: dict[str, Any]) -> None:
    """Print one run."""
    print(
        f"{run['recurrence']}, seed {run['seed']}: error {100 * run['test_error']:.1f} +- {100 * run['test_error_sigma']:.1f} % "
        f"after {run['samples_learned']} samples, {run['train_seconds']:.0f} s, real-time factor {run['real_time_factor']:.2f}"
    )
    print("  validation:", ", ".join(f"{samples}: {100 * error:.1f} %" for samples, error in run["learning_curve"]))
    print("  loss:", ", ".join(f"{samples}: {loss:.0f}" for samples, loss in run["losses"]))
    for when, populations in run["activity"].items():
        shown = (f"{name} {each['rate']:.1f} Hz {each['cv'] or 0.0:.2f}" for name, each in populations.items())
        print(f"  rate and CV {when}:", ", ".join(shown), flush=True)


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and spread of the test errors of each kind of network."""
    kinds = dict.fromkeys(run["recurrence"] for run in runs)
    return {kind: harness.spread([run["test_error"] for run in runs if run["recurrence"] == kind]) for kind in kinds}


if __name__ == "__main__":
    main()
