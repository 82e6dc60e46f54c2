"""Every figure by its number; one line each."""

from __future__ import annotations

from eprop.errors import ParameterError
from eprop.figures.base import PaperFigure
from eprop.figures.figure_2 import Figure2
from eprop.figures.figure_3 import Figure3
from eprop.figures.figure_4 import Figure4
from eprop.figures.figure_5 import Figure5

FIGURES: dict[int, type[PaperFigure]] = {
    2: Figure2,
    3: Figure3,
    4: Figure4,
    5: Figure5,
}


def figure_numbered(number: int) -> type[PaperFigure]:
    """Return the figure of this number.

    Raises
    ------
    ParameterError
        If there is no such figure.
    """
    if number not in FIGURES:
        raise ParameterError(f"no figure {number}; there are: {', '.join(map(str, FIGURES))}")
    return FIGURES[number]
