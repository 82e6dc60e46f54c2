"""Speed of two versions of the package, in turns, each in a process of its own.

    git worktree add ../before COMMIT
    python benchmarks/versions.py ../before
    python benchmarks/versions.py ../before --case "LIF, delays of 1 to 5 steps, clock" --case nmnist-eprop+
    python benchmarks/versions.py ../before --case "LIF, random, eprop"
    python benchmarks/versions.py ../before --case "nmnist-best-eprop, 2 threads"

The cases, all in single precision:

* those of `event_cost_of_models.py` (1,000 neurons with 1,000 synapses each): spikes by the ``clock``, at ``random``, or
  ``late`` (by the clock after 40,000 silent steps); by e-prop+, or by e-prop;
* ``scaling-MODE`` and ``scaling-MODE-NEURONS``: the network of `scaling.py`, 1,000 synapses for each neuron;
* ``nmnist-RULE`` and ``evidence-RULE``: training of N-MNIST (the embedded digits; ``best``: the network of
  `experiments/nmnist_record.py`, in its batches of 32) and of evidence accumulation.

A case runs on one thread, on ``--threads``, or on the number after its name: ``, 2 threads``. The two processes of a
pair take turns, and the fastest run of each counts. The addresses of arrays differ from process to process: the ratio
is given as mean and standard deviation over pairs. There is no goal; a ratio of 1 means equal speed.

Both versions run with the Python of this script. A checkout with a C++ core needs the core built in place (``pip
install -e . --no-build-isolation``, or see CONTRIBUTING.md). A checkout with Numba loops needs Numba, and compiles
into ``--cache``. The first run of a process does not count. The result is ``versions.json``, with the label at the end
of the name if there is one.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import harness
import numpy as np

HERE = pathlib.Path(__file__).resolve().parents[1]
TASKS = ("nmnist-eprop", "nmnist-eprop+", "evidence-eprop", "evidence-eprop+")
BEST = "nmnist-best-eprop"
SCALING = tuple(f"scaling-{mode}" for mode in ("static", "stdp", "eprop", "eprop+"))
#: Cases without ``--case``.
CASES = (
    "LIF, clock", "LIF, random", "LIF, delays of 1 to 5 steps, clock", "LIF, delays of 1 to 5 steps, random",
    "LIF, delays of 1 to 200 steps, clock", "ALIF, random", "LIF, random, eprop", "LIF, delays of 1 to 5 steps, random, eprop",
    "ALIF, random, eprop", *SCALING, *TASKS, BEST,
    *(f"{case}-10000, 2 threads" for case in SCALING), "nmnist-eprop, 2 threads", "nmnist-eprop+, 2 threads",
)  # fmt: skip
STEPS = 400
#: End of the name of a case on several threads.
ON_THREADS = re.compile(r", (\d+) threads$")
#: Runs before those that count, of a case that is ``late``.
EARLIER = 100


def main() -> None:
    """Compare all cases, print and record."""
    parser = harness.parser(__doc__, repeats=10, threads=1, label=True)
    parser.add_argument("before", type=pathlib.Path, help="checkout of another version")
    parser.add_argument("--case", action="append", help="a case as above; repeatable")
    parser.add_argument("--pairs", type=int, default=4, help="pairs of processes")
    parser.add_argument("--cache", type=pathlib.Path, help="folder for compiled code; the default is a temporary one")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.threads)
        return
    if not (arguments.before / "src" / "eprop").is_dir():
        parser.error(f"{arguments.before}: not a checkout of this package, there is no src/eprop")
    trees = {"before": arguments.before.resolve(), "now": HERE}
    with tempfile.TemporaryDirectory() as folder:
        caches = {name: (arguments.cache or pathlib.Path(folder)).absolute() / name for name in trees}
        found = {
            case: compare(trees, caches, case, arguments.threads, arguments.pairs, arguments.repeats)
            for case in arguments.case or CASES
        }
    ratios = [case["ratio"] for case in found.values()]
    print(f"mean of the ratios {np.mean(ratios):.3f}, largest {max(ratios):.3f}")
    result = {
        "mean_ratio": float(np.mean(ratios)),
        "largest_ratio": max(ratios),
        "threads": arguments.threads,
        "commits": {name: commit(tree) for name, tree in trees.items()},
        "cases": found,
    }
    print(harness.write("versions", result, arguments.label))


def compare(
    trees: dict[str, pathlib.Path], caches: dict[str, pathlib.Path], case: str, threads: int, pairs: int, repeats: int
) -> dict[str, Any]:
    """Return the fastest times of both versions, nanoseconds per event or milliseconds per sample, and their ratios."""
    if found := ON_THREADS.search(case):
        case, threads = case[: found.start()], int(found[1])
    best: dict[str, list[float]] = {name: [] for name in trees}
    for _ in range(pairs):
        processes = {name: started(tree, caches[name], case, threads) for name, tree in trees.items()}
        fastest = dict.fromkeys(trees, math.inf)
        for turn in range(repeats):
            for name in list(trees)[:: 1 if turn % 2 else -1]:
                fastest[name] = min(fastest[name], ask(processes[name]))
        for name, process in processes.items():
            best[name].append(fastest[name])
            process.communicate()
    ratios = np.array(best["now"]) / np.array(best["before"])
    spread = float(ratios.std(ddof=1)) if pairs > 1 else math.nan
    label = f"{case}, {threads} threads" if threads > 1 else case
    means = f"{np.mean(best['before']):9.3f} {np.mean(best['now']):9.3f}"
    print(f"{label:45s} {means}   {ratios.mean():.3f} ± {spread:.3f}", flush=True)
    return {**best, "ratio": float(ratios.mean()), "ratio_sd": spread}


def started(tree: pathlib.Path, cache: pathlib.Path, case: str, threads: int) -> subprocess.Popen[str]:
    """Return a process of one version that has run the case once."""
    # Each version has a variable of its own that limits its threads.
    kept = {
        k: v for k, v in os.environ.items() if k not in ("NUMBA_NUM_THREADS", "EPROP_NUM_THREADS", "EPROP_CORE_FOLDER")
    }
    environment = {**kept, "PYTHONPATH": str(tree / "src"), "EPROP_CACHE_DIR": str(cache), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, __file__, str(tree), "--serve", "--threads", str(threads)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdin is not None
    process.stdin.write(f"{tree / 'src'}\n{case}\n")
    ask(process)
    return process


def ask(process: subprocess.Popen[str]) -> float:
    """Let a process run once more. Returns the time."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("run\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise SystemExit("a process has ended, see above; a case may need what the other version does not have")
    return float(json.loads(line))


