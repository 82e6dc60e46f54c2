"""Tables of numbers as CSV files: each column has a name, and reading a file restores the exact values."""

from __future__ import annotations

import csv
import io
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from eprop.errors import DataError
from eprop.files import output_errors, parsing, read_text, write_text

#: Columns by name, one-dimensional and of equal length. A name ends with its unit, such as ``time_ms``.
Table = Mapping[str, np.ndarray]
Tables = Mapping[str, Table]


def table(**columns: npt.ArrayLike) -> dict[str, np.ndarray]:
    """Make a table; a single value fills a column.

    Examples
    --------
    >>> table(rule="eprop", loss=[0.5, 0.25])
    {'rule': array(['eprop', 'eprop'], dtype='<U5'), 'loss': array([0.5 , 0.25])}
    """
    arrays = np.broadcast_arrays(*(np.asarray(column) for column in columns.values()))
    return {name: np.atleast_1d(array).copy() for name, array in zip(columns, arrays, strict=True)}


def stacked(tables: Sequence[Table]) -> dict[str, np.ndarray]:
    """Append tables with the same columns, one below the other."""
    return {name: np.concatenate([part[name] for part in tables]) for name in tables[0]}


def rows(of: Table, **wanted: object) -> dict[str, np.ndarray]:
    """Select the rows in which columns have the wanted values.

    Examples
    --------
    >>> rows(table(rule=["eprop", "eprop+"], error=[0.1, 0.2]), rule="eprop+")["error"]
    array([0.2])
    """
    keep = np.ones(next(iter(of.values())).size, bool)
    for name, value in wanted.items():
        keep &= of[name] == value
    return {name: column[keep] for name, column in of.items()}


def write_tables(folder: pathlib.Path, tables: Tables) -> list[pathlib.Path]:
    """Write each table to ``<name>.csv``, completely or not at all; delete tables with other names.

    Raises
    ------
    OutputError
        If the disk is full or not writable.
    """
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.csv" for name in tables]
    for path, content in zip(paths, tables.values(), strict=True):
        write_text(path, _text(content))
    with output_errors(folder):
        for path in folder.glob("*.csv"):
            if path not in paths:
                path.unlink()
    return paths


def read_tables(folder: pathlib.Path) -> dict[str, dict[str, np.ndarray]]:
    """All tables of a folder, by name.

    Raises
    ------
    DataError
        If a table cannot be read, or its rows differ in length.
    """
    return {path.stem: _read(path) for path in sorted(folder.glob("*.csv"))}


def _text(content: Table) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(content)
    writer.writerows(zip(*(_texts(column) for column in content.values()), strict=True))
    return out.getvalue()


def _texts(column: np.ndarray) -> list[object]:
    """Format values with as many digits as are needed to restore the same bits."""
    return list((column.astype(np.str_) if column.dtype == np.float32 else column).tolist())


def _read(path: pathlib.Path) -> dict[str, np.ndarray]:
    with parsing(str(path), "cannot be read", DataError, "delete it or give --fresh to compute it again"):
        names, *lines = list(csv.reader(io.StringIO(read_text(path), newline="")))
        columns = list(zip(*lines, strict=True)) if lines else [()] * len(names)
        return {name: _column(texts) for name, texts in zip(names, columns, strict=True)}


def _column(texts: tuple[str, ...]) -> np.ndarray:
    """Convert a column to whole numbers, else to numbers, else to text."""
    for kind in (np.int64, np.float64):
        try:
            return np.array(texts, dtype=np.str_).astype(kind) if texts else np.zeros(0)
        except ValueError:
            continue
    return np.array(texts)
