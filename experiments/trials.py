"""What the experiments share: options, trainings side by side, scores of several trials, and the files of a result.

This file is no script.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import eprop as ep
from eprop.plot import draw_bars, look, save
from eprop.runs import RunFolder
from eprop.tasks import task_named
from eprop.training import Experiment

#: A training: the name or file of a task, and its arguments.
Call = tuple[str, dict[str, Any]]

RULES = {"eprop": "e-prop", "eprop+": "e-prop+"}
#: Colours of Okabe and Ito (2008): each rule has one in all figures.
BLACK, GREY, BLUE, ORANGE, GREEN = "#000000", "#777777", "#0072B2", "#E69F00", "#009E73"
COLORS = {"eprop": BLUE, "eprop+": ORANGE}
QUICK_TRIALS = 2
QUICK_NOTE = "quick: small and short, too little for conclusions"
#: Dots per inch by format; a PDF rasterises only clouds of points.
RESOLUTION = {"png": 180, "pdf": 400}


def parser(description: str | None, trials: int) -> argparse.ArgumentParser:
    """Return a parser with the options of all experiments."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--trials", type=int, default=trials, help="trials, with the seeds S, S+1, ...; quick: at most 2")
    made.add_argument("--seed", type=int, default=1, help="seed S of the first trial")
    made.add_argument("--quick", action="store_true", help="small and short, for a first look; not for conclusions")
    made.add_argument("--jobs", type=int, help="trainings side by side; by default one per core")
    made.add_argument("--out", type=pathlib.Path, help="folder of the result and of its runs; by default runs/NAME")
    made.add_argument("--json", action="store_true", help="print the result as JSON")
    return made


def seeds_of(given: argparse.Namespace) -> list[int]:
    """Return the seeds of the trials."""
    count = min(given.trials, QUICK_TRIALS) if given.quick else given.trials
    return list(range(given.seed, given.seed + count))


def folder_of(given: argparse.Namespace, name: str) -> pathlib.Path:
    """Return the folder of an experiment, which exists then."""
    folder = given.out or pathlib.Path("runs", name + ("-quick" if given.quick else ""))
    folder.mkdir(parents=True, exist_ok=True)
    return folder.absolute()


def without_none(**values: Any) -> dict[str, Any]:
    """Return the options that were given."""
    return {name: value for name, value in values.items() if value is not None}


# ----------------------------------------------------------------------------------------------------------- trainings


def side_by_side(calls: Mapping[Any, tuple[Any, ...]], jobs: int | None) -> dict[Any, Any]:
    """Call functions in processes; ``calls`` has a function and its arguments. Returns the results by the same keys."""
    parallel = joblib.Parallel(n_jobs=jobs or min(joblib.cpu_count(), max(len(calls), 1)))
    return dict(zip(calls, parallel(joblib.delayed(call)(*given) for call, *given in calls.values()), strict=True))


def trained(calls: Mapping[Any, Call], folder: pathlib.Path, jobs: int | None = None) -> dict[Any, RunFolder]:
    """Train and test side by side, with one thread each. The runs in ``folder`` are the cache: see `train`."""
    return side_by_side({key: (train, call, run_path(folder, key, call)) for key, call in calls.items()}, jobs)


