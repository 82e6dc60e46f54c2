"""The figures of the paper, one file each: a figure computes numbers, keeps them as tables, and draws only from the tables.

::

    Figure2, Figure3, Figure4   the figures                                   figure_2.py, ...
    FIGURES, make_figure        by number; from options to a folder           make.py
    PaperFigure                 base of all figures                           paper_figure.py
    Job, JobRunner              parallel jobs, with kept results              jobs.py
    training_job                a training as a job                           trainings.py
    table, rows, ...            columns by name, as CSV                       tables.py
"""

from eprop.figures.figure_2 import Figure2
from eprop.figures.figure_3 import Figure3
from eprop.figures.figure_4 import Figure4
from eprop.figures.jobs import Job, JobRunner
from eprop.figures.make import FIGURES, FigureResult, make_figure
from eprop.figures.paper_figure import PaperFigure
from eprop.figures.tables import Table, Tables, read_tables, rows, stacked, table, write_tables

__all__ = [
    "FIGURES", "Figure2", "Figure3", "Figure4", "FigureResult", "Job", "JobRunner", "PaperFigure", "Table", "Tables",
    "make_figure", "read_tables", "rows", "stacked", "table", "write_tables",
]  # fmt: skip
