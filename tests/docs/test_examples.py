"""The examples run, print what they found, and leave no other files."""

from __future__ import annotations

import importlib.util
import pathlib
import re
import subprocess
import sys
from typing import Any

import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
# Small, so that most of the time goes into starting Python.
ARGUMENTS: dict[str, list[str]] = {
    "collapse.py": ["collapse.png", "--samples", "16"],
    "encoders.py": ["encoders.png"],
    "live_camera.py": ["--seconds", "2", "--neurons", "50"],
    "own_neuron.py": ["--iterations", "20"],
    "nmnist_authors.py": [],
    "spoken_digits.py": ["--neurons", "30", "--epochs", "2", "--samples", "60", "--pace", "3"],
    "pattern_generation.py": ["--neurons", "30", "--iterations", "20"],
    "compare_with_nest.py": ["--neurons", "12", "--duration", "200"],
}


def examples() -> list[Any]:
    missing = importlib.util.find_spec("numba") is None
    marks = {
        "compare_with_nest.py": pytest.mark.nest,
        "own_neuron.py": pytest.mark.skipif(missing, reason="needs the extra own-neuron"),
    }
    return [pytest.param(path.name, marks=marks.get(path.name, ())) for path in sorted(EXAMPLES.glob("*.py"))]


def run(name: str, folder: pathlib.Path, *more: str) -> str:
    command = [sys.executable, str(EXAMPLES / name), *ARGUMENTS[name], *more]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{name} fails:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def losses(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"loss per step (\d+\.\d+)", text)]


@pytest.mark.parametrize("name", examples())
def test_example_prints_and_leaves_no_files(name: str, tmp_path: pathlib.Path) -> None:
    printed = run(name, tmp_path)
    assert printed.strip()
    pictures = {argument for argument in ARGUMENTS[name] if argument.endswith(".png")}
    assert {path.name for path in tmp_path.iterdir()} == pictures
    if name == "compare_with_nest.py":
        deviations = [float(number) for number in re.findall(r"(\d\.\de[+-]\d+)$", printed, re.MULTILINE)]
        assert len(deviations) == 5
        assert max(deviations) < 1e-10


@pytest.mark.parametrize("rule", ["eprop", "eprop+"])
def test_pattern_is_learned_and_drawn(rule: str, tmp_path: pathlib.Path) -> None:
    found = losses(run("pattern_generation.py", tmp_path, "--rule", rule, "--save", "curve.png"))
    assert found[-1] < 0.5 * found[0]
    assert [path.name for path in tmp_path.iterdir()] == ["curve.png"]
