"""Make a folder with a figure, its numbers, and the cost of computing them."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from eprop.errors import DataError, EPropError, ParameterError
from eprop.figures.base import QUICK_TRIALS, PaperFigure
from eprop.figures.folder import FACTS, NUMBERS, alone, check_free, read_facts, write_facts
from eprop.figures.job_runner import JobRunner
from eprop.figures.registry import figure_numbered
from eprop.figures.tables import Tables, read_tables, write_tables
from eprop.files import output_errors
from eprop.plot import save
from eprop.tasks import check_choice
from eprop.training.machine import describe_machine, package_version
from eprop.training.progress_bar import shown
from eprop.training.watch import Watcher

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Dots per inch by format; PDF and SVG rasterise only clouds of points.
RESOLUTION = {"png": 180, "pdf": 400, "svg": 400}


@dataclass(frozen=True, eq=False)
class FigureResult:
    """A finished figure.

    Attributes
    ----------
    folder : Path
    figure : PaperFigure
        The figure with all its options.
    pictures, tables : list of Path
    facts : dict
        Content of ``figure.json``: options, key numbers, seconds, machine.
    computed : bool
        Whether numbers were computed; False if the figure was only drawn again.
    """

    folder: pathlib.Path
    figure: PaperFigure
    pictures: list[pathlib.Path]
    tables: list[pathlib.Path]
    facts: dict[str, Any]
    computed: bool


def make_figure(
    number: int,
    options: Mapping[str, Any] | None = None,
    out: str | pathlib.Path | None = None,
    *,
    fresh: bool = False,
    threads: int | None = None,
    watcher: Watcher | None = None,
    formats: Sequence[str] = ("png", "pdf"),
) -> FigureResult:
    """Compute the numbers of a figure, unless its folder holds them, and draw it.

    Parameters
    ----------
    number : int
        Number of the figure in the paper.
    options : mapping, optional
        Parameters of the figure. If the folder holds the figure already, its options stay, except the given ones.
    out : path, optional
        Folder. The default is ``figures/figure-<number>``, with ``-quick`` appended for a quick figure.
    fresh : bool
        Ignore the content of the folder.
    threads : int, optional
        Cores to use. The default is all available cores.
    watcher : Watcher, optional
        The default is a progress bar.
    formats : sequence of str
        Formats of the pictures: ``"png"``, ``"pdf"``, ``"svg"``.

    Returns
    -------
    FigureResult
        The figure, its folder, and the content of `figure.json`.

    Raises
    ------
    EPropError
        If an option is wrong, the folder holds something else, or the disk is full.
    Stopped
        After Ctrl-C; finished parts are kept, and the same call continues.
    """
    if threads is not None and threads < 1:
        raise ParameterError(f"the number of threads must be >= 1, got {threads}")
    for name in formats:
        check_choice("format", name, RESOLUTION)
    kind, given = figure_numbered(number), dict(options or {})
    kind(**given)  # refuse invalid options before anything is written
    folder = pathlib.Path(out) if out is not None else default_folder(number, quick=bool(given.get("quick")))
    _settle(folder, kind, given, fresh)
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with shown(watcher) as watching, alone(folder):
        # Check again: another process may just have finished there.
        figure, facts, due = _settle(folder, kind, given, fresh)
        if due:
            facts = _compute(folder, figure, JobRunner(folder, threads=threads, watcher=watching), fresh, facts)
        watching.phase("drawing")
        drawing = _draw(folder, figure, _numbers(folder, facts), computed=due)
        pictures = [save(drawing, folder / f"figure-{number}.{kind}", RESOLUTION[kind]) for kind in formats]
    return FigureResult(folder, figure, pictures, sorted((folder / NUMBERS).glob("*.csv")), facts, due)


def default_folder(number: int, *, quick: bool = False) -> pathlib.Path:
    """Return the default folder of a figure."""
    return pathlib.Path("figures") / f"figure-{number}{'-quick' if quick else ''}"


def _settle(
    folder: pathlib.Path, kind: type[PaperFigure], given: Mapping[str, Any], fresh: bool
) -> tuple[PaperFigure, dict[str, Any], bool]:
    """Return the figure with all options, the facts of its folder, and whether to compute; write nothing."""
    check_free(folder, kind.number, fresh=fresh)
    facts = {} if fresh else read_facts(folder)
    known = {field.name for field in dataclasses.fields(kind)}  # another version may have other fields
    old = {name: value for name, value in facts.get("options", {}).items() if name in known}
    if old.get("quick") and given.get("quick") is False and old.get("trials") == QUICK_TRIALS:
        del old["trials"]  # the quick figure had reduced them
    old = kind.inherited(old, given)
    try:
        figure: PaperFigure = kind(**{**old, **given}).absolute()
        due = facts.get("options") != _options(figure) or not facts.get("done") or _is_missing(folder, facts)
        if due:
            figure.check()
    except EPropError as error:
        if old.keys() - given.keys():
            error.add_note(f"options that you do not give come from {folder / FACTS}; --fresh ignores them")
        raise
    return figure, facts, due


def _compute(
    folder: pathlib.Path, figure: PaperFigure, runner: JobRunner, fresh: bool, old: Mapping[str, Any]
) -> dict[str, Any]:
    """Compute all numbers; write the options to the folder first, and at the end that it is done."""
    began = time.perf_counter()
    if fresh:
        runner.clear()
    what = {"figure": figure.number, "title": figure.title}
    facts: dict[str, Any] = {**what, "options": _options(figure), "done": False}
    write_facts(folder, facts)
    try:
        tables = figure.compute(runner)
    except (DataError, ParameterError):
        # Do not keep options that turn out to be wrong for the next call.
        write_facts(folder, old or {**what, "done": False})
        raise
    write_tables(folder / NUMBERS, tables)
    found = read_tables(folder / NUMBERS)
    facts |= {
        "done": True,
        "summary": figure.summary(found),
        "columns": {name: {column: _kind(values) for column, values in of.items()} for name, of in found.items()},
        "parts_computed": runner.computed,
        "seconds": time.perf_counter() - began,
        "seconds_of_all_parts": runner.seconds,
        "version": package_version(),
        "machine": describe_machine(),
    }
    write_facts(folder, facts)
    return facts


def _kind(column: np.ndarray) -> str:
    return "text" if column.dtype.kind == "U" else "number"


def _is_missing(folder: pathlib.Path, facts: Mapping[str, Any]) -> bool:
    """Whether a table is missing; earlier versions did not list their tables."""
    there = {path.stem for path in (folder / NUMBERS).glob("*.csv")}
    return not there or not set(facts.get("columns", ())) <= there


def _numbers(folder: pathlib.Path, facts: Mapping[str, Any]) -> Tables:
    """Read the tables of a figure, and check that they have all columns that the figure needs."""
    found = read_tables(folder / NUMBERS)
    for name, columns in facts.get("columns", {}).items():
        for column, kind in columns.items():
            wrong = None
            if column not in found[name]:
                wrong = f"has no column {column}"
            elif kind == "number" and _kind(found[name][column]) != kind:
                wrong = f"has values that are not numbers in the column {column}"
            if wrong:
                raise DataError(f"{folder / NUMBERS / name}.csv: {wrong}; delete the file to compute it again")
    return found


def _draw(folder: pathlib.Path, figure: PaperFigure, tables: Tables, *, computed: bool) -> Figure:
    try:
        return figure.draw(tables)
    except (LookupError, TypeError, ValueError) as error:
        if computed or isinstance(error, EPropError):
            raise  # this error is not about changed tables
        raise DataError(
            f"{folder / NUMBERS}: holds numbers that cannot be drawn ({type(error).__name__}: {error}); "
            "delete the tables there to compute them again"
        ) from error


def _options(figure: PaperFigure) -> dict[str, Any]:
    """Options as JSON returns them, with the real number of trials: a quick figure reduces it."""
    values = {field.name: getattr(figure, field.name) for field in dataclasses.fields(figure)}
    values["trials"] = len(figure.seeds)
    return dict(json.loads(json.dumps(values)))
