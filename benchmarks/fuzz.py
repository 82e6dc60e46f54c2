"""Damaged inputs for every reader, the configuration and `set_state`: ``python benchmarks/fuzz.py --inputs 1000000``.

Each is accepted, or refused by an error of the package; whatever else happens is a failure, and is recorded with the target and
the number of its input. ``--only TARGET --first NUMBER --inputs 1`` repeats one. What is tried is recorded every 20,000 inputs;
``--go-on`` goes on behind what is recorded, until there are so many in all.
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

import record

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))
from fuzzing.registry import ALL
from fuzzing.run import Outcome, run, schedule

#: Inputs between two records.
RECORDED_EVERY = 20_000


def arguments_given() -> argparse.Namespace:
    """From the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, help="end after so many seconds")
    parser.add_argument("--first", type=int, default=0, help="number of the first input of each target")
    parser.add_argument("--only", help="one target by its name")
    parser.add_argument("--trial", action="store_true", help="record nothing")
    parser.add_argument("--go-on", action="store_true", help="go on behind what is recorded")
    return parser.parse_args()


def recorded() -> tuple[Outcome, float]:
    """What an earlier call has recorded, and the seconds that it took."""
    found = json.loads((record.RESULTS / "fuzz.json").read_text())["result"]
    counts = (collections.Counter(found[name]) for name in ("accepted", "refused"))
    failures = [{"kind": f["what"].split(" at ")[0][:80], "details": "", **f} for f in found["failures"]]
    slowest = found["slowest"]
    spent = slowest["seconds"], slowest["target"], slowest["number"]
    return Outcome(*counts, failures, spent, found["inputs"]), found["seconds"]


def facts(outcome: Outcome, seconds: float) -> dict:
    """What is recorded."""
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
    """Try, print and record."""
    arguments = arguments_given()
    targets = [t for t in ALL if arguments.only in (None, t.name)]
    outcome, before = recorded() if arguments.go_on else (Outcome(), 0.0)
    began = time.monotonic() - before

    def tell(outcome: Outcome) -> None:
        if outcome.inputs % RECORDED_EVERY == 0:
            if not arguments.trial:
                record.write("fuzz", facts(outcome, time.monotonic() - began))
            kinds = [f"{f['target']} {f['number']}: {f['what']}" for f in outcome.failures]
            print(
                f"{outcome.inputs:,} inputs, {time.monotonic() - began:,.0f} s; {len(kinds)} failures {kinds}",
                flush=True,
            )

    inputs = itertools.islice(schedule(targets, arguments.first), outcome.inputs, None)
    count = arguments.inputs - outcome.inputs
    outcome = run(inputs, count=count, seconds=arguments.seconds, tell=tell, outcome=outcome)
    for failure in outcome.failures:  # what was mended since, or was the machine's, does not
        again = ((target, failure["number"]) for target in ALL if target.name == failure["target"])
        failure["repeats"] = bool(run(again).failures)
    found = facts(outcome, time.monotonic() - began)
    print(json.dumps(found, indent=1))
    if not arguments.trial:
        print(record.write("fuzz", found))


if __name__ == "__main__":
    main()
