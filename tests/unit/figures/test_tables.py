"""Tables come back from CSV files as they were."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

from eprop.errors import OutputError
from eprop.figures import read_tables, rows, stacked, table, write_tables

pytestmark = pytest.mark.tiny


def test_tables_survive_writing_and_reading_exactly(tmp_path: pathlib.Path) -> None:
    given = {
        "numbers": table(rule=["eprop", "eprop+"], error=[0.1, np.nan], big=[1e300, 1 / 3], count=np.array([3, -4])),
        "single": table(value=np.float32(0.1), name="a, b"),
        "none": table(x=np.zeros(0)),
    }
    paths = write_tables(tmp_path / "numbers", given)
    assert [path.name for path in paths] == ["numbers.csv", "single.csv", "none.csv"]
    back = read_tables(tmp_path / "numbers")
    assert back.keys() == given.keys()
    for name, columns in given.items():
        assert list(back[name]) == list(columns)
        for column, values in columns.items():
            read = back[name][column]
            np.testing.assert_array_equal(read.astype(values.dtype), values)
    assert back["numbers"]["count"].dtype == np.int64
    assert back["none"]["x"].size == 0


def test_rows_select_from_stacked_tables() -> None:
    both = stacked([table(rule="eprop", x=[1, 2]), table(rule="eprop+", x=[3])])
    assert both["x"].tolist() == [1, 2, 3]
    assert rows(both, rule="eprop", x=2)["x"].tolist() == [2]
    assert rows(both, rule="none")["x"].size == 0


def test_writing_deletes_earlier_tables_only(tmp_path: pathlib.Path) -> None:
    write_tables(tmp_path, {"old": table(x=[1]), "kept": table(x=[1])})
    (tmp_path / "mine.txt").write_text("")
    write_tables(tmp_path, {"kept": table(x=[2])})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.csv", "mine.txt"]


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        write_tables(tmp_path / "file", {"x": table(x=[1])})
