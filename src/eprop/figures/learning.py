"""A training as a part of a figure: a run folder of its own, from which its numbers are read."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from eprop.figures.tables import Table, rows, stacked, table
from eprop.figures.work import Part
from eprop.training import Outcome, Progress, RunConfig, RunFolder, Watcher, resume_run, start_run
from eprop.training.config import read_config

#: Folder of the run in the part's folder.
RUN = "run"


def learning(name: str, config: RunConfig, cost: float = 1.0) -> Part:
    """A part that trains and tests as ``config`` says, with one thread; `learn` tells what comes out."""
    config = config.absolute()
    if config.execution.threads is None:
        config = RunConfig(config.task, config.data, config.training, config.execution.replace(threads=1))
    return Part(name, learn, {"config": config.to_toml()}, cost)


def learn(folder: pathlib.Path, tell: Callable[[float], None], config: str) -> dict[str, Any]:
    """Train and test; go on with a training that was stopped.

    Returns
    -------
    dict
        ``summary`` as in the run's ``summary.json`` and ``metrics`` as in its ``metrics.jsonl``.
    """
    run, wanted = folder / RUN, _parsed(config)
    outcome = _go_on(run, wanted, tell) or start_run(wanted, run, force=True, watcher=_Share(tell))
    return {"summary": outcome.summary, "metrics": RunFolder(run).read_metrics()}


def _parsed(text: str) -> RunConfig:
    from eprop.training.config import parse_config

    return RunConfig.make(*parse_config(text, "configuration of a figure"))


def _go_on(run: pathlib.Path, wanted: RunConfig, tell: Callable[[float], None]) -> Outcome | None:
    """Resume the run in the folder, if there is one of the same configuration."""
    found = RunFolder(run)
    if not (found.checkpoint.is_file() and found.config.is_file()):
        return None
    if RunConfig.make(*read_config(found.config)) != wanted:
        return None
    return resume_run(run, watcher=_Share(tell))


class _Share(Watcher):
    """Tells which share of the samples is learned."""

    def __init__(self, tell: Callable[[float], None]):
        self.tell = tell

    def progress(self, progress: Progress) -> None:
        """Samples were learned; the test is the last hundredth."""
        self.tell(0.99 * progress.done / progress.total)


Found = Mapping[tuple[str, int], dict[str, Any]]


def curves(found: Found) -> Table:
    """Reports with a held-out error of all trainings; ``found`` holds what `learn` returns, by name and seed."""
    return stacked(
        [
            table(
                rule=name,
                seed=seed,
                samples=[line["samples"] for line in lines],
                hold_error=[line["hold_error"] for line in lines],
                hold_loss=[line["hold_loss"] for line in lines],
                loss=[line["loss"] for line in lines],
                eta_factor=[line["eta_factor"] for line in lines],
            )
            for (name, seed), result in found.items()
            if (lines := [line for line in result["metrics"] if "hold_error" in line])
        ]
    )


def tests(found: Found) -> Table:
    """Test scores of all trainings, and what they took."""
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

    Within a trial it is that of a mean over its test samples (binomial, of a classification); none where the test is
    one sample.
    """
    of_rule = rows(test, rule=rule)
    between = float(np.var(of_rule["error"], ddof=1)) if of_rule["error"].size > 1 else 0.0
    return float(np.sqrt(between + np.mean(np.nan_to_num(of_rule["error_sd"]) ** 2)))
