"""From options to a folder: what is computed once, kept, and refused."""

from __future__ import annotations

import json
import pathlib
import re
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from eprop.cli import app
from eprop.errors import DataError, OutputError, ParameterError
from eprop.figures import FIGURES, FigureResult, Job, JobRunner, make_figure
from eprop.figures.paper_figure import QUICK_NOTE
from eprop.figures.tables import read_tables
from eprop.training import Stopped
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


def test_finished_jobs_survive_ctrl_c_and_errors() -> None:
    with pytest.raises(
        Stopped, match=r"stopped; 1 of 2 parts are done and kept in figures.*the same command continues"
    ):
        make(trials=2, seed=98)
    assert not pathlib.Path("figures/figure-7/figure.json").exists()
    with pytest.raises(DataError, match="out of luck"):
        make(trials=2, seed=12, out="luck")
    assert make(trials=1, seed=12, out="luck").facts["parts_computed"] == 0
    assert calls(12, "luck") == 1


def test_a_quick_figure_has_two_trials_and_a_folder_of_its_own() -> None:
    made = make(quick=True)
    assert made.folder.name == "figure-7-quick"
    assert made.figure.seeds == (1, 2)
    assert [text.get_text() for text in made.figure.draw(read_tables(made.folder / "numbers")).texts] == [QUICK_NOTE]
    full = make(quick=False, out="figures/figure-7-quick")
    assert full.figure.seeds == (1, 2, 3)
    assert full.facts["options"]["trials"] == 3
    assert make(quick=True, trials=1).figure.seeds == (1,)


def test_wrong_options_are_refused_before_a_folder_is_made() -> None:
    with pytest.raises(ParameterError, match="no figure 8; there are: "):
        make_figure(8)
    for options in ({"trials": 0}, {"seed": -1}, {"nix": 1}):
        with pytest.raises(ParameterError, match="Toy"):
            make(**options)
    with pytest.raises(ParameterError, match="threads must be >= 1, got 0"):
        make_figure(7, threads=0)
    assert list(pathlib.Path().iterdir()) == []


def test_jobs_are_computed_in_the_folder_of_the_caller(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In processes that were started in another folder, too."""
    jobs = [Job(f"square-{value}", square, {"value": value}) for value in (2, 3)]
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert JobRunner(pathlib.Path("here"), threads=2).each(jobs) == [{"square": 4}, {"square": 9}]
        assert len(list((tmp_path / name).rglob("result-*.json"))) == 2


def test_results_are_kept_by_their_arguments(tmp_path: pathlib.Path) -> None:
    runner = JobRunner(tmp_path, threads=1)
    for value in (2, 3, 2, 3):
        assert runner.each([Job("a", square, {"value": value})]) == [{"square": value**2}]
    with pytest.raises(DataError, match="out of luck"):
        runner.each([Job("a", square, {"value": 13})])
    assert runner.computed == 2
    assert (tmp_path / "parts" / "a" / "calls").read_text() == "xxx"
    (tmp_path / "parts" / "a" / Job("a", square, {"value": 3}).result_file).write_text("{")
    with pytest.raises(DataError, match=r"result-.*.json: is damaged .*; delete it, and it is computed again"):
        runner.each([Job("a", square, {"value": 3})])


def test_a_folder_with_anything_else_is_refused() -> None:
    folder = make().folder
    for name, file, content, error, message in (
        ("full", "mine", "", OutputError, "full: is not empty, and holds no figure; give another folder with --out"),
        ("full/mine", "", "", OutputError, "full/mine: .*"),
        ("three", "figure.json", '{"figure": 3}', OutputError, "three: holds figure 3; give another folder"),
        (
            "bad",
            "figure.json",
            "{",
            DataError,
            "figure.json: is damaged .*; delete it, and the figure is computed again",
        ),
    ):
        if file:
            pathlib.Path(name).mkdir()
            pathlib.Path(name, file).write_text(content)
        with pytest.raises(error, match=message):
            make(out=name)
    (folder / "figure.json").unlink()
    assert make().facts["parts_computed"] == 0
    (folder / "figure.json").unlink()
    (folder / "figure-8.png").write_bytes(b"")  # of another figure
    with pytest.raises(OutputError, match="holds no figure"):
        make(fresh=True)


def test_missing_tables_are_made_again_and_damaged_ones_are_named() -> None:
    made = make()
    table = made.folder / "numbers" / "squares.csv"
    whole = table.read_text()
    for text in ("seed,square\n1\n", ""):
        table.write_text(text)
        with pytest.raises(DataError, match=r"squares.csv: cannot be read"):
            make()
    table.unlink()
    again = make()
    assert again.computed
    assert again.facts["parts_computed"] == 0
    assert table.read_text() == whole


def facts_in(folder: str) -> dict[str, Any]:
    return dict(json.loads(pathlib.Path(folder, "figure.json").read_text()))


def test_a_refused_call_does_not_change_a_finished_figure(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_options_that_fail_during_the_computation_do_not_stay() -> None:
    make(trials=2, seed=11)
    with pytest.raises(DataError, match="out of luck"):
        make(trials=3)
    assert facts_in("figures/figure-7")["options"]["trials"] == 2
    assert not make().computed
    with pytest.raises(DataError, match="out of luck"):
        make(trials=1, seed=13, out="new")
    assert not pathlib.Path("new", "figure.json").exists()
    assert make(out="new").facts["options"]["seed"] == 1


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
    assert QUICK_NOTE in table
    assert run(7, "--no-quick", "--out", "figures/figure-7-quick", "--quiet").stdout == "figures/figure-7-quick\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--trials", 0], "trials must be >= 1, got 0"),
        (["--threads", 0], "the number of threads must be >= 1"),
        (["--trials", 1, "--seed", 13, "--threads", 1], "out of luck"),
    ],
)
def test_a_refusal_of_a_figure_is_one_line(words: list[Any], message: str) -> None:
    done = run(7, *words)
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1].startswith("eprop: error: ")
    assert message in done.stderr


def test_ctrl_c_exits_with_130() -> None:
    done = run(7, "--trials", 1, "--seed", 99, "--threads", 1)
    assert done.exit_code == 130
    assert "the same command continues" in done.stderr
