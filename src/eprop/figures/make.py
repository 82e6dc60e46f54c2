"""Make a folder with a figure, its numbers, and the cost of computing them."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eprop.errors import DataError, EPropError, OutputError, ParameterError
from eprop.figures.figure_2 import Figure2
from eprop.figures.figure_3 import Figure3
from eprop.figures.figure_4 import Figure4
from eprop.figures.figure_5 import Figure5
from eprop.figures.jobs import JOBS, JobRunner
from eprop.figures.paper_figure import PaperFigure
from eprop.figures.tables import read_tables, write_tables
from eprop.files import JsonObject, output_errors, parsing, read_text, write_text
from eprop.plot import save
from eprop.plot.style import drawing
from eprop.tasks import check_choice
from eprop.training.progress_bar import shown
from eprop.training.system_info import describe_machine, package_version
from eprop.training.watcher import Watcher

#: Every figure by its number; one line each.
FIGURES: dict[int, type[PaperFigure]] = {
    2: Figure2,
    3: Figure3,
    4: Figure4,
    5: Figure5,
}
#: In a figure's folder: the facts of the computation, and the folder of the tables.
FACTS, NUMBERS = "figure.json", "numbers"
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
    facts: JsonObject
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
        After Ctrl-C; finished jobs are kept, and the same call continues.
    """
    given = dict(options or {})
    _refuse_wrong(number, given, threads, formats)
    suffix = "-quick" if given.get("quick") else ""
    folder = pathlib.Path("figures", f"figure-{number}{suffix}") if out is None else pathlib.Path(out)
    facts = _read_facts(folder, number)
    facts = {} if fresh else facts
    figure, due = _settle(folder, FIGURES[number], given, facts)
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with shown(watcher) as watching:
        if due:
            runner = JobRunner(folder, threads=threads, watcher=watching)
            if fresh:
                runner.clear()
            facts = _compute(folder, figure, runner)
        watching.phase("drawing")
        pictures: list[pathlib.Path] = []
        with drawing(f"{folder}: figure {number}"):
            picture = figure.draw(read_tables(folder / NUMBERS))
            pictures = [save(picture, folder / f"figure-{number}.{kind}", RESOLUTION[kind]) for kind in formats]
    return FigureResult(folder, figure, pictures, sorted((folder / NUMBERS).glob("*.csv")), facts, due)


def _refuse_wrong(number: int, given: Mapping[str, Any], threads: int | None, formats: Sequence[str]) -> None:
    """Refuse invalid arguments of `make_figure`, before anything is written."""
    if number not in FIGURES:
        raise ParameterError(f"no figure {number}; there are: {', '.join(map(str, FIGURES))}")
    if threads is not None and threads < 1:
        raise ParameterError(f"the number of threads must be >= 1, got {threads}")
    for name in formats:
        check_choice("format", name, RESOLUTION)
    FIGURES[number](**given)


def _read_facts(folder: pathlib.Path, number: int) -> JsonObject:
    """Read ``figure.json``, empty if it does not exist; refuse a folder with anything else."""
    path = folder / FACTS
    if not path.is_file():
        own = {NUMBERS, JOBS, *(f"figure-{number}.{kind}" for kind in RESOLUTION)}
        with output_errors(folder):
            if folder.exists() and not {each.name for each in folder.iterdir()} <= own:
                raise OutputError(f"{folder}: is not empty, and holds no figure; give another folder with --out")
        return {}
    with parsing(str(path), "is damaged", DataError, "delete it, and the figure is computed again"):
        facts = dict(json.loads(read_text(path)))
    if facts.get("figure") != number:
        raise OutputError(f"{folder}: holds figure {facts.get('figure')}; give another folder with --out")
    return facts


def _settle(
    folder: pathlib.Path, kind: type[PaperFigure], given: Mapping[str, Any], facts: Mapping[str, Any]
) -> tuple[PaperFigure, bool]:
    """Return the figure with the given options, and for the others those of its folder; and whether to compute."""
    known = {field.name for field in dataclasses.fields(kind)}  # another version may have other fields
    earlier = kind.options_that_stay({name: v for name, v in facts.get("options", {}).items() if name in known}, given)
    try:
        figure: PaperFigure = kind(**{**earlier, **given}).absolute()
        tables = {path.stem for path in (folder / NUMBERS).glob("*.csv")}
        due = facts.get("options") != _options(figure) or not tables.issuperset(facts["tables"])
        if due:
            figure.check()
    except EPropError as error:
        if earlier.keys() - given.keys():
            error.add_note(f"options that you do not give come from {folder / FACTS}; --fresh ignores them")
        raise
    return figure, due


def _compute(folder: pathlib.Path, figure: PaperFigure, runner: JobRunner) -> JsonObject:
    """Compute all numbers, and write them with the facts about them."""
    began = time.perf_counter()
    write_tables(folder / NUMBERS, figure.compute(runner))
    tables = read_tables(folder / NUMBERS)
    facts = {
        "figure": figure.number,
        "title": figure.title,
        "options": _options(figure),
        "summary": figure.summary(tables),
        "tables": sorted(tables),
        "parts_computed": runner.computed,
        "seconds": time.perf_counter() - began,
        "seconds_of_all_parts": runner.seconds,
        "version": package_version(),
        "machine": describe_machine(),
    }
    write_text(folder / FACTS, json.dumps(facts, indent=2) + "\n")
    return facts


def _options(figure: PaperFigure) -> JsonObject:
    """Options as JSON returns them."""
    values = {field.name: getattr(figure, field.name) for field in dataclasses.fields(figure)}
    return dict(json.loads(json.dumps(values)))
