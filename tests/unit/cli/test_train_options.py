"""Options of ``eprop train``: those of a task in a file of one's own, figures, early stopping."""

from __future__ import annotations

import functools
import json
import pathlib
import re
from typing import Any

import pytest

import command_line
import eprop as ep
from eprop.tasks import task_named

OWN = "train my_task.py --epochs 1 --threads 1"
PATTERN = "train pattern-generation --neurons 5 --epochs 3 --threads 1 --json --duration 40 --inputs 5"

line = functools.partial(command_line.line, COLUMNS="200")


@pytest.fixture
def own() -> pathlib.Path:
    assert line("new-task my-task").exit_code == 0
    file = pathlib.Path("my_task.py")
    file.write_text(
        file.read_text().replace("samples=320, test_samples=200", "samples=8, test_samples=4, validation=4")
    )
    return file


def test_the_options_of_a_file_are_its_parameters(own: pathlib.Path) -> None:
    text = line("train my_task.py --help").stdout
    for words in ("An example to replace", "Recurrent neurons.  [default: 30]", "[default: 0.005]", "see my_task.py"):
        assert words in text, words
    done = line(f"{OWN} --neurons 7 --no-figures --out run")
    assert done.exit_code == 0, done.output
    text = pathlib.Path("run/config.toml").read_text()
    assert "neurons = 7 " in text
    assert "epochs = 1 " in text
    assert "got 0" in line(f"{OWN} --neurons 0").stderr
    other = own.read_text().replace("eta: Annotated", "jobs: Annotated").replace("eta=eta", "eta=jobs")
    pathlib.Path("other.py").write_text(other)
    refused = line("train other.py --jobs 2")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert "the parameter jobs has the name of an option of eprop train: rename it" in refused.stderr
    pathlib.Path("broken.py").write_text("import nothing_like_that")
    for words in ("", "--rule eprop+", "--help"):  # whatever the options
        assert "cannot be" in line(f"train broken.py {words}").output


def test_keywords_without_a_doc_are_options_of_a_file(own: pathlib.Path) -> None:
    text = own.read_text().replace('epochs: Annotated[int, Doc("passes over the training samples")]', "epochs: int")
    assert "epochs: int = 3" in text
    own.write_text(text.replace("    seed:", "    jobs: int = 7,\n    json: bool = False,\n    seed:"))
    shown = line("train my_task.py --help").stdout
    assert re.search(r"--epochs +N +\[default: 3\]", shown)
    assert re.search(r"--jobs +N +Processes", shown)  # options of a run keep their names
    done = line(f"{OWN} --json --no-figures --out run")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["samples_learned"] == 8
    assert "jobs = 7" in pathlib.Path("run/config.toml").read_text()


def test_a_task_is_called_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    function = ep.tasks.pattern_generation

    @functools.wraps(function)
    def counted(**given: Any) -> ep.Experiment:
        calls.append(given)
        return function(**given)

    monkeypatch.setattr(ep.tasks, "pattern_generation", counted)
    assert line(f"{PATTERN} --no-figures").exit_code == 0
    assert len(calls) == 1


def test_figures_have_the_wanted_formats() -> None:
    for words, expected in (
        (f"{PATTERN} --no-figures --out none", set()),
        ("train --resume none --json --no-figures", set()),
        ("train --resume none --json", {".png"}),
        (f"{PATTERN} --format svg --format pdf --out two", {".svg", ".pdf"}),
    ):
        done = line(words)
        assert done.exit_code == 0, done.output
        folder = pathlib.Path(json.loads(done.stdout)["run"], "figures")
        assert {path.suffix for path in folder.glob("*")} == expected
    done = line("plot two --out here --format svg --json")
    assert {path.suffix for path in map(pathlib.Path, json.loads(done.stdout)["figures"])} == {".svg"}


def test_out_continues_a_stopped_run_and_overwrites_none(own: pathlib.Path) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    task, words = task_named("my_task.py"), "train my_task.py --epochs 2 --threads 1 --no-figures --out run"
    with pytest.raises(KeyboardInterrupt):
        ep.fit(task(epochs=2), folder="run", callbacks=[stop], threads=1, formats=(), progress=False)
    other = line(f"{words} --neurons 9")
    assert other.exit_code == 2
    assert "has a stopped run with other settings (neurons = 9, not 30)" in other.stderr
    assert line(words).exit_code == 0
    again = line(words)
    assert again.exit_code == 2
    assert "is not empty" in again.stderr
    assert line(f"{words} --force").exit_code == 0


def test_patience_ends_a_training(own: pathlib.Path) -> None:
    own.write_text(own.read_text().replace("batch_size=16", "batch_size=2, validation_interval=2, patience=1"))
    done = line(f"{OWN.replace('epochs 1', 'epochs 4')} --no-figures --json --eta 0")
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    # Nothing changes: the second evaluation is no better.
    assert (summary["stopped_early"], summary["samples_learned"]) == (True, 4)
