"""Numbers as text: counts, per cent, times, sizes; the facts of a finished run."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Mapping
from typing import Any

from eprop.display import clock

#: In place of a score, of a run without a test.
NO_SCORE = "no score"


def counted(count: int, what: str) -> str:
    """``1 trial``, ``2 trials``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def percent(fraction: float) -> str:
    """``0.0215`` as ``2.1 %``."""
    return f"{100 * fraction:.1f} %"


def with_spread(fraction: float, sigma: float | None) -> str:
    """``2.1 ± 0.5 %``, or ``2.1 %`` if the spread is unknown."""
    if sigma is None or math.isnan(sigma):
        return percent(fraction)
    return f"{100 * fraction:.1f} ± {100 * sigma:.1f} %"


def size(count: float) -> str:
    """Bytes, in MiB or GiB."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def value_text(value: float, spread: float | None, unit: str) -> str:
    """A score: ``2.1 ± 0.5 %`` of a fraction with the unit ``%``, else ``487.2 ± 20``; without a spread if it is unknown."""
    if unit == "%":
        return with_spread(value, spread)
    return f"{value:.4g}" if spread is None else f"{value:.4g} ± {spread:.3g}"


def score_of(summary: Mapping[str, Any]) -> str:
    """The score of a run with its spread; empty without a test."""
    if summary.get("value") is None:
        return ""
    return value_text(summary["value"], summary.get("spread"), summary["unit"])


def score_of_trial(summary: Mapping[str, Any]) -> str:
    """The score of one of several seeds, without a spread."""
    return "" if summary.get("value") is None else value_text(summary["value"], None, summary["unit"])


def score_of_trials(summary: Mapping[str, Any]) -> tuple[str, str]:
    """Mean score with the spread over the seeds; lowest and highest score.

    For one seed, and seeds with equal scores, the spread is the standard error within a seed: the number of test samples still
    limits the accuracy.
    """
    if summary.get("mean") is None:
        return NO_SCORE, ""
    unit = summary["unit"]
    ends = (value_text(summary[name], None, unit) for name in ("lowest", "highest"))
    mean = value_text(summary["mean"], summary["sd"] or summary["sigma"], unit)
    return mean, "lowest {}, highest {}".format(*ends)


def facts_of(path: pathlib.Path, summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Lines about a finished run, each with a name."""
    facts = [*_score(summary), *_end(summary), *_rates(summary), *_speed(summary)]
    if summary.get("neurobench"):
        facts += _neurobench(summary["neurobench"])
    if summary.get("few_bits"):
        facts.append(("weights", _few_bits(summary["few_bits"])))
    if summary["peak_memory_bytes"]:
        facts.append(("peak memory", size(summary["peak_memory_bytes"])))
    return [*facts, ("run", str(path))]


def _few_bits(formats: Mapping[str, Mapping[str, Any]]) -> str:
    """Bits of the weights, and the projection with most weights at the ends of its levels."""
    bits = ", ".join(map(str, sorted({one["bits"] for one in formats.values()})))
    name = max(formats, key=lambda name: formats[name]["saturated"])
    most = formats[name]["saturated"]
    return f"{bits} bits; " + (f"at most {percent(most)} saturated, of {name}" if most else "none saturated")


def _score(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Result of the test and of the last validation."""
    name, facts = summary["score"], []
    if summary.get("value") is not None:
        facts.append((f"test {name}", f"{score_of(summary)} over {summary['tested']}"))
    if "test_data" in summary:
        facts.append(("test data", summary["test_data"]))
    if summary.get("validation_error") is not None:
        validation = f"{percent(summary['validation_error'])} on {counted(summary['validation_samples'], 'sample')}"
        facts.append((f"validation {name}", validation))
    return facts


def _end(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Whether the training ended before its time."""
    if not summary.get("stopped_early"):
        return []
    if "samples_learned" not in summary:
        return [("stopped early", "before all steps were done")]
    epochs = summary["samples_learned"] / max(summary["train_samples"], 1)
    best = summary.get("best_validation_error")
    shown = "" if best is None else f"; lowest validation error {percent(best)}"
    return [("stopped early", f"after {epochs:.3g} of {counted(summary['epochs'], 'epoch')}{shown}")]


def line_of(path: pathlib.Path, summary: Mapping[str, Any]) -> str:
    """Result of a finished run, or of several seeds, in one line."""
    if "trials" in summary:
        score, over = score_of_trials(summary)[0], f" over {counted(len(summary['trials']), 'seed')}"
    else:
        score, over = score_of(summary) or NO_SCORE, ""
    found = score if score == NO_SCORE else f"test {summary['score']} {score}"
    early = ", stopped early" if summary.get("stopped_early") else ""
    return f"{found}{over}{early}; {path}"


def _rates(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Rates of populations at the end of the training."""
    return [
        (f"rate of {name}", f"{found['mean']:.1f} ± {found['sd']:.1f} Hz, mean and spread of its neurons at the end")
        for name, found in summary.get("rates", {}).items()
    ]


def _neurobench(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """NeuroBench's metrics."""
    operations, footprint = metrics["synaptic_operations"], metrics["footprint"] / 1e6
    sparsity = f"connections {metrics['connection_sparsity']:.3f}, activations {metrics['activation_sparsity']:.3f}"
    counts = f"{operations['Effective_ACs']:.3g} accumulates per sample, of {operations['Dense']:.3g} dense"
    return [("sparsity", f"{sparsity}; footprint {footprint:.3g} MB"), ("operations", counts)]


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