def run_path(folder: pathlib.Path, key: Any, call: Call, *more: Any) -> pathlib.Path:
    """Return the folder of a run: its name holds a digest of all arguments, so that it never holds another training."""
    text = json.dumps([dict(experiment_of(call).origin.arguments), *map(str, more)], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return folder / "-".join([*map(str, key if isinstance(key, tuple) else (key,)), digest])


def experiment_of(call: Call) -> Experiment:
    """Return what a call of a task makes."""
    task, arguments = call
    return task_named(task)(**arguments)


def train(call: Call, path: pathlib.Path, callbacks: Sequence[Callable[..., Any]] = (), threads: int = 1) -> RunFolder:
    """Train and test; a finished run is not repeated, and a stopped one continues."""
    run = RunFolder(path)
    if not run.summary.is_file():
        ep.fit(experiment_of(call), folder=path, threads=threads, formats=(), progress=False, callbacks=callbacks)
    return run


# -------------------------------------------------------------------------------------------------------------- scores


@dataclass(frozen=True)
class Score:
    """Test errors of several trials in per cent, and their spread.

    The spread is the square root of the variance between trials plus the mean variance within a trial, as in the paper's bars.
    The variance within a trial is that of a mean over its test samples (binomial for a classification), or zero if the test has
    one sample. For a single trial with one test sample, the spread is unknown: NaN.
    """

    errors: np.ndarray
    spread: float

    @classmethod
    def of(cls, errors: Sequence[float], within: Sequence[float | None]) -> Score:
        """From the errors of the trials, and their standard deviations within a trial: None if unknown."""
        known = np.array([np.nan if sd is None else sd for sd in within], float)
        variance = float(np.mean(np.nan_to_num(known) ** 2))
        if len(errors) > 1:
            variance += float(np.var(errors, ddof=1))
        elif not np.isfinite(known).any():
            variance = np.nan
        return cls(100 * np.array(errors), 100 * float(np.sqrt(variance)))

    @classmethod
    def of_runs(cls, runs: Sequence[RunFolder]) -> Score:
        """From finished runs."""
        summaries = [run.read_summary() for run in runs]
        return cls.of([s["test_error"] for s in summaries], [s["test_error_sigma"] for s in summaries])

    def summary(self, name: str) -> dict[str, Any]:
        """Entries of a result."""
        spread = {f"{name}, spread (%)": self.spread} if np.isfinite(self.spread) else {}
        return {f"{name} (%)": float(self.errors.mean()), **spread}


def curves(runs: Sequence[RunFolder], x: str, score: str) -> tuple[np.ndarray, np.ndarray]:
    """Places ``x`` of the lines of metrics that know a score, (n,), and the scores of each run there in per cent, (runs, n)."""
    lines = [[line for line in run.read_metrics() if line.get(score) is not None] for run in runs]
    return np.array([line[x] for line in lines[0]]), 100 * np.array([[line[score] for line in of] for of in lines])


def mean_of_neighbours(iterations: np.ndarray, scores: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Means of neighbouring iterations, evenly spaced on a logarithmic axis; single points would overlap."""
    edges = np.unique(np.geomspace(1, iterations[-1] + 1, groups).astype(int))
    firsts = np.flatnonzero(np.diff(np.searchsorted(edges, iterations, side="right"), prepend=-1))
    sizes = np.diff(firsts, append=len(iterations))
    return np.add.reduceat(iterations, firsts) / sizes, np.add.reduceat(scores, firsts, axis=-1) / sizes


def draw_scores(ax: Axes, scores: Mapping[str, Score], colors: Sequence[str], label: str, digits: int = 1) -> None:
    """Draw a bar for the test scores of each variant, by the name that it gets below."""
    errors, spreads = ({name: getattr(s, of) for name, s in scores.items()} for of in ("errors", "spread"))
    draw_bars(ax, errors, spreads, list(colors), digits)
    ax.set_ylabel(label)


# -------------------------------------------------------------------------------------------------------------- result


def drawn(draw: Callable[..., Figure], given: argparse.Namespace, path: pathlib.Path, *data: Any) -> list[str]:
    """Draw a figure in the style of the package, and save it; a quick one says so. Returns the pictures."""
    with look():
        figure = draw(*data)
        if given.quick:
            figure.suptitle(QUICK_NOTE, color=GREY, fontsize=8)
    return [str(save(figure, path.with_suffix(f".{kind}"), dpi)) for kind, dpi in RESOLUTION.items()]


def tell(
    given: argparse.Namespace, folder: pathlib.Path, summary: dict[str, Any], pictures: Sequence[str] = (), **more: Any
) -> None:
    """Write ``result.json`` with options, key numbers, pictures and ``more``; print the key numbers, or all as JSON."""
    options = {name: value for name, value in vars(given).items() if name not in ("json", "out", "jobs")}
    result = {"version": ep.__version__, "options": options, "summary": summary, "pictures": list(pictures), **more}
    text = json.dumps(result, indent=2, default=str)
    (folder / "result.json").write_text(text + "\n", encoding="utf-8")
    if given.json:
        print(text)
        return
    if given.quick:
        print(QUICK_NOTE)
    for name, value in summary.items():
        print(f"{name}: {value:.4g}" if isinstance(value, float) else f"{name}: {value}")
    print(*pictures, sep="\n")
