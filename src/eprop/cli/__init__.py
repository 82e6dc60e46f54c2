"""The command ``eprop`` parses options, calls the package and prints. Commands import heavy modules late."""

from eprop.cli.app import app, main

__all__ = ["app", "main"]
