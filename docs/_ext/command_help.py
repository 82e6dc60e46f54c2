"""Directive ``command-help``: what a command prints when it is asked for help, as of this build."""

from __future__ import annotations

import os
import pathlib
import shlex
import subprocess
import sys
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

# Plain text of a fixed width, whatever terminal builds the pages.
_PLAIN = {"COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1", "TERM": "dumb"}


class CommandHelp(SphinxDirective):
    """Run ``<command> --help`` and show its output."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """One literal block: the prompt and the output."""
        name, *words = shlex.split(self.arguments[0])
        beside = pathlib.Path(sys.executable).with_name(name)
        done = subprocess.run(
            [str(beside), *words, "--help"], env=os.environ | _PLAIN, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ExtensionError(f"{self.arguments[0]} --help failed:\n{done.stderr or done.stdout}")
        lines = [line.rstrip() for line in done.stdout.splitlines()]
        text = f"$ {self.arguments[0]} --help\n" + "\n".join(lines).strip("\n")
        block = nodes.literal_block(text, text)
        block["language"] = "text"
        return [block]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True}
