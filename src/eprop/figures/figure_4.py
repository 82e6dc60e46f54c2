"""Figure 4: one sample in a network before and after learning N-MNIST by e-prop+, and the change of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from eprop.figures.jobs import RUN, Job, JobRunner
from eprop.figures.nmnist_figure import NMNISTFigure
from eprop.figures.tables import Table, Tables, rows, stacked, table
from eprop.figures.trainings import training_job
from eprop.files import JsonObject
from eprop.parameters import param
from eprop.plot.activity import draw_traces, telling_neuron
from eprop.plot.run_figures import weight_changes
from eprop.plot.style import BLUE, GREY, WIDE, letter, new_figure
from eprop.plot.weight_change import draw_distribution, draw_weight_panels
from eprop.training import load
from eprop.training.records import Activity, record_activity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Kinds of weights, as in the paper, by projection.
KINDS = {"in->rec": "input", "rec->rec": "recurrent", "rec->out": "output"}
NETWORKS = ("before", "after")
BINS = 61
#: Columns of the table of traces: of one neuron, and of all readouts. ``output`` is the readout, or the softmax of all.
TRACES = {"v": "v_mV", "threshold": "threshold_mV", "psi": "psi", "learning_signal": "learning_signal"}
READOUTS = ("y", "output", "target", "error")


@dataclass(frozen=True, kw_only=True)
class Figure4(NMNISTFigure):
    """Dynamics and weights before and after learning N-MNIST by e-prop+.

    Panel a: one test sample in the untrained and in the trained network, with
    frozen weights. It shows events of the camera, spikes of all neurons,
    traces of one neuron (its spikes in red), and the ten readouts, with the
    sample's class in colour. The neuron is the most active one after training
    among those that spiked before training. Errors do not count on grey
    ground. Panel b: each weight after training over the same weight before.
    Panel c: the distributions, mean and standard deviation over the trials.

    Examples
    --------
    ::

        eprop figure 4
        eprop figure 4 --quick
        eprop figure 4 --trials 1 --seed 5 --neurons 300
        eprop figure 4 --mnist mnist/ --range 1000:60000
    """

    number: ClassVar[int] = 4
    title: ClassVar[str] = "N-MNIST: dynamics and weights before and after training"

    trials: int = param(3, kind=int, at_least=1, doc="trials for the distributions of weights; quick: at most 2")

    def compute(self, runner: JobRunner) -> Tables:
        """Train with all seeds; record the activity of the first network."""
        jobs = [training_job(f"eprop+-{seed}", self.config("eprop+", seed)) for seed in self.seeds]
        runner.watcher.phase(f"learning, {len(jobs)} trainings on {self.describe_data()}")
        results = runner.each(jobs)
        runner.watcher.phase("recording activity and weights")
        changes = {seed: _changes(runner, job) for seed, job in zip(self.seeds, jobs, strict=True)}
        facts = table(seed=self.seeds, error=[result["summary"]["test_error"] for result in results])
        return {
            **_sample(runner, jobs[0]),
            "weights": _weights(changes[self.seed]),
            "distributions": _distributions(changes),
            "trials": facts,
        }

    def paint(self, tables: Tables) -> Figure:
        """Draw traces above, weights below."""
        figure = new_figure(WIDE, 9.0)
        parts: Any = figure.subfigures(3, 1, height_ratios=(5.3, 2.25, 1.45))  # several subfigures give an array
        top, middle, bottom = parts
        neuron = int(tables["sample"]["neuron"][0])
        before, after = _activities(tables, neuron)
        draw_traces(top, before, after, neuron)
        of_kind = {kind: rows(tables["weights"], kind=kind) for kind in KINDS.values()}
        changes = {f"{kind} weights": (w["before_mV"], w["after_mV"]) for kind, w in of_kind.items()}
        draw_weight_panels(middle, changes)
        axes = bottom.subplots(1, len(KINDS))
        for ax, kind in zip(axes, KINDS.values(), strict=True):
            _draw_densities(ax, rows(tables["distributions"], kind=kind))
        axes[0].set_ylabel("density\n(1/mV)")
        axes[-1].legend(loc="upper right")
        for panel, name in ((top, "a"), (middle, "b"), (bottom, "c")):
            letter(panel, name)
        return figure

    def summary(self, tables: Tables) -> JsonObject:
        """RMS change of the weights of the first trial, mV, and test errors in per cent."""
        out: JsonObject = {
            "trials": tables["trials"]["seed"].size,
            "test error (%)": 100 * float(tables["trials"]["error"].mean()),
        }
        for kind in KINDS.values():
            weights = rows(tables["weights"], kind=kind)
            change = weights["after_mV"] - weights["before_mV"]
            out[f"{kind} weights, rms change (mV)"] = float(np.sqrt(np.mean(change**2))) if change.size else 0.0
        return out


# ------------------------------------------------------------------------------------------------------------- compute


def _sample(runner: JobRunner, job: Job) -> dict[str, Table]:
    """Traces, spikes and facts of the run's test sample, before and after training."""
    run = load(runner.path(job) / RUN, threads=1)
    task, sample = run.config.task, run.config.data.unpack(run.config.task, run.checkpoint.example)
    both = [record_activity(task, simulator, sample) for simulator in (run.untrained(), run.simulator)]
    neuron = telling_neuron(*both)
    traces, spikes = [], []
    for network, activity in zip(NETWORKS, both, strict=True):
        single = {column: getattr(activity, name)[:, neuron] for name, column in TRACES.items()}
        readouts = {
            f"{name}_{k}": getattr(activity, name)[:, k] for name in READOUTS for k in range(activity.y.shape[1])
        }
        traces.append(table(network=network, time_ms=activity.times, window=activity.window, **single, **readouts))
        for kind, (times, nodes) in (("input", activity.inputs), ("neuron", activity.spikes)):
            spikes.append(table(network=[network] * len(times), kind=[kind] * len(times), time_ms=times, node=nodes))
    first = both[0]
    facts = table(
        neuron=neuron, inputs=first.n_inputs, neurons=first.n_neurons,
        softmax=int(first.softmax), label=first.label,
    )  # fmt: skip
    return {
        "traces": stacked(traces),
        "spikes": stacked([part for part in spikes if part["node"].size]),
        "sample": facts,
    }


