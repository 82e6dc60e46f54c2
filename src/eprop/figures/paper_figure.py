"""Base of all figures: options, a computation that makes tables of numbers, and a drawing made from these tables alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from eprop.figures.jobs import JobRunner
from eprop.figures.tables import Tables
from eprop.files import JsonObject
from eprop.parameters import Description, param
from eprop.plot.style import GREY, look

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Largest number of trials of a quick figure.
QUICK_TRIALS = 2
#: What a quick figure says about itself.
QUICK_NOTE = "quick: small and short, too little for conclusions"


@dataclass(frozen=True, kw_only=True)
class PaperFigure(Description, ABC):
    """Base of all figures: the common options, and the methods that a figure must define.

    A figure is one file with one subclass, and one line in ``eprop/figures/make.py``. The command ``eprop figure``
    makes its options from the parameters, and its help from the docstring.
    """

    number: ClassVar[int]
    """Number of the figure in the paper."""
    title: ClassVar[str]
    """Title in a few words, for lists."""

    trials: int = param(10, kind=int, at_least=1, doc="trials, with the seeds S, S+1, ...; quick: at most 2")
    seed: int = param(1, kind=int, at_least=0, doc="seed S of the first trial")
    quick: bool = param(False, kind=bool, doc="small and short, for a first look; not for conclusions")

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the trials."""
        count = min(self.trials, QUICK_TRIALS) if self.quick else self.trials
        return tuple(range(self.seed, self.seed + count))

    def absolute(self) -> Self:
        """Return the figure with absolute paths, which hold in any folder."""
        return self

    @classmethod
    def options_that_stay(cls, old: Mapping[str, Any], given: Mapping[str, Any]) -> JsonObject:
        """Options of the folder that stay in force together with the ``given`` ones."""
        return dict(old)

    def check(self) -> None:
        """Raise `EPropError` if the computation cannot start; called before anything is written."""

    @abstractmethod
    def compute(self, runner: JobRunner) -> Tables:
        """Compute the numbers of the figure.

        Long work goes through `JobRunner.each` as jobs, which run in parallel and whose results are kept.
        """

    @abstractmethod
    def paint(self, tables: Tables) -> Figure:
        """Make the figure from its tables, as read from CSV files; called in the style of the package."""

    def draw(self, tables: Tables) -> Figure:
        """Draw the figure from its tables; a quick figure says so."""
        with look():
            figure = self.paint(tables)
            if self.quick:
                figure.suptitle(QUICK_NOTE, color=GREY, fontsize=8)
        return figure

    def summary(self, tables: Tables) -> JsonObject:
        """Return the key numbers, by name with the unit at the end; plain numbers or text."""
        return {}
