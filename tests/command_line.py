"""Run ``eprop`` in this process."""

from __future__ import annotations

import shlex
from typing import Any

from typer.testing import CliRunner, Result

from eprop.cli import app


def run(*words: Any, **environment: str) -> Result:
    """Run the command with these words and environment variables; the result has the exit code and both outputs."""
    return CliRunner(env=environment).invoke(app, [str(word) for word in words])


def line(text: str, **environment: str) -> Result:
    """Run ``eprop`` with the words of a line, as a shell does."""
    return run(*shlex.split(text), **environment)
