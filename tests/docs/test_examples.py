"""The examples run, print what they found, and leave no files that nobody asked for."""

from __future__ import annotations

import importlib.util
import pathlib
import re
import subprocess
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
# Small, so that most of the time goes into starting Python.
ARGUMENTS = {
    "live_camera.py": ["--seconds", "2", "--neurons", "50"],
    "own_neuron.py": ["--iterations", "20"],
    "nmnist_authors.py": [],
    "pattern_generation.py": ["--neurons", "30", "--iterations", "20"],
    "compare_with_nest.py": ["--neurons", "12", "--duration", "200"],
}
NEEDS_NEST = {"compare_with_nest.py"}


def skip_without(package: str) -> None:
    """Skip where a package is missing; it is not imported here, for NEST would greet the tests."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


def run(name: str, folder: pathlib.Path, *more: str) -> str:
    command = [sys.executable, str(EXAMPLES / name), *ARGUMENTS[name], *more]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{name} fails:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_every_example_is_tried() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(ARGUMENTS)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.nest if name in NEEDS_NEST else []) for name in ARGUMENTS]
)
def test_it_prints_and_leaves_no_files(name: str, tmp_path: pathlib.Path) -> None:
    if name in NEEDS_NEST:
        skip_without("nest")
    assert run(name, tmp_path).strip()
    assert not list(tmp_path.iterdir())


def losses(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"loss per step (\d+\.\d+)", text)]


@pytest.mark.parametrize("rule", ["eprop", "eprop+"])
def test_the_pattern_is_learned(rule: str, tmp_path: pathlib.Path) -> None:
    found = losses(run("pattern_generation.py", tmp_path, "--rule", rule))
    assert found[-1] < 0.5 * found[0]


def test_the_pattern_is_drawn_where_asked(tmp_path: pathlib.Path) -> None:
    skip_without("matplotlib")
    run("pattern_generation.py", tmp_path, "--iterations", "2", "--save", "curve.png")
    assert [path.name for path in tmp_path.iterdir()] == ["curve.png"]


@pytest.mark.nest
def test_nest_agrees(tmp_path: pathlib.Path) -> None:
    skip_without("nest")
    text = run("compare_with_nest.py", tmp_path)
    deviations = [float(number) for number in re.findall(r"(\d\.\de[+-]\d+)$", text, re.MULTILINE)]
    assert len(deviations) == 5
    assert max(deviations) < 1e-10
