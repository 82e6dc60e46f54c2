"""Damaged inputs for every reader, for configurations and for `set_state`: how many are accepted and refused, and what
fails.

    python benchmarks/fuzz.py --inputs 1000000
    python benchmarks/fuzz.py --inputs 1000000 --go-on
    python benchmarks/fuzz.py --only TARGET --first NUMBER --inputs 1 --trial     # repeat one input

The goal is no failure: the package accepts an input, or refuses it with an error of its own. Anything else is a
failure. The result ``fuzz.json`` names the target and the number of the input of each failure. The script records
every 20,000 inputs. With ``--go-on`` it continues after the recorded inputs, up to ``--inputs`` in all.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import json
import pathlib
import resource
import sys
import time

import harness

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))
from fuzzing.run import Outcome, run, schedule
from fuzzing.targets import TARGETS

#: Inputs between two records.
RECORDED_EVERY = 20_000


def arguments_given() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = harness.parser(__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="number of inputs of all targets together")
    parser.add_argument("--seconds", type=float, help="time limit, s")
    parser.add_argument("--first", type=int, default=0, help="number of the first input of each target")
    parser.add_argument("--only", metavar="TARGET", help="name of the only target")
    parser.add_argument("--trial", action="store_true", help="record nothing")
    parser.add_argument("--go-on", action="store_true", help="continue after the recorded inputs")
    return parser.parse_args()


def recorded() -> tuple[Outcome, float]:
    """Return the recorded outcome of an earlier call, and its seconds."""
    found = json.loads((harness.RESULTS / "fuzz.json").read_text())["result"]
    counts = (collections.Counter(found[name]) for name in ("accepted", "refused"))
    failures = [{"kind": f["what"].split(" at ")[0][:80], "details": "", **f} for f in found["failures"]]
    slowest = found["slowest"]
    spent = slowest["seconds"], slowest["target"], slowest["number"]
    return Outcome(*counts, failures, spent, found["inputs"]), found["seconds"]


def facts(outcome: Outcome, seconds: float) -> dict:
    """Return the content of the result."""
    spent, target, number = outcome.slowest
    return {
        "inputs": outcome.inputs,
        "seconds": round(seconds, 1),
        "accepted": dict(sorted(outcome.accepted.items())),
        "refused": dict(sorted(outcome.refused.items())),
        "failures": [
            {name: f.get(name) for name in ("target", "number", "times", "what", "repeats")} for f in outcome.failures
        ],
        "slowest": {"seconds": round(spent, 3), "target": target, "number": number},
        "peak_memory_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }


def main() -> None:
    """Try the inputs, print and record the outcome."""
    arguments = arguments_given()
    targets = [t for t in TARGETS if arguments.only in (None, t.name)]
    outcome, before = recorded() if arguments.go_on else (Outcome(), 0.0)
    began = time.monotonic() - before

    def tell(outcome: Outcome) -> None:
        if outcome.inputs % RECORDED_EVERY == 0:
            if not arguments.trial:
                harness.write("fuzz", facts(outcome, time.monotonic() - began))
            kinds = [f"{f['target']} {f['number']}: {f['what']}" for f in outcome.failures]
            print(
                f"{outcome.inputs:,} inputs, {time.monotonic() - began:,.0f} s; {len(kinds)} failures {kinds}",
                flush=True,
            )

    inputs = itertools.islice(schedule(targets, arguments.first), outcome.inputs, None)
    count = arguments.inputs - outcome.inputs
    outcome = run(inputs, count=count, seconds=arguments.seconds, tell=tell, outcome=outcome)
    for failure in outcome.failures:  # a mended failure, or one of the machine, does not repeat
        again = ((target, failure["number"]) for target in TARGETS if target.name == failure["target"])
        failure["repeats"] = bool(run(again).failures)
    found = facts(outcome, time.monotonic() - began)
    print(json.dumps(found, indent=1))
    if not arguments.trial:
        print(harness.write("fuzz", found))


if __name__ == "__main__":
    main()
