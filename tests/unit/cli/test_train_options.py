"""Options of ``eprop train``: those of a task in a file of one's own, figures, early stopping, callbacks."""

from __future__ import annotations

import functools
import json
import pathlib

import numpy as np
import pytest

import command_line
from eprop.plot import draw_weights

OWN = "train my_task.py --epochs 1 --samples 8 --test-samples 4 --n-steps 20 --threads 1"
PATTERN = "train pattern-generation --neurons 5 --epochs 3 --threads 1 --json --duration 40 --inputs 5"

line = functools.partial(command_line.line, COLUMNS="200")


@pytest.fixture
def own() -> pathlib.Path:
    assert line("new-task my-task").exit_code == 0
    return pathlib.Path("my_task.py")


def test_help_lists_the_parameters_of_a_file(own: pathlib.Path) -> None:
    text = line("train my_task.py --help").stdout
    for words in ("This task", "--loud", "rate of an input of the louder group (Hz)", "default: 80", "--rule", "--tau-m",
                  "--test-samples", "default: 200", "default: 0.005, with eprop+ 0.0001"):  # fmt: skip
        assert words.lower() in text.lower(), words


def test_options_of_a_file_set_its_parameters(own: pathlib.Path) -> None:
    done = line(f"{OWN} --rule eprop+ --neurons 7 --batch-size 3 --no-figures --out run")
    assert done.exit_code == 0, done.output
    text = pathlib.Path("run/config.toml").read_text()
    for words in ('rule = "eprop+"', "neurons = 7 ", "samples = 8 ", "batch_size = 3 "):
        assert words in text
    refused = line(f"{OWN} --neurons 0")
    assert refused.exit_code == 2
    assert "neurons must be >= 1, got 0" in refused.stderr


def test_a_parameter_with_the_name_of_a_common_option_stays_with_set(own: pathlib.Path) -> None:
    own.write_text(own.read_text().replace("loud: float", "jobs: float").replace("self.loud", "self.jobs"))
    assert line(f"{OWN} --set task.jobs=70 --no-figures --out run").exit_code == 0
    assert "jobs = 70.0" in pathlib.Path("run/config.toml").read_text()


def test_a_broken_or_missing_file_is_reported_whatever_the_options(own: pathlib.Path) -> None:
    own.write_text("import nothing_like_that")
    for words in ("", "--rule eprop+"):
        done = line(f"train my_task.py {words}")
        assert done.exit_code == 2
        assert "cannot be loaded as a task" in done.stderr
    assert "file of the task does not exist" in line("train other.py --rule eprop").stderr


def test_resume_remembers_whether_figures_are_drawn_and_how(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[str, tuple[str, ...]]] = []
    monkeypatch.setattr("eprop.plot.draw_run", lambda path, formats, **_: drawn.append((path.name, tuple(formats))))
    for words, expected in (
        (f"{PATTERN} --no-figures --out none", []),
        ("train --resume none --json", []),
        ("train --resume none --json --figures", [("none", ("png",))]),
        (f"{PATTERN} --format svg --format pdf --out two", [("two", ("svg", "pdf"))]),
        ("train --resume two --json", [("two", ("svg", "pdf"))]),
    ):
        drawn.clear()
        assert line(words).exit_code == 0, words
        assert drawn == expected
    refused = line(f"{PATTERN} --no-figures --format pdf")
    assert refused.exit_code == 2
    assert "--no-figures and --format" in refused.stderr
    assert 'figures must be "png", "pdf" or "svg"' in line(f"{PATTERN} --format gif").stderr


def test_plot_draws_the_wanted_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = {"weights": draw_weights({"a->b": (np.zeros(2), np.ones(2))})}
    monkeypatch.setattr("eprop.plot.run_figures.figures_of_run", lambda path, *_, **__: figures)
    assert line(f"{PATTERN} --no-figures --out run").exit_code == 0
    done = line("plot run --out here --format pdf --format svg --json")
    assert json.loads(done.stdout)["figures"] == ["here/weights.pdf", "here/weights.svg"]
    assert pathlib.Path("here/weights.pdf").read_bytes()[:5] == b"%PDF-"
    assert pathlib.Path("here/weights.svg").read_bytes()[:5] == b"<?xml"


def test_patience_and_callbacks_end_a_training(own: pathlib.Path) -> None:
    words = OWN.replace("--epochs 1", "--epochs 4") + " --validation 4 --no-figures --json --batch-size 2"
    done = line(f"{words} --validation-interval 2 --patience 1 --eta 0 --eta-out 0")
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    # Nothing changes: the second evaluation is no better.
    assert (summary["stopped_early"], summary["samples_learned"]) == (True, 4)
    kind = "from dataclasses import dataclass\n@dataclass\nclass Own:\n    a: int = 1\n"  # looks for its module
    pathlib.Path("mine.py").write_text(
        f"from __future__ import annotations\n{kind}def stop(trainer, line):\n    return trainer.done >= 6\n"
    )
    summary = json.loads(line(f"{words} --callback mine.py:stop").stdout)
    assert (summary["stopped_early"], summary["samples_learned"]) == (True, 6)
    for more, message in (
        ("--callback mine.py:other", "has no 'other'"),
        ("--callback mine", "such as callbacks.py:stop_early"),
        ("--callback mine.py:stop --seeds 2", "leave out one of the two"),
    ):
        assert message in line(f"{words} {more}").stderr
    assert "needs validation samples" in line(f"{PATTERN} --patience 2").stderr
