"""Figure 5: run time and real-time factor of the scaling benchmark over threads and ranks, compared with NEST."""

from __future__ import annotations

import itertools
import pathlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from eprop.bench import ScalingConfig
from eprop.bench.in_subprocess import has_ranks, measure_in_subprocess
from eprop.bench.scaling import MODES
from eprop.errors import ParameterError
from eprop.figures.jobs import Job, JobRunner
from eprop.figures.paper_figure import PaperFigure
from eprop.figures.tables import Table, Tables, rows, table
from eprop.files import JsonObject
from eprop.parameters import param
from eprop.plot.style import BLACK, BLUE, GREEN, GREY, ORANGE, decades, letter, new_figure, plain
from eprop.training import Watcher

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMES = {"static": "static", "stdp": "STDP", "eprop": "e-prop", "eprop+": "e-prop+"}
COLORS = {"static": BLACK, "stdp": GREEN, "eprop": BLUE, "eprop+": ORANGE}
KINDS = {"strong": "strong scaling", "weak": "weak scaling", "large": "strong scaling, large"}
WORKERS = ("threads", "ranks")
KEYS = (
    "synapses", "synaptic_events", "build_seconds", "run_seconds", "real_time_factor", "ns_per_synaptic_event",
    "bytes_per_synapse", "resident_bytes_per_synapse", "peak_memory_bytes",
)  # fmt: skip
#: Neurons, steps, and neurons of the large network: 10^8 synapses, larger than any cache.
SIZES, QUICK_SIZES = (10_000, 1000, 100_000), (200, 200, 0)
#: Approximate seconds of a measurement, for the remaining time: to start a process, and per neuron.
START, OURS, NESTS = 2.0, 5e-5, 3e-3


def measure(folder: pathlib.Path, watcher: Watcher, config: JsonObject, ranks: int, nest: bool) -> JsonObject:
    """Measure one point once: a job of the figure."""
    fields = {name: value for name, value in config.items() if name != "type"}
    found = measure_in_subprocess(ScalingConfig(**fields), ranks=ranks, nest=nest)
    return {key: found[key] for key in KEYS}


