"""From options to a folder: what is computed once, kept, and refused."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from eprop.cli import app
from eprop.errors import DataError, OutputError, ParameterError
from eprop.figures import FIGURES, FigureResult, JobRunner, Part, make_figure
from eprop.figures.folder import alone
from eprop.training import Stopped, Watcher
from eprop.training.lock import LOCK
from toy_figure import Toy, square

pytestmark = pytest.mark.tiny


@pytest.fixture(autouse=True)
def _toy(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FIGURES, 7, Toy)
    monkeypatch.chdir(tmp_path)


def make(**options: Any) -> FigureResult:
    where = {name: options.pop(name) for name in ("out", "fresh") if name in options}
    return make_figure(7, options, threads=1, **where)


def calls(seed: int, folder: str = "figures/figure-7") -> int:
    return len(pathlib.Path(folder, "parts", f"square-{seed}", "calls").read_text())


def test_a_folder_holds_pictures_numbers_and_facts() -> None:
    made = make()
    assert made.computed
    assert made.folder == pathlib.Path("figures/figure-7")
    assert [path.name for path in made.pictures] == ["figure-7.png", "figure-7.pdf"]
    assert made.pictures[0].read_bytes().startswith(b"\x89PNG")
    assert made.pictures[1].read_bytes().startswith(b"%PDF")
    assert [path.read_text() for path in made.tables] == ["seed,square\n1,1.0\n2,4.0\n3,9.0\n"]
    facts = json.loads((made.folder / "figure.json").read_text())
    assert facts == made.facts
    assert facts["summary"] == {"largest": 9.0}
    assert facts["options"] == {"trials": 3, "seed": 1, "quick": False, "names": [], "factor": None}
    assert facts["parts_computed"] == 3
    assert not [path for path in made.folder.rglob("*") if path.name.startswith((".", "share"))]


def test_drawing_again_computes_nothing() -> None:
    first = make(factor=2.0, names=("a",))
    again = make()
    assert not again.computed
    assert again.facts == first.facts
    assert again.figure.factor == 2.0  # options of the folder stay
    assert calls(1) == 1
    pathlib.Path("figures/figure-7/numbers/squares.csv").write_text("seed,square\n1,5.0\n")
    make()  # from the table alone
    assert pathlib.Path("figures/figure-7/numbers/squares.csv").read_text() == "seed,square\n1,5.0\n"


def test_more_trials_compute_what_is_missing() -> None:
    make()
    more = make(trials=4)
    assert more.computed
    assert more.facts["parts_computed"] == 1
    assert [calls(seed) for seed in (1, 2, 3, 4)] == [1, 1, 1, 1]
    fresh = make(fresh=True)
    assert fresh.figure.trials == 3
    assert fresh.facts["parts_computed"] == 3
    assert not pathlib.Path("figures/figure-7/parts/square-4").exists()


def test_what_is_done_outlives_ctrl_c_and_errors() -> None:
    with pytest.raises(
        Stopped, match=r"stopped; 1 of 2 parts are done and kept in figures.*the same command continues"
    ):
        make(trials=2, seed=98)
    assert json.loads(pathlib.Path("figures/figure-7/figure.json").read_text())["done"] is False
    with pytest.raises(DataError, match="out of luck"):
        make(trials=2, seed=12, out="luck")
    assert json.loads(pathlib.Path("luck/parts/square-12/part.json").read_text())["result"] == {"square": 144}
    assert make(trials=1, seed=12, out="luck").facts["parts_computed"] == 0
    assert calls(12, "luck") == 1


def test_parts_are_computed_where_they_are_asked_for(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In processes that were started in another folder, too."""
    parts = [Part(f"square-{value}", square, {"value": value}) for value in (2, 3)]
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert JobRunner(pathlib.Path("here"), threads=2).each(parts) == [{"square": 4}, {"square": 9}]
        assert len(list((tmp_path / name).rglob("part.json"))) == 2


def test_quick_is_two_trials_elsewhere() -> None:
    made = make(quick=True)
    assert made.folder.name == "figure-7-quick"
    assert made.figure.seeds == (1, 2)
    assert made.facts["options"]["trials"] == 2
    full = make(quick=False, out="figures/figure-7-quick")
    assert full.figure.seeds == (1, 2, 3)
    assert full.facts["options"]["trials"] == 3
    assert make(quick=True, trials=1).figure.seeds == (1,)


def test_folders_of_others_are_left_alone() -> None:
    pathlib.Path("full").mkdir()
    pathlib.Path("full/mine").write_text("")
    with pytest.raises(OutputError, match=r"full: is not empty, and holds no figure"):
        make(out="full")
    with pytest.raises(OutputError, match=r"full/mine: is a file"):
        make(out="full/mine")
    pathlib.Path("three").mkdir()
    pathlib.Path("three/figure.json").write_text('{"figure": 3}')
    with pytest.raises(OutputError, match=r"three: holds figure 3; give another folder"):
        make(out="three")
    pathlib.Path("three/figure.json").write_text("{")
    with pytest.raises(DataError, match=r"figure.json: is damaged"):
        make(out="three")