def _changes(runner: JobRunner, job: Job) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Weights before and after training, by kind, mV."""
    run = load(runner.path(job) / RUN, threads=1)
    changes = weight_changes(run.untrained(), run.simulator)
    return {KINDS[name]: pair for name, pair in changes.items() if name in KINDS}


def _weights(changes: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Table:
    return stacked(
        [
            table(kind=kind, before_mV=before.astype(np.float32), after_mV=after.astype(np.float32))
            for kind, (before, after) in changes.items()
        ]
    )


def _distributions(changes: Mapping[int, Mapping[str, tuple[np.ndarray, np.ndarray]]]) -> Table:
    """Densities of the weights of all trials, in the same bins."""
    out = []
    for kind in KINDS.values():
        largest = max(np.abs(weights).max(initial=0.0) for of_seed in changes.values() for weights in of_seed[kind])
        top = float(largest) or 1.0  # mV; a very small network may have no recurrent connection
        edges = np.linspace(-1.02 * top, 1.02 * top, BINS + 1)
        for seed, of_seed in changes.items():
            for network, weights in zip(NETWORKS, of_seed[kind], strict=True):
                density = np.histogram(weights, edges)[0] / (max(weights.size, 1) * np.diff(edges))
                out.append(
                    table(kind=kind, seed=seed, network=network, low_mV=edges[:-1], high_mV=edges[1:], density=density)
                )
    return stacked(out)


# ---------------------------------------------------------------------------------------------------------------- draw


def _activities(tables: Tables, neuron: int) -> list[Activity]:
    """Activity before and after training, from the tables; traces are known of one neuron only."""
    sample = {name: column[0] for name, column in tables["sample"].items()}
    n_inputs, n_neurons = int(sample["inputs"]), int(sample["neurons"])
    activities = []
    for network in NETWORKS:
        steps = rows(tables["traces"], network=network)
        spikes = [rows(tables["spikes"], network=network, kind=kind) for kind in ("input", "neuron")]
        inputs, neurons = [(of_kind["time_ms"], of_kind["node"]) for of_kind in spikes]
        n_readouts = sum(name.startswith("y_") for name in steps)
        traces = {name: np.full((steps["time_ms"].size, n_neurons), np.nan) for name in TRACES}
        for name, column in TRACES.items():
            traces[name][:, neuron] = steps[column]
        readouts = {
            name: np.stack([steps[f"{name}_{k}"] for k in range(n_readouts)], axis=1)
            for name in ("y", "target", "error")
        }
        activities.append(
            Activity(
                times=steps["time_ms"], inputs=inputs, spikes=neurons, n_inputs=n_inputs, n_neurons=n_neurons,
                window=steps["window"], softmax=bool(sample["softmax"]), label=str(sample["label"]), **traces, **readouts,
            )
        )  # fmt: skip
    return activities


def _draw_densities(ax: Axes, of_kind: Table) -> None:
    seeds = np.unique(of_kind["seed"])
    for network, color in zip(NETWORKS, (GREY, BLUE), strict=True):
        each = [rows(of_kind, network=network, seed=seed) for seed in seeds]
        edges = np.append(each[0]["low_mV"], each[0]["high_mV"][-1])
        draw_distribution(ax, edges, np.stack([of_seed["density"] for of_seed in each]), color, network)
    there = of_kind["density"][of_kind["density"] > 0.0]
    if there.size:
        ax.set_yscale("log")
        ax.set_ylim(0.7 * there.min(), 3.0 * there.max())
    ax.set_xlim(edges[0], edges[-1])
    ax.set_xlabel("weight (mV)")
