"""Damaged inputs for every reader, the configuration and `set_state`: ``python benchmarks/fuzz.py --inputs 1000000``.

Each is accepted, or refused by an error of the package; whatever else happens is a failure, and is recorded with the target and
the number of its input. ``--only TARGET --first NUMBER --inputs 1`` repeats one.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import resource
import sys
import time

import record

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))
from fuzzing.hdf5_targets import HDF5_TARGETS
from fuzzing.run import Outcome, run, schedule
from fuzzing.targets import TARGETS


def main() -> None:
    """Try, print and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, help="end after so many seconds")
    parser.add_argument("--first", type=int, default=0, help="number of the first input of each target")
    parser.add_argument("--only", help="one target by its name")
    parser.add_argument("--trial", action="store_true", help="record nothing")
    arguments = parser.parse_args()
    targets = [t for t in (*TARGETS, *HDF5_TARGETS) if arguments.only in (None, t.name)]
    began = time.monotonic()

    def facts(outcome: Outcome) -> dict:
        spent, target, number = outcome.slowest
        return {
            "inputs": outcome.inputs,
            "seconds": round(time.monotonic() - began, 1),
            "accepted": dict(sorted(outcome.accepted.items())),
            "refused": dict(sorted(outcome.refused.items())),
            "failures": [{name: f[name] for name in ("target", "number", "times", "what")} for f in outcome.failures],
            "slowest": {"seconds": round(spent, 3), "target": target, "number": number},
            "peak_memory_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        }

    def tell(outcome: Outcome) -> None:
        if outcome.inputs % 20_000 == 0:
            if not arguments.trial:
                record.write("fuzz", facts(outcome))
            kinds = [f"{f['target']} {f['number']}: {f['what']}" for f in outcome.failures]
            print(
                f"{outcome.inputs:,} inputs, {time.monotonic() - began:,.0f} s; {len(kinds)} failures {kinds}",
                flush=True,
            )

    inputs = schedule(targets, arguments.first)
    outcome = run(inputs, count=arguments.inputs, seconds=arguments.seconds, tell=tell)
    found = facts(outcome)
    print(json.dumps(found, indent=1))
    if not arguments.trial:
        print(record.write("fuzz", found))


if __name__ == "__main__":
    main()
