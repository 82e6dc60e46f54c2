"""Run ``eprop`` in this process."""

from __future__ import annotations

from typing import Any

from typer.testing import CliRunner, Result

from eprop.cli import app


def run(*words: Any, **environment: str) -> Result:
    """Run the command with these words and environment variables; the result has the exit code and both outputs."""
    return CliRunner(env=environment).invoke(app, [str(word) for word in words])