def commit(tree: pathlib.Path) -> str:
    """Return the commit of a checkout."""
    done = subprocess.run(
        ["git", "-C", str(tree), "describe", "--always", "--dirty"], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


# ------------------------------------------------------------------------------------------------- the other processes


def serve(threads: int) -> None:
    """Run a case on each request, with the version that this process imports."""
    import eprop

    source, case = sys.stdin.readline().strip(), sys.stdin.readline().strip()
    if not pathlib.Path(eprop.__file__).is_relative_to(source):
        raise SystemExit(f"{eprop.__file__} was imported, not what is in {source}")
    if case in (*TASKS, BEST):
        run = record_of(threads) if case == BEST else task_of(case, threads)
    else:
        run = scaling_of(case, threads) if case.startswith("scaling-") else event_of(case, threads)
    for _ in sys.stdin:
        print(json.dumps(run()), flush=True)


def event_of(case: str, threads: int) -> Callable[[], float]:
    """Return a function that measures the nanoseconds of an event."""
    import event_cost_of_models as event_cost

    import eprop as ep

    rule = "eprop" if case.endswith(", eprop") else "eprop+"
    name, _, when = case.removesuffix(", eprop").rpartition(", ")
    if name not in event_cost.CASES or when not in ("clock", "random", "late"):
        raise SystemExit(
            f"no such case: {case!r}; there are {', '.join((*TASKS, BEST, *SCALING, *event_cost.CASES))} (clock, random or "
            "late; eprop)"
        )
    kind = event_cost.CASES[name]
    given = event_cost.spikes(kind.sources * 1000, STEPS, when != "random")
    simulator = ep.Simulator(event_cost.network(kind, 1000, 1000, rule), threads=threads, precision="single")
    for _ in range(EARLIER if when == "late" else 0):
        event_cost.ns_per_event(simulator, given, STEPS)
    return lambda: event_cost.ns_per_event(simulator, given, STEPS)


def scaling_of(case: str, threads: int) -> Callable[[], float]:
    """Return a function that measures the nanoseconds of an event of the scaling benchmark."""
    from scaling_network import ScalingConfig, network_of

    import eprop as ep

    _, mode, *size = case.split("-")
    neurons = int(size[0]) if size else 1000
    config = ScalingConfig(mode=mode, neurons=neurons, indegree=min(1000, neurons), rate=10.0)
    simulator = ep.Simulator(network_of(config), threads=threads, precision="single")
    steps, target = max(100, STEPS * 1000 // neurons), {"out": np.ones((1, 1, config.readouts))}

    def advance(steps: int) -> None:
        if mode == "eprop":
            simulator.train(simulator.samples(1, steps, targets=target))
        else:
            simulator.run(float(steps), targets={"out": target["out"][0]})

    def run() -> float:
        events, began = simulator.events, time.perf_counter()
        advance(steps)
        return 1e9 * (time.perf_counter() - began) / (simulator.events - events)

    advance(config.warm_up)
    return run


def record_of(threads: int) -> Callable[[], float]:
    """Return a function that measures the milliseconds of learning a sample with the network of the record on N-MNIST."""
    sys.path.append(str(HERE / "experiments"))
    import nmnist_record as record

    from eprop.data import Loader, load_recordings

    network = record.network_of(600, 1)
    data = load_recordings(loader=Loader(n_steps=record.STEPS, dt=record.DT)).train
    size = record.TRAINING.batch_size
    batches = [record.samples_of(network, data.subset(slice(k, k + size))) for k in (0, size)]
    return learning(network, batches, threads)


def task_of(case: str, threads: int) -> Callable[[], float]:
    """Return a function that measures the milliseconds of learning a sample."""
    from eprop.tasks import task_named
    from eprop.training import Stage, scoring_of

    name, rule = case.split("-")
    task = task_named({"nmnist": "nmnist", "evidence": "evidence-accumulation"}[name])(rule=rule)
    dataset = task.training_samples(Stage()).subset(slice(0, 64))
    return learning(task.network, [scoring_of(task, dataset).samples(dataset)], threads)


def learning(network: Any, batches: list[Any], threads: int) -> Callable[[], float]:
    """Return a function that learns all batches, and returns the milliseconds of a sample."""
    import eprop as ep

    simulator, count = ep.Simulator(network, threads=threads, precision="single"), sum(map(len, batches))

    def run() -> float:
        began = time.perf_counter()
        for samples in batches:
            simulator.train(samples)
        return 1e3 * (time.perf_counter() - began) / count

    return run


if __name__ == "__main__":
    main()
