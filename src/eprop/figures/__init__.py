"""The figures of the paper, one file each: a figure computes numbers, keeps them as tables, and draws only from the tables.

::

    Figure2, ... Figure5        the figures                                   figure_2.py, ... figure_5.py
    difference                  two engines compared, as a part               difference.py
    make_figure                 from options to a folder with a figure        make.py
    check_free, alone           owner of a folder, one process at a time      folder.py
    PaperFigure                 base of all figures                           base.py
    JobRunner, Part             parallel parts, with kept results             job_runner.py
    table, rows, ...            columns by name, as CSV                       tables.py
    learn                       a training as a part                          learning.py
    FIGURES, figure_numbered    by number                                     registry.py
"""

from eprop.figures.base import PaperFigure
from eprop.figures.figure_2 import Figure2
from eprop.figures.figure_3 import Figure3
from eprop.figures.figure_4 import Figure4
from eprop.figures.figure_5 import Figure5
from eprop.figures.job_runner import JobRunner, Part
from eprop.figures.make import FigureResult, make_figure
from eprop.figures.registry import FIGURES, figure_numbered
from eprop.figures.tables import Table, Tables, read_tables, rows, stacked, table, write_tables

__all__ = [
    "FIGURES", "Figure2", "Figure3", "Figure4", "Figure5", "FigureResult", "PaperFigure", "Part", "Table", "Tables", "JobRunner",
    "figure_numbered", "make_figure", "read_tables", "rows", "stacked", "table", "write_tables",
]  # fmt: skip
