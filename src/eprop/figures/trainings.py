"""A training as a job of a figure: it has its own run folder, from which the figure reads its numbers."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from eprop.figures.jobs import RUN, Job, digest_of
from eprop.figures.tables import Table, rows, stacked, table
from eprop.files import JsonObject
from eprop.plot.charts import draw_bars
from eprop.training import RunConfig, RunFolder, Stopped, Trainer, Watcher, resume_run, start_run
from eprop.training.config import parse_config

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Results of `train` by name and seed.
Results = Mapping[tuple[str, int], JsonObject]


def training_job(name: str, config: RunConfig, cost: float = 1.0, *, batches: int | None = None) -> Job:
    """Make a job that trains and tests with ``config`` on one thread; see `train` for its result.

    The folder of the job has a digest of the configuration in its name: a run folder never holds another training. With
    ``batches`` the job stops at the first report after that many mini-batches, and does not test.
    """
    config = config.absolute()
    if config.execution.threads is None:
        config = replace(config, execution=config.execution.replace(threads=1))
    text, samples = config.to_toml(), None if batches is None else batches * config.training.batch_size
    return Job(f"{name}-{digest_of(text)}", train, {"config": text, "samples": samples}, cost)


def train(folder: pathlib.Path, watcher: Watcher, config: str, samples: int | None) -> JsonObject:
    """Train and test; continue a training that was stopped.

    Returns
    -------
    dict
        ``metrics`` as in the run's ``metrics.jsonl``, and ``summary`` as in its ``summary.json``, or None if the training
        ends early.
    """
    run, enough = RunFolder(folder / RUN), False

    def stop(trainer: Trainer, line: JsonObject) -> None:
        nonlocal enough
        enough = samples is not None and line["samples"] >= samples
        if enough:
            raise Stopped

    try:
        if run.checkpoint.is_file():
            finished = resume_run(run.path, watcher=watcher, callbacks=[stop])
        else:
            wanted = RunConfig.make(*parse_config(config, "configuration of a figure"))
            finished = start_run(wanted, run.path, force=True, watcher=watcher, callbacks=[stop])
    except Stopped:
        if not enough:
            raise
        return {"summary": None, "metrics": run.read_metrics()}
    return {"summary": finished.summary, "metrics": run.read_metrics()}


def reports(results: Results, batch: int = 1) -> Table:
    """All reports of all trainings; ``batch`` is the mini-batch size."""
    return stacked(
        [
            table(
                rule=name,
                seed=seed,
                iteration=[-(-line["samples"] // batch) for line in lines],
                samples=[line["samples"] for line in lines],
                loss=[line["loss"] for line in lines],
                error=_column(lines, "error"),
                validation_error=_column(lines, "validation_error"),
                validation_loss=_column(lines, "validation_loss"),
                eta_factor=[line["eta_factor"] for line in lines],
            )
            for (name, seed), result in results.items()
            if (lines := result["metrics"])
        ]
    )


def _column(lines: list[JsonObject], name: str) -> list[float]:
    """One value of each report; NaN if missing."""
    return [np.nan if line.get(name) is None else line[name] for line in lines]


def curves_of(reported: Table, x: str, score: str) -> tuple[np.ndarray, np.ndarray]:
    """Places ``x`` of the reports that know a score, (n,), and the scores of each seed there in per cent, (seeds, n)."""
    known, seeds = np.isfinite(reported[score]), np.unique(reported["seed"])
    each = [100 * reported[score][known & (reported["seed"] == seed)] for seed in seeds]
    return np.unique(reported[x][known]), np.stack(each)


def test_scores(results: Results) -> Table:
    """Test scores and durations of all trainings that were tested."""
    summaries = {key: result["summary"] for key, result in results.items() if result["summary"] is not None}
    return stacked(
        [
            table(
                rule=name,
                seed=seed,
                error=summary["test_error"],
                error_sd=np.nan if summary["test_error_sigma"] is None else summary["test_error_sigma"],
                loss=summary["test_loss"],
                samples=summary["test_samples"],
                train_seconds=summary["train_seconds"],
                data=summary["test_data"],
            )
            for (name, seed), summary in summaries.items()
        ]
    )


def combined_spread(test: Table, rule: str) -> float:
    """Square root of the variance between trials plus the mean variance within a trial, as in the paper's bars.

    The variance within a trial is that of a mean over its test samples (binomial for a classification), or zero if the test
    has one sample. For a single trial with one test sample, the spread is unknown: NaN.
    """
    of_rule = rows(test, rule=rule)
    variances = [float(np.mean(np.nan_to_num(of_rule["error_sd"]) ** 2))]
    if of_rule["error"].size > 1:
        variances.append(float(np.var(of_rule["error"], ddof=1)))
    elif not np.isfinite(of_rule["error_sd"]).any():
        return float("nan")
    return float(np.sqrt(sum(variances)))


def score_of(test: Table, rule: str, name: str, name_of_spread: str) -> dict[str, float]:
    """Mean of the test errors in per cent under ``name``, and their spread, if known, under ``name_of_spread``."""
    mean, spread = float(rows(test, rule=rule)["error"].mean()), combined_spread(test, rule)
    return {name: 100 * mean} | ({name_of_spread: 100 * spread} if np.isfinite(spread) else {})


def draw_tests(
    ax: Axes, test: Table, names: Mapping[str, str], colors: Mapping[str, str], label: str, digits: int = 1
) -> None:
    """Draw a bar for the test scores of each rule, by the name that it gets below."""
    draw_bars(
        ax,
        {name: 100 * rows(test, rule=rule)["error"] for rule, name in names.items()},
        {name: 100 * combined_spread(test, rule) for rule, name in names.items()},
        [colors[rule] for rule in names],
        digits,
    )
    ax.set_ylabel(label)