def test_what_is_wrong_is_refused_before_anything_is_made() -> None:
    with pytest.raises(ParameterError, match="no figure 8; there are: "):
        make_figure(8)
    for options in ({"trials": 0}, {"seed": -1}, {"nix": 1}):
        with pytest.raises(ParameterError, match="Toy"):
            make(**options)
    with pytest.raises(ParameterError, match="threads must be >= 1, got 0"):
        make_figure(7, threads=0)
    assert list(pathlib.Path().iterdir()) == []


def test_a_part_is_done_again_with_other_arguments(tmp_path: pathlib.Path) -> None:
    runner = JobRunner(tmp_path, threads=1)
    assert runner.each([Part("a", square, {"value": 2})]) == [{"square": 4}]
    assert runner.each([Part("a", square, {"value": 3})]) == [{"square": 9}]
    assert runner.computed == 2
    (tmp_path / "parts" / "a" / "part.json").write_text("{}")
    with pytest.raises(DataError, match=r"part.json: is damaged"):
        runner.each([Part("a", square, {"value": 3})])


def test_the_watcher_hears_how_much_is_done(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = []

    class Ear(Watcher):
        def working(self, done: int, total: int, share: float, left: float | None, what: str) -> None:
            assert what == "parts"
            heard.append((done, total, share))

    monkeypatch.setattr("eprop.training.progress_poller.POLL_INTERVAL", 0.001)
    parts = [Part(f"{value}", square, {"value": value}, cost=value) for value in range(101, 160)]
    JobRunner(tmp_path, threads=1, watcher=Ear()).each(parts)
    assert heard
    assert all(total == 59 and 0.0 <= share <= 1.0 for _, total, share in heard)
    assert heard == sorted(heard)


def facts_in(folder: str) -> dict[str, Any]:
    return dict(json.loads(pathlib.Path(folder, "figure.json").read_text()))


def test_a_call_that_is_refused_leaves_a_finished_figure_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    made = make()
    before = {path: path.read_bytes() for path in made.folder.rglob("*") if path.is_file()}

    def refuse(figure: Toy) -> None:
        raise DataError("/nope: no such folder")

    with monkeypatch.context() as patch:
        patch.setattr(Toy, "check", refuse)
        with pytest.raises(DataError, match="no such folder") as refused:
            make(factor=2.0)
        with pytest.raises(DataError, match="no such folder"):
            make(fresh=True)
        with pytest.raises(DataError, match="no such folder"):
            make(out="elsewhere")
    assert "come from figures/figure-7/figure.json; --fresh ignores them" in refused.value.__notes__[0]
    assert before == {path: path.read_bytes() for path in made.folder.rglob("*") if path.is_file()}
    assert not pathlib.Path("elsewhere").exists()
    assert not make().computed


def test_options_that_turn_out_to_be_wrong_are_not_kept() -> None:
    make(trials=2, seed=11)
    with pytest.raises(DataError, match="out of luck"):
        make(trials=3)
    assert facts_in("figures/figure-7")["options"]["trials"] == 2
    assert not make().computed
    with pytest.raises(DataError, match="out of luck"):
        make(trials=1, seed=13, out="new")
    assert "options" not in facts_in("new")
    assert make(out="new").facts["options"]["seed"] == 1


def test_a_result_is_kept_until_there_is_another_one(tmp_path: pathlib.Path) -> None:
    runner = JobRunner(tmp_path, threads=1)
    folder = tmp_path / "parts" / "a"
    runner.each([Part("a", square, {"value": 2})])
    (folder / "run").mkdir()
    (folder / "run" / "of").write_text("2")
    for _ in range(2):
        with pytest.raises(DataError):
            runner.each([Part("a", square, {"value": 13})])
        assert not (folder / "part.json").exists()
    (folder / "run" / "of").write_text("13")
    assert JobRunner(tmp_path, threads=1).each([Part("a", square, {"value": 2})]) == [{"square": 4}]
    assert (folder / "run" / "of").read_text() == "2"
    assert (folder / "calls").read_text() == "x"
    runner.each([Part("a", square, {"value": 3})])
    assert [path.name for path in (tmp_path / "parts").iterdir()] == ["a"]


@pytest.mark.parametrize("content", ["{", "[1]", '{"options": 3}'])
def test_damaged_facts_may_be_deleted_or_forgotten(content: str) -> None:
    facts = make().folder / "figure.json"
    facts.write_text(content)
    with pytest.raises(DataError, match=r"figure.json: is damaged .*; delete it, and the figure is computed again"):
        make()
    facts.unlink()
    assert make().facts["parts_computed"] == 0
    facts.write_text(content)
    assert make(fresh=True).facts["parts_computed"] == 3


def test_a_folder_without_facts_may_be_of_another_figure() -> None:
    folder = make().folder
    (folder / "figure.json").unlink()
    (folder / "figure-8.png").write_bytes(b"")
    with pytest.raises(OutputError, match="holds no figure"):
        make(fresh=True)


def test_one_process_at_a_time_makes_a_figure() -> None:
    folder = make().folder
    with (
        alone(folder),
        pytest.raises(
            OutputError, match=rf"{folder}: is being computed by process {os.getpid()} on .*; wait for its end"
        ),
    ):
        make(trials=4)
    assert facts_in(str(folder))["options"]["trials"] == 3
    assert make(trials=4).facts["parts_computed"] == 1
    pathlib.Path("killed").mkdir()
    pathlib.Path("killed", LOCK).write_text("1 on a machine\n")
    assert make(out="killed").computed


def test_tables_that_are_damaged_are_named_and_missing_ones_made_again() -> None:
    made = make()
    table = made.folder / "numbers" / "squares.csv"
    whole = table.read_text()
    for text, message in (
        ("seed\n1\n", r"squares.csv: has no column square; delete the file to compute it again"),
        ("seed,square\n1,x\n", r"squares.csv: has values that are not numbers in the column square"),
        ("seed,square\n1\n", r"squares.csv: cannot be read"),
        ("", r"squares.csv: cannot be read"),
    ):
        table.write_text(text)
        with pytest.raises(DataError, match=message):
            make()
    table.unlink()
    again = make()
    assert again.computed
    assert again.facts["parts_computed"] == 0
    assert table.read_text() == whole


def test_numbers_that_cannot_be_drawn_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    make()
    monkeypatch.setattr(Toy, "draw", lambda self, tables: tables["nix"])
    with pytest.raises(
        DataError, match=r"numbers: holds numbers that cannot be drawn \(KeyError: 'nix'\); delete the tables"
    ):
        make()
    with pytest.raises(KeyError):
        make(fresh=True)


# --------------------------------------------------------------------------------------------------------- command line


def run(*words: Any) -> Result:
    return CliRunner().invoke(app, ["figure", *map(str, words)])


def test_a_command_is_made_from_the_parameters() -> None:
    text = run("7", "--help").stdout
    for part in (
        "Squares of the seeds",
        "eprop figure 7",
        "--trials",
        "[default: 3]",
        "--names",
        "--fresh",
        "--threads",
    ):
        assert part in text
    assert "Squares of the seeds" in run("--help").stdout
    unknown = run("6")
    assert unknown.exit_code == 2
    assert "there is no figure '6'; there are: 2, time-driven" in re.sub(r"[\s│]+", " ", unknown.stderr)
    assert run("x").exit_code == 2


def test_options_reach_the_figure() -> None:
    done = run(7, "--names", "a", "--names", "b", "--factor", 2, "--quick", "--threads", 1, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["options"]["names"] == ["a", "b"]
    assert told["summary"] == {"largest": 8.0}
    assert told["computed"] is True
    table = run(7, "--out", "figures/figure-7-quick").stdout
    assert "largest" in table
    assert "before" in table
    assert run(7, "--no-quick", "--out", "figures/figure-7-quick", "--quiet").stdout == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--trials", 0], "trials must be >= 1, got 0"),
        (["--threads", 0], "the number of threads must be >= 1"),
        (["--trials", 1, "--seed", 13, "--threads", 1], "out of luck"),
    ],
)
def test_bad_input_is_one_clear_line(words: list[Any], message: str) -> None:
    done = run(7, *words)
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1].startswith("eprop: error: ")
    assert message in done.stderr


