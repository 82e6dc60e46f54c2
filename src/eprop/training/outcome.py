"""The outcome of a finished run, and its facts as text."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eprop.markup import table
from eprop.rl import Returns
from eprop.training.metrics import Evaluation
from eprop.training.runs import RunFolder
from eprop.training.wording import clock, counted, percent, return_with_spread, score_of, size, with_spread


@dataclass(frozen=True, eq=False, repr=False)
class Outcome:
    """A finished run.

    Attributes
    ----------
    run : RunFolder
    summary : dict
        Content of ``summary.json``.
    evaluation : Evaluation or Returns
        `Evaluation` on the test samples, or `Returns` of the test episodes for a task that is learned from reward.
    """

    run: RunFolder
    summary: dict[str, Any]
    evaluation: Evaluation | Returns

    def __repr__(self) -> str:
        score = score_of(self.summary)
        return f"Outcome({str(self.run.path)!r}: test {self.summary['score']} {score})"

    def _repr_html_(self) -> str:
        """The lines that ``eprop train`` prints, as a table for notebooks."""
        return table("Run", facts_of(self.run.path, self.summary))


def facts_of(path: pathlib.Path, summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Lines about a finished run, each with a name."""
    if "mean_return" in summary:
        return _facts_of_returns(path, summary)
    name = summary["score"]
    error = with_spread(summary["test_error"], summary["test_error_sigma"])
    facts = [
        (f"test {name}", f"{error} on {counted(summary['test_samples'], 'sample')}"),
        ("test data", summary["test_data"]),
    ]
    if summary["validation_error"] is not None:
        validation = f"{percent(summary['validation_error'])} on {counted(summary['validation_samples'], 'sample')}"
        facts.append((f"validation {name}", validation))
    learned = f"{counted(summary['samples_learned'], 'sample')} in {clock(summary['train_seconds'])}"
    facts.append(("learned", learned))
    rate, cost = summary["train_samples_per_second"], summary["ns_per_synaptic_event"]
    events = f"{cost:.1f} ns per synaptic event" if summary["synaptic_events"] else "no spike has arrived anywhere"
    facts.append(("speed", f"{rate:,.0f} samples/s, {events}"))
    if summary["peak_memory_bytes"]:
        facts.append(("peak memory", size(summary["peak_memory_bytes"])))
    return [*facts, ("run", str(path))]


def _facts_of_returns(path: pathlib.Path, summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    episodes = counted(summary["episodes"], "episode")
    learned = f"{summary['environment_steps']:,} steps, {counted(summary['episodes_learned'], 'episode')}"
    facts = [
        (summary["score"], f"{return_with_spread(summary['mean_return'], summary['std_return'])} over {episodes}"),
        ("", "weights frozen; ± standard deviation over episodes"),
        ("learned", f"{learned} in {clock(summary['train_seconds'])}"),
        ("speed", f"{summary['steps_per_second']:,.0f} steps of the environment/s"),
    ]
    if summary["peak_memory_bytes"]:
        facts.append(("peak memory", size(summary["peak_memory_bytes"])))
    return [*facts, ("run", str(path))]