@dataclass(frozen=True, kw_only=True)
class Figure5(PaperFigure):
    """Weak and strong scaling: static, STDP, e-prop and e-prop+, compared with NEST.

    The network is that of ``eprop bench scaling``, with forced spikes at
    5 Hz. Strong scaling: one network on more and more threads, and on as
    many ranks if mpi4py and mpiexec are installed. Weak scaling: a fixed
    number of neurons per thread. Large: strong scaling of a network that is
    larger than any cache, without NEST. Points are means, error bars are
    standard deviations over the trials. The right axis is the run time
    divided by the simulated time; 1 is real time. On two cores the figure
    takes about ten minutes, with NEST about an hour.

    Measure on an otherwise idle machine. Measurements run one at a time,
    whatever --threads says; --workers gives the largest number of threads
    and ranks of the measured networks.

    Examples
    --------
    ::

        eprop figure 5
        eprop figure 5 --compare nest --trials 5
        eprop figure 5 --quick
    """

    number: ClassVar[int] = 5
    title: ClassVar[str] = "weak and strong scaling of four kinds of synapse, compared with NEST"

    trials: int = param(3, kind=int, at_least=1, doc="measurements of each point, with the seeds S, S+1, ...")
    neurons: int | None = param(
        None, kind=int, at_least=4, optional=True,
        doc="neurons; for weak scaling per thread or rank; 10,000, with --quick 200",
    )  # fmt: skip
    large: int | None = param(
        None, kind=int, at_least=0, optional=True, doc="neurons of the large network, 0: none; 100,000, with --quick 0"
    )
    indegree: int = param(
        1000, kind=int, at_least=1, doc="recurrent connections into each neuron, at most the number of neurons"
    )
    rate: float = param(5.0, unit="Hz", above=0.0, doc="rate of the forced spikes")
    steps: int | None = param(
        None, kind=int, at_least=100, optional=True, doc="timed steps of 1 ms; 1,000, with --quick 200"
    )
    workers: int = param(2, kind=int, at_least=1, doc="largest number of threads, and of ranks, in powers of two")
    compare: str | None = param(None, kind=str, optional=True, doc="other simulator to measure, over threads: nest")

    def validate(self) -> None:
        """Check that the other simulator is known."""
        if self.compare not in (None, "nest"):
            raise ParameterError(f'compare takes "nest", got {self.compare!r}')

    def sizes(self) -> tuple[int, int, int]:
        """Neurons, steps and neurons of the large network: given values, or defaults of a whole or a quick figure."""
        neurons, steps, large = QUICK_SIZES if self.quick else SIZES
        return self.neurons or neurons, self.steps or steps, large if self.large is None else self.large

    def compute(self, runner: JobRunner) -> Tables:
        """Measure all points, one process after the other; similar points are close in time."""
        points = list(self._points())
        jobs = {
            _name(p): Job(
                _name(p), measure, {"config": self._config(p), "ranks": p["ranks"], "nest": p["nest"]}, _cost(p)
            )
            for p in points
        }
        runner.watcher.phase(f"{len(jobs)} measurements, one after the other")
        measured = dict(zip(jobs, runner.each(list(jobs.values()), threads=1), strict=True))
        found = [measured[_name(p)] for p in points]
        columns: dict[str, Any] = {
            "kind": [p["kind"] for p in points],
            "simulator": ["NEST" if p["nest"] else "eprop" for p in points],
            **{name: [p[name] for p in points] for name in ("mode", "over", "workers", "seed", "neurons")},
            # A missing measurement is null in JSON.
            **{key: [np.nan if f[key] is None else f[key] for f in found] for key in KEYS},
        }
        each = table(**columns)
        return {"scaling": each, "means": _means(each)}

    def _points(self) -> Iterator[JsonObject]:
        """Points of every seed. One thread equals one rank, and weak scaling starts with a point of strong scaling."""
        neurons, _, large = self.sizes()
        counts = [1 << k for k in range(self.workers.bit_length()) if 1 << k <= self.workers]
        over = WORKERS if has_ranks() else WORKERS[:1]
        for seed in self.seeds:
            for kind in KINDS if large else ("strong", "weak"):
                for count, mode, by in itertools.product(counts, MODES, over):
                    beside_nest = self.compare and by == "threads" and kind != "large"
                    for nest in (False, True) if beside_nest else (False,):
                        yield {
                            "kind": kind, "mode": mode, "over": by, "workers": count, "seed": seed, "nest": nest,
                            "neurons": {"strong": neurons, "weak": neurons * count, "large": large}[kind],
                            "ranks": count if by == "ranks" else 1,
                        }  # fmt: skip

    def _config(self, point: dict[str, Any]) -> dict[str, Any]:
        return ScalingConfig(
            neurons=point["neurons"], indegree=min(self.indegree, point["neurons"]), rate=self.rate,
            steps=self.sizes()[1], mode=point["mode"],
            threads=_threads(point), inputs=1000, readouts=10, seed=point["seed"],
        ).to_dict()  # fmt: skip

    def paint(self, tables: Tables) -> Figure:
        """Draw strong scaling, weak scaling, and strong scaling of a large network if measured."""
        found = tables["scaling"]
        kinds = [kind for kind in KINDS if kind in found["kind"]]
        seconds = float(found["run_seconds"][0] / found["real_time_factor"][0])
        figure = new_figure(2.4 + 2.4 * len(kinds), 3.0)
        axes = figure.subplots(1, len(kinds), sharey=True)
        for ax, kind, name in zip(axes, kinds, "abc", strict=False):
            _draw_kind(ax, rows(found, kind=kind), kind)
            ax.set_title(KINDS[kind])
            letter(ax, name)
        axes[0].set_ylabel("run time (s)")
        right = axes[-1].secondary_yaxis("right", functions=(lambda y: y / seconds, lambda y: y * seconds))
        plain(right.yaxis)
        right.set_ylabel("real-time factor")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right center")
        return figure

    def summary(self, tables: Tables) -> JsonObject:
        """Speed-ups on the most threads, efficiency of weak scaling, and run time of NEST relative to eprop."""
        found, out = tables["scaling"], {}
        top = int(found["workers"].max())
        for mode in MODES:
            ours = rows(found, simulator="eprop", mode=mode)
            for over in sorted(set(ours["over"])):
                strong, weak, large = (rows(rows(ours, over=over), kind=kind) for kind in KINDS)
                out[f"{NAMES[mode]}: speed-up on {top} {over}"] = _time(strong, 1) / _time(strong, top)
                out[f"{NAMES[mode]}: weak scaling on {top} {over}"] = _time(weak, 1) / _time(weak, top)
                if len(large["mode"]):
                    out[f"{NAMES[mode]}: speed-up on {top} {over}, large"] = _time(large, 1) / _time(large, top)
            nest = rows(rows(found, simulator="NEST", mode=mode), kind="strong")
            if len(nest["mode"]):
                first = rows(rows(ours, over="threads"), kind="strong")
                out[f"{NAMES[mode]}: NEST takes longer by"] = _time(nest, 1) / _time(first, 1)
                out[f"{NAMES[mode]}: NEST's speed-up on {top} threads"] = _time(nest, 1) / _time(nest, top)
        return out


