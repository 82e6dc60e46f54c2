"""Speed of two threads, or of two ranks, against one thread.

    python benchmarks/thread_speed.py                 # two threads: four modes, two sizes; N-MNIST
    python benchmarks/thread_speed.py --ranks         # two ranks, each a process
    python benchmarks/thread_speed.py --busy          # two threads, with a busy process beside
    python benchmarks/thread_speed.py --defaults      # small networks: the default number of threads against one

The networks are those of `scaling.py` in single precision at 10 Hz. E-prop learns from mini-batches of four
samples of 100 steps, which the threads divide. A row of its own has one sample, of which threads divide the gradients
only.

All settings take turns: threads in one process, ranks in processes of their own. A ratio is the time of one thread by
that of two, the median over the turns. Goals are 1.6 for two threads, and 1.8 for N-MNIST; ranks within a tenth of
threads, and 1.5 for N-MNIST on two ranks; at least 1 for the default.

With a busy process, three threads divide two cores. Two threads can keep two thirds of their speed, one thread all of
it. The script prints by which factor each setting slows down, beside this share.

The results are ``threads.json``, ``threads-ranks.json``, ``threads-busy.json`` and ``threads-defaults.json``.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import harness
import numpy as np
from harness import has_ranks
from scaling import measure_in_subprocess
from scaling_network import MODES, ScalingConfig, network_of, run_steps, run_timed

import eprop as ep
from eprop.training import Stage, scoring_of

WORKERS = 2
#: Threads and ranks of the settings that run in processes of their own.
SETTINGS = {"1 thread": (1, 1), f"{WORKERS} threads": (WORKERS, 1), f"{WORKERS} ranks": (1, WORKERS)}
#: (neurons, in-degree, timed steps)
NETWORKS = ((10_000, 1000, 300), (2000, 1000, 1000))
#: Networks for which the default may choose one thread.
SMALL = ((100, 10, 5000), (1000, 100, 2000), (2000, 100, 2000))
GOALS = {"threads": 1.6, "nmnist, threads": 1.8, "nmnist, ranks": 1.5, "default": 1.0}
#: N-MNIST: samples of a turn, samples of a mini-batch, rule.
SAMPLES, BATCH, NMNIST_RULE = 256, 32, "eprop"
#: Samples of a mini-batch of the networks above, and their steps.
SAMPLES_TOGETHER, SAMPLE_STEPS = 4, 100

#: Seconds of one run.
Run = Callable[[], float]


def main() -> None:
    """Measure all networks, print a line for each and record."""
    parser = harness.parser(__doc__, repeats=5)
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--ranks", action="store_true", help="two ranks instead of two threads")
    kind.add_argument("--busy", action="store_true", help="two threads, with and without a busy process beside")
    kind.add_argument("--defaults", action="store_true", help="small networks, with the default number of threads")
    parser.add_argument(
        "--modes", nargs="+", choices=(*MODES, "nmnist"), default=(*MODES, "nmnist"), help="modes; the default is all"
    )
    parser.add_argument("--neurons", type=int, help="measure one network of this size only")
    parser.add_argument("--indegree", type=int, default=1000, help="in-degree of that network")
    parser.add_argument("--steps", type=int, default=300, help="timed steps of that network")
    arguments = parser.parse_args()
    networks = SMALL if arguments.defaults else NETWORKS
    if arguments.neurons:
        networks = ((arguments.neurons, arguments.indegree, arguments.steps),)
    if arguments.ranks and not has_ranks():
        parser.error("--ranks needs mpi4py and mpiexec")
    name = next((n for n in ("ranks", "busy", "defaults") if getattr(arguments, n)), "")
    rows: list[dict[str, Any]] = []
    for mode in arguments.modes:
        if mode == "nmnist":
            rows += of_nmnist(arguments)
            continue
        for neurons, indegree, steps in networks:
            config = ScalingConfig(mode=mode, neurons=neurons, indegree=indegree, steps=steps, rate=10.0)
            row = {"mode": mode, "neurons": neurons, "indegree": indegree, "steps": steps}
            if mode == "eprop" and not (arguments.busy or arguments.ranks or arguments.defaults):
                together = {"mode": mode, "neurons": neurons, "indegree": indegree, "samples": SAMPLES_TOGETHER}
                rows.append(together | in_turns(runs_of_batches(config, (1, WORKERS)), arguments.repeats))
                tell(rows[-1])
            if arguments.busy:
                rows.append(row | beside_a_busy_process(runs_of(config, (1, WORKERS)), arguments.repeats))
            elif arguments.ranks:
                rows.append(row | over_ranks(config, arguments.repeats))
            else:
                last = None if arguments.defaults else WORKERS
                rows.append(row | in_turns(runs_of(config, (1, last)), arguments.repeats))
            tell(rows[-1])
    result = {"workers": WORKERS, "goals": GOALS, "rows": rows}
    print(harness.write("threads", result, name))


# ------------------------------------------------------------------------------------------------------------- what is run


def runs_of(config: ScalingConfig, counts: tuple[int | None, ...]) -> dict[str, Run]:
    """Return a run of the same network for each number of threads; None is the default of the simulator."""
    network = network_of(config)

    def run_of(threads: int | None) -> Run:
        sim = ep.Simulator(network, threads=threads, precision=config.precision)
        run_steps(sim, config, config.warm_up)

        def run() -> float:
            began = time.perf_counter()
            run_timed(sim, config)
            return time.perf_counter() - began

        return run

    return {label_of(threads): run_of(threads) for threads in counts}


def runs_of_batches(config: ScalingConfig, counts: tuple[int, ...]) -> dict[str, Run]:
    """Return a run of mini-batches of the same network by e-prop, for each number of threads."""
    network, target = network_of(config), np.ones((SAMPLES_TOGETHER, 1, 2))

    def run_of(threads: int) -> Run:
        sim = ep.Simulator(network, threads=threads, precision=config.precision)
        samples = sim.samples(SAMPLES_TOGETHER, SAMPLE_STEPS, targets={"out": target})
        sim.train(samples)

        def run() -> float:
            began = time.perf_counter()
            sim.train(samples)
            return time.perf_counter() - began

        return run

    return {label_of(threads): run_of(threads) for threads in counts}


def runs_of_nmnist(counts: tuple[int | None, ...]) -> dict[str, Run]:
    """Return a run of mini-batches of N-MNIST by e-prop, for each number of threads."""
    task = ep.tasks.nmnist(rule=NMNIST_RULE)
    network, dataset = task.network, task.training_samples(Stage())
    scoring = scoring_of(task, dataset)
    batches = [scoring.samples(dataset.subset(slice(k, k + BATCH))) for k in range(0, SAMPLES, BATCH)]

    def run_of(threads: int | None) -> Run:
        sim = ep.Simulator(network, threads=threads, precision="single")
        sim.train(batches[0])

        def run() -> float:
            began = time.perf_counter()
            for batch in batches:
                sim.train(batch)
            return time.perf_counter() - began

        return run

    return {label_of(threads): run_of(threads) for threads in counts}


def label_of(threads: int | None) -> str:
    """Return the name of a setting."""
    return "default" if threads is None else f"{threads} thread{'s' * (threads > 1)}"


# ----------------------------------------------------------------------------------------------------------- how it is measured


def in_turns(runs: dict[str, Run], repeats: int) -> dict[str, Any]:
    """Return the seconds of each setting, and the ratio of the first setting to each other."""
    return compared(harness.in_turns(runs, repeats))


def compared(found: dict[str, list[float]]) -> dict[str, Any]:
    """Return medians, and how many times faster than the first each other setting is."""
    one, *others = found
    return {
        "seconds": {name: harness.spread(values) for name, values in found.items()},
        "median_seconds": {name: float(np.median(values)) for name, values in found.items()},
        "times_faster": {
            name: float(np.median([a / b for a, b in zip(found[one], found[name], strict=True)])) for name in others
        },
    }


def over_ranks(config: ScalingConfig, repeats: int) -> dict[str, Any]:
    """Measure one thread, two threads and two ranks, each in processes of its own."""

    def seconds(threads: int, ranks: int) -> float:
        return float(measure_in_subprocess(config.replace(threads=threads), ranks=ranks)["run_seconds"])

    return in_turns({name: functools.partial(seconds, *workers) for name, workers in SETTINGS.items()}, repeats)


def of_nmnist(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Measure N-MNIST by e-prop: threads in one process, or ranks that divide the samples of a mini-batch."""
    row: dict[str, Any] = {"mode": "nmnist", "rule": NMNIST_RULE}
    if arguments.ranks:

        def seconds(threads: int, ranks: int) -> float:
            return 1.0 / samples_per_second(threads, ranks)

        runs = {name: functools.partial(seconds, *workers) for name, workers in SETTINGS.items()}
        row |= in_turns(runs, arguments.repeats)
    elif arguments.busy:
        row |= beside_a_busy_process(runs_of_nmnist((1, WORKERS)), arguments.repeats)
    else:
        row |= in_turns(runs_of_nmnist((1, None if arguments.defaults else WORKERS)), arguments.repeats)
    tell(row)
    yield row


