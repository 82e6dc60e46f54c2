"""``eprop bench``: measure speed and memory."""

from __future__ import annotations

import typer

app = typer.Typer(help="Measure speed and memory.", no_args_is_help=True)
