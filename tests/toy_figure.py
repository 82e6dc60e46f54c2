"""A figure that takes no time."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass
from typing import Any, ClassVar

from matplotlib.figure import Figure

from eprop.errors import DataError
from eprop.figures import Job, JobRunner, PaperFigure, Tables, table
from eprop.parameters import param
from eprop.training import Stopped, Watcher


def square(folder: pathlib.Path, watcher: Watcher, value: int) -> dict[str, Any]:
    """Count the calls in the folder; some values cannot be computed."""
    calls = folder / "calls"
    calls.write_text(calls.read_text() + "x" if calls.exists() else "x")
    if value == 13:
        raise DataError("13 is out of luck")
    if value == 99:
        raise Stopped
    return {"square": value * value}


@dataclass(frozen=True, kw_only=True)
class Toy(PaperFigure):
    """Squares of the seeds.

    Examples
    --------
    ::

        eprop figure 7
    """

    number: ClassVar[int] = 7
    title: ClassVar[str] = "squares"

    trials: int = param(3, kind=int, at_least=1, doc="trials")
    names: tuple[str, ...] = param((), kind=(tuple, list), doc="names")
    factor: float | None = param(None, optional=True, doc="a number")

    def compute(self, runner: JobRunner) -> Tables:
        jobs = [Job(f"square-{seed}", square, {"value": seed}) for seed in self.seeds]
        found = runner.each(jobs)
        return {"squares": table(seed=self.seeds, square=[(self.factor or 1.0) * f["square"] for f in found])}

    def paint(self, tables: Tables) -> Figure:
        figure = Figure()
        figure.add_subplot().plot(tables["squares"]["square"])
        return figure

    def summary(self, tables: Tables) -> dict[str, Any]:
        return {"largest": float(tables["squares"]["square"].max())}
