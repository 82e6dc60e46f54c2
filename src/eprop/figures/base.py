"""What a figure is: options, a computation that leaves tables of numbers, and a drawing that is made from these alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from eprop.figures.job_runner import JobRunner
from eprop.figures.tables import Tables
from eprop.parameters import Description, param

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Of a quick figure, at most.
QUICK_TRIALS = 2


@dataclass(frozen=True, kw_only=True)
class PaperFigure(Description):
    """Base of all figures: the options that all have, and what a figure must give.

    A figure is one file with one subclass, and one line in ``eprop/figures/registry.py``. The command ``eprop figure``
    makes its options from the parameters, and its help from the docstring.
    """

    number: ClassVar[int]
    """Of the figure in the paper."""
    title: ClassVar[str]
    """In a few words, for lists."""
    metavars: ClassVar[Mapping[str, str]] = {}
    """What the help shows as the value of an option, where N, X or TEXT says too little."""

    trials: int = param(10, kind=int, at_least=1, doc="trials, with the seeds S, S+1, ...; quick: 2 at most")
    seed: int = param(1, kind=int, at_least=0, doc="seed S of the first trial")
    quick: bool = param(False, kind=bool, doc="small and short, for a first look; proves nothing")

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of the trials."""
        count = min(self.trials, QUICK_TRIALS) if self.quick else self.trials
        return tuple(range(self.seed, self.seed + count))

    def absolute(self) -> Any:
        """The same with absolute paths, so that it means the same everywhere."""
        return self

    @classmethod
    def inherited(cls, old: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """The options of the folder that stay beside those that are ``given``."""
        return dict(old)

    def check(self) -> None:
        """Raise `EPropError` where the computation cannot begin; asked before anything is written."""

    def compute(self, runner: JobRunner) -> Tables:
        """The numbers behind the figure.

        What takes time goes through `JobRunner.each`, in parts: they run side by side, and are kept.
        """
        raise TypeError(f"{type(self).__name__} does not define compute()")

    def draw(self, tables: Tables) -> Figure:
        """The figure from its numbers, as they were read from CSV files."""
        raise TypeError(f"{type(self).__name__} does not define draw()")

    def summary(self, tables: Tables) -> dict[str, Any]:
        """The few numbers that a reader takes home, by name with the unit behind; plain numbers, or text."""
        return {}
