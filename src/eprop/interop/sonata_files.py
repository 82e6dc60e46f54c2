"""Files of SONATA: HDF5 with a head, tables of types, and the configuration that names them."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import numpy as np

from eprop.errors import DataError
from eprop.training.files import write_text, written_aside

#: What every file begins with: the number by which the format is known, and its version.
MAGIC, VERSION = np.uint32(0x0A7A), np.array([0, 1], np.uint32)
#: In which order spikes come.
SORTINGS = h5py.enum_dtype({"none": 0, "by_id": 1, "by_time": 2}, basetype=np.uint8)
#: How tables say nothing.
NOTHING = ("", "NULL", "NONE", "None", "NA", "nan")


@contextlib.contextmanager
def written(path: str | pathlib.Path) -> Iterator[h5py.File]:
    """A file to write to, whole or not at all; it is made in memory, for on a full disk the HDF5 library would crash."""
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        file.attrs["magic"], file.attrs["version"] = MAGIC, VERSION
        yield file
    with written_aside(path) as aside:
        aside.write_bytes(image.getbuffer())


@contextlib.contextmanager
def opened(path: str | pathlib.Path, group: str) -> Iterator[Any]:
    """A group at the top of a file.

    Raises
    ------
    DataError
        If there is no such file, or something is looked for in it that is not there.
    """
    try:
        with h5py.File(path, "r") as file:
            yield file[group]
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file") from error
    except (OSError, KeyError) as error:
        raise DataError(f"{path}: is no file of SONATA with {group}: {error}") from error


def text_of(value: Any) -> str:
    """Text of an attribute, however it was written."""
    return value.decode() if isinstance(value, bytes) else str(value)


def write_types(path: pathlib.Path, row: dict[str, Any]) -> str:
    """A table with one type."""
    text = io.StringIO()
    writer = csv.DictWriter(text, row, delimiter=" ", lineterminator="\n")
    writer.writeheader()
    writer.writerow(row)
    write_text(path, text.getvalue())
    return f"$BASE_DIR/{path.name}"


def files_of(config: pathlib.Path) -> dict[str, list[dict[str, str]]]:
    """Files of nodes and edges, whose names hold no variables any more; a configuration of a simulation names the circuit's."""
    try:
        given = json.loads(config.read_text(encoding="utf-8"))
        manifest = {key: str(value) for key, value in given.get("manifest", {}).items()}
        for _ in manifest:  # a variable may stand for a name that holds another
            manifest = {key: _replaced(value, manifest) for key, value in manifest.items()}
        if isinstance(given.get("network"), str):
            return files_of(config.parent / _replaced(given["network"], manifest))
        return {
            kind: [
                {
                    key: str(config.parent / _replaced(value, manifest))
                    for key, value in entry.items()
                    if key in names and value
                }
                for entry in given["networks"][kind]
            ]
            for kind in ("nodes", "edges")
            for names in [(f"{kind}_file", f"{kind[:-1]}_types_file")]
        }
    except OSError as error:
        raise DataError(f"{config}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{config}: is no circuit configuration of SONATA with networks of nodes and edges") from error


def _replaced(text: str, manifest: Mapping[str, str]) -> str:
    for key in sorted(manifest, key=len, reverse=True):
        text = text.replace("${" + key.strip("${}") + "}", manifest[key]).replace(key, manifest[key])
    return text


def each(files: dict[str, list[dict[str, str]]], kind: str) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Each file, and its types."""
    for entry in files[kind]:
        if f"{kind}_file" not in entry:
            raise DataError(f"an entry of networks.{kind} names no {kind}_file")
        one = kind[:-1]
        yield entry[f"{kind}_file"], _read_types(entry.get(f"{one}_types_file"), f"{one}_type_id")


def _read_types(path: str | None, key: str) -> list[dict[str, str]]:
    if path is None:
        return []
    try:
        with open(path, encoding="utf-8", newline="") as file:
            # Columns are parted by one or more spaces.
            rows = list(csv.DictReader(file, delimiter=" ", skipinitialspace=True))
        return [row | {"id": str(int(row[key]))} for row in rows]
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: is no table of types with a column {key}, its columns parted by spaces") from error


def of_types(types: list[dict[str, str]], population: str, ids: np.ndarray, column: str) -> dict[int, str]:
    """What the types that occur in a population say in a column, by their numbers; of those that say nothing, nothing."""
    told = {
        int(row["id"]): row.get(column)
        for row in types
        if row.get("population")
        in (None, "", *NOTHING, population)  # numbers may be those of another population's types
    }
    found = {int(i): told.get(int(i)) for i in np.unique(ids)}
    return {i: value for i, value in found.items() if value is not None and value not in NOTHING}


def numbers(path: str, column: str, values: dict[int, str]) -> dict[int, float]:
    """A column as numbers.

    Raises
    ------
    DataError
        If one is none.
    """
    try:
        return {i: float(value) for i, value in values.items()}
    except ValueError as error:
        raise DataError(f"the types of {path}: {column} must be a number: {error}") from error
