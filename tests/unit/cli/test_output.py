"""The command line where its output cannot go, where several ranks start it, and what its parser refuses."""

from __future__ import annotations

import io
import os
import pathlib
import re
import subprocess
import sys
import types
from typing import Any

import pytest

import eprop
from command_line import run
from eprop.cli.guard import path_of
from eprop.cli.output import mend_streams
from eprop.cli.report import Reporter, print_info
from eprop.display import BestEffortStream
from eprop.files import write_text
from eprop.tasks.registry import new_task

# The package under test, for processes that start in another folder.
ENVIRONMENT = os.environ | {"PYTHONPATH": str(pathlib.Path(eprop.__file__).parents[1])}


class Full(io.StringIO):
    """A stream on a full disk."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line of the shell, in which ``$EPROP`` is the command."""
    return subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, check=False, timeout=120,
        env={**ENVIRONMENT, "EPROP": f"{sys.executable} -m eprop", **environment},
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------------------- streams


@pytest.mark.tiny
@pytest.mark.skipif(not pathlib.Path("/dev/full").exists(), reason="takes a device that is always full")
@pytest.mark.parametrize("words", ["new-task x", "--help"])
def test_a_full_output_is_an_error(words: str) -> None:
    done = shell(f"$EPROP {words} >/dev/full")
    assert done.returncode == 2
    assert done.stderr == "eprop: error: the output cannot be written: No space left on device\n"


@pytest.mark.tiny
def test_a_pipe_without_a_reader_ends_without_a_message() -> None:
    done = shell("{ sleep 0.1; $EPROP new-task x; echo $? >&2; } | true")
    assert (done.stdout, done.stderr) == ("", "141\n")


@pytest.mark.tiny
def test_a_closed_standard_error_changes_no_exit_code() -> None:
    assert shell("$EPROP plot none 2>&-").returncode == 2
    assert shell("$EPROP new-task x 2>&-").stdout.startswith("x.py: written")


@pytest.mark.tiny
def test_figures_are_drawn_although_the_result_cannot_be_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    drawn: list[Any] = []
    history = types.SimpleNamespace(folder=types.SimpleNamespace(path="run"), summary={})
    done_run = types.SimpleNamespace(history=history, draw=lambda: drawn.append("run"))
    monkeypatch.setattr("eprop.runs.fitting.run_in_folder", lambda *_, **__: done_run)
    monkeypatch.setattr("eprop.cli.report.print_finished", full)
    done = run("train", "pattern-generation")
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1] == "eprop: error: the output cannot be written: No space left on device"
    assert drawn == ["run"]


@pytest.mark.tiny
@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (KeyboardInterrupt("stopped after 3 of 5 samples"), 130, "eprop: stopped after 3 of 5 samples\n"),
        (MemoryError("3 GB"), 2, "eprop: error: not enough memory (3 GB): take fewer samples or neurons"),
        (ValueError("a fault of the package"), 1, ""),
    ],
)
def test_how_a_training_ends(
    error: BaseException, code: int, told: str, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    def ended(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("eprop.runs.fitting.run_in_folder", ended)
    done = run("train", "pattern-generation", "--quiet")
    assert (done.exit_code, list(tmp_path.iterdir())) == (code, [])
    assert done.stderr.startswith(told)


@pytest.mark.tiny
def test_unwritable_progress_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", Full())
    with Reporter() as reporter:
        reporter.phase("learning")
    assert BestEffortStream(sys.stderr).write("lost") == 4


@pytest.mark.tiny
def test_characters_that_cannot_be_encoded_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii"))
    mend_streams()
    print("2.1 \xb1 0.5 %", flush=True)
    assert raw.getvalue() == b"2.1 ? 0.5 %\n"


@pytest.mark.tiny
def test_paths_need_not_be_utf_8() -> None:
    odd = os.fsdecode(b"odd\xff")
    small = ["--duration", "40", "--neurons", "4", "--epochs", "3", "--no-figures"]
    for words in (
        ["train", "pattern-generation", *small, "--out", odd], ["plot", odd], ["evaluate", odd],
    ):  # fmt: skip
        done = run(*words, "--json")
        assert done.exit_code == 0, (words, done.output)
    write_text(*new_task("mine", pathlib.Path(f"{odd}.py")))
    assert "eprop train odd\ufffd.py" in pathlib.Path(f"{odd}.py").read_text(encoding="utf-8")
    done = run("train", f"{odd}.py", "--epochs", 1, "--no-figures")
    assert done.exit_code == 0, done.output


@pytest.mark.tiny
def test_a_tilde_with_an_unknown_user_is_a_name(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert path_of("~/x") == tmp_path / "x"
    assert path_of("~nobody-of-this-name/x") == pathlib.Path("~nobody-of-this-name/x")


# -------------------------------------------------------------------------------------------------------------- values


@pytest.mark.tiny
@pytest.mark.parametrize(
    ("tau_m", "kind", "message"),
    [
        ("1 / 0", "ZeroDivisionError", "ZeroDivisionError: division by zero\n$"),
        ("-1.0", "ParameterError", "LIF.tau_m must be > 0 ms, got -1"),
    ],
)
def test_a_mistake_in_the_file_of_a_task_is_reported_with_its_line(tau_m: str, kind: str, message: str) -> None:
    run("new-task", "my-own")
    file = pathlib.Path("my_own.py")
    file.write_text(file.read_text().replace("ep.LIF(tau_m=20.0)", f"ep.LIF(tau_m={tau_m})"))
    done = run("train", file)
    assert done.exit_code == 2
    assert re.search(rf"eprop: error: .*my_own.py: line \d+: {message}", done.stderr)
    assert type(run("train", file, "--debug").exception).__name__ == kind


def test_names_with_brackets_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """They were taken for markup: some vanished, and some ended in an error."""
    print_info({"folder": "runs/[/b]", "data": "[red]x"})
    shown = capsys.readouterr().out
    assert "runs/[/b]" in shown
    assert "[red]x" in shown