def _name(point: JsonObject) -> str:
    """Name of a measurement, which may serve several points."""
    simulator = "nest" if point["nest"] else "eprop"
    mode, threads = point["mode"].replace("+", "-plus"), _threads(point)
    return f"{simulator}-{mode}-{point['neurons']}-neurons-{point['ranks']}x{threads}-{point['seed']}"


def _cost(point: JsonObject) -> float:
    return START + float(point["neurons"]) * (NESTS if point["nest"] else OURS)


def _threads(point: JsonObject) -> int:
    return int(point["workers"]) if point["over"] == "threads" else 1


def _means(each: Table) -> Table:
    """Mean and standard deviation over the seeds of each point; NaN for the deviation of a single seed."""
    names = ("kind", "simulator", "mode", "over", "workers", "neurons")
    points = dict.fromkeys(zip(*(each[name].tolist() for name in names), strict=True))
    of = [rows(each, **dict(zip(names, point, strict=True))) for point in points]
    columns: dict[str, Any] = {
        name: list(column) for name, column in zip(names, zip(*points, strict=True), strict=True)
    }
    columns["trials"] = [part["seed"].size for part in of]
    for key in ("run_seconds", "real_time_factor", "ns_per_synaptic_event", "build_seconds"):
        columns[key] = [part[key].mean() for part in of]
        columns[f"{key}_sd"] = [part[key].std(ddof=1) if part[key].size > 1 else np.nan for part in of]
    return table(**columns)


def _time(of: Table, workers: int) -> float:
    return float(of["run_seconds"][of["workers"] == workers].mean())


def _draw_kind(ax: Axes, found: Table, kind: str) -> None:
    counts = np.unique(found["workers"])
    for simulator, style in (("eprop", "-"), ("NEST", "--")):
        for mode in MODES:
            for over in WORKERS:
                of = rows(rows(found, simulator=simulator, mode=mode), over=over)
                if not len(of["mode"]):
                    continue
                each = [of["run_seconds"][of["workers"] == count] for count in counts]
                mean, spread = (
                    np.array([e.mean() for e in each]),
                    np.array([e.std(ddof=1) if len(e) > 1 else 0.0 for e in each]),
                )
                by_ranks = over == "ranks"
                label = f"{NAMES[mode]}, {'NEST' if simulator == 'NEST' else over}"
                ax.errorbar(
                    counts, mean, spread, ls=":" if by_ranks else style, marker="s" if by_ranks else "o", ms=3.5, lw=1.0,
                    mfc=COLORS[mode] if simulator == "eprop" else "white", color=COLORS[mode], label=label, capsize=2,
                )  # fmt: skip
    if kind != "weak":
        top = float(found["run_seconds"][found["workers"] == counts[0]].max())
        ax.plot(counts, top * counts[0] / counts, color=GREY, lw=0.8, ls="-", zorder=0, label="ideal speed-up")
    ax.set_xscale("log", base=2)
    ax.set_xticks(counts, [str(c) for c in counts])
    ax.minorticks_off()
    decades(ax)
    ax.set_xlabel("threads or ranks")
