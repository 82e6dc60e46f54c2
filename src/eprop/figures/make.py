"""From options to a folder with a figure, its numbers, and what it took to compute them."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eprop.errors import DataError, OutputError, ParameterError
from eprop.figures.base import QUICK_TRIALS, PaperFigure
from eprop.figures.registry import figure_numbered
from eprop.figures.tables import Tables, read_tables, write_tables
from eprop.figures.work import Work
from eprop.plot import save
from eprop.training.files import output_errors, write_text
from eprop.training.machine import describe_machine, package_version
from eprop.training.watch import Watcher

#: Of a figure's folder: what was computed, and the folder of its tables.
FACTS, NUMBERS = "figure.json", "numbers"
#: Dots per inch; in a PDF, of clouds of points only.
RESOLUTION = {"png": 180, "pdf": 400}


@dataclass(frozen=True, eq=False)
class Made:
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
) -> Made:
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

    Returns
    -------
    Made
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
    kind, given, watcher = figure_numbered(number), dict(options or {}), watcher or Watcher()
    kind(**given)  # what is wrong in itself is refused before anything is made
    folder = pathlib.Path(out) if out is not None else default_folder(number, quick=bool(given.get("quick")))
    old = {} if fresh else _old_options(folder, kind)
    if old.get("quick") and given.get("quick") is False and old["trials"] == QUICK_TRIALS:
        del old["trials"]  # they were so few for it was quick
    _check_free(folder, number)
    figure = kind(**{**old, **given}).absolute()
    facts = _read_facts(folder)
    if fresh or facts.get("options") != _options(figure) or not facts.get("done"):
        facts, tables = _compute(folder, figure, Work(folder, threads=threads, watcher=watcher), fresh), True
    else:
        tables = False
    watcher.phase("drawing")
    numbers = read_tables(folder / NUMBERS)
    return Made(folder, figure, _draw(folder, figure, numbers), sorted((folder / NUMBERS).glob("*.csv")), facts, tables)


def default_folder(number: int, *, quick: bool = False) -> pathlib.Path:
    """Where a figure goes if nothing is said."""
    return pathlib.Path("figures") / f"figure-{number}{'-quick' if quick else ''}"


def _compute(folder: pathlib.Path, figure: PaperFigure, work: Work, fresh: bool) -> dict[str, Any]:
    """All numbers; the folder knows its options before, and that it is done at the end."""
    began = time.perf_counter()
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if fresh:
        work.clear()
    facts: dict[str, Any] = {"figure": figure.number, "title": figure.title, "options": _options(figure), "done": False}
    _write_facts(folder, facts)
    tables = figure.compute(work)
    write_tables(folder / NUMBERS, tables)
    facts |= {
        "done": True,
        "summary": figure.summary(read_tables(folder / NUMBERS)),
        "parts_computed": work.computed,
        "seconds": time.perf_counter() - began,
        "seconds_of_all_parts": work.seconds,
        "version": package_version(),
        "machine": describe_machine(),
    }
    _write_facts(folder, facts)
    return facts


def _draw(folder: pathlib.Path, figure: PaperFigure, tables: Tables) -> list[pathlib.Path]:
    drawing = figure.draw(tables)
    return [save(drawing, folder / f"figure-{figure.number}.{kind}", dpi) for kind, dpi in RESOLUTION.items()]


def _options(figure: PaperFigure) -> dict[str, Any]:
    """Options as JSON gives them back, with as many trials as there are: of a quick figure fewer than it was told."""
    values = {field.name: getattr(figure, field.name) for field in dataclasses.fields(figure)}
    values["trials"] = len(figure.seeds)
    return dict(json.loads(json.dumps(values)))


def _old_options(folder: pathlib.Path, kind: type[PaperFigure]) -> dict[str, Any]:
    """Options of the figure that is in the folder; those that another version knew are left out."""
    known = {field.name for field in dataclasses.fields(kind)}
    return {name: value for name, value in _read_facts(folder).get("options", {}).items() if name in known}


def _check_free(folder: pathlib.Path, number: int) -> None:
    """Raise `OutputError` if the folder holds something else than this figure."""
    with output_errors(folder):
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder}: is a file; give a folder for the figure")
        if not folder.is_dir() or not any(folder.iterdir()):
            return
    holds = _read_facts(folder).get("figure")
    if holds != number:
        what = "is not empty, and holds no figure" if holds is None else f"holds figure {holds}"
        raise OutputError(f"{folder}: {what}; give another folder with --out")


def _read_facts(folder: pathlib.Path) -> dict[str, Any]:
    path = folder / FACTS
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: is damaged ({error}); delete it, and the figure is computed again") from error


def _write_facts(folder: pathlib.Path, facts: Mapping[str, Any]) -> None:
    write_text(folder / FACTS, json.dumps(facts, indent=2) + "\n")
