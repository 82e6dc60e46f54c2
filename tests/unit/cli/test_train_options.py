"""Options of ``eprop train``: those of a task in a file of one's own, figures, early stopping, callbacks."""

from __future__ import annotations

import functools
import json
import pathlib

import pytest

import command_line

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


def test_help_lists_the_parameters_of_a_file(own: pathlib.Path) -> None:
    text = line("train my_task.py --help").stdout
    for words in (
        "An example to replace",
        "--neurons",
        "Recurrent neurons.  [default: 30]",
        "[default: 0.005]",
        "see my_task.py",
    ):
        assert words in text, words


def test_options_of_a_file_set_its_arguments(own: pathlib.Path) -> None:
    done = line(f"{OWN} --neurons 7 --no-figures --out run")
    assert done.exit_code == 0, done.output
    text = pathlib.Path("run/config.toml").read_text()
    for words in ("neurons = 7 ", "epochs = 1 "):
        assert words in text
    refused = line(f"{OWN} --neurons 0")
    assert refused.exit_code == 2
    assert "got 0" in refused.stderr


def test_a_parameter_with_the_name_of_a_common_option_is_refused(own: pathlib.Path) -> None:
    own.write_text(own.read_text().replace("eta: Annotated", "jobs: Annotated").replace("eta=eta", "eta=jobs"))
    done = line("train my_task.py --jobs 2")
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert "the parameter jobs has the name of an option of eprop train: rename it" in done.stderr


def test_a_broken_or_missing_file_is_reported_whatever_the_options(own: pathlib.Path) -> None:
    own.write_text("import nothing_like_that")
    for words in ("", "--rule eprop+"):
        done = line(f"train my_task.py {words}")
        assert done.exit_code == 2
        assert "cannot be loaded as a task" in done.stderr
    assert "file of the task does not exist" in line("train other.py --rule eprop").stderr


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
    pathlib.Path("mine.py").write_text("def stop(trainer, line):\n    raise KeyboardInterrupt\n")
    words = "train my_task.py --epochs 2 --threads 1 --no-figures --out run"
    assert line(f"{words} --callback mine.py:stop").exit_code == 130
    other = line(f"{words} --neurons 9")
    assert other.exit_code == 2
    assert "has a stopped run with other settings (neurons = 9, not 30)" in other.stderr
    assert line(words).exit_code == 0
    again = line(words)
    assert again.exit_code == 2
    assert "is not empty" in again.stderr
    assert line(f"{words} --force").exit_code == 0


def test_patience_and_callbacks_end_a_training(own: pathlib.Path) -> None:
    own.write_text(own.read_text().replace("batch_size=16", "batch_size=2, validation_interval=2, patience=1"))
    words = OWN.replace("--epochs 1", "--epochs 4") + " --no-figures --json"
    done = line(f"{words} --eta 0")
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    # Nothing changes: the second evaluation is no better.
    assert (summary["stopped_early"], summary["samples_learned"]) == (True, 4)
    own.write_text(own.read_text().replace(", patience=1", ""))
    kind = "from dataclasses import dataclass\n@dataclass\nclass Own:\n    a: int = 1\n"  # looks for its module
    pathlib.Path("mine.py").write_text(
        f"from __future__ import annotations\n{kind}def stop(trainer, line):\n    return trainer.done >= 6\n"
    )
    summary = json.loads(line(f"{words} --callback mine.py:stop").stdout)
    assert (summary["stopped_early"], summary["samples_learned"]) == (True, 6)
    for more, message in (
        ("--callback mine.py:other", "'other' must be a function"),
        ("--callback mine.py:stop --seeds 2", "leave out one of the two"),
    ):
        assert message in line(f"{words} {more}").stderr
