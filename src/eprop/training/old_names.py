"""Names that runs of earlier versions have in their files: they are read by the names of today."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Of keys of ``config.toml``, of ``metrics.jsonl`` and ``summary.json``, and of a trainer's position in a checkpoint.
RENAMED = {
    "hold": "validation",
    "hold_evaluations": "validations",
    "hold_error": "validation_error",
    "hold_loss": "validation_loss",
    "hold_samples": "validation_samples",
    "best_hold_error": "best_validation_error",
}
#: Sections of a configuration whose keys were renamed.
SECTIONS = ("data", "training")


def renamed(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same values by the names of today."""
    return {RENAMED.get(name, name): value for name, value in values.items()}


def old_name(name: str) -> str | None:
    """What a name was in earlier versions; None where it is the same."""
    return next((old for old, new in RENAMED.items() if new == name), None)
