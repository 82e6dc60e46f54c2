"""From options to a folder with a figure, its numbers, and what it took to compute them."""

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

#: Dots per inch by format; where lines stay lines, of clouds of points only.
RESOLUTION = {"png": 180, "pdf": 400, "svg": 400}


@dataclass(frozen=True, eq=False)
class FigureResult:
    """A figure that was made.

    Attributes
    ----------
    folder : Path
    figure : PaperFigure
        With all its options.
    pictures, tables : list of Path
    facts : dict
        What is in ``figure.json``: options, key numbers, seconds, machine.
    computed : bool
        Whether anything was computed, rather than drawn again.
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
        Of the figure in the paper.
    options : mapping, optional
        Parameters of the figure. Where the folder holds the figure already, its options stay, but for those given here.
    out : path, optional
        Folder; ``figures/figure-<number>`` if not given, with ``-quick`` behind for a quick one.
    fresh : bool
        Forget what is in the folder.
    threads : int, optional
        Cores to take; all that are available if not given.
    watcher : Watcher, optional
        A progress bar if not given.
    formats : sequence of str
        Of the pictures: ``"png"``, ``"pdf"``, ``"svg"``.

    Returns
    -------
    FigureResult
        The figure, its folder, and what `figure.json` there holds.

    Raises
    ------
    EPropError
        If an option is wrong, the folder is not one of this figure, or the disk is full.
    Stopped
        After Ctrl-C; what is done is kept, and the same call goes on.
    """
    if threads is not None and threads < 1:
        raise ParameterError(f"the number of threads must be >= 1, got {threads}")
    for name in formats:
        check_choice("format", name, RESOLUTION)
    kind, given = figure_numbered(number), dict(options or {})
    kind(**given)  # what is wrong in itself is refused before anything is made
    folder = pathlib.Path(out) if out is not None else default_folder(number, quick=bool(given.get("quick")))
    _settle(folder, kind, given, fresh)
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with shown(watcher) as watching, alone(folder):
        # Once more: another process may have come to its end there just now.
        figure, facts, due = _settle(folder, kind, given, fresh)
        if due:
            facts = _compute(folder, figure, JobRunner(folder, threads=threads, watcher=watching), fresh, facts)
        watching.phase("drawing")
        drawing = _draw(folder, figure, _numbers(folder, facts), computed=due)
        pictures = [save(drawing, folder / f"figure-{number}.{kind}", RESOLUTION[kind]) for kind in formats]
    return FigureResult(folder, figure, pictures, sorted((folder / NUMBERS).glob("*.csv")), facts, due)


def default_folder(number: int, *, quick: bool = False) -> pathlib.Path:
    """Where a figure goes if nothing is said."""
    return pathlib.Path("figures") / f"figure-{number}{'-quick' if quick else ''}"


def _settle(
    folder: pathlib.Path, kind: type[PaperFigure], given: Mapping[str, Any], fresh: bool
) -> tuple[PaperFigure, dict[str, Any], bool]:
    """The figure with all its options, the facts of its folder, and whether anything is to be computed; nothing is written."""
    check_free(folder, kind.number, fresh=fresh)
    facts = {} if fresh else read_facts(folder)
    known = {field.name for field in dataclasses.fields(kind)}  # another version may have known others
    old = {name: value for name, value in facts.get("options", {}).items() if name in known}
    if old.get("quick") and given.get("quick") is False and old.get("trials") == QUICK_TRIALS:
        del old["trials"]  # they were so few for it was quick
    old = kind.inherited(old, given)
    try:
        figure: PaperFigure = kind(**{**old, **given}).absolute()
        due = facts.get("options") != _options(figure) or not facts.get("done") or _is_missing(folder, facts)
        if due:
            figure.check()
    except EPropError as error:
        if old.keys() - given.keys():
            error.add_note(f"options that are not given are those in {folder / FACTS}; --fresh forgets them")
        raise
    return figure, facts, due


def _compute(
    folder: pathlib.Path, figure: PaperFigure, runner: JobRunner, fresh: bool, old: Mapping[str, Any]
) -> dict[str, Any]:
    """All numbers; the folder knows its options before, and that it is done at the end."""
    began = time.perf_counter()
    if fresh:
        runner.clear()
    what = {"figure": figure.number, "title": figure.title}
    facts: dict[str, Any] = {**what, "options": _options(figure), "done": False}
    write_facts(folder, facts)
    try:
        tables = figure.compute(runner)
    except (DataError, ParameterError):
        # Options that turn out to be wrong only now are not those of the next call.
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
    """Whether a table is not there any more; earlier versions did not write down which there are."""
    there = {path.stem for path in (folder / NUMBERS).glob("*.csv")}
    return not there or not set(facts.get("columns", ())) <= there


def _numbers(folder: pathlib.Path, facts: Mapping[str, Any]) -> Tables:
    """The tables of a figure, with all columns that it needs."""
    found = read_tables(folder / NUMBERS)
    for name, columns in facts.get("columns", {}).items():
        for column, kind in columns.items():
            wrong = None
            if column not in found[name]:
                wrong = f"has no column {column}"
            elif kind == "number" and _kind(found[name][column]) != kind:
                wrong = f"has something else than numbers in the column {column}"
            if wrong:
                raise DataError(f"{folder / NUMBERS / name}.csv: {wrong}; delete it, and it is computed again")
    return found


def _draw(folder: pathlib.Path, figure: PaperFigure, tables: Tables, *, computed: bool) -> Figure:
    try:
        return figure.draw(tables)
    except (LookupError, TypeError, ValueError) as error:
        if computed or isinstance(error, EPropError):
            raise  # not for what somebody has done to the tables
        raise DataError(
            f"{folder / NUMBERS}: holds numbers that cannot be drawn ({type(error).__name__}: {error}); "
            "delete the tables there, and they are computed again"
        ) from error


def _options(figure: PaperFigure) -> dict[str, Any]:
    """Options as JSON gives them back, with as many trials as there are: of a quick figure fewer than it was told."""
    values = {field.name: getattr(figure, field.name) for field in dataclasses.fields(figure)}
    values["trials"] = len(figure.seeds)
    return dict(json.loads(json.dumps(values)))
