"""The command ``eprop``: parses, calls the package, prints. Nothing heavy is imported before a command needs it."""

from eprop.cli.app import app, main

__all__ = ["app", "main"]