def test_ctrl_c_has_its_exit_code() -> None:
    done = run(7, "--trials", 1, "--seed", 99, "--threads", 1)
    assert done.exit_code == 130
    assert "the same command continues" in done.stderr


@pytest.mark.parametrize("name", ["numbers", "parts", "parts/square-1", "numbers/squares.csv", "figure.json", ".lock"])
def test_nothing_outside_of_a_figure_is_replaced(name: str, tmp_path: pathlib.Path) -> None:
    """Tables of a folder that a figure of somebody else led to were removed."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "mine.csv").write_text("1")
    folder = make().folder
    place = folder / name
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    place.symlink_to(mine)
    with pytest.raises(OutputError, match=rf"{name}: is a link to .*mine, outside of"):
        make(trials=2)
    assert (mine / "mine.csv").read_text() == "1"


@pytest.mark.parametrize(
    "wrong", [{"columns": 5}, {"columns": {"squares": 3}}, {"summary": [1]}, {"options": 3}, {"seconds": "long"}]
)
def test_facts_of_another_kind_are_told(wrong: dict[str, Any]) -> None:
    facts = make().folder / "figure.json"
    facts.write_text(json.dumps(json.loads(facts.read_text()) | wrong))
    with pytest.raises(DataError, match=r"figure.json: is damaged"):
        make()
