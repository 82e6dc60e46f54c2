"""A finished run: its folder, its summary, and the facts of its summary as text."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eprop.markup import table
from eprop.training.number_text import clock, counted, percent, return_with_spread, score_of, size, with_spread
from eprop.training.run_folder import RunFolder


@dataclass(frozen=True, eq=False, repr=False)
class FinishedRun:
    """A finished run.

    Attributes
    ----------
    run : RunFolder
    summary : dict
        Content of ``summary.json``.
    evaluation : Evaluation or Returns
        `Evaluation` on the test samples, or `Returns` of the test episodes for a task that is learned from rewards; for a learner
        of your own, the result of its ``evaluate``.
    """

    run: RunFolder
    summary: dict[str, Any]
    evaluation: Any

    def __repr__(self) -> str:
        score = score_of(self.summary)
        return f"FinishedRun({str(self.run.path)!r}: test {self.summary['score']} {score})"

    def _repr_html_(self) -> str:
        """The lines that ``eprop train`` prints, as a table for notebooks."""
        return table("Run", facts_of(self.run.path, self.summary))


def facts_of(path: pathlib.Path, summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Lines about a finished run, each with a name."""
    facts = [*_score(summary), *_speed(summary)]
    if summary["peak_memory_bytes"]:
        facts.append(("peak memory", size(summary["peak_memory_bytes"])))
    return [*facts, ("run", str(path))]


def _score(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Result of the test and of the last validation."""
    name = summary["score"]
    if "mean_return" in summary:
        value = return_with_spread(summary["mean_return"], summary["std_return"])
        return [
            (name, f"{value} over {counted(summary['episodes'], 'episode')}"),
            ("", "weights frozen; ± standard deviation over episodes"),
        ]
    error = with_spread(summary["test_error"], summary["test_error_sigma"])
    facts = [(f"test {name}", f"{error} on {counted(summary['test_samples'], 'sample')}")]
    if "test_data" in summary:
        facts.append(("test data", summary["test_data"]))
    if summary.get("validation_error") is not None:
        validation = f"{percent(summary['validation_error'])} on {counted(summary['validation_samples'], 'sample')}"
        facts.append((f"validation {name}", validation))
    return facts


def _speed(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was learned from, and how fast."""
    seconds = clock(summary["train_seconds"])
    if "environment_steps" in summary:
        steps, episodes = summary["environment_steps"], counted(summary["episodes_learned"], "episode")
        speed = f"{summary['steps_per_second']:,.0f} steps of the environment/s"
        return [("learned", f"{steps:,} steps, {episodes} in {seconds}"), ("speed", speed)]
    if "samples_learned" not in summary:
        return [("learned", f"in {seconds}")]
    rate, cost = summary["train_samples_per_second"], summary["ns_per_synaptic_event"]
    events = f"{cost:.1f} ns per synaptic event" if summary["synaptic_events"] else "no spike has arrived anywhere"
    learned = f"{counted(summary['samples_learned'], 'sample')} in {seconds}"
    return [("learned", learned), ("speed", f"{rate:,.0f} samples/s, {events}")]
