"""Options of ``eprop train``: those of a task in a file of one's own, figures, early stopping, callbacks; ``eprop report``."""

from __future__ import annotations

import functools
import json
import pathlib

import numpy as np
import pytest

import command_line
from eprop.plot import draw_weights

OWN = [
    "train",
    "my_task.py",
    "--epochs",
    1,
    "--samples",
    8,
    "--test-samples",
    4,
    "--n-steps",
    20,
    "--threads",
    1,
    "--json",
]
PATTERN = ["train", "pattern-generation", "--neurons", 5, "--epochs", 3, "--threads", 1, "--json"]
PATTERN += ["--set", "duration=40", "--set", "inputs=5"]


run = functools.partial(command_line.run, COLUMNS="200")


@pytest.fixture
def own() -> pathlib.Path:
    assert run("new-task", "my-task").exit_code == 0
    return pathlib.Path("my_task.py")


def test_help_lists_the_parameters_of_a_file(own: pathlib.Path) -> None:
    text = run("train", own, "--help").stdout
    for words in ("This task", "--loud", "rate of an input of the louder group (Hz)", "default: 80", "--rule", "--tau-m",
                  "--test-samples", "default: 200", "default: 0.005, with eprop+ 0.0001"):  # fmt: skip
        assert words.lower() in text.lower(), words


def test_options_of_a_file_set_its_parameters(own: pathlib.Path) -> None:
    done = run(*OWN, "--rule", "eprop+", "--neurons", 7, "--no-figures", "--out", "run")
    assert done.exit_code == 0, done.output
    text = pathlib.Path("run/config.toml").read_text()
    assert 'rule = "eprop+"' in text
    assert "neurons = 7 " in text
    assert "samples = 8 " in text
    refused = run(*OWN, "--neurons", 0)
    assert refused.exit_code == 2
    assert "neurons must be >= 1, got 0" in refused.stderr


def test_a_parameter_with_the_name_of_a_common_option_stays_with_set(own: pathlib.Path) -> None:
    own.write_text(own.read_text().replace("loud: float", "jobs: float").replace("self.loud", "self.jobs"))
    assert run(*OWN, "--set", "task.jobs=70", "--no-figures", "--out", "run").exit_code == 0
    assert "jobs = 70.0" in pathlib.Path("run/config.toml").read_text()


def test_a_file_that_is_broken_or_missing_is_told_whatever_the_options(own: pathlib.Path) -> None:
    own.write_text("import nothing_like_that")
    for words in ([], ["--rule", "eprop+"]):
        done = run("train", own, *words)
        assert done.exit_code == 2
        assert "cannot be loaded as a task" in done.stderr
    assert "file of the task does not exist" in run("train", "other.py", "--rule", "eprop").stderr


def test_a_file_that_only_a_run_names_is_not_read_for_its_options(
    own: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[bool] = []
    import eprop.cli.train as train

    real = train.command_for
    monkeypatch.setattr(train, "command_for", lambda file, read: (reads.append(read), real(file, read=read))[1])
    reads = read
    assert run(*OWN, "--no-figures", "--out", "run").exit_code == 0
    assert run("train", "--resume", "run", "--json").exit_code == 0
    assert read == [True, False]


def test_resume_remembers_whether_figures_are_drawn_and_how(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[str, tuple[str, ...]]] = []
    monkeypatch.setattr("eprop.plot.draw_run", lambda path, formats: drawn.append((path.name, tuple(formats))))
    assert run(*PATTERN, "--no-figures", "--out", "none").exit_code == 0
    assert run("train", "--resume", "none", "--json").exit_code == 0
    assert drawn == []
    assert run("train", "--resume", "none", "--json", "--figures").exit_code == 0
    assert drawn.pop() == ("none", ("png",))
    for words in (
        [*PATTERN, "--format", "svg", "--format", "pdf", "--out", "two"],
        ["train", "--resume", "two", "--json"],
    ):
        assert run(*words).exit_code == 0
        assert drawn.pop() == ("two", ("svg", "pdf"))
    refused = run(*PATTERN, "--no-figures", "--format", "pdf")
    assert refused.exit_code == 2
    assert "--no-figures and --format" in refused.stderr
    assert 'figures must be "png", "pdf" or "svg"' in run(*PATTERN, "--format", "gif").stderr


def test_plot_draws_the_formats_that_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = {"weights": draw_weights({"a->b": (np.zeros(2), np.ones(2))})}
    monkeypatch.setattr("eprop.plot.run.figures_of_run", lambda path, *_, **__: figures)
    assert run(*PATTERN, "--no-figures", "--out", "run").exit_code == 0
    done = run("plot", "run", "--out", "here", "--format", "pdf", "--format", "svg", "--json")
    assert json.loads(done.stdout)["figures"] == ["here/weights.pdf", "here/weights.svg"]
    assert pathlib.Path("here/weights.pdf").read_bytes()[:5] == b"%PDF-"
    assert pathlib.Path("here/weights.svg").read_bytes()[:5] == b"<?xml"


def test_patience_and_callbacks_end_a_training(own: pathlib.Path) -> None:
    words = [*OWN[:-1], "--epochs", 4, "--validation", 4, "--no-figures", "--json", "--set", "batch_size=2"]
    done = run(*words, "--validation-interval", 2, "--patience", 1, "--eta", 0, "--eta-out", 0)
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert summary["stopped_early"]
    assert summary["samples_learned"] == 4  # nothing changes: the second evaluation is no better
    pathlib.Path("mine.py").write_text("def stop(trainer, line):\n    return trainer.done >= 6\n")
    summary = json.loads(run(*words, "--callback", "mine.py:stop").stdout)
    assert (summary["stopped_early"], summary["samples_learned"]) == (True, 6)
    assert "has no 'other'" in run(*words, "--callback", "mine.py:other").stderr
    assert "such as callbacks.py:stop_early" in run(*words, "--callback", "mine").stderr
    assert "leave out one of the two" in run(*words, "--callback", "mine.py:stop", "--trials", 2).stderr
    assert "needs validation samples" in run(*PATTERN, "--patience", 2).stderr


def test_report_writes_a_page_into_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = {"weights": draw_weights({"a->b": (np.zeros(2), np.ones(2))})}
    monkeypatch.setattr("eprop.plot.report.figures_of_run", lambda path, *_, **__: figures)
    assert run(*PATTERN, "--no-figures", "--out", "run").exit_code == 0
    assert json.loads(run("report", "run", "--json").stdout) == {"run": "run", "report": "run/report.html"}
    assert pathlib.Path("run/report.html").read_text().startswith("<!DOCTYPE html>")
    assert run(*PATTERN, "--no-figures", "--out", "run", "--force").exit_code == 0
    assert not pathlib.Path("run/report.html").exists()
