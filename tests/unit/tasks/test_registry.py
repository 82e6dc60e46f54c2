"""Tasks by name and from files, and the templates of one's own."""

from __future__ import annotations

import importlib
import inspect
import pathlib
import pickle

import numpy as np
import pytest

import eprop as ep
from eprop import tasks
from eprop.errors import ParameterError
from eprop.tasks import TASKS, task_named
from eprop.tasks.registry import TEMPLATES, line_in_task, new_task

pytestmark = pytest.mark.tiny


def written(folder: pathlib.Path, name: str = "delayed-match", data: str = "generated") -> pathlib.Path:
    file, text = new_task(name, folder / "own.py", data)
    file.write_text(text)
    return file


@pytest.mark.parametrize("name", TASKS)
def test_a_name_is_that_of_a_function(name: str) -> None:
    function = task_named(name)
    assert function is getattr(tasks, name.replace("-", "_"))
    assert function.task_name == name
    assert pickle.loads(pickle.dumps(function)) is function
    assert callable(importlib.import_module(f"eprop.tasks.{name.replace('-', '_')}").__dict__[function.__name__])


def test_a_new_task_is_a_task(tmp_path: pathlib.Path) -> None:
    file = written(tmp_path)
    function = task_named(file)
    assert (function.__name__, function.task_name) == ("delayed_match", "delayed-match")
    assert task_named(str(file)) is function
    assert file.read_text().startswith('"""delayed_match, a task of your')
    assert function(neurons=5).name == "delayed-match"


def test_a_decorated_task_may_have_helpers(tmp_path: pathlib.Path) -> None:
    file = written(tmp_path)
    file.write_text(file.read_text() + "\n\ndef helper(n: int = 1) -> ep.Experiment: ...\n")
    assert task_named(file).__name__ == "delayed_match"


def test_files_of_one_name_are_two_tasks(tmp_path: pathlib.Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    assert [task_named(written(tmp_path / name, name)).__name__ for name in ("a", "b")] == ["a", "b"]


def test_a_function_that_returns_an_experiment_needs_no_decorator(tmp_path: pathlib.Path) -> None:
    file = written(tmp_path)
    file.write_text(
        "from __future__ import annotations\n" + file.read_text().replace("\n@task", "") + "\nsame = delayed_match"
    )
    assert task_named(file)(neurons=3).origin.file == str(file)


@pytest.mark.parametrize(
    ("name", "file", "message"),
    [
        ("Delayed Match", None, "lower-case words joined by hyphens"),
        ("3d", None, "lower-case words joined by hyphens"),
        ("class", None, "no word of Python, got 'class'"),
        ("nmnist", None, "there is a task 'nmnist' already"),
        ("mine", "mine.txt", "ends with .py"),
        ("numpy", None, "numpy.py: Python programs .* in place of the module 'numpy'; give another name"),
        ("np", None, "would be the function np"),
        ("mine", "x/numpy.py", "in place of the module 'numpy'"),
    ],
)
def test_names_that_cannot_be(name: str, file: str | None, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        new_task(name, None if file is None else pathlib.Path(file))
    assert new_task("delayed-match")[0] == pathlib.Path("delayed_match.py")


TWO = "import eprop as ep\ndef a(*, seed: int = 1) -> ep.Experiment: ...\ndef b(*, seed: int = 1) -> ep.Experiment: ..."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "own.py: the file of the task does not exist; give its path, .* eprop new-task NAME makes a template"),
        ("", r"must define exactly one task, .* def own\(\*, seed: int = 1\) -> ep.Experiment; found none"),
        (TWO, "found a, b"),
        ("\nimport nix_da", "own.py: line 2: cannot be loaded as a task: ModuleNotFoundError"),
        ("1 +", "cannot be loaded as a task: SyntaxError"),
        ("import eprop as ep\ndef a(n, *, seed: int = 1) -> ep.Experiment: ...", "n must have a type and a default"),
    ],
)
def test_files_that_hold_no_task(text: str | None, message: str, tmp_path: pathlib.Path) -> None:
    if text is not None:
        (tmp_path / "own.py").write_text(text)
    with pytest.raises(ParameterError, match=message):
        task_named(str(tmp_path / "own.py"))
    with pytest.raises(ParameterError, match=r"unknown task 'nmist'.*did you mean 'nmnist'"):
        task_named("nmist")


def test_the_line_of_a_task_at_which_an_error_arose(tmp_path: pathlib.Path) -> None:
    """And none for arguments that are refused before the function runs."""
    file = written(tmp_path)
    text = file.read_text().replace("tau_m=20.0", "tau_m=-1.0")
    file.write_text(text)
    (line,) = (number for number, line in enumerate(text.splitlines(), 1) if "tau_m=-1.0" in line)
    for values, where in (({}, f"{file}: line {line}"), ({"neurons": "many"}, None)):
        with pytest.raises(ParameterError) as caught:
            task_named(file)(**values)
        assert line_in_task(caught.value) == where


@pytest.mark.parametrize("data", TEMPLATES)
def test_a_template_learns_as_it_is(data: str, tmp_path: pathlib.Path) -> None:
    file = written(tmp_path, f"task-of-{data}", data)
    assert len(file.read_text().splitlines()) <= 45
    assert not {"my_task", "FILE"} & set(file.read_text().split())
    function = task_named(file)
    assert {"data", "seed"} & set(inspect.signature(function).parameters)
    assert ep.fit(function(), threads=1).summary["test_error"] < 0.15


def test_files_replace_the_invented_samples(tmp_path: pathlib.Path) -> None:
    rng, labels = np.random.default_rng(0), np.arange(30) % 3
    events = (rng.random((30, 50, 20)) < 0.3) & (np.arange(20) // 7 == labels[:, None, None])
    np.savez(tmp_path / "mine.npz", events=events, labels=labels)
    for k, name in enumerate(("left", "right") * 10):
        (tmp_path / "camera" / name).mkdir(parents=True, exist_ok=True)
        rows = [rng.integers(10, size=9), rng.integers(8, size=9), np.arange(9) * 1000, np.zeros(9, int)]
        np.save(tmp_path / "camera" / name / f"{k}.npy", np.column_stack(rows))
    for data, given, sizes in (("arrays", "mine.npz", [21, 3, 6]), ("camera", "camera", [14, 2, 4])):
        folder = tmp_path / f"task {data}"
        folder.mkdir()
        found = task_named(written(folder, "mine", data))(data=tmp_path / given)
        assert [len(part) for part in (found.train, found.validation, found.test)] == sizes
