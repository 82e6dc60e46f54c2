"""Figure 5: weak and strong scaling of static, STDP, e-prop and e-prop+ synapses over threads and ranks, compared with NEST.

    python experiments/figure_5.py
    python experiments/figure_5.py --compare nest --trials 5
    python experiments/figure_5.py --quick

The network is that of benchmarks/scaling.py, with forced spikes at 5 Hz. Strong scaling: one network on more and more
threads, and on as many ranks if mpi4py and mpiexec are installed. Weak scaling: a fixed number of neurons per thread. Large:
strong scaling of a network that is larger than any cache, without NEST. Points are means, error bars are standard deviations
over the trials. The right axis is the run time divided by the simulated time; 1 is real time. On two cores the figure takes
about ten minutes, with NEST about an hour.

Measure on an otherwise idle machine. Measurements run one after the other; each is kept in the folder of the result.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from typing import Any

import numpy as np
import trials
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from trials import BLACK, BLUE, GREEN, GREY, ORANGE

from eprop.plot import decades, letter, new_figure, plain

SCALING = pathlib.Path(__file__).resolve().parents[1] / "benchmarks" / "scaling.py"
NAMES = {"static": "static", "stdp": "STDP", "eprop": "e-prop", "eprop+": "e-prop+"}
MODES = {"static": BLACK, "eprop": BLUE, "eprop+": ORANGE, "stdp": GREEN}
KINDS = {"strong": "strong scaling", "weak": "weak scaling", "large": "strong scaling, large"}
#: Neurons, steps, and neurons of the large network: 10^8 synapses, larger than any cache.
SIZES, QUICK_SIZES = (10_000, 1000, 100_000), (200, 200, 0)
KEYS = (
    "synapses", "synaptic_events", "build_seconds", "run_seconds", "real_time_factor", "ns_per_synaptic_event",
    "bytes_per_synapse", "resident_bytes_per_synapse", "peak_memory_bytes",
)  # fmt: skip
Points = list[dict[str, Any]]


def parse() -> argparse.Namespace:
    """Return the options; sizes that are not given are those of a whole or a quick figure."""
    parser = trials.parser(__doc__, trials=3)
    parser.add_argument("--neurons", type=int, help="neurons; for weak scaling per thread or rank")
    parser.add_argument("--large", type=int, help="neurons of the large network, 0: none")
    parser.add_argument("--steps", type=int, help="timed steps of 1 ms")
    parser.add_argument("--indegree", type=int, default=1000, help="recurrent connections into each neuron at most")
    parser.add_argument("--rate", type=float, default=5.0, help="rate of the forced spikes, Hz")
    parser.add_argument("--workers", type=int, default=2, help="largest number of threads, and of ranks")
    parser.add_argument("--compare", choices=("nest",), help="other simulator to measure, over threads")
    given = parser.parse_args()
    for name, size in zip(("neurons", "steps", "large"), QUICK_SIZES if given.quick else SIZES, strict=True):
        if getattr(given, name) is None:
            setattr(given, name, size)
    return given


def points_of(given: argparse.Namespace, with_ranks: bool) -> Iterator[dict[str, Any]]:
    """Points of every seed. One thread equals one rank, and weak scaling starts with a point of strong scaling."""
    counts = [1 << k for k in range(given.workers.bit_length()) if 1 << k <= given.workers]
    sizes = {"strong": lambda n: given.neurons, "weak": lambda n: given.neurons * n, "large": lambda n: given.large}
    for seed in trials.seeds_of(given):
        for kind in KINDS if given.large else ("strong", "weak"):
            for count, mode, over in itertools.product(counts, MODES, ("threads", "ranks")[: 1 + with_ranks]):
                beside_nest = given.compare and over == "threads" and kind != "large"
                for simulator in ("eprop", "NEST") if beside_nest else ("eprop",):
                    yield {
                        "kind": kind, "simulator": simulator, "mode": mode, "over": over, "workers": count, "seed": seed,
                        "neurons": sizes[kind](count),
                    }  # fmt: skip


def measured(given: argparse.Namespace, point: dict[str, Any], folder: pathlib.Path) -> dict[str, Any]:
    """Return a point with its measurement, which may serve several points, in a process of its own."""
    threads, ranks = (point["workers"], 1) if point["over"] == "threads" else (1, point["workers"])
    options = {
        "neurons": point["neurons"], "indegree": min(given.indegree, point["neurons"]), "rate": given.rate,
        "steps": given.steps, "mode": point["mode"], "threads": threads, "inputs": 1000, "readouts": 10, "seed": point["seed"],
    }  # fmt: skip
    nest = point["simulator"] == "NEST"
    kept = folder / f"{point['simulator']}-{'-'.join(map(str, options.values()))}-on-{ranks}.json"
    if not kept.is_file():
        words = [f"--{name}={value}" for name, value in options.items()]
        launcher = [str(mpiexec()), "-n", str(ranks)] if ranks > 1 else []
        command = [*launcher, sys.executable, str(SCALING), *words, *(["--compare", "nest"] if nest else []), "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        kept.write_text(done.stdout, encoding="utf-8")
    found = json.loads(kept.read_text(encoding="utf-8"))
    return {**point, **{key: (found["nest"] if nest else found)[key] for key in KEYS}}


def mpiexec() -> str | None:
    """Return the launcher of ranks: in the folder of the running Python, or on the PATH; None without mpi4py."""
    if importlib.util.find_spec("mpi4py") is None:
        return None
    return shutil.which("mpiexec", path=os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")]))


# ------------------------------------------------------------------------------------------------------------- drawing


def where(points: Points, **wanted: Any) -> Points:
    """Select points."""
    return [point for point in points if all(point[name] == value for name, value in wanted.items())]


def seconds_on(points: Points, workers: int) -> np.ndarray:
    """Run times of all trials with so many workers."""
    return np.array([point["run_seconds"] for point in where(points, workers=workers)])


def draw(points: Points) -> Figure:
    """Draw strong scaling, weak scaling, and strong scaling of a large network if measured."""
    kinds = [kind for kind in KINDS if where(points, kind=kind)]
    seconds = points[0]["run_seconds"] / points[0]["real_time_factor"]
    figure = new_figure(2.4 + 2.4 * len(kinds), 3.0)
    axes = figure.subplots(1, len(kinds), sharey=True)
    for ax, kind, name in zip(axes, kinds, "abc", strict=False):
        draw_kind(ax, where(points, kind=kind), kind)
        ax.set_title(KINDS[kind])
        letter(ax, name)
    axes[0].set_ylabel("run time (s)")
    right = axes[-1].secondary_yaxis("right", functions=(lambda y: y / seconds, lambda y: y * seconds))
    plain(right.yaxis)
    right.set_ylabel("real-time factor")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
    return figure


def draw_kind(ax: Axes, points: Points, kind: str) -> None:
    """Draw mean and spread of the run time of each mode."""
    counts = sorted({point["workers"] for point in points})
    for simulator, mode, over in itertools.product(("eprop", "NEST"), MODES, ("threads", "ranks")):
        of = where(points, simulator=simulator, mode=mode, over=over)
        if not of:
            continue
        each = [seconds_on(of, count) for count in counts]
        spread = [e.std(ddof=1) if len(e) > 1 else 0.0 for e in each]
        label = f"{NAMES[mode]}, {over if simulator == 'eprop' else simulator}"
        style = ":" if over == "ranks" else "-" if simulator == "eprop" else "--"
        ax.errorbar(
            counts, [e.mean() for e in each], spread, ls=style,
            marker="s" if over == "ranks" else "o", ms=3.5, lw=1.0, mfc=MODES[mode] if simulator == "eprop" else "white",
            color=MODES[mode], label=label, capsize=2,
        )  # fmt: skip
    if kind != "weak":
        top = float(seconds_on(points, counts[0]).max())
        ax.plot(counts, top * counts[0] / np.array(counts), color=GREY, lw=0.8, zorder=0, label="ideal speed-up")
    ax.set_xscale("log", base=2)
    ax.set_xticks(counts, [str(c) for c in counts])
    ax.minorticks_off()
    decades(ax)
    ax.set_xlabel("threads or ranks")


def summary_of(points: Points) -> dict[str, Any]:
    """Speed-ups on the most workers, efficiency of weak scaling, and run time of NEST relative to this package."""
    top, out = max(point["workers"] for point in points), {}

    def ratio(above: Points, below: Points, workers: int = 1, other: int = top) -> float:
        return float(seconds_on(above, workers).mean() / seconds_on(below, other).mean())

    for mode, name in NAMES.items():
        for over in ("ranks", "threads"):
            of = {kind: where(points, simulator="eprop", mode=mode, over=over, kind=kind) for kind in KINDS}
            for kind, what in (
                ("strong", "speed-up"),
                ("weak", "weak scaling"),
                ("large", "speed-up of the large network"),
            ):
                if of[kind]:
                    out[f"{name}: {what} on {top} {over}"] = ratio(of[kind], of[kind])
        if nest := where(points, simulator="NEST", mode=mode, kind="strong"):
            out[f"{name}: NEST takes longer by"] = ratio(nest, of["strong"], other=1)
            out[f"{name}: NEST's speed-up on {top} threads"] = ratio(nest, nest)
    return out


def main() -> None:
    given = parse()
    folder = trials.folder_of(given, "figure-5")
    points = [measured(given, point, folder) for point in points_of(given, mpiexec() is not None)]
    pictures = trials.drawn(draw, given, folder / "figure-5", points)
    trials.tell(given, folder, summary_of(points), pictures, points=points)


if __name__ == "__main__":
    main()