def samples_per_second(threads: int, ranks: int) -> float:
    """Return the samples per second of ``eprop train nmnist``; several ranks divide the samples of each mini-batch."""
    words = ["--rule", NMNIST_RULE, "--samples", 4000, "--epochs", 2, "--test-samples", 100, "--threads", threads]
    with tempfile.TemporaryDirectory() as folder:
        words += ["--no-figures", "--out", f"{folder}/run"]
        return float(harness.command_line("train", "nmnist", *words, ranks=ranks)["train_samples_per_second"])


def beside_a_busy_process(runs: dict[str, Run], repeats: int) -> dict[str, Any]:
    """Measure each setting alone and with a busy process beside, in turns."""
    found: dict[str, list[float]] = {}
    with busy_process() as let_run:
        for _ in range(repeats):
            for busy in (False, True):
                for name, run in runs.items():
                    with let_run() if busy else contextlib.nullcontext():
                        found.setdefault(name + ", busy" * busy, []).append(run())
    row = compared(found)
    median, cores = row["median_seconds"], len(os.sched_getaffinity(0))
    row["times_slower_when_busy"] = {name: median[f"{name}, busy"] / median[name] for name in runs}
    # With more programs than cores, the scheduler gives each program the same share.
    row["share"] = {name: max(1.0, (threads + 1) / cores) for name, threads in zip(runs, (1, WORKERS), strict=True)}
    return row


@contextlib.contextmanager
def busy_process() -> Iterator[Callable[[], contextlib.AbstractContextManager[None]]]:
    """Context with a process that computes without end while it may run, and is stopped otherwise."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    process.send_signal(signal.SIGSTOP)

    @contextlib.contextmanager
    def let_run() -> Iterator[None]:
        process.send_signal(signal.SIGCONT)
        try:
            yield
        finally:
            process.send_signal(signal.SIGSTOP)

    try:
        yield let_run
    finally:
        process.kill()
        process.wait()


def tell(row: dict[str, Any]) -> None:
    """Print a line for a network."""
    network = f"{row['neurons']:,} x {row['indegree']:,}" if "neurons" in row else row["rule"]
    cells = [f"{name} {ratio:.2f} times as fast" for name, ratio in row["times_faster"].items() if "busy" not in name]
    for name, slower in row.get("times_slower_when_busy", {}).items():
        cells.append(f"{name} {slower:.2f} times slower when busy (share {row['share'][name]:.2f})")
    if "samples" in row:
        network += f", {row['samples']} samples"
    print(f"{row['mode']:8} {network:26} {'; '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
