"""A training as a part of a figure: it has its own run folder, from which the figure reads its numbers."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from eprop.figures.job_runner import Part
from eprop.figures.tables import Table, rows, stacked, table
from eprop.training import Outcome, Progress, RunConfig, RunFolder, Stopped, Watcher, resume_run, start_run
from eprop.training.config import parse_config, read_config

#: Folder of the run in the part's folder.
RUN = "run"


def learning(name: str, config: RunConfig, cost: float = 1.0, *, batches: int | None = None) -> Part:
    """Make a part that trains and tests with ``config`` on one thread; `learn` returns the result.

    With ``batches`` the part stops at the first report after that many mini-batches, and does not test.
    """
    config = config.absolute()
    if config.execution.threads is None:
        config = RunConfig(config.task, config.data, config.training, config.execution.replace(threads=1))
    return Part(name, learn, {"config": config.to_toml(), "batches": batches}, cost)


def learn(
    folder: pathlib.Path, tell: Callable[[float], None], config: str, batches: int | None = None
) -> dict[str, Any]:
    """Train and test; continue a training that was stopped.

    Returns
    -------
    dict
        ``metrics`` as in the run's ``metrics.jsonl``, and ``summary`` as in its ``summary.json``, or None if the training
        ends early.
    """
    run = folder / RUN
    wanted = RunConfig.make(*parse_config(config, "configuration of a figure"))
    share = _Share(tell, None if batches is None else batches * wanted.training.batch_size)
    summary = None
    try:
        summary = (_go_on(run, wanted, share) or start_run(wanted, run, force=True, watcher=share)).summary
    except Stopped:
        if not share.enough:
            raise
    return {"summary": summary, "metrics": RunFolder(run).read_metrics()}


def _go_on(run: pathlib.Path, wanted: RunConfig, watcher: Watcher) -> Outcome | None:
    """Resume the run in the folder, if it has the same configuration."""
    found = RunFolder(run)
    if not (found.checkpoint.is_file() and found.config.is_file()):
        return None
    if RunConfig.make(*read_config(found.config)) != wanted:
        return None
    return resume_run(run, watcher=watcher)


class _Share(Watcher):
    """Reports the fraction of learned samples; stops the training after the last wanted report."""

    def __init__(self, tell: Callable[[float], None], last: int | None):
        self.tell, self.last, self.enough = tell, last, False

    def progress(self, progress: Progress) -> None:
        """Report the learned samples; the test counts as the last hundredth."""
        self.tell(0.99 * progress.done / (self.last or progress.total))

    def metrics(self, line: dict[str, Any]) -> None:
        """Stop after a line of metrics, where a stop loses nothing."""
        if self.last is not None and line["samples"] >= self.last:
            self.enough = True
            raise Stopped


Found = Mapping[tuple[str, int], dict[str, Any]]


def reports(found: Found, batch: int = 1) -> Table:
    """All reports of all trainings; ``found`` holds results of `learn` by name and seed, ``batch`` is the mini-batch size."""
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
            for (name, seed), result in found.items()
            if (lines := result["metrics"])
        ]
    )


def _column(lines: list[dict[str, Any]], name: str) -> list[float]:
    """One value of each report; NaN if missing."""
    return [np.nan if line.get(name) is None else line[name] for line in lines]


def test_scores(found: Found) -> Table:
    """Test scores and durations of all trainings."""
    summaries = {key: result["summary"] for key, result in found.items()}
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
