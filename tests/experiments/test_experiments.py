"""Each experiment runs with ``--quick``: a result with numbers, and pictures; figure 2 in both formats, the others as PNG."""

from __future__ import annotations

import json
import pathlib
import re
import runpy
import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from command_line import run as command


@pytest.fixture
def experiments(root: pathlib.Path) -> pathlib.Path:
    """The folder of the experiments."""
    if not (root / "experiments").is_dir():
        pytest.skip("the source distribution has no experiments")
    return root / "experiments"


Result = Callable[..., dict[str, Any]]


@pytest.fixture
def result_of(
    experiments: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Result:
    """What a script prints. It runs in this process: to import all that it imports takes longer than most of them."""
    monkeypatch.syspath_prepend(experiments)
    monkeypatch.chdir(tmp_path)

    def run(name: str, *options: str, formats: tuple[str, ...] = ("png",)) -> dict[str, Any]:
        words = [name, "--quick", "--json", "--trials=1", "--jobs=1", f"--out={tmp_path}", *options]
        with monkeypatch.context() as patch, warnings.catch_warnings():
            patch.setattr(sys, "argv", words)
            patch.setattr("trials.RESOLUTION", dict.fromkeys(formats, 100))
            warnings.simplefilter("ignore")
            runpy.run_path(str(experiments / name), run_name="__main__")
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert json.loads((tmp_path / "result.json").read_text()) == found
        assert found["summary"]
        for picture in found["pictures"]:
            assert pathlib.Path(picture).read_bytes()[:4] in (b"\x89PNG", b"%PDF")
        return found

    return run


def test_figure_2(result_of: Result, tmp_path: pathlib.Path) -> None:
    """A second call trains nothing again and prints the same."""
    options = ("--iterations=10", "--time-driven=10")
    found = result_of("figure_2.py", *options, formats=("png", "pdf"))
    assert len(found["pictures"]) == 2
    summary = found["summary"]
    differences = [value for name, value in summary.items() if name.endswith("difference of losses")]
    assert len(differences) == 4
    assert max(differences) < 1e-9
    # The time-driven network learns the same in the regression. In the classification it ends early, and is not tested.
    event, stepped = (summary[f"pattern-generation, e-prop, {e}-driven: test error (%)"] for e in ("event", "time"))
    assert stepped == pytest.approx(event, rel=1e-9)
    assert "evidence-accumulation, e-prop, time-driven: test error (%)" not in summary
    runs = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/summary.json")}
    assert len(runs) == 6
    assert result_of("figure_2.py", *options, formats=("png", "pdf")) == found
    assert runs == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/summary.json")}


@pytest.mark.parametrize("number", [3, 4])
def test_figures_of_nmnist(result_of: Result, tmp_path: pathlib.Path, number: int) -> None:
    found = result_of(f"figure_{number}.py", "--samples=64", "--test-samples=20", "--validation=20")
    assert len(found["pictures"]) == 1
    assert found["options"]["samples"] == 64
    assert len(list(tmp_path.glob("eprop*/summary.json"))) == (2 if number == 3 else 1)


def test_figure_5(experiments: pathlib.Path, result_of: Result) -> None:
    if not (experiments.parent / "benchmarks" / "scaling.py").is_file():
        pytest.skip("the source distribution has no benchmarks")
    found = result_of("figure_5.py", "--workers=1", "--neurons=50")
    assert len(found["pictures"]) == 1
    assert {(p["kind"], p["mode"]) for p in found["points"]} == {
        (kind, mode) for kind in ("strong", "weak") for mode in ("static", "stdp", "eprop", "eprop+")
    }


def test_the_record_on_nmnist(result_of: Result) -> None:
    found = result_of("nmnist_record.py")
    assert 0.0 <= found["errors"][0] < 0.9


def test_digits_in_the_microcircuit(result_of: Result) -> None:
    found = result_of("microcircuit_digits.py", "--recurrence", "plastic", "none")
    assert [run["recurrence"] for run in found["runs"]] == ["plastic", "none"]
    assert all(run["activity"]["after"]["L4E"]["rate"] > 0.0 for run in found["runs"])
    assert found["runs"][0]["weights"]["after"] != found["runs"][0]["weights"]["before"]


def test_pong_from_objects(experiments: pathlib.Path, result_of: Result) -> None:
    pytest.importorskip("ale_py", reason="needs the extra atari")
    found = result_of("pong_objects.py")
    assert found["summary"]["environment steps"] == 256
    # The task of the file is one for the command line, too.
    words = ["train", str(experiments / "pong_objects.py"), "--help"]
    done = command(*words)
    assert done.exit_code == 0, done.output
    assert "--steps" in done.stdout


def test_the_time_driven_network(result_of: Result) -> None:
    found = result_of("time_driven.py")
    assert max(value for name, value in found["summary"].items() if name.endswith("difference of losses")) < 1e-9


def test_the_readme_names_each_script(experiments: pathlib.Path) -> None:
    named = re.findall(r"`(\w+\.py)`", (experiments / "README.md").read_text(encoding="utf-8"))
    assert sorted(set(named)) == sorted(path.name for path in experiments.glob("*.py"))
